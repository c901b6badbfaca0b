"""Store every final candle and its footprint in HDFS, each exactly once."""

from functools import partial

from orderflow import logs
from orderflow.broker.topic_identity import topic_extent
from orderflow.health import HealthServer
from orderflow.lake.compaction import Upkeep
from orderflow.lake.layout import CANDLES, FOOTPRINT
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
    topic_extent(settings.kafka, CANDLES.topic)  # without Kafka this process ends before it asks Spark for cores
    spark = spark_session(settings, "candle-storage", cores=settings.candle_storage_cores)
    starts = {
        table.name: partial(
            storage_query,
            spark,
            settings,
            table,
            extent=partial(topic_extent, settings.kafka, table.topic),
            writer=partial(HdfsParquetSink, spark, settings.namenode_url, table),
            trigger_seconds=settings.candle_storage_trigger_seconds,
            packing=partial(packs, table),
            cores=settings.candle_storage_cores,
        )
        for table in (CANDLES, FOOTPRINT)
    }
    watch = QueryWatch(spark, starts)
    with HealthServer(settings.health_host, settings.health_port, watch.health):
        upkeep = Upkeep(spark, settings.namenode_url, (CANDLES, FOOTPRINT), trash_hours=settings.lake_trash_hours)
        return watch.wait(upkeep, upkeep.finish_swaps)


if __name__ == "__main__":
    raise SystemExit(logs.exit_code(main))
