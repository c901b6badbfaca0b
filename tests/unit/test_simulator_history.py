"""Synthetic history: complete columns whose relations hold."""

from __future__ import annotations

import datetime as dt
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from orderflow.market import records
from orderflow.simulator import history
from orderflow.simulator.catalogue import choose

TWO = "NSE_EQ|INE467B01029,NSE_EQ|INE154A01025,NSE_INDEX|Nifty 50"
FRIDAY = dt.date(2025, 12, 12)


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    out = tmp_path_factory.mktemp("history")
    list(history.write(out, choose(TWO), FRIDAY, 1, 0.2, 1))
    table = pq.ParquetFile(out / "date=2025-12-12" / "synthetic.parquet").read()
    assert tuple(table.schema.names) == records.names(records.TICK)
    rows: list[dict[str, Any]] = table.to_pylist()
    return rows


def test_history_when_days_span_a_weekend_then_weekdays_only() -> None:
    assert history.weekdays(dt.date(2025, 12, 15), 3) == [dt.date(2025, 12, 11), FRIDAY, dt.date(2025, 12, 15)]


def test_history_when_written_twice_then_equal(tmp_path: Path) -> None:
    for name in ("a", "b"):
        list(history.write(tmp_path / name, choose(TWO), FRIDAY, 2, 0.05, 1))
    paths = [f"date=2025-12-{day}/synthetic.parquet" for day in (11, 12)]
    for path in paths:
        first, second = (pq.ParquetFile(tmp_path / name / path).read() for name in ("a", "b"))
        assert first.equals(second)
    assert sorted(str(path.relative_to(tmp_path / "a")) for path in (tmp_path / "a").rglob("*.*")) == paths


def test_history_when_required_then_never_null(rows: list[dict[str, Any]]) -> None:
    required = [field.name for field in records.TICK if field.required]
    assert all(row[name] is not None for row in rows for name in required)


def test_history_when_a_volume_traded_then_vtt_rises_by_it_and_the_quote_before_is_the_previous_rows(
    rows: list[dict[str, Any]],
) -> None:
    for key in ("NSE_EQ|INE467B01029", "NSE_EQ|INE154A01025"):
        mine = [row for row in rows if row["instrument_key"] == key]
        assert len(mine) == 4500
        for before, row in pairwise(mine):
            assert row["sequence"] == before["sequence"] + 1
            assert row["traded_volume"] == row["vtt"] - before["vtt"]
            assert row["prev_bid"] == before["bid"][0]["price"] < before["ask"][0]["price"] == row["prev_ask"]
            assert row["event_time_ms"] == (row["ltt_ms"] if row["traded_volume"] else row["feed_time_ms"])
            assert before["ltt_ms"] <= row["ltt_ms"] < row["feed_time_ms"] < row["received_time_ms"]


def test_history_when_a_minute_has_ended_then_its_bar_is_what_traded(rows: list[dict[str, Any]]) -> None:
    mine = [row for row in rows if row["instrument_key"] == "NSE_EQ|INE467B01029"]
    bars = [row["bar"] for row in mine if row["bar"]]
    assert len(bars) > 350
    for bar in bars:
        trades = [row for row in mine if row["traded_volume"] and row["ltt_ms"] // 60_000 * 60_000 == bar["start_ms"]]
        prices = [row["ltp"] for row in trades]
        assert (bar["open"], bar["high"], bar["low"], bar["close"]) == (prices[0], max(prices), min(prices), prices[-1])
        assert bar["volume"] == sum(row["traded_volume"] for row in trades)
