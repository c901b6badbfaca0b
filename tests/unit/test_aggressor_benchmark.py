from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from statistics import fmean

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

ROOT = Path(__file__).resolve().parents[2]
RECORDINGS = ROOT.parent / "shared" / "data" / "aggressor"
START_MS = 1_723_161_240_000

spec = importlib.util.spec_from_file_location("accuracy", ROOT / "benchmarks" / "accuracy.py")
accuracy = importlib.util.module_from_spec(spec)
spec.loader.exec_module(accuracy)

needs_recordings = pytest.mark.skipif(not RECORDINGS.is_dir(), reason="the recordings with the true side are not on this machine")


def rows_of(path):
    return pq.read_table(path).to_pylist()


def packet(second, ltp, vtt, bid, ask, buy=0, sell=0):
    return {
        "packet_time_ms": START_MS + int(second * 1000),
        "ltp": ltp,
        "ltt_ms": START_MS + int(second * 1000) - 10,
        "ltq": 10,
        "vtt": vtt,
        "bid_price_1": bid,
        "bid_qty_1": 100,
        "ask_price_1": ask,
        "ask_qty_1": 100,
        "true_buy_volume": buy,
        "true_sell_volume": sell,
    }


@pytest.fixture
def recording(tmp_path):
    packets = [
        packet(0.25, 100.0, 500, 99.9, 100.0),
        packet(0.50, 100.0, 510, 100.0, 100.1, buy=10),
        packet(0.75, 100.0, 540, 99.9, 100.0, sell=30),
        packet(1.00, 99.9, 600, 99.8, 99.9, buy=20, sell=40),
    ]
    pq.write_table(pa.Table.from_pylist(packets), tmp_path / "toy_250ms_p0.parquet")
    return tmp_path


def test_packets_when_read_then_the_first_is_the_baseline_and_quotes_are_the_ones_before(recording):
    recorded = list(accuracy.packets(rows_of(recording / "toy_250ms_p0.parquet")))
    seen = [(p.evidence, p.true_buy) for p in recorded]
    assert [(e.traded_volume, e.prev_bid, e.prev_ask, e.bid, e.tick_direction, buy) for e, buy in seen] == [
        (10, 99.9, 100.0, 100.0, 0, 10),
        (30, 100.0, 100.1, 99.9, 0, 0),
        (60, 99.9, 100.0, 99.8, -1, 20),
    ]


def test_figures_when_some_volume_is_on_the_wrong_side_then_shares_of_the_whole(recording):
    recorded = list(accuracy.packets(rows_of(recording / "toy_250ms_p0.parquet")))
    splits = [accuracy.estimate("lee_ready", p) for p in recorded]
    assert [s[:3] for s in splits] == [(10, 0, 0), (0, 30, 0), (0, 60, 0)]
    # 20 of 100 on the wrong side; delta -80 against -40.
    assert accuracy.figures(recorded, splits) == pytest.approx((0.8, 0.4))
    assert [accuracy.estimate("same quote", p)[:3] for p in recorded] == [(0, 10, 0), (30, 0, 0), (60, 0, 0)]


def test_minutes_when_the_estimator_halves_the_wrong_volume_then_gain_coverage_and_spread(recording):
    rows = list(accuracy.packets(rows_of(recording / "toy_250ms_p0.parquet")))
    before = [accuracy.estimate("lee_ready", p) for p in rows]  # 20 of 100 on the wrong side, delta 40 off
    splits = [accuracy.Verdict(buy, sell, 0, 0.02) for buy, sell in ((10, 0), (0, 30), (10, 50))]  # 10, and 20 off
    (minute,) = accuracy.minutes_of(rows, splits, before, 500)
    assert minute.spread == pytest.approx(10.0, rel=0.001)
    assert accuracy.gain_of([minute]) == "+10.00 / -50%"
    # band = 2 x sqrt(4 x 0.02 x (10^2 + 30^2 + 60^2)) = 38.4
    assert accuracy.held_of([minute]) == "100.0% of 1: 38%"
    assert accuracy.held_of(list(accuracy.minutes_of(rows, splits, before, 501))) == ""


def test_benchmark_when_run_then_prints_a_row_for_the_set_and_writes_estimates(recording, tmp_path):
    command = [
        sys.executable,
        str(ROOT / "benchmarks" / "accuracy.py"),
        "--data",
        str(recording),
        "--write",
        str(tmp_path / "out"),
    ]
    table = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert "| toy | 250 | 20.0% / 120.0% | 80.0% / 40.0% |" in table
    assert "\n| spread above 6 bp |" in table
    written = pq.read_table(tmp_path / "out" / "lee_ready" / "toy_250ms_p0.parquet").to_pylist()
    assert written[2] == {"packet_time_ms": START_MS + 1000, "est_buy_volume": 0, "est_sell_volume": 60}


def test_conflated_when_windows_are_longer_then_the_last_packet_of_each_with_the_windows_truth():
    rows = [
        packet(1, 100.0, 500, 99.9, 100.0, 5, 0),
        packet(2, 100.1, 510, 100.0, 100.1, 10, 0),
        packet(3, 100.0, 540, 99.9, 100.0, 0, 30),
    ]
    first, second = accuracy.conflated(rows, 2_000)
    assert (first["vtt"], first["true_buy_volume"], first["true_sell_volume"]) == (510, 15, 0)
    assert (second["vtt"], second["true_buy_volume"], second["true_sell_volume"]) == (540, 0, 30)


def test_benchmark_when_the_folder_holds_no_recording_then_says_so(tmp_path):
    command = [sys.executable, str(ROOT / "benchmarks" / "accuracy.py"), "--data", str(tmp_path)]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 2
    assert "_<ms>ms_p<phase>.parquet" in done.stderr


@needs_recordings
def test_estimator_when_scored_by_the_shared_scorer_then_the_same_figures(tmp_path):
    path = RECORDINGS / "usdm_ethusdt_20240808_1000ms_p3.parquet"
    recorded = list(accuracy.packets(rows_of(path)))
    splits = [accuracy.estimate("split", p) for p in recorded]
    accuracy.write(tmp_path / "estimate.parquet", recorded, splits)
    command = [sys.executable, str(RECORDINGS / "score.py"), str(path), str(tmp_path / "estimate.parquet")]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    ours = accuracy.figures(recorded, splits)
    assert f"volume accuracy   {ours.accuracy:.2%}" in said
    assert f"1-min delta error {ours.delta_error:.2%}" in said
    assert "assigned          100.00%" in said


@needs_recordings
@pytest.mark.parametrize(
    ("folder", "count", "interval_ms", "points", "less_error"),
    [
        ("aggressor", 4, 1000, 1.1, 0.11),
        ("aggressor", 4, 2000, 3.3, 0.13),
        ("aggressor_equity", 1, 1000, 1.0, 0.11),
        ("aggressor_equity", 1, 2000, 1.3, 0.13),
    ],
)
def test_estimator_when_compared_with_lee_ready_then_gains_as_published_and_no_recording_loses(
    folder, count, interval_ms, points, less_error
):
    recordings: dict[str, list[dict[str, tuple[float, float]]]] = {}
    for path in sorted(RECORDINGS.with_name(folder).glob(f"*_{interval_ms}ms_p*.parquet")):
        recorded = list(accuracy.packets(rows_of(path)))
        row = {
            rule: accuracy.figures(recorded, [accuracy.estimate(rule, p) for p in recorded]) for rule in ("lee_ready", "split")
        }
        recordings.setdefault(path.stem.rsplit("_", 2)[0], []).append(row)
    assert len(recordings) == count
    gains = [100 * fmean(row["split"].accuracy - row["lee_ready"].accuracy for row in rows) for rows in recordings.values()]
    assert min(gains) >= 0.0
    assert fmean(gains) >= points
    error, before = (
        fmean(row[rule].delta_error for rows in recordings.values() for row in rows) for rule in ("split", "lee_ready")
    )
    assert error <= (1 - less_error) * before
