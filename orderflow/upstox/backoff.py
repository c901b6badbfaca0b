"""Exponential back-off with jitter and a cap; a server that asks for a longer delay gets it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

CAP_SECONDS: Final = 30.0
STEADY_SECONDS: Final = 30.0
"""After a connection has delivered messages for this long, the delays start over; a shorter one does not reset them."""


@dataclass(slots=True)
class Backoff:
    """Delays 0.5, 1, 2 … 30 seconds, each cut by up to half at random; `random` returns a number in [0, 1)."""

    random: Callable[[], float]
    base_seconds: float = 0.5
    cap_seconds: float = CAP_SECONDS
    failures: int = 0

    def next_delay(self, least_seconds: float = 0.0) -> float:
        """Return the seconds to wait after one more failure, never less than `least_seconds`."""
        whole = min(self.cap_seconds, self.base_seconds * 2.0 ** min(self.failures, 20))
        self.failures += 1
        return max(least_seconds, whole * (1.0 - 0.5 * self.random()))

    def steady(self) -> None:
        """Reset the delays after a stable connection: the next failure starts from the shortest one."""
        self.failures = 0
