"""Stores streaming batches as Parquet, each row exactly once, whether it is retried, split differently or repeated in the topic.

A batch arrives packed, as a Parquet file in memory for each date. It is written below `/trading/_staging`, then renamed into
its `date=` directory, under a name with the Kafka offsets that it covers. A retried batch finds these offsets and skips them;
a row repeated in the topic has a new offset and is found by its identity. Readers see only complete files. The cost of a batch
does not grow during the day.
"""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from py4j.protocol import Py4JJavaError
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from orderflow.lake.hadoop import HadoopFiles
from orderflow.lake.layout import (
    COVERED,
    ROOT,
    LakeError,
    Ranges,
    Table,
    batch_file,
    covered_to_json,
    is_batch,
    offsets_file,
    ranges,
    spark_schema,
    union,
)
from orderflow.lake.offsets import common, covered_by
from orderflow.lake.packing import Pack, Series, pack, without_offsets, without_repeats
from orderflow.lake.swap import Swaps

STAGING: Final = f"{ROOT}/_staging"
# The state of a date is dropped after this many other dates were written, and read again when it is needed.
DATES_REMEMBERED: Final = 4
TASKS_PER_READ: Final = 2
ATTEMPTS: Final = 5

log = logging.getLogger(__name__)


class _DayChangedError(Exception):
    """Another process changed a day between the search for duplicates and the storing."""


@dataclass(slots=True)
class _StoredDay:
    """Content of the date's directory when it was last read: files, the offsets they cover, greatest order by series."""

    files: frozenset[str]
    covered: Ranges
    greatest: dict[Series, Any]


class HdfsParquetSink:
    """Stores packed batches of one table; there must be only one running sink for each table.

    `topic_id` is eight hex digits of the topic's id, see `layout.ranges`. Raises LakeError when HDFS is not ready, or when a
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
            raise LakeError(f"HDFS at {url} does not accept files yet ({cause}); storing begins when it does") from error

    def __call__(self, packs: Sequence[Pack], batch_id: int) -> None:
        """Store one batch; when this returns, every row of it is stored."""
        started = time.monotonic()
        stored = [self._store(packed) for packed in packs]
        while len(self._days) > DATES_REMEMBERED:
            del self._days[next(iter(self._days))]
        if stored:
            log.info("%s batch %d: %d rows of %s in %d new files, %.2f s", self._table.name, batch_id,
                     sum(packed.rows for packed in packs), ", ".join(sorted({packed.date for packed in packs})),
                     sum(map(bool, stored)), time.monotonic() - started)  # fmt: skip

    def _store(self, packed: Pack) -> int:
        """Store a date's rows of a batch that are not stored yet; return how many they are."""
        for _ in range(ATTEMPTS):
            try:
                fresh = self._fresh(packed)
                if fresh is None:
                    return 0
                self._commit(fresh)
                return fresh.rows
            except _DayChangedError as changed:
                log.info("%s: looking for duplicates again", changed)
        raise LakeError(f"{self._table.directory}: days of a batch are rewritten continuously; is reprocess running in a loop?")

    def _fresh(self, packed: Pack) -> Pack | None:
        """Keep the rows that are not stored yet, or None if all are stored; offsets of the others then count as stored."""
        table = self._table
        names = self._swaps.names(table, packed.date)
        stored = self._stored(packed.date, names)
        skip = common(ranges(table.topic, self._topic_id, packed.covered), stored.covered)
        again = any(least <= stored.greatest[series] for series, least in packed.least.items() if series in stored.greatest)
        if not (skip or again or packed.repeats):
            return packed
        rows = packed.table()
        if skip:
            log.info("%s %s: skipping %d stored offset ranges", table.name, packed.date, sum(map(len, skip.values())))
            rows = without_offsets(rows, {int(source.rpartition("-p")[2]): runs for source, runs in skip.items()})
        known = rows.slice(0, 0)
        if again and rows.num_rows:
            log.info("%s %s: looking for duplicates among the stored rows", table.name, packed.date)
            later = F.col(table.order) >= F.lit(min(packed.least.values()))
            known = self._read(packed.date, names, table.identity).where(later).toArrow()
        rows = without_repeats(table, rows, known)
        return replace(pack(table, packed.date, rows), covered=packed.covered) if rows.num_rows else None

    def _stored(self, date: str, names: tuple[str, ...]) -> _StoredDay:
        """Update the state of a date from its directory's present files, which other processes may have changed."""
        files = frozenset(name for name in names if name.endswith(".parquet"))
        known = self._days.pop(date, None)
        if known is None or not known.files <= files:
            known = _StoredDay(frozenset(), {}, {})
        new = sorted(files - known.files)
        listed = [COVERED] if COVERED in names and (not known.files or not all(map(is_batch, new))) else []
        if new or listed:
            known.covered = union(known.covered, covered_by(self._files, self._table.day(date), [*new, *listed]))
        if new:
            series = self._table.series
            read = self._read(date, new, (*series, self._table.order))
            for row in read.groupBy(*series).agg(F.max(self._table.order).alias("greatest")).collect():
                _raise(known.greatest, tuple(row[column] for column in series), row.greatest)
        self._days[date] = _StoredDay(files, known.covered, known.greatest)
        return self._days[date]

    def _read(self, date: str, names: Iterable[str], columns: tuple[str, ...]) -> DataFrame:
        paths = [f"{self._files.url(self._table.day(date))}/{name}" for name in names if name.endswith(".parquet")]
        read = self._spark.read.schema(spark_schema(self._table.fields)).parquet(*paths).select(*columns)
        # Spark would plan a task for each small file.
        return read.coalesce(TASKS_PER_READ)

    def _commit(self, packed: Pack) -> None:
        covered = ranges(self._table.topic, self._topic_id, packed.covered)
        name = batch_file(self._table.topic, self._topic_id, packed.covered)
        listed = offsets_file(name)
        staging = f"{STAGING}/{self._table.name}/{uuid.uuid4().hex}"
        day = self._days[packed.date]
        try:
            if listed is not None:
                # Written first, because a batch file without its list would cover nothing.
                self._place(packed.date, listed, staging, covered_to_json(covered).encode())
            self._files.create(f"{staging}/{name}", packed.content)
            self._check_unchanged(packed.date)
            self._swaps.place(self._table, packed.date, f"{staging}/{name}", name)
            day.files |= {name}
            try:
                self._check_unchanged(packed.date)
            except _DayChangedError:
                self._files.delete(f"{self._table.day(packed.date)}/{name}")
                raise
        finally:
            self._files.delete(staging)
        day.covered = union(day.covered, covered)
        for series, order in packed.greatest.items():
            _raise(day.greatest, series, order)

    def _place(self, date: str, name: str, staging: str, content: bytes) -> None:
        self._files.create(f"{staging}/{name}", content)
        self._swaps.place(self._table, date, f"{staging}/{name}", name)

    def _check_unchanged(self, date: str) -> None:
        """Raise _DayChangedError if a date got files since the search for duplicates: they may contain rows of the batch."""
        names = self._swaps.names(self._table, date)
        if not {name for name in names if name.endswith(".parquet")} <= self._days[date].files:
            raise _DayChangedError(f"{self._table.day(date)} was rewritten meanwhile")


def _raise(greatest: dict[Series, Any], series: Series, order: Any) -> None:
    greatest[series] = max(greatest.get(series, order), order)
