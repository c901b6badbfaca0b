"""Turns ticks into trades: stateless, so that Spark's real-time mode can run it within milliseconds."""

from __future__ import annotations

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from orderflow.market import records
from orderflow.processing.aggressor import split_columns
from orderflow.processing.schemas import valid_ticks

CONTINUOUS = "continuous"


def is_trade() -> Column:
    """Return whether a tick carries volume of continuous trading."""
    return (F.col("traded_volume") > 0) & (F.col("session_phase") == CONTINUOUS)


def live_trades(messages: DataFrame, rule: str) -> DataFrame:
    """Return the trades among Kafka messages of the tick topic, as `trades` does; what is no valid tick is left out."""
    return trades(valid_ticks(messages), rule)


def trades(ticks: DataFrame, rule: str) -> DataFrame:
    """Return one records.TRADE row for each tick that carries volume of continuous trading.

    `ticks` has the columns of records.TICK. `trade_id` is the instrument, trading date and cumulative volume, so a repeat
    after a crash carries the same id.
    """
    split = ticks.where(is_trade()).withColumn("flow", split_columns(rule))
    buy, sell, unclassified = (F.col(f"flow.{side}_volume") for side in ("buy", "sell", "unclassified"))
    side = F.when((unclassified >= buy) & (unclassified >= sell), "unclassified").when(buy >= sell, "buy").otherwise("sell")
    return split.select(
        "instrument_key",
        F.concat_ws(":", "instrument_key", "trading_date", "vtt").alias("trade_id"),
        "event_time_ms",
        "received_time_ms",
        F.col("ltp").alias("price"),
        F.col("traded_volume").alias("volume"),
        buy.alias("buy_volume"),
        sell.alias("sell_volume"),
        unclassified.alias("unclassified_volume"),
        side.alias("side"),
        F.col("prev_bid").alias("bid"),
        F.col("prev_ask").alias("ask"),
        "tbq",
        "tsq",
        "session_start_ms",
        "session_end_ms",
        "gap",
    ).select(*records.names(records.TRADE))
