"""Store every final candle and its footprint in HDFS, each exactly once."""

import sys
from functools import partial

from pyspark.sql.streaming import StreamingQuery

from orderflow import logs, settings
from orderflow.broker.topic_identity import topic_extent
from orderflow.health import HealthServer
from orderflow.lake.compaction import Upkeep
from orderflow.lake.layout import CANDLES, FOOTPRINT, Table
from orderflow.lake.writer import HdfsParquetSink
from orderflow.processing.checkpoint_files import CheckpointFiles
from orderflow.processing.queries import checkpoints, reject_writer, storage_query
from orderflow.processing.schemas import candle_reason, footprint_reason
from orderflow.processing.session import spark_session
from orderflow.processing.state_guard import require_reachable_offsets
from orderflow.processing.watch import QueryWatch


def main() -> int:
    """Run until SIGTERM; return the exit code."""
    told = settings.load()
    logs.configure(told.log_level, [told.access_token])
    reasons = {CANDLES: candle_reason, FOOTPRINT: footprint_reason}
    for table in reasons:
        topic_extent(told.kafka_brokers, table.topic)  # without Kafka this process ends before it asks Spark for cores
    spark = spark_session(told, "candle-storage", cores=1)
    files = CheckpointFiles(spark, checkpoints(told))

    def start(table: Table) -> StreamingQuery:
        extent = topic_extent(told.kafka_brokers, table.topic)
        require_reachable_offsets(files, {table.name: extent})
        return storage_query(
            spark,
            told,
            name=table.name,
            topic=table.topic,
            fields=table.fields,
            writer=HdfsParquetSink(spark, told.namenode_url, table, extent.identity),
            trigger_seconds=told.candle_storage_trigger_seconds,
            reason=reasons[table](),
            on_reject=reject_writer(told),
        )

    watch = QueryWatch(spark, {table.name: partial(start, table) for table in reasons})
    with HealthServer(told.health_host, told.health_port, watch.health):
        return watch.wait(Upkeep(spark, told.namenode_url, (CANDLES, FOOTPRINT)))


if __name__ == "__main__":
    sys.exit(logs.exit_code(main))
