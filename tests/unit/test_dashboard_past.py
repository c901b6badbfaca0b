"""Past days: read once, shown whole, or replayed on the viewer's clock."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from orderflow.dashboard.sources.archive import Archive
from orderflow.dashboard.sources.past_day import Replay
from orderflow.dashboard.state.rollup import Rollup
from orderflow.dashboard.views.panels import statistics
from orderflow.market.candle import Candle
from orderflow.market.closed_day import ClosedDay
from orderflow.market.errors import OrderflowError
from orderflow.market.times import iso_from_ms
from orderflow.market.trade import Trade
from tests.unit.test_dashboard_store import KEY, OPEN_MS, final, trade

DATE = "2025-12-15"


class TwoMinutes:
    """An archive of one day with two minutes."""

    def __init__(self) -> None:
        self.reads = 0

    def dates(self) -> Sequence[str]:
        return [DATE]

    def candles(self, instrument_key: str, date: str, n: int) -> Sequence[Candle]:
        self.reads += 1
        made = [final(0, 100.0, 102.0, 99.0, 101.0, 30, 20), final(1, 101.0, 101.0, 100.0, 100.0, 1, 9)]
        return [Candle.from_record(record) for _, record in made]

    def trades(self, instrument_key: str, date: str) -> Sequence[Trade]:
        made = [trade(1_000, 100.0, 10, 0, 10), trade(30_000, 102.0, 20, 20, 50), trade(60_500, 100.0, 1, 9, 60)]
        return [Trade.from_record(record) for _, record in made]

    def closed_days(self) -> Mapping[str, ClosedDay]:
        return {}

    def previous_close(self, instrument_key: str, date: str) -> float | None:
        return 98.0

    def footprint(self, instrument_key: str, date: str) -> Sequence[Mapping[str, Any]]:
        row = {
            "window_start": iso_from_ms(OPEN_MS),
            "price": 10_000,
            "buy_volume": 30,
            "sell_volume": 20,
            "unclassified_volume": 0,
        }
        return [row]


class Unreachable(TwoMinutes):
    def candles(self, instrument_key: str, date: str, n: int) -> Sequence[Candle]:
        raise ConnectionRefusedError("connection refused")


def replay() -> Replay:
    return Replay(Archive(TwoMinutes()).day(KEY, DATE), lambda: 0)


def closes(player: Replay) -> list[tuple[float | None, bool]]:
    return [(row.candle.close, row.final) for row in Rollup(1).rows(player.store.instruments[KEY])]


def test_archive_when_a_day_is_asked_for_twice_reads_it_once() -> None:
    history = TwoMinutes()
    archive = Archive(history)
    assert archive.day(KEY, DATE) is archive.day(KEY, DATE)
    assert history.reads == 1


class NotYet(TwoMinutes):
    """Stores the day only when told."""

    stored = False

    def candles(self, instrument_key: str, date: str, n: int) -> Sequence[Candle]:
        return super().candles(instrument_key, date, n) if self.stored else []

    def footprint(self, instrument_key: str, date: str) -> Sequence[Mapping[str, Any]]:
        return super().footprint(instrument_key, date) if self.stored else []


def test_archive_when_a_days_candles_were_not_stored_yet_then_it_reads_them_again() -> None:
    history = NotYet()
    archive = Archive(history)
    assert list(archive.candles(KEY, DATE).instruments[KEY].starts) == []
    history.stored = True
    assert list(archive.candles(KEY, DATE).instruments[KEY].starts) == [OPEN_MS, OPEN_MS + 60_000]


def test_archive_when_hdfs_does_not_answer_raises_an_error_that_says_so() -> None:
    with pytest.raises(OrderflowError, match="HDFS does not answer"):
        Archive(Unreachable()).day(KEY, DATE)


def test_whole_day_when_built_has_final_candles_their_footprint_and_the_tape() -> None:
    instrument = Archive(TwoMinutes()).day(KEY, DATE).store.instruments[KEY]
    rows = Rollup(1).rows(instrument)
    assert [(row.candle.close, row.final, row.cvd) for row in rows] == [(101.0, True, 10), (100.0, True, 2)]
    assert instrument.minutes[OPEN_MS].flow.levels == {1_000_000: [30, 20, 0]}
    assert len(instrument.tape) == 3


def test_past_day_when_shown_or_replayed_gives_the_change_from_the_previous_close() -> None:
    shown = Archive(TwoMinutes()).day(KEY, DATE).store.instruments[KEY]
    figures = statistics(shown, Rollup(1).rows(shown))
    assert (figures["previous_close"], figures["change"]) == (98.0, 2.0)
    playing = replay()
    playing.seek(OPEN_MS + 61_000)
    playing.seek(OPEN_MS + 30_000)
    figures = statistics(playing.store.instruments[KEY], [])
    assert (figures["previous_close"], figures["change"]) == (98.0, 4.0)


def test_replay_when_time_passes_shows_trades_as_they_came_and_finals_at_their_end() -> None:
    player = replay()
    player.speed = 2.0
    player.advance(1_000)
    assert closes(player) == [(100.0, False)]
    player.advance(14_500)
    assert closes(player) == [(102.0, False)]
    player.advance(14_500)
    assert closes(player) == [(101.0, True)]
    player.advance(60_000)
    assert closes(player) == [(101.0, True), (100.0, True)]
    assert player.playing is False


def test_replay_when_paused_stands_still() -> None:
    player = replay()
    player.playing = False
    assert player.advance(60_000) is False
    assert player.position_ms == OPEN_MS


def test_replay_when_it_seeks_back_starts_the_day_anew() -> None:
    player = replay()
    player.seek(OPEN_MS + 61_000)
    assert closes(player) == [(101.0, True), (100.0, False)]
    player.seek(OPEN_MS + 2_000)
    assert closes(player) == [(100.0, False)]
    assert len(player.store.instruments[KEY].tape) == 1


def test_replay_when_it_is_sent_to_a_time_and_paused_while_it_plays_then_it_stands_there() -> None:
    player = replay()
    stop = threading.Event()

    def play() -> None:
        while not stop.is_set():
            player.advance(1)

    thread = threading.Thread(target=play)
    thread.start()
    try:
        for _ in range(300):
            player.control(speed=120, position_ms=OPEN_MS, playing=True)
            player.control(position_ms=OPEN_MS + 5_000, playing=False)
            assert (player.position_ms, player.playing) == (OPEN_MS + 5_000, False)
    finally:
        stop.set()
        thread.join()


def test_replay_when_its_speed_is_out_of_range_keeps_the_one_it_has() -> None:
    player = replay()
    for speed in (0.01, 1e9):
        player.control(speed=speed)
    assert player.speed == 10.0
