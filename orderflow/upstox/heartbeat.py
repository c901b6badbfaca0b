"""Decides when a heartbeat may be sent, and which feed time it carries, as a pure function of its arguments."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final, Protocol

_SNAPSHOT_PATIENCE_MS: Final = 3_000
_UNCONFIRMED_SECONDS: Final = 5.0
_FROZEN_MS: Final = 5_000
_HOLD_MS: Final = 10_000


class Backlog(Protocol):
    """State of the records that are being sent to Kafka."""

    def backlog_number(self) -> int:
        """Return the number of the last record taken."""
        ...

    def is_acknowledged(self, number: int) -> bool:
        """Return whether every record up to `number` is stored."""
        ...

    @property
    def is_spooling(self) -> bool:
        """Return whether records wait on disk."""
        ...

    def oldest_unacknowledged_seconds(self) -> float:
        """Return the age of the oldest unconfirmed record."""
        ...


@dataclass(slots=True)
class HeartbeatClock:
    """Decide when heartbeats may be sent, and advance the feed's clock between messages.

    They begin when a connection's first snapshot is stored: every instrument seen, or three seconds after the first.
    After a pause of the whole process (a suspended machine) they wait for ten seconds, so that messages waiting in the
    socket are published first; otherwise the heartbeat would make them late. Between messages the clock advances by the
    time between calls, of each at most five seconds, so neither such a pause nor a step of the wall clock moves it far.
    """

    backlog: Backlog
    unseen: set[str] = field(default_factory=set)
    snapshot_from_ms: int | None = None
    _open: bool = False
    _stored_from: int | None = None
    _beating: bool = False
    _message_ms: int | None = None
    _feed_time_ms: int | None = None
    _last_beat_ms: int = 0
    _asked_ms: int = 0
    _awake_ms: int = 0
    _hold_until_ms: int = 0

    def opened(self, keys: Iterable[str]) -> None:
        """Begin a connection that is to bring a snapshot of `keys`."""
        self._open, self._beating = True, False
        self.unseen = set(keys)
        self.snapshot_from_ms = self._stored_from = None

    def stop(self) -> None:
        """Stop until the next connection: this one is lost or mute."""
        self._open = self._beating = False

    def message(self, feed_time_ms: int, received_ms: int) -> None:
        """Note a message of any kind."""
        self._message_ms, self._feed_time_ms = received_ms, feed_time_ms
        self._awake_ms = 0

    @property
    def awaits_snapshot(self) -> bool:
        """Return whether the connection's first snapshot is not complete yet."""
        return self._open and not self._beating and self._stored_from is None

    def seen(self, keys: Iterable[str], received_ms: int) -> None:
        """Note the instruments of a message, once their ticks are handed over, while a snapshot is awaited."""
        self.unseen.difference_update(keys)
        if self.snapshot_from_ms is None:
            self.snapshot_from_ms = received_ms
        self._end_snapshot(received_ms)

    def due(self, now_ms: int) -> int | None:
        """Return the feed time for a heartbeat now; None when none may be sent. Call it once a second."""
        if 0 < self._asked_ms < now_ms - _FROZEN_MS:
            self._hold_until_ms = now_ms + _HOLD_MS
        self._awake_ms += min(max(0, now_ms - self._asked_ms), _FROZEN_MS)
        self._asked_ms = now_ms
        if self._message_ms is None or self._feed_time_ms is None or not self._may_beat(now_ms):
            return None
        clock_ms = self._feed_time_ms + min(max(0, now_ms - self._message_ms), self._awake_ms)
        self._last_beat_ms = max(self._last_beat_ms, clock_ms)
        return self._last_beat_ms

    def feed_now_ms(self, now_ms: int) -> int | None:
        """Return the feed's time now, by its last message; None before the first."""
        if self._message_ms is None or self._feed_time_ms is None:
            return None
        return self._feed_time_ms + now_ms - self._message_ms

    def _may_beat(self, now_ms: int) -> bool:
        if not self._open or self.backlog.is_spooling or now_ms < self._hold_until_ms:
            return False
        if self.backlog.oldest_unacknowledged_seconds() > _UNCONFIRMED_SECONDS:
            return False
        if self._beating:
            return True
        if self._stored_from is None and self.snapshot_from_ms is not None:
            self._end_snapshot(now_ms)
        self._beating = self._stored_from is not None and self.backlog.is_acknowledged(self._stored_from)
        return self._beating

    def _end_snapshot(self, at_ms: int) -> None:
        waited = self.snapshot_from_ms is not None and at_ms - self.snapshot_from_ms >= _SNAPSHOT_PATIENCE_MS
        if not self.unseen or waited:
            self._stored_from = self.backlog.backlog_number()
