"""A stored day against its recomputation, on Hadoop's local file system."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from flow import KEY, OPEN, frame, measures, trade_tick
from fsspec.implementations.local import LocalFileSystem
from orderflow.processing.candles import candle_records, footprint_records
from pyspark.sql import DataFrame, SparkSession

from orderflow.lake.catalogue import report
from orderflow.lake.exchange_candles import ExchangeMinute, backfill_candle
from orderflow.lake.exchange_commands import store_missing
from orderflow.lake.history import History
from orderflow.lake.layout import CANDLES, FOOTPRINT, TICKS, LakeError, Table
from orderflow.lake.maintenance import LakeFiles
from orderflow.lake.outages import replace_outages
from orderflow.market.tick import Bar, Tick
from orderflow.reprocess import reprocess
from orderflow.settings import Settings, load

pytestmark = pytest.mark.spark

DAY = "2025-12-15"


def ticks() -> list[Tick]:
    """The spanning third update belongs to the first minute, as a bar says that came too late for the live candle."""
    late = Bar(OPEN, 99.8, 100.4, 99.7, 100.3, 100, close_vtt=1_100, late=True)
    quote = {"feed_time_ms": OPEN + 600_000, "event_time_ms": OPEN + 600_000}
    return [
        trade_tick(10, 100.0, 50, 1_050, since=5, sequence=1),
        trade_tick(55, 100.2, 30, 1_080, since=10, side="sell", sequence=2),
        trade_tick(62, 100.1, 20, 1_100, since=55, sequence=3),
        trade_tick(70, 99.9, 10, 1_110, since=62, side="sell", sequence=4, bar=late),
        trade_tick(600, 99.9, 0, 1_110, since=70, sequence=5, **quote),
    ]


def settings(root: Path) -> Settings:
    return load({"NAMENODE_URL": f"file://{root}", "AGGRESSOR_RULE": "lee_ready"}, root / "no.env")


def store(root: Path, table: Table, rows: DataFrame) -> None:
    rows.write.mode("append").parquet(f"file://{root}{table.day(DAY)}")


def read(root: Path, table: Table) -> list[dict[str, Any]]:
    files = sorted((root / table.day(DAY)[1:]).glob("*.parquet"))
    rows = [row for file in files for row in pq.read_table(file, partitioning=None).to_pylist()]
    return sorted(rows, key=lambda row: (row["window_start"], row.get("price", 0)))


def stored_day(spark: SparkSession, root: Path, found: list[Tick]) -> None:
    """Store ticks, and what the stream made of them."""
    store(root, TICKS, frame(spark, found))
    live = measures(frame(spark, found), live=True)
    store(root, CANDLES, candle_records(live, 1))
    store(root, FOOTPRINT, footprint_records(live))


def minutes(root: Path) -> list[tuple[str, int, str]]:
    return [(row["window_start"][11:16], row["total_volume"], row["source"]) for row in read(root, CANDLES)]


def levels(root: Path) -> list[tuple[str, int, int]]:
    sides = ("buy_volume", "sell_volume", "unclassified_volume")
    return [(row["window_start"][11:16], row["price"], sum(row[side] for side in sides)) for row in read(root, FOOTPRINT)]


def test_reprocess_when_a_late_bar_moves_volume_then_the_level_it_left_is_removed(spark, tmp_path, capsys) -> None:
    stored_day(spark, tmp_path, ticks())
    assert levels(tmp_path) == [("09:15", 10_000, 50), ("09:15", 10_020, 30), ("09:16", 9_990, 10), ("09:16", 10_010, 20)]

    assert reprocess(spark, settings(tmp_path), DAY, apply=True) == 0

    assert minutes(tmp_path) == [("09:15", 100, "reprocess"), ("09:16", 10, "reprocess")]
    assert levels(tmp_path) == [("09:15", 10_000, 50), ("09:15", 10_010, 20), ("09:15", 10_020, 30), ("09:16", 9_990, 10)]
    assert (
        "4 stored, 4 recomputed: 1 not stored yet, 0 stored only, 0 with other values, 1 to be removed" in capsys.readouterr().out
    )
    reprocess(spark, settings(tmp_path), DAY, apply=True)
    assert "nothing to apply" in capsys.readouterr().out


def test_reprocess_when_a_candle_has_no_ticks_then_it_goes_unless_it_is_backfilled_or_ticks_are_lost(spark, tmp_path) -> None:
    stored_day(spark, tmp_path, ticks())
    moved = [
        trade_tick(120, 99.9, 5, 1_115, since=70, sequence=6),
        trade_tick(900, 99.9, 5, 1_115, since=70, sequence=6),
    ]
    extra = measures(frame(spark, moved))
    store(tmp_path, CANDLES, candle_records(extra, 1))
    store(tmp_path, FOOTPRINT, footprint_records(extra))
    store(tmp_path, CANDLES, candle_records(measures(frame(spark, [trade_tick(190, 99.9, 7, 1_122, since=70)])), 1, "backfill"))

    reprocess(spark, settings(tmp_path), DAY, apply=True)

    assert [(start, source) for start, _, source in minutes(tmp_path)] == [
        ("09:15", "reprocess"),
        ("09:16", "reprocess"),
        ("09:18", "backfill"),
        ("09:30", "stream"),
    ]
    assert [start for start, _, _ in levels(tmp_path)] == ["09:15", "09:15", "09:15", "09:16", "09:30"]


def test_reprocess_when_ticks_of_a_minute_are_lost_then_its_candle_and_levels_stay(spark, tmp_path) -> None:
    stored_day(spark, tmp_path, ticks())
    before = (minutes(tmp_path), levels(tmp_path))
    for file in (tmp_path / TICKS.day(DAY)[1:]).iterdir():
        file.unlink()
    store(tmp_path, TICKS, frame(spark, [tick for tick in ticks() if tick.sequence in (1, 5)]))

    reprocess(spark, settings(tmp_path), DAY, apply=True)

    assert (minutes(tmp_path), levels(tmp_path)) == before


def test_reprocess_when_candles_and_levels_are_stored_twice_then_one_of_each_stays(spark, tmp_path, capsys) -> None:
    stored_day(spark, tmp_path, ticks())
    reprocess(spark, settings(tmp_path), DAY, apply=True)
    once = (minutes(tmp_path), levels(tmp_path))
    repeated = measures(frame(spark, ticks()), live=False)
    store(tmp_path, CANDLES, candle_records(repeated, 1, "backfill"))
    store(tmp_path, FOOTPRINT, footprint_records(repeated))
    capsys.readouterr()

    reprocess(spark, settings(tmp_path), DAY, apply=True)

    assert [(start, volume) for start, volume, _ in minutes(tmp_path)] == [(start, volume) for start, volume, _ in once[0]]
    assert levels(tmp_path) == once[1]
    said = capsys.readouterr().out
    assert "2 stored twice" in said
    assert "4 stored twice" in said


def test_reprocess_when_no_ticks_are_stored_then_says_so(spark, tmp_path) -> None:
    with pytest.raises(LakeError, match="no ticks of 2025-12-15 are stored"):
        reprocess(spark, settings(tmp_path), DAY, apply=True)


def test_backfill_when_an_outage_is_filled_then_its_volume_counts_once_and_reprocess_leaves_it_so(
    spark, tmp_path, capsys
) -> None:
    back = {"gap": True, "feed_time_ms": OPEN + 320_000}
    stored_day(
        spark,
        tmp_path,
        [
            trade_tick(10, 100.0, 50, 1_050, since=5, sequence=1),
            trade_tick(305, 100.2, 400, 1_450, since=10, sequence=2, **back),
            trade_tick(310, 100.3, 30, 1_480, since=305, sequence=3),
            trade_tick(900, 100.3, 0, 1_480, since=310, sequence=4),
        ],
    )
    bars = {0: 90, 1: 100, 3: 200, 5: 90}
    exchange = [ExchangeMinute(OPEN + 60_000 * number, 100.0, 101.0, 99.0, 100.5, volume) for number, volume in bars.items()]
    history = History(LocalFileSystem(), f"{tmp_path}/trading")
    filling = [backfill_candle(KEY, minute) for minute in exchange[1:3]]

    assert store_missing(history, LocalFiles(tmp_path), DAY, filling) == 2
    assert sum(total for _, total, _ in minutes(tmp_path)) == 780
    assert replace_outages(spark, f"file://{tmp_path}", DAY, {KEY: exchange}) == 2

    found = read(tmp_path, CANDLES)
    assert [(row["window_start"][11:16], row["total_volume"], row["source"]) for row in found] == [
        ("09:15", 90, "backfill"),
        ("09:16", 100, "backfill"),
        ("09:18", 200, "backfill"),
        ("09:20", 90, "backfill"),
    ]
    assert [(row["buy_volume"] + row["sell_volume"], row["unclassified_volume"]) for row in found] == [
        (50, 40),
        (0, 100),
        (0, 200),
        (30, 60),
    ]
    assert levels(tmp_path) == [("09:15", 10_000, 50), ("09:20", 10_020, 60), ("09:20", 10_030, 30)]
    assert report(history, DAY).sound
    assert replace_outages(spark, f"file://{tmp_path}", DAY, {KEY: exchange}) == 0
    capsys.readouterr()
    reprocess(spark, settings(tmp_path), DAY, apply=True)
    assert "nothing to apply" in capsys.readouterr().out


class LocalFiles(LakeFiles):
    """Stores files in a local directory."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def add(self, table: Table, date: str, kind: str, content: bytes) -> str:
        (self._root / table.day(date)[1:] / f"{kind}-1.parquet").write_bytes(content)
        return f"{kind}-1.parquet"
