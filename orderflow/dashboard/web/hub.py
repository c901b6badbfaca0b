"""Serves the viewers' WebSocket: one task each, at most one message per frame, never more than two unacknowledged.

Protocol (JSON text frames).
Viewer to server: {type: "view", …View}, {type: "ack", seq, latency_ms: […]}, {type: "ping", t},
{type: "replay", speed?, position_ms?, playing?}.
Server to viewer: {type: "hello", …}, {type: "figure" | "patch", seq, sent_ms, …}, {type: "pong", t, server_ms}.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections import Counter, deque
from collections.abc import Callable, Sequence
from datetime import date as calendar_date
from typing import Any, Final

from fastapi import WebSocket
from starlette.websockets import WebSocketDisconnect

from orderflow.dashboard.sources.archive import SUPERSEDED_SECONDS, Archive, Day, SupersededError, never
from orderflow.dashboard.sources.directory import Directory
from orderflow.dashboard.state.alerts import Fired
from orderflow.dashboard.state.store import Store
from orderflow.dashboard.views.footprint import DEFAULT, Imbalances
from orderflow.dashboard.views.viewer import MINUTES
from orderflow.dashboard.web.accounts import Accounts
from orderflow.dashboard.web.alert_desk import Webhook
from orderflow.dashboard.web.connection import Connection, owned_by
from orderflow.dashboard.web.sessions import Visitor
from orderflow.market.errors import OrderflowError
from orderflow.market.price_unit import decimals
from orderflow.market.timetable import CURRENCY

LATENCIES_KEPT: Final = 20_000


class Hub:
    """Connects viewers to the store; lives on one event loop."""

    def __init__(
        self,
        store: Store,
        directory: Directory,
        archive: Archive | None,
        buffer: int,
        marked: Imbalances = DEFAULT,
        webhook: Webhook | None = None,
        accounts: Accounts | None = None,
    ) -> None:
        self.store = store
        self.directory = directory
        self.archive = archive
        self.buffer = buffer
        self.marked = marked
        self.webhook = webhook
        self._accounts = accounts
        store.alerts.subscribe(self._fired)
        self.latencies: deque[float] = deque(maxlen=LATENCIES_KEPT)
        self.counts: Counter[str] = Counter()
        self._connections: set[Connection] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._woken = False
        self._archive_lock = threading.Lock()
        store.subscribe(self._changed)

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

    def default_instrument(self) -> str:
        """Return the instrument shown when none is asked for."""
        keys = self.directory.instruments or tuple(self.store.instruments)
        return keys[0] if keys else ""

    def listing(self) -> list[dict[str, str]]:
        """Return every known instrument with its symbol and name, configured ones first."""
        with self.store.lock:
            known = tuple(self.store.instruments)
        return self.directory.listing(known)

    def hello(self, visitor: Visitor | None = None) -> dict[str, Any]:
        """Return the first message of every conversation, with who has logged in."""
        listed = self.listing()
        known: dict[str, Any] = {"instruments": listed, "minutes": MINUTES, "imbalances": self.marked.words()}
        known["user"] = visitor and {"name": visitor.name, "role": visitor.role, "session": bool(visitor.cookie)}
        known["decimals"] = {segment: decimals(segment) for segment in CURRENCY}
        return {"type": "hello", **known, "server_ms": self.store.clock_ms()}

    def past_day(self, key: str, date: str, superseded: Callable[[], bool] = never) -> Day:
        """Return a past day, one reader at a time; blocks. Raises OrderflowError if it cannot be read or is no longer wanted."""
        if self.archive is None:
            raise OrderflowError("no archive is configured; set NAMENODE_URL and start HDFS")
        try:
            calendar_date.fromisoformat(date)
        except ValueError:
            raise OrderflowError(f"{date} is not a valid date") from None
        while not self._archive_lock.acquire(timeout=SUPERSEDED_SECONDS):
            if superseded():
                raise SupersededError(f"{date} is no longer wanted")
        try:
            return self.archive.day(key, date, superseded)
        finally:
            self._archive_lock.release()

    def stored_dates(self) -> list[str]:
        """Return the dates in the archive, oldest first; none without one. Blocks; raises OrderflowError."""
        return self.archive.dates() if self.archive is not None else []

    def past_candles(self, key: str, date: str) -> Store:
        """Return a past day's candles and footprint, one reader at a time; blocks. Raises OrderflowError."""
        if self.archive is None:
            raise OrderflowError("no archive is configured; set NAMENODE_URL and start HDFS")
        with self._archive_lock:
            return self.archive.candles(key, date)

    def note_latencies(self, latencies: Sequence[Any]) -> None:
        """Keep what a browser measured, in milliseconds; anything else is ignored."""
        self.latencies.extend(float(value) for value in latencies[:100] if isinstance(value, int | float) and 0 <= value < 1e6)

    async def serve(self, socket: WebSocket, visitor: Visitor | None = None) -> None:
        """Serve one viewer until it leaves; `visitor` is who has logged in."""
        await socket.accept()
        connection = Connection(self, socket, visitor)
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
        if self.webhook is not None and self._may_post(fired.viewer):
            self.webhook.fired(fired)
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):
                asyncio.run_coroutine_threadsafe(self._tell_fired(fired), self._loop)

    def _may_post(self, viewer: str) -> bool:
        """Return whether a viewer's alerts are posted: with logins, only those of users who are operators now."""
        if self._accounts is None:
            return True
        user = self._accounts.find(owned_by(viewer))
        return user is not None and user.role == "operator"

    async def _tell_fired(self, fired: Fired) -> None:
        for connection in [page for page in self._connections if page.viewer == fired.viewer]:
            with contextlib.suppress(WebSocketDisconnect, RuntimeError):
                await connection.tell_fired(fired)

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
        keys = self.store.take_changed()
        for connection in self._connections:
            if connection.looks_at(keys):
                connection.wake.set()
