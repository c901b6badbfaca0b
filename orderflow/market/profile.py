"""Volume profile: how much traded at each price, its point of control and its value area.

Prices are integers, whole numbers of one unit (`market.price_unit`), so that levels compare exactly.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from orderflow.market.footprint import Level
from orderflow.market.price_unit import in_units
from orderflow.market.trade import Trade

VALUE_AREA_SHARE: Final = 0.7


class ValueArea(NamedTuple):
    """The price range that holds the value area's share of volume, and the price with the most."""

    low: int
    point_of_control: int
    high: int


def profile_of_trades(trades: Iterable[Trade], unit: int) -> dict[int, int]:
    """Return {price: volume}, each trade booked at its last price; `unit` prices are a rupee (`price_unit.price_unit`)."""
    found: Counter[int] = Counter()
    for trade in trades:
        found[in_units(trade.price, unit)] += trade.volume
    return dict(sorted(found.items()))


def profile_of_levels(levels: Iterable[Level]) -> dict[int, int]:
    """Return {price: volume} of footprint levels of one unit, of one candle or of many."""
    found: Counter[int] = Counter()
    for level in levels:
        found[level.price] += level.volume
    return dict(sorted(found.items()))


def rows_of(profile: Mapping[int, int], step: int) -> dict[int, int]:
    """Gather a profile into rows `step` units high, each named by its lowest price; raise ValueError when step < 1."""
    if step < 1:
        raise ValueError(f"step={step} units; it must be 1 or more")
    found: Counter[int] = Counter()
    for price, volume in profile.items():
        found[price // step * step] += volume
    return dict(sorted(found.items()))


def point_of_control(profile: Mapping[int, int]) -> int | None:
    """Return the price with the most volume; among equals the nearest to the middle of the range, then the lower.

    None when nothing traded.
    """
    traded = {price: volume for price, volume in profile.items() if volume > 0}
    if not traded:
        return None
    ends = min(traded) + max(traded)
    return min(traded, key=lambda price: (-traded[price], abs(2 * price - ends), price))


def value_area(profile: Mapping[int, int], share: float = VALUE_AREA_SHARE) -> ValueArea | None:
    """Return the value area by the exchange floor's rule (CBOT Market Profile): two rows at a time.

    From the point of control, the two traded rows above and the two below are summed; the larger pair joins (the upper
    when equal), until the area holds at least `share` of the volume. Near an end a pair may be a single row. None when
    nothing traded.
    """
    control = point_of_control(profile)
    if control is None:
        return None
    prices = sorted(price for price, volume in profile.items() if volume > 0)
    target = share * sum(profile[price] for price in prices)
    low = high = prices.index(control)
    held = profile[control]
    while held < target:
        above, below = prices[high + 1 : high + 3], prices[max(low - 2, 0) : low]
        volume_above, volume_below = (sum(profile[price] for price in pair) for pair in (above, below))
        if volume_above >= volume_below:
            high, held = high + len(above), held + volume_above
        else:
            low, held = low - len(below), held + volume_below
    return ValueArea(prices[low], control, prices[high])
