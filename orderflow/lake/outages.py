"""Removes the volume of an outage from the candle after it, once the outage's minutes are backfilled; rewrites the day."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from orderflow.lake.compaction import FILE_IS_GONE, DayChangedError, DayRewriter, StoredMeanwhileError
from orderflow.lake.exchange_candles import ExchangeMinute
from orderflow.lake.layout import CANDLES, FOOTPRINT, Table, spark_schema
from orderflow.lake.repair import levels_within, without_outages
from orderflow.market.candle import Candle

ATTEMPTS = 3


def replace_outages(spark: SparkSession, url: str, date: str, exchange: Mapping[str, Sequence[ExchangeMinute]]) -> int:
    """Put the candles of `without_outages` and their footprint into a stored date; returns how many candles.

    `exchange` has the date's minutes by instrument. The footprint is written first; if the process ends between the two
    writes, the next call completes them. Raises DayChangedError or StoredMeanwhileError when storage came in between
    again and again.
    """
    for attempt in range(1, ATTEMPTS + 1):
        try:
            return _replace_outages(spark, DayRewriter(spark, url), date, exchange)
        except (DayChangedError, StoredMeanwhileError):
            if attempt == ATTEMPTS:
                raise
        except PySparkException as error:
            if attempt == ATTEMPTS or not any(sign in str(error) for sign in FILE_IS_GONE):
                raise
    raise AssertionError("every attempt returns or raises")


def _replace_outages(
    spark: SparkSession, rewriter: DayRewriter, date: str, exchange: Mapping[str, Sequence[ExchangeMinute]]
) -> int:
    stored = rewriter.rows(CANDLES, date)
    minutes: dict[str, list[Candle]] = {}
    for row in stored.where(F.col("instrument").isin(list(exchange)) & (F.col("window_minutes") == 1)).collect():
        minutes.setdefault(row["instrument"], []).append(Candle.from_record(row.asDict()))
    replaced = [candle for key, candles in minutes.items() for candle in without_outages(candles, exchange[key])]
    if not replaced:
        return 0
    records = [candle.to_record() for candle in replaced]
    places = [(record["instrument"], record["window_start"]) for record in records]
    named = F.broadcast(spark.createDataFrame(places, "instrument STRING, window_start STRING"))
    levels: dict[tuple[str, str], list[dict[str, Any]]] = {place: [] for place in places}
    footprint = rewriter.rows(FOOTPRINT, date)
    for row in footprint.join(named, ["instrument", "window_start"], "left_semi").collect():
        levels[row["instrument"], row["window_start"]].append(row.asDict())
    kept = [level for place, candle in zip(places, replaced, strict=True) for level in levels_within(levels[place], candle)]
    if len(kept) < sum(map(len, levels.values())) or any(level not in levels[_place(level)] for level in kept):
        others = footprint.join(named, ["instrument", "window_start"], "left_anti")
        rewriter.replace(FOOTPRINT, date, others.unionByName(_frame(spark, FOOTPRINT, kept)))
    own = named.withColumn("window_minutes", F.lit(1))
    others = stored.join(own, ["instrument", "window_start", "window_minutes"], "left_anti")
    rewriter.replace(CANDLES, date, others.unionByName(_frame(spark, CANDLES, records)))
    return len(replaced)


def _place(row: Mapping[str, Any]) -> tuple[str, str]:
    return row["instrument"], row["window_start"]


def _frame(spark: SparkSession, table: Table, rows: Sequence[Mapping[str, Any]]) -> DataFrame:
    names = [field.name for field in table.fields]
    return spark.createDataFrame([tuple(row[name] for name in names) for row in rows], spark_schema(table.fields))
