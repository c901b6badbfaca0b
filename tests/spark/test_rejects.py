"""What a storage sends to the rejects topic is counted by reason, and settings in one line a batch."""

from __future__ import annotations

import base64
import json
import logging
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from prometheus_client import REGISTRY
from pyspark.sql import DataFrame, SparkSession
from ticks import trade_tick

from orderflow.lake.layout import TICKS
from orderflow.lake.packing import packs
from orderflow.market import topics
from orderflow.market.tick import tick_record
from orderflow.processing import storage_batches
from orderflow.processing.storage_batches import StorageBatches
from orderflow.settings import load

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


def messages(spark: SparkSession, *values: bytes | None) -> DataFrame:
    at = datetime(2025, 12, 15, 4, 0, tzinfo=UTC)
    rows = [(b"NSE_EQ|INE467B01029", value, topics.TICKS, 0, number, at) for number, value in enumerate(values)]
    return spark.createDataFrame(rows, KAFKA)


def counted(reason: str) -> float:
    return REGISTRY.get_sample_value("orderflow_rejects_total", {"source_topic": topics.TICKS, "reason": reason}) or 0.0


def valid(sequence: int, **more: Any) -> bytes:
    return json.dumps(tick_record(replace(trade_tick(60, 100.0, 5, 1_000, since=50, sequence=sequence), **more))).encode()


def offsets(packs: list[Any]) -> list[int]:
    return sorted(offset for pack in packs for offset in pack.table().column("_offset").to_pylist())


def test_batch_when_some_messages_are_invalid_then_stores_the_others_and_rejects_them_by_reason_in_one_line(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    sink, stored = Sink(), []
    monkeypatch.setattr(storage_batches, "message", sink.of)
    settings = load({}, tmp_path / "none")
    batches = StorageBatches(settings, TICKS, lambda packs, _: stored.extend(packs), partial(packs, TICKS), 1, "0a1b2c3d")
    before = counted("bad_json")
    with caplog.at_level(logging.WARNING, storage_batches.__name__):
        batches(messages(spark, valid(1), valid(2), valid(0, kind="heartbeat", instrument_key="*"), valid(3)), 0)
        assert (sink.rows, caplog.messages) == ([], [])
        assert [(pack.date, pack.rows, pack.covered) for pack in stored] == [("2025-12-15", 3, {0: ((0, 3),)})]
        stored.clear()
        spaced = b"\n " + valid(5)
        batches(messages(spark, valid(4), b"{", None, spaced, b"junk", b"{}", valid(6, vtt=-1), valid(7)), 1)
    (line,) = caplog.messages
    assert line.startswith("5 messages of upstox_ticks rejected: 2 bad_json, ")
    assert sorted(line.split(": ")[1].split(", ")[1:]) == ["1 absurd_volume", "1 empty_message", "1 missing_schema_version"]
    assert sorted((row["source"], row["reason"], row["topic_id"]) for row in sink.rows) == [
        ("upstox_ticks[0]@1", "bad_json", "0a1b2c3d"),
        ("upstox_ticks[0]@2", "empty_message", "0a1b2c3d"),
        ("upstox_ticks[0]@4", "bad_json", "0a1b2c3d"),
        ("upstox_ticks[0]@5", "missing_schema_version", "0a1b2c3d"),
        ("upstox_ticks[0]@6", "absurd_volume", "0a1b2c3d"),
    ]
    assert {base64.b64decode(row["key"]) for row in sink.rows} == {b"NSE_EQ|INE467B01029"}
    assert (counted("bad_json") - before, counted("missing_schema_version")) == (2, 1)
    assert offsets(stored) == [0, 3, 7]
    assert sorted(run for pack in stored for run in pack.covered[0]) == [(0, 0), (3, 3), (7, 7)]
