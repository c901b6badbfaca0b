"""Quiet lists, mute servers and wrong clocks, on a virtual clock."""

from __future__ import annotations

import random

import pytest

from orderflow.upstox.clock import FeedClock, SteadyClock
from orderflow.upstox.engine import FeedEngine
from orderflow.upstox.liveness import Liveness
from tests.feed.rig import INFY, TCS, TEN, ListSink, full, message, opening, wire
from tests.unit.test_feed_engine import running

HOUR = 3_600.0


class Watched:
    """A connection on a virtual clock: messages come at given times, and the list is looked at four times a second."""

    def __init__(self) -> None:
        self.liveness = Liveness()
        self.now = 1_000.0
        self.live = 0
        self.connections = 0
        self.last: float | None = None

    def open(self) -> None:
        self.connections += 1
        self.liveness.opened(self.now, self.live)
        self.last = self.now + 0.2

    def run(self, updates: list[float], until: float, *, trading: bool = True) -> list[float]:
        """Go on to `until`; return the silences for which the connection was given up."""
        stalls: list[float] = []
        waiting = sorted(updates)
        while self.now < until:
            self.now += 0.25
            while waiting and waiting[0] <= self.now:
                self.last = waiting.pop(0)
                self.live += 1
            silent = self.liveness.silence(self.now, self.last, self.live, trading=trading)
            if silent is not None:
                stalls.append(silent)
                self.liveness.stalled()
                self.now += 1.0
                self.open()
        return stalls


def test_connection_when_a_list_of_quiet_options_trades_for_three_hours_then_it_is_one() -> None:
    randomly = random.Random(11)
    feed = Watched()
    feed.open()
    updates, at = [], feed.now
    while at < feed.now + 3 * HOUR:
        at += randomly.uniform(60, 150)
        updates.append(at)
    assert feed.run(updates, feed.now + 3 * HOUR) == []
    assert feed.connections == 1


@pytest.mark.parametrize("contracts", [1, 2, 3, 5, 8])
def test_connection_when_each_of_some_contracts_speaks_every_minute_or_two_then_it_is_one(contracts: int) -> None:
    """Two contracts may speak within seconds of each other and then both be silent for a minute."""
    for seed in range(20):
        randomly = random.Random(seed)
        feed = Watched()
        feed.open()
        updates = []
        for _ in range(contracts):
            at = feed.now + randomly.uniform(0, 150)
            while at < feed.now + HOUR:
                updates.append(at)
                at += randomly.uniform(60, 150)
        assert feed.run(updates, feed.now + HOUR) == [], seed


def test_connection_when_liquid_shares_go_mute_then_given_up_after_half_a_minute() -> None:
    feed = Watched()
    feed.open()
    began = feed.now
    (silent,) = feed.run([began + 1 + 0.9 * number for number in range(200)], began + 212.5)
    assert 30.0 < silent < 31.0


def test_connection_when_the_exchange_halts_for_an_hour_then_few_and_ever_more_patient_ones() -> None:
    feed = Watched()
    feed.open()
    began = feed.now
    stalls = feed.run([began + 1 + 0.9 * number for number in range(200)], began + 200 + HOUR)
    assert [round(silent) for silent in stalls] == [30, 30, 60, 120, 240, 480, 900, 900]


def test_connection_when_its_pace_is_known_from_the_one_before_then_it_is_remembered() -> None:
    feed = Watched()
    feed.open()
    began = feed.now
    feed.run([began + 100.0 * number for number in range(1, 11)], began + 1_000)
    feed.open()
    assert feed.run([], feed.now + 390) == []
    assert [round(silent) for silent in feed.run([], feed.now + 20)] == [400]


def test_silence_when_the_market_was_closed_then_it_counts_from_the_opening() -> None:
    feed = Watched()
    feed.open()
    began = feed.now
    feed.run([began + number for number in range(1, 20)], began + 20)
    assert feed.run([], began + 17 * HOUR, trading=False) == []
    assert feed.run([], feed.now + 29) == []


def test_connection_when_nothing_comes_after_opening_then_given_up_at_any_hour() -> None:
    liveness = Liveness()
    liveness.opened(100.0, 0)
    assert liveness.silence(120.0, None, 0, trading=False) is None
    assert liveness.silence(120.5, None, 0, trading=False) == 20.5


def test_clock_when_the_wall_steps_back_or_forward_then_it_never_goes_back() -> None:
    wall, elapsed = [10_000_000_000], [0]
    clock = SteadyClock(lambda: wall[0], lambda: elapsed[0])
    seen = [clock.now_ms()]
    for wall_step, elapsed_step in (
        (1_000_000_000, 1_000_000_000),
        (-7_200_000_000_000, 1_000_000_000),
        (7_201_000_000_000, 1_000_000_000),
    ):
        wall[0] += wall_step
        elapsed[0] += elapsed_step
        seen.append(clock.now_ms())
    assert seen == [10_000, 11_000, 12_000, 13_000]
    wall[0] += 60_000_000_000
    assert clock.now_ms() == 72_000


def test_feed_clock_when_the_machine_is_two_minutes_slow_then_corrected_until_it_is_set() -> None:
    clock = FeedClock()
    assert clock.believes(TEN, TEN - 120_000, is_status=True)
    clock.accept(TEN, TEN - 120_000)
    assert clock.corrected(TEN - 60_000) == TEN + 60_000
    clock.accept(TEN + 200_000, TEN + 200_030)
    assert clock.corrected(TEN + 201_000) == TEN + 201_000


def test_feed_clock_when_a_single_message_is_of_the_future_then_not_believed() -> None:
    clock = FeedClock()
    assert not clock.believes(TEN + 120_000, TEN, is_status=False)
    clock.accept(TEN + 1_000, TEN + 1_030)
    assert not clock.believes(TEN + 122_000, TEN + 2_000, is_status=False)
    assert clock.believes(TEN + 123_000, TEN + 3_000, is_status=False)
    assert not FeedClock().believes(TEN + 3_600_000, TEN, is_status=True)


def test_streamer_when_its_clock_is_two_minutes_slow_then_every_update_is_published_and_the_ledger_names_the_clock() -> None:
    sink = ListSink()
    engine = running(sink)
    for content in (*opening(), message(TEN + 1_000, {TCS: full(1040, TEN + 1_000)})):
        engine.message(wire(content), int(content["currentTs"]) - 120_000)
    assert engine.beat(TEN + 1_500 - 120_000)
    assert sorted((tick.instrument_key, tick.sequence, tick.traded_volume) for tick in sink.ticks) == [
        (INFY, 1, None),
        (TCS, 1, None),
        (TCS, 2, 40),
    ]
    assert all(0 <= tick.received_time_ms - tick.feed_time_ms <= 1_000 for tick in sink.ticks)
    assert sink.heartbeats[0].event_time_ms == TEN + 1_500
    (clock,) = [event for event in sink.events if event["event"] == "clock"]
    assert clock["cause"] == "this machine's clock is 120 s behind the feed, whose time is used: set the clock"
    assert sink.rejects == []


def test_streamer_when_its_clock_is_hours_slow_then_nothing_is_published_and_the_trouble_names_the_clock() -> None:
    sink = ListSink()
    engine = running(sink)
    for second in range(15):
        at_ms = TEN + second * 1_000
        engine.message(wire(message(at_ms, {TCS: full(1040, at_ms)})), at_ms - 7_200_000)
    assert sink.ticks == []
    assert engine.trouble(TEN + 15_000 - 7_200_000) == "this machine's clock is 7200 s behind the feed: set the clock"


def test_streamer_when_the_schema_changed_then_the_trouble_names_the_most_frequent_reason() -> None:
    engine: FeedEngine = running(ListSink())
    engine.message(wire(opening()[0]), TEN)
    for second in range(12):
        engine.message(
            wire({"type": "live_feed", "feeds": {TCS: {}}, "currentTs": str(TEN + second * 1_000)}), TEN + second * 1_000
        )
    assert engine.trouble(TEN + 5_000) is None
    assert engine.trouble(TEN + 12_000) == "no message of the feed can be used: 12 messages rejected in a row, mostly empty_feed"
    engine.message(wire(message(TEN + 13_000, {TCS: full(1040, TEN + 13_000)})), TEN + 13_000)
    assert engine.trouble(TEN + 60_000) is None


def test_key_when_the_server_never_mentions_it_then_reported_once_and_again_when_it_comes_after_all() -> None:
    sink = ListSink()
    engine = running(sink, (TCS, "NSE_FO|1"))
    for content in opening():
        engine.message(wire(content), TEN + 50)
    for second in range(1, 60):
        engine.beat(TEN + second * 1_000)
    engine.lost(TEN + 60_000, "reset")
    engine.opened(TEN + 61_000)
    for second in range(61, 120):
        at_ms = TEN + second * 1_000
        engine.message(wire(message(at_ms, {TCS: full(1040 + second, at_ms)})), at_ms)
        engine.beat(at_ms)
    events = [each for each in sink.events if each["event"] == "not_served"]
    assert [(event["instrument_key"], event["at_ms"]) for event in events] == [("NSE_FO|1", TEN + 21_000)]
    assert "full" in events[0]["cause"]
    assert {key: health.state for key, health in engine.health(TEN + 120_000).items()} == {TCS: "live", "NSE_FO|1": "not served"}
    engine.message(wire(message(TEN + 120_000, {"NSE_FO|1": full(75, TEN + 120_000)})), TEN + 120_000)
    assert [event["instrument_key"] for event in sink.events if event["event"] == "served"] == ["NSE_FO|1"]


def test_mode_when_nothing_is_served_in_it_then_reported_once_with_the_plan() -> None:
    sink = ListSink()
    engine = FeedEngine(sink, running(ListSink()).book)
    engine.own((TCS, INFY))
    engine.subscribed({TCS: "full_d30", INFY: "full_d30"})
    engine.opened(TEN)
    engine.message(wire(opening()[0]), TEN)
    for second in range(1, 60):
        engine.beat(TEN + second * 1_000)
    (event,) = [each for each in sink.events if each["event"] == "not_served"]
    assert event["cause"] == "the feed sends none of 2 instruments in mode full_d30: full_d30 needs an Upstox Plus plan"


def test_modes_when_one_of_them_is_not_served_then_reported_with_the_keys_own_mode_and_the_others_are_not() -> None:
    sink = ListSink()
    engine = FeedEngine(sink, running(ListSink()).book)
    modes = {TCS: "full", INFY: "full_d30", "NSE_FO|1": "ltpc", "NSE_FO|2": "ltpc"}
    engine.own(modes)
    engine.subscribed(modes)
    engine.opened(TEN)
    for content in (opening()[0], message(TEN, {TCS: full(1000, TEN)}, None)):
        engine.message(wire(content), TEN)
    for second in range(1, 60):
        engine.beat(TEN + second * 1_000)
    causes = {event.get("instrument_key"): event["cause"] for event in sink.events if event["event"] == "not_served"}
    assert causes == {
        INFY: (
            "the feed does not send it in mode full_d30: expired, unknown, or not in the account's plan "
            "(full_d30 needs an Upstox Plus plan)"
        ),
        None: "the feed sends none of 2 instruments in mode ltpc: check INSTRUMENT and the account's plan",
    }


def test_health_when_instruments_differ_in_pace_then_live_quiet_or_stalled_by_their_own() -> None:
    engine = running(ListSink(), (TCS, INFY))
    for content in opening():
        engine.message(wire(content), int(content["currentTs"]))
    for second in range(1, 301):
        at_ms = TEN + second * 1_000
        if second <= 100:
            engine.message(wire(message(at_ms, {TCS: full(1000 + second, at_ms)})), at_ms)
        if second % 100 == 0:
            engine.message(wire(message(at_ms, {INFY: full(500 + second, at_ms)})), at_ms)
    health = engine.health(TEN + 320_000)
    assert health[TCS] == ("stalled", 220.0, 1.0)
    assert health[INFY] == ("live", 20.0, 100.0)
    assert engine.health(TEN + 680_000)[INFY].state == "quiet"
