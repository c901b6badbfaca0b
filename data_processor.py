"""Ticks to order flow: Kafka `upstox_ticks` → trades, final candles and footprint, by Spark Structured Streaming."""

import sys
from functools import partial

from orderflow import logs, settings
from orderflow.broker.changelog import CandleChangelog
from orderflow.broker.topic_identity import topic_extent
from orderflow.health import HealthServer
from orderflow.market.topics import TICKS
from orderflow.processing.cores import require_cores
from orderflow.processing.queries import processor_queries
from orderflow.processing.session import spark_session
from orderflow.processing.watch import QueryWatch


def main() -> int:
    """Run the processor until SIGTERM; returns the exit code."""
    chosen = settings.load()
    logs.configure(chosen.log_level, secrets=[chosen.access_token])
    extent = partial(topic_extent, chosen.kafka)
    ticks = extent(TICKS)  # without Kafka this process ends before it asks Spark for cores
    changelog = partial(CandleChangelog.of, chosen.kafka)
    spark = spark_session(chosen, "orderflow-processor", chosen.processor_cores)
    require_cores(spark, chosen, len(ticks.starts))
    watch = QueryWatch(spark, processor_queries(spark, chosen, extent, changelog), {"trades": chosen.trades_trigger_seconds})
    with HealthServer(chosen.health_host, chosen.health_port, watch.health):
        return watch.wait()


if __name__ == "__main__":
    sys.exit(logs.exit_code(main))
