"""Ticks to order flow: Kafka `upstox_ticks` → trades, final candles and footprint, by Spark Structured Streaming."""

import sys
from functools import partial

from orderflow import logs
from orderflow.broker.changelog import CandleChangelog
from orderflow.broker.topic_identity import topic_extent
from orderflow.health import HealthServer
from orderflow.market.topics import TICKS
from orderflow.processing.checkpoint_files import CheckpointFiles
from orderflow.processing.cores import require_cores
from orderflow.processing.queries import checkpoints, processor_queries
from orderflow.processing.spark_session import spark_session
from orderflow.processing.watch import QueryWatch
from orderflow.settings import load


def main() -> int:
    """Run the processor until SIGTERM; returns the exit code."""
    settings = load()
    logs.configure(settings.log_level, secrets=[settings.access_token])
    extent = partial(topic_extent, settings.kafka)
    ticks = extent(TICKS)  # without Kafka this process ends before it asks Spark for cores
    changelog = partial(CandleChangelog.of, settings.kafka)
    spark = spark_session(settings, "orderflow-processor", settings.processor_cores)
    require_cores(spark, settings, len(ticks.starts))
    files = CheckpointFiles(spark, checkpoints(settings))
    queries = processor_queries(spark, settings, files, extent, changelog)
    watch = QueryWatch(spark, queries, {"trades": settings.trades_trigger_seconds})
    with HealthServer(settings.health_host, settings.health_port, watch.health):
        return watch.wait()


if __name__ == "__main__":
    sys.exit(logs.exit_code(main))
