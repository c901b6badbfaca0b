"""Who started the trades behind an update: its traded volume, split into buyer- and seller-initiated.

Everything here looks at one update and the one before it, never further. `processing/aggressor.py` holds the same
formulas as Spark expressions; a property test holds the two equal.

The book in an update is the book after the trade, so every rule compares the last price with the quote of the update
before (see docs/ORDER_FLOW.md for what the usual comparison with the same update's quote costs).
"""

from __future__ import annotations

import math
from typing import Final, Literal, NamedTuple, get_args

Rule = Literal["split", "lee_ready", "emo", "clnv"]
RULES: Final[tuple[str, ...]] = get_args(Rule)

# Two prices closer than this share of bid + ask are equal: it absorbs binary rounding, and no market's tick is as small.
PRICE_TOLERANCE: Final = 1e-12
# CLNV: a price within this share of the spread from a touch counts as at the touch.
TOUCH_ZONE: Final = 0.3

# The estimator's constants; docs/ORDER_FLOW.md says where each comes from.
MIXING: Final = 0.18
SINGLE_SIDED_SECONDS: Final = 0.25
LONGEST_WINDOW_MS: Final = 2_000
FULL_MIX_LOG_PRINTS: Final = 3.0
FEED_LATENCY_MS: Final = 100
BOOK_PULL: Final = 0.3


class Split(NamedTuple):
    """Volume by aggressor; the three add up to the update's traded volume."""

    buy: int
    sell: int
    unclassified: int


def split(
    rule: str,
    volume: int | None,
    ltp: float | None,
    ltq: int | None,
    prev_bid: float | None,
    prev_ask: float | None,
    tick_direction: int | None,
    feed_time_ms: int | None,
    prev_feed_time_ms: int | None,
    ltt_ms: int | None,
    prev_ltt_ms: int | None,
    gap: bool | None,
    auction: bool | None,
    bid_quantity: int | None = None,
    ask_quantity: int | None = None,
) -> Split:
    """Split `volume` by aggressor under `rule`; arguments are the fields of `records.TICK`, any of them may be missing.

    `bid_quantity` and `ask_quantity` are the best level's after the trade; only the rule `split` looks at them, at the
    times and at `ltq`. Volume of an auction, of a gap, or with neither a quote nor a price change to go by stays
    unclassified. Raises ValueError on an unknown rule.
    """
    traded = volume if volume is not None and volume > 0 else 0
    leaning = lean(rule, ltp, prev_bid, prev_ask, tick_direction)
    if leaning is None or gap or auction:
        return Split(0, 0, traded)
    mixed = 0.0  # stays 0 with a one-sided quote: nobody was there for the other side's orders to meet
    if rule == "split" and (prev_bid is None) == (prev_ask is None):
        prints = traded / ltq if ltq is not None and ltq > 0 else 1.0
        pull = book_pull(leaning, bid_quantity, ask_quantity)
        mixed = mixing(prints, pull, feed_time_ms, prev_feed_time_ms, ltt_ms, prev_ltt_ms)
    buy = math.floor(traded * (0.5 + 0.5 * leaning / (1.0 + mixed)) + 0.5)
    return Split(buy, traded - buy, 0)


def lean(
    rule: str, ltp: float | None, prev_bid: float | None, prev_ask: float | None, tick_direction: int | None
) -> float | None:
    """Return how far the last price leans to buying, from -1 (seller's) to 1 (buyer's); None when nothing is known.

    lee_ready  Lee and Ready (1991), Journal of Finance 46(2): sign of the price against the mid, else the tick rule.
    emo        Ellis, Michaely and O'Hara (2000), JFQA 35(4): at a touch its side, else the tick rule.
    clnv       Chakrabarty, Li, Nguyen and Van Ness (2007), J. Banking & Finance 31(12): within 30 % of the spread from
               a touch its side, else the tick rule.
    split      1 at or beyond a touch; between them the square root of the distance from the mid in half-spreads, 0 at
               the mid; the tick rule with a missing, locked or crossed quote.

    All rules: when the quote before had bids only (a stock at its upper circuit), a price at the best bid or below hit
    the bids and is a seller's; with offers only, a price at the best ask or above is a buyer's.
    """
    if rule not in RULES:
        raise ValueError(f"aggressor rule {rule!r} is not one of {', '.join(RULES)}")
    if ltp is None:
        return None
    tick = float(tick_direction) if tick_direction else None
    if prev_bid is None or prev_ask is None:
        if prev_bid is not None and ltp - prev_bid <= PRICE_TOLERANCE * abs(prev_bid):
            return -1.0
        if prev_ask is not None and prev_ask - ltp <= PRICE_TOLERANCE * abs(prev_ask):
            return 1.0
        return tick
    if prev_bid > prev_ask:
        return tick
    tolerance = PRICE_TOLERANCE * (prev_bid + prev_ask)
    if rule == "lee_ready":
        distance = ltp - (prev_bid + prev_ask) / 2.0
        return tick if abs(distance) <= tolerance else math.copysign(1.0, distance)
    spread = prev_ask - prev_bid
    if spread <= tolerance:
        return tick
    if rule == "split":
        distance = ltp - (prev_bid + prev_ask) / 2.0
        if abs(distance) <= tolerance:
            return 0.0
        return math.copysign(math.sqrt(min(abs(distance) / (spread / 2.0), 1.0)), distance)
    zone = tolerance if rule == "emo" else TOUCH_ZONE * spread + tolerance
    if -tolerance <= prev_ask - ltp <= zone:
        return 1.0
    if -tolerance <= ltp - prev_bid <= zone:
        return -1.0
    return tick


def book_pull(leaning: float, bid_quantity: int | None, ask_quantity: int | None) -> float:
    """Return how far the best queues pull against `leaning`, from -1 (with it) to 1 (against it); 0 when unknown."""
    if bid_quantity is None or ask_quantity is None or bid_quantity + ask_quantity <= 0:
        return 0.0
    heavier_ask = (ask_quantity - bid_quantity) / (ask_quantity + bid_quantity)
    return heavier_ask if leaning >= 0.0 else -heavier_ask


def mixing(
    prints: float,
    pull: float,
    feed_time_ms: int | None,
    prev_feed_time_ms: int | None,
    ltt_ms: int | None,
    prev_ltt_ms: int | None,
) -> float:
    """Return how much of the other side an update is likely to hide: 0 none, 1 as much as halves the lean.

    More in a longer window, with more `prints` (traded volume over last quantity), in a market whose last trade is
    fresh at both updates, and when the book pulls against the last price; 0 when a time is missing.
    """
    span_ms = window_ms(feed_time_ms, prev_feed_time_ms)
    age_ms = trade_age_ms(feed_time_ms, prev_feed_time_ms, ltt_ms, prev_ltt_ms)
    if span_ms is None or age_ms is None:
        return 0.0
    return (
        MIXING
        * max(span_ms / 1000.0 - SINGLE_SIDED_SECONDS, 0.0)
        * min(math.log(max(prints, 1.0)) / FULL_MIX_LOG_PRINTS, 1.0)
        * math.exp(-age_ms / 1000.0)
        * (1.0 + BOOK_PULL * pull)
    )


def window_ms(feed_time_ms: int | None, prev_feed_time_ms: int | None) -> int | None:
    """Return the time between the two updates, from 0 to 2 s; None when one is missing."""
    if feed_time_ms is None or prev_feed_time_ms is None:
        return None
    return max(min(feed_time_ms - prev_feed_time_ms, LONGEST_WINDOW_MS), 0)


def trade_age_ms(
    feed_time_ms: int | None, prev_feed_time_ms: int | None, ltt_ms: int | None, prev_ltt_ms: int | None
) -> int | None:
    """Return the last trade's age at both updates together, each beyond the feed's latency; None when a time is missing."""
    if feed_time_ms is None or prev_feed_time_ms is None or ltt_ms is None or prev_ltt_ms is None:
        return None
    return max(feed_time_ms - ltt_ms - FEED_LATENCY_MS, 0) + max(prev_feed_time_ms - prev_ltt_ms - FEED_LATENCY_MS, 0)
