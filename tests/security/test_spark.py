"""Spark reads and writes the secure profile's Kafka with the settings' options, and stores in the encrypted directory."""

from __future__ import annotations

import subprocess

import pytest
from confluent_kafka import Producer

from orderflow.market import topics
from tests.security.conftest import ROOT, SecureStack

pytestmark = pytest.mark.spark

COPY = """
from orderflow import settings
from orderflow.market import topics
from orderflow.processing.queries import read_messages, sink_options
from pyspark.sql import SparkSession
from pyspark.sql import functions as F
import sys

config = settings.load()
spark = SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false").getOrCreate()
rows = spark.createDataFrame([("k", "a-tick-through-spark")], "key string, value string")
rows.withColumn("topic", F.lit(topics.TRADES)).write.format("kafka").options(**sink_options(config)).save()
query = (
    read_messages(spark, config, topics.TICKS)
    .writeStream.foreachBatch(lambda batch, _: batch.write.mode("append").parquet(f"{config.namenode_url}/trading/spark"))
    .option("checkpointLocation", f"{config.namenode_url}/trading/checkpoints/test")
    .trigger(availableNow=True)
    .start()
)
query.awaitTermination()
print("stored", spark.read.parquet(f"{config.namenode_url}/trading/spark").count())
try:
    rows.withColumn("topic", F.lit(topics.TICKS)).write.format("kafka").options(**sink_options(config)).save()
except Exception as error:
    print("refused", "TopicAuthorizationException" in str(error))
spark.stop()
"""


def test_processor_when_spark_runs_its_kafka_options_then_it_reads_writes_and_stores_what_it_may(
    secure_stack: SecureStack,
) -> None:
    producer = Producer(secure_stack.settings("data-streamer").kafka.librdkafka())
    producer.produce(topics.TICKS, b"{}", b"key")
    assert producer.flush(30) == 0
    script = '. deploy/env.sh && spark_conf processor 1 1g 1g "$EXECUTOR_JAVA_OPTIONS" && exec "$PYTHON" -c "$1"'
    answer = subprocess.run(
        ["bash", "-c", script, "deploy/env.sh", COPY],
        cwd=ROOT,
        env={**secure_stack.env, "SERVICE": "processor"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    lines = [line for line in answer.stdout.splitlines() if line.startswith(("stored", "refused"))]
    assert len(lines) == 2, answer.stderr[-3000:]
    assert int(lines[0].removeprefix("stored ")) >= 1
    assert lines[1] == "refused True"
    passwords = [path.read_text() for path in secure_stack.security_dir.glob("*/kafka_password")]
    assert not any(password in answer.stderr for password in passwords)
