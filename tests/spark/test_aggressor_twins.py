"""The Spark expressions and their plain-Python twins give the same numbers, on recordings and on random ticks."""

from __future__ import annotations

import json
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from pyspark.sql import DataFrame, SparkSession

from orderflow.market import records
from orderflow.market.aggressor import RULES, Evidence, verdict
from orderflow.processing.aggressor import split_columns
from orderflow.processing.schemas import spark_schema

pytestmark = pytest.mark.spark

RECORDINGS = Path(__file__).resolve().parents[3] / "shared" / "data"
USED = (*Evidence._fields, "bid", "ask")
SCHEMA = spark_schema(field for field in records.TICK if field.name in USED).add("row", "long")


def frame(spark: SparkSession, ticks: Iterable[dict[str, Any]], folder: Path) -> DataFrame:
    path = folder / "ticks.json"
    path.write_text("\n".join(json.dumps({"row": row, **tick}) for row, tick in enumerate(ticks)))
    return spark.read.schema(SCHEMA).json(str(path))


def expected(tick: dict[str, Any]) -> tuple[Any, ...]:
    bid, ask = ((tick[side] or [{}])[0] for side in ("bid", "ask"))
    best = {
        "bid": bid.get("price"),
        "bid_quantity": bid.get("quantity"),
        "ask": ask.get("price"),
        "ask_quantity": ask.get("quantity"),
    }
    evidence = Evidence(**{name: tick[name] for name in Evidence._fields if name not in best}, **best)
    return tuple(verdict(rule, evidence)[:3] for rule in RULES)


def computed(ticks: DataFrame) -> list[tuple[Any, ...]]:
    columns = [split_columns(rule).alias(rule) for rule in RULES]
    return [tuple(tuple(row[rule]) for rule in RULES) for row in ticks.select("row", *columns).orderBy("row").collect()]


def recorded_ticks(path: Path) -> list[dict[str, Any]]:
    packets = pq.read_table(path).to_pylist()
    ticks, direction = [], 0
    for before, now in pairwise(packets):
        change = now["ltp"] - before["ltp"]
        direction = (change > 0) - (change < 0) or direction
        ticks.append(
            {
                "traded_volume": now["vtt"] - before["vtt"],
                "ltp": now["ltp"],
                "ltq": now["ltq"],
                "bid": [{"price": now["bid_price_1"], "quantity": now["bid_qty_1"]}],
                "ask": [{"price": now["ask_price_1"], "quantity": now["ask_qty_1"]}],
                "prev_bid": before["bid_price_1"],
                "prev_ask": before["ask_price_1"],
                "prev_bid_quantity": before["bid_qty_1"],
                "prev_ask_quantity": before["ask_qty_1"],
                "tick_direction": direction,
                "feed_time_ms": now["packet_time_ms"],
                "prev_feed_time_ms": before["packet_time_ms"],
                "ltt_ms": now["ltt_ms"],
                "prev_ltt_ms": before["ltt_ms"],
                "gap": False,
                "auction": False,
            }
        )
    return ticks


@pytest.mark.skipif(not RECORDINGS.is_dir(), reason="the recordings with the true side are not on this machine")
def test_twins_when_run_on_recorded_packets_then_equal(spark, tmp_path):
    ticks = [tick for path in sorted(RECORDINGS.glob("aggressor*/*_p[04].parquet")) for tick in recorded_ticks(path)]
    assert len(ticks) > 60_000
    assert computed(frame(spark, ticks, tmp_path)) == [expected(tick) for tick in ticks]


def maybe(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(values, values, values, st.none())


PRICES = st.one_of(st.integers(1990, 2010).map(lambda ticks: ticks / 20), st.floats(0.01, 1e6))
TIMES = st.one_of(
    st.integers(1_765_770_300_000, 1_765_770_305_000),
    st.integers(1_765_770_300_000, 1_765_770_900_000),
)
QUANTITIES = st.one_of(st.integers(0, 50), st.integers(0, 10**10))
LEVELS = maybe(st.lists(st.fixed_dictionaries({"price": maybe(PRICES), "quantity": maybe(QUANTITIES)}), max_size=2))
TICKS = st.fixed_dictionaries(
    {
        "traded_volume": maybe(st.one_of(st.integers(-5, 50), st.integers(0, 10**10))),
        "ltp": maybe(PRICES),
        "ltq": maybe(QUANTITIES),
        "bid": LEVELS,
        "ask": LEVELS,
        "prev_bid": maybe(PRICES),
        "prev_ask": maybe(PRICES),
        "prev_bid_quantity": maybe(QUANTITIES),
        "prev_ask_quantity": maybe(QUANTITIES),
        "tick_direction": maybe(st.sampled_from([-1, 0, 1])),
        "feed_time_ms": maybe(TIMES),
        "prev_feed_time_ms": maybe(TIMES),
        "ltt_ms": maybe(st.one_of(TIMES, st.integers(0, 2_000_000_000_000))),
        "prev_ltt_ms": maybe(TIMES),
        "gap": maybe(st.booleans()),
        "auction": maybe(st.booleans()),
    }
)


def test_twins_when_run_on_random_ticks_then_equal(spark, tmp_path):
    ticks: list[dict[str, Any]] = []

    @settings(max_examples=2000, deadline=None, derandomize=True, database=None, phases=[Phase.generate])
    @given(TICKS)
    def generate(tick):
        ticks.append(tick)

    generate()
    assert len(ticks) >= 2000
    for tick, spark_says in zip(ticks, computed(frame(spark, ticks, tmp_path)), strict=True):
        assert spark_says == expected(tick), tick


CASES = [
    (0.0, 0, 0, 0),
    (30.0, 100, 100, 0),
    (30.4, 100, 100, 0),
    (10.0, 100, 80, 0),
    (10.0, 100, 79, 0),
    (50.0, 100, 100, 0),
    (51.0, 100, 100, 0),
    (5.0, 100, 0, 0),
    (5.0, 0, 10, 0),
    (5.0, 100, 120, 0),
    (1e9, 100, 1, 0),
    (0.0, 100, 100, 75),
    (0.0, 100, 100, 76),
    (11.0, 100, 100, 100),
]


def test_split_columns_when_the_rule_is_unknown_then_value_error_names_the_valid_ones(spark):
    with pytest.raises(ValueError, match="lee_ready"):
        split_columns("lee-ready")
