"""Runs the candle transforms on ticks written by hand or replayed."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from orderflow.processing.candles import candle_records, footprint_records, roll_up
from orderflow.processing.minutes import minute_candles, minute_groups, minute_pieces, minute_rows
from pyspark.sql import DataFrame, SparkSession

from orderflow.market.tick import Tick, tick_record
from orderflow.processing.schemas import TICK

OPEN = 1_765_770_300_000  # 2025-12-15 09:15:00 IST
CLOSE = OPEN + 375 * 60_000
KEY = "NSE_EQ|INE467B01029"


def frame(spark: SparkSession, ticks: Iterable[Tick]) -> DataFrame:
    """Make a frame of records.TICK rows, through JSON as on the topic."""
    lines = [json.dumps(tick_record(tick)) for tick in ticks]
    return spark.read.schema(TICK).json(spark.sparkContext.parallelize(lines, 2))


def measures(ticks: DataFrame, rule: str = "lee_ready", window_minutes: int = 1, **how: Any) -> DataFrame:
    """Compute minute measures as the candle query does, in one batch."""
    rows = minute_rows(ticks, rule, window_minutes=window_minutes, **how)
    return minute_candles(minute_pieces(minute_groups(rows)), window_minutes)


def candles(ticks: DataFrame, rule: str = "lee_ready", window_minutes: int = 1, **how: Any) -> list[dict[str, Any]]:
    """Return candle records in order of instrument and window."""
    found = measures(ticks, rule, window_minutes, **how)
    if window_minutes > 1:
        found = roll_up(found, window_minutes)
    rows = [row.asDict() for row in candle_records(found, window_minutes).collect()]
    return sorted(rows, key=lambda row: (row["instrument"], row["window_start"]))


def footprint(ticks: DataFrame, rule: str = "lee_ready", **how: Any) -> list[dict[str, Any]]:
    """Return footprint records in order of instrument, window and price."""
    rows = [row.asDict() for row in footprint_records(measures(ticks, rule, **how)).collect()]
    return sorted(rows, key=lambda row: (row["instrument"], row["window_start"], row["price"]))


def trade_tick(
    second: float,
    price: float,
    volume: int,
    vtt: int,
    *,
    since: float,
    side: str = "buy",
    sequence: int | None = None,
    **more: Any,
) -> Tick:
    """A tick `second` seconds after the open whose trade is a clear buy or sell; `since` is the time of the trade before."""
    at = OPEN + round(second * 1000)
    quote = (price - 0.1, price) if side == "buy" else (price, price + 0.1)
    values: dict[str, Any] = {
        "schema_version": 1,
        "instrument_key": KEY,
        "kind": "update",
        "sequence": sequence if sequence is not None else round(second * 1000),
        "feed_time_ms": at + 300,
        "received_time_ms": at + 350,
        "event_time_ms": at,
        "trading_date": "2025-12-15",
        "ltp": price,
        "ltt_ms": at,
        "ltq": 1,
        "vtt": vtt,
        "tbq": 1_000 + round(second),
        "tsq": 2_000,
        "session_phase": "continuous",
        "session_start_ms": OPEN,
        "session_end_ms": CLOSE,
        "traded_volume": volume,
        "prev_bid": quote[0],
        "prev_ask": quote[1],
        "prev_feed_time_ms": OPEN + round(since * 1000) + 300,
        "prev_ltt_ms": OPEN + round(since * 1000),
        "tick_direction": 1,
    }
    return Tick(**{**values, **more})
