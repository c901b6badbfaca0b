"""Who started the trades behind an update: its traded volume, split into buyer- and seller-initiated, and how sure that is.

Everything here looks at one update and the one before it, never further. `processing/aggressor.py` holds the same
formulas as Spark expressions; a property test holds the two equal.

The book in an update is the book after the trade, so every rule compares the last price with the quote of the update
before (see docs/ORDER_FLOW.md for what the usual comparison with the same update's quote costs).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, Literal, NamedTuple, get_args

if TYPE_CHECKING:
    from orderflow.market.tick import Tick

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

# The expected wrong share's.
WRONG_AT_LEAST: Final = 0.06
WRONG_PER_SECOND: Final = 0.06
WRONG_BUSY_STANDSTILL: Final = 0.25
WRONG_INSIDE_SPREAD: Final = 0.2
WRONG_MID_AGAINST: Final = 0.2
WRONG_AT_MOST: Final = 0.5
BUSY_PRINTS: Final = 20.0
BUSY_AGE_MS: Final = 1_000


class Evidence(NamedTuple):
    """What an update and the one before it say about who started its trades; any of it may be missing.

    The fields are those of `records.TICK`; of the book after the trade only the best level is looked at.
    """

    traded_volume: int | None = None
    ltp: float | None = None
    ltq: int | None = None
    prev_bid: float | None = None
    prev_ask: float | None = None
    bid: float | None = None
    bid_quantity: int | None = None
    ask: float | None = None
    ask_quantity: int | None = None
    tick_direction: int | None = None
    feed_time_ms: int | None = None
    prev_feed_time_ms: int | None = None
    ltt_ms: int | None = None
    prev_ltt_ms: int | None = None
    gap: bool | None = None
    auction: bool | None = None

    @classmethod
    def of(cls, tick: Tick) -> Evidence:
        """Gather the evidence that a tick carries."""
        bid = tick.bid[0] if tick.bid else None
        ask = tick.ask[0] if tick.ask else None
        return cls(
            tick.traded_volume,
            tick.ltp,
            tick.ltq,
            tick.prev_bid,
            tick.prev_ask,
            None if bid is None else bid.price,
            None if bid is None else bid.quantity,
            None if ask is None else ask.price,
            None if ask is None else ask.quantity,
            tick.tick_direction,
            tick.feed_time_ms,
            tick.prev_feed_time_ms,
            tick.ltt_ms,
            tick.prev_ltt_ms,
            tick.gap,
            tick.auction,
        )


class Verdict(NamedTuple):
    """Volume by aggressor, which adds up to the traded volume, and the expected share of it on the wrong side."""

    buy: int
    sell: int
    unclassified: int
    wrong_share: float


def verdict(rule: str, evidence: Evidence) -> Verdict:
    """Split an update's volume by aggressor under `rule`, and say how much of it is expected on the wrong side.

    Volume of an auction, of a gap, or with neither a quote nor a price change to go by stays unclassified. Only the rule
    `split` looks at the quantities, the times and the book after the trade. Raises ValueError on an unknown rule.
    """
    (
        volume,
        ltp,
        ltq,
        prev_bid,
        prev_ask,
        bid,
        bid_quantity,
        ask,
        ask_quantity,
        tick_direction,
        feed_time_ms,
        prev_feed_time_ms,
        ltt_ms,
        prev_ltt_ms,
        gap,
        auction,
    ) = evidence
    traded = volume if volume is not None and volume > 0 else 0
    prints = traded / ltq if ltq is not None and ltq > 0 else 1.0
    span_ms = age_ms = None
    if feed_time_ms is not None and prev_feed_time_ms is not None:
        span_ms = window_ms(feed_time_ms, prev_feed_time_ms)
        if ltt_ms is not None and prev_ltt_ms is not None:
            age_ms = trade_age_ms(feed_time_ms, ltt_ms) + trade_age_ms(prev_feed_time_ms, prev_ltt_ms)
    wrong = wrong_share(ltp, prev_bid, prev_ask, bid, ask, prints, span_ms, age_ms)
    leaning = lean(rule, ltp, prev_bid, prev_ask, tick_direction)
    if leaning is None or gap or auction:
        return Verdict(0, 0, traded, wrong)
    mixed = 0.0  # stays 0 with a one-sided quote: nobody was there for the other side's orders to meet
    if rule == "split" and (prev_bid is None) == (prev_ask is None) and span_ms is not None and age_ms is not None:
        mixed = mixing(prints, book_pull(leaning, bid_quantity, ask_quantity), span_ms, age_ms)
    buy = math.floor(traded * (0.5 + 0.5 * leaning / (1.0 + mixed)) + 0.5)
    return Verdict(buy, traded - buy, 0, wrong)


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
        if -tolerance <= distance <= tolerance:
            return 0.0
        depth = abs(distance) / (spread / 2.0)
        return math.copysign(math.sqrt(depth) if depth < 1.0 else 1.0, distance)
    zone = tolerance if rule == "emo" else TOUCH_ZONE * spread + tolerance
    if -tolerance <= prev_ask - ltp <= zone:
        return 1.0
    if -tolerance <= ltp - prev_bid <= zone:
        return -1.0
    return tick


def window_ms(feed_time_ms: int, prev_feed_time_ms: int) -> int:
    """Return the time between the two updates, from 0 to 2 s."""
    span_ms = feed_time_ms - prev_feed_time_ms
    if span_ms <= 0:
        return 0
    return span_ms if span_ms < LONGEST_WINDOW_MS else LONGEST_WINDOW_MS


def trade_age_ms(feed_time_ms: int, ltt_ms: int) -> int:
    """Return the last trade's age at an update, beyond the feed's latency."""
    age_ms = feed_time_ms - ltt_ms - FEED_LATENCY_MS
    return age_ms if age_ms > 0 else 0


def book_pull(leaning: float, bid_quantity: int | None, ask_quantity: int | None) -> float:
    """Return how far the best queues pull against `leaning`, from -1 (with it) to 1 (against it); 0 when unknown."""
    if bid_quantity is None or ask_quantity is None or bid_quantity + ask_quantity <= 0:
        return 0.0
    heavier_ask = (ask_quantity - bid_quantity) / (ask_quantity + bid_quantity)
    return heavier_ask if leaning >= 0.0 else -heavier_ask


def mixing(prints: float, pull: float, span_ms: int, age_ms: int) -> float:
    """Return how much of the other side an update is likely to hide: 0 none, 1 as much as halves the lean.

    More in a longer window, with more `prints` (traded volume over last quantity), in a market whose last trade is
    fresh at both updates, and when the book pulls against the last price.
    """
    seconds = span_ms / 1000.0 - SINGLE_SIDED_SECONDS
    if seconds <= 0.0 or prints <= 1.0:
        return 0.0
    many = math.log(prints) / FULL_MIX_LOG_PRINTS
    return MIXING * seconds * (many if many < 1.0 else 1.0) * math.exp(-age_ms / 1000.0) * (1.0 + BOOK_PULL * pull)


def wrong_share(
    ltp: float | None,
    prev_bid: float | None,
    prev_ask: float | None,
    bid: float | None,
    ask: float | None,
    prints: float,
    span_ms: int | None,
    age_ms: int | None,
) -> float:
    """Return the expected share of an update's volume that its split puts on the wrong side, from 0.06 to 0.5.

    More in a longer window; when many prints left the mid where it was; when the price lies inside the previous spread, or
    there is no usable quote; and when the mid moved against the price. `bid` and `ask` are the best prices after the
    trade. Missing fields count as the worse case for the window, else as not seen.
    """
    share = WRONG_AT_LEAST + WRONG_PER_SECOND * ((LONGEST_WINDOW_MS if span_ms is None else span_ms) / 1000.0)
    if ltp is None or prev_bid is None or prev_ask is None or not prev_bid < prev_ask:
        return share + WRONG_INSIDE_SPREAD
    tolerance = PRICE_TOLERANCE * (prev_bid + prev_ask)
    if prev_bid + tolerance < ltp < prev_ask - tolerance:
        share += WRONG_INSIDE_SPREAD
    if bid is None or ask is None:
        return share
    mid = (prev_bid + prev_ask) / 2.0
    moved = (bid + ask) / 2.0 - mid
    if -tolerance <= moved <= tolerance:
        if prints >= BUSY_PRINTS and age_ms is not None and age_ms < BUSY_AGE_MS:
            share += WRONG_BUSY_STANDSTILL
    else:
        distance = ltp - mid
        if not -tolerance <= distance <= tolerance and (moved > 0.0) != (distance > 0.0):
            share += WRONG_MID_AGAINST
    return share if share < WRONG_AT_MOST else WRONG_AT_MOST


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
    """Return `verdict` without the wrong share, for callers that hold the fields one by one; it goes when none are left."""
    times = feed_time_ms, prev_feed_time_ms, ltt_ms, prev_ltt_ms
    quotes = prev_bid, prev_ask, None, bid_quantity, None, ask_quantity
    parts = verdict(rule, Evidence(volume, ltp, ltq, *quotes, tick_direction, *times, gap, auction))
    return Split(parts.buy, parts.sell, parts.unclassified)
