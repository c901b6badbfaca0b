"""Compare a day's recomputed rows with the stored ones, and apply the difference."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from orderflow.market import records
from orderflow.market.day_so_far import WITHOUT_TICKS
from orderflow.market.price_unit import PAISE

CANDLE_KEY: Final = ("instrument", "window_start", "window_minutes")
FOOTPRINT_KEY: Final = ("instrument", "window_start", "price")
_TOLERANCE: Final = 1e-9


@dataclass(frozen=True, slots=True)
class Difference:
    """How recomputed rows differ from stored ones.

    `surplus`: stored only, and kept. `removed`: stored only, and wrong. `short`: kept, because some of the ticks from which
    the stored row was computed are not stored. `doubled`: stored in addition to another row with the same key.
    """

    stored: int
    recomputed: int
    missing: int
    surplus: int
    changed: int
    removed: int
    short: int
    doubled: int
    examples: tuple[str, ...]

    @property
    def to_apply(self) -> bool:
        """Return whether `merged` would change anything."""
        return self.corrections > 0

    @property
    def corrections(self) -> int:
        """Return how many rows `merged` adds, replaces or removes."""
        return self.missing + self.changed + self.removed + self.doubled

    def __str__(self) -> str:
        return (
            f"{self.stored} stored, {self.recomputed} recomputed: {self.missing} not stored yet, {self.surplus} stored only, "
            f"{self.changed} with other values, {self.removed} to be removed, {self.short} whose ticks are not all stored, "
            f"{self.doubled} stored twice"
        )


def reach(ticks: DataFrame) -> DataFrame:
    """Return (instrument, until_ms, complete): the time of the last stored tick, and whether no sequence is missing before it."""
    complete = F.max("sequence") == F.count_distinct("sequence")
    grouped = ticks.groupBy(F.col("instrument_key").alias("instrument"))
    return grouped.agg(F.max("event_time_ms").alias("until_ms"), complete.alias("complete"))


def judged_candles(stored: DataFrame, recomputed: DataFrame, reached: DataFrame, final_ms: int) -> DataFrame:
    """Judge candles, see `judged`; `reached` comes from `reach`, windows that end after `final_ms` are not recomputed.

    A stored candle without a recomputed one is removed if all its ticks are stored, because its volume then belongs to a
    neighbouring minute. Backfilled candles are kept. A candle with more volume than recomputed is kept too, because some of
    its ticks are not stored. So is a candle with the exchange's volume (see `orderflow.lake.reconciliation`), unless its ticks
    have changed or a bar is known now.
    """
    judgement = judged(stored, recomputed, CANDLE_KEY)
    end_ms = F.unix_millis(F.to_timestamp(F.col("old.window_end")))
    sure = F.col("complete") & (end_ms <= F.col("until_ms")) & (end_ms <= F.lit(final_ms))
    wrong = (F.col("verdict") == "surplus") & (~F.col("old.source").isin(*WITHOUT_TICKS)) & F.coalesce(sure, F.lit(False))
    backfilled = F.col("old.source").isin(*WITHOUT_TICKS)
    fuller = ~backfilled & (F.col("new.tick_volume") < F.col("old.tick_volume"))
    truer = backfilled & (F.col("new.tick_volume") == F.col("old.tick_volume")) & ~F.col("new.exchange_bar")
    short = (F.col("verdict") == "changed") & (fuller | truer)
    verdict = F.when(wrong, "removed").when(short, "short").otherwise(F.col("verdict"))
    with_reach = judgement.join(F.broadcast(reached), F.col("old.instrument") == F.col("instrument"), "left")
    return with_reach.select("old", "new", verdict.alias("verdict"))


def judged_footprint(stored: DataFrame, recomputed: DataFrame, candles: DataFrame) -> DataFrame:
    """Judge footprint levels, see `judged`; `candles` comes from `judged_candles`.

    All levels of a minute follow its candle: a single level left from before would count volume twice.
    """
    judgement = judged(stored, recomputed, FOOTPRINT_KEY)
    candle = F.coalesce(F.col("new"), F.col("old"))
    minutes = candles.where("verdict != 'doubled'").select(candle.alias("candle"), F.col("verdict").alias("candle_verdict"))
    minutes = minutes.where("candle.window_minutes = 1").select("candle.instrument", "candle.window_start", "candle_verdict")
    minutes = minutes.dropDuplicates(["instrument", "window_start"])
    taken = F.col("candle_verdict").isin("equal", "missing", "changed", "removed")
    verdict = (
        F.when((F.col("verdict") == "surplus") & taken, "removed")
        .when(F.col("verdict").isin("missing", "changed") & (F.col("candle_verdict") == "short"), "short")
        .otherwise(F.col("verdict"))
    )
    level = F.coalesce(F.col("new"), F.col("old"))
    of_minute = (level["instrument"] == F.col("instrument")) & (level["window_start"] == F.col("window_start"))
    return judgement.join(minutes, of_minute, "left").select("old", "new", verdict.alias("verdict"))


def judged(stored: DataFrame, recomputed: DataFrame, key: tuple[str, ...]) -> DataFrame:
    """Join both by `key` into structs `old` and `new` with a `verdict`: equal, missing (not stored), surplus or changed.

    `source` and `final_by` are not compared; floats are equal to nine digits, and a stored level without `price_unit`
    is in paise. Of several stored rows with one key, one is judged (of candles the one with the most volume from
    ticks); the others count as doubled.
    """
    fields = records.CANDLE if "window_minutes" in key else records.FOOTPRINT
    names = [field.name for field in fields]
    fullest = "tick_volume" if "window_minutes" in key else "unclassified_volume"
    order = Window.partitionBy(*key).orderBy(F.col(fullest).desc_nulls_last(), F.struct(*names))
    ranked = stored.select(F.struct(*names).alias("old"), F.row_number().over(order).alias("rank"))
    old = ranked.where("rank = 1").select("old")
    new = recomputed.select(F.struct(*names).alias("new"))
    joined = old.join(new, [F.col(f"old.{name}") == F.col(f"new.{name}") for name in key], "full_outer")
    equal: Any = F.lit(True)
    for field in fields:
        if field.name in (*key, "source", "final_by"):
            continue
        left, right = F.col(f"old.{field.name}"), F.col(f"new.{field.name}")
        if field.name == "price_unit":
            left = F.coalesce(left, F.lit(PAISE))
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
    doubled = ranked.where("rank > 1").select("old", F.lit("doubled").alias("verdict"))
    return joined.withColumn("verdict", verdict).unionByName(doubled, allowMissingColumns=True)


def difference(judgement: DataFrame, key: tuple[str, ...]) -> Difference:
    """Count the verdicts of `judged` and return the first ten rows that differ."""
    counted = (F.count(F.lit(1)).alias("rows"), F.count("old").alias("old"), F.count("new").alias("new"))
    verdicts = judgement.groupBy("verdict").agg(*counted).collect()
    counts = {row["verdict"]: int(row["rows"]) for row in verdicts}
    place = F.concat_ws(" ", *[F.coalesce(F.col(f"new.{name}"), F.col(f"old.{name}")).cast("string") for name in key])
    shown = judgement.where(F.col("verdict") != "equal").select("verdict", place.alias("place")).orderBy("place").limit(10)
    return Difference(
        stored=sum(int(row["old"]) for row in verdicts),
        recomputed=sum(int(row["new"]) for row in verdicts),
        missing=counts.get("missing", 0),
        surplus=counts.get("surplus", 0),
        changed=counts.get("changed", 0),
        removed=counts.get("removed", 0),
        short=counts.get("short", 0),
        doubled=counts.get("doubled", 0),
        examples=tuple(f"{row['verdict']}: {row['place']}" for row in shown.collect()),
    )


def merged(judgement: DataFrame) -> DataFrame:
    """Return the day with the difference applied: changed and missing rows are recomputed, removed and doubled rows dropped."""
    take_new = F.col("verdict").isin("missing", "changed")
    stays = take_new | (F.col("old").isNotNull() & ~F.col("verdict").isin("removed", "doubled"))
    return judgement.where(stays).select(F.when(take_new, F.col("new")).otherwise(F.col("old")).alias("row")).select("row.*")
