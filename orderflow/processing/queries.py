"""Every streaming query of the product; the only place that knows readStream and writeStream.

Delivery: each query reads `earliest` on its first start and its checkpoint afterwards; state_guard decides before the start what
becomes of a checkpoint whose data Kafka no longer has. Data that goes while a query runs ends it with an error (never a silent
jump), except `trades`, which is live only. Kafka sinks may repeat a record after a failure, with the same key and content;
storage is exactly once by the writer that is handed in.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final, Protocol

from prometheus_client import Counter
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.streaming import StreamingQuery

from orderflow.market import records, topics
from orderflow.processing import schemas
from orderflow.processing.checkpoint_files import CheckpointFiles
from orderflow.processing.final_flow import engine_settings, final_messages, spreading_keys
from orderflow.processing.state_guard import Extent, require_compatible_state, require_reachable_offsets, require_same_partitions
from orderflow.processing.trades import trades
from orderflow.settings import Settings

log = logging.getLogger(__name__)

BatchWriter = Callable[[DataFrame, int], None]
Start = Callable[[], StreamingQuery]
# Storage holds and sorts a batch in its executor's heap of 480 MiB; batches of 300,000 ticks ran out of memory again and again.
_STORAGE_BATCH_ROWS: Final = 60_000
CANDLE_BATCH_ROWS: Final = 100_000
"""Bounds a batch while the candle query catches up: about 100 MB of messages over all partitions."""
# How soon a full batch follows another. Sooner than a table's own trigger, or storage could never catch up.
_STORAGE_LOOK_SECONDS: Final = 2.0

_REJECTS: Final = Counter("orderflow_rejects", "Messages sent to the rejects topic", ["source_topic", "reason"])


def checkpoint(settings: Settings, name: str) -> str:
    """Return the checkpoint directory of query `name`, on HDFS."""
    return f"{checkpoints(settings)}/{name}"


def checkpoints(settings: Settings) -> str:
    """Return the directory of all checkpoints."""
    return f"{settings.namenode_url}/trading/checkpoints"


def processor_queries(spark: SparkSession, settings: Settings, extent: Callable[[], Extent]) -> dict[str, Start]:
    """Map names, which are also those of the checkpoints, to the functions that start the queries; all read ticks.

    They are trades, and final candles of all lengths with their footprint. Each start compares its checkpoint with what Kafka
    holds of the topic (`extent`).
    """
    files = CheckpointFiles(spark, checkpoints(settings))
    require_compatible_state(files)

    def start_trades() -> StreamingQuery:
        require_reachable_offsets(files, {"trades": extent()})
        return _trades(spark, settings)

    def start_candles() -> StreamingQuery:
        present = extent()
        require_reachable_offsets(files, {"orderflow": present})
        require_same_partitions(files, "orderflow", present)
        return _candles(spark, settings, len(present.ends))

    return {"trades": start_trades, "orderflow": start_candles}


class Stored(Protocol):
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


def storage_query(
    spark: SparkSession,
    settings: Settings,
    table: Stored,
    *,
    extent: Callable[[], Extent],
    writer: Callable[[str], BatchWriter],
    trigger_seconds: float,
    reason: Column,
) -> StreamingQuery:
    """Hand each micro-batch of a table's topic to a writer: (its fields plus topic, partition, offset; the batch's id).

    The writer is made at each start, of the identity of the topic's present life; `extent` tells what Kafka holds of it.
    Heartbeats are left out. Messages that are no valid records, by their types or by `reason`, go to the rejects topic: one copy
    each, whoever else skipped them, and a second one when a batch is tried again. They are counted by reason.
    """
    present = extent()
    require_reachable_offsets(CheckpointFiles(spark, checkpoints(settings)), {table.name: present})
    store = writer(present.identity)
    read = _messages(spark, settings, table.topic, most=_STORAGE_BATCH_ROWS, every_seconds=trigger_seconds)
    parsed = schemas.parse(read, table.fields, reason)
    if any(field.name == "kind" for field in table.fields):
        parsed = parsed.where(F.col("reason").isNotNull() | (F.col("record.kind") != "heartbeat"))

    def each(batch: DataFrame, batch_id: int) -> None:
        batch.persist()
        try:
            columns = [
                *[F.col(f"record.{field.name}") for field in table.fields],
                F.col("topic"),
                F.col("partition"),
                F.col("offset"),
            ]
            store(batch.where(F.col("reason").isNull()).select(*columns), batch_id)
            _reject(batch.where(F.col("reason").isNotNull()), table.topic, settings)
        finally:
            batch.unpersist()

    return (
        parsed.writeStream.queryName(table.name)
        .foreachBatch(each)
        .option("checkpointLocation", checkpoint(settings, table.name))
        .trigger(processingTime=f"{min(trigger_seconds, _STORAGE_LOOK_SECONDS)} seconds")
        .start()
    )


def _reject(invalid: DataFrame, topic: str, settings: Settings) -> None:
    """Send invalid messages of a topic to the rejects topic, count them by reason, and say so in one line."""
    counts = {
        str(row["reason"]): int(row["number"]) for row in invalid.groupBy("reason").agg(F.count("*").alias("number")).collect()
    }
    if not counts:
        return
    rows = schemas.reject_rows(invalid)
    _message(rows, records.REJECT, topics.REJECTS, None).write.format("kafka").options(**_sink(settings)).save()
    for reason, number in counts.items():
        _REJECTS.labels(topic, reason).inc(number)
    told = ", ".join(f"{number} {reason}" for reason, number in sorted(counts.items(), key=lambda one: -one[1]))
    log.warning("%d messages of %s rejected: %s", sum(counts.values()), topic, told)


def _trades(spark: SparkSession, settings: Settings) -> StreamingQuery:
    """Real-time mode: stateless, one core per partition for as long as it runs, committed once per trigger interval."""
    ticks = schemas.valid_ticks(_messages(spark, settings, topics.TICKS, lossy=True))
    rows = trades(ticks, settings.aggressor_rule)
    return (
        _message(rows, records.TRADE, topics.TRADES, "instrument_key")
        .writeStream.queryName("trades")
        .format("kafka")
        .options(**_sink(settings))
        .option("checkpointLocation", checkpoint(settings, "trades"))
        .outputMode("update")
        .trigger(realTime=f"{settings.trades_trigger_seconds} seconds")
        .start()
    )


def _candles(spark: SparkSession, settings: Settings, partitions: int) -> StreamingQuery:
    """Final candles of all lengths and their footprint levels, from one engine for each partition."""
    messages = _messages(spark, settings, topics.TICKS, most=CANDLE_BATCH_ROWS)
    keys = spreading_keys(spark, partitions, settings.shuffle_partitions)
    flow = final_messages(messages, engine_settings(settings), keys, "orderflow")
    return (
        flow.writeStream.queryName("orderflow")
        .format("kafka")
        .options(**_sink(settings))
        .option("checkpointLocation", checkpoint(settings, "orderflow"))
        .outputMode("append")
        .trigger(processingTime=f"{round(settings.candles_trigger_seconds * 1000)} milliseconds")
        .start()
    )


def _messages(
    spark: SparkSession,
    settings: Settings,
    topic: str,
    *,
    lossy: bool = False,
    most: int | None = None,
    every_seconds: float = 0,
) -> DataFrame:
    """Read a topic from its beginning.

    A batch has at most `most` messages; with `every_seconds` it waits for that many, or until the time is over.
    """
    reader = spark.readStream.format("kafka")
    if most is not None:
        reader = reader.option("maxOffsetsPerTrigger", most)
    if most is not None and every_seconds:
        reader = reader.option("minOffsetsPerTrigger", most).option("maxTriggerDelay", f"{round(every_seconds * 1000)}ms")
    return (
        reader.option("kafka.bootstrap.servers", settings.kafka_brokers)
        .option("subscribe", topic)
        .option("startingOffsets", "earliest")
        .option("failOnDataLoss", str(not lossy).lower())
        .load()
    )


def _message(rows: DataFrame, fields: tuple[records.Field, ...], topic: str, key: str | None) -> DataFrame:
    return rows.select(
        F.lit(topic).alias("topic"),
        (F.col(key) if key else F.lit(None).cast("string")).alias("key"),
        F.to_json(F.struct(*records.names(fields))).alias("value"),
    )


def _sink(settings: Settings) -> dict[str, str]:
    return {
        "kafka.bootstrap.servers": settings.kafka_brokers,
        "kafka.acks": "all",
        "kafka.linger.ms": "0",
        "kafka.max.request.size": str(8 << 20),
    }
