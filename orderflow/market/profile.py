"""Point of control and value area of a volume profile, which is the volume at each price.

Prices are integers, whole numbers of one unit (`market.price_unit`), so that levels compare exactly.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

VALUE_AREA_SHARE: Final = 0.7


class ValueArea(NamedTuple):
    """The price range that holds the value area's share of volume, and the price with the most."""

    low: int
    point_of_control: int
    high: int


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
