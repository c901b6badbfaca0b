"""The close of a day with real Spark, on Hadoop's local file system: late volume, files and verdict."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
from fsspec.implementations.local import LocalFileSystem
from test_lake_reprocess import DAY, levels, minutes, settings, stored_day, ticks
from ticks import OPEN

from orderflow.day_close import SparkSteps
from orderflow.lake import facts
from orderflow.lake.day_close import DayClose, LastSeen
from orderflow.lake.history import History
from orderflow.lake.layout import TABLES
from orderflow.reprocess import reprocess

pytestmark = pytest.mark.spark


class Kept:
    """Writes below a local directory."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def write_text(self, name: str, text: str) -> None:
        (self.root / "trading" / name).write_text(text)


def test_close_when_a_bar_came_late_then_the_day_is_corrected_merged_verified_and_kept_once(spark, tmp_path) -> None:
    stored_day(spark, tmp_path, ticks())
    steps = SparkSteps(spark, settings(tmp_path))
    history = History(LocalFileSystem(), f"{tmp_path}/trading")
    changed_ms = max(facts.changed(history)[DAY].values())
    now = changed_ms + 16 * 60_000
    close = DayClose(history, Kept(tmp_path), steps, now_ms=lambda: now)
    (seen,) = steps.last_seen(DAY)
    assert seen == LastSeen(ticks()[0].instrument_key, OPEN + 600_000, ticks()[0].session_end_ms)

    close()

    assert minutes(tmp_path) == [("09:15", 5, "stream"), ("09:16", 100, "reprocess"), ("09:17", 10, "reprocess")]
    assert ("09:17", 10_010, 20) not in levels(tmp_path)
    names = {
        table.name: [file.name[:8] for file in (tmp_path / table.day(DAY)[1:]).glob("*.parquet")] for table in TABLES.values()
    }
    assert names == {name: ["compact-"] for name in ("ticks", "candles", "footprint")}
    day = facts.catalogue(history)[DAY]
    assert (day.verdict, day.closed) == (facts.Verdict(True, 1, 0), facts.Closed(now, {"candles": 2, "footprint": 2}))
    assert (day.ticks, day.candles, day.changed) == (7, 3, facts.changed(history)[DAY])
    before = (tmp_path / "trading" / "_catalogue.json").stat().st_mtime_ns
    now += 60 * 60_000
    close()
    assert (tmp_path / "trading" / "_catalogue.json").stat().st_mtime_ns == before


def test_reprocess_when_trading_of_today_is_over_then_its_last_minutes_are_recomputed_too(spark, tmp_path, monkeypatch) -> None:
    stored_day(spark, tmp_path, ticks()[:5])
    monkeypatch.setattr("orderflow.reprocess.time", SimpleNamespace(time=lambda: (OPEN + 700_000) / 1000))

    differences = [reprocess(spark, settings(tmp_path), DAY, apply=False, over=over)[0].difference for over in (False, True)]

    assert [(each.stored, each.recomputed) for each in differences] == [(3, 0), (3, 3)]
