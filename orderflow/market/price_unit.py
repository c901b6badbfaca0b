"""One integer unit of price for each instrument, so that no two prices share a level of a footprint and none becomes 0.

Units are written as their number in a rupee, which is whole for every tick that an exchange uses:

    tick     0.05   0.01   0.0025   0.0001   1   5
    unit     0.05   0.01   0.0025   0.0001   1   1
    a rupee    20    100      400    10000   1   1

A price that is no multiple of the tick exists: the master is of today, and a tick changes with the share's price. Such
a price needs a finer unit (`PriceUnit.including`). Levels of one instrument and day must have one unit.
"""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from fractions import Fraction
from math import isfinite, lcm
from typing import Final, NamedTuple

from orderflow.market.conformity import MOST_PRICE
from orderflow.market.timetable import CURRENCY

FINEST: Final = 10_000
"""Units in a rupee: no Indian exchange quotes in less than a hundredth of a paisa."""

_PAISE: Final = 100


class PriceUnit(NamedTuple):
    """`in_rupee` units are a rupee; `tick` is the smallest step of the price, in units."""

    in_rupee: int
    tick: int = 1

    @property
    def rupees(self) -> float:
        """Return the unit in rupees, for example 0.0025."""
        return 1 / self.in_rupee

    def units(self, price: float) -> int:
        """Return a price in units: the nearest that is not 0. Raises ValueError on 0 and on what cannot be a price.

        Prices of commodities may be negative.
        """
        if price == 0.0 or not -MOST_PRICE < price < MOST_PRICE:
            raise ValueError(f"{price} is no price")
        return round(price * self.in_rupee) or (1 if price > 0.0 else -1)

    def price(self, units: int) -> float:
        """Return the price of a level in rupees: the float nearest to it, as its decimals would be read."""
        return units / self.in_rupee

    def holds(self, price: float) -> bool:
        """Say whether a price is a whole number of units."""
        return _fraction(price) * self.in_rupee % 1 == 0

    def including(self, price: float) -> PriceUnit:
        """Return this unit if it holds the price, else the coarsest finer one that does, down to `FINEST`."""
        if self.holds(price):
            return self
        in_rupee = lcm(self.in_rupee, _fraction(price).denominator)
        finer = in_rupee if in_rupee <= FINEST and FINEST % in_rupee == 0 else FINEST
        return PriceUnit(finer, self.tick * finer // self.in_rupee)


def price_unit(segment: str, tick_size_paise: float | None = None) -> PriceUnit:
    """Return the unit of an instrument from the master's `tick_size`, which is in paise.

    Without a usable one, the unit is a paisa, and for currency the finest, which holds the tick of every pair.
    """
    tick = _tick(tick_size_paise)
    if tick is None:
        return PriceUnit(FINEST if segment in CURRENCY else _PAISE)
    if tick.numerator == 1:
        return PriceUnit(tick.denominator)
    return PriceUnit(tick.denominator, tick.numerator)


def _tick(tick_size_paise: float | None) -> Fraction | None:
    if tick_size_paise is None or not isfinite(tick_size_paise) or not 0 < tick_size_paise < MOST_PRICE:
        return None
    tick = _fraction(tick_size_paise) / _PAISE
    return tick if FINEST % tick.denominator == 0 else None


def _fraction(price: float) -> Fraction:
    """Return the decimal number that a float was read from, exactly."""
    try:
        return Fraction(Decimal(repr(float(price))))
    except (InvalidOperation, ValueError, OverflowError) as error:
        raise ValueError(f"{price} is no price") from error
