"""Compaction and replacement of a day, beside a sink that goes on storing, on Hadoop's local file system."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from lake_rows import INFY, TCS, batch, file_names, sink, stored, tick

from orderflow.lake.compaction import DayRewriter, StoredMeanwhileError, Upkeep
from orderflow.lake.layout import CANDLES, FOOTPRINT, TABLES, TICKS, LakeError

pytestmark = pytest.mark.spark

DAY = "2025-12-15"


def rewriter(spark, root: Path) -> DayRewriter:
    return DayRewriter(spark, f"file://{root}", sleep=lambda _: None)


def test_compact_when_day_has_small_files_then_one_sorted_file_holds_the_same_rows(spark, tmp_path) -> None:
    write = sink(spark, tmp_path)
    write(batch(spark, TICKS, tick(1, 1), tick(2, 1, INFY)), 0)
    write(batch(spark, TICKS, tick(3, 2), tick(4, 2, INFY)), 1)

    result = rewriter(spark, tmp_path).compact(TICKS, DAY)

    assert result is not None
    assert (result.files_before, result.files_after, result.rows) == (2, 1, 4)
    (name,) = [name for name in file_names(tmp_path) if name.endswith(".parquet")]
    in_file = pq.read_table(tmp_path / TICKS.day(DAY)[1:] / name, partitioning=None)
    keys = zip(in_file.column("instrument_key").to_pylist(), in_file.column("sequence").to_pylist(), strict=True)
    assert list(keys) == [(INFY, 1), (INFY, 2), (TCS, 1), (TCS, 2)]
    covered = json.loads((tmp_path / TICKS.day(DAY)[1:] / "_covered.json").read_text())
    assert covered == {"covered": {"upstox_ticks-0a1b2c3d-p0": [[1, 4]]}}
    assert rewriter(spark, tmp_path).compact(TICKS, DAY) is None


def test_sink_when_day_was_compacted_then_skips_the_covered_offsets_and_repeats(spark, tmp_path) -> None:
    write = sink(spark, tmp_path)
    write(batch(spark, TICKS, tick(1, 1), tick(2, 2)), 0)
    write(batch(spark, TICKS, tick(3, 3)), 1)
    rewriter(spark, tmp_path).compact(TICKS, DAY)

    write(batch(spark, TICKS, tick(2, 2), tick(3, 3), tick(4, 4), tick(5, 1)), 2)
    sink(spark, tmp_path)(batch(spark, TICKS, tick(1, 1), tick(2, 2), tick(6, 5)), 0)

    assert stored(tmp_path) == [(TCS, 1), (TCS, 2), (TCS, 3), (TCS, 4), (TCS, 5)]


def test_compact_when_sink_commits_during_it_then_the_new_file_stays(spark, tmp_path, monkeypatch) -> None:
    write = sink(spark, tmp_path)
    write(batch(spark, TICKS, tick(1, 1)), 0)
    compacting = rewriter(spark, tmp_path)
    replace = compacting._swaps.replace

    def commit_then_replace(*arguments) -> bool:
        write(batch(spark, TICKS, tick(2, 2)), 1)
        return replace(*arguments)

    monkeypatch.setattr(compacting._swaps, "replace", commit_then_replace)
    compacting.compact(TICKS, DAY)

    assert stored(tmp_path) == [(TCS, 1), (TCS, 2)]
    assert "upstox_ticks-0a1b2c3d-p0_2-2.parquet" in file_names(tmp_path)


def test_compact_when_another_compaction_was_faster_then_its_result_stands(spark, tmp_path, monkeypatch) -> None:
    sink(spark, tmp_path)(batch(spark, TICKS, tick(1, 1), tick(2, 2)), 0)
    slow = rewriter(spark, tmp_path)
    replace = slow._swaps.replace

    def be_overtaken(*arguments) -> bool:
        rewriter(spark, tmp_path).compact(TICKS, DAY)
        return replace(*arguments)

    monkeypatch.setattr(slow._swaps, "replace", be_overtaken)
    with pytest.raises(LakeError, match="rewritten by another process"):
        slow.compact(TICKS, DAY)

    assert stored(tmp_path) == [(TCS, 1), (TCS, 2)]
    assert not list((tmp_path / "trading/_staging/compact").iterdir())


def test_compact_when_the_covered_offsets_are_unreadable_then_says_what_to_do_and_leaves_nothing_behind(spark, tmp_path) -> None:
    write = sink(spark, tmp_path)
    write(batch(spark, TICKS, tick(1, 1)), 0)
    covered = tmp_path / TICKS.day(DAY)[1:] / "_covered.json"
    covered.write_text("{")

    with pytest.raises(LakeError, match=r"/trading/ticks/date=2025-12-15/_covered.json is not readable .* or delete it"):
        rewriter(spark, tmp_path).compact(TICKS, DAY)
    assert not list((tmp_path / "trading/_staging/compact").iterdir())

    covered.unlink()
    rewriter(spark, tmp_path).compact(TICKS, DAY)
    write(batch(spark, TICKS, tick(1, 1), tick(2, 2)), 1)
    assert stored(tmp_path) == [(TCS, 1), (TCS, 2)]


def test_replace_when_day_is_recomputed_then_only_new_rows_remain_and_a_retry_adds_none(spark, tmp_path) -> None:
    old = batch(spark, TICKS, tick(1, 1), tick(2, 2))
    sink(spark, tmp_path)(old, 0)

    rewriter(spark, tmp_path).replace(TICKS, DAY, batch(spark, TICKS, tick(0, 7), tick(0, 8)))
    sink(spark, tmp_path)(old, 0)

    assert stored(tmp_path) == [(TCS, 7), (TCS, 8)]


def test_replace_when_sink_stores_one_of_the_rows_meanwhile_then_it_is_refused_and_the_day_stays(spark, tmp_path) -> None:
    write = sink(spark, tmp_path)
    write(batch(spark, TICKS, tick(1, 1)), 0)
    recomputing = rewriter(spark, tmp_path)
    recomputing.rows(TICKS, DAY)
    write(batch(spark, TICKS, tick(2, 2)), 1)

    with pytest.raises(StoredMeanwhileError, match="storage is behind"):
        recomputing.replace(TICKS, DAY, batch(spark, TICKS, tick(0, 1), tick(0, 2)))

    assert stored(tmp_path) == [(TCS, 1), (TCS, 2)]
    assert not list((tmp_path / "trading/_staging/compact").iterdir())


def test_replace_when_sink_stores_other_rows_at_any_moment_then_both_stay(spark, tmp_path, monkeypatch) -> None:
    write = sink(spark, tmp_path)
    write(batch(spark, TICKS, tick(1, 1)), 0)
    recomputing = rewriter(spark, tmp_path)
    recomputing.rows(TICKS, DAY)
    write(batch(spark, TICKS, tick(2, 2)), 1)
    replace, commits = recomputing._swaps.replace, iter([True])

    def commit_then_replace(*arguments) -> bool:
        if next(commits, False):
            write(batch(spark, TICKS, tick(3, 3)), 2)
        return replace(*arguments)

    monkeypatch.setattr(recomputing._swaps, "replace", commit_then_replace)
    recomputing.replace(TICKS, DAY, batch(spark, TICKS, tick(0, 1), tick(0, 7)))

    assert stored(tmp_path) == [(TCS, 1), (TCS, 2), (TCS, 3), (TCS, 7)]


def test_upkeep_when_day_is_idle_then_compacts_it_and_otherwise_waits(spark, tmp_path) -> None:
    sink(spark, tmp_path)(batch(spark, TICKS, tick(1, 1)), 0)
    changed_ms = int((tmp_path / TICKS.day(DAY)[1:]).stat().st_mtime * 1000)

    Upkeep(spark, f"file://{tmp_path}", (TICKS,), now_ms=lambda: changed_ms + 60_000)()
    soon = file_names(tmp_path)
    Upkeep(spark, f"file://{tmp_path}", (TICKS,), now_ms=lambda: changed_ms + 16 * 60_000)()

    assert soon == ["upstox_ticks-0a1b2c3d-p0_1-1.parquet"]
    assert [name[:8] for name in file_names(tmp_path)] == ["_covered", "compact-"]


def test_compact_when_part_of_the_day_was_merged_before_then_only_what_is_new_is_rewritten(spark, tmp_path) -> None:
    write, day = sink(spark, tmp_path), tmp_path / TICKS.day(DAY)[1:]
    write(batch(spark, TICKS, tick(1, 1), tick(2, 2)), 0)
    rewriter(spark, tmp_path).compact(TICKS, DAY)
    (first,) = day.glob("*.parquet")
    written_at = first.stat().st_mtime_ns
    write(batch(spark, TICKS, tick(3, 3)), 1)
    write(batch(spark, TICKS, tick(4, 4)), 2)

    result = rewriter(spark, tmp_path).compact(TICKS, DAY)

    assert result is not None
    assert (result.files_before, result.rows) == (2, 2)
    assert len(list(day.glob("*.parquet"))) == 2
    assert first.stat().st_mtime_ns == written_at
    assert stored(tmp_path) == [(TCS, 1), (TCS, 2), (TCS, 3), (TCS, 4)]
    assert json.loads((day / "_covered.json").read_text()) == {"covered": {"upstox_ticks-0a1b2c3d-p0": [[1, 4]]}}


def test_upkeep_when_files_were_replaced_then_keeps_them_for_the_hours_that_are_set(spark, tmp_path) -> None:
    sink(spark, tmp_path)(batch(spark, TICKS, tick(1, 1)), 0)
    rewriter(spark, tmp_path).compact(TICKS, DAY)
    trash = tmp_path / "trading/_staging/trash"
    (kept,) = trash.iterdir()
    assert [path.name for path in kept.glob("*.parquet")] == ["upstox_ticks-0a1b2c3d-p0_1-1.parquet"]
    replaced_ms = int(kept.stat().st_mtime * 1000)

    def upkeep(hours: float) -> None:
        Upkeep(spark, f"file://{tmp_path}", (TICKS,), trash_hours=24, now_ms=lambda: replaced_ms + int(hours * 3_600_000))()

    upkeep(23.9)
    assert kept.exists()
    upkeep(24.1)
    assert not kept.exists()
    assert stored(tmp_path) == [(TCS, 1)]


def test_upkeep_when_the_day_is_todays_then_a_quiet_quarter_of_an_hour_is_not_its_end(spark, tmp_path) -> None:
    sink(spark, tmp_path)(batch(spark, TICKS, tick(1, 1)), 0)
    day = tmp_path / TICKS.day(DAY)[1:]
    noon_ms = 1_765_780_200_000  # 2025-12-15 12:00 IST
    os.utime(day, ns=(noon_ms * 1_000_000, noon_ms * 1_000_000))

    Upkeep(spark, f"file://{tmp_path}", (TICKS,), now_ms=lambda: noon_ms + 59 * 60_000)()
    assert file_names(tmp_path) == ["upstox_ticks-0a1b2c3d-p0_1-1.parquet"]
    Upkeep(spark, f"file://{tmp_path}", (TICKS,), now_ms=lambda: noon_ms + 61 * 60_000)()
    assert [name[:8] for name in file_names(tmp_path)] == ["_covered", "compact-"]


def test_upkeep_when_limits_are_set_then_deletes_the_oldest_dates_of_every_table_and_never_the_newest(spark, tmp_path) -> None:
    dates = ["2025-12-12", "2025-12-13", "2025-12-15", "2025-12-16"]
    for table in (TICKS, CANDLES, FOOTPRINT):
        for date in dates:
            (tmp_path / table.day(date)[1:]).mkdir(parents=True)
            (tmp_path / table.day(date)[1:] / "compact-1-00000.parquet").write_bytes(b"x" * 100)

    def left() -> list[list[str]]:
        return [sorted(path.name[5:] for path in (tmp_path / table.directory[1:]).iterdir()) for table in TABLES.values()]

    def upkeep(**limits: int) -> None:
        Upkeep(spark, f"file://{tmp_path}", (TICKS,), now_ms=lambda: 1_765_878_000_000, **limits)()

    upkeep()
    assert left() == [dates] * 3
    upkeep(keep_days=4)
    assert left() == [dates[1:]] * 3
    upkeep(keep_bytes=600)
    assert left() == [dates[2:]] * 3
    upkeep(keep_days=1, keep_bytes=1)
    assert left() == [dates[3:]] * 3


def test_upkeep_when_hdfs_does_not_answer_then_storing_goes_on(spark, tmp_path, monkeypatch) -> None:
    upkeep = Upkeep(spark, f"file://{tmp_path}", (TICKS,))

    def fail(_: str) -> None:
        raise OSError("no NameNode")

    monkeypatch.setattr(upkeep._files, "files", fail)

    upkeep()


def test_upkeep_when_a_deletion_fails_then_the_next_call_tries_again(spark, tmp_path, monkeypatch) -> None:
    for date in ("2025-12-15", "2025-12-16"):
        (tmp_path / TICKS.day(date)[1:]).mkdir(parents=True)
    upkeep = Upkeep(spark, f"file://{tmp_path}", (TICKS,), keep_days=1, now_ms=lambda: 1_765_878_000_000)
    delete, failures = upkeep._files.delete, iter([OSError("no NameNode")])

    def fail_once(path: str) -> None:
        for failure in failures:
            raise failure
        delete(path)

    monkeypatch.setattr(upkeep._files, "delete", fail_once)
    upkeep()
    assert (tmp_path / TICKS.day("2025-12-15")[1:]).exists()
    upkeep()
    assert not (tmp_path / TICKS.day("2025-12-15")[1:]).exists()


def test_upkeep_when_the_owner_of_a_swap_died_then_brings_the_day_back(spark, tmp_path) -> None:
    sink(spark, tmp_path)(batch(spark, TICKS, tick(1, 1), tick(2, 2)), 0)
    dying = rewriter(spark, tmp_path)
    rename = dying._swaps._files.rename

    def die_after_the_day_is_away(source: str, target: str) -> bool:
        done = rename(source, target)
        if source == TICKS.day(DAY):
            raise OSError("killed")
        return done

    dying._swaps._files.rename = die_after_the_day_is_away
    with pytest.raises(OSError, match="killed"):
        dying.compact(TICKS, DAY)
    assert not (tmp_path / TICKS.day(DAY)[1:]).exists()
    marked_ms = int((tmp_path / "trading/_staging/swaps/ticks-2025-12-15.json").stat().st_mtime * 1000)

    Upkeep(spark, f"file://{tmp_path}", (TICKS,), now_ms=lambda: marked_ms + 7_000).finish_swaps()
    assert not (tmp_path / TICKS.day(DAY)[1:]).exists()
    Upkeep(spark, f"file://{tmp_path}", (TICKS,), now_ms=lambda: marked_ms + 10_000).finish_swaps()

    assert stored(tmp_path) == [(TCS, 1), (TCS, 2)]
