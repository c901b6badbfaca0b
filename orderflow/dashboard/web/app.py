"""The Dash page on FastAPI: the shell, the viewers' WebSocket, and the HTTP endpoints.

Dash's own WebSocket callbacks queue every update for every client without bound; the viewers' socket here sends what has
changed since the viewer's last acknowledgement instead, so that a slow browser skips states and delays nobody.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import uvicorn
from dash import Dash
from fastapi import FastAPI
from fastapi.middleware.gzip import GZipMiddleware

from orderflow.dashboard.sources.archive import Archive, History
from orderflow.dashboard.sources.closed_days import ClosedDays
from orderflow.dashboard.sources.directory import Directory
from orderflow.dashboard.state.store import Store
from orderflow.dashboard.views.footprint import DEFAULT, Imbalances
from orderflow.dashboard.web import endpoints
from orderflow.dashboard.web.alert_desk import AlertFile, Webhook
from orderflow.dashboard.web.files import PageFiles
from orderflow.dashboard.web.guard import Guard, TrustedHosts, policy
from orderflow.dashboard.web.hub import Hub
from orderflow.dashboard.web.layout import index, page
from orderflow.market.errors import OrderflowError
from orderflow.settings import Settings
from orderflow.watchdog import Watchdog

HUNG_SECONDS: Final = 60.0
UNUSED_BUNDLES: Final = ("/dash_table/", "/dcc/")

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Parts:
    """What the dashboard is made of; the entry point injects the directory's sources and the history.

    `prefix` is the path under which a proxy serves the page, with a slash at both ends; the proxy may pass it on or strip it.
    """

    store: Store
    directory: Directory
    history: History | None = None
    buffer: int = 100
    marked: Imbalances = DEFAULT
    prefix: str = "/"
    trusted_hosts: Sequence[str] = ()
    alert_file: Path | None = None
    alert_webhook: str | None = None

    @classmethod
    def configured(cls, settings: Settings, store: Store, directory: Directory, history: History) -> Parts:
        """Return the parts that the settings ask for."""
        marked = Imbalances(settings.imbalance_ratio, settings.imbalance_floor, settings.imbalance_ignore_zero)
        return cls(
            store,
            directory,
            history,
            settings.dashboard_buffer,
            marked,
            prefix=settings.dashboard_prefix,
            trusted_hosts=settings.dashboard_trusted_hosts,
            alert_file=settings.spool_dir / "alerts.json",
            alert_webhook=settings.alert_webhook,
        )


class Page(Dash):  # type: ignore[misc]
    """Dash without the bundles of components that this page does not use."""

    def interpolate_index(self, **parts: str) -> str:
        """Return the index page; the documented place to change its parts."""
        kept = [line for line in parts["scripts"].splitlines() if not any(name in line for name in UNUSED_BUNDLES)]
        return str(super().interpolate_index(**{**parts, "scripts": "\n".join(kept)}))


def create_app(parts: Parts) -> FastAPI:
    """Return the ASGI application that serves page, socket and endpoints."""
    archive = Archive(parts.history) if parts.history is not None else None
    webhook = Webhook(parts.alert_webhook, parts.directory.symbol) if parts.alert_webhook else None
    kept = AlertFile(parts.alert_file, parts.store.alerts) if parts.alert_file is not None else None
    hub = Hub(parts.store, parts.directory, archive, parts.buffer, parts.marked, webhook)
    closed = ClosedDays(parts.history.closed_days, parts.store) if parts.history is not None else None
    workers = [worker for worker in (kept, webhook, closed) if worker is not None]

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        hub.attach(asyncio.get_running_loop())
        for worker in workers:
            worker.start()
        yield
        hub.detach()
        for worker in workers:
            worker.stop()

    server = FastAPI(
        title="Order flow dashboard",
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
    )
    endpoints.add(server, parts.store, hub)
    files = PageFiles()
    files.add(server)
    dash = Page(
        "orderflow",
        server=server,
        include_assets_files=False,
        title="Order flow",
        update_title="",
        index_string=index(f"{parts.prefix}page/{files.digest}", files.scripts),
        requests_pathname_prefix=parts.prefix,
        routes_pathname_prefix="/",
        serve_locally=True,
    )
    dash.layout = page()
    server.add_middleware(GZipMiddleware, minimum_size=2000, compresslevel=5)
    hosts, limits = TrustedHosts(parts.trusted_hosts), policy(dash.csp_hashes())
    server.add_middleware(Guard, hosts=hosts, content_policy=limits, prefix=parts.prefix)
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
    watchdog = Watchdog(HUNG_SECONDS, "the dashboard has answered nobody")

    async def on_tick() -> None:
        watchdog.beat()

    config = uvicorn.Config(
        create_app(parts), log_level="warning", ws_per_message_deflate=False, callback_notify=on_tick, timeout_notify=1
    )
    log.info("dashboard on http://%s:%d", host, port)
    with watchdog:
        uvicorn.Server(config).run(sockets=[listener])
