"""The storage queries: each micro-batch is parsed, checked and packed in Arrow by Spark's Python workers, in one pass.

Messages that are not certainly valid there are checked by `schemas`; invalid ones go to the rejects topic. The injected writer
stores each row exactly once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from pyspark.sql import SparkSession
from pyspark.sql.streaming import StreamingQuery

from orderflow.processing.checkpoint_files import CheckpointFiles
from orderflow.processing.lake_table import BatchWriter, LakeTable, Packing
from orderflow.processing.queries import checkpoint, checkpoints, read_messages
from orderflow.processing.state_guard import Extent, require_reachable_offsets
from orderflow.processing.storage_batches import MESSAGE, StorageBatches
from orderflow.settings import Settings

# A worker holds a whole batch in memory: 60,000 ticks take about 60 MB as messages, and as much after parsing.
_BATCH_ROWS: Final = 60_000
# Delay between two full batches. It must be shorter than a table's own trigger, or storage could never catch up.
_LOOK_SECONDS: Final = 2.0


def storage_query(
    spark: SparkSession,
    settings: Settings,
    table: LakeTable,
    *,
    extent: Callable[[], Extent],
    writer: Callable[[str], BatchWriter],
    packing: Packing,
    trigger_seconds: float,
    cores: int = 1,
) -> StreamingQuery:
    """Hand each micro-batch of a table's topic to a writer, as packed by `packing` in up to `cores` tasks, with its id.

    The writer is created at each start, with the identity of the present topic; `extent` returns the offsets that Kafka
    holds. Heartbeats are left out. Messages that are not valid records, by types or rules, go to the rejects topic: one
    copy each, and a second one when a batch is tried again. They are counted by reason.
    """
    present = extent()
    require_reachable_offsets(CheckpointFiles(spark, checkpoints(settings)), {table.name: present})
    batches = StorageBatches(settings, table, writer(present.identity), packing, cores, present.identity)
    read = read_messages(spark, settings, table.topic, most=_BATCH_ROWS * cores, every_seconds=trigger_seconds)
    return (
        read.select(*MESSAGE)
        .writeStream.queryName(table.name)
        .foreachBatch(batches)
        .option("checkpointLocation", checkpoint(settings, table.name))
        .trigger(processingTime=f"{min(trigger_seconds, _LOOK_SECONDS)} seconds")
        .start()
    )
