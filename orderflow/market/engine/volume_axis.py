"""Computes the cumulative volume at which one instrument's minutes begin and end, as far as updates and exchange bars allow.

Every update states how much has traded until the time of its last trade (`vtt` at `ltt`), and the quantity of that trade
(`ltq`). A minute's bar states how much traded in the minute, but not at which cumulative volume it began. Together they bound
the cumulative volume C at each minute's edge (the boundary between two minutes):

    time      ────────── 10:00 ─────────────── 10:01 ──────────────── 10:02 ─────
                    a│          b│       │c                 d│    │e
    volume    ───────●───────────●───────┼●─────────────────●┼────●──────────►  vtt
                                 └──┬──┘                     └─┬─┘
                   vtt(b) ≤ C(10:01) ≤ vtt(c) − ltq(c)    likewise C(10:02)
                                 ◄──── bar of 10:01: C(10:02) − C(10:01) = V ────►

- an update whose last trade was before an edge: C(edge) ≥ vtt; at or after it: C(edge) ≤ vtt − ltq
- the update that brings the finished bar: C(bar's end) ≤ vtt
- the bar itself: C(end) = C(start) + V; and always C(end) ≥ C(start)

These are difference constraints along a path, so one pass forward and one back give the tightest possible bounds. An edge
whose two bounds are equal is exact. Every further bar narrows the bounds; after an exact edge, each bar gives the next one.

A published minute uses its edges. If it had no bar, its volume is the difference of its edges. These edges then *bind*: volume
up to them is final. Volume that later turns out to lie before a binding edge is late.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import msgspec

UNKNOWN_LOW: Final = -(10**18)
UNKNOWN_HIGH: Final = 10**18
KEPT_MINUTES: Final = 15
"""How long an edge that may still be corrected is kept after its minute was published."""


class Mark(msgspec.Struct, array_like=True, gc=False):
    """Bounds of the cumulative volume at a minute's two edges, from the updates whose last trade was in this minute."""

    minute: int
    most_at_start: int
    least_at_end: int


class Span(NamedTuple):
    """A minute's bar on the axis: its volume, and the `vtt` of the update that carried it."""

    volume: int
    seen_vtt: int


class Used(NamedTuple):
    """An edge that a published minute used; `binds` when a published volume was measured from it."""

    value: int
    binds: bool


class Bounds(NamedTuple):
    """Least and most cumulative volume at an edge."""

    low: int
    high: int

    @property
    def exact(self) -> bool:
        """Return whether both are the same."""
        return self.low == self.high


class VolumeAxis:
    """Edges of one instrument's minutes in one trading session; minutes are whole minutes since the epoch.

    `origin` is the cumulative volume at which the updates begin: no update showed the volume below it.
    """

    __slots__ = ("_bounds", "_changed", "bars", "base", "base_bounds", "marks", "origin", "unplaced", "used")

    def __init__(self, first_minute: int, origin: int) -> None:
        self.origin = origin
        self.base = first_minute
        self.base_bounds = Bounds(UNKNOWN_LOW, UNKNOWN_HIGH)
        self.marks: list[Mark] = []
        self.bars: dict[int, Span] = {}
        self.unplaced: set[int] = set()
        self.used: dict[int, Used] = {}
        self._bounds: list[Bounds] = []
        self._changed = True

    def observe(self, minute: int, vtt: int, ltq: int) -> bool:
        """Add the bounds from an update whose last trade was in `minute`, in the order of time; `ltq` is 0 if unknown.

        Returns whether a new minute began.
        """
        last = self.marks[-1] if self.marks else None
        if last is None or minute > last.minute:
            self.marks.append(Mark(minute, vtt - ltq, vtt))
            self._changed = True
            return True
        if minute == last.minute and vtt > last.least_at_end:
            last.least_at_end = vtt
            self._changed = True
        return False

    def begin_at(self, minute: int) -> None:
        """Move the beginning back to an earlier minute; allowed only before the first minute is published."""
        self.base, self.base_bounds = minute, Bounds(UNKNOWN_LOW, UNKNOWN_HIGH)
        self._changed = True

    def add_bar(self, minute: int, volume: int, vtt: int) -> None:
        """Add the bar of a minute, which the update with `vtt` carried."""
        if minute >= self.base and minute not in self.bars:
            self.bars[minute] = Span(volume, vtt)
            self._changed = True

    def bounds(self, edge: int) -> Bounds:
        """Return the bounds of the edge at a minute's start; unknown before the oldest edge that is kept."""
        self._solve()
        index = edge - self.base
        if index < 0:
            return Bounds(UNKNOWN_LOW, UNKNOWN_HIGH)
        if index >= len(self._bounds):
            return Bounds(self._bounds[-1].low, UNKNOWN_HIGH)
        return self._bounds[index]

    def volume_of(self, minute: int) -> int | None:
        """Return the bar's volume, or None without a bar that agrees with the updates."""
        self._solve()
        span = self.bars.get(minute)
        return None if span is None or minute in self.unplaced else span.volume

    def later_bar_than(self, minute: int) -> bool:
        """Return whether a bar of a later minute has come: the feed shows only the newest, so an older one will never come."""
        return any(known > minute for known in self.bars)

    def use(self, edge: int, value: int, *, binds: bool) -> None:
        """Record that a published minute used an edge."""
        known = self.used.get(edge)
        self.used[edge] = Used(value, binds or (known is not None and known.binds))

    def prune(self, first_open: int, newest: int) -> None:
        """Drop everything before `first_open`, the first minute not yet published, except edges that may still be corrected."""
        wanted = first_open
        for edge, used in self.used.items():
            if used.binds and edge < wanted and edge >= newest - KEPT_MINUTES and not self.bounds(edge).exact:
                wanted = edge - 1
        wanted = max(wanted, self.base)
        if wanted == self.base:
            return
        self.base_bounds = self.bounds(wanted)
        self.base = wanted
        self.marks = [mark for mark in self.marks if mark.minute >= wanted] or self.marks[-1:]
        self.bars = {minute: span for minute, span in self.bars.items() if minute >= wanted}
        self.used = {edge: used for edge, used in self.used.items() if edge >= wanted}
        self.unplaced = {minute for minute in self.unplaced if minute >= wanted}
        self._changed = True

    def _solve(self) -> None:
        """Tighten the bounds of all edges, from the base to the end of the newest minute of which anything is known."""
        if not self._changed:
            return
        self._changed = False
        base, marks, bars = self.base, self.marks, self.bars
        newest = max(marks[-1].minute if marks else base, max(bars, default=base), base)
        count = newest - base + 2
        lows, highs = [UNKNOWN_LOW] * count, [UNKNOWN_HIGH] * count
        for mark in marks:
            begin = max(mark.minute + 1 - base, 0)
            if begin < count and mark.least_at_end > lows[begin]:
                lows[begin] = mark.least_at_end
            end = min(mark.minute - base, count - 1)
            if end >= 0 and mark.most_at_start < highs[end]:
                highs[end] = mark.most_at_start
        for index in range(count - 2, -1, -1):
            highs[index] = min(highs[index], highs[index + 1])
        lows[0] = max(lows[0], self.base_bounds.low)
        highs[0] = min(highs[0], self.base_bounds.high)
        if lows[0] > highs[0]:
            lows[0] = highs[0] = max(self.base_bounds.low, min(self.base_bounds.high, lows[0]))
        self.unplaced = set()
        for index in range(count - 1):
            self._forward(index, lows, highs)
        for index in range(count - 2, -1, -1):
            volume = self._placed(base + index)
            highs[index] = max(min(highs[index], highs[index + 1] - (volume or 0)), lows[index])
            if volume is not None:
                lows[index] = min(max(lows[index], lows[index + 1] - volume), highs[index])
        self._bounds = [Bounds(low, high) for low, high in zip(lows, highs, strict=True)]

    def _forward(self, index: int, lows: list[int], highs: list[int]) -> None:
        """Propagate the bounds of one edge to the next; a bar that contradicts the updates is ignored."""
        minute = self.base + index
        span = self.bars.get(minute)
        low, high = max(lows[index + 1], lows[index]), highs[index + 1]
        if span is not None:
            seen = span.seen_vtt if span.seen_vtt >= max(low, lows[index] + span.volume) else UNKNOWN_HIGH
            with_bar = max(low, lows[index] + span.volume), min(high, seen, highs[index] + span.volume)
            if with_bar[0] <= with_bar[1]:
                low, high = with_bar
            else:
                self.unplaced.add(minute)
        lows[index + 1], highs[index + 1] = low, max(low, high)

    def _placed(self, minute: int) -> int | None:
        span = self.bars.get(minute)
        return None if span is None or minute in self.unplaced else span.volume
