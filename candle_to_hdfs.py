"""Store every final candle and its footprint in HDFS, each exactly once."""

from __future__ import annotations

import sys

from orderflow import logs, settings
from orderflow.broker.topic_identity import topic_id
from orderflow.health import HealthServer
from orderflow.lake.compaction import Upkeep
from orderflow.lake.layout import CANDLES, FOOTPRINT
from orderflow.lake.writer import HdfsParquetSink
from orderflow.processing.queries import reject_writer, storage_query
from orderflow.processing.schemas import candle_reason, footprint_reason
from orderflow.processing.session import spark_session
from orderflow.processing.watch import QueryWatch


def main() -> int:
    """Run until SIGTERM; return the exit code."""
    told = settings.load()
    logs.configure(told.log_level, [told.access_token])
    spark = spark_session(told, "candle-storage", cores=1)
    queries = [
        storage_query(
            spark,
            told,
            name=table.name,
            topic=table.topic,
            fields=table.fields,
            writer=HdfsParquetSink(spark, told.namenode_url, table, topic_id(told.kafka_brokers, table.topic)),
            trigger_seconds=told.candle_storage_trigger_seconds,
            reason=reason,
            on_reject=reject_writer(told),
        )
        for table, reason in ((CANDLES, candle_reason()), (FOOTPRINT, footprint_reason()))
    ]
    watch = QueryWatch(spark, queries)
    with HealthServer(told.health_host, told.health_port, watch.health):
        return watch.wait(Upkeep(spark, told.namenode_url, (CANDLES, FOOTPRINT)))


if __name__ == "__main__":
    sys.exit(logs.exit_code(main))
