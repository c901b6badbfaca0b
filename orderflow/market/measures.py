"""Measures over a session's candles: cumulative delta, VWAP and its bands, initial balance, divergence, roll-up.

Functions take the candles of one instrument and session in order of time, and return values; definitions, sources and worked
examples are in docs/ORDER_FLOW.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import reduce
from itertools import accumulate, groupby, pairwise
from math import hypot, sqrt
from typing import Final, Literal, NamedTuple

from orderflow.market.candle import Candle
from orderflow.market.confidence import grade
from orderflow.market.day_so_far import EXCHANGE
from orderflow.market.phases import CONTINUOUS

MINUTE_MS: Final = 60_000
INITIAL_BALANCE_MINUTES: Final = 60
SWING_CANDLES: Final = 20

FINAL_BY: Final = ("complete", "bar", "clock")
"""How a candle became final, from the surest to the least sure; a longer one is as sure as its least sure minute."""

GRADES: Final = ("high", "medium", "low", "none")
"""The grades of a candle's delta, from the surest to the least sure."""

Divergence = Literal["bullish", "bearish"]


class DeltaPath(NamedTuple):
    """A stretch of running delta: where it ends, and how low and high it went, from 0 at its start."""

    total: int = 0
    least: int = 0
    greatest: int = 0

    def then(self, later: DeltaPath) -> DeltaPath:
        """Join with the stretch that follows; associative, so minutes may be joined in any grouping."""
        return DeltaPath(
            self.total + later.total,
            min(self.least, self.total + later.least),
            max(self.greatest, self.total + later.greatest),
        )


class VwapPoint(NamedTuple):
    """Volume-weighted average price and the volume-weighted standard deviation around it, in rupees."""

    vwap: float
    deviation: float

    def band(self, deviations: float) -> tuple[float, float]:
        """Return (lower, upper) at that many standard deviations."""
        return self.vwap - deviations * self.deviation, self.vwap + deviations * self.deviation


def delta_path(deltas: Iterable[int]) -> DeltaPath:
    """Return the path of running delta over updates or candles; (0, 0, 0) when there are none."""
    return reduce(lambda path, delta: path.then(DeltaPath(delta, min(delta, 0), max(delta, 0))), deltas, DeltaPath())


def cumulative_delta(candles: Iterable[Candle]) -> list[int]:
    """Return the session's cumulative volume delta (CVD) after each candle."""
    return list(accumulate(candle.delta for candle in candles))


def session_vwap(priced: Iterable[tuple[float, int]]) -> list[VwapPoint | None]:
    """Return the VWAP and deviation after each (price, volume), trades or candles; None until volume has traded.

    Running weighted variance after West (1979), Communications of the ACM 22(9): stable where Σvp² − (Σvp)²/Σv is not.
    """
    points: list[VwapPoint | None] = []
    weight, mean, squares = 0, 0.0, 0.0
    for price, volume in priced:
        if volume > 0:
            weight += volume
            shift = price - mean
            mean += shift * volume / weight
            squares += volume * shift * (price - mean)
        points.append(VwapPoint(mean, sqrt(max(squares, 0.0) / weight)) if weight else None)
    return points


def initial_balance(
    candles: Iterable[Candle], session_start_ms: int, minutes: int = INITIAL_BALANCE_MINUTES
) -> tuple[float, float] | None:
    """Return (low, high) of the session's first `minutes`; None when no candle of them has a price."""
    end_ms = session_start_ms + minutes * MINUTE_MS
    first = [candle for candle in candles if session_start_ms <= candle.start_ms < end_ms]
    lows = [candle.low for candle in first if candle.low is not None]
    highs = [candle.high for candle in first if candle.high is not None]
    return (min(lows), max(highs)) if lows and highs else None


def imbalance_ratio(buy_volume: int, sell_volume: int) -> float | None:
    """Return (buy − sell) / (buy + sell), from -1 to 1; None with no classified volume."""
    classified = buy_volume + sell_volume
    return (buy_volume - sell_volume) / classified if classified > 0 else None


def candle_divergence(candle: Candle) -> Divergence | None:
    """Return bearish when the candle rose against selling, bullish when it fell against buying, else None."""
    if candle.open is None or candle.close is None:
        return None
    if candle.close > candle.open and candle.delta < 0:
        return "bearish"
    return "bullish" if candle.close < candle.open and candle.delta > 0 else None


def swing_divergences(candles: Sequence[Candle], swing: int = SWING_CANDLES) -> list[Divergence | None]:
    """Return for each candle whether it made a new extreme that cumulative delta did not confirm.

    Bearish: its high is above every high of the `swing` candles before, while CVD is below its value at the highest of
    them (the latest when several). Bullish: the mirror image at the low. None where neither, or both, hold.
    """
    cvd = cumulative_delta(candles)
    found: list[Divergence | None] = []
    for at, candle in enumerate(candles):
        before = range(max(at - swing, 0), at)
        highs = [(high, i) for i in before if (high := candles[i].high) is not None]
        lows = [(low, -i) for i in before if (low := candles[i].low) is not None]
        bearish = bool(highs) and candle.high is not None and candle.high > max(highs)[0] and cvd[at] < cvd[max(highs)[1]]
        bullish = bool(lows) and candle.low is not None and candle.low < min(lows)[0] and cvd[at] > cvd[-min(lows)[1]]
        found.append(None if bearish == bullish else "bearish" if bearish else "bullish")
    return found


def roll_up(minutes: Iterable[Candle], n: int, session_start_ms: int, session_end_ms: int) -> list[Candle]:
    """Combine final minutes into n-minute candles that begin at the session's start and are cut at its end.

    `minutes` may hold several instruments, in any order; minutes outside the session are left out, but for what traded after
    it in a closing auction or later: each such candle is a window of its own. A window without a minute gives no candle.
    Volumes add up, delta's path joins, delta's bands add as independent errors do, and the VWAP is weighted by the volume seen
    in updates. Raises ValueError when n < 1 or a minute is given twice.
    """
    if n < 1:
        raise ValueError(f"n={n} minutes; it must be 1 or more")
    inside = sorted(
        (m for m in minutes if m.session_phase != CONTINUOUS or session_start_ms <= m.start_ms < session_end_ms),
        key=lambda minute: (minute.instrument, minute.start_ms),
    )
    for one, other in pairwise(inside):
        if (one.instrument, one.start_ms) == (other.instrument, other.start_ms):
            raise ValueError(f"two minutes of {one.instrument} start at {one.start_ms}")
    span_ms = n * MINUTE_MS

    def window(minute: Candle) -> tuple[str, int, int]:
        if minute.session_phase != CONTINUOUS:
            return minute.instrument, minute.start_ms, minute.end_ms
        start_ms = minute.start_ms - (minute.start_ms - session_start_ms) % span_ms
        return minute.instrument, start_ms, min(start_ms + span_ms, session_end_ms)

    return [_join(list(group), n, start_ms, end_ms) for (_, start_ms, end_ms), group in groupby(inside, key=window)]


def _join(minutes: Sequence[Candle], n: int, start_ms: int, end_ms: int) -> Candle:
    first, last = minutes[0], minutes[-1]
    path = reduce(DeltaPath.then, (DeltaPath(m.delta, m.min_delta, m.max_delta) for m in minutes))
    buy, sell = sum(m.buy_volume for m in minutes), sum(m.sell_volume for m in minutes)
    total = sum(m.total_volume for m in minutes)
    weights = [(m.vwap, m.tick_volume) for m in minutes if m.vwap is not None and m.tick_volume > 0]
    weighed = session_vwap(weights)[-1] if weights else None
    bands = [m.delta_band for m in minutes if m.delta_band is not None]
    band = hypot(*bands) if bands else None
    sources = {m.source for m in minutes} - {EXCHANGE} or {EXCHANGE}
    auction = sum(m.auction_volume for m in minutes)
    return Candle(
        start_ms=start_ms,
        end_ms=end_ms,
        instrument=first.instrument,
        open=first.open,
        high=max((m.high for m in minutes if m.high is not None), default=None),
        low=min((m.low for m in minutes if m.low is not None), default=None),
        close=last.close,
        buy_volume=buy,
        sell_volume=sell,
        total_volume=total,
        delta=path.total,
        tbq=last.tbq,
        tsq=last.tsq,
        window_minutes=n,
        unclassified_volume=sum(m.unclassified_volume for m in minutes),
        tick_volume=sum(m.tick_volume for m in minutes),
        vwap=weighed.vwap if weighed else None,
        tick_count=sum(m.tick_count for m in minutes),
        min_delta=path.least,
        max_delta=path.greatest,
        imbalance=imbalance_ratio(buy, sell),
        delta_band=None if band is None else float(round(band)),
        confidence=None if band is None else _surest(grade(band, total - auction, buy + sell), minutes),
        exchange_bar=all(m.exchange_bar for m in minutes),
        gap=any(m.gap for m in minutes),
        tick_open=first.tick_open,
        tick_high=max((m.tick_high for m in minutes if m.tick_high is not None), default=None),
        tick_low=min((m.tick_low for m in minutes if m.tick_low is not None), default=None),
        tick_close=last.tick_close,
        tick_buy_volume=_sum_known(m.tick_buy_volume for m in minutes),
        tick_sell_volume=_sum_known(m.tick_sell_volume for m in minutes),
        source=sources.pop() if len(sources) == 1 else "reprocess",
        final_by=max((m.final_by for m in minutes if m.final_by is not None), key=FINAL_BY.index, default=None),
        auction_volume=auction,
        session_phase=first.session_phase,
    )


def _surest(found: str, minutes: Sequence[Candle]) -> str:
    """Return a longer candle's grade: never above the best of its minutes, which know of one-sided quotes."""
    best = min((m.confidence for m in minutes if m.confidence is not None), key=GRADES.index, default=found)
    return max(found, best, key=GRADES.index)


def _sum_known(values: Iterable[int | None]) -> int | None:
    known = [value for value in values if value is not None]
    return sum(known) if known else None
