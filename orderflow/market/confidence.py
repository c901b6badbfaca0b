"""How sure a candle's delta is: the expected wrong share of each update, the band they add up to, and its grade.

The constants were found on recordings with the true aggressor side; docs/ORDER_FLOW.md reports how often the band held.
`processing/aggressor.py` holds the same formulas as Spark expressions; a property test holds the two equal.
"""

from __future__ import annotations

import math
from typing import Final

from orderflow.market.aggressor import LONGEST_WINDOW_MS, PRICE_TOLERANCE, trade_age_ms, window_ms

WRONG_AT_LEAST: Final = 0.06
WRONG_PER_SECOND: Final = 0.06
WRONG_BUSY_STANDSTILL: Final = 0.25
WRONG_INSIDE_SPREAD: Final = 0.2
WRONG_MID_AGAINST: Final = 0.2
WRONG_AT_MOST: Final = 0.5
BUSY_PRINTS: Final = 20.0
BUSY_AGE_MS: Final = 1_000

# Updates err in runs, so the plain variance is too small: widened until the band held.
CLUSTERING: Final = 2.4
# Share of volume traded against a one-sided quote that counts as doubtful: all of it that way is never `high`.
ONE_SIDED_DOUBT: Final = 0.4
HIGH_AT_MOST: Final = 0.3
MEDIUM_AT_MOST: Final = 0.5


def wrong_share(
    volume: int | None,
    ltp: float | None,
    ltq: int | None,
    prev_bid: float | None,
    prev_ask: float | None,
    bid: float | None,
    ask: float | None,
    feed_time_ms: int | None,
    prev_feed_time_ms: int | None,
    ltt_ms: int | None,
    prev_ltt_ms: int | None,
) -> float:
    """Return the expected share of an update's volume that its split puts on the wrong side, from 0.06 to 0.5.

    More in a longer window; when many prints left the mid where it was; when the price lies inside the previous spread, or
    there is no usable quote; and when the mid moved against the price. `bid` and `ask` are the best prices after the
    trade. Missing fields count as the worse case for the window, else as not seen.
    """
    span_ms = window_ms(feed_time_ms, prev_feed_time_ms)
    share = WRONG_AT_LEAST + WRONG_PER_SECOND * ((LONGEST_WINDOW_MS if span_ms is None else span_ms) / 1000.0)
    if ltp is None or prev_bid is None or prev_ask is None or not prev_bid < prev_ask:
        return min(share + WRONG_INSIDE_SPREAD, WRONG_AT_MOST)
    tolerance = PRICE_TOLERANCE * (prev_bid + prev_ask)
    if prev_bid + tolerance < ltp < prev_ask - tolerance:
        share += WRONG_INSIDE_SPREAD
    if bid is None or ask is None:
        return min(share, WRONG_AT_MOST)
    moved = (bid + ask) / 2.0 - (prev_bid + prev_ask) / 2.0
    distance = ltp - (prev_bid + prev_ask) / 2.0
    if abs(moved) <= tolerance:
        prints = volume / ltq if volume is not None and ltq is not None and ltq > 0 else 1.0
        age_ms = trade_age_ms(feed_time_ms, prev_feed_time_ms, ltt_ms, prev_ltt_ms)
        share += WRONG_BUSY_STANDSTILL if prints >= BUSY_PRINTS and age_ms is not None and age_ms < BUSY_AGE_MS else 0.0
    elif abs(distance) > tolerance and (moved > 0.0) != (distance > 0.0):
        share += WRONG_MID_AGAINST
    return min(share, WRONG_AT_MOST)


def band(sum_v2p: float) -> float:
    """Return the half-width of delta's 95 % band, in whole shares, from the sum of volume² × wrong share over its updates.

    Moving a share v of an update to the other side moves delta by 2 v, hence 2 √(CLUSTERING Σ v² p).
    """
    return float(math.floor(2.0 * math.sqrt(CLUSTERING * max(sum_v2p, 0.0)) + 0.5))


def grade(delta_band: float, volume: int, classified: int, one_sided: int = 0) -> str:
    """Return high, medium, low or none: how far delta may be off, as a share of `volume`.

    What may be off is the band, all volume that is not `classified`, and two fifths of what traded while the quote was
    `one_sided` (a rule's error there does not average out): high up to 0.3 of the volume, medium up to 0.5, low above;
    none when nothing is classified.
    """
    if classified <= 0 or volume <= 0:
        return "none"
    doubt = (delta_band + max(volume - classified, 0) + ONE_SIDED_DOUBT * one_sided) / volume
    if doubt <= HIGH_AT_MOST:
        return "high"
    return "medium" if doubt <= MEDIUM_AT_MOST else "low"
