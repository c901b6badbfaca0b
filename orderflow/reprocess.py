"""`python -m orderflow reprocess`: recompute a stored day, show how it differs, and apply the difference."""

from __future__ import annotations

import time
from typing import Final

from pyspark.errors import PySparkException
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from orderflow.lake.compaction import FILE_IS_GONE, DayChangedError, DayRewriter, StoredMeanwhileError
from orderflow.lake.layout import CANDLES, FOOTPRINT, TICKS, LakeError
from orderflow.processing import reprocess as recomputation
from orderflow.processing.spark_session import spark_session
from orderflow.settings import Settings

ATTEMPTS: Final = 3


def run(settings: Settings, date: str, *, apply: bool) -> int:
    """Print the difference of candles and footprint of `date`, and apply it unless `dry_run`; returns the exit code.

    Of today only minutes older than twice the watermark are taken, counted from the newest stored tick where that is earlier:
    younger ones are the stream's to finish, or not all their ticks are stored yet.

    Raises LakeError when no ticks of the date are stored, or the day kept changing under it.
    """
    spark = spark_session(settings, f"reprocess-{date}", settings.session_cores)
    try:
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return reprocess(spark, settings, date, apply=apply)
            except (DayChangedError, StoredMeanwhileError) as error:
                if attempt == ATTEMPTS:
                    raise
                print(f"{error}; recomputing")
            except PySparkException as error:
                if attempt == ATTEMPTS or not any(sign in str(error) for sign in FILE_IS_GONE):
                    raise
                print(f"files of {date} were compacted meanwhile; recomputing")
        raise AssertionError("every attempt returns or raises")
    finally:
        spark.stop()


def reprocess(spark: SparkSession, settings: Settings, date: str, *, apply: bool) -> int:
    """Do what `run` says once. Raises DayChangedError or StoredMeanwhileError when storage came in between."""
    rewriter = DayRewriter(spark, settings.namenode_url)
    ticks = rewriter.rows(TICKS, date)
    newest_tick_ms = ticks.agg(F.max("feed_time_ms")).collect()[0][0]
    if newest_tick_ms is None:
        raise LakeError(f"no ticks of {date} are stored; python -m orderflow lake lists the days that are")
    candles, footprint = rewriter.rows(CANDLES, date), rewriter.rows(FOOTPRINT, date)
    lengths = {row["window_minutes"] for row in candles.select("window_minutes").distinct().collect()}
    wanted = tuple(sorted({1, *settings.windows, *lengths}))
    new_candles, new_footprint = recomputation.recompute(ticks, settings, wanted)
    now_ms = int(time.time() * 1000)
    final_ms = recomputation.final_before(date, now_ms, newest_tick_ms, settings.watermark_seconds)
    if final_ms < now_ms:
        final = F.unix_millis(F.to_timestamp("window_end")) <= final_ms
        new_candles, new_footprint = new_candles.where(final), new_footprint.where(final)
    reached = recomputation.reach(ticks)
    by_candle = recomputation.judged_candles(candles, new_candles, reached, final_ms).cache()
    by_level = recomputation.judged_footprint(footprint, new_footprint, by_candle).cache()
    judgements = (
        (CANDLES, by_candle, recomputation.difference(by_candle, recomputation.CANDLE_KEY)),
        (FOOTPRINT, by_level, recomputation.difference(by_level, recomputation.FOOTPRINT_KEY)),
    )
    for table, judgement, difference in judgements:
        print(f"{table.name} {date}: {difference}")
        for example in difference.examples:
            print(f"    {example}")
        if difference.to_apply and apply:
            rewritten = rewriter.replace(table, date, recomputation.merged(judgement))
            print(f"{table.name} {date}: applied, {rewritten}")
    by_level.unpersist()
    by_candle.unpersist()
    if not any(difference.to_apply for _, _, difference in judgements):
        print("nothing to apply")
    elif not apply:
        print("not applied: leave out --dry-run to apply it")
    return 0
