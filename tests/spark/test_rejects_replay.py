"""Rejected messages that are valid by now are stored at the offsets that storage left open, once."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from pathlib import Path

import pytest
from lake_rows import stored
from pyspark.sql import SparkSession
from ticks import trade_tick

from orderflow.broker.rejects import Rejected, rejected
from orderflow.lake.layout import TICKS
from orderflow.market.tick import tick_record
from orderflow.rejects import replay_table

pytestmark = pytest.mark.spark

KEY = "NSE_EQ|INE467B01029"
IDENTITY = "0a1b2c3d"


def reject(offset: int, sequence: int, **more: object) -> Rejected:
    tick = tick_record(trade_tick(60, 100.0, 5, 1_000, since=50, sequence=sequence)) | more
    record = {
        "reason": "unknown_kind",
        "source": f"upstox_ticks[1]@{offset}",
        "received_time_ms": tick["received_time_ms"],
        "payload": base64.b64encode(json.dumps(tick).encode()).decode(),
        "key": base64.b64encode(KEY.encode()).decode(),
        "topic_id": IDENTITY,
    }
    return rejected(record)


def test_replay_when_some_rejects_are_valid_now_then_each_is_stored_once_at_its_offset(
    spark: SparkSession, tmp_path: Path
) -> None:
    rejects = [
        reject(7, 1),
        reject(9, 2),
        reject(11, 3, kind="gossip"),
        replace(reject(12, 4), topic_id="ffffffff"),
        replace(reject(13, 5), whole=False),
        replace(reject(14, 6), key=b"NSE_EQ|other"),
    ]

    first = replay_table(spark, f"file://{tmp_path}", TICKS, IDENTITY, rejects)
    replay_table(spark, f"file://{tmp_path}", TICKS, IDENTITY, rejects)

    assert first == (2, ["2025-12-15"])
    assert stored(tmp_path) == [(KEY, 1), (KEY, 2)]
    (name,) = [path.name for path in (tmp_path / TICKS.day("2025-12-15")[1:]).glob("*.json")]
    covered = json.loads((tmp_path / TICKS.day("2025-12-15")[1:] / name).read_text())
    assert covered == {"covered": {"upstox_ticks-0a1b2c3d-p1": [[7, 7], [9, 9]]}}


def test_rejected_when_it_came_from_the_feed_then_it_has_no_place() -> None:
    record = {"reason": "undecodable", "source": "feed", "received_time_ms": 1, "payload": "eA==", "key": None, "topic_id": None}
    assert rejected(record) == Rejected("undecodable", "", -1, -1, "", 1, None, b"x", True)
