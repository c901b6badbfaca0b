"""Requires a login: identifies the user of each request and socket, and refuses all others.

Without a login, only the login page, the page's own files and a short `/healthz` are served. A socket whose session has ended
is closed with 4401; the page then opens the login.
"""

from __future__ import annotations

import base64
import binascii
import functools
import ipaddress
import time
from collections.abc import Mapping
from html import escape
from typing import Any, Final
from urllib.parse import parse_qs

from fastapi import FastAPI, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import cookie_parser
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from orderflow.dashboard.web.closing import ClosableSocket
from orderflow.dashboard.web.sessions import Sessions, TooManyFailuresError, Visitor

COOKIE: Final = "orderflow_session"
LOGGED_OUT: Final = 4401
CHECK_SECONDS: Final = 1.0

_OPEN_PATHS: Final = ("/login", "/healthz")
_WRONG: Final = "Name or password is wrong."


def visitor_of(scope: Mapping[str, Any]) -> Visitor | None:
    """Return the visitor of a request; None if the dashboard has no logins."""
    found: Visitor | None = scope.get("user")
    return found


def is_stranger(scope: Mapping[str, Any]) -> bool:
    """Return whether the dashboard requires a login and the visitor has not logged in."""
    return "user" in scope and scope["user"] is None


class Identify:
    """Sets `user` in each scope, from the proxy's header, HTTP Basic or the cookie; None for an unknown visitor.

    The header can be trusted, because `TrustedProxies` has removed it from every request that did not come from a proxy.
    """

    def __init__(self, app: ASGIApp, sessions: Sessions, user_header: str | None) -> None:
        self._app = app
        self._sessions = sessions
        self._user_header = user_header

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request or socket."""
        if scope["type"] in ("http", "websocket"):
            try:
                scope["user"] = await self._visitor(Headers(scope=scope), address_of(scope))
            except TooManyFailuresError as error:
                await _refused(error)(scope, receive, send)
                return
        await self._app(scope, receive, send)

    async def _visitor(self, headers: Headers, address: str) -> Visitor | None:
        if self._user_header is not None and (name := headers.get(self._user_header)):
            return self._sessions.of_proxy(name)
        if (basic := _basic(headers.get("authorization", ""))) is not None:
            return await self._sessions.of_basic(*basic, address)
        cookie = cookie_parser(headers.get("cookie", "")).get(COOKIE)
        return self._sessions.of_cookie(cookie) if cookie else None


class Gate:
    """Refuses requests without a login, and closes sockets whose session ends."""

    def __init__(self, app: ASGIApp, sessions: Sessions, prefix: str) -> None:
        self._app = app
        self._sessions = sessions
        self._prefix = prefix

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request or socket."""
        if scope["type"] == "websocket":
            await self._serve_socket(scope, receive, ClosableSocket(send))
        elif scope["type"] != "http":
            await self._app(scope, receive, send)
        elif not is_stranger(scope) or _is_open(scope):
            await self._app(scope, receive, _unkept(send))
        else:
            await self._login_first(scope)(scope, receive, send)

    async def _serve_socket(self, scope: Scope, receive: Receive, socket: ClosableSocket) -> None:
        visitor = visitor_of(scope)
        if visitor is None:
            await receive()
            await socket.refuse(LOGGED_OUT, "log in first")
            return
        checked = time.monotonic()

        async def check() -> None:
            nonlocal checked
            now = time.monotonic()
            if now - checked >= CHECK_SECONDS:
                checked = now
                if not self._sessions.holds(visitor):
                    await socket.close(LOGGED_OUT, "the session has ended")

        async def send_while_logged_in(message: Message) -> None:
            await check()
            await socket.send(message)

        async def receive_while_logged_in() -> Message:
            message = await receive()
            if message["type"] == "websocket.receive":
                await check()
            return message

        await self._app(scope, receive_while_logged_in, send_while_logged_in)

    def _login_first(self, scope: Scope) -> Response:
        """Return a redirect to the login for a browser that opens the page, and 401 for any other request."""
        query = scope["query_string"].decode("latin-1")
        if _path(scope) in ("/", "") and "text/html" in Headers(scope=scope).get("accept", ""):
            return RedirectResponse(f"{self._prefix}login?{query}", status_code=303)
        return JSONResponse({"error": "log in first"}, status_code=401, headers={"WWW-Authenticate": 'Cookie realm="orderflow"'})


def add(server: FastAPI, sessions: Sessions, prefix: str, files: str) -> None:
    """Register login and logout on `server`; `files` is the path of the page's files."""

    @server.get("/login", include_in_schema=False)
    def form(request: Request) -> Response:
        if not is_stranger(request.scope):
            return RedirectResponse(f"{prefix}?{request.url.query}", status_code=303)
        return HTMLResponse(_page(files, prefix, request.url.query))

    @server.post("/login", include_in_schema=False)
    async def log_in(request: Request) -> Response:
        given = {name: values[0] for name, values in parse_qs((await request.body()).decode(errors="replace")).items()}
        name, view = given.get("name", "").strip(), given.get("view", "")
        try:
            visitor = await sessions.log_in(name, given.get("password", ""), address_of(request.scope))
        except TooManyFailuresError as error:
            words = f"Too many failed logins. Try again in {error.seconds} seconds."
            headers = {"Retry-After": str(error.seconds)}
            return HTMLResponse(_page(files, prefix, view, name, words), status_code=429, headers=headers)
        if visitor is None:
            return HTMLResponse(_page(files, prefix, view, name, _WRONG), status_code=401)
        answer = RedirectResponse(f"{prefix}?{view}", status_code=303)
        answer.set_cookie(
            COOKIE,
            sessions.open(visitor),
            max_age=int(sessions.lifetime_seconds),
            path=prefix,
            secure=request.url.scheme == "https",
            httponly=True,
            samesite="lax",
        )
        return answer

    @server.post("/logout", include_in_schema=False)
    async def log_out(request: Request) -> Response:
        if (visitor := visitor_of(request.scope)) is not None:
            sessions.end(visitor)
        answer = RedirectResponse(f"{prefix}login", status_code=303)
        answer.delete_cookie(COOKIE, path=prefix)
        return answer


def address_of(scope: Mapping[str, Any]) -> str:
    """Return to whom limits apply for a request without a user: its address, for IPv6 the customer's network (/64)."""
    client = scope.get("client")
    return _network(str(client[0])) if client else ""


@functools.lru_cache(maxsize=4096)
def _network(text: str) -> str:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return text
    if isinstance(address, ipaddress.IPv4Address):
        return text
    mapped = address.ipv4_mapped
    return str(mapped or ipaddress.ip_network((int(address), 64), strict=False))


def _path(scope: Scope) -> str:
    return str(scope["path"]).removeprefix(scope.get("root_path", ""))


def _is_open(scope: Scope) -> bool:
    path = _path(scope)
    return path in _OPEN_PATHS or path.startswith("/page/")


def _basic(authorization: str) -> tuple[str, str] | None:
    scheme, _, encoded = authorization.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        name, colon, password = base64.b64decode(encoded, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return None
    return (name, password) if colon else None


def _refused(error: TooManyFailuresError) -> Response:
    return JSONResponse({"error": str(error)}, status_code=429, headers={"Retry-After": str(error.seconds)})


def _unkept(send: Send) -> Send:
    """Forbid browsers to cache answers that do not allow it; otherwise "back" would show them again after a logout."""

    async def send_unkept(message: Message) -> None:
        if message["type"] == "http.response.start":
            MutableHeaders(scope=message).setdefault("Cache-Control", "no-store")
        await send(message)

    return send_unkept


_PAGE: Final = """<!DOCTYPE html>
<html lang="en">
  <head>
    <meta charset="utf-8">
    <meta name="viewport" content="width=device-width, initial-scale=1">
    <meta name="color-scheme" content="dark light">
    <title>Log in · Order flow</title>
    <link rel="icon" type="image/svg+xml" href="{files}/favicon.svg">
    <link rel="stylesheet" href="{files}/palette.css">
    <link rel="stylesheet" href="{files}/style.css">
    <script type="module" src="{files}/login.js"></script>
  </head>
  <body class="login">
    <main>
      <h1>Order flow</h1>
      <form method="post" action="{prefix}login">
        {problem}
        <label for="name">Name</label>
        <input id="name" name="name" value="{name}" autocomplete="username" autocapitalize="none" required{first}>
        <label for="password">Password</label>
        <input id="password" name="password" type="password" autocomplete="current-password" required{second}>
        <input type="hidden" name="view" value="{view}">
        <button type="submit">Log in</button>
      </form>
    </main>
  </body>
</html>
"""


def _page(files: str, prefix: str, view: str, name: str = "", problem: str = "") -> str:
    """Return the login page; after a failure with its reason, the name as it was given, and the password to type again."""
    wrong = ' autofocus aria-invalid="true" aria-describedby="problem"'
    return _PAGE.format(
        files=files,
        prefix=prefix,
        view=escape(view),
        name=escape(name),
        problem=f'<p id="problem" role="alert" class="banner error">{escape(problem)}</p>' if problem else "",
        first="" if problem else " autofocus",
        second=wrong if problem else "",
    )
