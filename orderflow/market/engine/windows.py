"""Longer candles from final minutes: windows that begin at the session's start and are cut at its end."""

from __future__ import annotations

from collections.abc import Iterator

from orderflow.market.candle import Candle
from orderflow.market.measures import roll_up
from orderflow.market.tick import MINUTE_MS


class WindowRollUp:
    """Gathers one instrument's final minutes into windows of `minutes`; a window is final when none of its minutes is open."""

    __slots__ = ("minutes", "open")

    def __init__(self, minutes: int) -> None:
        self.minutes = minutes
        self.open: dict[tuple[int, int], list[Candle]] = {}

    def add(self, candle: Candle, session_start_ms: int, session_end_ms: int) -> None:
        """Take a final minute, in any order."""
        span_ms = self.minutes * MINUTE_MS
        start_ms = candle.start_ms - (candle.start_ms - session_start_ms) % span_ms
        self.open.setdefault((start_ms, min(start_ms + span_ms, session_end_ms)), []).append(candle)

    def close(self, closed_ms: int) -> Iterator[Candle]:
        """Yield the windows that end by `closed_ms`, before which no minute is open."""
        for window in sorted(window for window in self.open if window[1] <= closed_ms):
            yield from roll_up(self.open.pop(window), self.minutes, *window)
