"""Rewrites a stored day: merges many small files into few sorted ones, or replaces rows; readers see the day before or after."""

from __future__ import annotations

import contextlib
import logging
import math
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final

from pyspark.sql import DataFrame, SparkSession

from orderflow.lake.hadoop import HadoopFiles, StoredFile
from orderflow.lake.layout import (
    COVERED,
    ROOT,
    TABLES,
    LakeError,
    Table,
    covered_to_json,
    is_batch,
    is_date,
    spark_schema,
)
from orderflow.lake.offsets import covered_by, lists_of
from orderflow.lake.retention import expired
from orderflow.lake.swap import REPLACED, SWAPS, TRASH, Swaps
from orderflow.market.times import ist_date

STAGING: Final = f"{ROOT}/_staging/compact"
COMPRESSION: Final = "zstd"
# Files written by a rewrite: a later one leaves them unchanged.
_MERGED: Final = "compact-"
FILE_BYTES: Final = 96 << 20
# Small row groups: a reader of one instrument fetches little else. Spark counts buffers: 8 MiB hold about 20,000 ticks, which
# take 0.9 MB in the file.
ROW_GROUP_BYTES: Final = {"ticks": 8 << 20, "candles": 1 << 20, "footprint": 1 << 20}
ZSTD_LEVEL: Final = 9
# A date counts as complete after this time without new files; today, which may only be quiet, after a longer time.
IDLE_MS: Final = 15 * 60 * 1000
IDLE_TODAY_MS: Final = 60 * 60 * 1000
TASKS_PER_READ: Final = 8
LEFTOVER_MS: Final = 6 * 60 * 60 * 1000
# A swap takes a second or two.
DEAD_SWAP_MS: Final = 8 * 1000
RETENTION_MS: Final = 60 * 60 * 1000
HOUR_MS: Final = 60 * 60 * 1000
# The running day is merged only above this number of files: eight hours of a batch every 30 s.
MOST_BATCH_FILES: Final = 1_000
ATTEMPTS: Final = 3
# Spark's error when a compaction removed files that it had listed.
FILE_IS_GONE: Final = ("FILE_NOT_EXIST", "FileNotFoundException", "PATH_NOT_FOUND")

log = logging.getLogger(__name__)


class DayChangedError(LakeError):
    """The day got other files while it was rewritten; it stays unchanged."""


class StoredMeanwhileError(LakeError):
    """A sink stored the same rows that a rewrite was about to add; the day keeps the sink's rows."""


@dataclass(frozen=True, slots=True)
class Rewritten:
    """What a rewrite did: files and bytes before and after, and the rows it holds now."""

    files_before: int
    files_after: int
    bytes_before: int
    bytes_after: int
    rows: int


class DayRewriter:
    """Rewrite days of the lake at a Hadoop URL while sinks write to it and readers read it."""

    def __init__(self, spark: SparkSession, url: str, *, sleep: Callable[[float], None] = time.sleep) -> None:
        self._spark = spark
        self._files = HadoopFiles(spark, url)
        self._swaps = Swaps(self._files, sleep)
        self._read: dict[tuple[str, str], tuple[str, ...]] = {}

    def compact(self, table: Table, date: str) -> Rewritten | None:
        """Merge a day's new files, sorted by instrument and time; None when there is nothing new.

        Files merged before, and files that the sink commits meanwhile, are kept next to the new ones. Raises LakeError
        when the merged files do not hold exactly the rows of the new ones, or another rewrite of the day was faster;
        the day is then unchanged.
        """
        names = tuple(name for name in self._parquet(table, date) if not name.startswith(_MERGED))
        if not names:
            return None
        frame = self._frame(table, date, names)
        return self._rewrite(table, date, names, frame, frame.count())

    def rows(self, table: Table, date: str) -> DataFrame:
        """Return the stored rows of a date, none when it is absent; `replace` then replaces exactly the files read here."""
        names = self._parquet(table, date)
        self._read[table.name, date] = names
        return self._frame(table, date, names)

    def replace(self, table: Table, date: str, rows: DataFrame) -> Rewritten:
        """Replace the files that `rows(table, date)` read with `rows`, which have the table's columns and belong to `date`.

        Without such a read before, all files of the day are replaced. Files that a sink adds meanwhile are kept, and so is the
        list of stored offsets, so that a retried batch does not restore old rows. Raises StoredMeanwhileError if the sink
        added a row that is also in `rows`.
        """
        names = self._read.pop((table.name, date), None)
        if names is None:
            names = self._parquet(table, date)
        if not names:
            self._files.make_directory(table.day(date))
        frame = rows.select(*(field.name for field in table.fields))
        for _ in range(ATTEMPTS):
            try:
                return self._rewrite(table, date, names, frame, None)
            except DayChangedError:
                if not set(names) <= set(self._parquet(table, date)):
                    raise
        raise DayChangedError(f"{table.day(date)} is written to continuously and is left unchanged")

    def _rewrite(self, table: Table, date: str, names: tuple[str, ...], frame: DataFrame, rows: int | None) -> Rewritten:
        day, mark = table.day(date), uuid.uuid4().hex[:8]
        new = f"{STAGING}/{table.name}-{date}-{mark}"
        try:
            written = self._stage(table, date, names, frame, rows, new)
            sizes = {file.name: file.size_bytes for file in self._files.files(day)}
            after = [file.size_bytes for file in self._files.files(new) if file.name.endswith(".parquet")]
            present = [COVERED] if COVERED in sizes else []
            beside = None if rows is not None else self._added(table, date, names, new)
        except Exception:
            # After the swap's marker is written, any process that finishes the swap needs the directory.
            with contextlib.suppress(Exception):
                self._files.delete(new)
            raise
        if not self._swaps.replace(table, date, new, [*names, *present, *(lists_of(names) & sizes.keys())], beside):
            raise DayChangedError(f"{day} was rewritten by another process meanwhile; its result is kept")
        result = Rewritten(len(names), len(after), sum(sizes.get(name, 0) for name in names), sum(after), written)
        log.info("%s: %d files, %d bytes became %d files, %d bytes; %d rows", day, result.files_before,
                 result.bytes_before, result.files_after, result.bytes_after, written)  # fmt: skip
        return result

    def _stage(self, table: Table, date: str, names: tuple[str, ...], frame: DataFrame, rows: int | None, new: str) -> int:
        """Write the directory that will replace the day; returns its number of rows."""
        day = table.day(date)
        count = self._wanted_files(table, date, names)
        # Range partitioning reads all rows beforehand, to find the boundaries.
        split = frame.coalesce(1) if count == 1 else frame.repartitionByRange(count, *table.sorting[:2])
        (
            split.sortWithinPartitions(*table.sorting)
            .write.option("compression", COMPRESSION)
            .option("parquet.compression.codec.zstd.level", str(ZSTD_LEVEL))
            .option("parquet.block.size", str(ROW_GROUP_BYTES[table.name]))
            .option("parquet.writer.version", "v2")
            .parquet(self._files.url(new))
        )
        written: int = self._spark.read.schema(spark_schema(table.fields)).parquet(self._files.url(new)).count()
        if rows is not None and written != rows:
            raise LakeError(f"{day}: {rows} rows were read but {written} written; the day stays unchanged")
        covered = covered_by(self._files, day, (COVERED, *names))
        mark = new.rpartition("-")[2]
        for number, name in enumerate(self._files.names(new) or ()):
            if name.endswith(".parquet"):
                self._files.keep_copies(f"{new}/{name}")
                self._files.rename(f"{new}/{name}", f"{new}/{_MERGED}{mark}-{number:05d}.parquet")
            else:
                self._files.delete(f"{new}/{name}")
        self._files.create_text(f"{new}/{COVERED}", covered_to_json(covered))
        return written

    def _added(self, table: Table, date: str, names: tuple[str, ...], new: str) -> tuple[str, ...]:
        """Return the files added since `names` were read; raise StoredMeanwhileError when `new` holds a row of theirs."""
        added = tuple(name for name in self._parquet(table, date) if name not in names)
        if added:
            identity = list(table.identity)
            rows = self._spark.read.schema(spark_schema(table.fields)).parquet(self._files.url(new)).select(identity)
            if self._frame(table, date, added).select(identity).join(rows, identity).limit(1).count():
                raise StoredMeanwhileError(
                    f"{table.day(date)}: storage is behind and has just stored rows that were recomputed too; try again later"
                )
        return added

    def _frame(self, table: Table, date: str, names: tuple[str, ...]) -> DataFrame:
        day = self._files.url(table.day(date))
        if not names:
            return self._spark.createDataFrame([], spark_schema(table.fields))
        stored = self._spark.read.schema(spark_schema(table.fields)).parquet(*(f"{day}/{name}" for name in names))
        # Spark would plan a task for each small file.
        return stored.coalesce(TASKS_PER_READ)

    def _parquet(self, table: Table, date: str) -> tuple[str, ...]:
        return tuple(name for name in self._swaps.names(table, date) if name.endswith(".parquet"))

    def _wanted_files(self, table: Table, date: str, names: tuple[str, ...]) -> int:
        stored = {file.name: file.size_bytes for file in self._files.files(table.day(date))}
        return max(1, math.ceil(sum(stored.get(name, 0) for name in names) / FILE_BYTES))


class Upkeep:
    """Maintain stored days: compact those that are complete or have too many files, delete the oldest beyond a limit.

    The deletion, which concerns every table, is off unless `keep_days` or `keep_bytes` is given. Files that a rewrite replaced
    are kept for `trash_hours`. `close`, if given, is called last. A failure is logged and tried again at the next call;
    storing continues.
    """

    def __init__(
        self,
        spark: SparkSession,
        url: str,
        tables: tuple[Table, ...],
        *,
        keep_days: int | None = None,
        keep_bytes: int | None = None,
        trash_hours: int = 0,
        close: Callable[[], None] | None = None,
        now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        self._files = HadoopFiles(spark, url)
        self._swaps = Swaps(self._files, time.sleep)
        self._rewriter = DayRewriter(spark, url)
        self._tables = tables
        self._keep_days = keep_days
        self._keep_bytes = keep_bytes
        self._trash_ms = trash_hours * HOUR_MS
        self._close = close
        self._now_ms = now_ms
        self._done: dict[tuple[str, str], int] = {}
        self._deleted_ms = 0

    def __call__(self) -> None:
        """Check every day that changed since it was last compacted, and remove files left by a killed rewrite."""
        steps: list[Callable[[], None]] = [self.finish_swaps, self._clear, self._delete_expired]
        if self._close is not None:
            steps.append(self._close)
        steps += [partial(self._compact_all, table) for table in self._tables]
        for step in steps:
            try:
                step()
            except Exception:  # whatever the cause, storing must continue
                log.exception("maintenance of stored days failed and is tried again later")

    def finish_swaps(self) -> None:
        """Finish swaps whose owner died; call it often, since it usually only lists an empty directory."""
        if any(self._age_ms(marker) >= DEAD_SWAP_MS for marker in self._files.files(SWAPS)):
            for table in self._tables:
                self._swaps.finish_all(table)

    def _clear(self) -> None:
        """Delete the remains of rewrites."""
        for left in self._files.files(STAGING):
            if self._age_ms(left) >= LEFTOVER_MS:
                self._files.delete(f"{STAGING}/{left.name}")
        for left in self._files.files(REPLACED):
            if self._age_ms(left) >= LEFTOVER_MS:
                self._files.delete_empty(f"{REPLACED}/{left.name}")
        for left in self._files.files(TRASH):
            if self._age_ms(left) >= self._trash_ms:
                self._files.delete(f"{TRASH}/{left.name}")

    def _delete_expired(self) -> None:
        if (self._keep_days is None and self._keep_bytes is None) or self._now_ms() - self._deleted_ms < RETENTION_MS:
            return
        sizes: dict[str, int] = {}
        for table in TABLES.values():
            for directory in self._files.files(table.directory):
                date = directory.name.removeprefix("date=")
                if is_date(date):
                    measured = self._files.size_bytes(table.day(date)) if self._keep_bytes is not None else 0
                    sizes[date] = sizes.get(date, 0) + measured
        for date in expired(sizes, ist_date(self._now_ms()), self._keep_days, self._keep_bytes):
            log.info("deleting %s: beyond LAKE_KEEP_DAYS or LAKE_KEEP_GIGABYTES", date)
            for table in TABLES.values():
                self._files.delete(table.day(date))
        self._deleted_ms = self._now_ms()

    def _compact_all(self, table: Table) -> None:
        for directory in self._files.files(table.directory):
            date = directory.name.removeprefix("date=")
            if not is_date(date) or self._done.get((table.name, date)) == directory.modified_ms:
                continue
            batches = sum(map(is_batch, self._files.names(table.day(date)) or ()))
            idle = self._age_ms(directory) >= (IDLE_TODAY_MS if date == ist_date(self._now_ms()) else IDLE_MS)
            if batches >= MOST_BATCH_FILES or (batches and idle):
                self._compact(table, date)
            elif idle:
                self._done[table.name, date] = directory.modified_ms

    def _compact(self, table: Table, date: str) -> None:
        try:
            self._rewriter.compact(table, date)
        except Exception:  # a day that fails must not prevent the others from being compacted
            log.exception("%s could not be compacted and is tried again later", table.day(date))

    def _age_ms(self, file: StoredFile) -> int:
        return self._now_ms() - file.modified_ms
