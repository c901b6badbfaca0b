"""The engine's state across restarts: windows and their lengths, versions, batches that run again, missing records."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
import pytest
from msgspec.structs import replace
from ticks import KEY, OPEN, bar_of, quiet_tick, trade_tick

from orderflow.market.candle import Candle
from orderflow.market.engine.minute import FinalMinute
from orderflow.market.engine.partition import EngineSettings, Output, PartitionEngine
from orderflow.market.engine.state import STATE_VERSION
from orderflow.market.engine.store import StateError, caught_up, restored, saved
from orderflow.market.tick import Tick, heartbeat_tick
from orderflow.market.times import MINUTE_MS

WINDOWS = EngineSettings(rule="lee_ready", window_minutes=(1, 5))


class Log(dict[str, bytes]):
    """A compacted changelog, and the offset up to which it was written."""

    offset = 0


def beat(second: float) -> Tick:
    at_ms = OPEN + round(second * 1000)
    return heartbeat_tick(at_ms, at_ms)


def windows(outputs: Iterable[Output]) -> list[tuple[int, int, int]]:
    """Return (length, minute since the open at which it begins, volume) of each longer candle."""
    candles = [output for output in outputs if isinstance(output, Candle)]
    return [(candle.window_minutes, (candle.start_ms - OPEN) // MINUTE_MS, candle.total_volume) for candle in candles]


def trades(*minutes: int, volume: int = 10) -> list[Tick]:
    """One trade ten seconds into each of the minutes; a quiet second before it makes its minute's beginning certain."""
    return [trade_tick(at * 60 + 10, 100.0, volume, 1_000 + volume * (i + 1), since=at * 60 + 9, ltq=volume)
            for i, at in enumerate(minutes)]  # fmt: skip


def taken(ticks: Iterable[Tick], settings: EngineSettings) -> list[Output]:
    engine = PartitionEngine(settings)
    return [output for tick in ticks for output in engine.take(tick)]


def test_window_when_its_last_minute_is_final_then_it_is_published_with_it() -> None:
    outputs = taken([*trades(0, 1, 2, 3, 4), beat(5 * 60 + 119), beat(5 * 60 + 120)], WINDOWS)
    assert windows(outputs) == [(5, 0, 50)]
    assert isinstance(outputs[-2], FinalMinute)
    assert outputs[-2].candle.start_ms == OPEN + 4 * MINUTE_MS
    assert isinstance(outputs[-1], Candle)
    assert (outputs[-1].start_ms, outputs[-1].end_ms, outputs[-1].buy_volume) == (OPEN, OPEN + 5 * MINUTE_MS, 50)


def test_window_when_two_of_its_minutes_are_idle_then_it_closes_without_them() -> None:
    """Minutes 2 and 3 have no trade: an update with a later trade shows that nothing traded in them."""
    ticks = [*trades(0, 1, 4, 5), quiet_tick(6 * 60 + 2, 1_040, last_trade=310, bar=bar_of(5, 10))]
    assert windows(taken(ticks[:-1], WINDOWS)) == []
    outputs = taken(ticks, WINDOWS)
    assert windows(outputs) == [(5, 0, 30)]
    assert len([output for output in outputs if isinstance(output, FinalMinute)]) == 4


def test_window_when_its_last_minutes_are_idle_then_the_clock_closes_it() -> None:
    ticks = [*trades(0, 1), quiet_tick(121, 1_020, last_trade=70, bar=bar_of(1, 10))]
    assert windows(taken([*ticks, beat(5 * 60 + 119)], WINDOWS)) == []
    assert windows(taken([*ticks, beat(5 * 60 + 120)], WINDOWS)) == [(5, 0, 20)]


def test_windows_when_several_lengths_are_wanted_then_each_begins_at_the_open() -> None:
    settings = EngineSettings(rule="lee_ready", window_minutes=(1, 2, 3))
    outputs = taken([*trades(0, 1, 2, 3, 4, 5), beat(600)], settings)
    assert sorted(windows(outputs)) == [(2, 0, 20), (2, 2, 20), (2, 4, 20), (3, 0, 30), (3, 3, 30)]


def test_window_when_a_minute_is_final_before_the_one_ahead_of_it_then_it_waits_for_it() -> None:
    settings = EngineSettings(rule="lee_ready", window_minutes=(1, 2))
    ticks = [
        trade_tick(50, 100.0, 5, 1_000, since=45),
        trade_tick(62, 100.0, 50, 1_050, since=61, ltq=2),
        quiet_tick(121, 1_050, last_trade=62, bar=bar_of(1, 50)),
    ]
    outputs = taken(ticks, settings)
    assert windows(outputs) == []
    assert windows(taken([*ticks, beat(600)], settings)) == [(2, 0, 55)]


def resumed(log: Log, settings: EngineSettings, ticks: Iterable[Tick]) -> list[Output]:
    """One batch of a worker that knows nothing but the changelog."""
    records = list(ticks)
    stored = restored(log.items(), log.offset, settings)
    outputs = [output for tick in records for output in stored.engine.take(tick)]
    log.offset += len(records)
    log.update(saved(stored, log.offset).records)
    return outputs


def test_windows_when_a_length_is_added_at_a_restart_then_it_begins_with_its_next_whole_window() -> None:
    log = Log()
    first = resumed(log, WINDOWS, [*trades(0, 1, 2, 3), beat(5 * 60)])
    more = EngineSettings(rule="lee_ready", window_minutes=(1, 2, 5))
    second = resumed(log, more, [replace(tick, vtt=tick.vtt + 40) for tick in trades(4, 5, 6, 7)])
    third = resumed(log, more, [beat(20 * 60)])
    assert windows(first) == []
    assert [window for window in windows(second + third) if window[0] == 5] == [(5, 0, 50), (5, 5, 30)]
    assert [window for window in windows(second + third) if window[0] == 2] == [(2, 4, 20), (2, 6, 20)]


def test_windows_when_a_length_is_dropped_at_a_restart_then_the_others_go_on() -> None:
    log = Log()
    resumed(log, EngineSettings(rule="lee_ready", window_minutes=(2, 5)), trades(0, 1))
    outputs = resumed(log, WINDOWS, [beat(20 * 60)])
    assert windows(outputs) == [(5, 0, 20)]
    assert resumed(log, EngineSettings(rule="lee_ready"), trades(30)) == []


def test_closing_auction_when_the_worker_changes_in_it_then_the_candle_is_the_same() -> None:
    close = 375 * 60
    auction = {"session_phase": "closing_auction", "auction": True}
    ticks = [
        trade_tick(close - 30, 100.0, 5, 1_000, since=close - 35, ltq=5),
        trade_tick(close + 980, 100.2, 900, 1_900, since=close - 30, **auction),
        trade_tick(close + 1_041, 100.2, 100, 2_000, since=close + 980, **auction),
        beat(close + 22 * 60),
    ]
    whole = taken(ticks, WINDOWS)
    assert [(output.start_ms - OPEN) // MINUTE_MS for output in whole if isinstance(output, Candle)] == [370, 392]
    log = Log()
    assert [output for tick in ticks for output in resumed(log, WINDOWS, [tick])] == whole


def test_state_when_a_batch_is_saved_then_its_journal_says_the_version_and_the_offsets() -> None:
    log = Log()
    resumed(log, WINDOWS, trades(0, 1))
    resumed(log, WINDOWS, trades(2))
    assert list(log) == ["0/journal 0", "0/journal 1"]
    assert [msgspec.msgpack.decode(value)[:6] for value in log.values()] == [[4, 0, 0, 0, 2, 0], [4, 0, 0, 2, 3, 0]]
    assert STATE_VERSION == 4


@pytest.mark.parametrize("version", [1, 3, 5])
def test_state_when_of_another_version_then_it_is_refused_with_the_cure(version: int) -> None:
    log = Log()
    resumed(log, WINDOWS, trades(0))
    part = msgspec.msgpack.decode(log["0/journal 0"])
    log["0/journal 0"] = msgspec.msgpack.encode([version, *part[1:]])
    with pytest.raises(StateError) as refused:
        restored(log.items(), 1, WINDOWS)
    assert str(refused.value) == (
        f"the candle state is of version {version}, this code reads 4; delete the checkpoint "
        "/trading/checkpoints/orderflow to start the candles afresh from what Kafka still holds"
    )


@pytest.mark.parametrize("value", [b"", b"\xc1", b"\x93\x04\x00", b"\x90", b"{}", b"\x07"])
def test_state_when_a_record_cannot_be_read_then_it_is_refused_by_name_with_the_cure(value: bytes) -> None:
    with pytest.raises(StateError, match=r"the candle state's record '0/journal 0' cannot be read .*; delete the checkpoint"):
        restored([("0/journal 0", value)], 1, WINDOWS)


def test_state_when_a_journal_is_missing_then_it_is_refused_by_the_offset_with_the_cure() -> None:
    log = Log()
    for minute in range(3):
        resumed(log, WINDOWS, trades(minute))
    del log["0/journal 1"]
    with pytest.raises(StateError, match=r"does not lead to offset 3; delete the checkpoint"):
        restored(log.items(), 3, WINDOWS)
    assert restored(log.items(), 1, WINDOWS).engine.instruments[KEY].minutes.highest_vtt == 1_010


def test_state_when_a_batch_runs_again_then_it_starts_from_the_state_before_it_and_writes_the_same() -> None:
    log = Log()
    resumed(log, WINDOWS, trades(0))
    before = Log(log)
    first = resumed(log, WINDOWS, trades(0, 1)[1:])
    after_first, log.offset = dict(log), 1
    assert resumed(log, WINDOWS, trades(0, 1)[1:]) == first
    assert dict(log) == after_first
    assert set(after_first) - set(before) == {"0/journal 1"}


def test_first_batch_when_it_runs_again_then_it_starts_with_a_new_engine() -> None:
    log = Log()
    first = resumed(log, WINDOWS, [*trades(0, 1), beat(300)])
    log.offset = 0
    assert resumed(log, WINDOWS, [*trades(0, 1), beat(300)]) == first != []


def test_snapshots_when_journals_outgrow_them_then_two_take_turns_and_any_batch_can_run_again() -> None:
    """Every batch of a long run is run twice, the second time from the changelog that the first has written on."""
    log, twice = Log(), Log()
    at_ms = 0
    for number in range(600):
        at_ms += 7_000
        ticks = [trade_tick(at_ms / 1000, 100.0, 10, 1_000 + 10 * number, since=at_ms / 1000 - 1, ltq=10), beat(at_ms / 1000 + 1)]
        expected = resumed(log, WINDOWS, ticks)
        assert resumed(twice, WINDOWS, ticks) == expected
        twice.offset -= 2
        assert resumed(twice, WINDOWS, ticks) == expected
    assert log == twice
    assert {key.split()[0] for key in log} == {"0/snapshot", "0/journal", "1/snapshot", "1/journal"}
    assert len(log) <= 2 * 257 + 2


def test_worker_when_it_is_behind_then_it_catches_up_by_the_journals_between() -> None:
    log, journals = Log(), {}
    behind = restored([], 0, WINDOWS)
    for minute in range(3):
        stored = restored(log.items(), minute, WINDOWS)
        for tick in trades(*range(minute + 1))[minute:]:
            stored.engine.take(tick)
        done = saved(stored, minute + 1)
        log.update(done.records)
        journals[minute] = done.journal
    caught = caught_up(behind, 3, journals.get)
    assert caught is not None
    assert caught.engine.instruments[KEY].minutes.highest_vtt == 1_030
    assert caught.position == restored(log.items(), 3, WINDOWS).position


def test_worker_when_it_is_ahead_or_lacks_a_journal_then_its_engine_is_not_used() -> None:
    assert caught_up(restored([], 5, WINDOWS), 4, {}.get) is None
    assert caught_up(restored([], 5, WINDOWS), 6, {}.get) is None
