"""Spark applications of the secure profile: Kafka with the settings' options, and HDFS with a login that executors share."""

from __future__ import annotations

import subprocess
from collections.abc import Callable

import pytest
from confluent_kafka import Producer

from orderflow.market import topics
from tests.security.conftest import ROOT, SecureStack, healthy

pytestmark = pytest.mark.spark

COPY = """
from orderflow import settings
from orderflow.market import topics
from orderflow.processing.queries import read_messages, sink_options
from pyspark.sql import SparkSession
from pyspark.sql import functions as F
import sys

config = settings.load()
stored = f"{config.namenode_url}/trading/checkpoints/rows"
spark = SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false").getOrCreate()
rows = spark.createDataFrame([("k", "a-tick-through-spark")], "key string, value string")
rows.withColumn("topic", F.lit(topics.TRADES)).write.format("kafka").options(**sink_options(config)).save()
query = (
    read_messages(spark, config, topics.TICKS)
    .writeStream.foreachBatch(lambda batch, _: batch.write.mode("append").parquet(stored))
    .option("checkpointLocation", f"{config.namenode_url}/trading/checkpoints/test")
    .trigger(availableNow=True)
    .start()
)
query.awaitTermination()
print("stored", spark.read.parquet(stored).count())
try:
    rows.withColumn("topic", F.lit(topics.TICKS)).write.format("kafka").options(**sink_options(config)).save()
except Exception as error:
    print("refused", "TopicAuthorizationException" in str(error))
spark.stop()
"""


EXECUTORS = """
from orderflow import settings
from orderflow.processing.spark_session import spark_session

config = settings.load()
spark = spark_session(config, "executors", 1)
stored = f"{config.namenode_url}/trading/ticks/date=2025-12-16"
spark.range(1000).repartition(2).write.mode("overwrite").parquet(stored)
print("master", spark.sparkContext.master.split(":")[0], "read", spark.read.parquet(stored).selectExpr("sum(id)").first()[0])
spark.stop()
"""
SESSION = """
import os
from pyspark.sql import SparkSession

spark = SparkSession.builder.getOrCreate()
ticks = f"hdfs://namenode:{os.environ['NAMENODE_PORT']}/trading/ticks"
print("read", spark.read.parquet(f"{ticks}/date=2025-12-16").count())
try:
    spark.range(1).write.parquet(f"{ticks}/date=2025-12-17")
except Exception as error:
    print("refused", "AccessControlException" in str(error))
"""


def run_spark(stack: SecureStack, service: str, program: str) -> subprocess.CompletedProcess[str]:
    """Run a program as the application's launcher would."""
    script = '. deploy/env.sh && spark_conf "$SERVICE" 480m 480m "$EXECUTOR_JAVA_OPTIONS" && exec "$PYTHON" -c "$1"'
    return subprocess.run(
        ["bash", "-c", script, "deploy/env.sh", program],
        cwd=ROOT,
        env={**stack.env, "SERVICE": service},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def test_executors_when_the_driver_has_a_keytab_then_they_read_and_write_with_its_tokens(
    secure_start: tuple[SecureStack, Callable[..., None]], secure_stack: SecureStack, secure_hdfs: SecureStack
) -> None:
    secure_start[1]("spark-master")
    secure_start[1]("spark-worker")
    healthy(secure_stack, "spark-worker", "spark-master")
    answer = run_spark(secure_stack, "tick-storage", EXECUTORS)
    assert "master spark read 499500" in answer.stdout, answer.stderr[-3000:]
    listed = secure_hdfs.run("bin/hdfs", "dfs", "-ls", "/trading/ticks/date=2025-12-16", service="plotter")
    assert {line.split()[2] for line in listed.stdout.splitlines()[1:]} == {"tick-storage"}, listed.stderr
    for session in (["bin/python3", "-"], ["bin/spark-submit", "-"]):
        env = {**secure_hdfs.env, "SERVICE": "processor"}
        answer = subprocess.run(
            session, cwd=ROOT, env=env, input=SESSION, capture_output=True, text=True, timeout=300, check=False
        )
        assert answer.stdout.splitlines()[-2:] == ["read 1000", "refused True"], answer.stderr[-3000:]


def test_processor_when_spark_runs_its_kafka_options_then_it_reads_writes_and_stores_what_it_may(
    secure_stack: SecureStack, secure_hdfs: SecureStack
) -> None:
    producer = Producer(secure_stack.settings("data-streamer").kafka.librdkafka())
    producer.produce(topics.TICKS, b"{}", b"key")
    assert producer.flush(30) == 0
    answer = run_spark(secure_stack, "processor", COPY)
    lines = [line for line in answer.stdout.splitlines() if line.startswith(("stored", "refused"))]
    assert len(lines) == 2, answer.stderr[-3000:]
    assert int(lines[0].removeprefix("stored ")) >= 1
    assert lines[1] == "refused True"
    passwords = [path.read_text() for path in secure_stack.security_dir.glob("*/kafka_password")]
    assert not any(password in answer.stderr for password in passwords)
