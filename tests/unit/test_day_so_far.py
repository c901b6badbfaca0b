"""The exchange's minutes from before the first update become candles, once each, and never take the place of ticks."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from datetime import datetime
from typing import Any

import msgspec
import pytest
import upstox_client
from ticks import KEY, OPEN, bar_of, trade_tick
from upstox_client.rest import ApiException

from orderflow.lake.exchange_candles import ExchangeMinute
from orderflow.lake.repair import backfill_candle, without_outages
from orderflow.market.candle import Candle
from orderflow.market.day_so_far import EXCHANGE, exchange_candle
from orderflow.market.engine.minute import FinalMinute
from orderflow.market.engine.partition import EngineSettings, PartitionEngine
from orderflow.market.engine.store import restored, saved
from orderflow.market.inference import minute_tick
from orderflow.market.session import SegmentState, SessionBook, SessionCalendar
from orderflow.market.tick import Bar, Tick, decode_tick, encode_tick
from orderflow.market.times import IST, MINUTE_MS
from orderflow.market.transitions import Change
from orderflow.market.validation import decode_sound
from orderflow.simulator.catalogue import choose
from orderflow.simulator.in_process import SimulatorServer
from orderflow.simulator.market_model import MarketModel
from orderflow.upstox import day_so_far
from orderflow.upstox.day_so_far import DaySoFar, minutes_of
from orderflow.upstox.engine import FeedEngine
from orderflow.upstox.rest import rest_client
from tests.feed.rig import ListSink, full, message, wire

INFY = "NSE_EQ|INE009A01021"
NIFTY = "NSE_INDEX|Nifty 50"
START_MINUTE = 30
"""The first update comes half a minute into this minute of the session."""


def minute(
    number: int, volume: int | None = 100, key: str = KEY, feed_ms: int = OPEN + START_MINUTE * MINUTE_MS + 31_000
) -> Tick:
    bar = bar_of(number, volume)
    return minute_tick(key, bar, SessionBook(SessionCalendar()).session(key, bar.start_ms), feed_ms, feed_ms + 20, "alpha")


def updates() -> list[Tick]:
    """Three minutes of updates from the middle of START_MINUTE on, with the bars that they bring."""
    begin = START_MINUTE * 60
    seconds = [begin + 30, begin + 50, begin + 70, begin + 100, begin + 130, begin + 190]
    ticks = []
    for number, second in enumerate(seconds):
        finished = second // 60 - 1
        bar = bar_of(finished, 500) if number and seconds[number - 1] // 60 - 1 != finished else None
        volume = 100 if number else None
        ticks.append(
            trade_tick(second, 100.0, volume or 0, 9_000 + 100 * number, since=second - 20, sequence=number + 1, bar=bar)
            if number
            else msgspec.structs.replace(trade_tick(second, 100.0, 0, 9_000, since=second - 20, sequence=1), traded_volume=None)
        )
    return ticks


def candles(ticks: Iterable[Tick], settings: EngineSettings | None = None) -> list[Candle]:
    engine = PartitionEngine(settings or EngineSettings())
    finals = [final for tick in ticks for final in engine.take(tick)] + engine.finish()
    return [
        output.candle if isinstance(output, FinalMinute) else output
        for output in finals
        if isinstance(output, FinalMinute | Candle)
    ]


def starts(minutes: Iterable[Candle]) -> list[int]:
    return [(candle.start_ms - OPEN) // MINUTE_MS for candle in minutes if candle.source == EXCHANGE]


def test_minutes_when_of_before_the_first_update_then_candles_at_once_without_sides() -> None:
    engine = PartitionEngine(EngineSettings())
    engine.take(updates()[0])
    (final,) = engine.take(minute(3, 70))
    assert isinstance(final, FinalMinute)
    assert final.levels == ()
    record = final.candle.to_record()
    assert {name: value for name, value in record.items() if value not in (None, 0, False)} == {
        "window_start": "2025-12-15T09:18:00+05:30",
        "window_end": "2025-12-15T09:19:00+05:30",
        "instrument": KEY,
        "open": 100.0,
        "high": 101.0,
        "low": 99.0,
        "close": 100.0,
        "total_volume": 70,
        "window_minutes": 1,
        "unclassified_volume": 70,
        "confidence": "none",
        "exchange_bar": True,
        "source": "exchange",
        "session_phase": "continuous",
    }


def test_minutes_when_fetched_again_or_by_two_streamers_then_each_is_published_once() -> None:
    first, *rest = updates()
    day = [minute(number) for number in range(START_MINUTE)]
    assert starts(candles([first, *day[:20], *day, *day, *rest, *day])) == list(range(START_MINUTE))


def test_minutes_when_updates_were_seen_of_them_then_left_to_the_ticks() -> None:
    first, *rest = updates()
    late = [minute(number) for number in range(START_MINUTE - 1, START_MINUTE + 3)]
    minutes = candles([first, *late, *rest])
    assert starts(minutes) == [START_MINUTE - 1]
    assert [(c.start_ms - OPEN) // MINUTE_MS for c in minutes if c.source != EXCHANGE] == [30, 31, 32, 33]
    assert minutes[1:] == candles(updates())


def test_minutes_when_they_come_before_the_first_update_then_they_end_where_it_begins() -> None:
    day = [minute(number) for number in range(START_MINUTE + 1)]
    assert starts(candles([*day, *updates()])) == list(range(START_MINUTE))


def test_minutes_when_nothing_traded_or_outside_the_session_then_no_candle_but_an_index_has_one() -> None:
    first = updates()[0]
    assert starts(candles([first, minute(-1), minute(0, 0), minute(1)])) == [1]
    assert starts(candles([minute(0, None, NIFTY)])) == [0]


def test_windows_when_the_day_so_far_is_filled_then_they_are_whole_from_the_sessions_start() -> None:
    first, *rest = updates()
    day = [minute(number) for number in range(START_MINUTE)]
    windows = candles([first, *day, *rest], EngineSettings(window_minutes=(15,)))
    assert [(c.start_ms - OPEN) // MINUTE_MS for c in windows if c.window_minutes == 15] == [0, 15, 30]
    assert [c.total_volume for c in windows if c.window_minutes == 15][:2] == [1_500, 1_500]


def test_state_when_it_is_read_back_then_no_minute_is_published_again() -> None:
    stored = restored([], 0, EngineSettings())
    for tick in [updates()[0], *(minute(number) for number in range(5))]:
        stored.engine.take(tick)
    engine = restored(saved(stored, 6).records, 6, EngineSettings()).engine
    assert engine.take(minute(4)) == []
    assert len(engine.take(minute(5))) == 1


def test_minute_tick_when_written_and_read_then_it_is_sound() -> None:
    tick = minute(3)
    assert decode_tick(encode_tick(tick)) == tick
    decoded = decode_sound(encode_tick(tick), KEY, tick.received_time_ms)
    assert decoded is not None
    assert (decoded.kind, decoded.sequence, decoded.event_time_ms) == ("minute", 0, OPEN + 3 * MINUTE_MS)


def test_outage_when_its_minutes_are_filled_by_hand_then_the_volume_of_the_candle_after_it_counts_once() -> None:
    """The outage covers minutes 1 and 2, whose 80 shares are in the candle of minute 3 as well."""
    seen: dict[str, Any] = {"source": "stream", "tick_count": 5}

    def from_ticks(number: int, volume: int, **more: Any) -> Candle:
        values = {"buy_volume": volume, "unclassified_volume": 0, "delta": volume, **seen, **more}
        return msgspec.structs.replace(exchange_candle(KEY, bar_of(number, volume), EXCHANGE), **values)

    stored = [
        from_ticks(0, 100),
        backfill_candle(KEY, ExchangeMinute(OPEN + MINUTE_MS, 100.0, 101.0, 99.0, 100.0, 30)),
        backfill_candle(KEY, ExchangeMinute(OPEN + 2 * MINUTE_MS, 100.0, 101.0, 99.0, 100.0, 50)),
        from_ticks(3, 140, buy_volume=60, delta=60, unclassified_volume=80, gap=True, exchange_bar=False),
    ]
    exchange = [
        ExchangeMinute(OPEN + n * MINUTE_MS, 100.0, 101.0, 99.0, 100.0, v) for n, v in ((0, 100), (1, 30), (2, 50), (3, 60))
    ]
    changed = {candle.start_ms: candle for candle in without_outages(stored, exchange)}
    assert sum(changed.get(candle.start_ms, candle).total_volume for candle in stored) == 240
    assert changed[OPEN + 3 * MINUTE_MS].buy_volume == 60


def test_minutes_of_when_the_simulators_market_is_two_hours_old_then_all_that_ended_and_an_index_without_volume() -> None:
    now_ms = OPEN + 7_212_345
    market = MarketModel(choose(f"{KEY},{NIFTY}"))
    with (
        SimulatorServer(market, token="right", wall_ms=now_ms) as server,
        rest_client(server.rest_url, None, "right") as client,
    ):
        api = upstox_client.HistoryV3Api(client)
        share, index = minutes_of(api, KEY, now_ms), minutes_of(api, NIFTY, now_ms)
        with pytest.raises(ApiException):
            minutes_of(api, "NSE_EQ|NOBODY", now_ms)
    assert [bar.start_ms for bar in share] == [share[0].start_ms + n * MINUTE_MS for n in range(len(share))]
    assert len(share) >= 58
    assert now_ms - 2 * MINUTE_MS < share[-1].start_ms <= now_ms - MINUTE_MS
    assert all(bar.volume for bar in share)
    assert [bar.start_ms for bar in index] == [bar.start_ms for bar in share]
    assert {bar.volume for bar in index} == {None}


class Answers:
    """Stands for the SDK's calls: minutes by key, or the HTTP status that refuses them."""

    def __init__(self, answers: dict[str, list[Bar] | int]) -> None:
        self.found, self.asked = answers, list[str]()

    def __call__(self, _api: object, key: str, before_ms: int) -> list[Bar]:
        self.asked.append(key)
        answer = self.found[key]
        if isinstance(answer, int):
            raise ApiException(status=answer)
        return [bar for bar in answer if bar.end_ms <= before_ms]


def fetched(monkeypatch: pytest.MonkeyPatch, answers: Answers, keys: list[str]) -> list[tuple[str, int]]:
    """What is handed over of each key, and how many minutes, when the feed's clock is 10:00:20."""
    handed: list[tuple[str, int]] = []
    monkeypatch.setattr(day_so_far, "minutes_of", answers)
    monkeypatch.setattr(day_so_far, "_AGAIN_SECONDS", 0.01)
    day = DaySoFar(
        "http://127.0.0.1:1",
        None,
        lambda: OPEN + 45 * MINUTE_MS + 20_000,
        lambda k, b: handed.append((k, len(b))),
        threading.Event(),
    )
    day.fetch(keys, None).join(20)
    return handed


def test_fetch_when_one_is_refused_then_the_others_are_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = [bar_of(number, 100) for number in range(45)]
    answers = Answers({KEY: 400, INFY: whole})
    assert fetched(monkeypatch, answers, [KEY, INFY]) == [(INFY, 45)]


def test_fetch_when_the_last_minute_is_not_there_yet_then_it_is_asked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = Answers({KEY: [bar_of(number, 100) for number in range(44)], INFY: [bar_of(number, 100) for number in range(45)]})
    assert fetched(monkeypatch, answers, [KEY, INFY]) == [(KEY, 44), (INFY, 45), (KEY, 44)]


def test_fetch_when_upstox_takes_no_more_calls_then_none_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = Answers({KEY: 429, INFY: []})
    assert fetched(monkeypatch, answers, [KEY, INFY]) == []
    assert answers.asked == [KEY]


def on_a_saturday(first: datetime, bars: list[datetime]) -> tuple[ListSink, FeedEngine]:
    """A streamer that hears NORMAL_OPEN at `first`, of a session that no calendar knows, and fetches the minutes of `bars`."""
    sink = ListSink()
    engine = FeedEngine(sink, SessionBook(SessionCalendar()))
    engine.own((KEY,))
    at_ms = int(first.timestamp() * 1000)
    engine.opened(at_ms)
    status = {"type": "market_info", "currentTs": str(at_ms), "marketInfo": {"segmentStatus": {"NSE_EQ": "NORMAL_OPEN"}}}
    snapshot = message(at_ms + 100, {KEY: full(9_000, at_ms + 100)}, None)
    for content in (status, snapshot):
        engine.message(wire(content), int(content["currentTs"]) + 30)
    starts_ms = [int(bar.timestamp() * 1000) for bar in bars]
    engine.minutes_before(KEY, [Bar(start, 100.0, 101.0, 99.0, 100.0, 70) for start in starts_ms], at_ms + 10_000)
    return sink, engine


def test_minutes_when_the_session_is_not_in_the_calendar_then_it_began_with_the_first_of_them() -> None:
    saturday = datetime(2025, 12, 20, 11, 0, 20, tzinfo=IST)
    sink, engine = on_a_saturday(saturday, [datetime(2025, 12, 20, 10, number, tzinfo=IST) for number in range(60)])
    minutes = candles(sink.ticks, EngineSettings(window_minutes=(15,)))
    assert [c.start_ms for c in minutes if c.source == EXCHANGE and c.window_minutes == 1] == [
        int(datetime(2025, 12, 20, 10, number, tzinfo=IST).timestamp() * 1000) for number in range(60)
    ]
    ten_ms = int(datetime(2025, 12, 20, 10, 0, tzinfo=IST).timestamp() * 1000)
    assert [(c.start_ms - ten_ms) // MINUTE_MS for c in minutes if c.window_minutes == 15] == [0, 15, 30, 45]
    assert engine.book.session(KEY, ten_ms).start_ms == ten_ms
    assert sink.states["segment|NSE_EQ"]()["changes"] == [{"at_ms": ten_ms, "status": "NORMAL_OPEN"}]


def test_minutes_when_a_scheduled_session_lies_between_then_the_unscheduled_one_keeps_its_start() -> None:
    day, evening_ms = (
        SessionCalendar().day("NSE_EQ", "2025-12-16"),
        int(datetime(2025, 12, 16, 20, tzinfo=IST).timestamp() * 1000),
    )
    opened = SegmentState("NORMAL_OPEN", "2025-12-16", (Change(evening_ms, "NORMAL_OPEN"),), unscheduled=True)
    for hour, moved in ((10, False), (15, False), (19, True), (21, False)):
        at_ms = int(datetime(2025, 12, 16, hour, tzinfo=IST).timestamp() * 1000)
        assert (opened.open_since(at_ms, day).changes[0].at_ms == at_ms) is moved
