"""The streamer's core: heartbeats, gaps, and volume that stays exact through restarts at any moment."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from orderflow.market.inference import InstrumentState
from orderflow.market.session import SessionBook, SessionCalendar
from orderflow.market.stored_state import restored_segments
from orderflow.market.tick import Tick, tick_record
from orderflow.upstox.engine import FeedEngine
from orderflow.upstox.resume import continued, restored_state
from tests.feed.rig import INFY, TCS, TEN, ListSink, full, message, opening, wire

RECEIVED = TEN + 30


def running(sink: ListSink, keys: tuple[str, ...] = (TCS, INFY)) -> FeedEngine:
    engine = FeedEngine(sink, SessionBook(SessionCalendar()))
    engine.own(keys)
    engine.opened(RECEIVED)
    return engine


def feed(engine: FeedEngine, content: dict[str, Any], delay_ms: int = 30) -> None:
    engine.message(wire(content), int(content["currentTs"]) + delay_ms)


def test_heartbeat_when_the_snapshot_is_stored_then_the_feeds_clock_goes_on() -> None:
    sink = ListSink()
    engine = running(sink)
    assert not engine.beat(RECEIVED)
    for content in opening():
        feed(engine, content)
    assert engine.beat(RECEIVED + 1_000)
    assert [(tick.instrument_key, tick.kind, tick.event_time_ms) for tick in sink.heartbeats] == [("*", "heartbeat", TEN + 1_000)]


def test_records_when_published_then_ticks_heartbeats_and_events_carry_the_streamers_name() -> None:
    sink = ListSink()
    engine = FeedEngine(sink, SessionBook(SessionCalendar()), streamer="mumbai")
    engine.own((TCS, INFY))
    engine.opened(RECEIVED)
    for content in opening():
        feed(engine, content)
    assert engine.beat(RECEIVED + 1_000)
    assert [tick.streamer for tick in (*sink.ticks, *sink.heartbeats)] == ["mumbai"] * 3
    assert [(event["event"], event["streamer"]) for event in sink.events] == [
        ("connected", "mumbai"),
        ("market_status", "mumbai"),
    ]


def test_heartbeat_when_an_instrument_is_missing_from_the_snapshot_then_waits_three_seconds() -> None:
    engine = running(ListSink(), (TCS, INFY, "NSE_EQ|QUIET"))
    for content in opening():
        feed(engine, content)
    assert not engine.beat(RECEIVED + 1_000)
    assert engine.beat(RECEIVED + 3_000)


def test_heartbeat_when_the_snapshot_is_not_acknowledged_yet_then_none() -> None:
    class Slow(ListSink):
        acknowledged = 0

        def is_acknowledged(self, number: int) -> bool:
            return self.acknowledged >= number

    sink = Slow()
    engine = running(sink)
    for content in opening():
        feed(engine, content)
    assert not engine.beat(RECEIVED + 1_000)
    sink.acknowledged = 2
    assert engine.beat(RECEIVED + 2_000)


def test_heartbeat_when_lost_stalled_or_spooling_then_none() -> None:
    sink = ListSink()
    engine = running(sink)
    for content in opening():
        feed(engine, content)
    assert engine.beat(RECEIVED + 1_000)
    sink.is_spooling = True
    assert not engine.beat(RECEIVED + 2_000)
    sink.is_spooling = False
    assert engine.beat(RECEIVED + 3_000)
    engine.stalled(RECEIVED + 4_000, 31_000)
    assert not engine.beat(RECEIVED + 4_000)
    engine.lost(RECEIVED + 4_100, "silent")
    assert not engine.beat(RECEIVED + 5_000)
    engine.opened(RECEIVED + 6_000)
    assert not engine.beat(RECEIVED + 7_000)


def test_heartbeat_when_the_process_was_frozen_then_what_waited_in_the_socket_comes_first() -> None:
    engine = running(ListSink())
    for content in opening():
        feed(engine, content)
    assert engine.beat(RECEIVED + 1_000)
    assert not any(engine.beat(RECEIVED + later) for later in range(151_000, 161_000, 1_000))
    feed(engine, message(TEN + 2_000, {TCS: full(1010, TEN + 2_000)}), delay_ms=149_000)
    assert engine.beat(RECEIVED + 161_000)


def test_heartbeat_when_the_replay_is_faster_than_time_then_its_clock_follows_and_never_goes_back() -> None:
    sink = ListSink()
    engine = running(sink)
    for content in opening():
        feed(engine, content)
    engine.message(wire(message(TEN + 600_000, {TCS: full(1010, TEN + 600_000)})), TEN + 700_000)
    engine.beat(TEN + 700_500)
    engine.message(wire(message(TEN + 590_000, {TCS: full(1010, TEN + 590_000)})), TEN + 700_600)
    engine.beat(TEN + 700_700)
    assert [tick.event_time_ms for tick in sink.heartbeats] == [TEN + 600_500, TEN + 600_500]


def test_heartbeat_when_the_wall_clock_steps_forward_in_a_quiet_spell_then_it_stays_with_the_feed() -> None:
    sink = ListSink()
    engine = running(sink)
    for content in opening():
        feed(engine, content)
    engine.message(wire(message(TEN + 1_000, {TCS: full(1010, TEN + 900)})), TEN + 1_005)
    for second in range(2, 5):
        engine.beat(TEN + second * 1_000)
    for second in range(5, 20):
        engine.beat(TEN + 200_000 + second * 1_000)
    assert TEN + 15_000 < sink.heartbeats[-1].event_time_ms <= TEN + 30_000


def test_heartbeat_when_the_market_has_closed_then_goes_on_so_that_the_last_candles_come_out() -> None:
    sink = ListSink()
    engine = running(sink)
    for content in opening():
        feed(engine, content)
    close = {"type": "market_info", "currentTs": str(TEN + 10_000), "marketInfo": {"segmentStatus": {"NSE_EQ": "NORMAL_CLOSE"}}}
    feed(engine, close)
    assert all(engine.beat(RECEIVED + later) for later in range(10_000, 200_001, 1_000))
    assert sink.heartbeats[-1].event_time_ms == TEN + 200_000
    assert not engine.is_in_continuous_trading(RECEIVED + 200_000)


def test_duplicates_when_the_feed_repeats_itself_then_one_record_an_instrument_and_minute() -> None:
    sink = ListSink()
    engine = running(sink)
    for content in opening():
        feed(engine, content)
    engine.beat(RECEIVED)
    for later in (1_000, 2_000, 3_000):
        feed(engine, message(TEN + later, {TCS: full(1000, TEN)}))
    engine.beat(RECEIVED + 61_000)
    events = [event for event in sink.events if event["event"] == "duplicate"]
    assert [(event["instrument_key"], event["from_ms"], event["to_ms"], event["detail"]) for event in events] == [
        (TCS, TEN, TEN + 3_000, '{"count": 3}')
    ]


def test_tick_when_the_spool_refuses_it_then_its_volume_joins_the_next_as_a_gap() -> None:
    sink = ListSink()
    engine = running(sink)
    for content in opening():
        feed(engine, content)
    sink.full = True
    feed(engine, message(TEN + 1_000, {TCS: full(1040, TEN + 1_000)}))
    sink.full = False
    feed(engine, message(TEN + 2_000, {TCS: full(1050, TEN + 2_000)}))
    last = [tick for tick in sink.ticks if tick.instrument_key == TCS][-1]
    assert (last.traded_volume, last.gap, last.sequence) == (50, True, 2)


def test_rejects_when_they_come_in_a_flood_then_counted_all_and_published_few() -> None:
    sink = ListSink()
    engine = running(sink)
    for _ in range(500):
        engine.message(b"\xff\xff", RECEIVED)
    assert engine.figures.rejects == 500
    assert len(sink.rejects) == 20


def test_vtt_when_the_first_one_was_absurd_then_a_new_baseline_after_half_a_minute_and_no_later_volume_is_lost() -> None:
    sink = ListSink()
    engine = running(sink, (TCS,))
    feed(engine, opening()[0])
    feed(engine, message(TEN, {TCS: full(900_000_000, TEN)}, None))
    for step in range(1, 41):
        feed(engine, message(TEN + step * 1_000, {TCS: full(1000 + step, TEN + step * 1_000)}))
    (reset,) = [event for event in sink.events if event["event"] == "reset"]
    assert (reset["instrument_key"], reset["from_ms"], reset["to_ms"]) == (TCS, TEN + 1_000, TEN + 31_000)
    assert [tick.traded_volume for tick in sink.ticks[-10:]] == [0, 31, 1, 1, 1, 1, 1, 1, 1, 1]
    assert [tick.gap for tick in sink.ticks[-10:]] == [False, True, *[False] * 8]


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("trade"), st.integers(0, 50)),
        st.tuples(st.just("unseen"), st.integers(1, 500)),
        st.tuples(st.just("backwards"), st.integers(1, 9)),
        st.tuples(st.just("flush"), st.just(0)),
        st.tuples(st.just("reconnect"), st.just(0)),
        st.tuples(st.just("crash"), st.integers(0, 6)),
        st.tuples(st.just("crash with a spool"), st.integers(0, 6)),
    ),
    max_size=40,
)


@given(STEPS)
def test_volume_when_the_streamer_dies_at_any_moment_then_what_is_stored_is_exact(steps: list[tuple[str, int]]) -> None:
    """`stored` is the topic; a crash loses the last few ticks, or leaves them in a spool with a hole before them."""
    stored: list[Tick] = []
    flushed: dict[str, Any] = {}
    vtt, at_ms, base = 1000, TEN, 0
    sink = ListSink()
    engine = running(sink, (TCS,))
    for content in opening():
        feed(engine, content)

    def see() -> None:
        feed(engine, message(at_ms, {TCS: full(vtt, at_ms)}))

    for what, amount in steps:
        at_ms += 700
        if what in ("trade", "backwards"):
            if what == "trade":
                vtt += amount
                see()
            else:
                feed(engine, message(at_ms, {TCS: full(vtt - amount, at_ms)}))
        elif what == "unseen":
            vtt += amount
        elif what == "flush":
            flushed = {"states": {key: record() for key, record in sink.states.items()}, "position": base + len(sink.ticks)}
            flushed = dict(flushed)
        elif what == "reconnect":
            engine.lost(at_ms, "reset")
            engine.opened(at_ms)
            see()
        else:
            kept = max(0, len(sink.ticks) - amount)
            if flushed and flushed["position"] > base + kept:
                kept = flushed["position"] - base
            stored += sink.ticks[:kept]
            lost = sink.ticks[kept:]
            spooled = lost[len(lost) // 2 :] if what == "crash with a spool" else []
            states = flushed.get("states", {})
            newer = [tick_record(tick) for tick in stored[flushed.get("position", 0) :]]
            state = restored_state(TCS, states.get(TCS), newer)
            sink = ListSink()
            base = len(stored)
            engine = FeedEngine(sink, SessionBook(SessionCalendar(), segments=restored_segments(states)), {TCS: state})
            for tick in spooled:
                state, again, _ = continued(engine.states[TCS], tick)
                if again is not None:
                    sink.tick(again)
                    engine.states[TCS] = state
            engine.own((TCS,))
            engine.opened(at_ms)
            feed(engine, opening()[0])
            see()
    at_ms += 700
    see()
    ticks = stored + sink.ticks
    ticks = [tick for tick in ticks if tick.instrument_key == TCS]
    first = next(index for index, tick in enumerate(ticks) if tick.vtt is not None)
    baseline = ticks[first].vtt
    assert baseline is not None
    assert sum(tick.traded_volume or 0 for tick in ticks) == vtt - baseline
    assert [tick.sequence for tick in ticks] == list(range(1, len(ticks) + 1))


def test_state_when_nothing_is_stored_then_a_fresh_one() -> None:
    assert restored_state(TCS, None, ()) == InstrumentState(TCS)


def test_pre_open_message_when_its_last_trade_is_of_yesterday_then_booked_today_and_nothing_traded() -> None:
    sink = ListSink()
    engine = running(sink, (TCS,))
    before_open = TEN - 54 * 60_000
    yesterday = {"ltp": 248.5, "ltt": str(before_open - 17 * 3_600_000), "ltq": "16", "cp": 248.6}
    crossed = {"bidAskQuote": [{"bidQ": "63", "bidP": 298.3, "askQ": "200", "askP": 240.3}, {"bidQ": "8014", "askQ": "761"}]}
    pre_open = {"fullFeed": {"marketFF": {"ltpc": yesterday, "marketLevel": crossed, "vtt": "24147"}}}
    feed(engine, message(before_open, {TCS: pre_open}))
    feed(engine, message(before_open + 1_000, {TCS: {"fullFeed": {"marketFF": {"ltpc": yesterday, "vtt": "30000"}}}}))
    assert [(tick.trading_date, tick.event_time_ms, tick.traded_volume, tick.session_phase) for tick in sink.ticks] == [
        ("2025-12-15", before_open, None, "pre_open"),
        ("2025-12-15", before_open + 1_000, None, "pre_open"),
    ]


def test_closing_auction_when_a_stock_with_derivatives_trades_in_it_then_marked_and_not_continuous() -> None:
    sink = ListSink()
    at_ms = TEN + 232 * 86_400_000 + (5 * 60 + 29) * 60_000
    engine = FeedEngine(sink, SessionBook(SessionCalendar(), frozenset({TCS})))
    engine.own((TCS, INFY))
    engine.opened(at_ms)
    feed(engine, message(at_ms - 20 * 60_000, {TCS: full(1000, at_ms - 20 * 60_000), INFY: full(1000, at_ms - 20 * 60_000)}))
    feed(engine, message(at_ms, {TCS: full(1500, at_ms), INFY: full(1500, at_ms)}))
    assert {tick.instrument_key: (tick.session_phase, tick.auction, tick.traded_volume) for tick in sink.ticks[2:]} == {
        TCS: ("closing_auction", True, 500),
        INFY: ("continuous", False, 500),
    }


def test_share_when_the_feed_says_that_it_closes_by_auction_then_no_master_is_needed() -> None:
    sink = ListSink()
    at_ms = TEN + 232 * 86_400_000 + (5 * 60 + 29) * 60_000
    engine = running(sink, (TCS,))
    eligible = full(1500, at_ms)
    eligible["fullFeed"]["marketFF"]["casEligible"] = True
    feed(engine, message(at_ms - 20 * 60_000, {TCS: full(1000, at_ms - 20 * 60_000)}))
    feed(engine, message(at_ms, {TCS: eligible}))
    assert [(tick.session_phase, tick.traded_volume) for tick in sink.ticks] == [("continuous", None), ("closing_auction", 500)]


def test_listing_when_the_streamer_starts_again_after_ten_then_the_session_still_starts_at_ten() -> None:
    """What would match in the auction is no longer sent then: only the stored state can tell."""
    sink = ListSink()
    engine = running(sink, (TCS, INFY))
    auction: dict[str, Any] = {"ltpc": {"cp": 99.0}, "iep": 100.0, "ieq": "12000000"}
    feed(engine, message(TEN - 2_400_000, {TCS: {"fullFeed": {"marketFF": auction}}}))
    feed(engine, message(TEN + 60_000, {TCS: full(12_000_000, TEN + 59_000), INFY: full(1_000, TEN + 59_000)}))
    states = {key: InstrumentState.from_record(state.to_record()) for key, state in engine.states.items()}
    again = FeedEngine(sink, SessionBook(SessionCalendar()), states)
    again.own((TCS, INFY))
    again.opened(TEN + 120_000)
    feed(again, message(TEN + 120_000, {TCS: full(12_000_500, TEN + 119_000), INFY: full(1_500, TEN + 119_000)}))
    assert [
        {(tick.instrument_key, tick.session_start_ms) for tick in ticks} for ticks in (sink.ticks[-4:-2], sink.ticks[-2:])
    ] == [{(TCS, TEN), (INFY, TEN - 2_700_000)}] * 2


def test_auction_statuses_when_they_change_then_each_is_reported_once() -> None:
    sink = ListSink()
    engine = running(sink)
    pre_open = {"preOpenSessionStatus": {"NSE_EQ": {"status": "PRE_OPEN_START", "updatedTime": str(TEN)}}}
    closing = {"casMarketStatus": {"NSE_EQ": {"status": "CAS_LM_START", "updatedTime": str(TEN)}}}
    for info in (pre_open, pre_open, {**pre_open, **closing}):
        feed(engine, {"type": "market_info", "currentTs": str(TEN), "marketInfo": info})
    assert [(event["event"], event["detail"]) for event in sink.events if event["event"] != "connected"] == [
        ("pre_open", '{"NSE_EQ": "PRE_OPEN_START"}'),
        ("closing_auction", '{"NSE_EQ": "CAS_LM_START"}'),
    ]
