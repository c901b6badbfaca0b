"""Store one micro-batch of Kafka messages after another: valid rows by the writer, the others to the rejects topic."""

from __future__ import annotations

import logging
import pickle
from collections.abc import Iterable
from functools import partial
from typing import Any, Final

import pyarrow as pa
from prometheus_client import Counter
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from orderflow.market import topics
from orderflow.processing import schemas
from orderflow.processing.lake_table import BatchWriter, LakeTable, Packing, rules
from orderflow.processing.pack_rows import DOUBTFUL, PACKS, packed, valid_rows
from orderflow.processing.queries import message, sink_options
from orderflow.settings import Settings

log = logging.getLogger(__name__)

MESSAGE: Final = ("key", "value", "topic", "partition", "offset", "timestamp")
MESSAGE_SCHEMA: Final = "key BINARY, value BINARY, topic STRING, `partition` INT, offset BIGINT, timestamp TIMESTAMP"

_REJECTS: Final = Counter("orderflow_rejects", "Messages sent to the rejects topic", ["source_topic", "reason"])


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
        packs = [pack for row in results if row.kind == PACKS for pack in pickle.loads(row.content)]
        doubtful = [pa.ipc.open_stream(row.content).read_all() for row in results if row.kind == DOUBTFUL]
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
        message(rows, topics.REJECTS, None).write.format("kafka").options(**sink_options(self._settings)).save()
        for reason, number in counts.items():
            _REJECTS.labels(self._table.topic, reason).inc(number)
        listed = ", ".join(f"{number} {reason}" for reason, number in sorted(counts.items(), key=lambda count: -count[1]))
        log.warning("%d messages of %s rejected: %s", sum(counts.values()), self._table.topic, listed)


def valid_among(spark: SparkSession, table: LakeTable, messages: Iterable[tuple[Any, ...]]) -> pa.Table:
    """Return the valid records of a table among messages with the columns MESSAGE, as `valid_rows` does."""
    frame = spark.createDataFrame(list(messages), MESSAGE_SCHEMA)
    return valid_rows(schemas.parse(frame, table.fields, rules(table).reason), table.fields)
