"""Security headers of every answer, and the host names that the dashboard accepts.

A page of another site must neither read the dashboard nor act in it as the visitor: not in a frame, not by scripts or forms,
and not by a domain name that its owner points to this machine (DNS rebinding). Such a name has a dot and is not an address.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any, Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
ANY: Final = "*"
REFUSED_ORIGIN: Final = 4003
READING: Final = frozenset({"GET", "HEAD", "OPTIONS"})


def policy(script_hashes: Iterable[str]) -> str:
    """Return the content security policy of the page: everything from this server, inline scripts by their digest alone."""
    scripts = " ".join(("'self'", *script_hashes))
    return "; ".join(
        (
            "default-src 'self'",
            f"script-src {scripts}",
            "style-src 'self' 'unsafe-inline'",
            "img-src 'self' data: blob:",
            "object-src 'none'",
            "base-uri 'none'",
            "form-action 'self'",
            "frame-ancestors 'none'",
        )
    )


def host_name(host: str) -> str:
    """Return a Host header's name or address without its port, in lower case."""
    name = host.strip().lower()
    if name.startswith("["):
        return name[1:].partition("]")[0]
    return name.partition(":")[0]


class TrustedHosts:
    """The names in a Host header that are answered: addresses, names that only this network knows, and the listed ones."""

    def __init__(self, listed: Iterable[str] = ()) -> None:
        self._listed = frozenset(host_name(name) if name != ANY else ANY for name in listed)

    def trusts(self, host: str) -> bool:
        """Return whether a request with this Host header is answered."""
        name = host_name(host)
        if ANY in self._listed or name in self._listed:
            return True
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return bool(name) and ("." not in name or name.endswith((".local", ".localhost")))
        return True

    def trusts_origin(self, origin: str | None, host: str) -> bool:
        """Return whether a page of `origin` may open a socket or send a form: it is this server's own, by any of its names.

        A proxy may put its own name into `host`; the name the browser knows must then be listed.
        """
        if origin is None:
            return True
        place = origin.partition("://")[2]
        return place == host or (host_name(place) in self._listed and bool(place))


class Guard:
    """Refuses other hosts and origins, and adds the headers; for HTTP and WebSocket.

    A proxy that passes the path on as it came leaves `prefix` on it: it becomes the ASGI root path.
    """

    def __init__(self, app: App, hosts: TrustedHosts, content_policy: str, prefix: str) -> None:
        self._app = app
        self._prefix = prefix
        self._hosts = hosts
        self._headers = {
            "Content-Security-Policy": content_policy,
            "X-Content-Type-Options": "nosniff",
            "X-Frame-Options": "DENY",
            # Not no-referrer: browsers would then send forms with the origin `null`.
            "Referrer-Policy": "same-origin",
            "Cross-Origin-Opener-Policy": "same-origin",
            "Cross-Origin-Resource-Policy": "same-origin",
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        if self._prefix != "/" and scope["path"].startswith(self._prefix):
            scope["root_path"] = self._prefix.rstrip("/")
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        trusted = self._hosts.trusts(host)
        if scope["type"] == "websocket":
            if trusted and self._hosts.trusts_origin(headers.get("origin"), host):
                await self._app(scope, receive, send)
            else:
                await send({"type": "websocket.close", "code": REFUSED_ORIGIN})
            return

        async def with_headers(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(self._headers)
            await send(message)

        if not trusted:
            words = f"This dashboard does not answer to the name {host_name(host)!r}: add it to DASHBOARD_TRUSTED_HOSTS.\n"
            await PlainTextResponse(words, status_code=421)(scope, receive, with_headers)
        elif scope["method"] not in READING and not self._hosts.trusts_origin(headers.get("origin"), host):
            words = "Another site's page sent this. Behind a proxy, add the name that browsers use to DASHBOARD_TRUSTED_HOSTS.\n"
            await PlainTextResponse(words, status_code=403)(scope, receive, with_headers)
        else:
            await self._app(scope, receive, with_headers)
