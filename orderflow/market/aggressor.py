"""Splits an update's traded volume into buyer- and seller-initiated, and estimates how much of it is on the wrong side.

Everything here uses one update and the previous one, nothing older. `processing/aggressor.py` holds the same formulas as Spark
expressions; a property test checks that both give equal results.

The book in an update is the book after the trade, so every rule compares the last price with the quote of the previous update
(docs/ORDER_FLOW.md shows how much accuracy the usual comparison with the same update's quote loses).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, Literal, NamedTuple, get_args

if TYPE_CHECKING:
    from orderflow.market.tick import Tick

Rule = Literal["split", "lee_ready", "emo", "clnv"]
RULES: Final[tuple[str, ...]] = get_args(Rule)

# Two prices closer than this share of bid + ask are equal. It allows for binary rounding; every market's tick is
# larger.
PRICE_TOLERANCE: Final = 1e-12
# CLNV: a price within this share of the spread from a touch counts as at the touch.
TOUCH_ZONE: Final = 0.3

# The estimator's constants; docs/ORDER_FLOW.md says where each comes from. A lean is counted in half-spreads.
AT_BEST: Final = 0.5
GAVE_WAY: Final = 0.5
STEPPED_UP: Final = 0.1
QUEUE_SHIFT: Final = 0.25
MIXING: Final = 0.2
SINGLE_SIDED_SECONDS: Final = 0.25
BUSY_SECONDS: Final = 2.0
LONG_SECONDS: Final = 5.0
LONG_MIXING: Final = 0.03
FULL_MIX_LOG_PRINTS: Final = 3.0
FEED_LATENCY_MS: Final = 100
BOOK_PULL: Final = 0.3
MOST_MIXING: Final = 9.0
# A lean below NO_LEAN is a rounding error. A lean above CLEAR_LEAN means a price at a touch that nothing contradicts.
NO_LEAN: Final = 1e-9
CLEAR_LEAN: Final = 0.999

# Constants of the expected wrong share.
WRONG_AT_LEAST: Final = 0.02
WRONG_PER_SECOND: Final = 0.03
WRONG_UNCLEAR: Final = 0.25
WRONG_BUSY_STANDSTILL: Final = 0.25
WRONG_AT_MOST: Final = 0.5
BUSY_PRINTS: Final = 20.0
BUSY_AGE_MS: Final = 1_000


class Evidence(NamedTuple):
    """The fields of an update and the previous one that indicate its aggressor; each of them may be missing.

    The names are those of `records.TICK`. Of the book after the trade, only the best level is used.
    """

    traded_volume: int | None = None
    ltp: float | None = None
    ltq: int | None = None
    prev_bid: float | None = None
    prev_bid_quantity: int | None = None
    prev_ask: float | None = None
    prev_ask_quantity: int | None = None
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
        bids, asks = tick.bid, tick.ask
        bid = bids[0] if bids else None
        ask = asks[0] if asks else None
        return cls(
            tick.traded_volume,
            tick.ltp,
            tick.ltq,
            tick.prev_bid,
            tick.prev_bid_quantity,
            tick.prev_ask,
            tick.prev_ask_quantity,
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
    """Split an update's volume by aggressor under `rule`, and estimate which share of it is on the wrong side.

    Volume is unclassified in an auction, in a gap, and when neither a quote nor a price change is known; under `split` also
    when many trades are hidden in a window so long that the last price says nothing about them. Only `split` uses the
    quantities, the times and the book after the trade. Raises ValueError on an unknown rule.
    """
    (volume, ltp, ltq, prev_bid, prev_bid_quantity, prev_ask, prev_ask_quantity, bid, bid_quantity, ask, ask_quantity,
     tick_direction, feed_time_ms, prev_feed_time_ms, ltt_ms, prev_ltt_ms, gap, auction) = evidence  # fmt: skip
    traded = volume if volume is not None and volume > 0 else 0
    prints = traded / ltq if ltq is not None and 0 < ltq < traded else 1.0
    seconds = age_ms = None
    if feed_time_ms is not None and prev_feed_time_ms is not None:
        seconds = (feed_time_ms - prev_feed_time_ms) / 1000.0 if feed_time_ms > prev_feed_time_ms else 0.0
        if ltt_ms is not None and prev_ltt_ms is not None:
            age_ms = trade_age_ms(feed_time_ms, ltt_ms) + trade_age_ms(prev_feed_time_ms, prev_ltt_ms)
    imbalance = shift = 0.0
    if bid_quantity is not None and ask_quantity is not None and bid_quantity + ask_quantity > 0:
        imbalance = (bid_quantity - ask_quantity) / (bid_quantity + ask_quantity)
    if bid_quantity is not None and ask_quantity is not None and prev_bid_quantity is not None and prev_ask_quantity is not None:
        shift = imbalance - queue_imbalance(prev_bid_quantity, prev_ask_quantity)
    informed, still = informed_lean(ltp, prev_bid, prev_ask, bid, ask, shift)
    clear = informed is not None and not -CLEAR_LEAN < informed < CLEAR_LEAN
    wrong = wrong_share(seconds, clear, still and prints >= BUSY_PRINTS and age_ms is not None and age_ms < BUSY_AGE_MS)

    leaning = informed
    if informed is None or rule != "split":
        leaning = lean(rule, ltp, prev_bid, prev_ask, tick_direction)
    if leaning is None or gap or auction:
        return Verdict(0, 0, traded, wrong)
    side = 1.0 if leaning > NO_LEAN else -1.0 if leaning < -NO_LEAN else 0.0
    kept = 1.0
    if prints > 1.0 and rule == "split" and (prev_bid is None) == (prev_ask is None):  # a one-sided quote has one aggressor
        mixed = 0.0 if seconds is None else mixing(prints, seconds, age_ms, -side * imbalance)
        if mixed > MOST_MIXING:
            return Verdict(0, 0, traded, wrong)
        strength, last = side * leaning, math.sqrt(1.0 / prints)
        kept = last + (1.0 - last) * (strength if strength < 1.0 else 1.0) / (1.0 + mixed)
    buy = math.floor(traded * (0.5 + 0.5 * (side * kept)) + 0.5)
    return Verdict(buy, traded - buy, 0, wrong)


def informed_lean(
    ltp: float | None, prev_bid: float | None, prev_ask: float | None, bid: float | None, ask: float | None, shift: float
) -> tuple[float | None, bool]:
    """Return how far price and book lean to buying, in half-spreads, and whether the mid stood still.

    -1 is a price at the previous bid that nothing contradicts, 1 a price at the ask. None without a usable previous
    quote. Unknown parts of the book add nothing. `shift` is the rise of the imbalance of the best queues.
    """
    if ltp is None or prev_bid is None or prev_ask is None:
        return None, False
    tolerance = PRICE_TOLERANCE * (abs(prev_bid) + abs(prev_ask))
    least, spread, mid = -tolerance, prev_ask - prev_bid, (prev_bid + prev_ask) / 2.0
    if spread <= tolerance:
        return None, False
    leaning, still = price_lean(ltp - mid, spread, tolerance), False
    if bid is not None and ask is not None:
        still = least <= (bid + ask) / 2.0 - mid <= tolerance
        if bid < prev_bid - tolerance:
            leaning -= GAVE_WAY
        elif bid > prev_bid + tolerance:
            leaning -= STEPPED_UP
        if least <= ltp - bid <= tolerance:
            leaning -= AT_BEST
        if ask > prev_ask + tolerance:
            leaning += GAVE_WAY
        elif ask < prev_ask - tolerance:
            leaning += STEPPED_UP
        if least <= ltp - ask <= tolerance:
            leaning += AT_BEST
    return leaning + QUEUE_SHIFT * shift, still


def lean(
    rule: str, ltp: float | None, prev_bid: float | None, prev_ask: float | None, tick_direction: int | None
) -> float | None:
    """Return how far the last price leans to buying, from -1 (seller's) to 1 (buyer's); None when nothing is known.

    lee_ready  Lee and Ready (1991), Journal of Finance 46(2): sign of the price against the mid, else the tick rule.
    emo        Ellis, Michaely and O'Hara (2000), JFQA 35(4): at a touch its side, else the tick rule.
    clnv       Chakrabarty, Li, Nguyen and Van Ness (2007), J. Banking & Finance 31(12): within 30 % of the spread from
               a touch its side, else the tick rule.
    split      the distance from the mid in half-spreads, at most 1, to which `informed_lean` adds what the book says; the
               tick rule with a missing, locked or crossed quote.

    All rules: when the previous quote had bids only (a stock at its upper circuit limit), a price at the best bid or
    below means that the seller was the aggressor; with offers only, a price at the best ask or above means the buyer.
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
    tolerance = PRICE_TOLERANCE * (abs(prev_bid) + abs(prev_ask))
    if rule == "lee_ready":
        distance = ltp - (prev_bid + prev_ask) / 2.0
        return tick if abs(distance) <= tolerance else math.copysign(1.0, distance)
    spread = prev_ask - prev_bid
    if spread <= tolerance:
        return tick
    if rule == "split":
        return max(-1.0, min(price_lean(ltp - (prev_bid + prev_ask) / 2.0, spread, tolerance), 1.0))
    zone = tolerance if rule == "emo" else TOUCH_ZONE * spread + tolerance
    if -tolerance <= prev_ask - ltp <= zone:
        return 1.0
    if -tolerance <= ltp - prev_bid <= zone:
        return -1.0
    return tick


def price_lean(distance: float, spread: float, tolerance: float) -> float:
    """Return the last price's `distance` from the previous mid in half-spreads: -1 at the bid, 1 at the ask."""
    return 0.0 if -tolerance <= distance <= tolerance else distance / (spread / 2.0)


def queue_imbalance(bid_quantity: int | None, ask_quantity: int | None) -> float:
    """Return how much heavier the best bid's queue is than the ask's, from -1 to 1; 0 when unknown."""
    if bid_quantity is None or ask_quantity is None or bid_quantity + ask_quantity <= 0:
        return 0.0
    return (bid_quantity - ask_quantity) / (bid_quantity + ask_quantity)


def mixing(prints: float, seconds: float, age_ms: int | None, pull: float) -> float:
    """Return how much volume of the other side an update is likely to hide: 0 means none, 1 halves the lean.

    It grows with `prints` (traded volume over last quantity). In the first 2 s of the window it grows if the last trade is
    recent at both updates, and more if the best queues `pull` against the lean (-1 with it, 1 against it). Beyond 5 s it grows
    in every case.
    """
    if prints <= 1.0:
        return 0.0
    busy = (seconds if seconds < BUSY_SECONDS else BUSY_SECONDS) - SINGLE_SIDED_SECONDS
    mixed = 0.0
    if busy > 0.0 and age_ms is not None:
        mixed = MIXING * busy * math.exp(-age_ms / 1000.0) * (1.0 + BOOK_PULL * pull)
    if seconds > LONG_SECONDS:
        mixed += LONG_MIXING * (seconds - LONG_SECONDS)
    many = math.log(prints) / FULL_MIX_LOG_PRINTS
    return mixed * many if many < 1.0 else mixed


def trade_age_ms(feed_time_ms: int, ltt_ms: int) -> int:
    """Return the last trade's age at an update, less the feed's latency."""
    age_ms = feed_time_ms - ltt_ms - FEED_LATENCY_MS
    return age_ms if age_ms > 0 else 0


def wrong_share(seconds: float | None, clear: bool, busy_standstill: bool) -> float:
    """Return the expected share of an update's volume that its split puts on the wrong side, from 0.02 to 0.5.

    It grows with the window up to 2 s; an unknown window counts as 2 s. It is higher unless the lean is `clear`: a
    price at a touch or beyond, which the book does not contradict. It is also higher when many recent trades did not
    move the mid.
    """
    window = BUSY_SECONDS if seconds is None or seconds > BUSY_SECONDS else seconds
    share = WRONG_AT_LEAST + WRONG_PER_SECOND * window
    if not clear:
        share += WRONG_UNCLEAR
    if busy_standstill:
        share += WRONG_BUSY_STANDSTILL
    return share if share < WRONG_AT_MOST else WRONG_AT_MOST
