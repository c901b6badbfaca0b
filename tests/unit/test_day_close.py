"""When a stored day is closed by itself, what is then done, and what is kept of it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import pytest
from fsspec.implementations.local import LocalFileSystem
from prometheus_client import REGISTRY
from test_lake_history import DAY, NEXT_DAY, OPEN_MS, TCS, candle, level, tick, write

from orderflow.lake import facts
from orderflow.lake.archive import DayArchive
from orderflow.lake.day_close import DayClose, LastSeen, over_ms
from orderflow.lake.history import History
from orderflow.lake.layout import CANDLES, FOOTPRINT, TICKS, LakeError
from orderflow.market.calendar import SessionCalendar
from orderflow.market.closed_day import ClosedDay
from orderflow.market.times import MINUTE_MS

HOUR_MS = 60 * MINUTE_MS
MIDNIGHT = OPEN_MS - 555 * MINUTE_MS
LAST_STORED = MIDNIGHT + 992 * MINUTE_MS
"""16:32, when the candle of what traded after the close is stored."""
DUE = LAST_STORED + 10 * MINUTE_MS
MCX = "MCX_FO|426261"


class Lake:
    """A day in a local directory, and the steps of its close, which leave the files as they are but for what a test asks."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.history = History(LocalFileSystem(), f"{root}/trading")
        self.done: list[str] = []
        self.corrected: Mapping[str, int] = {"candles": 0, "footprint": 0}
        self.instruments = [TCS]
        self.failure: Exception | None = None

    def last_seen(self, date: str) -> list[LastSeen]:
        return [LastSeen(key, OPEN_MS + 2_000, OPEN_MS + 375 * MINUTE_MS) for key in self.instruments]

    def reprocess(self, date: str) -> Mapping[str, int]:
        self.done.append(f"reprocess {date}")
        if self.failure is not None:
            raise self.failure
        return self.corrected

    def compact(self, date: str) -> None:
        self.done.append(f"compact {date}")
        write(self.root, TICKS, date, "compact-1.parquet", [tick(2)])
        self.changed(date, DUE + 1_000)

    def write_text(self, name: str, text: str) -> None:
        (self.root / "trading" / name).write_text(text)

    def changed(self, date: str, at_ms: int) -> None:
        """Set when the date's directories last changed."""
        for table in (TICKS, CANDLES, FOOTPRINT):
            directory = self.root / table.day(date)[1:]
            if directory.exists():
                os.utime(directory, (at_ms / 1000, at_ms / 1000))

    def close(self, at_ms: int) -> DayClose:
        """Have a new process look at `at_ms`."""
        day_close = DayClose(self.history, self, self, now_ms=lambda: at_ms)
        day_close()
        return day_close


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    lake = Lake(tmp_path)
    write(tmp_path, TICKS, DAY, "a.parquet", [tick(1)])
    whole = {"buy_volume": 120, "sell_volume": 80, "total_volume": 200, "delta": 40, "tick_volume": 200}
    write(tmp_path, CANDLES, DAY, "a.parquet", [candle(0, **whole)])
    write(tmp_path, FOOTPRINT, DAY, "a.parquet", [level(TCS, 120, 80)])
    lake.changed(DAY, LAST_STORED)
    return lake


def test_close_when_trading_is_over_and_nothing_was_stored_for_a_quarter_of_an_hour_then_the_result_is_kept(lake, caplog) -> None:
    lake.corrected = {"candles": 2, "footprint": 3}
    with caplog.at_level("INFO"):
        lake.close(DUE - 1)
        assert lake.done == []
        lake.close(DUE)

    assert lake.done == [f"reprocess {DAY}", f"compact {DAY}"]
    assert caplog.messages[-1] == (
        f"{DAY} is closed: 2 ticks of 1 instruments; corrected: 2 rows of candles, 3 rows of footprint; sound"
    )
    day = facts.catalogue(lake.history)[DAY]
    assert (day.verdict, day.closed) == (facts.Verdict(True, 1, 0), facts.Closed(DUE, {"candles": 2, "footprint": 3}))
    assert day.changed == {"ticks": DUE + 1_000, "candles": DUE + 1_000, "footprint": DUE + 1_000}
    assert DayArchive(lake.history, "split").closed_days() == {DAY: ClosedDay(DUE, True, {"candles": 2, "footprint": 3})}
    assert REGISTRY.get_sample_value("orderflow_day_sound", {"date": DAY}) == 1
    assert REGISTRY.get_sample_value("orderflow_day_closed_timestamp_seconds") == DUE / 1000


def test_close_when_trading_is_not_over_then_waits_though_nothing_is_stored(lake) -> None:
    noon = MIDNIGHT + 720 * MINUTE_MS
    lake.changed(DAY, noon)
    lake.close(noon + 3 * HOUR_MS)
    assert lake.done == []


def test_close_when_done_then_never_again_also_by_a_new_process(lake) -> None:
    first = lake.close(DUE)
    first()
    lake.close(DUE + 20 * HOUR_MS)
    assert lake.done == [f"reprocess {DAY}", f"compact {DAY}"]


def test_close_when_the_date_changes_after_it_then_it_is_closed_again_once_idle(lake) -> None:
    lake.close(DUE)
    later = DUE + 2 * HOUR_MS
    write(lake.root, TICKS, DAY, "late.parquet", [tick(4)])
    lake.changed(DAY, later)
    lake.close(later + 9 * MINUTE_MS)
    assert len(lake.done) == 2

    lake.close(later + 10 * MINUTE_MS)

    assert lake.done[2:] == [f"reprocess {DAY}", f"compact {DAY}"]
    assert facts.catalogue(lake.history)[DAY].verdict == facts.Verdict(False, 1, 0)


def test_close_when_the_application_was_down_over_the_close_then_the_day_is_closed_at_the_next_start(lake) -> None:
    lake.close(MIDNIGHT + 32 * HOUR_MS)
    assert lake.done == [f"reprocess {DAY}", f"compact {DAY}"]


def test_close_when_it_was_killed_after_reprocessing_then_the_next_process_does_all_of_it(lake, monkeypatch) -> None:
    def killed(date: str) -> None:
        raise SystemExit(9)

    with monkeypatch.context() as patch:
        patch.setattr(lake, "compact", killed)
        with pytest.raises(SystemExit):
            lake.close(DUE)
    assert facts.catalogue(lake.history) == {}

    lake.close(DUE + MINUTE_MS)

    assert lake.done == [f"reprocess {DAY}", f"reprocess {DAY}", f"compact {DAY}"]
    assert facts.catalogue(lake.history)[DAY].closed is not None


def test_close_when_a_date_fails_then_it_is_tried_again_and_the_others_are_closed(lake, caplog) -> None:
    write(lake.root, TICKS, NEXT_DAY, "a.parquet", [tick(1)])
    lake.changed(NEXT_DAY, DUE)
    now = MIDNIGHT + 2 * 24 * HOUR_MS
    before = REGISTRY.get_sample_value("orderflow_day_close_failures_total")
    lake.failure = LakeError("no DataNode answers")
    day_close = DayClose(lake.history, lake, lake, now_ms=lambda: now)

    day_close()

    assert lake.done == [f"reprocess {NEXT_DAY}", f"reprocess {DAY}"]
    assert REGISTRY.get_sample_value("orderflow_day_close_failures_total") == before + 2
    assert f"{DAY} could not be closed and is tried again in 15 minutes" in caplog.messages
    lake.failure = None
    now += 14 * MINUTE_MS
    day_close()
    assert len(lake.done) == 2
    now += MINUTE_MS
    day_close()
    assert lake.done[2:] == [f"reprocess {NEXT_DAY}", f"compact {NEXT_DAY}", f"reprocess {DAY}", f"compact {DAY}"]


def test_close_when_the_day_is_not_sound_then_log_and_metric_say_so(lake, caplog) -> None:
    write(lake.root, TICKS, DAY, "a.parquet", [tick(1), tick(5)])
    lake.changed(DAY, LAST_STORED)

    lake.close(DUE)

    assert caplog.messages[-1] == (
        f"{DAY} is closed: 3 ticks of 1 instruments; corrected: nothing; NOT SOUND ({TCS}): "
        f"python -m orderflow lake verify --date {DAY}"
    )
    assert REGISTRY.get_sample_value("orderflow_day_sound", {"date": DAY}) == 0


def test_close_when_a_date_last_changed_more_than_a_week_ago_then_an_upgrade_leaves_it(lake) -> None:
    lake.close(LAST_STORED + 7 * 24 * HOUR_MS + 1)
    assert lake.done == []
    lake.close(LAST_STORED + 7 * 24 * HOUR_MS)
    assert lake.done == [f"reprocess {DAY}", f"compact {DAY}"]


@pytest.mark.parametrize(
    ("keys", "date", "session_end", "over"),
    [
        ([TCS], "2025-12-15", 930, 990),
        ([TCS, MCX], "2025-12-15", 930, 1_495),
        ([MCX], "2026-07-15", 930, 1_470),
        ([TCS], "2025-12-15", 1_020, 1_080),
        ([TCS], "2025-12-14", 0, 1_020),
    ],
    ids=["shares", "MCX to 23:55 in winter", "MCX to 23:30 in summer", "the feed announced 17:00", "no forecast: last tick"],
)
def test_over_when_segments_differ_then_the_last_one_counts_and_what_the_feed_announced(keys, date, session_end, over) -> None:
    calendar = SessionCalendar()
    midnight = calendar.day("NSE_EQ", date).midnight_ms
    last_tick = 960
    seen = [LastSeen(key, midnight + last_tick * MINUTE_MS, midnight + session_end * MINUTE_MS) for key in keys]
    assert over_ms(calendar, date, seen) == midnight + over * MINUTE_MS


def test_facts_when_an_earlier_version_wrote_them_then_the_date_counts_as_not_closed() -> None:
    day = facts.DayFacts(DAY, {"ticks": 1}, 1, 1, 1, 1, 1, 1, 1, facts.Verdict(True, 1, 0), facts.Closed(5, {"candles": 1}))
    text = facts.to_json({DAY: day})
    assert facts.from_json(text) == {DAY: day}
    earlier = text.replace(', "closed": {"at_ms": 5, "corrected": {"candles": 1}}', "")
    assert earlier != text
    assert facts.from_json(earlier)[DAY].closed is None
