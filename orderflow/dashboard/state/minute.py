"""One minute of an instrument, unpacked while it changes and packed afterwards; and volume by price.

Levels are in the finest unit of price (`price_unit.FINEST` a rupee), whatever unit a record has.
"""

from __future__ import annotations

import marshal
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, fields
from operator import attrgetter, itemgetter
from typing import Final

from orderflow.market.candle import Candle
from orderflow.market.footprint import Level
from orderflow.market.price_unit import FINEST
from orderflow.market.trade import Trade

_CANDLE_NAMES: Final = tuple(name for name in Candle.__struct_fields__ if name != "instrument")
_candle_values = attrgetter(*_CANDLE_NAMES)
_SUMS: Final = ("close", "total_volume", "delta", "imbalance")
_sums_of_candle = attrgetter(*_SUMS)
_sums_of_values = itemgetter(*(_CANDLE_NAMES.index(name) for name in _SUMS))
Sums = tuple[float | None, int, int, float | None]
"""A minute's close, volume, delta and imbalance."""


@dataclass(slots=True)
class Flow:
    """The order flow of one minute: the running fold of its trades, or its final candle."""

    end_ms: int
    levels_final: bool = False
    open: float | None = None
    high: float | None = None
    low: float | None = None
    close: float | None = None
    open_key: tuple[int, int] = (0, 0)
    close_key: tuple[int, int] = (0, 0)
    buy: int = 0
    sell: int = 0
    unclassified: int = 0
    turnover: float = 0.0
    trades: int = 0
    min_delta: int = 0
    max_delta: int = 0
    tbq: int | None = None
    tsq: int | None = None
    gap: bool = False
    final: Candle | None = None
    levels: dict[int, list[int]] = field(default_factory=dict)

    def fold(self, trade: Trade, order: int) -> None:
        """Add one trade to the forming minute; `order` breaks ties of equal event times."""
        key = (trade.event_time_ms, order)
        price = trade.price
        if self.trades == 0:
            self.open = self.high = self.low = self.close = price
            self.open_key = self.close_key = key
        else:
            if key < self.open_key:
                self.open, self.open_key = price, key
            if key >= self.close_key:
                self.close, self.close_key = price, key
            self.high = price if self.high is None else max(self.high, price)
            self.low = price if self.low is None else min(self.low, price)
        self.trades += 1
        self.buy += trade.buy_volume
        self.sell += trade.sell_volume
        self.unclassified += trade.unclassified_volume
        self.turnover += price * trade.volume
        delta = self.buy - self.sell
        self.min_delta, self.max_delta = min(self.min_delta, delta), max(self.max_delta, delta)
        self.tbq = self.tbq if trade.tbq is None else trade.tbq
        self.tsq = self.tsq if trade.tsq is None else trade.tsq
        self.gap = self.gap or trade.gap

    @property
    def spans_gap(self) -> bool:
        """Return whether some of the volume passed during an outage."""
        return self.final.gap if self.final is not None else self.gap

    def priced_levels(self) -> Iterator[Level]:
        """Yield the volume whose price is known.

        The prices of an outage's volume are unknown; it is recorded at the first price afterwards. It is the unclassified
        volume of a minute that spans a gap.
        """
        known = not self.spans_gap
        for price, (buy, sell, unclassified) in self.levels.items():
            if buy or sell or (known and unclassified):
                yield Level(price, buy, sell, unclassified if known else 0)

    def priced_volumes(self) -> list[tuple[int, int]]:
        """Return (price in finest units, volume) of the volume whose price is known."""
        if self.spans_gap:
            return [(price, buy + sell) for price, (buy, sell, _) in self.levels.items() if buy or sell]
        return [(price, total) for price, volumes in self.levels.items() if (total := sum(volumes)) or any(volumes)]

    def candle(self, instrument: str, start_ms: int) -> Candle:
        """Return the final candle, or the forming one as known so far."""
        if self.final is not None:
            return self.final
        total = self.buy + self.sell + self.unclassified
        classified = self.buy + self.sell
        return Candle(
            start_ms=start_ms,
            end_ms=self.end_ms,
            instrument=instrument,
            open=self.open,
            high=self.high,
            low=self.low,
            close=self.close,
            buy_volume=self.buy,
            sell_volume=self.sell,
            total_volume=total,
            delta=self.buy - self.sell,
            tbq=self.tbq,
            tsq=self.tsq,
            unclassified_volume=self.unclassified,
            tick_volume=total,
            vwap=self.turnover / total if total else None,
            tick_count=self.trades,
            min_delta=self.min_delta,
            max_delta=self.max_delta,
            imbalance=(self.buy - self.sell) / classified if classified else None,
            gap=self.gap,
        )

    def packed(self) -> bytes:
        """Return the flow as bytes; `unpacked` is the inverse."""
        final = None if self.final is None else _candle_values(self.final)
        levels = [part for price, volumes in self.levels.items() for part in (price, *volumes)]
        return zlib.compress(marshal.dumps((final, levels, _flow_values(self))), 1)

    @classmethod
    def unpacked(cls, packed: bytes, instrument: str) -> Flow:
        """Build it from what `packed` returned."""
        final, levels, values = marshal.loads(zlib.decompress(packed))
        flow = cls(*values)
        if final is not None:
            flow.final = Candle(instrument=instrument, **dict(zip(_CANDLE_NAMES, final, strict=True)))
        flow.levels = {levels[at]: levels[at + 1 : at + 4] for at in range(0, len(levels), 4)}
        return flow


_FLOW_NAMES: Final = tuple(field.name for field in fields(Flow) if field.name not in ("final", "levels"))
_flow_values = attrgetter(*_FLOW_NAMES)


class Minute:
    """One minute of one instrument; its flow is unpacked while it changes, and packed afterwards.

    With `after_close` it holds all volume of a phase after continuous trading, and is a separate window.
    """

    __slots__ = ("_flow", "after_close", "final", "instrument", "revision", "start_ms", "traded")

    def __init__(self, instrument: str, start_ms: int, end_ms: int) -> None:
        self.instrument = instrument
        self.start_ms = start_ms
        self.revision = 0
        self.final = False
        self.after_close = False
        self.traded = False
        self._flow: Flow | bytes = Flow(end_ms)

    @property
    def flow(self) -> Flow:
        """Return the minute's flow, to be read: of a packed minute it is a copy."""
        held = self._flow
        return held if isinstance(held, Flow) else Flow.unpacked(held, self.instrument)

    def sums(self) -> Sums:
        """Return the values of the minute that the watch list needs, in a third of the time of unpacking it."""
        if self.final and isinstance(self._flow, bytes):
            sums: Sums = _sums_of_values(marshal.loads(zlib.decompress(self._flow))[0])
            return sums
        return _sums_of_candle(self.flow.candle(self.instrument, self.start_ms))

    def open(self) -> Flow:
        """Return the minute's flow, to be changed."""
        flow = self._flow = self.flow
        return flow

    def pack(self) -> int:
        """Keep the flow as bytes until it is opened again; return how many."""
        if isinstance(self._flow, Flow):
            self._flow = self._flow.packed()
        return len(self._flow)


class Profile:
    """A day's volume by price: `levels` in finest units to buy, sell, unclassified; `unpriced` is of outages, at no price."""

    def __init__(self) -> None:
        self.levels: dict[int, list[int]] = {}
        self.unpriced = 0

    def add(self, price: int, buy: int, sell: int, unclassified: int, *, gap: bool = False) -> None:
        """Add volume at a price; in a minute that spans a gap, what is unclassified has no price."""
        if gap:
            self.unpriced += unclassified
            unclassified = 0
        level = self.levels.get(price)
        if level is None:
            level = self.levels[price] = [0, 0, 0]
        level[0] += buy
        level[1] += sell
        level[2] += unclassified
        if level == [0, 0, 0]:
            del self.levels[price]


def profile_of(minutes: Iterable[Minute]) -> Profile:
    """Add up the volume of minutes by price."""
    profile = Profile()
    for minute in minutes:
        flow = minute.flow
        for price, volumes in flow.levels.items():
            profile.add(price, *volumes, gap=flow.spans_gap)
    return profile


def moments_of(flow: Flow, candle: Candle, levels: list[tuple[int, int]]) -> tuple[int, float, float]:
    """Return a minute's volume of known prices, their mean and their variance, in rupees.

    `candle` is the minute's, and `levels` its `priced_volumes`.
    """
    volume, mean, variance = _moments(levels)
    if flow.spans_gap and volume:
        return volume, mean, variance
    mean = candle.vwap if candle.vwap is not None else candle.close or 0.0
    return candle.total_volume - (candle.unclassified_volume if flow.spans_gap else 0), mean, variance


def _moments(levels: list[tuple[int, int]]) -> tuple[int, float, float]:
    volume = sum(size for _, size in levels)
    if volume <= 0:
        return 0, 0.0, 0.0
    mean = sum(price * size for price, size in levels) / volume
    spread = sum((price - mean) ** 2 * size for price, size in levels) / volume
    return volume, mean / FINEST, spread / FINEST**2
