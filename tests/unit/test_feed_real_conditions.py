"""The streamer's engine under what Indian markets and the feed bring about every week."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from orderflow.market.session import SessionBook, SessionCalendar
from orderflow.upstox.engine import FeedEngine
from tests.cases import run_case
from tests.feed.rig import INFY, TCS, TEN, ListSink, full, message, opening, wire

OPTION = "NSE_FO|51414"
CRUDE = "MCX_FO|466583"
SECOND = 1_000


class Streamer:
    """An engine that is connected, with a list for Kafka; `ticks` are those of TCS."""

    def __init__(self, *keys: str) -> None:
        self.sink = ListSink()
        self.engine = FeedEngine(self.sink, SessionBook(SessionCalendar()))
        self.engine.own(keys or (TCS, INFY))
        self.engine.opened(TEN)
        for content in opening():
            self.say(content)

    def say(self, content: dict[str, Any], delay_ms: int = 30) -> None:
        self.engine.message(wire(content), int(content["currentTs"]) + delay_ms)

    def update(self, seconds: float, vtt: int, key: str = TCS, **fields: Any) -> None:
        at_ms = TEN + int(seconds * SECOND)
        self.say(message(at_ms, {key: full(vtt, at_ms, **fields)}))

    def lose(self, seconds: float, cause: str = "reset") -> None:
        self.engine.lost(TEN + int(seconds * SECOND), cause)

    def events(self, name: str) -> list[dict[str, Any]]:
        return [event for event in self.sink.events if event["event"] == name]

    @property
    def traded(self) -> list[tuple[int | None, bool]]:
        return [(tick.traded_volume, tick.gap) for tick in self.sink.ticks if tick.instrument_key == TCS]


BOOK_ONLY = {
    "fullFeed": {"marketFF": {"marketLevel": {"bidAskQuote": [{"bidQ": "5", "bidP": 99.9, "askQ": "5", "askP": 100.1}]}}}
}


@pytest.mark.parametrize(
    "first",
    [
        message(TEN + 300 * SECOND, {TCS: BOOK_ONLY}, None),
        message(TEN + 300 * SECOND, {TCS: full(1000, TEN)}, None),
        message(TEN + 300 * SECOND, {TCS: BOOK_ONLY}),
        message(TEN + 300 * SECOND, {TCS: full(1000, TEN)}),
    ],
    ids=["a book only", "a stale snapshot", "a live book only", "a stale live update"],
)
def test_gap_when_the_first_message_after_an_outage_says_nothing_of_volume_then_the_volume_is_still_marked(
    first: dict[str, Any],
) -> None:
    streamer = Streamer()
    streamer.lose(1)
    streamer.engine.opened(TEN + 299 * SECOND)
    streamer.say(first)
    streamer.update(301, 900_000)
    streamer.update(302, 900_020)
    assert streamer.traded[-2:] == [(899_000, True), (20, False)]
    assert [(gap["volume"], gap["cause"], gap["from_ms"], gap["to_ms"]) for gap in streamer.events("gap")] == [
        (899_000, "reset", TEN, TEN + 301 * SECOND)
    ]


def test_gap_when_the_inbox_overflowed_before_a_book_only_message_then_the_volume_is_still_marked() -> None:
    streamer = Streamer()
    streamer.engine.overrun("messages came faster than they could be handled")
    streamer.say(message(TEN + 5 * SECOND, {TCS: BOOK_ONLY}))
    streamer.update(6, 4_000)
    assert streamer.traded[-1] == (3_000, True)


def test_gap_when_nothing_traded_during_the_outage_then_the_next_trade_is_an_ordinary_one() -> None:
    streamer = Streamer()
    streamer.lose(1)
    streamer.engine.opened(TEN + 2 * SECOND)
    for second in (3, 5, 9):
        streamer.update(second, 1_000, ltpc={"ltp": 100.0, "ltt": str(TEN - 100), "ltq": "1"}, tbq=5.0 + second)
        assert streamer.traded[-1] == (0, False)
    streamer.update(60, 1_050)
    assert streamer.traded[-1] == (50, False)
    assert streamer.events("gap") == []


@pytest.mark.parametrize(
    ("last_trade", "live", "expected"),
    [(-60, [(2, 1_444), (3, 1_450)], [(None, False), (444, True), (6, False)]),
     (-4, [(2, 1_444), (3, 1_450)], [(None, False), (444, False), (6, False)]),
     (-60, [(1, 1_000), (3, 1_000), (6, 1_000), (7, 1_444)], [(None, False), (0, False), (0, False), (0, False), (444, False)])],
    ids=["an old snapshot", "a fresh snapshot", "an old snapshot that live updates confirm"],
)  # fmt: skip
def test_gap_when_nothing_is_known_before_a_snapshot_then_volume_since_an_old_one_is_marked(
    last_trade: int, live: list[tuple[int, int]], expected: list[tuple[int | None, bool]]
) -> None:
    streamer = Streamer(OPTION)
    streamer.say(message(TEN, {OPTION: full(1_000, TEN + last_trade * SECOND)}, None))
    for seconds, vtt in live:
        streamer.update(seconds, vtt, OPTION)
    assert [(tick.traded_volume, tick.gap) for tick in streamer.sink.ticks] == expected
    gaps = [(444, "start", TEN + 2 * SECOND)] if (444, True) in expected else []
    assert [(gap["volume"], gap["cause"], gap["to_ms"]) for gap in streamer.events("gap")] == gaps


def test_gap_when_the_first_snapshot_comes_before_the_session_then_the_days_first_trade_is_an_ordinary_one() -> None:
    streamer = Streamer(OPTION)
    streamer.say(message(TEN - 3_600 * SECOND, {OPTION: full(9_000, TEN - 60_000 * SECOND)}, None))
    streamer.update(-2_600, 75, OPTION)
    assert [(tick.traded_volume, tick.gap) for tick in streamer.sink.ticks] == [(None, False), (75, False)]
    assert streamer.events("gap") == []


def test_volume_when_updates_have_no_last_price_then_it_comes_with_the_next_priced_one() -> None:
    streamer = Streamer()
    unpriced = {"ltpc": {"ltt": str(TEN + 1_900), "ltq": "5"}}
    streamer.update(2, 1_500, **unpriced)
    streamer.update(3, 1_700, ltpc={"ltp": -4.0, "ltt": str(TEN + 2_900), "ltq": "5"})
    streamer.update(4, 1_710)
    assert streamer.traded == [(None, False), (None, False), (None, False), (710, False)]
    assert [tick.ltp for tick in streamer.sink.ticks if tick.traded_volume] == [100.0]


def test_price_when_crude_oil_trades_below_zero_then_it_is_a_price_and_a_stocks_is_not() -> None:
    streamer = Streamer(TCS, CRUDE)
    evening = 20 * 60
    for key, vtt in ((CRUDE, 10), (CRUDE, 30), (TCS, 2_000)):
        evening += 1
        at_ms = TEN + evening * SECOND
        fields = {
            "ltpc": {"ltp": -2884.0, "ltt": str(at_ms - 100), "ltq": "1"},
            "marketLevel": {"bidAskQuote": [{"bidQ": "1", "bidP": -2885.0, "askQ": "1", "askP": -2884.0}]},
        }
        streamer.update(evening, vtt, key, **fields)
    crude = [tick for tick in streamer.sink.ticks if tick.instrument_key == CRUDE]
    assert [(tick.ltp, tick.traded_volume, tick.prev_bid) for tick in crude] == [(-2884.0, None, None), (-2884.0, 20, -2885.0)]
    assert streamer.sink.ticks[-1].ltp is None
    assert streamer.engine.figures.rejects == 3


def test_vtt_when_one_is_absurd_then_reported_not_booked_and_nothing_later_is_lost() -> None:
    streamer = Streamer()
    streamer.update(1, 1_100)
    streamer.update(2, 10_000_001_200)
    streamer.update(3, 1_300)
    streamer.update(4, 1_310)
    assert streamer.traded == [(None, False), (100, False), (None, False), (200, False), (10, False)]
    (doubt,) = streamer.events("doubtful")
    assert (doubt["instrument_key"], doubt["volume"], doubt["to_ms"]) == (TCS, 10_000_000_100, TEN + 2 * SECOND)
    assert 10_000_001_200 not in {tick.vtt for tick in streamer.sink.ticks}


def test_vtt_when_a_great_rise_is_confirmed_by_the_next_update_then_it_is_booked_with_it() -> None:
    streamer = Streamer()
    streamer.update(1, 1_100)
    streamer.update(2, 700_000)
    streamer.update(3, 700_400)
    assert streamer.traded[-2:] == [(None, False), (699_300, False)]
    assert len(streamer.events("doubtful")) == 1


def test_vtt_when_the_exchanges_running_day_shows_the_rise_then_it_is_booked_at_once() -> None:
    day = {
        "marketOHLC": {
            "ohlc": [{"interval": "1d", "open": 1.0, "high": 1.0, "low": 1.0, "close": 1.0, "vol": "690000", "ts": str(TEN)}]
        }
    }
    streamer = Streamer()
    streamer.update(1, 700_000, **day)
    assert streamer.traded[-1] == (699_000, False)


def test_vtt_when_an_absurd_one_is_repeated_and_the_running_day_knows_nothing_of_it_then_it_waits() -> None:
    day = {
        "marketOHLC": {
            "ohlc": [{"interval": "1d", "open": 1.0, "high": 1.0, "low": 1.0, "close": 1.0, "vol": "1000", "ts": str(TEN)}]
        }
    }
    streamer = Streamer()
    for second in range(1, 11):
        streamer.update(second, 50_000_000 + second, **day)
    streamer.update(11, 1_400, **day)
    assert streamer.traded[-1] == (400, False)
    assert len(streamer.events("doubtful")) == 1


def test_vtt_when_the_feed_shows_yesterdays_until_the_first_trade_then_the_days_first_volume_is_whole() -> None:
    nine = TEN - 60 * 60 * SECOND
    yesterday = {"ltpc": {"ltp": 12.0, "ltt": str(nine - 18 * 3_600 * SECOND), "ltq": "75"}}
    sink = ListSink()
    engine = FeedEngine(sink, SessionBook(SessionCalendar()))
    engine.own((OPTION, TCS))
    engine.opened(nine)
    for at_ms in (nine + 14 * 60 * SECOND, nine + 16 * 60 * SECOND):
        shown = {key: full(24_150, at_ms, **yesterday) for key in (OPTION, TCS)}
        engine.message(wire(message(at_ms, shown)), at_ms)
    traded = nine + 17 * 60 * SECOND
    engine.message(wire(message(traded, {key: full(30_000, traded) for key in (OPTION, TCS)})), traded)
    assert {tick.instrument_key: tick.traded_volume for tick in sink.ticks[-2:]} == {OPTION: 30_000, TCS: 30_000}
    assert {tick.traded_volume for tick in sink.ticks[:-2]} == {None}


def test_quote_when_the_best_level_is_empty_then_the_first_with_a_quantity() -> None:
    streamer = Streamer()
    book = [{"bidQ": "0", "bidP": 100.05, "askQ": "9", "askP": 100.1}, {"bidQ": "7", "bidP": 99.0, "askQ": "9", "askP": 100.2}]
    streamer.update(1, 1_010, marketLevel={"bidAskQuote": book})
    streamer.update(2, 1_020)
    assert (streamer.sink.ticks[-1].prev_bid, streamer.sink.ticks[-1].prev_ask) == (99.0, 100.1)
    assert streamer.sink.ticks[-2].bid[0].price == 99.0


def test_quote_when_nobody_offers_then_the_next_tick_carries_a_bid_and_no_ask() -> None:
    streamer = Streamer()
    streamer.update(1, 1_010, marketLevel={"bidAskQuote": [{"bidQ": "250000", "bidP": 100.0}]})
    streamer.update(2, 1_020)
    assert (streamer.sink.ticks[-1].prev_bid, streamer.sink.ticks[-1].prev_ask) == (100.0, None)


def test_bar_when_the_running_minutes_stands_beside_the_finished_one_then_the_finished_one() -> None:
    def bar(minutes: int, close: float, volume: int) -> dict[str, Any]:
        start = TEN + minutes * 60 * SECOND
        return {"interval": "I1", "open": 100.0, "high": 101.0, "low": 99.0, "close": close, "vol": str(volume), "ts": str(start)}

    streamer = Streamer()
    streamer.update(62, 1_400, marketOHLC={"ohlc": [bar(0, 100.5, 380), bar(1, 100.0, 20)]})
    streamer.update(63, 1_410, marketOHLC={"ohlc": [bar(1, 100.0, 30)]})
    streamer.update(122, 1_500, marketOHLC={"ohlc": [bar(2, 100.0, 5), bar(1, 99.5, 90)]})
    bars = [(tick.bar.start_ms - TEN, tick.bar.close) for tick in streamer.sink.ticks if tick.bar is not None]
    assert bars == [(0, 100.5), (60_000, 99.5)]
    assert streamer.engine.figures.rejects == 0


def test_silence_when_an_instrument_pauses_on_an_open_connection_then_the_ledger_has_the_stretch_and_its_volume() -> None:
    streamer = Streamer()
    for second in range(1, 11):
        streamer.update(second, 1_000 + second)
    streamer.update(103, 5_000)
    (silence,) = streamer.events("silence")
    assert (silence["from_ms"], silence["to_ms"], silence["volume"]) == (TEN + 10 * SECOND, TEN + 103 * SECOND, 3_990)
    assert streamer.traded[-1] == (3_990, False)


def test_silence_when_an_option_is_always_quiet_or_the_stream_was_lost_then_the_ledger_has_none() -> None:
    streamer = Streamer()
    for number in range(1, 11):
        streamer.update(90 * number, 1_000 + 75 * number)
    streamer.lose(901)
    streamer.engine.opened(TEN + 999 * SECOND)
    streamer.update(1_900, 9_000)
    assert streamer.events("silence") == []


CASES = {
    "upper_circuit": (404_550, []),
    "lower_circuit": (404_550, []),
    "empty_best_level": (3_045, []),
    "no_last_price": (15_010, []),
    "volume_spike": (6_090, ["doubtful"]),
    "running_minute_bar": (18_696, []),
    "outage_book_first": (20_320, ["disconnected", "gap"]),
    "silent_stretch": (10_435, ["silence"]),
}


@pytest.mark.parametrize("name", CASES)
def test_case_when_its_recording_is_streamed_then_volume_and_ledger_as_stated(shared: Path, name: str) -> None:
    path = shared / "cases" / f"{name}.jsonl"
    if not path.is_file():
        pytest.skip("../shared/cases is absent")
    sink = run_case(path)
    volume, events = CASES[name]
    assert sum(tick.traded_volume or 0 for tick in sink.ticks) == volume
    ordinary = ("connected", "market_status", "duplicate")
    assert [event["event"] for event in sink.events if event["event"] not in ordinary] == events
    assert all(tick.ltp is not None for tick in sink.ticks if tick.traded_volume)
