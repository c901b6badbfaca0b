"""Refuses to start the processor with too few cores: real-time mode holds one per partition for ever."""

from __future__ import annotations

from pyspark.sql import SparkSession

from orderflow.market.errors import SettingsError
from orderflow.settings import Settings


def cores_needed(settings: Settings) -> int:
    """Return the least number of cores of the processor: one per partition for the trades, two for the micro-batches."""
    return settings.kafka_partitions + 2


def require_cores(spark: SparkSession, settings: Settings) -> None:
    """Raise SettingsError when the processor's cap, or a local master's threads, are fewer than it needs."""
    needed = cores_needed(settings)
    master = spark.sparkContext.master
    given = spark.sparkContext.defaultParallelism if master.startswith("local") else settings.processor_cores
    if given < needed:
        raise SettingsError(
            f"the processor has {given} cores but needs {needed}: real-time trades hold one for each of the "
            f"{settings.kafka_partitions} partitions, and candles need two more; set PROCESSOR_CORES={needed} or more"
        )
