"""The close of a day in the application that stores ticks: its Spark session recomputes and compacts."""

from __future__ import annotations

from collections.abc import Mapping

from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from orderflow.lake.compaction import DayRewriter
from orderflow.lake.day_close import DayClose, LastSeen
from orderflow.lake.history import History
from orderflow.lake.layout import TABLES, TICKS
from orderflow.lake.maintenance import LakeFiles
from orderflow.reprocess import reprocess
from orderflow.settings import Settings


def day_close(spark: SparkSession, settings: Settings) -> DayClose:
    """Return the close of days in the settings' HDFS."""
    return DayClose(History.connect(settings.hdfs), LakeFiles(settings.hdfs), SparkSteps(spark, settings))


class SparkSteps:
    """The steps of a close that read or rewrite a whole day."""

    def __init__(self, spark: SparkSession, settings: Settings) -> None:
        self._spark, self._settings = spark, settings
        self._rewriter = DayRewriter(spark, settings.namenode_url)

    def last_seen(self, date: str) -> list[LastSeen]:
        """Return the last stored tick of each instrument."""
        newest = [F.max("event_time_ms").alias("at"), F.max("session_end_ms").alias("end")]
        rows = self._rewriter.rows(TICKS, date).groupBy("instrument_key").agg(*newest).collect()
        return [LastSeen(row["instrument_key"], row["at"], row["end"]) for row in rows]

    def reprocess(self, date: str) -> Mapping[str, int]:
        """Recompute the date and apply the difference; return the rows corrected by table."""
        recomputed = reprocess(self._spark, self._settings, date, apply=True, over=True)
        return {each.table: each.difference.corrections for each in recomputed}

    def compact(self, date: str) -> None:
        """Merge the date's files of every table."""
        for table in TABLES.values():
            self._rewriter.compact(table, date)
