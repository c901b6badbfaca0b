"""The candle engine inside Spark gives what it gives by itself, over batches, restarts and changing workers."""

from __future__ import annotations

import json
import random
from collections import Counter
from pathlib import Path
from typing import Any

import msgspec
import pytest
from outages import market, seen_through
from pyspark.sql import SparkSession
from pyspark.sql import functions as F
from sink_files import SinkFiles

from orderflow.market import topics
from orderflow.market.engine.messages import messages_of
from orderflow.market.engine.partition import EngineSettings, PartitionEngine
from orderflow.market.tick import Tick, encode_tick, heartbeat_tick
from orderflow.processing.final_flow import final_messages, recomputed
from orderflow.processing.schemas import TICK

pytestmark = pytest.mark.spark

SCHEMA = "partition int, offset long, key binary, value binary, timestamp timestamp"
SETTINGS = EngineSettings(window_minutes=(5,))


def partition_of(seed: int, first: int, count: int) -> list[Tick]:
    """The ticks of some instruments of one partition, in turn, with heartbeats between them."""
    streams = []
    for number in range(first, first + count):
        ticks = seen_through(market(seed + number).updates, [])
        streams.append([msgspec.structs.replace(tick, instrument_key=f"NSE_EQ|{number}") for tick in ticks])
    records: list[Tick] = []
    for some in zip(*streams, strict=False):
        records += some
        records.append(heartbeat_tick(some[0].feed_time_ms, some[0].received_time_ms))
    return records


def expected(records: list[Tick]) -> Counter[tuple[str, str, bytes]]:
    engine = PartitionEngine(SETTINGS)
    return Counter(tuple(message) for tick in records for output in engine.take(tick) for message in messages_of(output))


def write_batch(spark: SparkSession, directory: Path, rows: list[tuple[Any, ...]]) -> None:
    lines = [(p, o, k, v.decode(), at) for p, o, k, v, at in rows]
    frame = spark.createDataFrame(lines, "partition int, offset long, key string, value string, at long")
    frame.select(
        "partition", "offset", F.encode("key", "UTF-8").alias("key"), F.encode("value", "UTF-8").alias("value"),
        F.timestamp_millis("at").alias("timestamp"),
    ).coalesce(1).write.mode("append").parquet(str(directory))  # fmt: skip


def run(spark: SparkSession, source: Path, sink: Path, checkpoint: Path) -> None:
    messages = spark.readStream.schema(SCHEMA).parquet(str(source))
    query = (
        final_messages(messages, SETTINGS, SinkFiles(sink, 2))
        .writeStream.format("parquet")
        .option("path", str(sink))
        .option("checkpointLocation", str(checkpoint))
        .trigger(availableNow=True)
        .start()
    )
    query.awaitTermination()


def test_flow_when_it_runs_in_batches_and_starts_again_then_equals_the_engine_by_itself(
    spark: SparkSession, tmp_path: Path
) -> None:
    rng = random.Random(3)
    partitions = [partition_of(10, 0, 3), partition_of(50, 3, 2)]
    at = [0, 0]
    source, sink, checkpoint = tmp_path / "source", tmp_path / "sink", tmp_path / "checkpoint"
    while any(at[p] < len(partitions[p]) for p in (0, 1)):
        rows = []
        for p in (0, 1):
            some = partitions[p][at[p] : at[p] + rng.randrange(200, 1_500)]
            for number, tick in enumerate(some, at[p]):
                rows.append((p, number, tick.instrument_key, encode_tick(tick), tick.received_time_ms + 5))
            at[p] += len(some)
        write_batch(spark, source, rows)
        run(spark, source, sink, checkpoint)
    published = spark.read.parquet(str(sink)).where(F.col("topic") != topics.CANDLE_STATE).collect()
    wanted = expected(partitions[0]) + expected(partitions[1])
    assert len(wanted) > 300
    assert Counter((row["topic"], row["key"], bytes(row["value"])) for row in published) == wanted


def test_day_when_recomputed_from_stored_rows_then_equals_the_engine_by_itself(spark: SparkSession) -> None:
    ticks = partition_of(90, 0, 2)
    stored = [tick for tick in ticks if tick.kind != "heartbeat"]
    settings = EngineSettings(watermark_ms=None, source="reprocess", window_minutes=(5,))
    lines = [json.dumps(msgspec.to_builtins(tick)) for tick in reversed(stored)]
    frame = spark.read.schema(TICK).json(spark.sparkContext.parallelize(lines, 2))
    messages = Counter((row["topic"], row["key"], bytes(row["value"])) for row in recomputed(frame, settings).collect())
    wanted: Counter[tuple[str, str, bytes]] = Counter()
    for key in {tick.instrument_key for tick in stored}:
        engine = PartitionEngine(settings)
        outputs = [output for tick in stored if tick.instrument_key == key for output in engine.take(tick)]
        wanted.update(tuple(message) for output in outputs + engine.finish() for message in messages_of(output))
    assert messages == wanted
