"""Passes messages from the socket threads to the one thread that decodes, infers and publishes."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from orderflow.upstox.clock import SYSTEM
from orderflow.upstox.decode import Decoded
from orderflow.upstox.engine import FeedEngine
from orderflow.upstox.pace import InstrumentHealth
from orderflow.upstox.storage import Publisher

log = logging.getLogger(__name__)

Call = Callable[[FeedEngine], None]

_BEAT_MS: Final = 1_000
_EXAMINE_MS: Final = 5_000
_IDLE_SECONDS: Final = 0.005
_BURST: Final = 200


class Inbox:
    """A bounded queue whose `put` never blocks; messages that do not fit are dropped, counted and reported to the engine.

    A dropped message costs detail, not volume: the next difference of vtt spans it. One thread puts messages, one takes.
    """

    def __init__(self, most_messages: int = 50_000, most_bytes: int = 96 << 20) -> None:
        self._queue: queue.SimpleQueue[tuple[bytes | str, int] | Call] = queue.SimpleQueue()
        self._most_messages, self._most_bytes = most_messages, most_bytes
        self._put_bytes = self._taken_bytes = 0
        self._was_full = False
        self.dropped = 0

    def put(self, payload: bytes | str, received_ms: int) -> None:
        """Add a message, or drop it when the worker is too far behind."""
        size = len(payload)
        if self._queue.qsize() >= self._most_messages or self._put_bytes - self._taken_bytes + size > self._most_bytes:
            self.dropped += 1
            self._was_full = True
            return
        if self._was_full:
            self._was_full = False
            self.call(lambda engine: engine.overrun("messages came faster than they could be handled"))
        self._put_bytes += size
        self._queue.put((payload, received_ms))

    def call(self, action: Call) -> None:
        """Queue `action` for the worker; never dropped."""
        self._queue.put(action)

    def take(self, timeout_seconds: float) -> tuple[bytes | str, int] | Call | None:
        """Return the next item, or None after the time-out."""
        try:
            item = self._queue.get(timeout=timeout_seconds) if timeout_seconds else self._queue.get_nowait()
        except queue.Empty:
            return None
        if isinstance(item, tuple):
            self._taken_bytes += len(item[0])
        return item

    def __len__(self) -> int:
        return self._queue.qsize()


class Recorder(Protocol):
    """Keeps raw messages."""

    def write(self, payload: bytes, at_ms: int) -> None:
        """Keep one message."""
        ...

    def close(self) -> None:
        """Finish the file."""
        ...


@dataclass(frozen=True, slots=True)
class FeedReport:
    """The feed's condition, for other threads: whether the market is open, why no message is usable, each instrument's health."""

    continuous: bool = False
    trouble: str | None = None
    instruments: Mapping[str, InstrumentHealth] = field(default_factory=dict)


@dataclass(slots=True)
class Lane:
    """One connection's inbox and the engine that handles it. `report` is renewed every second, its `instruments` every five."""

    engine: FeedEngine
    inbox: Inbox = field(default_factory=Inbox)
    report: FeedReport = field(default_factory=FeedReport)

    def is_continuous(self) -> bool:
        """Return whether any of the connection's instruments should be trading."""
        return self.report.continuous

    def live_messages(self) -> int:
        """Return the number of live messages handled."""
        return self.engine.figures.live_messages


class Worker:
    """Runs the engines of all connections on one thread; only this thread touches them or the publisher.

    Another thread may read `report` at any time. `on_beat` is called every second as long as the thread works.
    """

    def __init__(
        self,
        lanes: Sequence[Lane],
        publisher: Publisher,
        recorder: Recorder | None = None,
        *,
        now_ms: Callable[[], int] = SYSTEM.now_ms,
        on_beat: Callable[[], None] = lambda: None,
    ) -> None:
        self._lanes, self._publisher, self._recorder = lanes, publisher, recorder
        self._now_ms, self._on_beat = now_ms, on_beat
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="feed-worker", daemon=True)
        self._close_seconds = 10.0
        self.error: BaseException | None = None
        self._examined_ms = 0

    @property
    def report(self) -> FeedReport:
        """Return what is known of the feed, over all connections."""
        reports = [lane.report for lane in self._lanes]
        return FeedReport(
            any(report.continuous for report in reports),
            next((report.trouble for report in reports if report.trouble), None),
            {key: health for report in reports for key, health in report.instruments.items()},
        )

    def start(self) -> None:
        """Begin to work."""
        self._thread.start()

    def stop(self, timeout_seconds: float = 10.0) -> None:
        """Handle what is in the inbox, wait for Kafka up to `timeout_seconds`, and end."""
        self._close_seconds = timeout_seconds
        self._stop.set()
        self._thread.join(timeout_seconds + 15.0)

    def _run(self) -> None:
        try:
            self._work()
            for lane in self._lanes:
                lane.engine.close(self._now_ms(), "asked to stop")
            self._publisher.close(self._close_seconds)
        except BaseException as error:  # noqa: BLE001 carried to the main thread, which ends the process with it
            self.error = error
        finally:
            if self._recorder is not None:
                self._recorder.close()

    def _work(self) -> None:
        next_beat_ms = self._now_ms()
        while True:
            waiting = [self._empty(lane) for lane in self._lanes]
            if not any(waiting) and self._stop.is_set():
                return
            self._publisher.poll()
            now_ms = self._now_ms()
            if now_ms >= next_beat_ms:
                next_beat_ms = max(next_beat_ms + _BEAT_MS, now_ms + _BEAT_MS // 2)
                for lane in self._lanes:
                    lane.engine.beat(now_ms)
                self._on_beat()
                self._examine(now_ms)

    def _empty(self, lane: Lane) -> bool:
        """Handle the messages in a lane, waiting briefly for one, up to a limit; return whether more are waiting."""
        item = lane.inbox.take(_IDLE_SECONDS / len(self._lanes))
        for _ in range(_BURST):
            if item is None:
                return False
            self._handle(lane.engine, item)
            item = lane.inbox.take(0)
        if item is not None:
            self._handle(lane.engine, item)
        return item is not None

    def _examine(self, now_ms: int) -> None:
        due = now_ms - self._examined_ms >= _EXAMINE_MS
        if due:
            self._examined_ms = now_ms
        for lane in self._lanes:
            engine = lane.engine
            instruments = engine.examine(now_ms) if due else lane.report.instruments
            lane.report = FeedReport(engine.is_in_continuous_trading(now_ms), engine.trouble(now_ms), instruments)

    def _handle(self, engine: FeedEngine, item: tuple[bytes | str, int] | Call) -> None:
        if not isinstance(item, tuple):
            item(engine)
            return
        payload, received_ms = item
        decoded: Decoded | None = engine.message(payload, received_ms)
        if decoded is not None and self._recorder is not None and isinstance(payload, bytes):
            self._recorder.write(payload, decoded.feed_time_ms)
