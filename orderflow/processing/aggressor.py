"""The aggressor split as native Spark expressions over tick columns; twin of `market.aggressor` and `market.confidence`.

The columns are those of `records.TICK`. Every operation is in the twin's order, so that both round alike. No expression
can raise in ANSI mode: a divisor that may be zero is null instead.
"""

from __future__ import annotations

from pyspark.sql import Column
from pyspark.sql import functions as F

from orderflow.market import aggressor as twin
from orderflow.market import confidence as sure


def split_columns(rule: str) -> Column:
    """Return a struct of longs buy_volume, sell_volume, unclassified_volume that add up to traded_volume (null as 0).

    Raises ValueError on an unknown rule.
    """
    if rule not in twin.RULES:
        raise ValueError(f"aggressor rule {rule!r} is not one of {', '.join(twin.RULES)}")
    traded = _traded()
    leaning = F.when(~_true("gap") & ~_true("auction"), _lean(rule))
    one_sided = F.col("prev_bid").isNull() != F.col("prev_ask").isNull()
    mixed = F.when(one_sided, F.lit(0.0)).otherwise(_mixing(leaning)) if rule == "split" else F.lit(0.0)
    share = F.lit(0.5) + F.lit(0.5) * leaning / (F.lit(1.0) + mixed)
    buy = F.floor(traded.cast("double") * share + F.lit(0.5))
    return F.struct(
        F.coalesce(buy, F.lit(0)).cast("long").alias("buy_volume"),
        F.coalesce(traded - buy, F.lit(0)).cast("long").alias("sell_volume"),
        F.when(leaning.isNull(), traded).otherwise(F.lit(0)).cast("long").alias("unclassified_volume"),
    )


def _true(name: str) -> Column:
    return F.coalesce(F.col(name), F.lit(False))


def _lean(rule: str) -> Column:
    """Null when nothing is known."""
    ltp, bid, ask = F.col("ltp"), F.col("prev_bid"), F.col("prev_ask")
    tick = F.when(F.col("tick_direction") != 0, F.col("tick_direction").cast("double"))
    tolerance = F.lit(twin.PRICE_TOLERANCE) * (bid + ask)
    distance = ltp - (bid + ask) / F.lit(2.0)
    spread = ask - bid
    side = F.when(distance > 0, F.lit(1.0)).otherwise(F.lit(-1.0))
    at_mid = F.abs(distance) <= tolerance
    if rule == "lee_ready":
        quoted = F.when(at_mid, tick).otherwise(side)
    elif rule == "split":
        half_spread = F.when(spread > tolerance, spread / F.lit(2.0))
        depth = F.sqrt(F.least(F.abs(distance) / half_spread, F.lit(1.0)))
        quoted = F.when(half_spread.isNull(), tick).when(at_mid, F.lit(0.0)).otherwise(side * depth)
    else:
        zone = tolerance if rule == "emo" else F.lit(twin.TOUCH_ZONE) * spread + tolerance
        quoted = (
            F.when(spread <= tolerance, tick)
            .when((ask - ltp).between(-tolerance, zone), F.lit(1.0))
            .when((ltp - bid).between(-tolerance, zone), F.lit(-1.0))
            .otherwise(tick)
        )
    one_sided = (
        F.when(ask.isNull() & (ltp - bid <= F.lit(twin.PRICE_TOLERANCE) * F.abs(bid)), F.lit(-1.0))
        .when(bid.isNull() & (ask - ltp <= F.lit(twin.PRICE_TOLERANCE) * F.abs(ask)), F.lit(1.0))
        .otherwise(tick)
    )
    return F.when(ltp.isNotNull(), F.when(bid <= ask, quoted).otherwise(one_sided))


def wrong_share_column() -> Column:
    """Return the expected wrong share of each tick's volume (double, 0.06 to 0.5); sum volume² × it for `band_column`."""
    ltp, prev_bid, prev_ask = F.col("ltp"), F.col("prev_bid"), F.col("prev_ask")
    tolerance = F.lit(twin.PRICE_TOLERANCE) * (prev_bid + prev_ask)
    mid = (prev_bid + prev_ask) / F.lit(2.0)
    moved = (_best("bid", "price") + _best("ask", "price")) / F.lit(2.0) - mid
    distance = ltp - mid
    usable = ltp.isNotNull() & (prev_bid < prev_ask).eqNullSafe(True)
    inside = ~usable | ((prev_bid + tolerance < ltp) & (ltp < prev_ask - tolerance)).eqNullSafe(True)
    still = usable & (F.abs(moved) <= tolerance).eqNullSafe(True)
    standstill = still & (_prints() >= twin.BUSY_PRINTS) & (_trade_age_ms() < twin.BUSY_AGE_MS).eqNullSafe(True)
    against = usable & ~still & (F.abs(distance) > tolerance).eqNullSafe(True) & ((moved > 0) != (distance > 0)).eqNullSafe(True)
    window_seconds = F.coalesce(_window_ms(), F.lit(twin.LONGEST_WINDOW_MS)).cast("double") / F.lit(1000.0)
    share = F.lit(twin.WRONG_AT_LEAST) + F.lit(twin.WRONG_PER_SECOND) * window_seconds
    for condition, more in (
        (inside, twin.WRONG_INSIDE_SPREAD),
        (standstill, twin.WRONG_BUSY_STANDSTILL),
        (against, twin.WRONG_MID_AGAINST),
    ):
        share = share + F.when(condition, F.lit(more)).otherwise(F.lit(0.0))
    return F.least(share, F.lit(twin.WRONG_AT_MOST))


def one_sided_volume_column() -> Column:
    """Return the tick's traded volume where its previous quote had bids only or offers only, else 0 (long)."""
    return F.when(F.col("prev_bid").isNull() != F.col("prev_ask").isNull(), _traded()).otherwise(F.lit(0)).cast("long")


def band_column(sum_v2p: Column) -> Column:
    """Return the half-width of delta's 95 % band (double, whole shares) from the sum of volume² × wrong share."""
    width = F.lit(2.0) * F.sqrt(F.lit(sure.CLUSTERING) * F.greatest(sum_v2p, F.lit(0.0)))
    return F.floor(width + F.lit(0.5)).cast("double")


def grade_column(delta_band: Column, volume: Column, classified: Column, one_sided: Column | None = None) -> Column:
    """Return high, medium, low or none; see `orderflow.market.confidence.grade`."""
    doubtful = F.lit(sure.ONE_SIDED_DOUBT) * (F.lit(0) if one_sided is None else one_sided)
    doubt = (delta_band + F.greatest(volume - classified, F.lit(0)) + doubtful) / F.when(volume > 0, volume)
    return (
        F.when(~((classified > 0) & (volume > 0)).eqNullSafe(True), F.lit("none"))
        .when(doubt <= sure.HIGH_AT_MOST, F.lit("high"))
        .when(doubt <= sure.MEDIUM_AT_MOST, F.lit("medium"))
        .otherwise(F.lit("low"))
    )


def _mixing(leaning: Column) -> Column:
    """0 when a time is missing."""
    mixed = (
        F.lit(twin.MIXING)
        * F.greatest(_window_ms().cast("double") / F.lit(1000.0) - F.lit(twin.SINGLE_SIDED_SECONDS), F.lit(0.0))
        * F.least(F.ln(F.greatest(_prints(), F.lit(1.0))) / F.lit(twin.FULL_MIX_LOG_PRINTS), F.lit(1.0))
        * F.exp(-_trade_age_ms().cast("double") / F.lit(1000.0))
        * (F.lit(1.0) + F.lit(twin.BOOK_PULL) * _book_pull(leaning))
    )
    return F.when(_window_ms().isNotNull() & _trade_age_ms().isNotNull(), mixed).otherwise(F.lit(0.0))


def _traded() -> Column:
    return F.greatest(F.coalesce(F.col("traded_volume"), F.lit(0)), F.lit(0)).cast("long")


def _prints() -> Column:
    """1 when the last quantity is missing or zero."""
    last_quantity = F.when(F.col("ltq") > 0, F.col("ltq").cast("double"))
    return F.coalesce(_traded().cast("double") / last_quantity, F.lit(1.0))


def _window_ms() -> Column:
    """Null when a time is missing; `greatest` and `least` would skip it."""
    span_ms = F.col("feed_time_ms") - F.col("prev_feed_time_ms")
    return F.when(span_ms.isNotNull(), F.greatest(F.least(span_ms, F.lit(twin.LONGEST_WINDOW_MS)), F.lit(0)))


def _trade_age_ms() -> Column:
    """Null when a time is missing."""
    now_ms = F.col("feed_time_ms") - F.col("ltt_ms") - F.lit(twin.FEED_LATENCY_MS)
    before_ms = F.col("prev_feed_time_ms") - F.col("prev_ltt_ms") - F.lit(twin.FEED_LATENCY_MS)
    return F.when((now_ms + before_ms).isNotNull(), F.greatest(now_ms, F.lit(0)) + F.greatest(before_ms, F.lit(0)))


def _book_pull(leaning: Column) -> Column:
    """0 when unknown."""
    bid_quantity, ask_quantity = _best("bid", "quantity"), _best("ask", "quantity")
    total = ask_quantity + bid_quantity
    heavier_ask = (ask_quantity - bid_quantity).cast("double") / F.when(total > 0, total.cast("double"))
    return F.coalesce(F.when(leaning >= 0, heavier_ask).otherwise(-heavier_ask), F.lit(0.0))


def _best(side: str, field: str) -> Column:
    return F.get(F.col(side), F.lit(0))[field]
