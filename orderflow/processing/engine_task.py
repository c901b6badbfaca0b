"""The candle engine inside Spark: folds the messages of one Kafka partition in the task that reads them.

Nothing is shuffled and Spark keeps no state. An engine stays in its Python worker's memory between batches, and each
batch's output includes the records of its changelog, so the same write publishes candles and state
(market/engine/store.py). If the worker does not have the engine as it was at the batch's first offset, it gets it in
one of two ways:

in memory, but behind    another worker of this executor ran the batches between, and left their journals in a directory
otherwise                from the changelog in Kafka: after a start, a failed attempt, or a move to another executor
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final, Protocol

import pyarrow as pa
import pyarrow.compute as pc
from pyspark import SparkFiles, TaskContext
from pyspark.sql import types as T

from orderflow.market import topics
from orderflow.market.engine.messages import fold
from orderflow.market.engine.partition import EngineSettings
from orderflow.market.engine.store import StateError, StoredEngine, caught_up, restored, saved


class Changelog(Protocol):
    """Store of the engines' records: in the product a topic. It is pickled and sent to executors."""

    @property
    def partitions(self) -> int:
        """Return the number of its partitions; tick partition n is kept in partition n modulo this."""
        ...

    def read(self, partition: int) -> Iterable[tuple[str, bytes]]:
        """Return the records (key, value) of one of its partitions, in the order they were written."""
        ...


MESSAGES: Final = T.StructType(
    [
        T.StructField("topic", T.StringType()),
        T.StructField("partition", T.IntegerType()),
        T.StructField("key", T.StringType()),
        T.StructField("value", T.BinaryType()),
    ]
)
_ARROW: Final = pa.schema([("topic", pa.string()), ("partition", pa.int32()), ("key", pa.string()), ("value", pa.binary())])
_QUERY_ID: Final = "sql.streaming.queryId"

_in_memory: dict[tuple[str, int], StoredEngine] = {}
Row = tuple[str, int | None, str, bytes | None]


class JournalFiles:
    """The journals of one partition since its last snapshot, as files that all workers of an executor see."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def read(self, begin: int) -> bytes | None:
        """Return the journal that begins at an offset, or None."""
        try:
            return (self._directory / str(begin)).read_bytes()
        except FileNotFoundError:
            return None

    def write(self, begin: int, journal: bytes, base: int) -> None:
        """Save a journal, and delete those from before the snapshot at offset `base`."""
        self._directory.mkdir(parents=True, exist_ok=True)
        unfinished = self._directory / f"{begin}.{os.getpid()}"
        unfinished.write_bytes(journal)
        unfinished.replace(self._directory / str(begin))
        if begin < base:
            for path in self._directory.iterdir():
                if int(path.name.partition(".")[0]) < base:
                    path.unlink(missing_ok=True)


def fold_partitions(
    batches: Iterable[pa.RecordBatch], settings: EngineSettings, changelog: Changelog
) -> Iterator[pa.RecordBatch]:
    """Fold a task's messages (columns partition, offset, key, value, sent_ms) into MESSAGES; Spark calls it once a task.

    Raises StateError if the messages of a partition are not in the order of their offsets, or have a hole.
    """
    query = str(TaskContext.get().getLocalProperty(_QUERY_ID))
    yield from fold_query(query, batches, settings, changelog, Path(SparkFiles.getRootDirectory()))


def fold_query(
    query: str, batches: Iterable[pa.RecordBatch], settings: EngineSettings, changelog: Changelog, directory: Path
) -> Iterator[pa.RecordBatch]:
    """Fold messages as `fold_partitions` does, for the query of that id, with journals below `directory`."""
    folds: dict[int, PartitionFold] = {}
    for batch in batches:
        for partition, rows in _by_partition(batch):
            if partition not in folds:
                begin = rows.column("offset")[0].as_py()
                folds[partition] = PartitionFold(query, partition, begin, settings, changelog, directory)
            yield from _packed(folds[partition].take(rows))
    for each in folds.values():
        yield from _packed(each.save())


class PartitionFold:
    """One batch of one partition's messages, from `offset` on: restores the engine at that offset, folds them, and saves it."""

    def __init__(
        self, query: str, partition: int, offset: int, settings: EngineSettings, changelog: Changelog, directory: Path
    ) -> None:
        self._place = (query, partition)
        self._prefix = f"{query}/{partition}/"
        self._offset = offset
        self._journals = JournalFiles(directory / "candle-journals" / self._prefix)
        self._changelog_partition = partition % changelog.partitions
        self._outdated: list[str] = []
        self._stored = self._from_memory(settings) or self._restored(settings, changelog)

    def take(self, rows: pa.RecordBatch) -> list[Row]:
        """Fold the next messages; returns what became final."""
        offsets = rows.column("offset")
        first, end = offsets[0].as_py(), offsets[-1].as_py() + 1
        if first != self._offset or end - first != rows.num_rows:
            read = f"{rows.num_rows} messages from {first} to {end - 1} where {self._offset} is next"
            raise StateError(f"partition {self._place[1]} of {topics.TICKS} was not read in the order of its offsets: {read}")
        self._offset = end
        columns = (rows.column(name).to_pylist() for name in ("key", "value", "sent_ms"))
        messages = fold(self._stored.engine, zip(*columns, strict=True))
        return [(message.topic, None, message.key, message.value) for message in messages]

    def save(self) -> list[Row]:
        """Keep the engine for the next batch; returns the records of its changelog."""
        begin = self._stored.position.offset
        stored, records, journal = saved(self._stored, self._offset)
        self._journals.write(begin, journal, stored.position.base)
        _in_memory[self._place] = stored
        written: list[tuple[str, bytes | None]] = [(self._prefix + key, value) for key, value in records]
        written += [(key, None) for key in self._outdated]
        return [(topics.CANDLE_STATE, self._changelog_partition, key, value) for key, value in written]

    def _from_memory(self, settings: EngineSettings) -> StoredEngine | None:
        kept = _in_memory.pop(self._place, None)
        if kept is None or kept.engine.settings != settings:
            return None
        return caught_up(kept, self._offset, self._journals.read)

    def _restored(self, settings: EngineSettings, changelog: Changelog) -> StoredEngine:
        """Restore the engine; a new query removes the records of an earlier one whose checkpoint was deleted."""
        own, outdated = [], set()
        for key, value in changelog.read(self._changelog_partition):
            if key.startswith(self._prefix):
                own.append((key.removeprefix(self._prefix), value))
            elif not key.startswith(f"{self._place[0]}/"):
                outdated.add(key)
        self._outdated = [] if own else sorted(outdated)
        return restored(own, self._offset, settings)


def _by_partition(batch: pa.RecordBatch) -> Iterator[tuple[int, pa.RecordBatch]]:
    """Yield a batch's rows of each Kafka partition; a task of Spark's Kafka source has rows of one."""
    numbers = sorted(batch.column("partition").unique().to_pylist())
    for number in numbers:
        yield number, batch if len(numbers) == 1 else batch.filter(pc.equal(batch.column("partition"), number))


def _packed(rows: list[Row]) -> Iterator[pa.RecordBatch]:
    if rows:
        columns = [pa.array(column, field.type) for column, field in zip(zip(*rows, strict=True), _ARROW, strict=True)]
        yield pa.RecordBatch.from_arrays(columns, schema=_ARROW)
