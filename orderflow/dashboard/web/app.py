"""The Dash page on FastAPI: the page's skeleton, the viewers' WebSocket, and the HTTP endpoints.

Dash's own WebSocket callbacks queue every update for every client without bound; the viewers' socket here sends what has
changed since the viewer's last acknowledgement instead, so that a slow browser skips states and delays nobody.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final

from dash import Dash
from fastapi import FastAPI, Request
from fastapi.middleware.gzip import GZipMiddleware
from fastapi.responses import JSONResponse

from orderflow.dashboard.sources.archive import Archive
from orderflow.dashboard.sources.closed_days import ClosedDays
from orderflow.dashboard.sources.directory import Directory
from orderflow.dashboard.sources.history import History
from orderflow.dashboard.state.store import Store
from orderflow.dashboard.views.days import Days
from orderflow.dashboard.views.footprint import DEFAULT, Imbalances
from orderflow.dashboard.web import automation, login, monitoring, viewing
from orderflow.dashboard.web.alert_desk import AlertFile, Webhook
from orderflow.dashboard.web.files import PageFiles
from orderflow.dashboard.web.guard import Guard, TrustedHosts, policy
from orderflow.dashboard.web.hub import Hub
from orderflow.dashboard.web.layout import index, page
from orderflow.dashboard.web.limits import Limited, Limits
from orderflow.dashboard.web.proxies import TrustedProxies
from orderflow.dashboard.web.sessions import Sessions, may_post
from orderflow.market.errors import OrderflowError
from orderflow.settings import Settings

UNUSED_BUNDLES: Final = ("/dash_table/", "/dcc/")


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts of the dashboard; the entry point injects the directory's sources and the history.

    `prefix` is the path under which a proxy serves the page, with a slash at both ends; the proxy may pass it on or
    strip it. Without `sessions` no login is required. `user_header` names the user in requests from `proxies`,
    addresses or networks.
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
    sessions: Sessions | None = None
    proxies: Sequence[str] = ()
    user_header: str | None = None
    limits: Limits = field(default_factory=Limits)

    @classmethod
    def configured(cls, settings: Settings, store: Store, directory: Directory, history: History) -> Parts:
        """Return the parts that the settings ask for. Raises OrderflowError when the users' file is invalid."""
        users, hours = settings.dashboard_users_file, settings.dashboard_session_hours
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
            sessions=Sessions(users, hours * 3600) if users is not None else None,
            proxies=settings.dashboard_proxies,
            user_header=settings.dashboard_user_header,
            limits=Limits(
                settings.dashboard_requests_per_minute,
                settings.dashboard_sockets,
                settings.dashboard_sockets_per_user,
                settings.dashboard_messages_per_second,
            ),
        )


class Page(Dash):  # type: ignore[misc]
    """Dash without the bundles of components that this page does not use."""

    def interpolate_index(self, **parts: str) -> str:
        """Return the index page; the documented place to change its parts."""
        kept = [line for line in parts["scripts"].splitlines() if not any(name in line for name in UNUSED_BUNDLES)]
        return str(super().interpolate_index(**{**parts, "scripts": "\n".join(kept)}))


def create_app(parts: Parts) -> FastAPI:
    """Return the ASGI application that serves page, socket and endpoints."""
    webhook = _webhook(parts)
    kept = AlertFile(parts.alert_file, parts.store.alerts) if parts.alert_file is not None else None
    days = Days(parts.store, parts.directory, Archive(parts.history), parts.buffer, parts.marked)
    hub = Hub(days, posts=webhook is not None)
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
    server.add_exception_handler(OrderflowError, _explained)
    viewing.add(server, hub)
    automation.add(server, days)
    monitoring.add(server, parts.store, hub)
    files = PageFiles()
    files.add(server)
    address = f"{parts.prefix}page/{files.digest}"
    if parts.sessions is not None:
        login.add(server, parts.sessions, parts.prefix, address)
    dash = Page(
        "orderflow",
        server=server,
        include_assets_files=False,
        title="Order flow",
        update_title="",
        index_string=index(address, files.scripts),
        requests_pathname_prefix=parts.prefix,
        routes_pathname_prefix="/",
        serve_locally=True,
    )
    dash.layout = page()
    # The last that is added comes first.
    server.add_middleware(GZipMiddleware, minimum_size=2000, compresslevel=5)
    if parts.sessions is not None:
        server.add_middleware(login.Gate, sessions=parts.sessions, prefix=parts.prefix)
    server.add_middleware(Limited, limits=parts.limits)
    if parts.sessions is not None:
        server.add_middleware(login.Identify, sessions=parts.sessions, user_header=parts.user_header)
    hosts, limits = TrustedHosts(parts.trusted_hosts), policy(dash.csp_hashes())
    server.add_middleware(Guard, hosts=hosts, content_policy=limits, prefix=parts.prefix)
    if parts.proxies:
        server.add_middleware(TrustedProxies, addresses=parts.proxies, user_header=parts.user_header)
    return server


def _webhook(parts: Parts) -> Webhook | None:
    """Return the webhook that is told of alerts; with logins only of those of operators, as they are now."""
    if not parts.alert_webhook:
        return None
    if parts.sessions is None:
        webhook = Webhook(parts.alert_webhook, parts.directory.symbol)
    else:
        webhook = Webhook(parts.alert_webhook, parts.directory.symbol, partial(may_post, parts.sessions.accounts))
    parts.store.alerts.subscribe(webhook.fired)
    return webhook


async def _explained(_request: Request, error: Exception) -> JSONResponse:
    status = 403 if isinstance(error, monitoring.ForbiddenError) else 503
    return JSONResponse({"error": str(error)}, status_code=status)
