"""The processor's streaming queries; with `storage.py` the only place that knows readStream and writeStream.

Delivery: each query reads from `earliest` on its first start and from its checkpoint afterwards. Before the start,
state_guard decides what to do with a checkpoint whose data Kafka no longer has. If data disappears while a query runs,
the query ends with an error and never skips it silently, except `trades`, which is live only. Kafka sinks may repeat a
record after a failure, with the same key and content; storage is exactly once, by the injected writer.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.streaming import StreamingQuery

from orderflow.market import topics
from orderflow.processing.engine_task import Changelog
from orderflow.processing.final_flow import engine_settings, final_messages
from orderflow.processing.state_guard import (
    Extent,
    Files,
    changelog_partitions,
    require_compatible_state,
    require_reachable_offsets,
    require_same_partitions,
)
from orderflow.processing.trades import live_trades
from orderflow.settings import Settings

log = logging.getLogger(__name__)

Start = Callable[[], StreamingQuery]
CANDLE_BATCH_ROWS: Final = 100_000
"""Limits a batch while the candle query catches up: about 100 MB of messages over all partitions."""


def checkpoint(settings: Settings, name: str) -> str:
    """Return the checkpoint directory of query `name`, on HDFS."""
    return f"{checkpoints(settings)}/{name}"


def checkpoints(settings: Settings) -> str:
    """Return the directory of all checkpoints."""
    return f"{settings.namenode_url}/trading/checkpoints"


def processor_queries(
    spark: SparkSession,
    settings: Settings,
    files: Files,
    extent: Callable[[str], Extent],
    changelog: Callable[[int], Changelog],
) -> dict[str, Start]:
    """Map names, which are also those of the checkpoints, to the functions that start the queries; all read ticks.

    They are trades, and final candles of all lengths with their footprint. Each start compares its checkpoint, in `files`
    below `checkpoints(settings)`, with the offsets that Kafka holds (`extent`). `changelog` creates the reader of the candle
    state for a number of partitions.
    """
    require_compatible_state(files)

    def start_trades() -> StreamingQuery:
        require_reachable_offsets(files, {"trades": extent(topics.TICKS)})
        return _trades(spark, settings)

    def start_candles() -> StreamingQuery:
        present = extent(topics.TICKS)
        require_reachable_offsets(files, {"orderflow": present})
        require_same_partitions(files, "orderflow", present)
        partitions = changelog_partitions(files, "orderflow", extent(topics.CANDLE_STATE))
        return _candles(spark, settings, changelog(partitions))

    return {"trades": start_trades, "orderflow": start_candles}


def _trades(spark: SparkSession, settings: Settings) -> StreamingQuery:
    """Real-time mode: stateless, one core per partition for as long as it runs, committed once per trigger interval."""
    rows = live_trades(read_messages(spark, settings, topics.TICKS, lossy=True), settings.aggressor_rule)
    return (
        message(rows, topics.TRADES, "instrument_key")
        .writeStream.queryName("trades")
        .format("kafka")
        .options(**sink_options(settings))
        .option("checkpointLocation", checkpoint(settings, "trades"))
        .outputMode("update")
        .trigger(realTime=f"{settings.trades_trigger_seconds} seconds")
        .start()
    )


def _candles(spark: SparkSession, settings: Settings, changelog: Changelog) -> StreamingQuery:
    """Final candles of all lengths and their footprint levels, and the engines' state, from one engine for each partition."""
    messages = read_messages(spark, settings, topics.TICKS, most=CANDLE_BATCH_ROWS)
    flow = final_messages(messages, engine_settings(settings), changelog)
    return (
        flow.writeStream.queryName("orderflow")
        .format("kafka")
        .options(**sink_options(settings))
        .option("checkpointLocation", checkpoint(settings, "orderflow"))
        .outputMode("append")
        .trigger(processingTime=f"{round(settings.candles_trigger_seconds * 1000)} milliseconds")
        .start()
    )


def read_messages(
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
        reader.options(**settings.kafka.spark())
        .option("subscribe", topic)
        .option("startingOffsets", "earliest")
        .option("failOnDataLoss", str(not lossy).lower())
        .load()
    )


def message(rows: DataFrame, topic: str, key: str | None) -> DataFrame:
    """Return rows with the fields of a topic's records as messages for it, in JSON, keyed by the column `key`."""
    return rows.select(
        F.lit(topic).alias("topic"),
        (F.col(key) if key else F.lit(None).cast("string")).alias("key"),
        F.to_json(F.struct(*(field.name for field in topics.FIELDS[topic]))).alias("value"),
    )


def sink_options(settings: Settings) -> dict[str, str]:
    """Return the options of every Kafka sink."""
    return {
        **settings.kafka.spark(),
        "kafka.acks": "all",
        "kafka.linger.ms": "0",
        "kafka.max.request.size": str(8 << 20),
    }
