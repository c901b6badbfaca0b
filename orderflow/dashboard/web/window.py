"""Counts a visitor's actions within a time window, for limits."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from cachetools import TTLCache

KEYS_MOST: Final = 20_000
"""Beyond this number, the entries idle for longest are dropped, so that a flood from many addresses needs little memory."""


@dataclass(slots=True)
class _Count:
    until: float
    number: int = 0


class Window:
    """Allows `most` a key within `seconds`, which begin with the first; 0 allows any number."""

    def __init__(self, most: int, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.most = most
        self._seconds = seconds
        self._clock = clock
        self._counts: TTLCache[str, _Count] = TTLCache(KEYS_MOST, seconds, timer=clock)

    def hit(self, key: str) -> bool:
        """Count one more, and say whether it is allowed."""
        count = self._counts.get(key)
        if count is None:
            count = self._counts[key] = _Count(self._clock() + self._seconds)
        count.number += 1
        return not self.most or count.number <= self.most

    def wait_seconds(self, key: str) -> int:
        """Return after how many seconds, at least 1, the next one is allowed; 0 when it is now."""
        count = self._counts.get(key)
        if not self.most or count is None or count.number < self.most:
            return 0
        return max(1, math.ceil(count.until - self._clock()))
