"""The candle query over all ticks that a stack's Kafka holds, in one batch and one JVM: `python benchmarks/candle_catch_up.py`.

A candle query takes all that is there, so that no partition runs ahead of another's watermark; after a long outage that is one
large batch. This runs its transforms beside a running stack, with the heap of the processor's executor, into nothing.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

from pyspark.sql import SparkSession

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from orderflow import settings  # noqa: E402
from orderflow.market import topics  # noqa: E402
from orderflow.processing import queries  # noqa: E402


def session(heap: str, jars: Path) -> SparkSession:
    """Return a local Spark of two cores and one JVM, collected as the stack's are."""
    return (
        SparkSession.builder.master("local[2]")
        .config("spark.driver.memory", heap)
        .config("spark.driver.extraJavaOptions", "-XX:+UseSerialGC -XX:+ExitOnOutOfMemoryError")
        .config("spark.jars", ",".join(str(jar) for jar in jars.glob("*.jar")))
        .config("spark.sql.shuffle.partitions", 2)
        .config("spark.sql.session.timeZone", "UTC")
        .config("spark.sql.streaming.metricsEnabled", "false")
        .config("spark.ui.enabled", "false")
        .getOrCreate()
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--brokers", default="localhost:9092")
    parser.add_argument("--heap", default="600m")
    parser.add_argument("--jars", type=Path, default=Path(os.environ.get("ARTIFACTS_DIR") or ROOT / ".cache/artifacts") / "spark")
    told = parser.parse_args()
    found = settings.load({"KAFKA_BROKERS": told.brokers, "ENV_FILE": os.devnull})
    spark = session(told.heap, told.jars)
    spark.sparkContext.setLogLevel("ERROR")
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as directory:
        query = (
            queries.minute_messages(spark, found)
            .writeStream.format("noop")
            .option("checkpointLocation", directory)
            .outputMode("append")
            .trigger(availableNow=True)
            .start()
        )
        query.awaitTermination()
        for progress in query.recentProgress:
            (state,) = progress["stateOperators"]
            print(
                f"batch {progress['batchId']}: {progress['numInputRows']:,} messages of {topics.TICKS} in "
                f"{progress['durationMs']['triggerExecution'] / 1000:.0f} s; "
                f"{state['numRowsTotal']:,} minutes of instruments in the state, {state['memoryUsedBytes'] >> 20} MiB"
            )
    print(f"done in {time.monotonic() - began:.0f} s with a heap of {told.heap}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
