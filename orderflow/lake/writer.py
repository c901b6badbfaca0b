"""Store streaming batches as Parquet, each row exactly once, whatever is retried, split anew or repeated in the topic.

A batch is written below `/trading/_staging`, then each date's file is renamed into its `date=` directory under a name made
of the Kafka offsets it holds. A retried batch finds those names and skips their offsets; a repeat in the topic has new
offsets and is found by its identity. Readers see whole files only.
"""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Final

from py4j.protocol import Py4JJavaError
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from orderflow.lake.hadoop import HadoopFiles
from orderflow.lake.layout import (
    COVERED,
    PARTITIONS_PER_FILE,
    ROOT,
    LakeError,
    Ranges,
    Table,
    batch_file,
    covered_from_json,
    offsets_of,
    spark_schema,
    union,
)
from orderflow.lake.swap import Swaps

STAGING: Final = f"{ROOT}/_staging"
COMPRESSION: Final = "zstd"
# A date not written to for this many other dates is forgotten and read again when it comes back.
DATES_REMEMBERED: Final = 4
TASKS_PER_READ: Final = 2
ATTEMPTS: Final = 5

log = logging.getLogger(__name__)

Series = tuple[Any, ...]


class _DayChangedError(Exception):
    """Someone else changed a day between the look for repeats and the storing."""


@dataclass(slots=True)
class _DayOfBatch:
    """What one batch holds of one date: offsets by Kafka partition, orders by series, and whether rows may repeat."""

    offsets: dict[int, tuple[int, int]] = field(default_factory=dict)
    least: dict[Series, Any] = field(default_factory=dict)
    greatest: dict[Series, Any] = field(default_factory=dict)
    rows: int = 0
    repeats_inside: bool = False


@dataclass(slots=True)
class _StoredDay:
    """What the date's directory held when it was last looked at: its files and the greatest order by series."""

    files: frozenset[str]
    greatest: dict[Series, Any]


class HdfsParquetSink:
    """Write the batches of one table; call it from foreachBatch with a frame and a batch id.

    The frame has the record's columns and Kafka's `topic`, `partition` and `offset`; it is read twice, so persist it. One
    running sink a table is assumed.
    `topic_id` is eight hex digits of the topic's id, see `layout.batch_file`. Raises LakeError when HDFS is not ready, or when a
    file cannot be put in place; the batch is then to be retried, which stores each row once.
    """

    def __init__(
        self,
        spark: SparkSession,
        url: str,
        table: Table,
        topic_id: str,
        *,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._spark = spark
        self._files = HadoopFiles(spark, url)
        self._swaps = Swaps(self._files, sleep)
        self._table = table
        self._topic_id = topic_id
        self._days: dict[str, _StoredDay] = {}
        try:
            self._swaps.finish_all(table)
            self._files.delete(f"{STAGING}/{table.name}")
        except Py4JJavaError as error:
            cause = str(error.java_exception.getMessage()).splitlines()[0]
            raise LakeError(f"HDFS at {url} does not take files yet ({cause}); storing begins when it does") from error

    def __call__(self, batch: DataFrame, batch_id: int) -> None:
        """Store one batch; returning means that every row of it is in place."""
        started = time.monotonic()
        rows = self._dated(batch)
        days = self._summary(rows)
        stored = self._store(rows, days) if days else 0
        while len(self._days) > DATES_REMEMBERED:
            del self._days[next(iter(self._days))]
        total = sum(day.rows for day in days.values())
        if total:
            seconds = time.monotonic() - started
            log.info("%s batch %d: %d rows of %s in %d new files, %.2f s", self._table.name, batch_id, total,
                     ", ".join(sorted(days)), stored, seconds)  # fmt: skip

    def _store(self, rows: DataFrame, days: dict[str, _DayOfBatch]) -> int:
        for _ in range(ATTEMPTS):
            staging = f"{STAGING}/{self._table.name}/{uuid.uuid4().hex}"
            try:
                return self._write([self._fresh(rows, date, day) for date, day in days.items()], days, staging)
            except _DayChangedError as changed:
                log.info("%s: looking for repeats anew", changed)
                self._files.delete(staging)
        raise LakeError(
            f"{self._table.directory}: days of a batch are rewritten again and again; is a loop of reprocess running?"
        )

    def _dated(self, batch: DataFrame) -> DataFrame:
        date = F.substring(self._table.date_column, 1, 10)
        valid = date.rlike(r"^\d{4}-\d{2}-\d{2}$") & F.try_to_timestamp(date, F.lit("yyyy-MM-dd")).isNotNull()
        for column in self._table.identity:
            valid = valid & F.col(column).isNotNull()
        return batch.withColumn("date", F.when(valid, date)).withColumn(
            "chunk", F.floor(F.col("partition") / PARTITIONS_PER_FILE).cast("int")
        )

    def _summary(self, rows: DataFrame) -> dict[str, _DayOfBatch]:
        table = self._table
        groups = (
            rows.groupBy("date", "partition", *table.series)
            .agg(
                F.min("offset").alias("first_offset"),
                F.max("offset").alias("last_offset"),
                F.min(table.order).alias("least"),
                F.max(table.order).alias("greatest"),
                F.count(F.lit(1)).alias("rows"),
                # Cheaper than counting distinct rows, which takes another shuffle; a collision costs a needless look-up only.
                F.size(F.collect_set(F.xxhash64(*table.identity))).alias("distinct_rows"),
            )
            .collect()
        )
        days: dict[str, _DayOfBatch] = {}
        for group in groups:
            if group.date is None:
                log.warning("%s: %d rows without a date or an identity are not stored", table.name, group.rows)
                continue
            day = days.setdefault(group.date, _DayOfBatch())
            first, last = day.offsets.get(group.partition, (group.first_offset, group.last_offset))
            day.offsets[group.partition] = (min(first, group.first_offset), max(last, group.last_offset))
            series = tuple(group[column] for column in table.series)
            day.repeats_inside |= group.rows != group.distinct_rows or series in day.least
            day.least[series] = min(day.least.get(series, group.least), group.least)
            _raise(day.greatest, series, group.greatest)
            day.rows += group.rows
        return days

    def _fresh(self, rows: DataFrame, date: str, day: _DayOfBatch) -> DataFrame:
        """Keep the date's rows that are not stored yet."""
        fresh = rows.where(F.col("date") == date)
        names = self._swaps.names(self._table, date)
        stored = self._stored(date, names)
        skip = self._overlapping(date, names, day)
        if skip:
            log.info("%s %s: skipping %d stored offset ranges", self._table.name, date, len(skip))
            ranges = rows.sparkSession.createDataFrame(skip, "p INT, first BIGINT, last BIGINT")
            inside = (F.col("partition") == F.col("p")) & F.col("offset").between(F.col("first"), F.col("last"))
            fresh = fresh.join(F.broadcast(ranges), inside, "left_anti")
        if day.repeats_inside:
            fresh = fresh.dropDuplicates(list(self._table.identity))
        if any(least <= stored.greatest[series] for series, least in day.least.items() if series in stored.greatest):
            log.info("%s %s: looking for repeats among the stored rows", self._table.name, date)
            least = min(day.least.values())
            known = self._read(rows.sparkSession, date, names, self._table.identity).where(
                F.col(self._table.order) >= F.lit(least)
            )
            fresh = fresh.join(known, list(self._table.identity), "left_anti")
        return fresh

    def _overlapping(self, date: str, names: Iterable[str], day: _DayOfBatch) -> list[tuple[int, int, int]]:
        covered = union(*(offsets_of(name) for name in names))
        if COVERED in names:
            covered = union(covered, read_covered(self._files, self._table.day(date)))
        source = f"{self._table.topic}-{self._topic_id}"
        return [
            (partition, first, last)
            for partition, (least, greatest) in day.offsets.items()
            for first, last in covered.get(f"{source}-p{partition}", ())
            if first <= greatest and last >= least
        ]

    def _stored(self, date: str, names: tuple[str, ...]) -> _StoredDay:
        """Bring what is known of a date up to its directory's present files; other processes may have changed them."""
        files = frozenset(name for name in names if name.endswith(".parquet"))
        known = self._days.pop(date, _StoredDay(frozenset(), {}))
        if not known.files <= files:
            known = _StoredDay(frozenset(), {})
        new = sorted(files - known.files)
        greatest = dict(known.greatest)
        if new:
            series = self._table.series
            read = self._read(self._spark, date, new, (*series, self._table.order))
            for row in read.groupBy(*series).agg(F.max(self._table.order).alias("greatest")).collect():
                _raise(greatest, tuple(row[column] for column in series), row.greatest)
        self._days[date] = _StoredDay(files, greatest)
        return self._days[date]

    def _read(self, spark: SparkSession, date: str, names: Iterable[str], columns: tuple[str, ...]) -> DataFrame:
        paths = [f"{self._files.url(self._table.day(date))}/{name}" for name in names if name.endswith(".parquet")]
        # Spark would plan a task for each small file.
        return spark.read.schema(spark_schema(self._table.fields)).parquet(*paths).select(*columns).coalesce(TASKS_PER_READ)

    def _write(self, fresh: list[DataFrame], days: dict[str, _DayOfBatch], staging: str) -> int:
        frame = fresh[0]
        for other in fresh[1:]:
            frame = frame.unionByName(other)
        columns = [field.name for field in self._table.fields]
        (
            frame.select("date", "chunk", *columns)
            .coalesce(1)
            .sortWithinPartitions("date", "chunk", *self._table.sorting)
            .write.partitionBy("date", "chunk")
            .option("compression", COMPRESSION)
            .parquet(self._files.url(staging))
        )
        stored = 0
        for date, day in sorted(days.items()):
            for chunk in sorted({partition // PARTITIONS_PER_FILE for partition in day.offsets}):
                stored += self._commit(f"{staging}/date={date}/chunk={chunk}", date, chunk, day)
            for series, order in day.greatest.items():
                _raise(self._days[date].greatest, series, order)
        self._files.delete(staging)
        return stored

    def _commit(self, written: str, date: str, chunk: int, day: _DayOfBatch) -> int:
        parts = [name for name in self._files.names(written) or () if name.endswith(".parquet")]
        if not parts:
            return 0
        if len(parts) > 1:
            raise LakeError(f"{written} holds {len(parts)} files: unset spark.sql.files.maxRecordsPerFile")
        ranges = [(p, *range_) for p, range_ in day.offsets.items() if p // PARTITIONS_PER_FILE == chunk]
        name = batch_file(self._table.topic, self._topic_id, ranges)
        self._files.keep_copies(f"{written}/{parts[0]}")
        self._check_unchanged(date)
        self._swaps.place(self._table, date, f"{written}/{parts[0]}", name)
        self._days[date].files |= {name}
        try:
            self._check_unchanged(date)
        except _DayChangedError:
            self._files.delete(f"{self._table.day(date)}/{name}")
            raise
        return 1

    def _check_unchanged(self, date: str) -> None:
        """Raise _DayChangedError when a date got files since repeats were looked for: they may hold what the batch holds."""
        names = self._swaps.names(self._table, date)
        if not {name for name in names if name.endswith(".parquet")} <= self._days[date].files:
            raise _DayChangedError(f"{self._table.day(date)} was rewritten meanwhile")


def read_covered(files: HadoopFiles, directory: str) -> Ranges:
    """Return the offsets that a directory's compacted files hold; empty when none are compacted.

    Raises LakeError, which names the directory, when they are not readable.
    """
    text = files.read_text(f"{directory}/{COVERED}")
    try:
        return covered_from_json(text) if text is not None else {}
    except LakeError as error:
        raise LakeError(f"{directory}/{error}") from error


def _raise(greatest: dict[Series, Any], series: Series, order: Any) -> None:
    greatest[series] = max(greatest.get(series, order), order)
