"""Every streaming query of the product; the only place that knows readStream and writeStream.

Delivery: each query reads `earliest` on its first start and its checkpoint afterwards; state_guard decides before the start what
becomes of a checkpoint whose data Kafka no longer has. Data that goes while a query runs ends it with an error (never a silent
jump), except `trades`, which is live only. Kafka sinks may repeat a record after a failure, with the same key and content;
storage is exactly once by the writer that is handed in.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.streaming import StreamingQuery

from orderflow.market import records, topics
from orderflow.processing import schemas
from orderflow.processing.candles import flow_messages, roll_up
from orderflow.processing.checkpoint_files import CheckpointFiles
from orderflow.processing.minutes import minute_candles, minute_groups, minute_pieces, minute_rows
from orderflow.processing.state_guard import Extent, require_compatible_state, require_reachable_offsets
from orderflow.processing.trades import trades
from orderflow.settings import Settings

log = logging.getLogger(__name__)

Start = Callable[[], StreamingQuery]


def checkpoint(settings: Settings, name: str) -> str:
    """Return the checkpoint directory of query `name`, on HDFS."""
    return f"{checkpoints(settings)}/{name}"


def checkpoints(settings: Settings) -> str:
    """Return the directory of all checkpoints."""
    return f"{settings.namenode_url}/trading/checkpoints"


def processor_queries(spark: SparkSession, settings: Settings, extent: Callable[[], Extent]) -> dict[str, Start]:
    """Map names, which are also those of the checkpoints, to the functions that start the queries; all read ticks.

    They are trades, candles with their footprint and, for a window above one minute, its roll-up. Each start compares its
    checkpoint with what Kafka holds of the topic (`extent`).
    """
    files = CheckpointFiles(spark, checkpoints(settings))
    require_compatible_state(files)
    starts = {"trades": _trades, "orderflow": _candles}
    if settings.window_minutes > 1:
        starts[f"orderflow-{settings.window_minutes}"] = _rolled_up

    def start(name: str) -> StreamingQuery:
        require_reachable_offsets(files, {name: extent()})
        return starts[name](spark, settings)

    return {name: partial(start, name) for name in starts}


def _trades(spark: SparkSession, settings: Settings) -> StreamingQuery:
    """Real-time mode: stateless, one core per partition for as long as it runs, committed once per trigger interval."""
    ticks = schemas.valid_ticks(read_messages(spark, settings, topics.TICKS, lossy=True))
    rows = trades(ticks, settings.aggressor_rule)
    return (
        message(rows, records.TRADE, topics.TRADES, "instrument_key")
        .writeStream.queryName("trades")
        .format("kafka")
        .options(**sink_options(settings))
        .option("checkpointLocation", checkpoint(settings, "trades"))
        .outputMode("update")
        .trigger(realTime=f"{settings.trades_trigger_seconds} seconds")
        .start()
    )


def _candles(spark: SparkSession, settings: Settings) -> StreamingQuery:
    """Final one-minute candles and their footprint levels, from one aggregation."""
    return _start(minute_messages(spark, settings), settings, "orderflow", settings.candles_trigger_seconds)


def _rolled_up(spark: SparkSession, settings: Settings) -> StreamingQuery:
    """Final candles of `window_minutes`, from minutes computed in the same query; a checkpoint of its own for each length."""
    n = settings.window_minutes
    messages = flow_messages(roll_up(_minute_measures(spark, settings, n), n), n)
    return _start(messages, settings, f"orderflow-{n}", settings.candles_trigger_seconds)


def minute_messages(spark: SparkSession, settings: Settings) -> DataFrame:
    """Return final one-minute candles and footprint levels of the stream of ticks, as messages for Kafka."""
    return flow_messages(_minute_measures(spark, settings, 1), 1)


def _minute_measures(spark: SparkSession, settings: Settings, window_minutes: int) -> DataFrame:
    ticks = schemas.valid_ticks(read_messages(spark, settings, topics.TICKS))
    rows = minute_rows(ticks, settings.aggressor_rule, exchange_bars=settings.exchange_bars, window_minutes=window_minutes)
    groups = minute_groups(rows.withWatermark("event_time", f"{settings.watermark_seconds} seconds"))
    return minute_candles(minute_pieces(groups), window_minutes)


def read_messages(
    spark: SparkSession,
    settings: Settings,
    topic: str,
    *,
    lossy: bool = False,
    most: int | None = None,
    every_seconds: float = 0,
) -> DataFrame:
    """Read a topic from its beginning; a batch has `most` messages, or what there is after `every_seconds`.

    Queries with a watermark take all that is there, or partitions would drift apart in event time.
    """
    reader = spark.readStream.format("kafka")
    if most is not None:
        reader = reader.option("maxOffsetsPerTrigger", most).option("minOffsetsPerTrigger", most)
        reader = reader.option("maxTriggerDelay", f"{round(every_seconds * 1000)}ms")
    return (
        reader.option("kafka.bootstrap.servers", settings.kafka_brokers)
        .option("subscribe", topic)
        .option("startingOffsets", "earliest")
        .option("failOnDataLoss", str(not lossy).lower())
        .load()
    )


def message(rows: DataFrame, fields: tuple[records.Field, ...], topic: str, key: str | None) -> DataFrame:
    """Return a record's rows as messages for Kafka, in JSON, keyed by the column `key`."""
    return rows.select(
        F.lit(topic).alias("topic"),
        (F.col(key) if key else F.lit(None).cast("string")).alias("key"),
        F.to_json(F.struct(*records.names(fields))).alias("value"),
    )


def _start(messages: DataFrame, settings: Settings, name: str, trigger_seconds: float) -> StreamingQuery:
    return (
        messages.writeStream.queryName(name)
        .format("kafka")
        .options(**sink_options(settings))
        .option("checkpointLocation", checkpoint(settings, name))
        .outputMode("append")
        .trigger(processingTime=f"{round(trigger_seconds * 1000)} milliseconds")
        .start()
    )


def sink_options(settings: Settings) -> dict[str, str]:
    """Return the options of every Kafka sink."""
    return {
        "kafka.bootstrap.servers": settings.kafka_brokers,
        "kafka.acks": "all",
        "kafka.linger.ms": "0",
        "kafka.max.request.size": str(8 << 20),
    }
