"""Settings for Spark at unusual values, read back from a session that is started as the launchers start it."""

from __future__ import annotations

import json
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F
from ticks import trade_tick

from orderflow.lake.layout import TICKS
from orderflow.lake.packing import packs
from orderflow.market.tick import encode_tick
from orderflow.processing.storage_batches import StorageBatches
from orderflow.settings import load

pytestmark = pytest.mark.spark

ROOT = Path(__file__).resolve().parents[2]
LAUNCH = '. deploy/env.sh; spark_conf tick-storage "$DRIVER_MEMORY" "$EXECUTOR_MEMORY" ""; exec "$PYTHON" -c "$0"'
READ_BACK = """
import json
import sys
from orderflow.processing.spark_session import spark_session
from orderflow.settings import load

settings = load()
spark = spark_session(settings, "read-back", settings.tick_storage_cores)
print(json.dumps({
    "cores": spark.conf.get("spark.cores.max"),
    "parallelism": spark.sparkContext.defaultParallelism,
    "shuffle partitions": len(spark.range(9).repartition("id")._jdf.rdd().partitions()),
    "replication": spark.sparkContext._jsc.hadoopConfiguration().get("dfs.replication"),
    "memory": spark.conf.get("spark.executor.memory"),
    "imported before the workers": spark.sparkContext.parallelize([0], 1).map(
        lambda _: "orderflow.processing.storage" in sys.modules and "pandas" in sys.modules
    ).first(),
}))
"""
UNUSUAL = {
    "TICK_STORAGE_CORES": "3",
    "SPARK_DEFAULT_PARALLELISM": "5",
    "SPARK_SQL_SHUFFLE_PARTITIONS": "7",
    "HDFS_REPLICATION": "4",
    "EXECUTOR_MEMORY": "499m",
}


def test_application_when_launched_with_unusual_settings_then_its_session_has_them(tmp_path: Path) -> None:
    extra = tmp_path / "extra.conf"
    extra.write_text("spark.sql.adaptive.enabled false\nspark.driver.host 127.0.0.1\n")
    env = {"PATH": "/usr/bin:/bin", "PYTHON": sys.executable, "ENV_FILE": "/dev/null", "DATA_DIR": str(tmp_path)}
    env |= {"SPARK_MASTER_URL": "local[2]", "SPARK_EXTRA_CONF": str(extra), **UNUSUAL}
    ended = subprocess.run(
        ["bash", "-c", LAUNCH, READ_BACK], cwd=ROOT, env=env, capture_output=True, text=True, timeout=300, check=False
    )
    assert ended.returncode == 0, ended.stderr[-3000:]
    assert json.loads(ended.stdout.splitlines()[-1]) == {
        "cores": "3",
        "parallelism": 5,
        "shuffle partitions": 7,
        "replication": "4",
        "memory": "499m",
        "imported before the workers": True,
    }


@pytest.mark.parametrize("cores", [1, 3])
def test_storage_when_given_cores_then_a_batch_is_packed_in_as_many_tasks(spark: SparkSession, cores: int) -> None:
    packed: list[Any] = []
    batches = StorageBatches(load({}), TICKS, lambda batch, _: packed.extend(batch), partial(packs, TICKS), cores, "0a1b2c3d")
    ticks = [trade_tick(second, 100.0, 1, second, since=second - 1) for second in range(1, 9)]
    rows = [(tick.instrument_key, encode_tick(tick).decode(), offset, tick.received_time_ms) for offset, tick in enumerate(ticks)]
    frame = spark.createDataFrame(rows, "key string, value string, offset long, at long").repartition(4)
    batches(
        frame.select(
            F.encode("key", "UTF-8").alias("key"), F.encode("value", "UTF-8").alias("value"), F.lit(TICKS.topic).alias("topic"),
            F.lit(0).alias("partition"), "offset", F.timestamp_millis("at").alias("timestamp"),
        ),
        0,
    )  # fmt: skip
    assert len(packed) == cores
    assert sum(pack.rows for pack in packed) == len(ticks)
