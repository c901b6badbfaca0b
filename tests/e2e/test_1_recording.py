"""The shared recording through the whole product at 20×; every number checked against the recording itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from conftest import LocalStack, until  # type: ignore[import-not-found]
from recording import exchange_bars, lee_ready_minutes, minute_volumes, packets

from orderflow.market.times import ms_from_iso

pytestmark = pytest.mark.e2e

DATE = "2025-12-15"
READ = """
import json
from pyspark.sql import SparkSession, functions as F
spark = SparkSession.builder.getOrCreate()
ticks = spark.read.parquet("{hdfs}/trading/ticks/date={date}").where("kind != 'minute'")
minute = F.col("event_time_ms") - F.col("event_time_ms") % 60000
traded = ticks.where("traded_volume > 0").groupBy("instrument_key", minute.alias("minute"))
minutes = traded.agg(F.sum("traded_volume").alias("v"))
candles = spark.read.parquet("{hdfs}/trading/candles/date={date}")
print(json.dumps({{
    "ticks": ticks.count(),
    "identities": ticks.select("instrument_key", "sequence").distinct().count(),
    "states": ticks.select("instrument_key", "feed_time_ms", "vtt", "tbq", "tsq").count(),
    "minutes": [[r["instrument_key"], r["minute"], r["v"]] for r in minutes.collect()],
    "candles": [r.asDict() for r in candles.collect()],
}}))
"""


@pytest.fixture(scope="module")
def path(shared: Path) -> Path:
    return shared / "data" / "upstox" / "2025-12-15_open_3eq.jsonl.gz"


@pytest.fixture(scope="module")
def replayed(local_stack: LocalStack, path: Path) -> dict[str, Any]:
    """Start the stack on the recording, wait until its last minute is stored, and read HDFS with Spark."""
    local_stack.run("demo", FEED_RECORDING=str(path), FEED_SPEED="20")
    instruments = {packet.instrument_key for packet in packets(path)}
    last_minute = "2025-12-15T10:31:00+05:30"

    def finished() -> bool:
        shown = [local_stack.get(8050, f"/api/candles?instrument={key.replace('|', '%7C')}") for key in sorted(instruments)]
        return all(any(c["window_start"] == last_minute and not c["forming"] for c in candles) for candles in shown)

    until("the last minute of every instrument is final on the dashboard", finished, timeout=480, every=5)
    script = READ.format(hdfs="hdfs://127.0.0.1:" + str(9000 + int(local_stack.env["PORT_OFFSET"])), date=DATE)

    def stored() -> dict[str, Any] | None:
        rows: dict[str, Any] = local_stack.spark(script)
        last = {c["instrument"] for c in rows["candles"] if c["window_start"] == last_minute}
        return rows if last == instruments else None

    return until("the last candles are in HDFS", stored, timeout=180, every=10)


def test_ticks_when_replayed_then_each_is_stored_once(replayed: dict[str, Any], path: Path) -> None:
    expected = sum(1 for _ in packets(path))
    assert (replayed["ticks"], replayed["identities"]) == (expected, expected)


def test_traded_volume_when_summed_by_minute_then_it_is_the_rise_of_vtt(replayed: dict[str, Any], path: Path) -> None:
    stored = {(key, minute): volume for key, minute, volume in replayed["minutes"]}
    assert stored == minute_volumes(path)


def whole_minutes(by_minute: dict[tuple[str, int], Any]) -> dict[tuple[str, int], Any]:
    """Leave out each instrument's first minute: its first rise of vtt may have begun before the connection and have no side."""
    first = {key: min(at for instrument, at in by_minute if instrument == key) for key, _ in by_minute}
    return {place: value for place, value in by_minute.items() if place[1] != first[place[0]]}


def test_candles_when_stored_then_volumes_and_sides_are_the_independent_ones(replayed: dict[str, Any], path: Path) -> None:
    candles = {(c["instrument"], ms_from_iso(c["window_start"])): c for c in replayed["candles"]}
    assert len(candles) == len(replayed["candles"])
    assert {place: c["tick_volume"] for place, c in candles.items() if c["tick_volume"]} == minute_volumes(path)
    sides = {p: (c["tick_buy_volume"], c["tick_sell_volume"]) for p, c in candles.items() if c["tick_volume"]}
    assert whole_minutes(sides) == whole_minutes(lee_ready_minutes(path))
    assert all(c["buy_volume"] + c["sell_volume"] + c["unclassified_volume"] == c["total_volume"] for c in candles.values())


def test_candles_when_the_exchanges_bar_is_known_then_they_equal_it(replayed: dict[str, Any], path: Path) -> None:
    bars = exchange_bars(path.with_name("2025-12-15_open_3eq.i1.csv"))
    candles = {(c["instrument"], ms_from_iso(c["window_start"])): c for c in replayed["candles"]}
    both = [place for place in candles if place in bars]
    names = ("open", "high", "low", "close", "total_volume")
    wrong = [place for place in both if tuple(candles[place][name] for name in names) != bars[place]]
    assert len(both) >= 170
    assert len(wrong) / len(both) <= 0.005, wrong


def test_dashboard_when_asked_then_it_shows_the_stored_candles(
    replayed: dict[str, Any], local_stack: LocalStack, path: Path
) -> None:
    for key in {packet.instrument_key for packet in packets(path)}:
        shown = local_stack.get(8050, f"/api/candles?instrument={key.replace('|', '%7C')}")
        stored = {c["window_start"]: c for c in replayed["candles"] if c["instrument"] == key}
        final = {c["window_start"]: c for c in shown if not c["forming"]}
        assert set(final) == set(stored)
        for start, candle in final.items():
            assert {n: candle[n] for n in ("open", "close", "buy_volume", "total_volume", "delta")} == {
                n: stored[start][n] for n in ("open", "close", "buy_volume", "total_volume", "delta")
            }


def test_reprocess_when_nothing_was_late_then_it_equals_what_streaming_wrote(
    replayed: dict[str, Any], local_stack: LocalStack
) -> None:
    answer = local_stack.command_line("reprocess", "--date", DATE)
    assert answer.returncode == 0, answer.stderr[-3000:]
    assert f"{len(replayed['candles'])} stored, {len(replayed['candles'])} recomputed" in answer.stdout, answer.stdout
    assert "nothing to apply" in answer.stdout, answer.stdout
