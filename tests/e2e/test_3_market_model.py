"""The simulated market through the whole product, checked against what really traded; needs nothing of ../shared.

The market began to trade before the tutorial's commands were run.
"""

from __future__ import annotations

import json
import time
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from conftest import INSTRUMENTS, LocalStack, until  # type: ignore[import-not-found]

from orderflow.market.times import ms_from_iso

pytestmark = pytest.mark.e2e

MINUTE_MS = 60_000
MINUTES = 4
READ = """
import json
from pyspark.sql import SparkSession
spark = SparkSession.builder.getOrCreate()
ticks = spark.read.parquet("{hdfs}/trading/ticks").where("feed_time_ms >= {since} and kind != 'minute'")
candles = spark.read.parquet("{hdfs}/trading/candles").where("window_start >= '{since_iso}'")
footprint = spark.read.parquet("{hdfs}/trading/footprint").where("window_start >= '{since_iso}'")
names = ["instrument_key", "sequence", "trading_date", "feed_time_ms", "vtt", "traded_volume", "session_phase", "gap"]
print(json.dumps({{
    "ticks": [r.asDict() for r in ticks.select(*names).collect()],
    "candles": [r.asDict() for r in candles.drop("date").collect()],
    "footprint": [r.asDict() for r in footprint.drop("date").collect()],
}}))
"""


@dataclass
class Minute:
    """What really traded in one minute of one instrument."""

    prices: list[float] = field(default_factory=list)
    buy: int = 0
    sell: int = 0


def truth(path: Path) -> dict[tuple[str, int], Minute]:
    """Sum the simulator's true trades by instrument and minute; the last, perhaps half-written, line is left out."""
    minutes: dict[tuple[str, int], Minute] = defaultdict(Minute)
    for line in path.read_text().splitlines()[:-1]:
        trade = json.loads(line)
        if trade["side"] not in ("buy", "sell"):
            continue
        minute = minutes[trade["instrument_key"], trade["time_ms"] // MINUTE_MS * MINUTE_MS]
        minute.prices.append(trade["price"])
        if trade["side"] == "buy":
            minute.buy += trade["quantity"]
        else:
            minute.sell += trade["quantity"]
    return minutes


@pytest.fixture(scope="module")
def traded(local_stack: LocalStack, market_began_ms: int) -> dict[str, Any]:
    """Let the model trade for some minutes and return what HDFS holds of them, with the first whole minute."""
    first_minute = (market_began_ms // MINUTE_MS + 1) * MINUTE_MS
    last_minute = first_minute + (MINUTES - 1) * MINUTE_MS

    def final() -> bool:
        shown = [local_stack.get(8050, f"/api/candles?instrument={key.replace('|', '%7C')}") for key in INSTRUMENTS]
        return all(any(ms_from_iso(c["window_start"]) == last_minute and not c["forming"] for c in candles) for candles in shown)

    until("the last minute is final on the dashboard", final, timeout=MINUTES * 60 + 300, every=5)
    script = READ.format(
        hdfs="hdfs://127.0.0.1:" + str(9000 + int(local_stack.env["PORT_OFFSET"])),
        since=first_minute,
        since_iso=time.strftime("%Y-%m-%dT%H:%M:%S+05:30", time.gmtime(first_minute / 1000 + 19_800)),
    )

    def stored() -> dict[str, Any] | None:
        rows: dict[str, Any] = local_stack.spark(script)
        last = {c["instrument"] for c in rows["candles"] if ms_from_iso(c["window_start"]) == last_minute}
        return rows if last >= set(INSTRUMENTS) else None

    stored_rows = until("the last candles are in HDFS", stored, timeout=240, every=10)
    return {**stored_rows, "first": first_minute, "last": last_minute}


def whole_minutes(traded: dict[str, Any]) -> dict[tuple[str, int], dict[str, Any]]:
    """The candles of the whole minutes of instruments that trade (an index has no volume)."""
    rows = {(c["instrument"], ms_from_iso(c["window_start"])): c for c in traded["candles"] if c["window_minutes"] == 1}
    return {
        place: row
        for place, row in rows.items()
        if traded["first"] <= place[1] <= traded["last"] and not place[0].startswith("NSE_INDEX")
    }


def test_candles_when_the_market_traded_then_they_are_what_really_traded(traded: dict[str, Any], local_stack: LocalStack) -> None:
    real = truth(Path(local_stack.env["SIM_TRUTH"]))
    candles = whole_minutes(traded)
    assert len(candles) >= MINUTES * 3
    for place, candle in candles.items():
        minute = real[place]
        assert candle["total_volume"] == minute.buy + minute.sell, place
        assert (candle["open"], candle["close"]) == (minute.prices[0], minute.prices[-1]), place
        assert (candle["high"], candle["low"]) == (max(minute.prices), min(minute.prices)), place
        assert candle["exchange_bar"]
        assert candle["buy_volume"] + candle["sell_volume"] + candle["unclassified_volume"] == candle["total_volume"]


def test_sides_when_compared_with_the_true_aggressors_then_most_volume_is_on_its_side(
    traded: dict[str, Any], local_stack: LocalStack
) -> None:
    real = truth(Path(local_stack.env["SIM_TRUTH"]))
    wrong = volume = 0.0
    for place, candle in whole_minutes(traded).items():
        wrong += abs(candle["buy_volume"] - real[place].buy) + abs(candle["sell_volume"] - real[place].sell)
        volume += 2 * (real[place].buy + real[place].sell)
    print(f"net volume on its side, by minute: {1 - wrong / volume:.1%}")
    assert 1 - wrong / volume > 0.75


def test_ticks_when_stored_then_their_volume_is_the_rise_of_vtt_and_none_is_missing(traded: dict[str, Any]) -> None:
    by_instrument: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for tick in traded["ticks"]:
        by_instrument[tick["instrument_key"]].append(tick)
    assert by_instrument
    for key, ticks in by_instrument.items():
        ticks.sort(key=lambda tick: tick["sequence"])
        numbers = [tick["sequence"] for tick in ticks]
        assert numbers == list(range(numbers[0], numbers[0] + len(numbers))), key
        if ticks[0]["vtt"] is not None:
            assert sum(tick["traded_volume"] or 0 for tick in ticks[1:]) == ticks[-1]["vtt"] - ticks[0]["vtt"], key


def test_footprint_when_summed_then_it_is_the_candle(traded: dict[str, Any]) -> None:
    levels: dict[tuple[str, str], list[int]] = defaultdict(lambda: [0, 0])
    for level in traded["footprint"]:
        levels[level["instrument"], level["window_start"]][0] += level["buy_volume"]
        levels[level["instrument"], level["window_start"]][1] += level["sell_volume"]
    for (key, _), candle in whole_minutes(traded).items():
        assert levels[key, candle["window_start"]] == [candle["buy_volume"], candle["sell_volume"]]
