"""Trusts the headers of a listed reverse proxy about a visitor, and removes those of any other."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence

from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware


class TrustedProxies:
    """Takes address and scheme from X-Forwarded-For and X-Forwarded-Proto, and leaves the header that names the user.

    `addresses` are those of the proxies, or their networks.
    """

    def __init__(self, app: ASGIApp, addresses: Sequence[str], user_header: str | None) -> None:
        self._networks = [ipaddress.ip_network(address) for address in addresses]
        self._user_header = user_header.lower().encode() if user_header is not None else None
        self._app = app
        self._forwarded = ProxyHeadersMiddleware(app, list(addresses))  # type: ignore[arg-type]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request or socket."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        elif self._is_proxy(scope):
            await self._forwarded(scope, receive, send)  # type: ignore[arg-type]
        else:
            kept = [(name, value) for name, value in scope["headers"] if name.lower() != self._user_header]
            await self._app({**scope, "headers": kept}, receive, send)

    def _is_proxy(self, scope: Scope) -> bool:
        client = scope.get("client")
        if not client:
            return False
        address = ipaddress.ip_address(client[0])
        return any(address in network for network in self._networks)
