"""Places the exchange's minute bars on the axis of cumulative volume, so that an update can be cut at a minute's edge.

The bar of a minute says how much traded in it, not where on the vtt axis it began. Every update bounds the cumulative
volume C at a minute's edge: trades up to `ltt` are in `vtt`, and the last trade (of `ltq`) happened at `ltt`, so

    C(edge) >= vtt         for updates whose ltt is before the edge
    C(edge) <= vtt - ltq   for updates whose ltt is at or after the edge
    C(bar end) <= vtt      for the update that brings the finished bar

and contiguous bars chain: C(end) = C(start) + volume. A minute without a trade has no bar and leaves C as it is.
Intersecting the bounds along the chain narrows C to one value.

Until then the first edge may be a guess, corrected when the next bar narrows it: both its neighbours take their volume from
their bars. After an outage one neighbour has no bar; both must be cut at the same place, and the one may be final before
a guess could be corrected. There an edge is given out only once it is exact.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from orderflow.market import records
from orderflow.market.conformity import MOST_VOLUME, problem
from orderflow.market.errors import DecodeError
from orderflow.market.tick import MINUTE_MS, Bar

_MINUTES_KEPT: Final = 5


class MinuteBounds(NamedTuple):
    """What updates whose last trade fell into one minute say about cumulative volume at its two edges."""

    minute_ms: int
    most_at_start: int
    least_at_end: int


class Edges(NamedTuple):
    """Cumulative volume at a bar's end, and whether nothing given out before agrees with where the bar begins."""

    close_vtt: int | None = None
    opens: bool = False


class BarChain(NamedTuple):
    """Bounds of cumulative volume at the last bar's end, the value given out, and the minutes that bound the next edges.

    `strict` says that bars may be missing before the next one: no guess until an edge is known.
    """

    end_ms: int | None = None
    low: int = 0
    high: int = 0
    value: int | None = None
    minutes: tuple[MinuteBounds, ...] = ()
    strict: bool = False

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

    def add(self, bar: Bar, vtt: int, *, late: bool = False) -> tuple[BarChain, Edges]:
        """Return the chain with a finished bar added, and what is known of the bar's edges.

        `vtt` is that of the update that brought the bar; `late` says that the live candle does without it, so that its end
        does not count as given out. The chain starts afresh where bounds contradict one another.
        """
        if bar.volume is None:
            return self, Edges()
        low, high = self._bounds(bar.end_ms)
        high = vtt if high is None else min(high, vtt)
        start_low, start_high = self._bounds(bar.start_ms)
        follows = self.end_ms == bar.start_ms or self._idle_until(bar.start_ms)
        chained_low, chained_high = low, high
        for least, most in ((start_low, start_high), (self.low, self.high) if follows else (None, None)):
            if least is not None:
                chained_low = max(least + bar.volume, chained_low if chained_low is not None else least + bar.volume)
            if most is not None:
                chained_high = min(most + bar.volume, chained_high)
        if chained_low is None or chained_low > chained_high:
            follows = False
            if low is None or low > high:
                return self._replace(end_ms=None, value=None), Edges()
            chained_low, chained_high = low, high
        expected = self.value + bar.volume if follows and self.value is not None else None
        value: int | None = None
        if expected is not None:
            value = min(max(expected, chained_low), chained_high)
        elif chained_high - chained_low <= (0 if self.strict else bar.volume // 2):
            value = (chained_low + chained_high) // 2
        strict = self.strict and value is None
        chain = BarChain(bar.end_ms, chained_low, chained_high, None if late else value, self.minutes, strict)
        return chain, Edges(value, value is not None and (value != expected or self.end_ms != bar.start_ms))

    def _idle_until(self, start_ms: int) -> bool:
        """Whether nothing traded from the last bar's end until then: no bar was missed, and no update says otherwise."""
        if self.end_ms is None or self.strict or self.end_ms > start_ms:
            return False
        return not any(self.end_ms <= known.minute_ms < start_ms for known in self.minutes)

    def _bounds(self, edge_ms: int) -> tuple[int | None, int | None]:
        before = [known.least_at_end for known in self.minutes if known.minute_ms < edge_ms]
        after = [known.most_at_start for known in self.minutes if known.minute_ms >= edge_ms]
        return (max(before) if before else None), (min(after) if after else None)

    def to_record(self) -> dict[str, Any]:
        """Return a JSON-ready dict."""
        return {**self._asdict(), "minutes": [list(known) for known in self.minutes]}

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> BarChain:
        """Rebuild from `to_record`'s dict. Raises DecodeError on anything else, and on volumes that cannot be."""
        wrong = problem(records.BAR_CHAIN.fields, record, exact=True)
        if wrong is None and any(len(known) != len(MinuteBounds._fields) for known in record["minutes"]):
            wrong = "minutes has one without its bounds"
        if wrong is None:
            bounds = [bound for known in record["minutes"] for bound in known[1:]]
            volumes = [record["low"], record["high"], record["value"] or 0, *bounds]
            if any(abs(volume) > MOST_VOLUME for volume in volumes):
                wrong = "an absurd volume"
        if wrong is not None:
            raise DecodeError("bad_state", f"chain: {wrong}")
        return cls(**{**record, "minutes": tuple(MinuteBounds(*known) for known in record["minutes"])})
