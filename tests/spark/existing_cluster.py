"""A driver on a cluster whose workers have Java and Spark only: `existing_cluster.py DIR` leaves DIR/result.json."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
from outages import market, seen_through
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from sink_files import SinkFiles

from orderflow.lake.layout import TICKS
from orderflow.lake.packing import packs
from orderflow.market import topics
from orderflow.market.engine.messages import messages_of
from orderflow.market.engine.partition import EngineSettings, PartitionEngine
from orderflow.market.tick import Tick, encode_tick
from orderflow.processing.final_flow import final_messages
from orderflow.processing.spark_session import spark_session
from orderflow.processing.storage_batches import StorageBatches
from orderflow.settings import Settings, load

SETTINGS = EngineSettings()


def messages(spark: SparkSession, ticks: Sequence[Tick], first: int) -> DataFrame:
    rows = [
        (tick.instrument_key, encode_tick(tick).decode(), offset, tick.received_time_ms)
        for offset, tick in enumerate(ticks, first)
    ]
    frame = spark.createDataFrame(rows, "key string, value string, offset long, at long")
    return frame.select(
        F.encode("key", "UTF-8").alias("key"), F.encode("value", "UTF-8").alias("value"), F.lit(topics.TICKS).alias("topic"),
        F.lit(0).alias("partition"), "offset", F.timestamp_millis("at").alias("timestamp"),
    )  # fmt: skip


def candles(spark: SparkSession, ticks: Sequence[Tick], directory: Path) -> Counter[tuple[str, str, str]]:
    """Run the candle engine over two batches, so that the second one begins with the state of the first."""
    half, source = len(ticks) // 2, str(directory / "source")
    for first, some in ((0, ticks[:half]), (half, ticks[half:])):
        messages(spark, some, first).coalesce(1).write.mode("append").parquet(source)
    schema = spark.read.parquet(source).schema
    stream = spark.readStream.schema(schema).option("maxFilesPerTrigger", 1).parquet(source)
    sink = directory / "sink"
    flow = final_messages(stream, SETTINGS, SinkFiles(sink, 1))
    query = (
        flow.writeStream.format("parquet").option("path", str(sink)).option("checkpointLocation", str(directory / "checkpoint"))
    )
    query.trigger(availableNow=True).start().awaitTermination()
    rows = spark.read.parquet(str(sink)).where(F.col("topic") != topics.CANDLE_STATE).collect()
    return Counter((row["topic"], row["key"], bytes(row["value"]).decode()) for row in rows)


def expected(ticks: Sequence[Tick]) -> Counter[tuple[str, str, str]]:
    engine = PartitionEngine(SETTINGS)
    messages = [message for tick in ticks for output in engine.take(tick) for message in messages_of(output)]
    return Counter((message.topic, message.key, message.value.decode()) for message in messages)


def rows_stored(spark: SparkSession, ticks: Sequence[Tick], settings: Settings) -> int:
    packed: list[Any] = []
    batches = StorageBatches(settings, TICKS, lambda batch, _: packed.extend(batch), partial(packs, TICKS), 1, "0a1b2c3d")
    batches(messages(spark, ticks, 0), 0)
    return sum(pack.rows for pack in packed)


def facts(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Return where a Python worker has its interpreter, and what code from outside its directory it has loaded."""
    list(batches)
    here = str(Path.cwd())
    files = {line.split(maxsplit=5)[5] for line in Path("/proc/self/maps").read_text().splitlines() if ".so" in line}
    files |= {module.__file__ for module in list(sys.modules.values()) if getattr(module, "__file__", None)}
    facts = {
        "executable": sys.executable.removeprefix(here),
        "outside": sorted({Path(file).name for file in files if not file.startswith(here)}),
        "on_path": shutil.which("python3"),
        "environment": sorted(name for name in os.environ if name in ("PYTHONHOME", "ORDERFLOW_HOME")),
    }
    yield pa.RecordBatch.from_pydict({"facts": [json.dumps(facts)]})


def main(directory: Path) -> None:
    settings = load()
    spark = spark_session(settings, "existing-cluster", cores=2)
    ticks = seen_through(market(10).updates, [])
    result = {
        "candles_equal": candles(spark, ticks, directory) == expected(ticks),
        "messages": expected(ticks).total(),
        "ticks": len(ticks),
        "stored": rows_stored(spark, ticks, settings),
        "worker": json.loads(spark.range(1).mapInArrow(facts, "facts string").collect()[0]["facts"]),
    }
    spark.stop()
    (directory / "result.json").write_text(json.dumps(result))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
