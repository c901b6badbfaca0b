from __future__ import annotations

import importlib
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
START_MS = 1_723_161_240_000


@pytest.fixture
def benchmark(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    yield importlib.import_module("leave_one_out")
    for name in ("leave_one_out", "accuracy"):
        sys.modules.pop(name, None)


def row(second, ltp, vtt, buy=0, sell=0):
    return {
        "packet_time_ms": START_MS + int(second * 1000),
        "ltp": ltp,
        "ltt_ms": START_MS + int(second * 1000) - 10,
        "ltq": 10,
        "vtt": vtt,
        "bid_price_1": 99.9,
        "bid_qty_1": 100,
        "ask_price_1": 100.0,
        "ask_qty_1": 100,
        "true_buy_volume": buy,
        "true_sell_volume": sell,
    }


def test_quarters_when_a_recording_lasts_an_hour_then_four_parts_of_equal_time(benchmark):
    rows = [row(second, 100.0, 0) for second in (0, 899, 900, 1_800, 2_700, 3_599.999)]
    parts = {name: [(one["packet_time_ms"] - START_MS) // 1000 for one in part] for name, part in benchmark.quarters("x", rows)}
    assert parts == {"x, quarter 1": [0, 899], "x, quarter 2": [900], "x, quarter 3": [1_800], "x, quarter 4": [2_700, 3_599]}
    assert [name for name, _ in benchmark.quarters("x", rows[:-1])] == ["x"]


def test_score_when_a_constant_is_changed_then_the_split_uses_it_and_the_product_keeps_its_own(benchmark):
    # 100 of 10 a print in a second: 96 bought with mixing 0.2, of which 92 is true; with 0.4 it is 94; Lee-Ready says 100.
    file = benchmark.file_of([row(0, 100.0, 500), row(1, 100.0, 600, buy=92, sell=8)])
    recording = benchmark.Recording(short=[file], long=[])
    assert benchmark.score("split", recording, {}) == pytest.approx(4.0)
    assert benchmark.score("split", recording, {"MIXING": 0.4}) == pytest.approx(6.0)
    assert benchmark.score("split", recording, {}) == pytest.approx(4.0)


def test_leave_one_out_when_recordings_disagree_then_each_gets_what_is_best_for_the_others(benchmark, monkeypatch):
    # Twice MIXING is best for b and c, half of it for a.
    gains = {("a", 0.1): 5.0, ("a", 0.4): -5.0, ("b", 0.4): 2.0, ("c", 0.4): 2.0}
    monkeypatch.setattr(benchmark, "score", lambda _group, name, values: gains.get((name, values["MIXING"]), 0.0))
    recordings = {name: name for name in "abc"}
    choices = {name: {} for name in "abc"}
    change = benchmark.leave_one_out("split", "MIXING", recordings, dict.fromkeys("abc", 0.0), choices)
    assert {name: chosen["MIXING"] for name, chosen in choices.items()} == {"a": 0.4, "b": 0.1, "c": 0.1}
    assert change == pytest.approx((-5.0 + 0.0 + 0.0) / 3)


def test_benchmark_when_run_on_two_recordings_then_a_row_for_each_constant_and_each_recording(
    benchmark, tmp_path, monkeypatch, capsys
):
    rows = [row(0, 100.0, 500), row(0.3, 100.0, 600, buy=92, sell=8), row(55, 99.9, 700, sell=100)]
    for name in ("one", "two"):
        for interval in (250, 1000):
            pq.write_table(pa.Table.from_pylist(rows), tmp_path / f"{name}_{interval}ms_p0.parquet")
    monkeypatch.setattr(sys, "argv", ["leave_one_out.py", "--data", str(tmp_path)])
    benchmark.main()
    printed = capsys.readouterr().out
    for name in (*benchmark.SPLIT, *benchmark.LONG, *benchmark.BAND):
        assert f": {name} | " in printed
    assert [line.split(" | ")[0] for line in printed.splitlines()[-2:]] == ["| one", "| two"]
