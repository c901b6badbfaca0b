"""A WebSocket that a middleware may close while the application serves it."""

from __future__ import annotations

from typing import NoReturn

from starlette.types import Message, Send
from starlette.websockets import WebSocketDisconnect


class ClosableSocket:
    """The sending end of a socket: once it is closed, sending raises the same error as for a viewer that has left."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._code: int | None = None

    async def send(self, message: Message) -> None:
        """Send a message. Raises WebSocketDisconnect once the socket is closed."""
        if self._code is not None:
            raise WebSocketDisconnect(self._code)
        await self._send(message)

    async def close(self, code: int, reason: str) -> NoReturn:
        """Close the socket and end whoever serves it, by raising WebSocketDisconnect."""
        if self._code is None:
            self._code = code
            await self._send({"type": "websocket.close", "code": code, "reason": reason})
        raise WebSocketDisconnect(code)

    async def refuse(self, code: int, reason: str) -> None:
        """Close a socket before it is served; it is opened first, because otherwise the browser gets no reason."""
        await self._send({"type": "websocket.accept"})
        await self._send({"type": "websocket.close", "code": code, "reason": reason})
