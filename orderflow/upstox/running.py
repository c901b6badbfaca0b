"""A streamer that is past its start: its parts, and what they say together on /healthz, on /metrics and in the log."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from orderflow.health import Health
from orderflow.upstox.connections import FeedConnections
from orderflow.upstox.feed_health import Figures, feed_health
from orderflow.upstox.storage import TickPublisher
from orderflow.upstox.watch_list import WatchList
from orderflow.upstox.worker import Lane, Worker

log = logging.getLogger(__name__)

_REPORT_EVERY_SECONDS: Final = 60.0


@dataclass(slots=True)
class Running:
    """The parts of a streamer that is past its start. `lag_seconds` gives the age of the tick stored last when it was stored."""

    lanes: tuple[Lane, ...]
    publisher: TickPublisher
    worker: Worker
    connections: FeedConnections
    watch_list: WatchList
    lag_seconds: Callable[[], float]
    _reported_at: float = field(default_factory=time.monotonic)
    _reported: tuple[int, ...] = (0, 0, 0)

    def sum(self, figure: str) -> int:
        """Return a counter of `EngineFigures` over all connections."""
        return sum(getattr(lane.engine.figures, figure) for lane in self.lanes)

    def clock_behind_seconds(self) -> float:
        """Return by how much this machine's clock is behind the feed."""
        return max(lane.engine.clock.behind_ms for lane in self.lanes) / 1000

    def last_message_age_seconds(self) -> float:
        """Return the age of the last message; -1 before the first."""
        last = self.connections.status.last_message_at
        return -1.0 if last is None else time.monotonic() - last

    def health(self) -> Health:
        """Return the state, for /healthz."""
        figures = Figures(
            self.publisher.ticks_acknowledged,
            self.lag_seconds(),
            self.publisher.spool_bytes,
            self.publisher.oldest_unacknowledged_seconds(),
            self.publisher.spooling_seconds(),
            self.clock_behind_seconds(),
        )
        watch = self.watch_list
        return feed_health(
            self.connections.status, self.worker.report, figures, watch.current.skipped, watch.failure, time.monotonic()
        )

    def report(self) -> None:
        """Log a line with the rates since the one before, once a minute; call it several times a second."""
        now = time.monotonic()
        if now - self._reported_at < _REPORT_EVERY_SECONDS:
            return
        status = self.connections.status
        seen = (self.sum("messages"), self.sum("ticks"), self.sum("trades"))
        rates = [(new - old) / (now - self._reported_at) for new, old in zip(seen, self._reported, strict=True)]
        silent = "never" if status.last_message_at is None else f"{now - status.last_message_at:.1f} s ago"
        log.info(
            "%s: %.1f messages/s, %.1f ticks/s, %.1f trades/s; lag %.0f ms; last message %s; "
            "%d rejects, %d gaps, %d connections; spool %d bytes",
            status.state,
            *rates,
            self.lag_seconds() * 1000,
            silent,
            self.sum("rejects"),
            self.sum("gaps"),
            status.connections,
            self.publisher.spool_bytes,
        )
        self._reported_at, self._reported = now, seen


def figures(running: Callable[[], Running | None]) -> dict[str, tuple[str, bool, Callable[[], float]]]:
    """Return name -> (meaning, is a counter, reading) of the streamer's metrics; they read 0 while `running` gives None."""

    def read(of: Callable[[Running], float]) -> Callable[[], float]:
        return lambda: 0.0 if (run := running()) is None else float(of(run))

    return {
        "orderflow_feed_connected": (
            "1 while every connection is open",
            False,
            read(lambda run: run.connections.status.state == "connected"),
        ),
        "orderflow_feed_messages": ("Messages received", True, read(lambda run: run.connections.status.messages)),
        "orderflow_feed_connections": ("Connections opened", True, read(lambda run: run.connections.status.connections)),
        "orderflow_feed_attempts": ("Connections tried", True, read(lambda run: run.connections.status.attempts)),
        "orderflow_feed_refused_connections": (
            "Connections that the server refuses because of a limit or a missing right",
            False,
            read(lambda run: run.connections.refused),
        ),
        "orderflow_feed_unconnected_instruments": (
            "Instruments without an open connection",
            False,
            read(lambda run: run.connections.status.unconnected),
        ),
        "orderflow_feed_last_message_age_seconds": (
            "Age of the last message, -1 for none",
            False,
            read(Running.last_message_age_seconds),
        ),
        "orderflow_feed_dropped_messages": (
            "Messages dropped because the inbox was full",
            True,
            read(lambda run: sum(lane.inbox.dropped for lane in run.lanes)),
        ),
        "orderflow_feed_inbox_messages": (
            "Messages waiting for the worker",
            False,
            read(lambda run: sum(len(lane.inbox) for lane in run.lanes)),
        ),
        "orderflow_ticks": ("Ticks inferred", True, read(lambda run: run.sum("ticks"))),
        "orderflow_ticks_stored": ("Ticks acknowledged by Kafka", True, read(lambda run: run.publisher.ticks_acknowledged)),
        "orderflow_rejects": ("Messages or fields rejected", True, read(lambda run: run.sum("rejects"))),
        "orderflow_gaps": ("Trades that span an outage", True, read(lambda run: run.sum("gaps"))),
        "orderflow_duplicates": ("Updates that repeat the one before", True, read(lambda run: run.sum("duplicates"))),
        "orderflow_out_of_order": (
            "Updates whose vtt went backwards",
            True,
            read(lambda run: run.sum("out_of_order")),
        ),
        "orderflow_feed_clock_behind_seconds": (
            "Seconds by which this machine's clock is behind the feed",
            False,
            read(Running.clock_behind_seconds),
        ),
        "orderflow_heartbeats": ("Heartbeats sent", True, read(lambda run: run.sum("heartbeats"))),
        "orderflow_spool_bytes": ("Size of the spool on disk", False, read(lambda run: run.publisher.spool_bytes)),
    }
