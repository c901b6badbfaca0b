"""Limits for each visitor of the dashboard: requests, sockets, messages and their sizes.

A visitor is a user where there are logins, else an address. HTTP is answered with 429 and Retry-After, a socket is closed with
1013 (try again later).
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Final

from starlette.middleware.body_limit import RequestBodyLimitMiddleware
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from orderflow.dashboard.web.closing import ClosableSocket
from orderflow.dashboard.web.login import address_of, visitor_of
from orderflow.dashboard.web.window import Window

TRY_AGAIN_LATER: Final = 1013
LARGEST_MESSAGE: Final = 65_536
"""Bytes of a request's body, and of a socket's message; the server closes a socket with 1009 beyond it."""
MESSAGE_WINDOW_SECONDS: Final = 10


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits; 0 for no limit. Messages are counted over ten seconds, so that a short burst is allowed."""

    requests_per_minute: int = 3000
    sockets: int = 500
    sockets_per_user: int = 50
    messages_per_second: int = 200


class Limited:
    """Enforces the limits; lives on one event loop."""

    def __init__(self, app: ASGIApp, limits: Limits) -> None:
        self._app = app
        self._bounded = RequestBodyLimitMiddleware(app, LARGEST_MESSAGE)
        self._limits = limits
        self._requests = Window(limits.requests_per_minute, 60)
        self._sockets: Counter[str] = Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request or socket."""
        if scope["type"] == "http":
            await self._answer(scope, receive, send)
        elif scope["type"] == "websocket":
            await self._serve_socket(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        who = _who(scope)
        if self._requests.hit(who):
            await self._bounded(scope, receive, send)
            return
        words = f"more than {self._requests.most} requests a minute (DASHBOARD_REQUESTS_PER_MINUTE)"
        headers = {"Retry-After": str(self._requests.wait_seconds(who))}
        await JSONResponse({"error": words}, status_code=429, headers=headers)(scope, receive, send)

    async def _serve_socket(self, scope: Scope, receive: Receive, send: Send) -> None:
        who, socket = _who(scope), ClosableSocket(send)
        if refusal := self._refusal(who):
            await receive()
            await socket.refuse(TRY_AGAIN_LATER, refusal)
            return
        self._sockets[who] += 1
        messages = Window(self._limits.messages_per_second * MESSAGE_WINDOW_SECONDS, MESSAGE_WINDOW_SECONDS)

        async def receive_within_the_rate() -> Message:
            message = await receive()
            if message["type"] == "websocket.receive" and not messages.hit(who):
                await socket.close(TRY_AGAIN_LATER, "too many messages (DASHBOARD_MESSAGES_PER_SECOND)")
            return message

        try:
            await self._app(scope, receive_within_the_rate, socket.send)
        finally:
            self._sockets[who] -= 1
            if not self._sockets[who]:
                del self._sockets[who]

    def _refusal(self, who: str) -> str:
        if self._limits.sockets and self._sockets.total() >= self._limits.sockets:
            return "too many connections (DASHBOARD_SOCKETS)"
        if self._limits.sockets_per_user and self._sockets[who] >= self._limits.sockets_per_user:
            return "too many connections of one user (DASHBOARD_SOCKETS_PER_USER)"
        return ""


def _who(scope: Scope) -> str:
    visitor = visitor_of(scope)
    return f"user {visitor.name}" if visitor is not None else address_of(scope)
