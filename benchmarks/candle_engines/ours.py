"""The product's candle query, as deployed but for its trigger, over all that the tick topic holds; used by candle_engine.py."""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from pyspark.sql import SparkSession  # noqa: E402

from orderflow.broker.changelog import CandleChangelog  # noqa: E402
from orderflow.market import topics  # noqa: E402
from orderflow.processing import queries  # noqa: E402
from orderflow.processing.final_flow import engine_settings, final_messages  # noqa: E402
from orderflow.settings import load  # noqa: E402

NOT_SERVING = {"spark.ui.enabled": "false", "spark.sql.streaming.metricsEnabled": "false"}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--brokers", required=True)
    parser.add_argument("--state", type=Path, required=True)
    parser.add_argument("--jars", type=Path, required=True)
    parser.add_argument("--heap", default="2g")
    parser.add_argument("--partitions", type=int, default=2)
    options = parser.parse_args()
    settings = load({"KAFKA_BROKERS": options.brokers, "ENV_FILE": os.devnull})
    spark = session(options)
    began_ms = time.time() * 1000
    messages = queries.read_messages(spark, settings, topics.TICKS, most=queries.CANDLE_BATCH_ROWS)
    query = (
        final_messages(messages, engine_settings(settings), CandleChangelog.of(settings.kafka, options.partitions))
        .writeStream.format("kafka")
        .options(**queries.sink_options(settings))
        .option("checkpointLocation", str(options.state / "checkpoint"))
        .outputMode("append")
        .trigger(availableNow=True)
        .start()
    )
    query.awaitTermination()
    print(f"BEGAN {began_ms:.0f} ENDED {time.time() * 1000:.0f}", flush=True)
    for progress in query.recentProgress:
        took = progress["durationMs"]["triggerExecution"]
        print(f"batch {progress['batchId']}: {progress['numInputRows']} messages in {took} ms", file=sys.stderr)
    spark.stop()
    return 0


def session(options: argparse.Namespace) -> SparkSession:
    """Return a local Spark with a core for each partition."""
    os.environ["PYSPARK_PYTHON"] = sys.executable
    os.environ["PYTHONPATH"] = str(ROOT)
    os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
    builder = (
        SparkSession.builder.master(f"local[{options.partitions}]")
        .appName("candle-engine")
        .config("spark.driver.memory", options.heap)
        .config("spark.driver.extraJavaOptions", "-XX:+UseSerialGC -XX:TieredStopAtLevel=1")  # as in deploy/env.sh
        .config("spark.driver.extraClassPath", f"{options.jars}/*")
        .config("spark.local.dir", str(options.state / "spark"))
        .config("spark.sql.warehouse.dir", str(options.state / "warehouse"))
        .config("spark.sql.session.timeZone", "UTC")
        .config("spark.python.daemon.module", "orderflow.worker_daemon")
    )
    for name, value in NOT_SERVING.items():
        builder = builder.config(name, value)
    spark = builder.getOrCreate()
    spark.sparkContext.setLogLevel("ERROR")
    return spark


if __name__ == "__main__":
    sys.exit(main())
