"""Store every tick of `upstox_ticks` in HDFS, each exactly once."""

from __future__ import annotations

import sys

from orderflow import logs, settings
from orderflow.broker.topic_identity import topic_extent
from orderflow.health import HealthServer
from orderflow.lake.compaction import Upkeep
from orderflow.lake.layout import TICKS
from orderflow.lake.writer import HdfsParquetSink
from orderflow.processing.checkpoint_files import CheckpointFiles
from orderflow.processing.queries import checkpoints, storage_query
from orderflow.processing.schemas import tick_reason
from orderflow.processing.session import spark_session
from orderflow.processing.state_guard import require_reachable_offsets
from orderflow.processing.watch import QueryWatch


def main() -> int:
    """Run until SIGTERM; return the exit code."""
    told = settings.load()
    logs.configure(told.log_level, [told.access_token])
    extent = topic_extent(told.kafka_brokers, TICKS.topic)
    spark = spark_session(told, "tick-storage", cores=1)
    require_reachable_offsets(CheckpointFiles(spark, checkpoints(told)), {TICKS.name: extent})
    query = storage_query(
        spark,
        told,
        name=TICKS.name,
        topic=TICKS.topic,
        fields=TICKS.fields,
        writer=HdfsParquetSink(spark, told.namenode_url, TICKS, extent.identity),
        trigger_seconds=told.tick_storage_trigger_seconds,
        reason=tick_reason(),
    )
    watch = QueryWatch(spark, [query])
    with HealthServer(told.health_host, told.health_port, watch.health):
        return watch.wait(Upkeep(spark, told.namenode_url, (TICKS,)))


if __name__ == "__main__":
    sys.exit(logs.exit_code(main))
