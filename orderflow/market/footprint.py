"""Footprint: buying and selling at each price of a candle, and the patterns that readers look for in it.

Prices are integers, whole numbers of one unit (`market.price_unit`). An update hides trades at other prices than its
last, and only some of their volume can be assigned to these prices, so single levels are not exact (docs/ORDER_FLOW.md
gives the error).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, Literal, NamedTuple

Side = Literal["buy", "sell"]

DIAGONAL_RATIO: Final = 3.0
STACK_OF: Final = 3


class Level(NamedTuple):
    """One price of a candle's footprint; price in units, volumes in shares or contracts."""

    price: int
    buy: int
    sell: int
    unclassified: int = 0

    @property
    def volume(self) -> int:
        """Return all volume at the price."""
        return self.buy + self.sell + self.unclassified

    @property
    def delta(self) -> int:
        """Return buy minus sell volume at the price."""
        return self.buy - self.sell


class Imbalance(NamedTuple):
    """A price at which one side outweighs the other diagonally."""

    price: int
    side: Side


class Stack(NamedTuple):
    """Imbalances of one side at neighbouring prices, from `low` to `high` inclusive."""

    side: Side
    low: int
    high: int


def merge_levels(levels: Iterable[Level]) -> list[Level]:
    """Add up levels of equal price, lowest price first; for the footprint of several minutes."""
    by_price: dict[int, Level] = {}
    for level in levels:
        known = by_price.get(level.price, Level(level.price, 0, 0, 0))
        by_price[level.price] = Level(
            level.price, known.buy + level.buy, known.sell + level.sell, known.unclassified + level.unclassified
        )
    return [by_price[price] for price in sorted(by_price)]


def diagonal_imbalances(
    levels: Iterable[Level], tick: int, ratio: float = DIAGONAL_RATIO, min_volume: float = 1, *, ignore_zero: bool = False
) -> list[Imbalance]:
    """Return the diagonal imbalances of one candle, lowest price first, buy before sell.

    Buyers at a price lift offers there while sellers hit bids one `tick` (in units) lower, so buying at a price is weighed
    against selling one tick below, and selling against buying one tick above. It is an imbalance when it is at least
    `min_volume` and at least `ratio` times the other (300 % by default); an untraded price inside the candle's range
    weighs 0, and beyond the range there is nothing to weigh against. With `ignore_zero` nothing is weighed against 0 either.
    """
    by_price = {level.price: level for level in levels}
    imbalances: list[Imbalance] = []
    lowest, highest = min(by_price, default=0), max(by_price, default=0)
    for price in sorted(by_price):
        level = by_price[price]
        below, above = by_price.get(price - tick), by_price.get(price + tick)
        sold, bought = (below.sell if below else 0), (above.buy if above else 0)
        if price > lowest and level.buy >= max(ratio * sold, min_volume) and (sold or not ignore_zero):
            imbalances.append(Imbalance(price, "buy"))
        if price < highest and level.sell >= max(ratio * bought, min_volume) and (bought or not ignore_zero):
            imbalances.append(Imbalance(price, "sell"))
    return imbalances


def stacked_imbalances(imbalances: Iterable[Imbalance], tick: int, count: int = STACK_OF) -> list[Stack]:
    """Return the runs of at least `count` imbalances of one side at prices one `tick` (in units) apart, lowest first."""
    stacks: list[Stack] = []
    sides: tuple[Side, ...] = ("buy", "sell")
    known = set(imbalances)
    for side in sides:
        prices = sorted(imbalance.price for imbalance in known if imbalance.side == side)
        run: list[int] = []
        for price in [*prices, None]:
            if price is not None and (not run or price == run[-1] + tick):
                run.append(price)
                continue
            if len(run) >= count:
                stacks.append(Stack(side, run[0], run[-1]))
            run = [] if price is None else [price]
    return sorted(stacks, key=lambda stack: (stack.low, stack.side))


def unfinished_auctions(levels: Iterable[Level]) -> list[Imbalance]:
    """Return the ends of the candle at which both sides traded: the auction there was not finished.

    A finished auction has no selling at the high, and no buying at the low. The high is reported as `buy`, the low as
    `sell`: the direction in which price may come back for it.
    """
    traded = [level for level in levels if level.buy or level.sell]
    if not traded:
        return []
    low, high = min(traded), max(traded)
    at_low = [Imbalance(low.price, "sell")] if low.buy and low.sell else []
    return at_low + ([Imbalance(high.price, "buy")] if high.buy and high.sell else [])
