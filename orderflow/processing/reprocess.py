"""Recompute a day's candles and footprint from its stored ticks, with the transforms of the streaming queries.

Where nothing came late the result equals what streaming wrote, row by row. Late ticks and late exchange bars, which the live
candle could not take any more, are applied here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from orderflow.market import records
from orderflow.processing.candles import candle_records, footprint_records, roll_up
from orderflow.processing.minutes import minute_candles, minute_groups, minute_pieces, minute_rows
from orderflow.processing.schemas import CANDLE, FOOTPRINT, TICK
from orderflow.settings import Settings

CANDLE_KEY: Final = ("instrument", "window_start", "window_minutes")
FOOTPRINT_KEY: Final = ("instrument", "window_start", "price")
_TOLERANCE: Final = 1e-9


@dataclass(frozen=True, slots=True)
class Difference:
    """How recomputed rows differ from stored ones: keys only there, only here, and with other values."""

    stored: int
    recomputed: int
    missing: int
    surplus: int
    changed: int
    examples: tuple[str, ...]

    @property
    def none(self) -> bool:
        """Say whether both are equal row by row."""
        return self.missing == self.surplus == self.changed == 0

    def __str__(self) -> str:
        return (
            f"{self.stored} stored, {self.recomputed} recomputed: {self.missing} not stored yet, {self.surplus} stored only, "
            f"{self.changed} with other values"
        )


def day_ticks(spark: SparkSession, settings: Settings, date: str) -> DataFrame:
    """Return the stored ticks of trading date `date`. Raises AnalysisException when the date is not stored."""
    return spark.read.schema(TICK).parquet(f"{settings.namenode_url}/trading/ticks/date={date}")


def recompute(ticks: DataFrame, settings: Settings, window_minutes: tuple[int, ...]) -> tuple[DataFrame, DataFrame]:
    """Return (records.CANDLE rows of every length in `window_minutes`, records.FOOTPRINT rows of the minutes)."""
    candles: DataFrame | None = None
    footprint: DataFrame | None = None
    for n in window_minutes:
        rows = minute_rows(ticks, settings.aggressor_rule, exchange_bars=settings.exchange_bars, window_minutes=n, live=False)
        measures = minute_candles(minute_pieces(minute_groups(rows)), n)
        if n == 1:
            footprint = footprint_records(measures)
        wanted = candle_records(measures if n == 1 else roll_up(measures, n), n, source="reprocess")
        candles = wanted if candles is None else candles.unionByName(wanted)
    if candles is None or footprint is None:
        raise ValueError("window_minutes must hold 1")
    return candles, footprint


def stored_candles(spark: SparkSession, settings: Settings, date: str) -> DataFrame:
    """Return the stored candles of a date."""
    return spark.read.schema(CANDLE).parquet(f"{settings.namenode_url}/trading/candles/date={date}")


def stored_footprint(spark: SparkSession, settings: Settings, date: str) -> DataFrame:
    """Return the stored footprint of a date."""
    return spark.read.schema(FOOTPRINT).parquet(f"{settings.namenode_url}/trading/footprint/date={date}")


def judged(stored: DataFrame, recomputed: DataFrame, key: tuple[str, ...]) -> DataFrame:
    """Join both by `key` into structs `old` and `new` with a `verdict`: equal, missing, surplus or changed.

    `source` is not compared; doubles are equal to nine digits.
    """
    fields = records.CANDLE if "window_minutes" in key else records.FOOTPRINT
    names = [field.name for field in fields]
    old = stored.select(F.struct(*names).alias("old"))
    new = recomputed.select(F.struct(*names).alias("new"))
    joined = old.join(new, [F.col(f"old.{name}") == F.col(f"new.{name}") for name in key], "full_outer")
    equal: Any = F.lit(True)
    for field in fields:
        if field.name in (*key, "source"):
            continue
        left, right = F.col(f"old.{field.name}"), F.col(f"new.{field.name}")
        same = left.eqNullSafe(right)
        if field.type == "double":
            near = F.abs(left - right) <= _TOLERANCE * F.greatest(F.abs(left), F.lit(1.0))
            same = same | F.coalesce(near, F.lit(False))
        equal = equal & same
    verdict = (
        F.when(F.col("old").isNull(), "missing")
        .when(F.col("new").isNull(), "surplus")
        .otherwise(F.when(equal, "equal").otherwise("changed"))
    )
    return joined.withColumn("verdict", verdict)


def difference(judgement: DataFrame, key: tuple[str, ...]) -> Difference:
    """Count the verdicts of `judged` and name the first ten places that differ."""
    counts = {row["verdict"]: int(row["count"]) for row in judgement.groupBy("verdict").count().collect()}
    place = F.concat_ws(" ", *[F.coalesce(F.col(f"new.{name}"), F.col(f"old.{name}")).cast("string") for name in key])
    shown = judgement.where(F.col("verdict") != "equal").select("verdict", place.alias("place")).orderBy("place").limit(10)
    equal, missing, surplus, changed = (counts.get(name, 0) for name in ("equal", "missing", "surplus", "changed"))
    return Difference(
        stored=equal + surplus + changed,
        recomputed=equal + missing + changed,
        missing=missing,
        surplus=surplus,
        changed=changed,
        examples=tuple(f"{row['verdict']}: {row['place']}" for row in shown.collect()),
    )


def merged(judgement: DataFrame) -> DataFrame:
    """Return the day with the difference applied: what changed or was missing is new, all else stays as it was stored."""
    take_new = F.col("verdict").isin("missing", "changed")
    return judgement.select(F.when(take_new, F.col("new")).otherwise(F.col("old")).alias("row")).select("row.*")
