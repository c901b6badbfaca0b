"""Ticks to one-minute candles with their footprint: event-time windows, one final result per minute.

A tick becomes rows of the minutes it concerns (`minute_rows`): its own minute; the minutes back to the trade before, over
whose edges its volume may span; the minutes on to the update, should the last trade's time be stale; and for the exchange's
bar, the minute that it describes and the neighbours whose edge it fixes.
`minute_groups` gathers the rows of each minute; `minute_candles` cuts volume at the edges and computes everything else from
the gathered rows, so the result does not depend on their order of arrival.
"""

from __future__ import annotations

from typing import Final

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from orderflow.processing.aggressor import split_columns, wrong_share_column
from orderflow.processing.session_time import epoch_ms, session_time

MINUTE_MS: Final = 60_000
_LIVE_SPAN_MINUTES: Final = 3
_BATCH_SPAN_MINUTES: Final = 400
_OWN, _EARLIER, _LATER, _BAR, _LEFT, _RIGHT = range(6)


def minute_rows(
    ticks: DataFrame, rule: str, *, exchange_bars: bool = True, window_minutes: int = 1, live: bool = True
) -> DataFrame:
    """Explode ticks (records.TICK) into rows (instrument_key, event_time, trade, quote, bar, left, right, session edges).

    `event_time` lies on the axis of `session_time(…, window_minutes)`. A heartbeat gives one row with nothing in it. `live`
    leaves out late bars and bounds how far back a spanning tick reaches: live, older edges are never known; a batch sees all.
    """
    minute = _floor_minute("event_time_ms")
    priced = F.col("ltp").isNotNull()
    has_volume = priced & F.coalesce(F.col("traded_volume") > 0, F.lit(False))
    price_only = priced & F.col("vtt").isNull() & F.coalesce(F.col("event_time_ms") == F.col("ltt_ms"), F.lit(False))
    in_session = (F.col("session_phase") == "continuous").eqNullSafe(True)
    prev_minute = F.coalesce(_floor_minute("prev_ltt_ms"), minute)
    from_minute = F.greatest(prev_minute, _floor_minute("session_start_ms"))
    spans = has_volume & F.coalesce(from_minute < minute, F.lit(False))
    last_minute = F.greatest(prev_minute, _floor_minute("feed_time_ms"))
    runs_on = has_volume & F.coalesce(last_minute > minute, F.lit(False))
    use_bar = F.lit(exchange_bars) & F.col("bar.start_ms").isNotNull()
    if live:
        use_bar = use_bar & ~F.coalesce(F.col("bar.late"), F.lit(False))
    open_vtt = F.col("bar.open_vtt") if live else F.col("bar.close_vtt") - F.col("bar.volume")
    reach_ms = (_LIVE_SPAN_MINUTES if live else _BATCH_SPAN_MINUTES) * MINUTE_MS
    earlier = F.when(spans, F.sequence(F.greatest(from_minute, minute - reach_ms), minute - MINUTE_MS, F.lit(MINUTE_MS)))
    later = F.when(runs_on, F.sequence(minute + MINUTE_MS, F.least(last_minute, minute + reach_ms), F.lit(MINUTE_MS)))
    bar_rows = F.when(
        use_bar,
        F.array(
            _cell(F.col("bar.start_ms"), _BAR),
            _cell(F.col("bar.start_ms") + MINUTE_MS, _LEFT),
            _cell(F.col("bar.start_ms") - MINUTE_MS, _RIGHT),
        ),
    )
    nothing = F.slice(F.array(_cell(minute, _OWN)), 1, 0)
    cells = F.concat(
        F.array(_cell(minute, _OWN)),
        F.coalesce(F.transform(earlier, lambda at: _cell(at, _EARLIER)), nothing),
        F.coalesce(F.transform(later, lambda at: _cell(at, _LATER)), nothing),
        F.coalesce(bar_rows, nothing),
    )
    placed = (
        ticks.withColumn("flow", split_columns(rule))
        .withColumn("wrong", wrong_share_column())
        .withColumn("has_volume", has_volume)
        .withColumn("spans", spans)
        .withColumn("runs_on", runs_on)
        .withColumn("closed_vtt", F.when(use_bar, F.col("bar.close_vtt")))
        .withColumn("open_vtt", open_vtt)
        .withColumn("counts", in_session & (has_volume | price_only))
        .withColumn("quoted", in_session & F.col("tbq").isNotNull())
        .select("*", F.explode(cells).alias("cell"))
    )
    own = F.col("cell.role") == _OWN
    reaches = F.col("cell.role").isin(_EARLIER, _LATER) & (F.col("cell.at_ms") < F.col("session_end_ms"))
    at_ms = F.when(own, F.col("event_time_ms")).otherwise(F.col("cell.at_ms"))
    return placed.select(
        "instrument_key",
        "session_start_ms",
        "session_end_ms",
        session_time(at_ms, window_minutes).alias("event_time"),
        F.when((own & F.col("counts")) | reaches, _trade(own)).alias("trade"),
        F.when(own & F.col("quoted"), F.struct("event_time_ms", "sequence", "tbq", "tsq")).alias("quote"),
        F.when(F.col("cell.role") == _BAR, _bar()).alias("bar"),
        F.when(F.col("cell.role") == _LEFT, F.col("bar.close_vtt")).alias("left"),
        F.when(F.col("cell.role") == _RIGHT, F.col("open_vtt")).alias("right"),
    )


def minute_groups(rows: DataFrame) -> DataFrame:
    """Gather the rows of each instrument's minute; streaming in append mode, or a batch.

    The caller sets the watermark on `event_time`. Gives window (on the stretched axis) and the gathered parts.
    """
    return rows.groupBy("instrument_key", F.window("event_time", "1 minute")).agg(
        F.collect_list("trade").alias("trades"),
        F.max("quote").alias("quote"),
        F.max("bar").alias("bar"),
        F.max("left").alias("left"),
        F.max("right").alias("right"),
        F.max("session_start_ms").alias("session_start_ms"),
        F.max("session_end_ms").alias("session_end_ms"),
    )


def minute_pieces(groups: DataFrame) -> DataFrame:
    """Cut each minute's trades at its edges: adds `pieces`, ordered by (event_time_ms, sequence), and `seen`, their volume.

    Where the minute's own bar is anchored its edges hold; otherwise those that the neighbours' bars give. A trade that
    spans an edge known on both sides is divided there; the part of a trade beyond an unknown edge stays with the trade's
    own minute. So the pieces of all minutes hold each trade once. Each piece keeps the trade's buy share, in whole numbers
    that add up.
    """
    anchored = F.coalesce(F.col("bar.anchored"), F.lit(False))
    own_left = F.when(F.col("bar.opens") | F.col("left").isNotNull(), F.col("bar.close_vtt") - F.col("bar.volume"))
    left = F.when(anchored, own_left).otherwise(F.col("left"))
    right = F.when(anchored, F.col("bar.close_vtt")).otherwise(F.col("right"))

    def cut(trade: Column) -> Column:
        spans, later = trade["role"] == _EARLIER, trade["role"] == _LATER
        begun = F.when(F.col("left_edge").isNull(), trade["high"]).otherwise(F.greatest(trade["low"], F.col("left_edge")))
        low = (
            F.when(later, begun)
            .when(trade["spans"], F.greatest(trade["low"], trade["floor"], F.col("left_edge")))
            .otherwise(trade["low"])
        )
        high = (
            F.when(spans & F.col("right_edge").isNull(), trade["low"])
            .when(spans | trade["runs_on"], F.least(trade["high"], F.col("right_edge")))
            .otherwise(trade["high"])
        )
        return F.struct(trade.alias("trade"), low.alias("low"), F.greatest(low, high).alias("high"))

    def piece(part: Column) -> Column:
        trade, volume = part["trade"], part["high"] - part["low"]
        buy = _share(trade, trade["buy"], part["high"]) - _share(trade, trade["buy"], part["low"])
        some_sell = _share(trade, trade["sell"], part["high"]) - _share(trade, trade["sell"], part["low"])
        whole = trade["buy"] + trade["sell"] == trade["volume"]
        return F.struct(
            trade["event_time_ms"].alias("event_time_ms"),
            trade["sequence"].alias("sequence"),
            trade["own"].alias("own"),
            trade["gap"].alias("gap"),
            trade["price"].alias("price"),
            trade["volume"].alias("tick_volume"),
            trade["buy"].alias("tick_buy"),
            trade["sell"].alias("tick_sell"),
            volume.alias("volume"),
            buy.alias("buy"),
            F.when(whole, volume - buy).otherwise(F.least(some_sell, volume - buy)).alias("sell"),
            (trade["variance"] * F.pow(volume / F.greatest(trade["volume"], F.lit(1)), F.lit(2.0))).alias("variance"),
        )

    edges = groups.withColumn("right_edge", right).withColumn("left_edge", left)
    cuts = edges.withColumn("cuts", F.transform(F.array_distinct("trades"), cut))
    kept = F.filter("cuts", lambda part: part["trade"]["own"] | (part["high"] > part["low"]))
    pieces = cuts.withColumn("pieces", F.array_sort(F.transform(kept, piece)))
    return pieces.withColumn("seen", _total("pieces", "volume")).drop("trades", "cuts", "left_edge", "right_edge")


def minute_candles(pieces: DataFrame, window_minutes: int = 1) -> DataFrame:
    """Compute each minute's candle and footprint levels; minutes with neither a trade nor a bar are dropped.

    Gives instrument_key, window, start_ms, end_ms, session edges, the measures of records.CANDLE (without band and grade, which
    `orderflow.processing.candles` adds) and `levels` (price in paise, buy, sell, unclassified). Prices are the exchange's
    wherever its bar is known; `exchange_bar` says that the volume is too. `window_minutes` names the time axis that the rows
    were placed on.
    """
    has_bar = F.col("bar").isNotNull()
    bar_volume = F.coalesce(F.col("bar.volume"), F.lit(0))
    index_bar = has_bar & F.col("bar.volume").isNull()
    exchange = index_bar | (F.coalesce(F.col("bar.anchored"), F.lit(False)) & (F.col("seen") <= bar_volume))
    total = F.when(exchange, bar_volume).otherwise(F.col("seen"))
    own = F.filter("pieces", lambda p: p["own"])
    priced = F.when(F.size("own") > 0, F.col("own")).otherwise(F.col("pieces"))
    prices = F.transform("priced", lambda p: p["price"])
    buy, sell = _total("pieces", "buy"), _total("pieces", "sell")
    return (
        pieces.withColumn("own", own)
        .withColumn("priced", priced)
        .withColumn("exchange_bar", F.coalesce(exchange, F.lit(False)))
        .withColumn("total_volume", total)
        .where((F.size("own") > 0) | (F.col("total_volume") > 0) | F.col("exchange_bar"))
        .withColumn("prices", prices)
        .withColumn("tick_open", F.try_element_at("prices", F.lit(1)))
        .withColumn("tick_close", F.try_element_at("prices", F.lit(-1)))
        .withColumn("tick_high", F.array_max("prices"))
        .withColumn("tick_low", F.array_min("prices"))
        .withColumn("buy_volume", buy)
        .withColumn("sell_volume", sell)
        .withColumn("running", _running_delta())
        .withColumn("traded", _traded())
        .select(
            "instrument_key",
            "window",
            epoch_ms(F.col("window.start"), window_minutes).alias("start_ms"),
            (epoch_ms(F.col("window.start"), window_minutes) + MINUTE_MS).alias("end_ms"),
            "session_start_ms",
            "session_end_ms",
            *[
                F.when(has_bar, F.col(f"bar.{name}")).otherwise(F.col(f"tick_{name}")).alias(name)
                for name in ("open", "high", "low", "close")
            ],
            "buy_volume",
            "sell_volume",
            "total_volume",
            F.col("quote.tbq").alias("tbq"),
            F.col("quote.tsq").alias("tsq"),
            _total("own", "tick_volume").alias("tick_volume"),
            _weighted_price().alias("turnover"),
            F.col("seen").alias("priced_volume"),
            F.size("own").cast("long").alias("tick_count"),
            F.col("running.least").alias("min_delta"),
            F.col("running.most").alias("max_delta"),
            F.aggregate("pieces", F.lit(0.0), lambda total_, p: total_ + p["variance"]).alias("variance"),
            "exchange_bar",
            (F.exists("pieces", lambda p: p["gap"]) | (F.col("total_volume") > F.col("seen"))).alias("gap"),
            "tick_open",
            "tick_high",
            "tick_low",
            "tick_close",
            _total("own", "tick_buy").alias("tick_buy_volume"),
            _total("own", "tick_sell").alias("tick_sell_volume"),
            _levels().alias("levels"),
        )
    )


def _cell(at_ms: Column, role: int) -> Column:
    return F.struct(at_ms.cast("long").alias("at_ms"), F.lit(role).alias("role"))


def _floor_minute(name: str) -> Column:
    return F.col(name) - F.pmod(F.col(name), F.lit(MINUTE_MS))


def _trade(own: Column) -> Column:
    """The tick as a trade occupying (low, high] of the vtt axis; event time and sequence first, which is its order.

    `floor` is the end of the bar that came with it, in the minutes after that bar: what is below belongs to the bar's minute.
    """
    volume = F.when(F.col("has_volume"), F.col("traded_volume")).otherwise(F.lit(0)).cast("long")

    def part(column: Column) -> Column:
        return F.when(F.col("has_volume"), column).otherwise(F.lit(0)).cast("long")

    wrong = F.when(F.col("has_volume"), F.coalesce(F.col("wrong"), F.lit(0.0))).otherwise(F.lit(0.0))
    return F.struct(
        "event_time_ms",
        "sequence",
        F.col("ltp").alias("price"),
        F.coalesce(F.col("vtt") - volume, F.lit(0)).cast("long").alias("low"),
        F.coalesce(F.col("vtt"), F.lit(0)).cast("long").alias("high"),
        volume.alias("volume"),
        part(F.col("flow.buy_volume")).alias("buy"),
        part(F.col("flow.sell_volume")).alias("sell"),
        (wrong * F.pow(volume.cast("double"), F.lit(2.0))).alias("variance"),
        F.coalesce(F.col("gap"), F.lit(False)).alias("gap"),
        own.alias("own"),
        F.col("cell.role").alias("role"),
        F.col("spans").alias("spans"),
        F.col("runs_on").alias("runs_on"),
        F.when(F.col("cell.at_ms") > F.col("bar.start_ms"), F.col("closed_vtt")).alias("floor"),
    )


def _bar() -> Column:
    """The exchange's bar; an anchored one is the greatest of repeats."""
    return F.struct(
        F.col("bar.close_vtt").isNotNull().alias("anchored"),
        F.col("open_vtt").isNotNull().alias("opens"),
        *[F.col(f"bar.{name}").alias(name) for name in ("open", "high", "low", "close", "volume", "close_vtt")],
    )


def _share(trade: Column, part: Column, upto: Column) -> Column:
    """How much of `part` of the trade lies below `upto` on the vtt axis: whole numbers, non-decreasing, exact at both ends."""
    fraction = (upto - trade["low"]) / F.greatest(trade["volume"], F.lit(1))
    # A fraction of the whole would fall short of a whole number now and then, by the last bit.
    return F.when(part == trade["volume"], upto - trade["low"]).otherwise(F.floor(part * fraction).cast("long"))


def _total(array: str, field: str) -> Column:
    return F.aggregate(array, F.lit(0).cast("long"), lambda total, p: total + p[field])


def _weighted_price() -> Column:
    return F.aggregate("pieces", F.lit(0.0), lambda total, p: total + p["price"] * p["volume"])


def _running_delta() -> Column:
    zero = F.lit(0).cast("long")
    start = F.struct(zero.alias("sum"), zero.alias("least"), zero.alias("most"))

    def step(state: Column, p: Column) -> Column:
        now = state["sum"] + p["buy"] - p["sell"]
        return F.struct(
            now.alias("sum"), F.least(state["least"], now).alias("least"), F.greatest(state["most"], now).alias("most")
        )

    return F.aggregate("pieces", start, step)


def _traded() -> Column:
    """The pieces that hold volume, with their price in paise."""
    return F.transform(
        F.filter("pieces", lambda p: p["volume"] > 0),
        lambda p: F.struct(
            F.round(p["price"] * 100).cast("long").alias("price"),
            p["buy"].alias("buy"),
            p["sell"].alias("sell"),
            (p["volume"] - p["buy"] - p["sell"]).alias("unclassified"),
        ),
    )


def _levels() -> Column:
    """The footprint: volume of the pieces by last price in paise, lowest first."""

    def level(price: Column) -> Column:
        def at_price(field: str) -> Column:
            def add(total: Column, p: Column) -> Column:
                return total + F.when(p["price"] == price, p[field]).otherwise(F.lit(0))

            return F.aggregate("traded", F.lit(0).cast("long"), add).alias(field)

        return F.struct(price.alias("price"), at_price("buy"), at_price("sell"), at_price("unclassified"))

    return F.transform(F.array_sort(F.array_distinct(F.transform("traded", lambda p: p["price"]))), level)
