"""Places the exchange's minute bars on the axis of cumulative volume, so that an update can be cut at a minute's edge.

The bar of a minute says how much traded in it, not where on the vtt axis it began. Every update bounds the cumulative
volume C at a minute's edge: trades up to `ltt` are in `vtt`, and the last trade (of `ltq`) happened at `ltt`, so

    C(edge) >= vtt         for updates whose ltt is before the edge
    C(edge) <= vtt - ltq   for updates whose ltt is at or after the edge
    C(bar end) <= vtt      for the update that brings the finished bar

and contiguous bars chain: C(end) = C(start) + volume. Intersecting the bounds along the chain narrows C to one value.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from orderflow.market.tick import MINUTE_MS, Bar

_MINUTES_KEPT: Final = 5


class MinuteBounds(NamedTuple):
    """What updates whose last trade fell into one minute say about cumulative volume at its two edges."""

    minute_ms: int
    most_at_start: int
    least_at_end: int


class BarChain(NamedTuple):
    """Bounds of cumulative volume at the last bar's end, and the recent minutes that bound the next edges."""

    end_ms: int | None = None
    low: int = 0
    high: int = 0
    value: int = 0
    minutes: tuple[MinuteBounds, ...] = ()

    def observe(self, ltt_ms: int, vtt: int, ltq: int) -> BarChain:
        """Return the chain with one update's bounds added; `ltq` 0 where the last trade's quantity is unknown."""
        minute = ltt_ms - ltt_ms % MINUTE_MS
        before = vtt - ltq
        minutes = self.minutes
        if minutes and minutes[-1].minute_ms == minute:
            last = minutes[-1]
            if vtt > last.least_at_end:
                return self._replace(minutes=(*minutes[:-1], MinuteBounds(minute, last.most_at_start, vtt)))
            return self
        for index, known in enumerate(minutes):
            if known.minute_ms == minute:
                merged = MinuteBounds(minute, min(known.most_at_start, before), max(known.least_at_end, vtt))
                return self._replace(minutes=(*minutes[:index], merged, *minutes[index + 1 :]))
        grown = tuple(sorted((*minutes, MinuteBounds(minute, before, vtt))))
        return self._replace(minutes=grown[-_MINUTES_KEPT:])

    def add(self, bar: Bar, vtt: int) -> tuple[BarChain, int | None, bool]:
        """Return (chain, cumulative volume at the bar's end or None, whether the bar follows the one before).

        `vtt` is that of the update that brought the bar. The chain starts afresh where bounds contradict one another.
        """
        if bar.volume is None:
            return self, None, False
        low, high = self._bounds(bar.end_ms)
        high = vtt if high is None else min(high, vtt)
        start_low, start_high = self._bounds(bar.start_ms)
        follows = self.end_ms == bar.start_ms
        chained_low, chained_high = low, high
        for least, most in ((start_low, start_high), (self.low, self.high) if follows else (None, None)):
            if least is not None:
                chained_low = max(least + bar.volume, chained_low if chained_low is not None else least + bar.volume)
            if most is not None:
                chained_high = min(most + bar.volume, chained_high)
        if chained_low is None:
            return self._replace(end_ms=None), None, False
        if chained_low > chained_high:
            follows = False
            if low is None or low > high:
                return self._replace(end_ms=None), None, False
            chained_low, chained_high = low, high
        if follows:
            value = min(max(self.value + bar.volume, chained_low), chained_high)
            follows = value == self.value + bar.volume
        else:
            value = (chained_low + chained_high) // 2
        return BarChain(bar.end_ms, chained_low, chained_high, value, self.minutes), value, follows

    def _bounds(self, edge_ms: int) -> tuple[int | None, int | None]:
        before = [known.least_at_end for known in self.minutes if known.minute_ms < edge_ms]
        after = [known.most_at_start for known in self.minutes if known.minute_ms >= edge_ms]
        return (max(before) if before else None), (min(after) if after else None)

    def to_record(self) -> dict[str, Any]:
        """Return a JSON-ready dict."""
        return {**self._asdict(), "minutes": [list(known) for known in self.minutes]}

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> BarChain:
        """Rebuild from `to_record`'s dict."""
        return cls(**{**record, "minutes": tuple(MinuteBounds(*known) for known in record["minutes"])})
