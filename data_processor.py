"""Ticks to order flow: Kafka `upstox_ticks` → trades, final candles and footprint, by Spark Structured Streaming."""

import sys

from orderflow import logs, settings
from orderflow.broker.topic_identity import topic_extent
from orderflow.health import HealthServer
from orderflow.market.topics import TICKS
from orderflow.processing.checkpoint_files import CheckpointFiles
from orderflow.processing.cores import require_cores
from orderflow.processing.queries import checkpoints, processor_queries, processor_query_names
from orderflow.processing.session import spark_session
from orderflow.processing.state_guard import require_compatible_state, require_reachable_offsets
from orderflow.processing.watch import QueryWatch


def main() -> int:
    """Run the processor until SIGTERM; returns the exit code."""
    chosen = settings.load()
    logs.configure(chosen.log_level, secrets=[chosen.access_token])
    extent = topic_extent(chosen.kafka_brokers, TICKS)
    spark = spark_session(chosen, "orderflow-processor", chosen.processor_cores)
    require_cores(spark, chosen)
    files = CheckpointFiles(spark, checkpoints(chosen))
    require_compatible_state(files)
    require_reachable_offsets(files, dict.fromkeys(processor_query_names(chosen), extent))
    watch = QueryWatch(spark, processor_queries(spark, chosen))
    with HealthServer(chosen.health_host, chosen.health_port, watch.health):
        return watch.wait()


if __name__ == "__main__":
    sys.exit(logs.exit_code(main))
