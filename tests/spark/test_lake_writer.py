"""The sink stores each row exactly once, on Hadoop's local file system."""

from __future__ import annotations

import json

import pyarrow.parquet as pq
import pytest
from lake_rows import INFY, TCS, batch, file_names, sink, stored, tick

from orderflow.lake.compaction import DayRewriter
from orderflow.lake.layout import CANDLES, FOOTPRINT, TICKS, Table
from orderflow.lake.swap import SWAPS

pytestmark = pytest.mark.spark


def test_sink_when_batch_holds_two_dates_then_writes_one_file_each_named_by_its_offsets(spark, tmp_path) -> None:
    write = sink(spark, tmp_path)

    rows = [tick(10, 1), tick(11, 1, INFY), tick(12, 2), tick(7, 1, date="2025-12-16", partition=1)]
    write(batch(spark, TICKS, *rows), 0)

    assert file_names(tmp_path) == ["upstox_ticks-0a1b2c3d-p0_10-12.parquet"]
    assert file_names(tmp_path, "2025-12-16") == ["upstox_ticks-0a1b2c3d-p1_7-7.parquet"]
    in_file = pq.read_table(tmp_path / TICKS.day("2025-12-15")[1:] / file_names(tmp_path)[0], partitioning=None)
    assert in_file.column("instrument_key").to_pylist() == [INFY, TCS, TCS]
    assert in_file.schema.names == [field.name for field in TICKS.fields]
    assert spark.read.parquet(f"file://{tmp_path}/trading/ticks").where("date = '2025-12-15'").count() == 3
    assert not list((tmp_path / "trading/_staging/ticks").iterdir())


def test_sink_when_a_message_in_between_was_rejected_then_a_later_reading_of_it_is_stored(spark, tmp_path) -> None:
    rows = [tick(0, 1), tick(1, 2), tick(3, 4), tick(4, 5)]
    sink(spark, tmp_path)(batch(spark, TICKS, *rows), 0, aside=((0, 2),))

    again = sink(spark, tmp_path)
    again(batch(spark, TICKS, *rows, tick(2, 3)), 0)
    again(batch(spark, TICKS, *rows, tick(2, 3)), 1)

    assert [sequence for _, sequence in stored(tmp_path)] == [1, 2, 3, 4, 5]


def test_sink_when_offsets_are_too_many_for_a_name_then_they_are_listed_and_survive_a_compaction(spark, tmp_path) -> None:
    rows = [tick(2 * number, number + 1) for number in range(40)]
    sink(spark, tmp_path)(batch(spark, TICKS, *rows), 0, aside=tuple((0, 2 * number + 1) for number in range(40)))

    name, listed = (
        next(file_name for file_name in file_names(tmp_path) if file_name.startswith(start)) for start in ("upstox", "_offsets")
    )
    assert name == f"upstox_ticks-0a1b2c3d-x{listed[9:25]}.parquet"
    DayRewriter(spark, f"file://{tmp_path}", sleep=lambda _: None).compact(TICKS, "2025-12-15")
    assert [file_name[:8] for file_name in file_names(tmp_path)] == ["_covered", "compact-"]
    covered = json.loads((tmp_path / TICKS.day("2025-12-15")[1:] / "_covered.json").read_text())["covered"]
    assert covered == {"upstox_ticks-0a1b2c3d-p0": [[2 * number, 2 * number] for number in range(40)]}
    sink(spark, tmp_path)(batch(spark, TICKS, *rows, tick(7, 41)), 0)
    assert len(stored(tmp_path)) == 41


def test_sink_when_batch_is_retried_with_another_split_then_stores_only_what_is_new(spark, tmp_path) -> None:
    sink(spark, tmp_path)(batch(spark, TICKS, tick(10, 1), tick(11, 2)), 0)

    again = sink(spark, tmp_path)
    again(batch(spark, TICKS, tick(10, 1), tick(11, 2)), 0)
    again(batch(spark, TICKS, tick(9, 1, INFY), tick(10, 1), tick(11, 2), tick(12, 3)), 1)

    assert stored(tmp_path) == [(INFY, 1), (TCS, 1), (TCS, 2), (TCS, 3)]
    assert file_names(tmp_path) == ["upstox_ticks-0a1b2c3d-p0_10-11.parquet", "upstox_ticks-0a1b2c3d-p0_9-12.parquet"]


def test_sink_when_it_dies_between_two_dates_then_the_retry_completes_the_second(spark, tmp_path, monkeypatch) -> None:
    dying = sink(spark, tmp_path)
    place = dying.sink._swaps.place

    def die_at_second_date(table: Table, date: str, written: str, name: str) -> None:
        if date == "2025-12-16":
            raise OSError("killed")
        place(table, date, written, name)

    monkeypatch.setattr(dying.sink._swaps, "place", die_at_second_date)
    rows = batch(spark, TICKS, tick(10, 1), tick(11, 1, date="2025-12-16"))
    with pytest.raises(OSError, match="killed"):
        dying(rows, 0)

    sink(spark, tmp_path)(rows, 0)

    assert stored(tmp_path) == [(TCS, 1)]
    assert stored(tmp_path, date="2025-12-16") == [(TCS, 1)]


def test_sink_when_batch_holds_more_dates_than_it_remembers_then_stores_and_retries_them_all(spark, tmp_path) -> None:
    dates = [f"2025-12-{day:02d}" for day in range(1, 7)]
    rows = [tick(10 + number, 1, date=date) for number, date in enumerate(dates)]
    write = sink(spark, tmp_path)

    write(batch(spark, TICKS, *rows), 0)
    write(batch(spark, TICKS, *rows), 0)
    write(batch(spark, TICKS, *rows, tick(20, 2, date=dates[0])), 1)

    assert [stored(tmp_path, date=date) for date in dates] == [[(TCS, 1), (TCS, 2)], *[[(TCS, 1)]] * 5]
    assert len(write.sink._days) == 4


@pytest.mark.parametrize("moment", ["before", "after"])
def test_sink_when_day_is_rewritten_around_its_placing_then_looks_for_repeats_again(spark, tmp_path, monkeypatch, moment) -> None:
    write = sink(spark, tmp_path)
    write(batch(spark, TICKS, tick(1, 1)), 0)
    rewriter = DayRewriter(spark, f"file://{tmp_path}", sleep=lambda _: None)
    rewriter.rows(TICKS, "2025-12-15")
    keep_copies, place = write.sink._files.keep_copies, write.sink._swaps.place
    rewrites = iter([True])

    def rewrite() -> None:
        if next(rewrites, False):
            rewriter.replace(TICKS, "2025-12-15", batch(spark, TICKS, tick(0, 1), tick(0, 2)))

    def keep_then_rewrite(path: str) -> None:
        keep_copies(path)
        rewrite()

    def rewrite_then_place(*arguments) -> None:
        rewrite()
        place(*arguments)

    if moment == "before":
        monkeypatch.setattr(write.sink._files, "keep_copies", keep_then_rewrite)
    else:
        monkeypatch.setattr(write.sink._swaps, "place", rewrite_then_place)
    write(batch(spark, TICKS, tick(2, 2), tick(3, 3)), 1)

    assert stored(tmp_path) == [(TCS, 1), (TCS, 2), (TCS, 3)]


def test_sink_when_topic_repeats_rows_then_stores_them_once(spark, tmp_path) -> None:
    write = sink(spark, tmp_path)
    write(batch(spark, TICKS, tick(1, 1), tick(2, 2), tick(3, 2), tick(4, 1, INFY)), 0)

    write(batch(spark, TICKS, tick(5, 1), tick(6, 2), tick(7, 3), tick(8, 1, INFY)), 1)

    assert stored(tmp_path) == [(INFY, 1), (TCS, 1), (TCS, 2), (TCS, 3)]


def test_sink_when_sequence_restarts_after_lost_state_then_keeps_the_new_ticks(spark, tmp_path) -> None:
    write = sink(spark, tmp_path)
    write(batch(spark, TICKS, tick(1, 1), tick(2, 2)), 0)

    write(batch(spark, TICKS, tick(3, 1, feed_time_ms=1_765_771_999_000)), 1)

    assert stored(tmp_path) == [(TCS, 1), (TCS, 1), (TCS, 2)]


def test_sink_when_topic_was_created_anew_then_equal_offsets_are_new_rows(spark, tmp_path) -> None:
    sink(spark, tmp_path)(batch(spark, TICKS, tick(1, 1), tick(2, 2)), 0)

    sink(spark, tmp_path, topic_id="ffffffff")(batch(spark, TICKS, tick(1, 3), tick(2, 4)), 0)

    assert [sequence for _, sequence in stored(tmp_path)] == [1, 2, 3, 4]


def test_sink_when_row_has_no_date_then_stores_the_others(spark, tmp_path) -> None:
    sink(spark, tmp_path)(batch(spark, TICKS, tick(1, 1, date="../../etc"), tick(2, 2), tick(3, 3, feed_time_ms=None)), 0)

    assert stored(tmp_path) == [(TCS, 2)]


def test_sink_when_footprint_levels_of_a_window_come_in_two_batches_then_keeps_all(spark, tmp_path) -> None:
    def level(offset: int, price: int) -> dict[str, object]:
        return {"offset": offset, "instrument": TCS, "window_start": "2025-12-15T09:15:00+05:30", "price": price}

    write = sink(spark, tmp_path, FOOTPRINT)
    write(batch(spark, FOOTPRINT, level(1, 322000), level(2, 322005)), 0)
    write(batch(spark, FOOTPRINT, level(3, 322010), level(4, 322005)), 1)

    rows = spark.read.parquet(f"file://{tmp_path}/trading/footprint/date=2025-12-15").select("price").collect()
    assert sorted(row.price for row in rows) == [322000, 322005, 322010]


def test_sink_when_candle_repeats_in_other_length_then_keeps_both_lengths(spark, tmp_path) -> None:
    def candle(offset: int, minutes: int) -> dict[str, object]:
        return {"offset": offset, "instrument": TCS, "window_start": "2025-12-15T09:15:00+05:30", "window_minutes": minutes}

    write = sink(spark, tmp_path, CANDLES)
    write(batch(spark, CANDLES, candle(1, 1), candle(2, 5)), 0)
    write(batch(spark, CANDLES, candle(3, 1), candle(4, 15)), 1)

    rows = spark.read.parquet(f"file://{tmp_path}/trading/candles/date=2025-12-15").select("window_minutes").collect()
    assert sorted(row.window_minutes for row in rows) == [1, 5, 15]


@pytest.mark.parametrize("moved", ["nothing", "old", "both"])
def test_sink_when_swap_owner_died_then_finishes_the_swap_and_stores_the_batch(spark, tmp_path, moved) -> None:
    write = sink(spark, tmp_path)
    write(batch(spark, TICKS, tick(1, 1), tick(2, 2)), 0)
    write(batch(spark, TICKS, tick(3, 3)), 1)
    day, trading = tmp_path / TICKS.day("2025-12-15")[1:], tmp_path / "trading"
    new, old = trading / "_staging/compact/new", trading / "_staging/replaced/old"
    new.mkdir(parents=True)
    old.parent.mkdir(parents=True)
    first = "upstox_ticks-0a1b2c3d-p0_1-2.parquet"
    (new / "compact-x-00000.parquet").write_bytes((day / first).read_bytes())
    (new / "_covered.json").write_text(json.dumps({"covered": {"upstox_ticks-0a1b2c3d-p0": [[1, 2]]}}))
    marker = tmp_path / SWAPS[1:] / "ticks-2025-12-15.json"
    marker.parent.mkdir(parents=True)
    swap = {"new": "/trading/_staging/compact/new", "old": "/trading/_staging/replaced/old", "replaced": [first]}
    swap |= {"holds": ["compact-x-00000.parquet"], "beside": None}
    marker.write_text(json.dumps(swap))
    if moved != "nothing":
        day.rename(old)
    if moved == "both":
        (old / "upstox_ticks-0a1b2c3d-p0_3-3.parquet").rename(new / "upstox_ticks-0a1b2c3d-p0_3-3.parquet")
        new.rename(day)

    sink(spark, tmp_path)(batch(spark, TICKS, tick(1, 1), tick(2, 2), tick(3, 3), tick(4, 4)), 2)

    assert stored(tmp_path) == [(TCS, 1), (TCS, 2), (TCS, 3), (TCS, 4)]
    assert "compact-x-00000.parquet" in file_names(tmp_path)
    assert not list(old.glob("*.parquet"))
