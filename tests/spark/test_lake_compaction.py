"""Compaction and replacement of a day, beside a sink that goes on storing, on Hadoop's local file system."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from lake_rows import INFY, TCS, batch, file_names, sink, stored, tick

from orderflow.lake.compaction import DayRewriter, Upkeep
from orderflow.lake.layout import TICKS, LakeError

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
    with pytest.raises(LakeError, match="rewritten by someone else"):
        slow.compact(TICKS, DAY)

    assert stored(tmp_path) == [(TCS, 1), (TCS, 2)]
    assert not list((tmp_path / "trading/_staging/compact").iterdir())


def test_replace_when_day_is_recomputed_then_only_new_rows_remain_and_a_retry_adds_none(spark, tmp_path) -> None:
    old = batch(spark, TICKS, tick(1, 1), tick(2, 2))
    sink(spark, tmp_path)(old, 0)

    rewriter(spark, tmp_path).replace(TICKS, DAY, batch(spark, TICKS, tick(0, 7), tick(0, 8)))
    sink(spark, tmp_path)(old, 0)

    assert stored(tmp_path) == [(TCS, 7), (TCS, 8)]


def test_upkeep_when_day_is_idle_then_compacts_it_and_otherwise_waits(spark, tmp_path) -> None:
    sink(spark, tmp_path)(batch(spark, TICKS, tick(1, 1)), 0)
    changed_ms = int((tmp_path / TICKS.day(DAY)[1:]).stat().st_mtime * 1000)

    Upkeep(spark, f"file://{tmp_path}", (TICKS,), now_ms=lambda: changed_ms + 60_000)()
    soon = file_names(tmp_path)
    Upkeep(spark, f"file://{tmp_path}", (TICKS,), now_ms=lambda: changed_ms + 16 * 60_000)()

    assert soon == ["upstox_ticks-0a1b2c3d-p0_1-1.parquet"]
    assert [name[:8] for name in file_names(tmp_path)] == ["_covered", "compact-"]
