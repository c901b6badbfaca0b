"""The pure verdict on a tick and Spark's: both take the same messages, and neither takes one that the other refuses."""

from __future__ import annotations

import json
import os
from pathlib import Path

import msgspec
import pytest
import stored_messages
from pyspark.sql import SparkSession
from test_poison import SEED, flow_frame, poisoned

from orderflow.market import records, topics
from orderflow.market.tick import decode_tick
from orderflow.market.validation import tick_problem
from orderflow.processing.schemas import parse, tick_reason

pytestmark = pytest.mark.spark

ROWS = min(int(os.environ.get("POISON_ROWS", "5000")), 5_000)


def pure_problem(value: bytes | None, key: bytes | None, sent_ms: int) -> str | None:
    """Judge a message as the candle engine does."""
    if value is None:
        return "empty_message"
    try:
        tick = decode_tick(value)
    except msgspec.MsgspecError as error:
        return f"undecodable: {error}"
    return tick_problem(tick, None if key is None else key.decode(errors="replace"), sent_ms)


def test_verdicts_when_ticks_are_mutated_then_both_say_the_same_of_what_can_be_decoded(
    spark: SparkSession, tmp_path: Path
) -> None:
    rows = parse(poisoned(spark, tmp_path, ROWS, SEED + 2), records.TICK, tick_reason()).collect()
    assert len(rows) == ROWS
    differ = []
    taken = 0
    for row in rows:
        key = None if row["key"] is None else bytes(row["key"])
        value = None if row["value"] is None else bytes(row["value"])
        mine = pure_problem(value, key, round(row["timestamp"].timestamp() * 1000))
        taken += mine is None
        # Spark's reader turns numbers into text and ignores what follows an object; the engine refuses both.
        if (mine is None) != (row["reason"] is None) and not (mine or "").startswith("undecodable"):
            differ.append((mine, row["reason"], (value or b"")[:900]))
    assert taken > ROWS / 10
    assert differ == []


def test_stored_ticks_when_of_either_version_then_spark_takes_them(spark: SparkSession) -> None:
    stored = [stored_messages.TICK_1, stored_messages.TICK_2, stored_messages.HEARTBEAT_1, stored_messages.HEARTBEAT_2]
    rows = [(json.loads(value)["instrument_key"].encode(), value.encode()) for value in stored]
    parsed = parse(flow_frame(spark, topics.TICKS, rows), records.TICK, tick_reason()).orderBy("offset").collect()
    assert [row["reason"] for row in parsed] == [None] * 4
    assert [row["record"]["streamer"] for row in parsed] == [None, "alpha", None, "alpha"]
