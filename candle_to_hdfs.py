"""Store every final candle and its footprint in HDFS, each exactly once."""

import sys
from functools import partial

from orderflow import logs, settings
from orderflow.broker.topic_identity import topic_extent
from orderflow.health import HealthServer
from orderflow.lake.compaction import Upkeep
from orderflow.lake.layout import CANDLES, FOOTPRINT
from orderflow.lake.writer import HdfsParquetSink
from orderflow.processing.queries import storage_query
from orderflow.processing.schemas import candle_reason, footprint_reason
from orderflow.processing.session import spark_session
from orderflow.processing.watch import QueryWatch


def main() -> int:
    """Run until SIGTERM; return the exit code."""
    told = settings.load()
    logs.configure(told.log_level, [told.access_token])
    topic_extent(told.kafka_brokers, CANDLES.topic)  # without Kafka this process ends before it asks Spark for cores
    spark = spark_session(told, "candle-storage", cores=1)
    starts = {
        table.name: partial(
            storage_query,
            spark,
            told,
            table,
            extent=partial(topic_extent, told.kafka_brokers, table.topic),
            writer=partial(HdfsParquetSink, spark, told.namenode_url, table),
            trigger_seconds=told.candle_storage_trigger_seconds,
            reason=reason,
        )
        for table, reason in ((CANDLES, candle_reason()), (FOOTPRINT, footprint_reason()))
    }
    watch = QueryWatch(spark, starts)
    with HealthServer(told.health_host, told.health_port, watch.health):
        upkeep = Upkeep(spark, told.namenode_url, (CANDLES, FOOTPRINT))
        return watch.wait(upkeep, upkeep.finish_swaps)


if __name__ == "__main__":
    sys.exit(logs.exit_code(main))
