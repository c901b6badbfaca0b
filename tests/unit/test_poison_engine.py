"""Mutated tick messages through the engine: nothing raises, and what is left of them adds up.

10,000 messages here; `make fuzz` sets POISON_ROWS to a million. POISON_SEED repeats a run.
"""

from __future__ import annotations

import json
import os
import random
from collections import Counter

import pytest
from poison import message
from ticks import OPEN

from orderflow.market import topics
from orderflow.market.candle import Candle
from orderflow.market.engine.messages import Message, fold
from orderflow.market.engine.partition import EngineSettings, PartitionEngine
from orderflow.market.times import ms_from_iso

ROWS = int(os.environ.get("POISON_ROWS", "10000"))
SEED = int(os.environ.get("POISON_SEED", "1"))
SIDES = ("buy_volume", "sell_volume", "unclassified_volume")


@pytest.fixture(scope="module")
def messages() -> list[tuple[bytes | None, bytes | None, int]]:
    rng = random.Random(SEED)
    return [message(rng, number) for number in range(ROWS)]


def folded(messages: list[tuple[bytes | None, bytes | None, int]], settings: EngineSettings) -> list[Message]:
    return list(fold(PartitionEngine(settings), messages))


@pytest.mark.parametrize(
    "settings",
    [
        EngineSettings(window_minutes=(1, 5, 75)),
        EngineSettings("lee_ready", exchange_bars=False),
        EngineSettings("emo", watermark_ms=None),
        EngineSettings("clnv", window_minutes=(2,)),
    ],
    ids=["windows", "no_bars", "batch", "clnv"],
)
def test_engine_when_messages_are_poisoned_then_it_goes_on_and_its_candles_add_up(messages, settings: EngineSettings) -> None:
    outputs = folded(messages, settings)
    for each in outputs:
        record = json.loads(each.value)
        if each.topic == topics.ORDERFLOW:
            assert sum(record[side] for side in SIDES) == record["total_volume"]
            assert record["delta"] == record["buy_volume"] - record["sell_volume"]
            assert record["min_delta"] <= min(record["delta"], 0) <= max(record["delta"], 0) <= record["max_delta"]
            assert record["low"] is None or record["low"] <= record["high"]
            assert Candle.from_record(record).to_record() == record
        if each.topic in (topics.ORDERFLOW, topics.FOOTPRINT):
            assert min(record[side] for side in SIDES) >= 0
            assert OPEN <= ms_from_iso(record["window_start"]) <= OPEN + 3_005_000 + 3 * 60_000
    if settings.watermark_ms is not None:
        assert Counter(each.topic for each in outputs)[topics.ORDERFLOW] > 20


def test_clocks_when_messages_are_poisoned_then_none_runs_into_the_future(messages) -> None:
    """One tick dated 2099 would end every open minute, and so would one heartbeat."""
    engine = PartitionEngine(EngineSettings())
    list(fold(engine, messages))
    assert max(engine.clocks.values()) <= OPEN + 3_005_000 + 3 * 60_000
    assert {known.minutes.date for known in engine.instruments.values()} <= {"2025-12-15", "2025-12-16"}
