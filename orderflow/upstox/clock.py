"""Clocks that tolerate a wall clock that is wrong or is stepped, and a measure of how far it is behind the feed."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

MOST_BEHIND_MS: Final = 270_000
"""A clock further behind the feed is not corrected: Kafka and Spark refuse times five minutes ahead of their own clocks."""

_TOLERATED_MS: Final = 10_000


def _elapsed_ns() -> int:
    """Return nanoseconds of a clock that also runs while the machine is suspended, if the system has one."""
    boot_time: int | None = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic_ns() if boot_time is None else time.clock_gettime_ns(boot_time)


class SteadyClock:
    """Epoch milliseconds that never go back: the wall clock's, unless it steps back. Safe from any thread.

    A step forward is followed, because that is how a slow clock is corrected; after a step back, time continues
    monotonically.
    """

    def __init__(self, wall_ns: Callable[[], int] = time.time_ns, elapsed_ns: Callable[[], int] = _elapsed_ns) -> None:
        self._wall_ns, self._elapsed_ns = wall_ns, elapsed_ns
        self._ahead_ns = wall_ns() - elapsed_ns()

    def now_ms(self) -> int:
        """Return the time now."""
        elapsed_ns = self._elapsed_ns()
        self._ahead_ns = max(self._ahead_ns, self._wall_ns() - elapsed_ns)
        return (elapsed_ns + self._ahead_ns) // 1_000_000


SYSTEM: Final = SteadyClock()
"""The process's clock."""


class FeedClock:
    """Corrects for a machine's clock that is behind the feed's by up to four and a half minutes.

    The feed's time is trusted when a market status states it (a status dates no tick), or when two messages in a row agree: a
    single wrong time would end every candle. `behind_ms` is the lag of the machine's clock, as far as it is known.
    """

    def __init__(self) -> None:
        self.behind_ms = 0
        self._offset_ms = 0
        self._candidate_ms: int | None = None

    @property
    def offset_ms(self) -> int:
        """Return what is added to the machine's clock."""
        return self._offset_ms

    def corrected(self, at_ms: int) -> int:
        """Convert a time of the machine's clock to the feed's clock."""
        return at_ms + self._offset_ms

    def believes(self, feed_time_ms: int, received_ms: int, *, is_status: bool) -> bool:
        """Record a feed time that is too far ahead; return whether the machine's clock now counts as behind by that much."""
        ahead_ms = self.behind_ms = feed_time_ms - received_ms
        agrees = self._candidate_ms is not None and abs(self._candidate_ms - ahead_ms) <= _TOLERATED_MS
        self._candidate_ms = ahead_ms
        if ahead_ms > MOST_BEHIND_MS or not (agrees or is_status):
            return False
        self._offset_ms = ahead_ms
        return True

    def accept(self, feed_time_ms: int, received_ms: int) -> None:
        """Record a trusted feed time: the correction ends once the machine's clock has been set."""
        self._candidate_ms = None
        if not self.behind_ms:
            return
        ahead_ms = feed_time_ms - received_ms
        if ahead_ms < self._offset_ms - _TOLERATED_MS:
            self._offset_ms = max(0, ahead_ms)
        if self._offset_ms <= _TOLERATED_MS:
            self._offset_ms = self.behind_ms = 0
