"""The Dash page on FastAPI: the page's skeleton, the viewers' WebSocket, and the HTTP endpoints.

Dash's own WebSocket callbacks queue every update for every client without bound; the viewers' socket here sends what has
changed since the viewer's last acknowledgement instead, so that a slow browser skips states and delays nobody.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import socket
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import uvicorn
from dash import Dash
from fastapi import FastAPI
from fastapi.middleware.gzip import GZipMiddleware

from orderflow.clusters import TlsFiles
from orderflow.dashboard.sources.archive import Archive, History
from orderflow.dashboard.sources.closed_days import ClosedDays
from orderflow.dashboard.sources.directory import Directory
from orderflow.dashboard.state.store import Store
from orderflow.dashboard.views.footprint import DEFAULT, Imbalances
from orderflow.dashboard.web import endpoints, login
from orderflow.dashboard.web.alert_desk import AlertFile, Webhook
from orderflow.dashboard.web.files import PageFiles
from orderflow.dashboard.web.guard import Guard, TrustedHosts, policy
from orderflow.dashboard.web.hub import Hub
from orderflow.dashboard.web.layout import index, page
from orderflow.dashboard.web.limits import LARGEST_MESSAGE, Limited, Limits
from orderflow.dashboard.web.proxies import TrustedProxies
from orderflow.dashboard.web.sessions import Sessions
from orderflow.market.errors import OrderflowError
from orderflow.settings import Settings
from orderflow.watchdog import Watchdog

HUNG_SECONDS: Final = 60.0
UNUSED_BUNDLES: Final = ("/dash_table/", "/dcc/")

log = logging.getLogger(__name__)


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
    archive = Archive(parts.history) if parts.history is not None else None
    webhook = Webhook(parts.alert_webhook, parts.directory.symbol) if parts.alert_webhook else None
    kept = AlertFile(parts.alert_file, parts.store.alerts) if parts.alert_file is not None else None
    accounts = parts.sessions.accounts if parts.sessions is not None else None
    hub = Hub(parts.store, parts.directory, archive, parts.buffer, parts.marked, webhook, accounts)
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


def server_options(tls: TlsFiles) -> dict[str, Any]:
    """Return the options of uvicorn's configuration. Raises OrderflowError when certificate or key cannot be used."""
    if tls.certificate is not None:
        try:
            ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(tls.certificate, tls.key)
        except (OSError, ssl.SSLError) as error:
            raise OrderflowError(
                f"DASHBOARD_SSL_CERTIFICATE_FILE={tls.certificate} and DASHBOARD_SSL_KEY_FILE={tls.key} cannot be used: {error}"
            ) from error
    return {
        "log_level": "warning",
        "ws_per_message_deflate": False,
        "ws_max_size": LARGEST_MESSAGE,
        "proxy_headers": False,  # TrustedProxies
        "server_header": False,
        "ssl_certfile": tls.certificate,
        "ssl_keyfile": tls.key,
    }


def exposure(parts: Parts, host: str, tls: TlsFiles) -> list[str]:
    """Return the warnings for a server that listens on `host`, an address or a name."""
    try:
        is_local = ipaddress.ip_address(host).is_loopback
    except ValueError:
        is_local = host == "localhost"
    if is_local:
        return []
    if parts.sessions is None:
        return [
            f"no login is required: everyone who reaches {host} (in a container: its published port) sees everything; "
            "set DASHBOARD_USERS_FILE, or DASHBOARD_HOST=127.0.0.1"
        ]
    if tls.certificate is None and not parts.proxies:
        return [
            f"passwords reach {host} unencrypted: set DASHBOARD_SSL_CERTIFICATE_FILE and DASHBOARD_SSL_KEY_FILE, or put a proxy "
            "with TLS in front and name it in DASHBOARD_PROXIES"
        ]
    return []


def serve(parts: Parts, host: str, port: int, tls: TlsFiles) -> None:
    """Serve until SIGTERM or SIGINT; raise OrderflowError when the port or the certificate cannot be used."""
    options = server_options(tls)
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        reason = error.strerror or error
        raise OrderflowError(
            f"cannot serve the dashboard on {host}:{port} ({reason}); free the port or set DASHBOARD_PORT"
        ) from error
    watchdog = Watchdog(HUNG_SECONDS, "the dashboard has answered no request")

    async def on_tick() -> None:
        watchdog.beat()

    config = uvicorn.Config(create_app(parts), callback_notify=on_tick, timeout_notify=1, **options)
    scheme = "http" if tls.certificate is None else "https"
    log.info("dashboard on %s://%s:%d", scheme, host, port)
    for warning in exposure(parts, host, tls):
        log.warning(warning)
    with watchdog:
        uvicorn.Server(config).run(sockets=[listener])
