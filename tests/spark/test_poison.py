"""Mutated messages through the parse and the transforms behind it: nothing raises, and each is valid or has a reason.

100,000 messages here; `make fuzz` sets POISON_ROWS to a million. POISON_SEED repeats a run.
"""

from __future__ import annotations

import json
import os
import random
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from poison import message, mutate, sound
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from replayed import replay
from ticks import OPEN

from orderflow.market import records, topics
from orderflow.market.engine.messages import fold
from orderflow.market.engine.partition import EngineSettings, PartitionEngine
from orderflow.market.tick import tick_record
from orderflow.processing.schemas import candle_reason, footprint_reason, parse, reject_rows, tick_reason, valid_ticks
from orderflow.processing.trades import trades

pytestmark = pytest.mark.spark

ROWS = int(os.environ.get("POISON_ROWS", "100000"))
SEED = int(os.environ.get("POISON_SEED", "1"))
CHUNK = 50_000
SCHEMA = pa.schema(
    [
        ("key", pa.binary()),
        ("value", pa.binary()),
        ("topic", pa.string()),
        ("partition", pa.int32()),
        ("offset", pa.int64()),
        ("timestamp", pa.timestamp("us", tz="UTC")),
    ]
)


def poisoned(spark: SparkSession, directory: Path, rows: int, seed: int) -> DataFrame:
    """Write `rows` messages as files, with the columns of Spark's Kafka source, and return them as a frame."""
    rng = random.Random(seed)
    for first in range(0, rows, CHUNK):
        numbers = range(first, min(rows, first + CHUNK))
        keys, values, times = zip(*(message(rng, number) for number in numbers), strict=True)
        table = pa.table(
            {
                "key": pa.array(keys, pa.binary()),
                "value": pa.array(values, pa.binary()),
                "topic": ["upstox_ticks"] * len(numbers),
                "partition": pa.array([0] * len(numbers), pa.int32()),
                "offset": list(numbers),
                "timestamp": pa.array([at * 1_000 for at in times], pa.timestamp("us", tz="UTC")),
            },
            schema=SCHEMA,
        )
        pq.write_table(table, directory / f"{first:09d}.parquet")
    return spark.read.parquet(str(directory))


@pytest.fixture(scope="module")
def messages(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> DataFrame:
    assert spark.conf.get("spark.sql.ansi.enabled") == "true"
    return poisoned(spark, tmp_path_factory.mktemp("poison"), ROWS, SEED)


@pytest.fixture(scope="module")
def ticks(messages: DataFrame) -> DataFrame:
    """What is left of the messages once the invalid ones are rejected."""
    return valid_ticks(messages).persist()


def run(frame: DataFrame) -> None:
    """Compute every column of every row, as a sink would."""
    frame.write.format("noop").mode("overwrite").save()


def test_parse_when_messages_are_poisoned_then_each_is_valid_or_has_a_reason(messages: DataFrame, ticks: DataFrame) -> None:
    rejected = reject_rows(parse(messages, records.TICK, tick_reason()), "0a1b2c3d")
    counts = {row["reason"]: row["count"] for row in rejected.groupBy("reason").agg(F.count("payload").alias("count")).collect()}
    valid = ticks.count()
    print(f"{ROWS} messages, seed {SEED}: {valid} valid;", dict(sorted(counts.items())))
    assert sum(counts.values()) + valid == ROWS
    assert valid > ROWS / 10
    assert len(counts) > 20


def test_trades_when_fed_straight_from_the_parse_then_none_raises(messages: DataFrame, ticks: DataFrame) -> None:
    run(trades(valid_ticks(messages), "split"))
    for rule in ("lee_ready", "emo", "clnv"):
        run(trades(ticks, rule))


def test_dates_when_ticks_are_poisoned_then_none_but_the_true_one_is_left(ticks: DataFrame) -> None:
    assert [row[0] for row in ticks.select("trading_date").distinct().collect()] == ["2025-12-15"]


def as_messages(spark: SparkSession, directory: Path, records: list[dict[str, Any]]) -> DataFrame:
    """Return tick records as messages, each sent when it was received."""
    table = pa.table(
        {
            "key": [str(tick["instrument_key"]).encode() for tick in records],
            "value": [json.dumps(tick).encode() for tick in records],
            "topic": ["upstox_ticks"] * len(records),
            "partition": pa.array([0] * len(records), pa.int32()),
            "offset": list(range(len(records))),
            "timestamp": pa.array([tick["received_time_ms"] * 1_000 for tick in records], pa.timestamp("us", tz="UTC")),
        },
        schema=SCHEMA,
    )
    pq.write_table(table, directory / "sound.parquet")
    return spark.read.parquet(str(directory))


def test_sound_ticks_when_not_mutated_then_all_are_valid(spark: SparkSession, tmp_path: Path) -> None:
    rng = random.Random(SEED)
    messages = as_messages(spark, tmp_path, [sound(rng, number) for number in range(500)])
    parsed = parse(messages, records.TICK, tick_reason())
    assert parsed.where("reason is not null").select("reason").distinct().collect() == []
    assert {row[0] for row in parsed.select("record.instrument_key").distinct().collect()} == {"NSE_EQ|INE000000", "*"}


@pytest.mark.parametrize("name", ["2025-12-15_open_3eq", "2025-12-15_close_2fo"])
def test_recorded_ticks_when_judged_then_none_is_rejected(spark: SparkSession, shared: Path, tmp_path: Path, name: str) -> None:
    recorded = [tick_record(tick) for tick, _ in replay(shared / "data" / "upstox" / f"{name}.jsonl.gz")]
    parsed = parse(as_messages(spark, tmp_path, recorded), records.TICK, tick_reason())
    assert [row.asDict() for row in parsed.where("reason is not null").groupBy("reason").count().collect()] == []


FIELDS = {topics.ORDERFLOW: records.CANDLE, topics.FOOTPRINT: records.FOOTPRINT}
SENT_MS = OPEN + 7 * 3_600_000
CANDLE: dict[str, Any] = {
    "window_start": "2025-12-15T09:15:00+05:30", "window_end": "2025-12-15T09:16:00+05:30", "instrument": "NSE_EQ|INE467B01029",
    "open": 100.0, "high": 100.2, "low": 99.9, "close": 100.1, "buy_volume": 50, "sell_volume": 30, "unclassified_volume": 5,
    "total_volume": 85, "delta": 20, "tbq": 1_000, "tsq": 2_000, "window_minutes": 1, "tick_volume": 85, "vwap": 100.05,
    "tick_count": 3, "min_delta": -5, "max_delta": 25, "imbalance": 0.25, "delta_band": 12.0, "confidence": "low",
    "exchange_bar": False, "gap": False, "tick_open": 100.0, "tick_high": 100.2, "tick_low": 99.9, "tick_close": 100.1,
    "tick_buy_volume": 50, "tick_sell_volume": 30, "source": "stream",
}  # fmt: skip
LEVEL: dict[str, Any] = {name: CANDLE[name] for name in ("window_start", "window_end", "instrument")} | {
    "price": 10_000, "buy_volume": 50, "sell_volume": 30, "unclassified_volume": 0, "price_unit": 100,
}  # fmt: skip


def flow_frame(spark: SparkSession, topic: str, pairs: list[tuple[bytes | None, bytes | None]]) -> DataFrame:
    """Return (key, value) pairs as messages of `topic`, sent after the close."""
    schema = "key BINARY, value BINARY, topic STRING, `partition` INT, offset BIGINT, timestamp TIMESTAMP"
    sent = datetime.fromtimestamp(SENT_MS / 1000, UTC)
    return spark.createDataFrame([(key, value, topic, 0, number, sent) for number, (key, value) in enumerate(pairs)], schema)


def judged(spark: SparkSession, topic: str, pairs: list[tuple[bytes | None, bytes | None]]) -> DataFrame:
    reason = candle_reason() if topic == topics.ORDERFLOW else footprint_reason()
    return parse(flow_frame(spark, topic, pairs), FIELDS[topic], reason)


def sound_flow(ticks: list[dict[str, Any]]) -> dict[str, list[tuple[bytes, bytes]]]:
    """What the candle query publishes for `ticks`, by topic; five-minute and 75-minute candles as well."""
    pairs: dict[str, list[tuple[bytes, bytes]]] = {topic: [] for topic in (*FIELDS, topics.FEED_EVENTS)}
    engine = PartitionEngine(EngineSettings(window_minutes=(1, 5, 75)))
    rows = [(str(tick["instrument_key"]).encode(), json.dumps(tick).encode(), tick["received_time_ms"]) for tick in ticks]
    for topic, key, value in fold(engine, rows):
        pairs[topic].append((key.encode(), value))
    return {topic: pairs[topic] for topic in FIELDS}


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({}, None),
        ({"key": "NSE_EQ|other"}, "wrong_key"),
        ({"window_start": "2099-01-01T09:15:00+05:30", "window_end": "2099-01-01T09:16:00+05:30"}, "window_in_future"),
        ({"window_start": "1970-01-01T09:15:00+05:30", "window_end": "1970-01-01T09:16:00+05:30"}, "window_absurd"),
        ({"window_start": "2024-12-16T09:15:00+05:30", "window_end": "2024-12-16T09:16:00+05:30"}, None),
        ({"window_start": "2025-02-30T09:15:00+05:30"}, "bad_window"),
        ({"window_start": "../../etc"}, "bad_window"),
        ({"window_start": "2025-12-15T09:15:30+05:30"}, "bad_window"),
        ({"window_end": "2025-12-15T09:15:00+05:30"}, "bad_window"),
        ({"window_end": "2025-12-15T09:18:00+05:30"}, "bad_window"),
        ({"buy_volume": -10}, "absurd_volume"),
        ({"unclassified_volume": 2**63 - 1}, "absurd_volume"),
    ],
)
def test_flow_when_a_message_is_absurd_then_it_has_its_reason(spark: SparkSession, changes, reason) -> None:
    for topic, whole in ((topics.ORDERFLOW, CANDLE), (topics.FOOTPRINT, LEVEL)):
        record = whole | changes
        key = str(record.pop("key", record["instrument"])).encode()
        assert [row.reason for row in judged(spark, topic, [(key, json.dumps(record).encode())]).collect()] == [reason]


def test_flow_when_a_candles_numbers_are_absurd_then_each_has_its_reason(spark: SparkSession) -> None:
    cases: list[tuple[dict[str, Any], str]] = [
        ({"high": 1e300}, "absurd_price"),
        ({"vwap": -5.0}, "absurd_price"),
        ({"close": "NaN"}, "absurd_price"),
        ({"low": 100.05}, "prices_out_of_order"),
        ({"open": None}, "price_missing"),
        ({"tick_high": 99.0}, "prices_out_of_order"),
        ({"total_volume": 86}, "parts_do_not_add_up"),
        ({"delta": 21}, "delta_does_not_fit"),
        ({"min_delta": 1}, "delta_does_not_fit"),
        ({"max_delta": 19}, "delta_does_not_fit"),
        ({"tbq": -1}, "absurd_volume"),
        ({"imbalance": 1.5}, "absurd_number"),
        ({"delta_band": -1.0}, "absurd_number"),
        ({"window_minutes": 7}, "unknown_window_minutes"),
        ({"source": "backfill"}, "unknown_source"),
    ]
    pairs = [(CANDLE["instrument"].encode(), json.dumps(CANDLE | changes).encode()) for changes, _ in cases]
    assert [row.reason for row in judged(spark, topics.ORDERFLOW, pairs).orderBy("offset").collect()] == [why for _, why in cases]


def test_flow_when_a_levels_price_or_unit_is_absurd_then_it_has_its_reason(spark: SparkSession) -> None:
    before = {name: value for name, value in LEVEL.items() if name != "price_unit"}
    pair, metal = LEVEL | {"instrument": "NCD_FO|14366"}, LEVEL | {"instrument": "MCX_FO|466583"}
    cases: list[tuple[dict[str, Any], str | None]] = [
        (LEVEL, None),
        (before, None),
        (before | {"price_unit": None}, None),
        (LEVEL | {"price": 0}, "absurd_price"),
        (LEVEL | {"price": -5}, "absurd_price"),
        (LEVEL | {"price": 10**11}, "absurd_price"),
        (before | {"price": 10**11}, "absurd_price"),
        (LEVEL | {"price": 10**11, "price_unit": 10_000}, None),
        (pair | {"price": 25, "price_unit": 10_000}, None),
        (metal | {"price": -288_400}, None),
        (metal | {"price": -(10**11)}, "absurd_price"),
        *[(LEVEL | {"price_unit": unit}, "unknown_price_unit") for unit in (0, -100, 3, 20_000, 2**63 - 1, -(2**63))],
    ]
    pairs = [(level["instrument"].encode(), json.dumps(level).encode()) for level, _ in cases]
    assert [row.reason for row in judged(spark, topics.FOOTPRINT, pairs).orderBy("offset").collect()] == [why for _, why in cases]


@pytest.mark.parametrize("topic", list(FIELDS))
def test_flow_when_messages_are_mutated_then_each_is_sound_or_has_a_reason(
    spark: SparkSession, tmp_path: Path, topic: str
) -> None:
    rng = random.Random(SEED)
    made = sound_flow([sound(rng, number) for number in range(500)])[topic]
    pairs: list[tuple[bytes | None, bytes | None]] = []
    for _ in range(min(ROWS, 20_000) // 2):
        key, value = rng.choice(made)
        record = json.loads(value)
        for _ in range(rng.choice((0, 1, 1, 2))):
            mutate(rng, record)
        text = json.dumps(record).encode("utf-8", "surrogatepass")
        pairs.append((rng.choice((None, b"other")) if rng.random() < 0.02 else key, text[: rng.randrange(9_000)]))
    parsed = judged(spark, topic, pairs).persist()

    counts = {row["reason"]: row["count"] for row in parsed.groupBy("reason").count().collect()}
    assert sum(counts.values()) == len(pairs)
    assert counts[None] > len(pairs) / 10
    assert len(counts) > 12
    assert reject_rows(parsed, "life").count() == len(pairs) - counts[None]
    kept = [row.asDict() for row in parsed.where("reason is null").select("record.*").collect()]
    assert {row["window_start"][:10] for row in kept} == {"2025-12-15"}
    assert all(min(row[f"{side}_volume"] for side in ("buy", "sell", "unclassified")) >= 0 for row in kept)
    if topic == topics.ORDERFLOW:
        assert all(row["buy_volume"] + row["sell_volume"] + row["unclassified_volume"] == row["total_volume"] for row in kept)
        assert all(0 < row["low"] <= row["high"] < 1e9 for row in kept if row["low"] is not None)


@pytest.mark.parametrize("name", ["2025-12-15_open_3eq", "2025-12-15_close_2fo"])
def test_recorded_flow_when_judged_then_nothing_is_rejected(spark: SparkSession, shared: Path, tmp_path: Path, name: str) -> None:
    recorded = [tick_record(tick) for tick, _ in replay(shared / "data" / "upstox" / f"{name}.jsonl.gz")]
    flow = sound_flow(recorded)
    for topic, messages in flow.items():
        assert len(messages) > 50
        parsed = judged(spark, topic, list(messages))
        assert [row.asDict() for row in parsed.where("reason is not null").groupBy("reason").count().collect()] == []
