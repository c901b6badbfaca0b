"""Computes a final minute: from its interval of cumulative volume and the trades in it, its candle and footprint."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, NamedTuple

import msgspec

from orderflow.market.candle import Candle
from orderflow.market.confidence import band, grade
from orderflow.market.engine.prices import NOWHERE_ELSE, Elsewhere
from orderflow.market.phases import CONTINUOUS
from orderflow.market.price_unit import whole_numbers
from orderflow.market.tick import Bar
from orderflow.market.times import MINUTE_MS

FinalBy = Literal["complete", "bar", "clock"]


class AxisTrade(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """The volume of one update: the interval (low, high] of cumulative volume, at its last price, split by aggressor.

    `wrong_share` is the expected share of its volume on the wrong side. `unseen`: the trades were not seen one by one.
    `one_sided`: the quote before them had bids only, or offers only. `elsewhere`: the parts that the footprint shows at other
    prices; the candle counts all of it at the last price. `auction`: it traded in an auction.
    """

    low: int
    high: int
    price: float
    buy: int
    sell: int
    wrong_share: float
    unseen: bool
    one_sided: bool = False
    elsewhere: Elsewhere = NOWHERE_ELSE
    auction: bool = False

    def sides_within(self, low: int, high: int) -> tuple[int, int]:
        """Return (buy, sell) of the part (low, high]: whole numbers that add up over neighbouring parts."""
        buy, sell = self._share(self.buy, low, high), self._share(self.sell, low, high)
        if self.buy + self.sell == self.high - self.low or buy + sell > high - low:
            sell = high - low - buy
        return buy, sell

    def part(self, low: int, high: int) -> AxisTrade:
        """Return the part of the trade in (low, high], all at its last price, because the prices within a trade are not known."""
        buy, sell = self.sides_within(low, high)
        return AxisTrade(low, high, self.price, buy, sell, self.wrong_share, self.unseen, auction=self.auction)

    def _share(self, volume: int, low: int, high: int) -> int:
        whole = self.high - self.low
        return volume * (high - self.low) // whole - volume * (low - self.low) // whole


def uncovered(trade: AxisTrade, trades: Iterable[AxisTrade]) -> list[AxisTrade]:
    """Return the parts of a trade that none of `trades` (in order) covers, because two streamers may report the same volume."""
    parts, low = [], trade.low
    for known in trades:
        if known.low >= trade.high:
            break
        if known.low > low:
            parts.append(trade.part(low, known.low))
        low = max(low, known.high)
    if low < trade.high:
        parts.append(trade.part(low, trade.high))
    return parts


class OwnTicks(msgspec.Struct, array_like=True, gc=False):
    """The updates whose last trade was in one minute: their prices, and their volume before it is divided at the edges."""

    count: int
    open: float
    high: float
    low: float
    close: float
    volume: int = 0
    buy: int = 0
    sell: int = 0

    def add(self, price: float, volume: int, buy: int, sell: int) -> None:
        """Add one more update."""
        self.count += 1
        self.close = price
        if price > self.high:
            self.high = price
        elif price < self.low:
            self.low = price
        self.volume += volume
        self.buy += buy
        self.sell += sell


class Quote(msgspec.Struct, array_like=True, gc=False):
    """The book's totals at the latest update of a minute."""

    event_time_ms: int
    tbq: int
    tsq: int | None


class PriceLevel(NamedTuple):
    """Volume of one minute at one price, in units of 1/`price_unit` rupee; volumes in shares or contracts."""

    price: int
    buy_volume: int
    sell_volume: int
    unclassified_volume: int
    price_unit: int


class FinalMinute(NamedTuple):
    """A minute that will not change: its candle, and its footprint from the lowest price up."""

    candle: Candle
    levels: tuple[PriceLevel, ...]


class Stretch(NamedTuple):
    """A minute's interval (low, high] of cumulative volume, and its volume: the bar's, or without a bar the interval's length.

    `auction` is the volume that an auction traded before the first update. An auction is never seen trade by trade, so this
    part does not count as missed.
    """

    low: int
    high: int
    total: int
    exchange_bar: bool
    final_by: FinalBy
    auction: int = 0
    session_phase: str = CONTINUOUS


class _Sums(NamedTuple):
    """The sums over the parts of trades that lie in a minute."""

    buy: int
    sell: int
    seen: int
    turnover: float
    variance: float
    unseen: bool
    one_sided: int
    auction: int
    least: int
    greatest: int
    open: float | None
    high: float | None
    low: float | None
    close: float | None
    levels: dict[float, list[int]]
    spread: list[AxisTrade]


def _add_up(trades: Iterable[AxisTrade], begin: int, end: int) -> _Sums:
    """Add up the parts of trades in (begin, end]; the parts of one trade in neighbouring minutes add up to it exactly.

    `levels` holds every trade at its last price; `spread` are the trades that the footprint shows partly at other prices.
    """
    buy = sell = seen = one_sided = auction = least = greatest = 0
    turnover = variance = 0.0
    unseen = False
    opened = closed = None
    levels: dict[float, list[int]] = {}
    spread: list[AxisTrade] = []
    for trade in trades:
        low, high, price = trade.low, trade.high, trade.price
        if low >= begin and high <= end:
            bought, sold = trade.buy, trade.sell
            if trade.elsewhere:
                spread.append(trade)
        else:
            low, high = max(low, begin), min(high, end)
            if low >= high:
                continue
            bought, sold = trade.sides_within(low, high)
        volume = high - low
        buy += bought
        sell += sold
        seen += volume
        turnover += price * volume
        variance += trade.wrong_share * volume * volume
        unseen = unseen or trade.unseen
        if trade.one_sided:
            one_sided += volume
        if trade.auction:
            auction += volume
        delta = buy - sell
        if delta < least:
            least = delta
        elif delta > greatest:
            greatest = delta
        level = levels.get(price)
        if level is None:
            levels[price] = [bought, sold, volume - bought - sold]
        else:
            level[0] += bought
            level[1] += sold
            level[2] += volume - bought - sold
        if opened is None:
            opened = price
        closed = price
    highest, lowest = max(levels, default=None), min(levels, default=None)
    return _Sums(
        buy, sell, seen, turnover, variance, unseen, one_sided, auction, least, greatest, opened, highest, lowest, closed, levels,
        spread,
    )  # fmt: skip


def final_minute(
    instrument: str,
    start_ms: int,
    stretch: Stretch,
    trades: Iterable[AxisTrade],
    own: OwnTicks | None,
    quote: Quote | None,
    bar: Bar | None,
    source: str,
) -> FinalMinute:
    """Compute a minute from its interval of cumulative volume; `trades`, in the order of the axis, may lie outside it.

    Prices are the bar's if there is one, else those of the minute's own updates, else those of the trades that overlap the
    minute. Volume of the interval that no trade covers is unclassified, and marks the candle as a gap.
    """
    sums = _add_up(trades, stretch.low, stretch.high)
    classified = sums.buy + sums.sell
    delta = sums.buy - sums.sell
    auction = stretch.auction + sums.auction
    delta_band = band(sums.variance)
    ticks = own if own is not None else sums
    shown = bar if bar is not None else ticks
    candle = Candle(
        start_ms=start_ms,
        end_ms=start_ms + MINUTE_MS,
        instrument=instrument,
        open=shown.open,
        high=shown.high,
        low=shown.low,
        close=shown.close,
        buy_volume=sums.buy,
        sell_volume=sums.sell,
        total_volume=stretch.total,
        delta=delta,
        tbq=None if quote is None else quote.tbq,
        tsq=None if quote is None else quote.tsq,
        window_minutes=1,
        unclassified_volume=stretch.total - classified,
        tick_volume=0 if own is None else own.volume,
        vwap=sums.turnover / sums.seen if sums.seen else None,
        tick_count=0 if own is None else own.count,
        min_delta=sums.least,
        max_delta=sums.greatest,
        imbalance=delta / classified if classified else None,
        delta_band=delta_band,
        confidence=grade(delta_band, stretch.total - auction, classified, sums.one_sided),
        exchange_bar=stretch.exchange_bar,
        gap=sums.unseen or stretch.total - stretch.auction > sums.seen,
        tick_open=ticks.open,
        tick_high=ticks.high,
        tick_low=ticks.low,
        tick_close=ticks.close,
        tick_buy_volume=0 if own is None else own.buy,
        tick_sell_volume=0 if own is None else own.sell,
        source=source,
        final_by=stretch.final_by,
        auction_volume=auction,
        session_phase=stretch.session_phase,
    )
    return FinalMinute(candle, _levels(instrument, sums, shown.low, shown.high))


def _levels(instrument: str, sums: _Sums, low: float | None, high: float | None) -> tuple[PriceLevel, ...]:
    """Return the footprint; volume assigned to other prices is moved there, unless the price is outside the candle's range."""
    moved = [
        (trade.price, price, buy, sell)
        for trade in sums.spread
        for price, buy, sell in trade.elsewhere
        if low is not None and high is not None and low <= price <= high
    ]
    prices = [*sums.levels, *(price for _, price, _, _ in moved)]
    numbers, unit = whole_numbers(instrument, prices)
    levels: dict[int, list[int]] = {}
    for number, volumes in zip(numbers, sums.levels.values(), strict=False):
        known = levels.get(number)
        levels[number] = volumes if known is None else [before + added for before, added in zip(known, volumes, strict=True)]
    number_of = dict(zip(prices, numbers, strict=True)) if moved else {}
    for last, price, buy, sell in moved:
        level, at_last = levels.setdefault(number_of[price], [0, 0, 0]), levels[number_of[last]]
        level[0] += buy
        level[1] += sell
        at_last[0] -= buy
        at_last[1] -= sell
    return tuple(PriceLevel._make((number, *levels[number], unit)) for number in sorted(levels))
