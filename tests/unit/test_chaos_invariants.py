"""The judge of the fault campaigns has to find what it is there for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from chaos.campaign import Injected, own, plan, table
from chaos.invariants import Verdict, check_candles, check_footprint, check_ticks
from chaos.rig import Rig

KEY = "NSE_EQ|INE467B01029"
AT = 1_765_770_300_000  # 2025-12-15 09:15:00 IST
TRUTH = {
    KEY: [
        (AT + 1_000, 105, 100.0, 5),
        (AT + 30_000, 115, 101.0, 10),
        (AT + 59_000, 120, 99.0, 5),
        (AT + 61_000, 130, 99.5, 10),
        (AT + 125_000, 137, 99.5, 7),
    ]
}


def ticks() -> list[dict[str, Any]]:
    rows = [(1, 105, None), (2, 115, 10), (3, 130, 15), (4, 137, 7)]
    return [
        {"instrument_key": KEY, "sequence": n, "feed_time_ms": AT + n, "vtt": vtt, "traded_volume": volume, "gap": False}
        for n, vtt, volume in rows
    ]


def candle(minute: int, prices: tuple[float, float, float, float], volume: int, *, exchange: bool = True) -> dict[str, Any]:
    opened, high, low, close = prices
    return {
        "instrument": KEY,
        "window_start": f"2025-12-15T09:{15 + minute}:00+05:30",
        "window_minutes": 1,
        "open": opened,
        "high": high,
        "low": low,
        "close": close,
        "total_volume": volume,
        "buy_volume": volume,
        "sell_volume": 0,
        "unclassified_volume": 0,
        "exchange_bar": exchange,
        "gap": False,
    }


def candles() -> list[dict[str, Any]]:
    return [
        candle(0, (100.0, 101.0, 99.0, 99.0), 20),
        candle(1, (99.5, 99.5, 99.5, 99.5), 10, exchange=False),
        candle(2, (99.5, 99.5, 99.5, 99.5), 7),
    ]


def judged(rows: list[dict[str, Any]], published: dict[tuple[str, int], int] | None = None) -> Verdict:
    verdict = Verdict()
    check_ticks(verdict, rows, published or {}, TRUTH)
    return verdict


def judged_candles(rows: list[dict[str, Any]]) -> Verdict:
    verdict = Verdict()
    check_candles(verdict, rows, TRUTH, AT, AT + 180_000)
    return verdict


def test_ticks_when_all_are_there_once_then_the_verdict_is_sound() -> None:
    verdict = judged(ticks(), {(KEY, 1): AT, (KEY, 4): AT})
    assert verdict.sound
    assert (verdict.ticks, verdict.ticks_lost, verdict.ticks_doubled) == (4, 0, 0)


def test_ticks_when_one_is_missing_doubled_or_unpublished_then_it_is_reported() -> None:
    missing = judged([row for row in ticks() if row["sequence"] != 2])
    assert (missing.ticks_lost, missing.sound) == (1, False)
    assert (judged([*ticks(), ticks()[1]]).ticks_doubled) == 1
    assert judged(ticks(), {(KEY, 5): AT + 9}).ticks_lost == 1
    assert judged(ticks()[1:]).sound is False


@pytest.mark.parametrize(("field", "value"), [("traded_volume", 16), ("vtt", 131)])
def test_ticks_when_a_volume_is_not_what_traded_then_it_is_reported(field: str, value: int) -> None:
    rows = ticks()
    rows[2][field] = value
    assert not judged(rows).sound


def test_candles_when_they_are_what_traded_then_the_verdict_is_sound() -> None:
    verdict = judged_candles(candles())
    assert verdict.sound
    assert (verdict.candles, verdict.candles_checked, verdict.candles_wrong) == (3, 2, 0)


def test_candles_when_one_is_wrong_doubled_or_missing_then_it_is_reported() -> None:
    wrong = candles()
    wrong[0]["high"] = 100.5
    assert judged_candles(wrong).candles_wrong == 1
    assert judged_candles([*candles(), candles()[2]]).candles_doubled == 1
    (fault,) = judged_candles([candles()[0], candles()[2]]).faults
    assert "sum to 27, really 37 (-10)" in fault
    less = candles()
    less[1].update(total_volume=9, buy_volume=9)
    assert "(-1)" in judged_candles(less).faults[0]


def test_plan_when_made_then_each_kind_comes_before_any_comes_again_and_a_seed_repeats_it() -> None:
    names = ["a", "b", "c"]
    planned = plan(names, 7, 1)
    assert sorted(planned[:3]) == sorted(planned[3:6]) == names
    assert planned == plan(names, 7, 1)
    assert len(planned) == 7


def test_table_when_a_tick_is_lost_then_it_counts_against_the_fault_that_began_last_before_it() -> None:
    done = [Injected("kill -9 kafka", AT, 1.0, 20.0), Injected("HDFS full 60 s", AT + 90_000, 60.0, None, "stands")]
    verdict = Verdict(harms=[(AT + 5_000, "lost"), (AT + 80_000, "doubled"), (AT + 95_000, "lost"), (AT - 1, "lost")])
    lines = table(done, verdict).splitlines()
    assert "| kill -9 kafka | 1 | 20 | 20 | 0 | 1 | 1 | 0 |" in lines
    assert "| HDFS full 60 s | 1 | – | – | 1 | 1 | 0 | 0 |" in lines


def test_ticks_when_one_is_in_kafka_but_not_stored_then_its_hole_is_counted_once_at_its_time() -> None:
    verdict = judged([row for row in ticks() if row["sequence"] != 2], {(KEY, 2): AT + 7})
    assert (verdict.ticks_lost, verdict.harms) == (1, [(AT + 7, "lost")])


@pytest.mark.parametrize(
    ("batch", "stands"), [(81, True), (0, True), (82, False), (8, False)], ids=["same", "no report", "next", "from the beginning"]
)
def test_standstill_when_a_batch_has_another_number_then_it_is_a_new_one(
    monkeypatch: pytest.MonkeyPatch, batch: int, stands: bool
) -> None:
    rig = object.__new__(Rig)
    now = {"tick storage's batch": batch, "newest update on the dashboard": 2_000, "messages of the feed": 3}
    monkeypatch.setattr(Rig, "progress", lambda _: now)
    assert bool(rig.standstill({"tick storage's batch": 81, "messages of the feed": 500}, 1_000)) is stands
    now["tick storage's batch"] = 82
    assert "newest update" in rig.standstill({}, 2_000)


def levels() -> list[dict[str, Any]]:
    rows = [(0, 10_000, 15), (0, 10_100, 5), (1, 9_950, 10), (2, 9_950, 7)]
    return [
        {
            "instrument": KEY,
            "window_start": f"2025-12-15T09:{15 + minute}:00+05:30",
            "price": price,
            "buy_volume": volume,
            "sell_volume": 0,
            "unclassified_volume": 0,
        }
        for minute, price, volume in rows
    ]


@pytest.mark.parametrize(
    ("rows", "doubled", "wrong"),
    [(levels(), 0, 0), ([*levels(), levels()[0]], 1, 1), (levels()[1:], 0, 1), (levels()[:3], 0, 1)],
)
def test_footprint_when_a_level_is_there_twice_or_missing_then_its_minute_is_wrong(
    rows: list[dict[str, Any]], doubled: int, wrong: int
) -> None:
    verdict = Verdict()
    check_footprint(verdict, rows, candles(), AT, AT + 180_000)
    assert (verdict.levels_doubled, verdict.footprints_wrong) == (doubled, wrong)
    assert verdict.sound is (doubled + wrong == 0)


def test_campaign_when_its_directory_holds_something_else_refuses_to_run_there(tmp_path: Path) -> None:
    own(tmp_path / "new")
    own(tmp_path / "new")
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(SystemExit, match="no campaign's"):
        own(tmp_path)
