"""Longer candles from final minutes: windows that begin at the session's start and are cut at its end.

Volume traded after the session, in a closing auction or later, is in a separate window.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from orderflow.market.candle import Candle
from orderflow.market.engine.tail import Tail
from orderflow.market.measures import roll_up
from orderflow.market.phases import CONTINUOUS
from orderflow.market.times import MINUTE_MS


class WindowRollUp:
    """Gathers one instrument's final minutes into windows of several lengths; a window is final when none of its minutes is open.

    `minutes` holds those of windows that are open. `closed_ms` says for each length up to which time its windows are published.
    """

    __slots__ = ("closed_ms", "minutes")

    def __init__(self, lengths: Iterable[int]) -> None:
        self.closed_ms = dict.fromkeys(lengths, 0)
        self.minutes: Tail[Candle] = Tail()

    def use_lengths(self, lengths: Iterable[int], open_ms: int, session_start_ms: int) -> None:
        """Change the lengths after a restart; one that is new begins with its next whole window."""
        known = self.closed_ms
        self.closed_ms = {}
        for length in lengths:
            span_ms = length * MINUTE_MS
            self.closed_ms[length] = known.get(length, open_ms + (session_start_ms - open_ms) % span_ms)

    def add(self, candle: Candle) -> None:
        """Take a final minute, in any order."""
        if self.closed_ms:
            self.minutes.items.append(candle)

    def close(self, open_ms: int, session_start_ms: int, session_end_ms: int) -> Iterator[Candle]:
        """Yield the windows that end by `open_ms`, the start of the first minute that is open, in order of length and time."""
        for length, closed_ms in self.closed_ms.items():
            span_ms = length * MINUTE_MS
            windows: dict[int, list[Candle]] = {}
            for minute in self.minutes.items:
                if minute.start_ms >= closed_ms and minute.session_phase == CONTINUOUS:
                    start_ms = minute.start_ms - (minute.start_ms - session_start_ms) % span_ms
                    windows.setdefault(start_ms, []).append(minute)
            for start_ms in sorted(windows):
                end_ms = min(start_ms + span_ms, session_end_ms)
                if end_ms > open_ms:
                    break
                yield from roll_up(windows[start_ms], length, start_ms, end_ms)
                self.closed_ms[length] = end_ms
            for minute in self.minutes.items:
                if minute.start_ms >= self.closed_ms[length] and minute.session_phase != CONTINUOUS:
                    yield from roll_up([minute], length, session_start_ms, session_end_ms)
                    self.closed_ms[length] = minute.end_ms
        self._drop()

    def _drop(self) -> None:
        minutes = self.minutes.items
        if minutes and all(minute.start_ms < min(self.closed_ms.values()) for minute in minutes):
            self.minutes.drop(len(minutes))
