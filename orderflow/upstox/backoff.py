"""When to try again: exponential, with jitter and a cap, and slower where the server asked for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

CAP_SECONDS: Final = 30.0
STEADY_SECONDS: Final = 30.0
"""A connection that gave messages for this long ends the growth; one that dies sooner does not, however often it opens."""


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
        """Note that a connection proved steady: the next failure starts from the beginning."""
        self.failures = 0
