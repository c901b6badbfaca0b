"""What a storage sends to the rejects topic is counted by reason, and told in one line a batch."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import REGISTRY
from pyspark.sql import DataFrame, SparkSession

from orderflow import settings
from orderflow.market import records, topics
from orderflow.processing import queries, schemas

pytestmark = pytest.mark.spark

KAFKA = "key binary, value binary, topic string, partition int, offset long, timestamp timestamp"


class Sink:
    """Stands in for the frame that is written to Kafka: keeps its rows."""

    def __init__(self) -> None:
        self.rows: list[Any] = []
        self.write = self

    def of(self, rows: DataFrame, *_: Any) -> Sink:
        self.rows += rows.collect()
        return self

    def format(self, name: str) -> Sink:
        return self

    def options(self, **_: str) -> Sink:
        return self

    def save(self) -> None:
        return


def invalid(spark: SparkSession, *values: bytes | None) -> DataFrame:
    at = datetime(2025, 12, 15, 4, 0, tzinfo=UTC)
    rows = [(b"k", value, topics.TICKS, 0, number, at) for number, value in enumerate(values)]
    return schemas.parse(spark.createDataFrame(rows, KAFKA), records.TICK, schemas.tick_reason()).where("reason is not null")


def counted(reason: str) -> float:
    return REGISTRY.get_sample_value("orderflow_rejects_total", {"source_topic": topics.TICKS, "reason": reason}) or 0.0


def test_rejects_when_a_batch_has_some_then_sent_counted_by_reason_and_told_in_one_line(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    sink = Sink()
    monkeypatch.setattr(queries, "_message", sink.of)
    told = settings.load({}, tmp_path / "none")
    before = counted("bad_json")
    with caplog.at_level(logging.WARNING, queries.__name__):
        queries._reject(invalid(spark), topics.TICKS, told)
        assert (sink.rows, caplog.messages) == ([], [])
        queries._reject(invalid(spark, b"{", None, b"junk", b"{}"), topics.TICKS, told)
    assert caplog.messages == ["4 messages of upstox_ticks rejected: 2 bad_json, 1 empty_message, 1 missing_schema_version"]
    assert sorted((row["source"], row["reason"]) for row in sink.rows) == [
        ("upstox_ticks[0]@0", "bad_json"),
        ("upstox_ticks[0]@1", "empty_message"),
        ("upstox_ticks[0]@2", "bad_json"),
        ("upstox_ticks[0]@3", "missing_schema_version"),
    ]
    assert (counted("bad_json") - before, counted("missing_schema_version")) == (2, 1)
