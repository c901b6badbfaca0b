"""Rules that spread an update's volume over prices, each a pure function of the update and the one before.

Every rule leaves a single trade, and the last quantity of any update, at the last price, and hands out whole numbers that
add up to the update's volume and sides.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

Prices = list[tuple[int, int]]
"""(price in paise, volume), which add up to an update's volume."""

Bookings = list[tuple[int, int, int, int]]
"""(price in paise, buy, sell, unclassified)."""


class Move(NamedTuple):
    """What two consecutive updates say about where the volume between them traded; prices in paise.

    `elsewhere` is what the engine's own rule makes of them.
    """

    tick: int
    prev_ltp: int | None
    ltp: int
    prev_bid: int | None
    prev_ask: int | None
    bid: int | None
    ask: int | None
    prev_bid_quantity: int
    prev_ask_quantity: int
    ltq: int
    buy: int
    sell: int
    unclassified: int
    elsewhere: tuple[tuple[int, int, int], ...]

    @property
    def volume(self) -> int:
        """Return all volume of the update."""
        return self.buy + self.sell + self.unclassified

    @property
    def rest(self) -> int:
        """Return the volume beyond the last trade; 0 for a single trade."""
        return max(self.volume - self.ltq, 0) if self.ltq > 0 else 0


Rule = Callable[[Move], Bookings]


def last(move: Move) -> Bookings:
    """Book everything at the last price."""
    return [(move.ltp, move.buy, move.sell, move.unclassified)]


def uniform(move: Move) -> Bookings:
    """Spread the rest evenly over the ticks from the previous last price to the last."""
    path = travelled(move)
    return with_sides(move, ramp(path, [1] * len(path), move.rest))


def weighted(move: Move) -> Bookings:
    """Spread the rest over the same ticks, with weights that rise in equal steps to the last price."""
    path = travelled(move)
    return with_sides(move, ramp(path, list(range(1, len(path) + 1)), move.rest))


def halved(move: Move) -> Bookings:
    """Leave half of the rest at the last price and spread the other half evenly over the same ticks."""
    path = travelled(move)
    return with_sides(move, ramp(path, [1] * (len(path) - 1) + [len(path) + 1], move.rest))


def previous(move: Move) -> Bookings:
    """Book half of the rest at the previous last price: two prices, no tick size needed."""
    path = travelled(move)
    return with_sides(move, [(path[0], move.rest // 2)] if len(path) > 1 else [])


def other_side(move: Move) -> Bookings:
    """Book the smaller side's volume at its touch of the previous quote, the larger side's at the last price."""
    return other_touch(move) or last(move)


def queue(move: Move) -> Bookings:
    """Where the last price is beyond the previous quote: that quote's queue at its price, no tick size needed."""
    return with_sides(move, sweep(move)[:1])


def swept_other_side(move: Move) -> Bookings:
    """Book the smaller side's volume at its touch, the larger side's queue at its price and the rest evenly on to the last."""
    touch = other_touch(move)
    if not touch:
        return with_sides(move, sweep(move))
    _, buy, sell, _ = touch[0]
    rest = move._replace(buy=buy, sell=sell)
    return with_sides(rest, sweep(rest)) + touch[1:]


def engine(move: Move) -> Bookings:
    """Book as `orderflow.market.engine.prices` does: the smaller side at its touch, the larger side's queue at its price."""
    buy, sell = (sum(part[side] for part in move.elsewhere) for side in (1, 2))
    at_last = (move.ltp, move.buy - buy, move.sell - sell, move.unclassified)
    return [at_last, *((*part, 0) for part in move.elsewhere)]


RULES: Final[dict[str, Rule]] = {
    "last price": last,
    "uniform": uniform,
    "weighted": weighted,
    "half uniform": halved,
    "half previous": previous,
    "other side": other_side,
    "queue": queue,
    "queue, other side": engine,
    "swept, other side": swept_other_side,
}


def travelled(move: Move) -> list[int]:
    """Return the ticks from the previous last price to the last, without those outside both updates' quotes."""
    if move.prev_ltp is None or move.prev_ltp == move.ltp or not move.rest:
        return [move.ltp]
    bids = [price for price in (move.prev_bid, move.bid) if price is not None]
    asks = [price for price in (move.prev_ask, move.ask) if price is not None]
    least, most = min(bids, default=move.ltp), max(asks, default=move.ltp)
    step = move.tick if move.ltp > move.prev_ltp else -move.tick
    return [price for price in range(move.prev_ltp, move.ltp, step) if least <= price <= most] + [move.ltp]


def ramp(path: list[int], weights: list[int], volume: int) -> Prices:
    """Share `volume` over a path by weight, in whole numbers."""
    total, done, before, shares = sum(weights), 0, 0, []
    for price, weight in zip(path, weights, strict=True):
        done += weight
        upto = volume * done // total
        shares.append((price, upto - before))
        before = upto
    return shares


def sweep(move: Move) -> Prices:
    """Return what of the rest the previous quote's queue and the ticks behind it take."""
    for quote, queue, step in (
        (move.prev_ask, move.prev_ask_quantity, move.tick),
        (move.prev_bid, move.prev_bid_quantity, -move.tick),
    ):
        if quote is not None and (move.ltp - quote) * step > 0 and move.rest:
            first = min(queue, move.rest)
            path = [*range(quote + step, move.ltp, step), move.ltp]
            return [(quote, first), *ramp(path, [1] * len(path), move.rest - first)]
    return []


def other_touch(move: Move) -> Bookings:
    """Return the larger side at the last price and the smaller at the previous quote's far touch; nothing where it has none."""
    small = min(move.buy, move.sell, move.rest)
    touch = move.prev_bid if move.buy >= move.sell else move.prev_ask
    if not small or touch is None or move.unclassified:
        return []
    if move.buy >= move.sell:
        return [(move.ltp, move.buy, move.sell - small, 0), (min(touch, move.ltp), 0, small, 0)]
    return [(move.ltp, move.buy - small, move.sell, 0), (max(touch, move.ltp), small, 0, 0)]


def with_sides(move: Move, distances: Prices) -> Bookings:
    """Give each price its share of either side; what is not `away` is at the last price."""
    volume, done, bought, bookings = move.volume, 0, 0, []
    at_last = volume - sum(part for _, part in distances)
    for price, part in [*distances, (move.ltp, at_last)]:
        if part:
            done += part
            upto = move.buy * done // volume
            buy = upto - bought
            bought = upto
            bookings.append((price, 0, 0, part) if move.unclassified else (price, buy, part - buy, 0))
    return bookings
