"""Serve the viewers' WebSocket: one task each, at most 20 messages a second, never more than two unacknowledged.

Protocol (JSON text frames). Viewer to server: {type: "view", …View}, {type: "ack", seq, latency_ms: […]}, {type: "ping", t}.
Server to viewer: {type: "hello", …}, {type: "figure" | "patch", seq, sent_ms, …}, {type: "pong", t, server_ms}.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import orjson
from fastapi import WebSocket
from starlette.websockets import WebSocketDisconnect

from orderflow.dashboard import panels
from orderflow.dashboard.past import History
from orderflow.dashboard.session import MINUTES, View, Viewer
from orderflow.dashboard.store import Store

LEAST_INTERVAL_SECONDS: Final = 0.05
IDLE_SECONDS: Final = 1.0
IN_FLIGHT: Final = 2
ACK_PATIENCE_SECONDS: Final = 10.0
LATENCIES_KEPT: Final = 20_000
LARGEST_MESSAGE: Final = 65_536

log = logging.getLogger(__name__)


class Hub:
    """Connects viewers to the store; lives on one event loop."""

    def __init__(
        self,
        store: Store,
        instruments: Sequence[str],
        names: panels.Names,
        history: History | None,
        buffer: int,
        next_open_ms: Callable[[str, int], int | None],
    ) -> None:
        self.store = store
        self.names = names
        self.history = history
        self.buffer = buffer
        self.next_open_ms = next_open_ms
        self.latencies: deque[float] = deque(maxlen=LATENCIES_KEPT)
        self.counts: Counter[str] = Counter()
        self._instruments = tuple(instruments)
        self._clients: set[Client] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._woken = False
        store.subscribe(self._changed)

    @property
    def viewers(self) -> int:
        """Return how many viewers are connected."""
        return len(self._clients)

    def attach(self, loop: asyncio.AbstractEventLoop) -> None:
        """Wake viewers on `loop` from now on."""
        self._loop = loop

    def detach(self) -> None:
        """Stop waking viewers."""
        self._loop = None

    def default_instrument(self) -> str:
        """Return the instrument shown when none is asked for."""
        keys = self._instruments or tuple(self.store.instruments)
        return keys[0] if keys else ""

    def directory(self) -> list[dict[str, str]]:
        """Return every known instrument with its symbol and name, configured ones first."""
        keys = dict.fromkeys((*self._instruments, *sorted(self.store.instruments)))
        return [dict(zip(("key", "symbol", "name"), (key, *panels.symbol_of(key, self.names)), strict=True)) for key in keys]

    def hello(self) -> dict[str, Any]:
        """Return the first message of every conversation."""
        directory = self.directory()
        return {"type": "hello", "instruments": directory, "minutes": MINUTES, "server_ms": self.store.clock_ms()}

    async def serve(self, socket: WebSocket) -> None:
        """Serve one viewer until it leaves."""
        await socket.accept()
        client = Client(self, socket)
        self._clients.add(client)
        sender = asyncio.create_task(client.send_changes())
        try:
            await client.receive()
        except WebSocketDisconnect:
            pass
        finally:
            self._clients.discard(client)
            sender.cancel()
            await asyncio.gather(sender, return_exceptions=True)

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
        for client in self._clients:
            client.wake.set()


class Client:
    """One connected viewer."""

    def __init__(self, hub: Hub, socket: WebSocket) -> None:
        self._hub = hub
        self._socket = socket
        self.wake = asyncio.Event()
        self._viewer: Viewer | None = None
        self._sent = 0
        self._acknowledged = 0

    async def receive(self) -> None:
        """Read what the viewer asks for until it disconnects."""
        while True:
            text = await self._socket.receive_text()
            if len(text) > LARGEST_MESSAGE:
                await self._socket.close(code=1009)
                return
            try:
                message = orjson.loads(text)
            except orjson.JSONDecodeError:
                continue
            if isinstance(message, dict):
                await self._handle(message)

    async def _handle(self, message: Mapping[str, Any]) -> None:
        kind = message.get("type")
        hub = self._hub
        if kind == "ping":
            await self._send({"type": "pong", "t": message.get("t"), "server_ms": hub.store.clock_ms()})
        elif kind == "ack":
            seq = message.get("seq")
            if isinstance(seq, int):
                self._acknowledged = max(self._acknowledged, min(seq, self._sent))
            latencies = message.get("latency_ms")
            if isinstance(latencies, list):
                hub.latencies.extend(float(one) for one in latencies[:100] if isinstance(one, int | float) and 0 <= one < 1e6)
            self.wake.set()
        elif kind == "view":
            view = View.parse(message, hub.default_instrument(), hub.buffer)
            if self._viewer is None:
                await self._send(hub.hello())
                self._viewer = Viewer(hub.store, hub.names, view, hub.next_open_ms)
            else:
                self._viewer.look_at(view)
            self._acknowledged = self._sent
            self.wake.set()

    async def send_changes(self) -> None:
        """Send the viewer's next message whenever there is one and the viewer has drawn the last but one."""
        loop = asyncio.get_running_loop()
        last = 0.0
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.wake.wait(), IDLE_SECONDS)
            wait = last + LEAST_INTERVAL_SECONDS - loop.time()
            if wait > 0:
                await asyncio.sleep(wait)
            self.wake.clear()
            if self._viewer is None:
                continue
            if self._sent - self._acknowledged >= IN_FLIGHT and loop.time() - last < ACK_PATIENCE_SECONDS:
                self._hub.counts["held_back"] += 1
                continue
            store = self._hub.store
            with store.lock:
                now_ms = store.clock_ms()
                message = self._viewer.message(now_ms)
            if message is None:
                continue
            self._sent += 1
            last = loop.time()
            await self._send({"type": "patch", **message, "seq": self._sent, "sent_ms": now_ms})
            self._hub.counts["messages"] += 1

    async def _send(self, message: Mapping[str, Any]) -> None:
        await self._socket.send_text(orjson.dumps(message).decode())
