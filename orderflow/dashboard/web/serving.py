"""Serve the dashboard on a port, over TLS where it is configured, and say what is exposed by that."""

from __future__ import annotations

import ipaddress
import logging
import socket
import ssl
from typing import Any, Final

import uvicorn
from fastapi import FastAPI

from orderflow.clusters import TlsFiles
from orderflow.dashboard.web.limits import LARGEST_MESSAGE
from orderflow.market.errors import OrderflowError
from orderflow.watchdog import Watchdog

HUNG_SECONDS: Final = 60.0

log = logging.getLogger(__name__)


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


def exposure(host: str, tls: TlsFiles, *, logins: bool, proxies: bool) -> list[str]:
    """Return the warnings for a server that listens on `host`, an address or a name.

    `logins` says that visitors have to log in, `proxies` that a proxy is trusted.
    """
    try:
        is_local = ipaddress.ip_address(host).is_loopback
    except ValueError:
        is_local = host == "localhost"
    if is_local:
        return []
    if not logins:
        return [
            f"no login is required: everyone who reaches {host} (in a container: its published port) sees everything; "
            "set DASHBOARD_USERS_FILE, or DASHBOARD_HOST=127.0.0.1"
        ]
    if tls.certificate is None and not proxies:
        return [
            f"passwords reach {host} unencrypted: set DASHBOARD_SSL_CERTIFICATE_FILE and DASHBOARD_SSL_KEY_FILE, or put a proxy "
            "with TLS in front and name it in DASHBOARD_PROXIES"
        ]
    return []


def serve(application: FastAPI, host: str, port: int, tls: TlsFiles, *, logins: bool, proxies: bool) -> None:
    """Serve an application until SIGTERM or SIGINT, after a warning of what is exposed.

    `logins` says that visitors have to log in, `proxies` that a proxy is trusted. Raises OrderflowError when the port or the
    certificate cannot be used.
    """
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

    config = uvicorn.Config(application, callback_notify=on_tick, timeout_notify=1, **options)
    scheme = "http" if tls.certificate is None else "https"
    log.info("dashboard on %s://%s:%d", scheme, host, port)
    for warning in exposure(host, tls, logins=logins, proxies=proxies):
        log.warning(warning)
    with watchdog:
        uvicorn.Server(config).run(sockets=[listener])
