"""Store every tick of `upstox_ticks` in HDFS, each exactly once."""

from functools import partial

from orderflow import logs
from orderflow.broker.topic_identity import topic_extent
from orderflow.day_close import day_close
from orderflow.health import HealthServer
from orderflow.lake.compaction import Upkeep
from orderflow.lake.layout import TICKS
from orderflow.lake.packing import packs
from orderflow.lake.writer import HdfsParquetSink
from orderflow.processing.spark_session import spark_session
from orderflow.processing.storage import storage_query
from orderflow.processing.watch import QueryWatch
from orderflow.settings import load


def main() -> int:
    """Run until SIGTERM; return the exit code."""
    settings = load()
    logs.configure(settings.log_level, [settings.access_token])
    topic_extent(settings.kafka, TICKS.topic)  # without Kafka this process ends before it asks Spark for cores
    spark = spark_session(settings, "tick-storage", cores=settings.tick_storage_cores)
    start = partial(
        storage_query,
        spark,
        settings,
        TICKS,
        extent=partial(topic_extent, settings.kafka, TICKS.topic),
        writer=partial(HdfsParquetSink, spark, settings.namenode_url, TICKS),
        trigger_seconds=settings.tick_storage_trigger_seconds,
        packing=partial(packs, TICKS),
        cores=settings.tick_storage_cores,
    )
    watch = QueryWatch(spark, {TICKS.name: start})
    with HealthServer(settings.health_host, settings.health_port, watch.health):
        make = partial(Upkeep, spark, settings.namenode_url, (TICKS,), trash_hours=settings.lake_trash_hours)
        days, most_bytes = settings.lake_keep_days, settings.lake_keep_bytes
        upkeep = make(keep_days=days, keep_bytes=most_bytes, close=day_close(spark, settings))
        return watch.wait(upkeep, upkeep.finish_swaps)


if __name__ == "__main__":
    raise SystemExit(logs.exit_code(main))
