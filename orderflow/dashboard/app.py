"""The Dash page on FastAPI: the shell, the viewers' WebSocket, and the HTTP endpoints.

Dash's own WebSocket callbacks queue every update for every client without bound; the viewers' socket here sends what has
changed since the viewer's last acknowledgement instead, so that a slow browser skips states and holds up nobody.
"""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import logging
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import uvicorn
from dash import Dash
from fastapi import FastAPI, Request, Response
from fastapi.middleware.gzip import GZipMiddleware

from orderflow.dashboard import endpoints
from orderflow.dashboard.directory import Directory
from orderflow.dashboard.footprint import DEFAULT, Imbalances
from orderflow.dashboard.hub import Hub
from orderflow.dashboard.layout import INDEX, page
from orderflow.dashboard.past import Archive, History
from orderflow.dashboard.store import Store
from orderflow.market.errors import OrderflowError

UNUSED_BUNDLES: Final = ("/dash_table/", "/dcc/")
ASSETS: Final = Path(__file__).parent / "assets"
PLOTLY: Final = Path(__file__).parent / "vendor" / "plotly-finance.min.js"

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Parts:
    """What the dashboard is made of; the entry point injects the directory's sources and the history."""

    store: Store
    directory: Directory
    history: History | None = None
    buffer: int = 100
    marked: Imbalances = DEFAULT


class Page(Dash):  # type: ignore[misc]
    """Dash without the bundles of components that this page does not use."""

    def interpolate_index(self, **parts: str) -> str:
        """Return the index page; the documented place to change its parts."""
        kept = [line for line in parts["scripts"].splitlines() if not any(name in line for name in UNUSED_BUNDLES)]
        return str(super().interpolate_index(**{**parts, "scripts": "\n".join(kept)}))


def create_app(parts: Parts) -> FastAPI:
    """Return the ASGI application that serves page, socket and endpoints."""
    archive = Archive(parts.history) if parts.history is not None else None
    hub = Hub(parts.store, parts.directory, archive, parts.buffer, parts.marked)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        hub.attach(asyncio.get_running_loop())
        yield
        hub.detach()

    server = FastAPI(title="Order flow dashboard", lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None)
    server.add_middleware(GZipMiddleware, minimum_size=2000, compresslevel=5)
    endpoints.add(server, parts.store, hub)
    bundle = PLOTLY.read_bytes()
    script = gzip.compress(bundle, 9)

    @server.get("/plotly.min.js", include_in_schema=False)
    async def plotly_script(_request: Request) -> Response:
        headers = {"Content-Encoding": "gzip", "Cache-Control": "public, max-age=31536000, immutable"}
        return Response(script, media_type="text/javascript", headers=headers)

    dash = Page(
        "orderflow",
        server=server,
        assets_folder=str(ASSETS),
        title="Order flow",
        update_title="",
        index_string=INDEX.replace("PLOTLY_DIGEST", hashlib.sha256(bundle).hexdigest()[:12]),
        serve_locally=True,
    )
    dash.layout = page()
    return server


def serve(parts: Parts, host: str, port: int) -> None:
    """Serve until SIGTERM or SIGINT; raise OrderflowError when the port cannot be had."""
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        reason = error.strerror or error
        raise OrderflowError(
            f"cannot serve the dashboard on {host}:{port} ({reason}); free the port or set DASHBOARD_PORT"
        ) from error
    config = uvicorn.Config(create_app(parts), log_level="warning", ws_per_message_deflate=False)
    log.info("dashboard on http://%s:%d", host, port)
    uvicorn.Server(config).run(sockets=[listener])
