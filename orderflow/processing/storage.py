"""The storage queries: each micro-batch is parsed, checked and packed in Arrow by Spark's Python workers, in one pass.

Messages that are not certainly valid there are checked by `schemas`; invalid ones go to the rejects topic. The injected writer
stores each row exactly once.
"""

from __future__ import annotations

import logging
import pickle
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Protocol

import pyarrow as pa
import pyarrow.compute as pc
from prometheus_client import Counter
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.streaming import StreamingQuery

from orderflow.market import records, topics
from orderflow.processing import arrow_sound, schemas
from orderflow.processing.arrow_parse import KEY, OFFSET, PARTITION, SENT_MS, Sound, parse
from orderflow.processing.checkpoint_files import CheckpointFiles
from orderflow.processing.queries import checkpoint, checkpoints, message, read_messages, sink_options
from orderflow.processing.state_guard import Extent, require_reachable_offsets
from orderflow.settings import Settings

log = logging.getLogger(__name__)

Packing = Callable[[pa.Table, pa.Table | None], Sequence[Any]]
"""Packs rows, with arrow_parse's PARTITION and OFFSET, for a writer; messages set aside may come with them."""
BatchWriter = Callable[[Sequence[Any], int], None]

MESSAGE: Final = ("key", "value", "topic", "partition", "offset", "timestamp")
MESSAGE_SCHEMA: Final = "key BINARY, value BINARY, topic STRING, `partition` INT, offset BIGINT, timestamp TIMESTAMP"
# A worker holds a whole batch in memory: 60,000 ticks take about 60 MB as messages, and as much after parsing.
_BATCH_ROWS: Final = 60_000
# Delay between two full batches. It must be shorter than a table's own trigger, or storage could never catch up.
_LOOK_SECONDS: Final = 2.0
_PACKS, _DOUBTFUL = "packs", "doubtful"
_HEARTBEAT: Final = "heartbeat"

_REJECTS: Final = Counter("orderflow_rejects", "Messages sent to the rejects topic", ["source_topic", "reason"])


class LakeTable(Protocol):
    """A table of the lake: its name is also that of its query and checkpoint."""

    @property
    def name(self) -> str:
        """Return the name."""
        ...

    @property
    def topic(self) -> str:
        """Return the topic that it stores."""
        ...

    @property
    def fields(self) -> tuple[records.Field, ...]:
        """Return the fields of a row."""
        ...


@dataclass(frozen=True, slots=True)
class Rules:
    """The checks of a table's records: `reason` (`schemas`) defines validity, `sound` (`arrow_sound`) finds certain cases."""

    sound: Sound
    reason: Column


def rules(table: LakeTable) -> Rules:
    """Return the rules of a table's records; a Spark session must be running."""
    by_name = {
        "ticks": (arrow_sound.sound_tick, schemas.tick_reason),
        "candles": (arrow_sound.sound_candle, schemas.candle_reason),
        "footprint": (arrow_sound.sound_level, schemas.footprint_reason),
    }
    sound, reason = by_name[table.name]
    return Rules(sound, reason())


def storage_query(
    spark: SparkSession,
    settings: Settings,
    table: LakeTable,
    *,
    extent: Callable[[], Extent],
    writer: Callable[[str], BatchWriter],
    packing: Packing,
    trigger_seconds: float,
    cores: int = 1,
) -> StreamingQuery:
    """Hand each micro-batch of a table's topic to a writer, as packed by `packing` in up to `cores` tasks, with its id.

    The writer is created at each start, with the identity of the present topic; `extent` returns the offsets that Kafka
    holds. Heartbeats are left out. Messages that are not valid records, by types or rules, go to the rejects topic: one
    copy each, and a second one when a batch is tried again. They are counted by reason.
    """
    present = extent()
    require_reachable_offsets(CheckpointFiles(spark, checkpoints(settings)), {table.name: present})
    batches = StorageBatches(settings, table, writer(present.identity), packing, cores, present.identity)
    read = read_messages(spark, settings, table.topic, most=_BATCH_ROWS * cores, every_seconds=trigger_seconds)
    return (
        read.select(*MESSAGE)
        .writeStream.queryName(table.name)
        .foreachBatch(batches)
        .option("checkpointLocation", checkpoint(settings, table.name))
        .trigger(processingTime=f"{min(trigger_seconds, _LOOK_SECONDS)} seconds")
        .start()
    )


class StorageBatches:
    """Store one batch of Kafka messages after another."""

    def __init__(
        self,
        settings: Settings,
        table: LakeTable,
        store: BatchWriter,
        packing: Packing,
        cores: int,
        topic_identity: str,
    ) -> None:
        self._settings = settings
        self._table = table
        self._store = store
        self._packing = packing
        self._rules = rules(table)
        self._cores = cores
        self._identity = topic_identity

    def __call__(self, batch: DataFrame, batch_id: int) -> None:
        """Store a batch with the columns MESSAGE and send invalid messages to the rejects topic."""
        work = partial(packed, fields=self._table.fields, sound=self._rules.sound, packing=self._packing)
        results = batch.coalesce(self._cores).mapInArrow(work, "kind STRING, content BINARY").collect()
        packs = [pack for row in results if row.kind == _PACKS for pack in pickle.loads(row.content)]
        doubtful = [pa.ipc.open_stream(row.content).read_all() for row in results if row.kind == _DOUBTFUL]
        if not doubtful:
            self._store(packs, batch_id)
            return
        rows = [tuple(row[name] for name in MESSAGE) for row in pa.concat_tables(doubtful).to_pylist()]
        frame = batch.sparkSession.createDataFrame(rows, MESSAGE_SCHEMA)
        judged = schemas.parse(frame, self._table.fields, self._rules.reason).persist()
        try:
            valid = valid_rows(judged, self._table.fields)
            self._store([*packs, *self._packing(valid, None)], batch_id)
            self._reject(judged.where(F.col("reason").isNotNull()))
        finally:
            judged.unpersist()

    def _reject(self, invalid: DataFrame) -> None:
        """Send invalid messages to the rejects topic, count them by reason, and log one line."""
        grouped = invalid.groupBy("reason").agg(F.count("*").alias("number")).collect()
        counts = {str(row["reason"]): int(row["number"]) for row in grouped}
        if not counts:
            return
        rows = schemas.reject_rows(invalid, self._identity)
        message(rows, records.REJECT, topics.REJECTS, None).write.format("kafka").options(**sink_options(self._settings)).save()
        for reason, number in counts.items():
            _REJECTS.labels(self._table.topic, reason).inc(number)
        listed = ", ".join(f"{number} {reason}" for reason, number in sorted(counts.items(), key=lambda count: -count[1]))
        log.warning("%d messages of %s rejected: %s", sum(counts.values()), self._table.topic, listed)


def valid_rows(judged: DataFrame, fields: tuple[records.Field, ...]) -> pa.Table:
    """Return the valid records of `schemas.parse`'s result, with PARTITION and OFFSET behind them, without heartbeats."""
    columns = [F.col(f"record.{field.name}") for field in fields]
    places = [F.col("partition").alias(PARTITION), F.col("offset").alias(OFFSET)]
    return _stored_rows(judged.where(F.col("reason").isNull()).select(*columns, *places).toArrow())


def packed(
    batches: Iterator[pa.RecordBatch], *, fields: tuple[records.Field, ...], sound: Sound, packing: Packing
) -> Iterator[pa.RecordBatch]:
    """Parse, check and pack the messages of one Spark task; runs in a Python worker.

    Yields one row with all packs, pickled, and one with the messages that remain to be checked, as an Arrow stream.
    """
    pa.set_cpu_count(1)
    parsed = [parse(pa.Table.from_batches([batch]), fields, sound) for batch in batches if batch.num_rows]
    if not parsed:
        return
    rows, doubtful = (pa.concat_tables(parts) for parts in zip(*parsed, strict=True))
    packs = packing(_stored_rows(rows.drop_columns([KEY, SENT_MS])), doubtful)
    results = [(_PACKS, pickle.dumps(packs))]
    if doubtful.num_rows:
        out = pa.BufferOutputStream()
        with pa.ipc.new_stream(out, doubtful.schema) as stream:
            stream.write_table(doubtful)
        results.append((_DOUBTFUL, out.getvalue().to_pybytes()))
    kinds, contents = zip(*results, strict=True)
    yield pa.RecordBatch.from_arrays([pa.array(kinds), pa.array(contents, pa.binary())], ["kind", "content"])


def _stored_rows(rows: pa.Table) -> pa.Table:
    return rows.filter(pc.not_equal(rows.column("kind"), _HEARTBEAT)) if "kind" in rows.column_names else rows
