"""The chart's rows as columns of numbers: candles with what belongs to them, the day's volume profile, outages.

This module has no state and draws nothing: the page turns the numbers into lines, bars and colours.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from math import gcd
from typing import Any, Final

from orderflow.dashboard.state.row import Row
from orderflow.market.price_unit import FINEST
from orderflow.market.profile import ValueArea, value_area
from orderflow.market.times import IST_OFFSET_MS

Columns = dict[str, Any]
_LARGEST_TICK: Final = 5 * FINEST
_TICKS: Final[tuple[int, ...]] = tuple(base * 10**power for power in range(6) for base in (1, 2, 5))


@lru_cache(maxsize=4096)
def label(time_ms: int) -> str:
    """Return a time as the page's rows are labelled, in IST: 2025-12-15 09:15:00."""
    return datetime.fromtimestamp((time_ms + IST_OFFSET_MS) // 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")


def facts(rows: Sequence[Row]) -> Columns:
    """Return by column the values that the page draws, shows in its legend and writes to CSV; `sigma` is in rupees."""
    candles = [row.candle for row in rows]
    names = (
        "open",
        "high",
        "low",
        "close",
        "total_volume",
        "buy_volume",
        "sell_volume",
        "unclassified_volume",
        "delta",
        "min_delta",
        "max_delta",
        "delta_band",
        "confidence",
        "imbalance",
        "exchange_bar",
        "gap",
        "session_phase",
        "auction_volume",
        "tick_volume",
        "tick_count",
        "tbq",
        "tsq",
        "source",
    )
    return {
        "x": [label(candle.start_ms) for candle in candles],
        "window_end": [label(candle.end_ms) for candle in candles],
        **{name: [getattr(candle, name) for candle in candles] for name in names},
        "cvd": [row.cvd for row in rows],
        "vwap": [_rounded(row.vwap) for row in rows],
        "sigma": [_rounded(row.sigma) for row in rows],
        "final": [row.final for row in rows],
    }


def _rounded(price: float | None) -> float | None:
    return None if price is None else round(price, 4)


@dataclass(frozen=True, slots=True)
class Profile:
    """A day's volume by price, gathered to rows of `step` finest units; `rows` maps a row's lowest price to its volumes by side.

    `area` is found by single ticks; rows are for drawing alone.
    `unpriced` is the volume of outages, whose prices nobody saw: in no row, and not in the value area.
    """

    step: int
    tick: int
    rows: dict[int, list[int]]
    area: ValueArea | None
    unpriced: int = 0

    def middle(self, price: int) -> float:
        """Return the middle of a row in rupees; of a row of one tick, its price."""
        return in_rupees(price + (self.step - self.tick) / 2)


def in_rupees(price: float) -> float:
    """Return a price in finest units, or between two of them, in rupees."""
    return round(price / FINEST, 6)


def tick_size(prices: Iterable[int]) -> int:
    """Return the largest step in finest units, up to five rupees, that divides all prices: the tick, once a few traded."""
    return gcd(_LARGEST_TICK, *prices)


def price_step(prices: Iterable[int], rows: int = 90) -> int:
    """Return the height in finest units of one row so that the prices' range takes at most `rows`: 1, 2, 5, 10 … ticks."""
    held = list(prices)
    tick, span = tick_size(held), max(held) - min(held) if held else 0
    return tick * next((step for step in _TICKS if span <= rows * tick * step), _TICKS[-1])


def profile_of(levels: Mapping[int, Sequence[int]], unpriced: int = 0) -> Profile:
    """Find the value area of levels (price in finest units to buy, sell, unclassified), and gather them to legible rows."""
    step, tick = price_step(levels), tick_size(levels)
    rows: dict[int, list[int]] = {}
    for price, volumes in levels.items():
        row = rows.setdefault(price // step * step, [0, 0, 0])
        for side in range(3):
            row[side] += volumes[side]
    return Profile(step, tick, rows, value_area({price: sum(volumes) for price, volumes in levels.items()}), unpriced)


def profile_levels(profile: Profile) -> dict[str, float | None]:
    """Return point of control and value area in rupees, to the tick; None while nothing traded."""
    area = profile.area
    if area is None:
        return {"poc": None, "low": None, "high": None}
    return {"poc": in_rupees(area.point_of_control), "low": in_rupees(area.low), "high": in_rupees(area.high)}


def profile_columns(profile: Profile) -> Columns:
    """Return the rows of the volume profile, lowest first: `price` is a row's middle and `height` its height, in rupees.

    `inside` tells the rows of the value area; `unpriced` is the volume that belongs to no row.
    """
    prices, area = sorted(profile.rows), profile.area
    sides = {name: [profile.rows[price][at] for price in prices] for at, name in enumerate(("buy", "sell", "unclassified"))}
    return {
        "price": [profile.middle(price) for price in prices],
        "height": in_rupees(profile.step),
        **sides,
        "inside": [area is not None and area.low < price + profile.step and price <= area.high for price in prices],
        "unpriced": profile.unpriced,
        **profile_levels(profile),
    }


def gaps(spans: Iterable[tuple[int, int]]) -> list[tuple[str, str]]:
    """Return outages, each (from_ms, to_ms), as labels."""
    return [(label(start), label(end)) for start, end in spans]
