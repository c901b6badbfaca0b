"""`python -m orderflow reprocess`: recompute a stored day, show how it differs, and apply the difference."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from pyspark.errors import PySparkException
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from orderflow.lake.compaction import FILE_IS_GONE, DayChangedError, DayRewriter, Rewritten, StoredMeanwhileError
from orderflow.lake.layout import CANDLES, FOOTPRINT, TICKS, LakeError
from orderflow.processing import differences
from orderflow.processing import reprocess as recomputation
from orderflow.processing.differences import Difference
from orderflow.processing.spark_session import spark_session
from orderflow.settings import Settings

ATTEMPTS: Final = 3

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Recomputed:
    """How one table of a date differs from its recomputation, and the rewrite that applied it; None when none did."""

    table: str
    difference: Difference
    rewritten: Rewritten | None


def run(settings: Settings, date: str, *, apply: bool) -> int:
    """Print the difference of candles and footprint of `date`, and apply it if asked to; returns the exit code.

    Raises as `reprocess` does.
    """
    spark = spark_session(settings, f"reprocess-{date}", settings.session_cores)
    try:
        for line in lines(date, reprocess(spark, settings, date, apply=apply)):
            print(line)
    finally:
        spark.stop()
    return 0


def lines(date: str, recomputed: Iterable[Recomputed]) -> Iterator[str]:
    """Yield what a person reads of a recomputation."""
    tables = list(recomputed)
    for each in tables:
        yield f"{each.table} {date}: {each.difference}"
        for example in each.difference.examples:
            yield f"    {example}"
        if each.rewritten is not None:
            yield f"{each.table} {date}: applied, {each.rewritten}"
    if not any(each.difference.to_apply for each in tables):
        yield "nothing to apply"
    elif all(each.rewritten is None for each in tables):
        yield "not applied: leave out --dry-run to apply it"


def reprocess(
    spark: SparkSession, settings: Settings, date: str, *, apply: bool, over: bool = False
) -> tuple[Recomputed, Recomputed]:
    """Recompute candles and footprint of `date`, in this order, and apply the difference if asked to.

    For today, only minutes older than twice the watermark are included, counted from the newest stored tick if that is
    earlier: later minutes may not be final in the stream, or not all their ticks are stored yet. With `over`, trading
    is over and stored, and all minutes are included.

    Raises LakeError when no ticks of the date are stored, or the day kept changing under it.
    """
    for attempt in range(1, ATTEMPTS + 1):
        try:
            return _once(spark, settings, date, apply=apply, over=over)
        except (DayChangedError, StoredMeanwhileError) as error:
            if attempt == ATTEMPTS:
                raise
            log.info("%s; recomputing", error)
        except PySparkException as error:
            if attempt == ATTEMPTS or not any(sign in str(error) for sign in FILE_IS_GONE):
                raise
            log.info("files of %s were compacted meanwhile; recomputing", date)
    raise AssertionError("every attempt returns or raises")


def _once(spark: SparkSession, settings: Settings, date: str, *, apply: bool, over: bool) -> tuple[Recomputed, Recomputed]:
    """Do it once. Raises DayChangedError or StoredMeanwhileError when storage came in between."""
    rewriter = DayRewriter(spark, settings.namenode_url)
    ticks = rewriter.rows(TICKS, date)
    newest_tick_ms, count = ticks.agg(F.max("feed_time_ms"), F.count("*")).collect()[0]
    if newest_tick_ms is None:
        raise LakeError(f"no ticks of {date} are stored; python -m orderflow lake lists the days that are")
    candles, footprint = rewriter.rows(CANDLES, date), rewriter.rows(FOOTPRINT, date)
    lengths = {row["window_minutes"] for row in candles.select("window_minutes").distinct().collect()}
    wanted = tuple(sorted({1, *settings.windows, *lengths}))
    messages = recomputation.messages(ticks, count, settings, wanted).cache()
    new_candles, new_footprint = recomputation.rows(messages)
    now_ms = int(time.time() * 1000)
    final_ms = now_ms
    if not over:
        final_ms = recomputation.final_before(date, now_ms, newest_tick_ms, settings.watermark_seconds)
    if final_ms < now_ms:
        final = F.unix_millis(F.to_timestamp("window_end")) <= final_ms
        new_candles, new_footprint = new_candles.where(final), new_footprint.where(final)
    reached = differences.reach(ticks)
    by_candle = differences.judged_candles(candles, new_candles, reached, final_ms).cache()
    by_level = differences.judged_footprint(footprint, new_footprint, by_candle).cache()
    try:
        # Both are compared before either is rewritten, because a rewrite removes the files from which they are read.
        by_table = (
            differences.difference(by_candle, differences.CANDLE_KEY),
            differences.difference(by_level, differences.FOOTPRINT_KEY),
        )
        recomputed = []
        for table, judgement, difference in zip((CANDLES, FOOTPRINT), (by_candle, by_level), by_table, strict=True):
            applied = apply and difference.to_apply
            rewritten = rewriter.replace(table, date, differences.merged(judgement)) if applied else None
            recomputed.append(Recomputed(table.name, difference, rewritten))
        return recomputed[0], recomputed[1]
    finally:
        for cached in (by_level, by_candle, messages):
            cached.unpersist()
