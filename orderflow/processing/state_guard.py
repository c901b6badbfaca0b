"""Decides what happens when checkpoints of the candle queries meet new code: compatible, or refused with the command to run.

Settings may change freely: each window length above one minute has a checkpoint of its own, the rule and the watermark apply
from the next batch on, and Spark keeps the number of state partitions it began with.
"""

from __future__ import annotations

import json
from typing import Any, Final

from pyspark.sql import SparkSession

from orderflow.market.errors import SettingsError
from orderflow.processing.queries import checkpoint
from orderflow.settings import Settings

STATE_VERSION: Final = 1
"""Raised whenever the shape or meaning of the candle queries' state changes."""


def require_compatible_state(spark: SparkSession, settings: Settings) -> None:
    """Write the state's version beside new checkpoints; raise SettingsError when old ones have another."""
    jvm: Any = spark.sparkContext._jvm
    path = jvm.org.apache.hadoop.fs.Path(checkpoint(settings, "orderflow-version.json"))
    file_system = path.getFileSystem(spark.sparkContext._jsc.hadoopConfiguration())
    if not file_system.exists(path):
        out = file_system.create(path, True)
        out.write(json.dumps({"state_version": STATE_VERSION}).encode())
        out.close()
        return
    stream = file_system.open(path)
    found = json.loads(bytes(stream.readAllBytes())).get("state_version")
    stream.close()
    if found != STATE_VERSION:
        raise SettingsError(
            f"the candle checkpoints hold state of version {found}, this code has {STATE_VERSION}; go back to the old code, or "
            "start the candles afresh from what Kafka still holds: hdfs dfs -rm -r '/trading/checkpoints/orderflow*' "
            "(stored candles are kept, and repeats are dropped by key)"
        )
