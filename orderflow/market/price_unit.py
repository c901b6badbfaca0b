"""Represents prices in a footprint and a profile as integers, such that different prices are different numbers.

A unit is written as its number in a rupee, the `price_unit` of a footprint level:

    price      price_unit    level
    100.05            100    10005     paise: shares, their derivatives, commodities
    -37.00            100    -3700
    90.4275        10,000    904275    hundredths of a paisa: currency, whose ticks are 0.0025 and 0.0001
    100.125        10,000    1001250   a price of a share that is not of whole paise, with all levels of its minute

`FINEST` holds the tick of every Indian exchange. Two prices share a level only when they are less than that apart, as
0.3 and 0.1 + 0.2 are.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from math import gcd, lcm
from typing import Final

from orderflow.market.errors import DecodeError
from orderflow.market.timetable import CURRENCY

PAISE: Final = 100
"""Also the unit of levels without a `price_unit`, which were published before the field existed."""

FINEST: Final = 10_000

PRICE_UNITS: Final = tuple(unit for unit in range(1, FINEST + 1) if FINEST % unit == 0)
"""Units that a level may have: each holds a whole number of the finest."""


@lru_cache(maxsize=8192)
def usual_unit(instrument_key: str) -> int:
    """Return the unit of an instrument's, or a segment's, ordinary prices."""
    return FINEST if instrument_key.partition("|")[0] in CURRENCY else PAISE


def decimals(instrument_key: str) -> int:
    """Return how many decimals the prices of an instrument, or a segment, are shown with."""
    return 4 if usual_unit(instrument_key) == FINEST else 2


def currency_decimals() -> dict[str, int]:
    """Return how many decimals prices are shown with, by segment, where they are not two."""
    return {segment: decimals(segment) for segment in CURRENCY}


def price_unit(instrument_key: str, prices: Iterable[float]) -> int:
    """Return the unit in which these prices of an instrument are whole numbers: by its segment, else the finest."""
    return whole_numbers(instrument_key, prices)[1]


def whole_numbers(instrument_key: str, prices: Iterable[float]) -> tuple[list[int], int]:
    """Return prices of an instrument as numbers of their `price_unit`, in their order, and that unit."""
    numbers = [round(price * FINEST) or in_units(price, FINEST) for price in prices]
    unit = usual_unit(instrument_key)
    divisor = FINEST // unit
    if gcd(divisor, *numbers) != divisor:
        return numbers, FINEST
    return [number // divisor for number in numbers], unit


def in_units(price: float, unit: int) -> int:
    """Return a rupee price as the nearest whole number of units that is not 0."""
    return round(price * unit) or (-1 if price < 0.0 else 1)


def in_finest(level: int, unit: int | None) -> int:
    """Return a level's price in the finest unit; `unit` is its `price_unit`. Raises DecodeError when that is none."""
    if unit is None:
        unit = PAISE
    if unit not in _PRICE_UNITS:
        raise DecodeError("unknown_price_unit", f"{unit} units a rupee")
    return level * (FINEST // unit)


def from_finest(instrument_key: str, levels: Iterable[int]) -> tuple[int, int]:
    """Return what divides these levels, prices in the finest unit, to give them in `price_unit`'s, and that unit."""
    unit = usual_unit(instrument_key)
    if any(level % (FINEST // unit) for level in levels):
        unit = FINEST
    return FINEST // unit, unit


def common_unit(units: Iterable[int]) -> int:
    """Return the coarsest unit that holds levels of all these units; paise for none."""
    distinct = set(units)
    return lcm(*distinct) if distinct else PAISE


_PRICE_UNITS: Final = frozenset(PRICE_UNITS)
