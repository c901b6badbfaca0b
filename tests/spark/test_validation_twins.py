"""The pure verdict on the values of a tick, and Spark's, are the same."""

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


def test_verdicts_when_ticks_are_mutated_then_both_say_the_same_of_each_that_decodes(spark: SparkSession, tmp_path: Path) -> None:
    """Spark's reader is laxer than the struct: it turns a number into a text, and leaves out what a level lacks.

    Such messages are stored, and the engine passes them over; no real streamer writes them. Their share is bounded here.
    """
    rows = parse(poisoned(spark, tmp_path, ROWS, SEED + 2), records.TICK, tick_reason()).collect()
    assert len(rows) == ROWS
    differ, taken, laxer = [], 0, 0
    for row in rows:
        key, value = (None if row[name] is None else bytes(row[name]) for name in ("key", "value"))
        try:
            tick = decode_tick(value or b"")
        except msgspec.MsgspecError:
            laxer += row["reason"] is None
            continue
        sent_ms = round(row["timestamp"].timestamp() * 1000)
        mine = tick_problem(tick, None if key is None else key.decode(errors="replace"), sent_ms)
        taken += mine is None
        if (mine is None) != (row["reason"] is None):
            differ.append((mine, row["reason"], value))
    assert differ == []
    assert taken > ROWS / 10
    assert laxer < ROWS / 40


def test_stored_ticks_when_of_either_version_then_spark_takes_them(spark: SparkSession) -> None:
    found = [stored_messages.TICK_1, stored_messages.TICK_2, stored_messages.HEARTBEAT_1, stored_messages.HEARTBEAT_2]
    rows = [(json.loads(value)["instrument_key"].encode(), value.encode()) for value in found]
    parsed = parse(flow_frame(spark, topics.TICKS, rows), records.TICK, tick_reason()).orderBy("offset").collect()
    assert [row["reason"] for row in parsed] == [None] * 4
    assert [row["record"]["streamer"] for row in parsed] == [None, "alpha", None, "alpha"]
