"""Refuses to start the processor with too few cores, because real-time mode uses one per partition as long as it runs."""

from __future__ import annotations

from typing import Final

from pyspark.sql import SparkSession

from orderflow.market.errors import SettingsError
from orderflow.market.topics import TICKS
from orderflow.settings import Settings

MICRO_BATCH_CORES: Final = 2


def require_cores(spark: SparkSession, settings: Settings, partitions: int) -> None:
    """Raise SettingsError when the processor's cap, or a local master's threads, are fewer than it needs.

    It needs one for each of the `partitions` that the topic of ticks has, and MICRO_BATCH_CORES for the candles.
    """
    needed = partitions + MICRO_BATCH_CORES
    master = spark.sparkContext.master
    given = spark.sparkContext.defaultParallelism if master.startswith("local") else settings.processor_cores
    if given < needed:
        raise SettingsError(
            f"the processor has {given} cores but needs {needed}: real-time trades use one for each of the "
            f"{partitions} partitions of {TICKS}, and candles need two more; set PROCESSOR_CORES={needed} or more"
        )
