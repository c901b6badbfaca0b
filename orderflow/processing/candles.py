"""Measures of a window to the candle that is published: final minutes, their roll-up, and the footprint's levels."""

from __future__ import annotations

from typing import Final

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from orderflow.market import records, topics
from orderflow.processing.aggressor import band_column, grade_column
from orderflow.processing.minutes import MINUTE_MS
from orderflow.processing.session_time import epoch_ms

_IST_SUFFIX: Final = "+05:30"


def iso(at_ms: Column) -> Column:
    """Return ISO 8601 with +05:30 of an epoch time in ms, to the second; the session's time zone is UTC (`spark_session`)."""
    return F.concat(F.date_format(F.timestamp_millis(at_ms + 330 * MINUTE_MS), "yyyy-MM-dd'T'HH:mm:ss"), F.lit(_IST_SUFFIX))


def with_candle(measures: DataFrame, window_minutes: int, source: str = "stream") -> DataFrame:
    """Add every column of records.CANDLE to the measures of `minute_candles` or `roll_up`; the others stay."""
    classified = F.col("buy_volume") + F.col("sell_volume")
    delta = F.col("buy_volume") - F.col("sell_volume")
    return (
        measures.withColumn("delta_band", band_column(F.col("variance")))
        .withColumn("delta", delta)
        .withColumn("unclassified_volume", F.col("total_volume") - classified)
        .withColumn("imbalance", F.when(classified > 0, delta / classified))
        .withColumn("vwap", F.when(F.col("priced_volume") > 0, F.col("turnover") / F.col("priced_volume")))
        .withColumn("confidence", grade_column(F.col("delta_band"), F.col("total_volume"), classified))
        .withColumn("window_start", iso(F.col("start_ms")))
        .withColumn("window_end", iso(F.col("end_ms")))
        .withColumn("window_minutes", F.lit(window_minutes))
        .withColumn("source", F.lit(source))
        .withColumnRenamed("instrument_key", "instrument")
    )


def candle_records(measures: DataFrame, window_minutes: int, source: str = "stream") -> DataFrame:
    """Return records.CANDLE rows from the measures of `minute_candles` or `roll_up`."""
    return with_candle(measures, window_minutes, source).select(*records.names(records.CANDLE))


def footprint_records(measures: DataFrame) -> DataFrame:
    """Return one records.FOOTPRINT row per price level of each minute."""
    levels = measures.select(
        iso(F.col("start_ms")).alias("window_start"),
        iso(F.col("end_ms")).alias("window_end"),
        F.col("instrument_key").alias("instrument"),
        F.explode("levels").alias("level"),
    )
    return levels.select("window_start", "window_end", "instrument", *_level(F.col("level")))


def flow_messages(measures: DataFrame, window_minutes: int) -> DataFrame:
    """Return Kafka messages (topic, key, value) of each window: its candle, then its footprint levels where it has them."""
    candles = with_candle(measures, window_minutes)
    edges = [F.col(name) for name in ("window_start", "window_end", "instrument")]
    candle = _message(topics.ORDERFLOW, F.struct(*records.names(records.CANDLE)))
    out = F.array(candle)
    if "levels" in measures.columns:
        out = F.concat(out, F.transform("levels", lambda level: _message(topics.FOOTPRINT, F.struct(*edges, *_level(level)))))
    return candles.select(F.col("instrument").alias("key"), F.explode(out).alias("message")).select(
        "message.topic", "key", "message.value"
    )


def _message(topic: str, record: Column) -> Column:
    return F.struct(F.lit(topic).alias("topic"), F.to_json(record, {"ignoreNullFields": "false"}).alias("value"))


def _level(level: Column) -> list[Column]:
    return [level["price"].alias("price"), *[level[side].alias(f"{side}_volume") for side in ("buy", "sell", "unclassified")]]


def roll_up(minutes: DataFrame, window_minutes: int) -> DataFrame:
    """Combine final minutes into windows of `window_minutes` that begin at the session's start and are cut at its end.

    `minutes` comes from `minute_candles` on the axis of the same `window_minutes`. Running delta combines associatively: the
    least prefix of two stretches is the lesser of the first's and the first's sum plus the second's.
    """
    window = F.window(F.window_time("window"), f"{window_minutes} minutes")
    order = F.col("start_ms")

    def first(name: str) -> Column:
        return F.min_by(name, order).alias(name)

    def last(name: str) -> Column:
        return F.max_by(name, order).alias(name)

    summed = ("buy_volume", "sell_volume", "total_volume", "tick_volume", "turnover", "priced_volume", "tick_count", "variance")
    summed_ticks = ("tick_buy_volume", "tick_sell_volume")
    zero = F.lit(0).cast("long")
    path = F.aggregate(
        F.array_sort("paths"),
        F.struct(zero.alias("sum"), zero.alias("least"), zero.alias("most")),
        lambda state, m: F.struct(
            (state["sum"] + m["delta"]).alias("sum"),
            F.least(state["least"], state["sum"] + m["least"]).alias("least"),
            F.greatest(state["most"], state["sum"] + m["most"]).alias("most"),
        ),
    )
    delta = (F.col("buy_volume") - F.col("sell_volume")).alias("delta")
    minute_path = F.struct("start_ms", delta, F.col("min_delta").alias("least"), F.col("max_delta").alias("most"))
    grouped = minutes.groupBy("instrument_key", window).agg(
        first("open"),
        F.max("high").alias("high"),
        F.min("low").alias("low"),
        last("close"),
        last("tbq"),
        last("tsq"),
        *[F.sum(name).alias(name) for name in (*summed, *summed_ticks)],
        F.collect_list(minute_path).alias("paths"),
        F.bool_and("exchange_bar").alias("exchange_bar"),
        F.bool_or("gap").alias("gap"),
        first("tick_open"),
        F.max("tick_high").alias("tick_high"),
        F.min("tick_low").alias("tick_low"),
        last("tick_close"),
        F.max("session_start_ms").alias("session_start_ms"),
        F.max("session_end_ms").alias("session_end_ms"),
    )
    start_ms = epoch_ms(F.col("window.start"), window_minutes)
    return (
        grouped.withColumn("path", path)
        .withColumn("min_delta", F.col("path.least"))
        .withColumn("max_delta", F.col("path.most"))
        .withColumn("start_ms", F.greatest(start_ms, F.col("session_start_ms")))
        .withColumn("end_ms", F.least(start_ms + window_minutes * MINUTE_MS, F.col("session_end_ms")))
    )
