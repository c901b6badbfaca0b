"""The aggressor split as native Spark expressions over tick columns; the counterpart of `market.aggressor`.

The columns are those of `records.TICK`. Operations are in the same order as in the counterpart, so that both round in the same
way. No expression can raise in ANSI mode: a divisor that may be zero is null instead.
"""

from __future__ import annotations

from collections.abc import Callable

from pyspark.sql import Column
from pyspark.sql import functions as F

from orderflow.market import aggressor as twin


def split_columns(rule: str) -> Column:
    """Return a struct of longs buy_volume, sell_volume, unclassified_volume that add up to traded_volume (null as 0).

    Raises ValueError on an unknown rule.
    """
    if rule not in twin.RULES:
        raise ValueError(f"aggressor rule {rule!r} is not one of {', '.join(twin.RULES)}")
    if rule == "split":
        buy = _let(
            F.coalesce(_informed_lean(), _lean(rule)), lambda leaning: _let(_side(leaning), lambda side: _split(leaning, side))
        )
    else:
        buy = _bought(_side(_lean(rule)))
    known = ~_true("gap") & ~_true("auction")
    return _let(
        F.when(known, buy),
        lambda bought: F.struct(
            F.coalesce(bought, F.lit(0)).cast("long").alias("buy_volume"),
            F.coalesce(_traded() - bought, F.lit(0)).cast("long").alias("sell_volume"),
            F.when(bought.isNull(), _traded()).otherwise(F.lit(0)).cast("long").alias("unclassified_volume"),
        ),
    )


def _let(value: Column, use: Callable[[Column], Column]) -> Column:
    """Compute `value` once for all its uses; otherwise Spark would repeat the whole expression at each use."""
    return F.get(F.transform(F.array(value), use), F.lit(0))


def _side(leaning: Column) -> Column:
    """Return 1 for a buyer, -1 for a seller, 0 for neither; null when nothing is known."""
    return F.when(F.abs(leaning) > twin.NO_LEAN, F.signum(leaning)).when(leaning.isNotNull(), F.lit(0.0))


def _split(leaning: Column, side: Column) -> Column:
    """Return the volume bought under the rule `split`; null when unclassified."""
    one_sided = F.col("prev_bid").isNull() != F.col("prev_ask").isNull()
    last = F.sqrt(F.lit(1.0) / _prints())
    strength = F.least(side * leaning, F.lit(1.0))

    def shared(mixed: Column) -> Column:
        kept = last + (F.lit(1.0) - last) * strength / (F.lit(1.0) + mixed)
        return F.when(mixed <= twin.MOST_MIXING, _bought(side * kept))

    return F.when(one_sided, _bought(side)).otherwise(_let(_mixing(side), shared))


def _bought(lean: Column) -> Column:
    return F.floor(_traded().cast("double") * (F.lit(0.5) + F.lit(0.5) * lean) + F.lit(0.5))


def _true(name: str) -> Column:
    return F.coalesce(F.col(name), F.lit(False))


def _lean(rule: str) -> Column:
    """Null when nothing is known."""
    ltp, bid, ask = F.col("ltp"), F.col("prev_bid"), F.col("prev_ask")
    tick = F.when(F.col("tick_direction") != 0, F.col("tick_direction").cast("double"))
    tolerance = _tolerance()
    spread = ask - bid
    if rule == "lee_ready":
        distance = ltp - _mid()
        side = F.when(distance > 0, F.lit(1.0)).otherwise(F.lit(-1.0))
        quoted = F.when(F.abs(distance) <= tolerance, tick).otherwise(side)
    elif rule == "split":
        quoted = F.when(spread <= tolerance, tick).otherwise(F.greatest(F.least(_price_lean(), F.lit(1.0)), F.lit(-1.0)))
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


def _informed_lean() -> Column:
    """Null without a usable previous quote."""
    ltp, prev_bid, prev_ask = F.col("ltp"), F.col("prev_bid"), F.col("prev_ask")
    bid, ask, tolerance = _best("bid", "price"), _best("ask", "price"), _tolerance()
    both = bid.isNotNull() & ask.isNotNull()
    leaning = _price_lean()
    for condition, more in (
        (bid < prev_bid - tolerance, -twin.GAVE_WAY),
        (bid > prev_bid + tolerance, -twin.STEPPED_UP),
        (F.abs(ltp - bid) <= tolerance, -twin.AT_BEST),
        (ask > prev_ask + tolerance, twin.GAVE_WAY),
        (ask < prev_ask - tolerance, twin.STEPPED_UP),
        (F.abs(ltp - ask) <= tolerance, twin.AT_BEST),
    ):
        leaning = leaning + F.when(both & condition, F.lit(more)).otherwise(F.lit(0.0))
    after = _imbalance(_best("bid", "quantity"), _best("ask", "quantity"))
    before = _imbalance(F.col("prev_bid_quantity"), F.col("prev_ask_quantity"))
    leaning = leaning + F.coalesce(F.lit(twin.QUEUE_SHIFT) * (after - before), F.lit(0.0))
    return F.when(prev_ask - prev_bid > tolerance, leaning)


def _price_lean() -> Column:
    """Null with a locked quote."""
    spread = F.col("prev_ask") - F.col("prev_bid")
    distance = F.col("ltp") - _mid()
    half_spread = F.when(spread != 0, spread / F.lit(2.0))
    return F.when(F.abs(distance) <= _tolerance(), F.lit(0.0)).otherwise(distance / half_spread)


def _mid() -> Column:
    return (F.col("prev_bid") + F.col("prev_ask")) / F.lit(2.0)


def _tolerance() -> Column:
    return F.lit(twin.PRICE_TOLERANCE) * (F.abs(F.col("prev_bid")) + F.abs(F.col("prev_ask")))


def _mixing(side: Column) -> Column:
    """0 when the window is unknown."""
    seconds, age_ms = _window_seconds(), _trade_age_ms()
    busy = F.least(seconds, F.lit(twin.BUSY_SECONDS)) - F.lit(twin.SINGLE_SIDED_SECONDS)
    pull = -side * F.coalesce(_imbalance(_best("bid", "quantity"), _best("ask", "quantity")), F.lit(0.0))
    fresh = F.lit(twin.MIXING) * busy * F.exp(-age_ms.cast("double") / F.lit(1000.0))
    mixed = F.coalesce(F.when(busy > 0, fresh * (F.lit(1.0) + F.lit(twin.BOOK_PULL) * pull)), F.lit(0.0))
    long = F.lit(twin.LONG_MIXING) * (seconds - F.lit(twin.LONG_SECONDS))
    mixed = mixed + F.when(seconds > twin.LONG_SECONDS, long).otherwise(F.lit(0.0))
    many = F.least(F.ln(_prints()) / F.lit(twin.FULL_MIX_LOG_PRINTS), F.lit(1.0))
    return F.coalesce(F.when(seconds.isNotNull(), mixed * many), F.lit(0.0))


def _traded() -> Column:
    return F.greatest(F.coalesce(F.col("traded_volume"), F.lit(0)), F.lit(0)).cast("long")


def _prints() -> Column:
    """1 when the last quantity is missing, zero, or no less than the volume."""
    last_quantity = F.when((F.col("ltq") > 0) & (F.col("ltq") < _traded()), F.col("ltq").cast("double"))
    return F.coalesce(_traded().cast("double") / last_quantity, F.lit(1.0))


def _window_seconds() -> Column:
    """Null when a time is missing, 0 when the updates are out of order."""
    span_ms = F.col("feed_time_ms") - F.col("prev_feed_time_ms")
    return F.when(span_ms > 0, span_ms.cast("double") / F.lit(1000.0)).when(span_ms.isNotNull(), F.lit(0.0))


def _trade_age_ms() -> Column:
    """Null when a time is missing."""
    now_ms = F.col("feed_time_ms") - F.col("ltt_ms") - F.lit(twin.FEED_LATENCY_MS)
    before_ms = F.col("prev_feed_time_ms") - F.col("prev_ltt_ms") - F.lit(twin.FEED_LATENCY_MS)
    return F.when((now_ms + before_ms).isNotNull(), F.greatest(now_ms, F.lit(0)) + F.greatest(before_ms, F.lit(0)))


def _imbalance(bid_quantity: Column, ask_quantity: Column) -> Column:
    """Null when unknown, 0 when nobody waits."""
    total = bid_quantity + ask_quantity
    heavier_bid = (bid_quantity - ask_quantity).cast("double") / F.when(total > 0, total.cast("double"))
    return F.when(total > 0, heavier_bid).when(total.isNotNull(), F.lit(0.0))


def _best(side: str, field: str) -> Column:
    return F.get(F.col(side), F.lit(0))[field]
