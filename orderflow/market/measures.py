"""Longer candles from final minutes; definitions and a worked example are in docs/ORDER_FLOW.md."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import reduce
from itertools import groupby, pairwise
from math import hypot
from typing import Final, NamedTuple

from orderflow.market.candle import Candle
from orderflow.market.confidence import grade
from orderflow.market.day_so_far import EXCHANGE
from orderflow.market.phases import CONTINUOUS
from orderflow.market.times import MINUTE_MS

FINAL_BY: Final = ("complete", "bar", "clock")
"""How a candle became final, from the most to the least certain; a longer candle is as certain as its least certain minute."""

GRADES: Final = ("high", "medium", "low", "none")
"""The grades of a candle's delta, from the most to the least certain."""


class DeltaPath(NamedTuple):
    """Running delta over an interval: its value at the end, its lowest and its highest value, from 0 at the start."""

    total: int = 0
    least: int = 0
    greatest: int = 0

    def then(self, later: DeltaPath) -> DeltaPath:
        """Join with the following interval; associative, so minutes may be joined in any grouping."""
        return DeltaPath(
            self.total + later.total,
            min(self.least, self.total + later.least),
            max(self.greatest, self.total + later.greatest),
        )


def imbalance_ratio(buy_volume: int, sell_volume: int) -> float | None:
    """Return (buy − sell) / (buy + sell), from -1 to 1; None with no classified volume."""
    classified = buy_volume + sell_volume
    return (buy_volume - sell_volume) / classified if classified > 0 else None


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
    weight = sum(volume for _, volume in weights)
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
        vwap=sum(price * volume for price, volume in weights) / weight if weight else None,
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


def _surest(grade: str, minutes: Sequence[Candle]) -> str:
    """Return a longer candle's grade: never above the best of its minutes, which know of one-sided quotes."""
    best = min((m.confidence for m in minutes if m.confidence is not None), key=GRADES.index, default=grade)
    return max(grade, best, key=GRADES.index)


def _sum_known(values: Iterable[int | None]) -> int | None:
    known = [value for value in values if value is not None]
    return sum(known) if known else None
