"""Assigns an update's volume to prices, as far as this update and the previous one show where it traded."""

from __future__ import annotations

from orderflow.market.tick import Tick

Elsewhere = tuple[tuple[float, int, int], ...]
"""(price, buy, sell) for each part of an update's volume that did not trade at its last price."""

NOWHERE_ELSE: Elsewhere = ()


def elsewhere(tick: Tick, buy: int, sell: int) -> Elsewhere:
    """Return the parts of an update's volume, split into `buy` and `sell`, that did not trade at the last price.

    Example: 900 bought and 100 sold, last price 100.20, last quantity 50, previous quote 100.00 / 100.10:

        100.20  last price      buy 550    what is left, the last trade among it
        100.10  previous ask    buy 350    its whole queue, which stood before any order at 100.20
        100.00  previous bid    sell 100   the smaller side, at the price it trades at

    Sells mirror buys. A single trade is at the last price alone, and so is the last quantity of any update.
    """
    volume, price, last = buy + sell, tick.ltp, tick.ltq or 0
    if price is None or not 0 < last < volume:
        return NOWHERE_ELSE
    rest, bid, ask = volume - last, tick.prev_bid, tick.prev_ask
    bookings: Elsewhere = NOWHERE_ELSE
    if buy >= sell:
        if sell and bid is not None and bid < price:
            smaller = sell if sell < rest else rest
            bookings, rest = ((bid, 0, smaller),), rest - smaller
        if ask is not None and ask < price:
            queue = min(tick.prev_ask_quantity or 0, rest, buy)
            if queue > 0:
                bookings = (*bookings, (ask, queue, 0))
    else:
        if buy and ask is not None and ask > price:
            smaller = buy if buy < rest else rest
            bookings, rest = ((ask, smaller, 0),), rest - smaller
        if bid is not None and bid > price:
            queue = min(tick.prev_bid_quantity or 0, rest, sell)
            if queue > 0:
                bookings = (*bookings, (bid, 0, queue))
    return bookings
