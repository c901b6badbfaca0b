"""The spool on disk: order, size limit, slots, and what an earlier process left."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orderflow.broker.spool import Spool, Spooled
from orderflow.market.errors import OrderflowError


def record(number: int) -> Spooled:
    return Spooled("upstox_ticks", b"NSE_EQ|X", b'{"n":%d}' % number)


def test_spool_when_records_wait_then_taken_in_order_and_files_go_once_released(tmp_path: Path) -> None:
    spool = Spool(tmp_path, 1 << 20)
    assert all(spool.append(record(number)) for number in range(5))
    assert spool.take(2) == [record(0), record(1)]
    assert spool.append(record(5))
    assert spool.take(99) == [record(number) for number in range(2, 6)]
    assert spool.waiting == 0
    assert spool.size_bytes > 0
    spool.release()
    assert spool.size_bytes == 0
    assert list(tmp_path.glob("slot-00000000-0/*.spool")) == []
    assert spool.append(record(6))
    assert spool.take(1) == [record(6)]
    spool.close()


@given(
    st.lists(st.one_of(st.integers(1, 40).map(lambda n: ("put", n)), st.integers(1, 40).map(lambda n: ("take", n))), max_size=40)
)
def test_spool_when_puts_and_takes_alternate_then_every_record_once_in_order(steps: list[tuple[str, int]]) -> None:
    with tempfile.TemporaryDirectory() as directory:
        spool = Spool(Path(directory), 1 << 24)
        spool.segment_bytes = 200
        put = 0
        taken: list[Spooled] = []
        for what, count in steps:
            if what == "put":
                for _ in range(count):
                    spool.append(record(put))
                    put += 1
            else:
                taken += spool.take(count)
                if spool.waiting == 0:
                    spool.release()
        taken += spool.take(10**6)
        spool.close()
    assert taken == [record(number) for number in range(put)]


def test_spool_when_the_limit_is_reached_then_refuses_and_says_so(tmp_path: Path) -> None:
    spool = Spool(tmp_path, 100)
    kept = [spool.append(record(number)) for number in range(5)]
    assert kept == [True, True, True, False, False]
    spool.close()


def test_spool_when_a_process_ended_then_the_next_finds_what_it_left_without_a_torn_line(tmp_path: Path) -> None:
    first = Spool(tmp_path, 1 << 20)
    for number in range(3):
        first.append(record(number))
    first.put_first([record(-1)])
    first.close()
    segment = tmp_path / "slot-00000000-0" / f"{1:012d}.spool"
    segment.write_bytes(segment.read_bytes()[:-4])
    second = Spool(tmp_path, 1 << 20)
    assert list(second.leftovers()) == [record(-1), record(0), record(1)]
    second.append(record(7))
    second.discard_leftovers()
    assert second.take(9) == [record(7)]
    second.close()


def test_spool_when_the_slot_is_in_use_then_the_next_slot(tmp_path: Path) -> None:
    first, second = Spool(tmp_path, 1 << 20), Spool(tmp_path, 1 << 20)
    first.append(record(1))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["slot-00000000-0", "slot-00000000-1"]
    assert list(second.leftovers()) == []
    first.close()
    second.close()


def test_spool_when_two_streamers_start_again_in_the_other_order_then_each_finds_its_own(tmp_path: Path) -> None:
    first, second = Spool(tmp_path, 1 << 20, ["TCS"]), Spool(tmp_path, 1 << 20, ["INFY"])
    first.append(record(1))
    second.append(record(2))
    first.close()
    second.close()
    second, first = Spool(tmp_path, 1 << 20, ["INFY"]), Spool(tmp_path, 1 << 20, ["TCS"])
    assert (list(first.leftovers()), list(second.leftovers())) == ([record(1)], [record(2)])
    first.close()
    second.close()


def test_spool_when_the_instruments_changed_then_the_old_slot_is_read_and_others_records_are_kept(tmp_path: Path) -> None:
    old = Spool(tmp_path, 1 << 20, ["TCS", "INFY"])
    old.append(Spooled("upstox_ticks", b"TCS", b"{}"))
    old.append(Spooled("upstox_ticks", b"INFY", b"{}"))
    old.close()
    new = Spool(tmp_path, 1 << 20, ["TCS"])
    assert [left.key for left in new.leftovers()] == [b"TCS", b"INFY"]
    new.discard_leftovers(lambda left: left.key != b"TCS")
    new.close()
    other = Spool(tmp_path, 1 << 20, ["INFY"])
    assert [left.key for left in other.leftovers()] == [b"INFY"]
    other.discard_leftovers()
    other.close()
    assert list(tmp_path.rglob("*.spool")) == []


def test_spool_when_another_streamer_uses_a_slot_or_left_one_of_other_instruments_then_it_is_not_touched(tmp_path: Path) -> None:
    in_use, left = Spool(tmp_path, 1 << 20, ["TCS", "INFY"]), Spool(tmp_path, 1 << 20, ["RELIANCE"])
    in_use.append(record(1))
    left.append(record(2))
    in_use.flush()
    left.close()
    spool = Spool(tmp_path, 1 << 20, ["TCS"])
    assert list(spool.leftovers()) == []
    spool.discard_leftovers()
    assert len(list(tmp_path.rglob("*.spool"))) == 2
    spool.close()
    in_use.close()


def test_spool_when_an_older_version_left_a_slot_without_names_then_it_is_read(tmp_path: Path) -> None:
    (tmp_path / "slot-0").mkdir()
    (tmp_path / "slot-0" / "000000000001.spool").write_bytes(b'upstox_ticks\tNSE_EQ|X\t{"n":3}\n')
    spool = Spool(tmp_path, 1 << 20, ["TCS"])
    assert list(spool.leftovers()) == [record(3)]
    spool.close()


def test_spool_when_closed_before_the_leftovers_are_discarded_then_they_are_as_they_were(tmp_path: Path) -> None:
    first = Spool(tmp_path, 1 << 20)
    first.append(record(1))
    first.put_first([record(0)])
    first.close()
    second = Spool(tmp_path, 1 << 20)
    second.put_first([record(1)])
    second.close()
    third = Spool(tmp_path, 1 << 20)
    assert list(third.leftovers()) == [record(0), record(1)]
    third.close()


def test_spool_when_the_directory_cannot_be_made_then_error_names_the_setting(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OrderflowError, match="SPOOL_DIR"):
        Spool(tmp_path / "file", 1 << 20)
