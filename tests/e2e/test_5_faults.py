"""Poison on every topic, then processes killed, on the stack that the earlier tests left running; at the end nothing is missing.

`make chaos` injects every kind of fault, many times; this is its short form. By itself it starts the stack on the market model.
"""

from __future__ import annotations

import json
import random
import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from chaos.campaign import judge
from chaos.faults import FAULTS
from chaos.rig import Rig, until
from confluent_kafka import Producer
from conftest import LocalStack  # type: ignore[import-not-found]

from orderflow.market import topics

pytestmark = pytest.mark.e2e

KEY = "NSE_EQ|INE467B01029"
POISON = "NSE_EQ|POISON"
KILLED = (
    "kill -9 data-streamer",
    "kill -9 processor with its JVM",
    "kill -9 an executor",
    "kill -9 kafka",
    "kill -9 namenode",
    "kill -9 datanode1",
)
RECOVERY_SECONDS = 240.0
BROKEN_STATE = b'{"owner": "x", "status": 7}'
JUNK: tuple[bytes | None, ...] = (
    None,
    b"",
    b"{",
    b"null",
    b"[]",
    b'"text"',
    b"\xff\xfe\x00",
    b'{"schema_version": 1}',
    b"x" * 900_000,
)


def sound_tick(now_ms: int) -> dict[str, Any]:
    """A tick that would be valid, of an instrument that does not exist."""
    return {
        "schema_version": 1,
        "instrument_key": POISON,
        "kind": "update",
        "sequence": 1,
        "feed_time_ms": now_ms,
        "received_time_ms": now_ms,
        "event_time_ms": now_ms,
        "trading_date": datetime.fromtimestamp(now_ms / 1000 + 19_800, UTC).date().isoformat(),
    }


def mutants(now_ms: int) -> dict[str, dict[str, Any]]:
    """Return poisoned ticks by the reason for which each must be rejected."""
    tick = sound_tick(now_ms)
    return {
        "unknown_schema_version": {**tick, "schema_version": 99},
        "unknown_kind": {**tick, "kind": "surprise"},
        "event_time_in_future": {**tick, "event_time_ms": now_ms + 86_400_000},
        "receive_time_in_future": {**tick, "event_time_ms": now_ms + 86_400_000, "received_time_ms": now_ms + 86_400_000},
        "absurd_time": {**tick, "received_time_ms": 2**63 - 1, "event_time_ms": 2**63 - 1},
        "absurd_volume": {**tick, "vtt": 2**63 - 1, "traded_volume": 2**63 - 1},
        "absurd_price": {**tick, "ltp": -1.0},
        "volume_without_vtt": {**tick, "traded_volume": 5},
        "bar_in_future": {**tick, "bar": {"start_ms": 4_102_444_800_000 - 60_000}},
        "bad_json": {**tick, "sequence": "seven", "bid": {"price": []}},
        "missing_kind": {**tick, "kind": None},
        "bad_trading_date": {**tick, "trading_date": "../../etc"},
    }


@pytest.fixture(scope="module")
def rig(local_stack: LocalStack) -> Rig:
    """The running stack, in working order."""
    local_stack.run("demo", FEED_RECORDING="")
    rig = Rig(local_stack.env)
    rig.settle(420)
    return rig


@pytest.fixture(scope="module")
def began_ms(rig: Rig) -> int:
    return (int(time.time()) // 60 + 1) * 60_000


def rejects(rig: Rig) -> Counter[str]:
    """Count the rejects by source, as Kafka holds them."""
    counts: Counter[str] = Counter()
    for _, value, _ in rig.topic(topics.REJECTS):
        if value and value.startswith(b'{"reason"'):
            record = json.loads(value)
            counts[record["source"]] += 1
    return counts


def test_poison_when_on_every_topic_then_it_is_rejected_and_the_stream_goes_on(rig: Rig, began_ms: int) -> None:
    before, began = rig.progress(), int(time.time() * 1000)
    placed: dict[str, list[str]] = {}
    producer = Producer({"bootstrap.servers": rig.stack.env["KAFKA_BROKERS"], "message.max.bytes": 16 << 20})

    def arrived(topic: str) -> Callable[[Any, Any], None]:
        def note(error: Any, message: Any) -> None:
            if error is None:
                placed.setdefault(topic, []).append(f"{topic}[{message.partition()}]@{message.offset()}")

        return note

    for topic in topics.ALL:
        for junk in JUNK:
            for key in (None, KEY.encode()):
                if topic not in (topics.INSTRUMENT_STATE, topics.CANDLE_STATE) or key is not None:
                    producer.produce(topic, junk, key, on_delivery=arrived(topic))
    for record in mutants(began).values():
        producer.produce(topics.TICKS, json.dumps(record), record["instrument_key"], on_delivery=arrived(topics.TICKS))
    # The first is not published again before the streamer is killed: its next start meets it.
    producer.produce(topics.INSTRUMENT_STATE, BROKEN_STATE, b"segment|NSE_EQ")
    producer.produce(topics.INSTRUMENT_STATE, b'{"owner": "x", "state": {"instrument_key": 7}}', KEY.encode())
    for key in (b"NSE_EQ|another", b"*"):
        producer.produce(topics.TICKS, json.dumps(sound_tick(began)), key, on_delivery=arrived(topics.TICKS))
    huge: list[str] = []
    producer.produce(topics.TICKS, b"x" * (10 << 20), b"huge", on_delivery=lambda error, _: huge.append(str(error)))
    producer.flush(60)
    assert len(placed) == len(topics.ALL)
    assert "MSG_SIZE_TOO_LARGE" in huge[0]
    poisoned = set(placed[topics.TICKS])
    assert len(poisoned) == 2 * len(JUNK) + len(mutants(began)) + 2

    def all_rejected() -> str:
        missing = (poisoned | set(placed[topics.ORDERFLOW])) - set(rejects(rig))
        return f"{len(missing)} are not rejected: {sorted(missing)[:5]}" if missing else ""

    until("every poisoned tick and candle is rejected", all_rejected, 120, every=3)
    until("the stream goes on", lambda: rig.complaint() or rig.standstill(before, began + 1_000), 120, every=2)
    dashboard = rig.get("DASHBOARD_PORT", "/healthz")
    assert sum(dashboard["rejected"].values()) > 0


def test_faults_when_processes_are_killed_then_all_works_again_and_nothing_is_lost(rig: Rig, began_ms: int) -> None:
    rng = random.Random(began_ms)
    for name in KILLED:
        before = rig.progress()
        FAULTS[name](rig, rng)
        took = rig.recovered(before, RECOVERY_SECONDS)
        print(f"{name}: everything works again after {took:.0f} s")
    end_ms = max(int(time.time()) // 60 * 60_000, began_ms + 3 * 60_000)
    date = (datetime.now(UTC) + timedelta(hours=5, minutes=30)).date().isoformat()
    last = (datetime.fromtimestamp(end_ms / 1000 - 60, UTC) + timedelta(hours=5, minutes=30)).strftime("%Y-%m-%dT%H:%M")

    def stored() -> str:
        newest = max((row["window_start"] for row in rig.stored("candles", date, ["window_start"])), default="")
        return "" if newest[:16] >= last else f"the newest stored candle is of {newest or 'no minute'}, {last} is awaited"

    until("the minute before is stored", stored, 420, every=5)
    verdict = judge(rig, date, began_ms, end_ms, sums=False, poison=POISON, footprint=False)
    print(verdict)
    assert verdict.sound, str(verdict)
    assert verdict.candles_checked > 0


def test_state_when_broken_under_a_streamers_key_then_its_next_start_rejected_it(rig: Rig) -> None:
    placed = [source for _, value, source in rig.topic(topics.INSTRUMENT_STATE) if value == BROKEN_STATE]
    assert len(placed) == 1
    assert placed[0] in rejects(rig)
