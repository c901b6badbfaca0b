"""`python -m orderflow reprocess`: recompute a stored day, show how it differs, and apply the difference."""

from __future__ import annotations

import time

from pyspark.errors import AnalysisException
from pyspark.sql import functions as F

from orderflow.lake.compaction import DayRewriter
from orderflow.lake.layout import CANDLES, FOOTPRINT, LakeError
from orderflow.market.tick import ist_date
from orderflow.processing import reprocess as recomputation
from orderflow.processing.session import spark_session
from orderflow.settings import Settings


def run(settings: Settings, date: str, *, apply: bool) -> int:
    """Print the difference of candles and footprint of `date`, and apply it unless told not to; returns the exit code.

    Of today only minutes older than twice the watermark are taken: younger ones are the stream's to finish.

    Raises LakeError when no ticks of the date are stored.
    """
    spark = spark_session(settings, f"reprocess-{date}", cores=1)
    try:
        ticks = recomputation.day_ticks(spark, settings, date)
    except AnalysisException as error:
        raise LakeError(f"no ticks of {date} are stored; python -m orderflow lake lists the days that are") from error
    rewriter = DayRewriter(spark, settings.namenode_url)
    candles, footprint = rewriter.rows(CANDLES, date), rewriter.rows(FOOTPRINT, date)
    lengths = {row["window_minutes"] for row in candles.select("window_minutes").distinct().collect()}
    wanted = tuple(sorted({1, settings.window_minutes, *lengths}))
    new_candles, new_footprint = recomputation.recompute(ticks, settings, wanted)
    now_ms = int(time.time() * 1000)
    if date == ist_date(now_ms):
        final = F.unix_millis(F.to_timestamp("window_end")) <= now_ms - 2 * settings.watermark_seconds * 1000
        new_candles, new_footprint = new_candles.where(final), new_footprint.where(final)
    differs = False
    for table, stored, recomputed, key in (
        (CANDLES, candles, new_candles, recomputation.CANDLE_KEY),
        (FOOTPRINT, footprint, new_footprint, recomputation.FOOTPRINT_KEY),
    ):
        judgement = recomputation.judged(stored, recomputed, key).cache()
        found = recomputation.difference(judgement, key)
        print(f"{table.name} {date}: {found}")
        for example in found.examples:
            print(f"    {example}")
        if found.missing or found.changed:
            differs = True
            if apply:
                rewritten = rewriter.replace(table, date, recomputation.merged(judgement))
                print(f"{table.name} {date}: applied, {rewritten}")
        judgement.unpersist()
    if not differs:
        print("nothing to apply")
    elif not apply:
        print("not applied: leave out --dry-run to apply it")
    spark.stop()
    return 0
