"""The Dash page on FastAPI: the shell, the viewers' WebSocket, and the HTTP endpoints.

Dash's own WebSocket callbacks queue every update for every client without bound; the viewers' socket here sends what has
changed since the viewer's last acknowledgement instead, so that a slow browser skips states and holds up nobody.
"""

from __future__ import annotations

import asyncio
import gzip
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import plotly
import uvicorn
from dash import Dash
from fastapi import FastAPI, Request, Response

from orderflow.dashboard import endpoints
from orderflow.dashboard.hub import Hub
from orderflow.dashboard.layout import INDEX, page
from orderflow.dashboard.panels import Names
from orderflow.dashboard.past import Archive, History
from orderflow.dashboard.store import Store

ASSETS: Final = Path(__file__).parent / "assets"
PLOTLY: Final = Path(plotly.__file__).parent / "package_data" / "plotly.min.js"

log = logging.getLogger(__name__)


def _never(_key: str, _now_ms: int) -> int | None:
    return None


@dataclass(frozen=True, slots=True)
class Parts:
    """What the dashboard is made of; `history` and `next_open_ms` are injected by the entry point."""

    store: Store
    instruments: tuple[str, ...] = ()
    names: Names = field(default_factory=dict)
    history: History | None = None
    buffer: int = 100
    next_open_ms: Callable[[str, int], int | None] = _never


def create_app(parts: Parts) -> FastAPI:
    """Return the ASGI application that serves page, socket and endpoints."""
    archive = Archive(parts.history) if parts.history is not None else None
    hub = Hub(parts.store, parts.instruments, parts.names, archive, parts.buffer, parts.next_open_ms)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        hub.attach(asyncio.get_running_loop())
        yield
        hub.detach()

    server = FastAPI(title="Order flow dashboard", lifespan=lifespan)
    endpoints.add(server, parts.store, hub)
    script = gzip.compress(PLOTLY.read_bytes(), 6)

    @server.get("/plotly.min.js", include_in_schema=False)
    async def plotly_script(_request: Request) -> Response:
        headers = {"Content-Encoding": "gzip", "Cache-Control": "public, max-age=31536000, immutable"}
        return Response(script, media_type="text/javascript", headers=headers)

    dash = Dash(
        "orderflow",
        server=server,
        assets_folder=str(ASSETS),
        title="Order flow",
        update_title="",
        index_string=INDEX.replace("PLOTLY_VERSION", plotly.__version__),
        serve_locally=True,
    )
    dash.layout = page()
    return server


def serve(parts: Parts, host: str, port: int, **more: Any) -> None:
    """Serve until SIGTERM or SIGINT."""
    uvicorn.run(create_app(parts), host=host, port=port, log_level="warning", ws_ping_interval=20, ws_ping_timeout=20, **more)
