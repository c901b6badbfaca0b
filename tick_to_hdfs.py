"""Store every tick of `upstox_ticks` in HDFS, each exactly once."""

import sys
from functools import partial

from orderflow import logs, settings
from orderflow.broker.topic_identity import topic_extent
from orderflow.health import HealthServer
from orderflow.lake.compaction import Upkeep
from orderflow.lake.layout import TICKS
from orderflow.lake.packing import packs
from orderflow.lake.writer import HdfsParquetSink
from orderflow.processing.session import spark_session
from orderflow.processing.storage import storage_query
from orderflow.processing.watch import QueryWatch


def main() -> int:
    """Run until SIGTERM; return the exit code."""
    told = settings.load()
    logs.configure(told.log_level, [told.access_token])
    topic_extent(told.kafka, TICKS.topic)  # without Kafka this process ends before it asks Spark for cores
    spark = spark_session(told, "tick-storage", cores=told.tick_storage_cores)
    start = partial(
        storage_query,
        spark,
        told,
        TICKS,
        extent=partial(topic_extent, told.kafka, TICKS.topic),
        writer=partial(HdfsParquetSink, spark, told.namenode_url, TICKS),
        trigger_seconds=told.tick_storage_trigger_seconds,
        packing=partial(packs, TICKS),
        cores=told.tick_storage_cores,
    )
    watch = QueryWatch(spark, {TICKS.name: start})
    with HealthServer(told.health_host, told.health_port, watch.health):
        kept = {"keep_days": told.lake_keep_days, "keep_bytes": told.lake_keep_bytes, "trash_hours": told.lake_trash_hours}
        upkeep = Upkeep(spark, told.namenode_url, (TICKS,), **kept)
        return watch.wait(upkeep, upkeep.finish_swaps)


if __name__ == "__main__":
    sys.exit(logs.exit_code(main))
