"""One connected viewer: its requests, its source (the running day, a past day or a replay), and the messages sent to it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Final, Protocol

import msgspec
import orjson
from fastapi import WebSocket

from orderflow.dashboard.sources.past_day import Day, Replay, empty_store, failed_store
from orderflow.dashboard.state import messages
from orderflow.dashboard.state.store import Store
from orderflow.dashboard.views.viewer import View, Viewer
from orderflow.dashboard.web.page_alerts import PageAlerts
from orderflow.market.errors import OrderflowError

FRAME_SECONDS: Final = 0.016
CALM_SECONDS: Final = 0.1
IN_FLIGHT: Final = 2
ACK_PATIENCE_SECONDS: Final = 10.0
REPLAY_STEP_SECONDS: Final = 0.05
REPLAY_STATE_EVERY: Final = 5
BEAT_SECONDS: Final = 1.0
FAILURES_LOGGED: Final = 5

log = logging.getLogger(__name__)


class Days(Protocol):
    """What a connection needs of the days: `views.days.Days`."""

    @property
    def store(self) -> Store:
        """Return the running day."""

    @property
    def buffer(self) -> int:
        """Return how many candles a view has by default."""

    def default_instrument(self) -> str:
        """Return the instrument shown when none is asked for."""

    def hello(self, user: Mapping[str, Any] | None) -> dict[str, Any]:
        """Return the first message of every conversation, with the user that has logged in."""

    def new_viewer(self) -> Viewer:
        """Return the memory of a viewer that has been sent nothing yet."""

    def past_day(self, key: str, date: str, superseded: Callable[[], bool]) -> Day:
        """Return a past day; blocks. Raises OrderflowError when it cannot be read, or is no longer wanted."""


class Host(Protocol):
    """What a connection needs of the hub that serves it."""

    counts: Counter[str]

    async def alerts_changed(self, by: Connection) -> None:
        """Tell the other pages of a viewer its rules."""

    def note_latencies(self, latencies: Sequence[float]) -> None:
        """Record the latencies that a browser measured, in milliseconds."""


class Connection:
    """Serves one socket; lives on the hub's event loop. `user` is what the page is told of who has logged in."""

    def __init__(
        self, hub: Host, days: Days, socket: WebSocket, alerts: PageAlerts, user: Mapping[str, Any] | None = None
    ) -> None:
        self._hub = hub
        self._days = days
        self._socket = socket
        self._alerts = alerts
        self._user = user
        self.wake = asyncio.Event()
        self._viewer: Viewer | None = None
        self._sent = 0
        self._acknowledged = 0
        self._replay: Replay | None = None
        self._task: asyncio.Task[None] | None = None
        self._extra: dict[str, Any] = {}
        self._left = False
        self._request: int | None = None
        self._superseded = threading.Event()
        # Held while the viewer's next message is computed, on a thread or here: another view waits for it.
        self._viewing = asyncio.Lock()
        self._spoke = 0.0
        self._failures = 0

    def looks_at(self, keys: Collection[str]) -> bool:
        """Return whether one of these instruments is the one in view, or none is yet."""
        return self._viewer is None or self._viewer.view.instrument in keys

    @property
    def viewer(self) -> str | None:
        """Return by whose name the page's alerts are kept; None until it says so."""
        return self._alerts.viewer

    async def receive(self) -> None:
        """Handle the viewer's messages until it disconnects; one that cannot be read is counted, and the first few logged."""
        while True:
            text = await self._socket.receive_text()
            try:
                message = messages.read(text)
            except msgspec.DecodeError as error:
                self._note_failure("refused_messages", "a viewer's message was refused: %r", str(error))
            else:
                await self._handle(message)

    async def close(self) -> None:
        """Stop what runs for this viewer."""
        self._left = True
        await self._stop_source()

    async def _handle(self, message: messages.ViewerMessage) -> None:
        match message:
            case messages.Ping(t=sent):
                await self._send({"type": "pong", "t": sent, "server_ms": self._days.store.clock_ms()})
            case messages.Ack():
                self._acknowledge(message)
            case messages.ViewRequest():
                await self._look_at(message)
            case messages.ReplayControl():
                if self._replay is not None:
                    await self._control(self._replay, message)
            case messages.AlertChange():
                await self._change_alerts(message)
            case messages.PageError(text=text):
                self._note_failure("page_errors", "a viewer's page failed: %r", text[:500])

    def _acknowledge(self, message: messages.Ack) -> None:
        self._acknowledged = max(self._acknowledged, min(message.seq, self._sent))
        self._hub.note_latencies(message.latency_ms)
        self.wake.set()

    async def _change_alerts(self, message: messages.AlertChange) -> None:
        """Take what a viewer adds and removes; every page of the viewer receives its rules."""
        if not self._alerts.claim(message.viewer):
            return
        problem, changed = None, False
        try:
            changed = self._alerts.change(message)
        except OrderflowError as error:
            problem = str(error)
        await self.tell_alerts(problem)
        if changed:
            await self._hub.alerts_changed(self)

    async def tell_alerts(self, problem: str | None = None) -> None:
        """Send this viewer its rules and what fired."""
        state = self._alerts.state(problem)
        if state is not None:
            await self._send(state)

    async def tell_fired(self, alert: Mapping[str, Any]) -> None:
        """Send what fired."""
        await self._send({"type": "fired", "alert": alert})

    def _note_failure(self, kind: str, words: str, detail: str) -> None:
        """Count what went wrong at the viewer's end; the first few of a connection are logged."""
        self._hub.counts[kind] += 1
        self._failures += 1
        if self._failures <= FAILURES_LOGGED:
            log.warning(words, detail)

    async def _look_at(self, message: messages.ViewRequest) -> None:
        days = self._days
        request = message.request
        view = View.parse(msgspec.structs.asdict(message), days.default_instrument(), days.buffer)
        viewer = self._viewer
        if viewer is None:
            await self._send(days.hello(self._user))
            viewer = days.new_viewer()
        elif self._replay is not None and view.replay and (view.instrument, view.date) == self._replay.shown:
            await self._show(viewer, view, self._replay.store, request, self._replay.state())
            return
        await self._stop_source()
        live = days.store.instrument(view.instrument)
        if view.date is None or (live is not None and live.date == view.date and not view.replay):
            await self._show(viewer, view, days.store, request, None)
        else:
            await self._show(viewer, view, empty_store(days.store.clock_ms), request, None)
            self._task = asyncio.create_task(self._show_past(viewer, view, view.date))

    async def _show(
        self, viewer: Viewer, view: View, store: Store, request: int | None, replay: Mapping[str, Any] | None
    ) -> None:
        async with self._viewing:
            viewer.look_at(view, store)
            self._viewer, self._request = viewer, request
        self._acknowledged = self._sent
        self._extra = {"replay": replay}
        self.wake.set()

    async def _show_past(self, viewer: Viewer, view: View, date: str) -> None:
        clock_ms = self._days.store.clock_ms
        superseded = self._superseded = threading.Event()
        replay: Replay | None = None
        try:
            day = await asyncio.to_thread(self._days.past_day, view.instrument, date, superseded.is_set)
            if view.replay:
                replay = self._replay = await asyncio.to_thread(Replay, day, clock_ms)
            store = replay.store if replay is not None else day.store
        except OrderflowError as error:
            store = failed_store(clock_ms, error)
        except Exception as error:
            log.exception("a past day could not be shown: %s of %s", view.instrument, date)
            store = failed_store(clock_ms, OrderflowError(f"what is stored cannot be shown ({error}); see the dashboard's log"))
        async with self._viewing:
            viewer.look_at(view, store)
        self.wake.set()
        if replay is not None:
            await self._play(replay)

    async def _play(self, replay: Replay) -> None:
        loop = asyncio.get_running_loop()
        before, turn = loop.time(), 0
        while True:
            if turn % REPLAY_STATE_EVERY == 0:
                self._extra = {"replay": replay.state()}
                self.wake.set()
            await asyncio.sleep(REPLAY_STEP_SECONDS)
            now = loop.time()
            if await asyncio.to_thread(replay.advance, (now - before) * 1000):
                self.wake.set()
            before, turn = now, turn + 1

    async def _control(self, replay: Replay, message: messages.ReplayControl) -> None:
        await asyncio.to_thread(replay.control, speed=message.speed, position_ms=message.position_ms, playing=message.playing)
        self._extra = {"replay": replay.state()}
        self.wake.set()

    async def _stop_source(self) -> None:
        task, self._task, self._replay = self._task, None, None
        self._superseded.set()
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def send_changes(self) -> None:
        """Send the viewer's next message whenever there is one and the viewer has drawn the last but one.

        What changes the viewed instrument goes out a frame after the last message at the earliest (FRAME_SECONDS), everything
        else with it or after CALM_SECONDS.
        """
        loop = asyncio.get_running_loop()
        last = 0.0
        while not self._left:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(CALM_SECONDS):
                    await self.wake.wait()
            self.wake.clear()
            if loop.time() - self._spoke > BEAT_SECONDS:
                await self._send({"type": "beat", "server_ms": self._days.store.clock_ms()})
            viewer = self._viewer
            if viewer is None:
                continue
            if self._sent - self._acknowledged >= IN_FLIGHT and loop.time() - last < ACK_PATIENCE_SECONDS:
                self._hub.counts["held_back"] += 1
                continue
            due = last + (FRAME_SECONDS if viewer.has_news() or self._extra else CALM_SECONDS) - loop.time()
            if due > 0:
                await asyncio.sleep(min(due, FRAME_SECONDS))
                self.wake.set()
            elif await self._send_next(viewer):
                last = loop.time()

    async def _send_next(self, viewer: Viewer) -> bool:
        now_ms = self._days.store.clock_ms()
        async with self._viewing:
            # Computing a whole figure, or one of a day that a thread may be changing, here would delay the other
            # viewers.
            heavy = viewer.unseen or viewer.store is not self._days.store
            message = await asyncio.to_thread(viewer.message, now_ms) if heavy else viewer.message(now_ms)
            request = self._request
        if message is None and not self._extra:
            return False
        extra, self._extra = self._extra, {}
        self._sent += 1
        self._hub.counts["messages"] += 1
        head = {"seq": self._sent, "sent_ms": now_ms, "request": request}
        await self._send({"type": "patch", **(message or {}), **extra, **head})
        return True

    async def _send(self, message: Mapping[str, Any]) -> None:
        self._spoke = asyncio.get_running_loop().time()
        await self._socket.send_text(orjson.dumps(message).decode())
