"""A stored day against its recomputation, on Hadoop's local file system."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from flow import flow, frame
from fsspec.implementations.local import LocalFileSystem
from pyspark.sql import DataFrame, SparkSession
from ticks import KEY, OPEN, quiet_tick, trade_tick

from orderflow.lake.backfill import store_missing
from orderflow.lake.catalogue import report
from orderflow.lake.exchange_candles import ExchangeMinute
from orderflow.lake.history import History
from orderflow.lake.layout import CANDLES, FOOTPRINT, TICKS, LakeError, Table
from orderflow.lake.maintenance import LakeFiles
from orderflow.lake.outages import replace_outages
from orderflow.lake.repair import backfill_candle
from orderflow.market.tick import Bar, Tick
from orderflow.processing.reprocess import messages
from orderflow.reprocess import lines, reprocess
from orderflow.settings import Settings, load

pytestmark = pytest.mark.spark

DAY = "2025-12-15"


def ticks() -> list[Tick]:
    """The fourth update spans the end of the second minute, whose bar comes too late for the live candle: all of it is before."""
    late = Bar(OPEN + 60_000, 99.8, 100.4, 99.7, 100.3, 100)
    return [
        trade_tick(50, 100.0, 5, 1_000, since=45, ltq=5, sequence=1),
        trade_tick(61, 100.0, 50, 1_050, since=58, ltq=50, sequence=2),
        trade_tick(110, 100.2, 30, 1_080, since=104, side="sell", sequence=3),
        trade_tick(122, 100.1, 20, 1_100, since=115, ltq=None, sequence=4),
        trade_tick(130, 99.9, 10, 1_110, since=122, side="sell", sequence=5),
        quiet_tick(400, 1_110, last_trade=130, sequence=6),
        quiet_tick(600, 1_110, last_trade=130, sequence=7, bar=late),
    ]


def settings(root: Path) -> Settings:
    return load({"NAMENODE_URL": f"file://{root}", "AGGRESSOR_RULE": "lee_ready"}, root / "no.env")


def store(root: Path, table: Table, rows: DataFrame) -> None:
    rows.write.mode("append").parquet(f"file://{root}{table.day(DAY)}")


def read(root: Path, table: Table) -> list[dict[str, Any]]:
    files = sorted((root / table.day(DAY)[1:]).glob("*.parquet"))
    rows = [row for file in files for row in pq.read_table(file, partitioning=None).to_pylist()]
    return sorted(rows, key=lambda row: (row["window_start"], row.get("price", 0)))


def stored_day(spark: SparkSession, root: Path, day_ticks: list[Tick]) -> None:
    """Store ticks, and what the stream made of them."""
    store(root, TICKS, frame(spark, day_ticks))
    store_flow(root, flow(spark, day_ticks))


def store_flow(root: Path, frames: tuple[DataFrame, DataFrame]) -> None:
    for table, rows in zip((CANDLES, FOOTPRINT), frames, strict=True):
        store(root, table, rows)


def minutes(root: Path) -> list[tuple[str, int, str]]:
    return [(row["window_start"][11:16], row["total_volume"], row["source"]) for row in read(root, CANDLES)]


def levels(root: Path) -> list[tuple[str, int, int]]:
    sides = ("buy_volume", "sell_volume", "unclassified_volume")
    return [(row["window_start"][11:16], row["price"], sum(row[side] for side in sides)) for row in read(root, FOOTPRINT)]


def test_reprocess_when_a_late_bar_moves_volume_then_the_level_it_left_is_removed(spark, tmp_path) -> None:
    stored_day(spark, tmp_path, ticks())
    assert [(start, volume) for start, volume, _ in minutes(tmp_path)] == [("09:15", 5), ("09:16", 80), ("09:17", 30)]
    first, second = [("09:15", 10_000, 5), ("09:16", 10_000, 50)], [("09:16", 10_020, 30), ("09:17", 9_990, 10)]
    assert levels(tmp_path) == [*first, *second, ("09:17", 10_010, 20)]

    results = reprocess(spark, settings(tmp_path), DAY, apply=True)

    assert minutes(tmp_path) == [("09:15", 5, "stream"), ("09:16", 100, "reprocess"), ("09:17", 10, "reprocess")]
    assert levels(tmp_path) == [*first, ("09:16", 10_010, 20), *second]
    assert [(each.table, each.difference.corrections) for each in results] == [("candles", 2), ("footprint", 2)]
    said = [line for line in lines(DAY, results) if line.startswith("footprint")]
    assert said[0].startswith(
        "footprint 2025-12-15: 5 stored, 5 recomputed: 1 not stored yet, 0 stored only, 0 with other values, 1 to be removed"
    )
    assert said[-1].startswith("footprint 2025-12-15: applied, Rewritten(")
    again = reprocess(spark, settings(tmp_path), DAY, apply=True)
    assert [each.rewritten for each in again] == [None, None]
    assert list(lines(DAY, again))[-1] == "nothing to apply"


def test_reprocess_when_not_applied_then_says_what_it_would_change_and_leaves_the_day(spark, tmp_path) -> None:
    stored_day(spark, tmp_path, ticks())
    before = (minutes(tmp_path), levels(tmp_path))

    results = reprocess(spark, settings(tmp_path), DAY, apply=False)

    assert [each.difference.corrections for each in results] == [2, 2]
    assert list(lines(DAY, results))[-1] == "not applied: leave out --dry-run to apply it"
    assert (minutes(tmp_path), levels(tmp_path)) == before


def test_messages_when_a_day_has_many_ticks_then_no_task_takes_much_longer_than_ten_seconds(spark, tmp_path) -> None:
    published = messages(frame(spark, ticks()), 450_000, settings(tmp_path), (1,))
    assert published.rdd.getNumPartitions() == 3


def test_reprocess_when_levels_were_stored_before_price_unit_then_they_are_the_same(spark, tmp_path) -> None:
    stored_ticks = ticks()[:-1]
    store(tmp_path, TICKS, frame(spark, stored_ticks))
    candles, levels_now = flow(spark, stored_ticks)
    store(tmp_path, CANDLES, candles)
    store(tmp_path, FOOTPRINT, levels_now.drop("price_unit"))
    _, levels_found = reprocess(spark, settings(tmp_path), DAY, apply=False)
    assert str(levels_found.difference).startswith("5 stored, 5 recomputed: 0 not stored yet, 0 stored only, 0 with other values")


def test_reprocess_when_a_candle_has_no_ticks_then_it_goes_unless_it_is_backfilled_or_ticks_are_lost(spark, tmp_path) -> None:
    stored_day(spark, tmp_path, ticks())
    for second in (200, 900):
        store_flow(tmp_path, flow(spark, [trade_tick(second, 99.9, 5, 1_115, since=130, sequence=6)]))
    store(tmp_path, CANDLES, flow(spark, [trade_tick(250, 99.9, 7, 1_122, since=130)], source="backfill")[0])

    reprocess(spark, settings(tmp_path), DAY, apply=True)

    assert [(start, source) for start, _, source in minutes(tmp_path)] == [
        ("09:15", "stream"),
        ("09:16", "reprocess"),
        ("09:17", "reprocess"),
        ("09:19", "backfill"),
        ("09:30", "stream"),
    ]
    assert [start for start, _, _ in levels(tmp_path)] == ["09:15", "09:16", "09:16", "09:16", "09:17", "09:30"]


def test_reprocess_when_ticks_of_a_minute_are_lost_then_its_candle_and_levels_stay(spark, tmp_path) -> None:
    stored_day(spark, tmp_path, ticks())
    before = (minutes(tmp_path), levels(tmp_path))
    for file in (tmp_path / TICKS.day(DAY)[1:]).iterdir():
        file.unlink()
    store(tmp_path, TICKS, frame(spark, [tick for tick in ticks() if tick.sequence in (1, 7)]))

    reprocess(spark, settings(tmp_path), DAY, apply=True)

    assert (minutes(tmp_path), levels(tmp_path)) == before


def test_reprocess_when_candles_and_levels_are_stored_twice_then_one_of_each_stays(spark, tmp_path) -> None:
    stored_day(spark, tmp_path, ticks())
    reprocess(spark, settings(tmp_path), DAY, apply=True)
    once = (minutes(tmp_path), levels(tmp_path))
    store_flow(tmp_path, flow(spark, ticks(), source="backfill", live=False))

    results = reprocess(spark, settings(tmp_path), DAY, apply=True)

    assert [(start, volume) for start, volume, _ in minutes(tmp_path)] == [(start, volume) for start, volume, _ in once[0]]
    assert levels(tmp_path) == once[1]
    assert [each.difference.doubled for each in results] == [3, 5]


def test_reprocess_when_no_ticks_are_stored_then_says_so(spark, tmp_path) -> None:
    with pytest.raises(LakeError, match="no ticks of 2025-12-15 are stored"):
        reprocess(spark, settings(tmp_path), DAY, apply=True)


def test_backfill_when_an_outage_is_filled_then_its_volume_counts_once_and_reprocess_leaves_it_so(spark, tmp_path) -> None:
    back = {"gap": True, "feed_time_ms": OPEN + 320_000}
    stored_day(
        spark,
        tmp_path,
        [
            trade_tick(10, 100.0, 50, 1_050, since=5, sequence=1),
            trade_tick(305, 100.2, 400, 1_450, since=10, sequence=2, **back),
            trade_tick(310, 100.3, 30, 1_480, since=305, sequence=3),
            quiet_tick(900, 1_480, last_trade=310, sequence=4),
        ],
    )
    bars = {0: 90, 1: 100, 3: 200, 5: 90}
    exchange = [ExchangeMinute(OPEN + 60_000 * number, 100.0, 101.0, 99.0, 100.5, volume) for number, volume in bars.items()]
    history = History(LocalFileSystem(), f"{tmp_path}/trading")
    filling = [backfill_candle(KEY, minute) for minute in exchange[1:3]]

    assert store_missing(history, LocalFiles(tmp_path), DAY, filling) == 2
    assert sum(total for _, total, _ in minutes(tmp_path)) == 780
    assert replace_outages(spark, f"file://{tmp_path}", DAY, {KEY: exchange}) == 2

    candles = read(tmp_path, CANDLES)
    assert [(row["window_start"][11:16], row["total_volume"], row["source"]) for row in candles] == [
        ("09:15", 90, "backfill"),
        ("09:16", 100, "backfill"),
        ("09:18", 200, "backfill"),
        ("09:20", 90, "backfill"),
    ]
    assert [(row["buy_volume"] + row["sell_volume"], row["unclassified_volume"]) for row in candles] == [
        (50, 40),
        (0, 100),
        (0, 200),
        (30, 60),
    ]
    assert levels(tmp_path) == [("09:15", 10_000, 50), ("09:20", 10_020, 60), ("09:20", 10_030, 30)]
    assert report(history, DAY).sound
    assert replace_outages(spark, f"file://{tmp_path}", DAY, {KEY: exchange}) == 0
    assert [each.rewritten for each in reprocess(spark, settings(tmp_path), DAY, apply=True)] == [None, None]


class LocalFiles(LakeFiles):
    """Stores files in a local directory."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def add(self, table: Table, date: str, kind: str, content: bytes) -> str:
        (self._root / table.day(date)[1:] / f"{kind}-1.parquet").write_bytes(content)
        return f"{kind}-1.parquet"
