"""Store every final candle and its footprint in HDFS, each exactly once."""

import sys
from functools import partial

from orderflow import logs, settings
from orderflow.broker.topic_identity import topic_extent
from orderflow.health import HealthServer
from orderflow.lake.compaction import Upkeep
from orderflow.lake.layout import CANDLES, FOOTPRINT
from orderflow.lake.packing import packs
from orderflow.lake.writer import HdfsParquetSink
from orderflow.processing.session import spark_session
from orderflow.processing.storage import storage_query
from orderflow.processing.watch import QueryWatch


def main() -> int:
    """Run until SIGTERM; return the exit code."""
    told = settings.load()
    logs.configure(told.log_level, [told.access_token])
    topic_extent(told.kafka, CANDLES.topic)  # without Kafka this process ends before it asks Spark for cores
    spark = spark_session(told, "candle-storage", cores=told.candle_storage_cores)
    starts = {
        table.name: partial(
            storage_query,
            spark,
            told,
            table,
            extent=partial(topic_extent, told.kafka, table.topic),
            writer=partial(HdfsParquetSink, spark, told.namenode_url, table),
            trigger_seconds=told.candle_storage_trigger_seconds,
            packing=partial(packs, table),
            cores=told.candle_storage_cores,
        )
        for table in (CANDLES, FOOTPRINT)
    }
    watch = QueryWatch(spark, starts)
    with HealthServer(told.health_host, told.health_port, watch.health):
        upkeep = Upkeep(spark, told.namenode_url, (CANDLES, FOOTPRINT), trash_hours=told.lake_trash_hours)
        return watch.wait(upkeep, upkeep.finish_swaps)


if __name__ == "__main__":
    sys.exit(logs.exit_code(main))
