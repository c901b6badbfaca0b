"""Store every final candle and its footprint in HDFS, each exactly once."""

import sys

from orderflow import logs, settings
from orderflow.broker.topic_identity import topic_extent
from orderflow.health import HealthServer
from orderflow.lake.compaction import Upkeep
from orderflow.lake.layout import CANDLES, FOOTPRINT
from orderflow.lake.writer import HdfsParquetSink
from orderflow.processing.checkpoint_files import CheckpointFiles
from orderflow.processing.queries import checkpoints, reject_writer, storage_query
from orderflow.processing.session import spark_session
from orderflow.processing.state_guard import require_reachable_offsets
from orderflow.processing.watch import QueryWatch


def main() -> int:
    """Run until SIGTERM; return the exit code."""
    told = settings.load()
    logs.configure(told.log_level, [told.access_token])
    extents = {table.name: topic_extent(told.kafka_brokers, table.topic) for table in (CANDLES, FOOTPRINT)}
    spark = spark_session(told, "candle-storage", cores=1)
    require_reachable_offsets(CheckpointFiles(spark, checkpoints(told)), extents)
    queries = [
        storage_query(
            spark,
            told,
            name=table.name,
            topic=table.topic,
            fields=table.fields,
            writer=HdfsParquetSink(spark, told.namenode_url, table, extents[table.name].identity),
            trigger_seconds=told.candle_storage_trigger_seconds,
            on_reject=reject_writer(told),
        )
        for table in (CANDLES, FOOTPRINT)
    ]
    watch = QueryWatch(spark, queries)
    with HealthServer(told.health_host, told.health_port, watch.health):
        return watch.wait(Upkeep(spark, told.namenode_url, (CANDLES, FOOTPRINT)))


if __name__ == "__main__":
    sys.exit(logs.exit_code(main))
