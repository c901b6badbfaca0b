"""Serves the viewers' WebSocket: one task each, at most one message per frame, never more than two unacknowledged.

The messages of both sides are typed in `state/messages.py`.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter, deque
from collections.abc import Sequence
from typing import Final

from fastapi import WebSocket
from starlette.websockets import WebSocketDisconnect

from orderflow.dashboard.state.alerts import Fired
from orderflow.dashboard.views.days import Days
from orderflow.dashboard.web.connection import Connection
from orderflow.dashboard.web.page_alerts import PageAlerts
from orderflow.dashboard.web.sessions import Visitor, user_of

LATENCIES_KEPT: Final = 20_000


class Hub:
    """Connects viewers to the days that they look at; lives on one event loop. `posts` says that alerts may go to a webhook."""

    def __init__(self, days: Days, *, posts: bool = False) -> None:
        self.days = days
        self.posts = posts
        days.store.alerts.subscribe(self._fired)
        self.latencies: deque[float] = deque(maxlen=LATENCIES_KEPT)
        self.counts: Counter[str] = Counter()
        self._connections: set[Connection] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._woken = False
        days.store.subscribe(self._changed)

    @property
    def viewers(self) -> int:
        """Return how many viewers are connected."""
        return len(self._connections)

    def attach(self, loop: asyncio.AbstractEventLoop) -> None:
        """Wake viewers on `loop` from now on."""
        self._loop = loop

    def detach(self) -> None:
        """Stop waking viewers."""
        self._loop = None

    def note_latencies(self, latencies: Sequence[float]) -> None:
        """Keep what a browser measured, in milliseconds; impossible values are ignored."""
        self.latencies.extend(value for value in latencies[:100] if 0 <= value < 1e6)

    async def serve(self, socket: WebSocket, visitor: Visitor | None = None) -> None:
        """Serve one viewer until it leaves; `visitor` is who has logged in."""
        await socket.accept()
        alerts = PageAlerts(self.days.store, visitor, posts=self.posts)
        connection = Connection(self, self.days, socket, alerts, user_of(visitor))
        self._connections.add(connection)
        sender = asyncio.create_task(connection.send_changes())
        receiver = asyncio.create_task(connection.receive())
        try:
            done, _ = await asyncio.wait({sender, receiver}, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                with contextlib.suppress(WebSocketDisconnect):
                    task.result()
        finally:
            self._connections.discard(connection)
            await connection.close()
            sender.cancel()
            receiver.cancel()
            await asyncio.gather(sender, receiver, return_exceptions=True)

    async def alerts_changed(self, by: Connection) -> None:
        """Tell the other pages of a viewer its rules."""
        for other in [connection for connection in self._connections if connection is not by and connection.viewer == by.viewer]:
            with contextlib.suppress(WebSocketDisconnect, RuntimeError):
                await other.tell_alerts()

    def _fired(self, fired: Fired) -> None:
        """Take what fired, on the feed's thread."""
        self.counts["alerts"] += 1
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):
                asyncio.run_coroutine_threadsafe(self._tell_fired(fired), self._loop)

    async def _tell_fired(self, fired: Fired) -> None:
        for connection in [page for page in self._connections if page.viewer == fired.viewer]:
            with contextlib.suppress(WebSocketDisconnect, RuntimeError):
                await connection.tell_fired(fired.to_page())

    def _changed(self) -> None:
        loop = self._loop
        if loop is not None and not self._woken:
            self._woken = True
            try:
                loop.call_soon_threadsafe(self._wake)
            except RuntimeError:
                self._woken = False

    def _wake(self) -> None:
        self._woken = False
        keys = self.days.store.take_changed()
        for connection in self._connections:
            if connection.looks_at(keys):
                connection.wake.set()
