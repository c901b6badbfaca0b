from __future__ import annotations

from dataclasses import replace

from orderflow.market.inference import InstrumentState, infer
from orderflow.market.session import SessionCalendar
from orderflow.market.tick import Bar, BookLevel, FeedUpdate, Tick, tick_from_record, tick_record, update_from_tick

KEY = "NSE_EQ|INE118H01025"
SESSION = SessionCalendar().session(KEY, "2025-12-15")
OPEN = SESSION.start_ms


def update(
    at_ms: int, *, ltt_ms: int, vtt: int | None, ltp: float = 100.0, ltq: int = 1, bid: float = 99.9, ask: float = 100.1
) -> FeedUpdate:
    return FeedUpdate(
        KEY,
        "update",
        feed_time_ms=at_ms,
        received_time_ms=at_ms + 5,
        ltp=ltp,
        ltt_ms=ltt_ms,
        ltq=ltq,
        vtt=vtt,
        bid=(BookLevel(bid, 10),),
        ask=(BookLevel(ask, 10),),
    )


def run(*updates: FeedUpdate, after_gap_at: int | None = None) -> tuple[list[Tick], InstrumentState, list[str]]:
    state, ticks, events = InstrumentState(KEY), [], []
    for index, each in enumerate(updates):
        result = infer(state, each, SESSION, "NORMAL_OPEN", after_gap=index == after_gap_at)
        state = result.state
        ticks.append(result.tick)
        events += [event.event for event in result.events]
    return ticks, state, events


def test_first_update_when_there_is_no_baseline_then_no_volume_is_inferred() -> None:
    ticks, state, _ = run(update(OPEN + 60_000, ltt_ms=OPEN + 59_000, vtt=5_000))
    assert ticks[0].traded_volume is None
    assert ticks[0].event_time_ms == OPEN + 60_000
    assert (state.vtt, state.sequence) == (5_000, 1)


def test_volume_when_vtt_rises_then_it_is_the_rise_at_the_time_of_the_last_trade() -> None:
    ticks, _, _ = run(
        update(OPEN + 60_000, ltt_ms=OPEN + 59_000, vtt=5_000, bid=99.8, ask=100.0),
        update(OPEN + 61_000, ltt_ms=OPEN + 60_700, vtt=5_120, ltp=100.0),
    )
    trade = ticks[1]
    assert (trade.traded_volume, trade.event_time_ms) == (120, OPEN + 60_700)
    assert (trade.prev_bid, trade.prev_ask, trade.prev_feed_time_ms, trade.prev_ltt_ms) == (
        99.8,
        100.0,
        OPEN + 60_000,
        OPEN + 59_000,
    )


def test_tick_when_there_was_an_update_before_then_it_carries_the_quantities_of_that_ones_best_levels() -> None:
    before = replace(
        update(OPEN + 60_000, ltt_ms=OPEN + 59_000, vtt=5_000), bid=(BookLevel(99.9, 70), BookLevel(99.8, 1)), ask=()
    )
    ticks, state, _ = run(before, update(OPEN + 61_000, ltt_ms=OPEN + 60_700, vtt=5_120))
    assert [(tick.prev_bid_quantity, tick.prev_ask_quantity) for tick in ticks] == [(None, None), (70, None)]
    assert (state.bid_quantity, state.ask_quantity) == (10, 10)


def test_volume_when_nothing_traded_then_it_is_zero_at_the_feeds_time() -> None:
    ticks, _, events = run(
        update(OPEN + 60_000, ltt_ms=OPEN + 59_000, vtt=5_000),
        update(OPEN + 61_000, ltt_ms=OPEN + 59_000, vtt=5_000),
    )
    assert (ticks[1].traded_volume, ticks[1].event_time_ms) == (0, OPEN + 61_000)
    assert events == ["duplicate"]


def test_update_when_vtt_falls_then_it_is_out_of_order_and_changes_nothing_that_follows() -> None:
    ticks, _, events = run(
        update(OPEN + 60_000, ltt_ms=OPEN + 59_000, vtt=5_000),
        update(OPEN + 61_000, ltt_ms=OPEN + 60_900, vtt=5_100),
        update(OPEN + 62_000, ltt_ms=OPEN + 60_500, vtt=5_050, bid=1.0, ask=2.0),
        update(OPEN + 63_000, ltt_ms=OPEN + 62_900, vtt=5_300),
    )
    assert [tick.traded_volume for tick in ticks] == [None, 100, 0, 200]
    assert ticks[3].prev_bid == 99.9
    assert events == ["out_of_order"]
    assert [tick.sequence for tick in ticks] == [1, 2, 3, 4]


def test_direction_when_price_repeats_then_the_last_change_holds() -> None:
    ticks, _, _ = run(
        update(OPEN + 1_000, ltt_ms=OPEN + 900, vtt=10, ltp=100.0),
        update(OPEN + 2_000, ltt_ms=OPEN + 1_900, vtt=20, ltp=99.9),
        update(OPEN + 3_000, ltt_ms=OPEN + 2_900, vtt=30, ltp=99.9),
        update(OPEN + 4_000, ltt_ms=OPEN + 3_900, vtt=40, ltp=100.2),
    )
    assert [tick.tick_direction for tick in ticks] == [0, -1, -1, 1]


def test_pre_open_when_vtt_is_indicative_then_nothing_is_inferred_and_yesterdays_ltt_is_not_the_event_time() -> None:
    yesterday = OPEN - 62_000_000
    ticks, _, _ = run(
        update(OPEN - 600_000, ltt_ms=yesterday, vtt=24_147),
        update(OPEN + 2_000, ltt_ms=OPEN + 1_900, vtt=900),
        update(OPEN + 3_000, ltt_ms=OPEN + 2_900, vtt=950),
    )
    assert [tick.traded_volume for tick in ticks] == [None, None, 50]
    assert (ticks[0].event_time_ms, ticks[0].session_phase) == (OPEN - 600_000, "pre_open")


def test_pre_open_when_an_auction_runs_then_the_tick_carries_what_it_would_match_and_restores_it() -> None:
    before = replace(
        update(OPEN - 600_000, ltt_ms=OPEN - 63_000_000, vtt=30_000),
        indicative_price=101.5,
        indicative_quantity=30_000,
        indicative_imbalance=-1_200,
    )
    (tick, after), _, _ = run(before, update(OPEN + 1_000, ltt_ms=OPEN + 500, vtt=31_000))
    assert (tick.session_phase, tick.traded_volume) == ("pre_open", None)
    assert (tick.indicative_price, tick.indicative_quantity, tick.indicative_imbalance) == (101.5, 30_000, -1_200)
    assert (after.indicative_price, after.indicative_quantity, after.indicative_imbalance) == (None, None, None)
    assert update_from_tick(tick) == before


def test_first_trade_when_the_buffer_period_was_seen_then_its_vtt_is_the_baseline() -> None:
    ticks, _, _ = run(
        update(OPEN - 60_000, ltt_ms=OPEN - 420_000, vtt=800),
        update(OPEN + 2_000, ltt_ms=OPEN + 1_900, vtt=900),
    )
    assert [tick.traded_volume for tick in ticks] == [None, 100]


def test_gap_when_an_outage_was_long_then_its_volume_counts_at_the_time_of_its_last_trade() -> None:
    ticks, _, events = run(
        update(OPEN + 60_000, ltt_ms=OPEN + 59_000, vtt=5_000),
        update(OPEN + 660_000, ltt_ms=OPEN + 300_000, vtt=7_000),
        after_gap_at=1,
    )
    assert (ticks[1].gap, ticks[1].traded_volume, ticks[1].event_time_ms) == (True, 2_000, OPEN + 300_000)
    assert events == ["gap"]


def test_gap_when_an_outage_spans_the_close_then_its_continuous_volume_stays_in_the_session() -> None:
    close = SESSION.end_ms
    ticks, _, _ = run(
        update(close - 120_000, ltt_ms=close - 121_000, vtt=1_000),
        update(close + 360_000, ltt_ms=close - 1_000, vtt=9_000),
        after_gap_at=1,
    )
    assert (ticks[1].event_time_ms, ticks[1].traded_volume) == (close - 1_000, 8_000)
    assert (ticks[1].session_phase, ticks[1].auction) == ("continuous", False)


def test_volume_when_an_update_has_no_usable_ltt_then_it_comes_with_the_next() -> None:
    ticks, _, _ = run(
        update(OPEN + 60_000, ltt_ms=OPEN + 59_000, vtt=1_000),
        replace(update(OPEN + 61_000, ltt_ms=0, vtt=1_400), ltt_ms=None, ltp=None),
        update(OPEN + 62_000, ltt_ms=OPEN + 61_000, vtt=1_500),
    )
    assert [tick.traded_volume for tick in ticks] == [None, None, 500]


def test_first_trade_when_a_stock_was_quiet_since_its_auction_then_the_auctions_vtt_is_the_baseline() -> None:
    ticks, _, _ = run(
        update(OPEN - 540_000, ltt_ms=OPEN - 62_000_000, vtt=24_147),
        update(OPEN - 390_000, ltt_ms=OPEN - 400_000, vtt=18_000),
        update(OPEN + 90_000, ltt_ms=OPEN + 89_000, vtt=18_700),
    )
    assert [tick.traded_volume for tick in ticks] == [None, None, 700]


def test_first_trade_when_an_option_was_seen_untraded_before_the_open_then_its_baseline_is_zero() -> None:
    session = SessionCalendar().session("NSE_FO|51414", "2025-12-15")
    state = InstrumentState("NSE_FO|51414")
    state = infer(
        state, replace(update(OPEN - 600_000, ltt_ms=OPEN - 62_000_000, vtt=0), instrument_key="NSE_FO|51414"), session
    ).state
    first = update(OPEN + 990_000, ltt_ms=OPEN + 989_000, vtt=3_500)
    assert infer(state, replace(first, instrument_key="NSE_FO|51414"), session).tick.traded_volume == 3_500


def test_ltt_when_it_goes_backwards_then_the_trade_keeps_it_and_the_next_refers_to_the_later_one() -> None:
    ticks, _, _ = run(
        update(OPEN + 60_000, ltt_ms=OPEN + 59_000, vtt=1_000),
        update(OPEN + 61_000, ltt_ms=OPEN + 40_000, vtt=1_010),
        update(OPEN + 62_000, ltt_ms=OPEN + 61_500, vtt=1_030),
    )
    assert [tick.event_time_ms for tick in ticks[1:]] == [OPEN + 40_000, OPEN + 61_500]
    assert ticks[2].prev_ltt_ms == OPEN + 59_000


def test_trade_after_the_close_when_inferred_then_it_is_outside_the_session() -> None:
    close = SESSION.end_ms
    ticks, _, _ = run(
        update(close - 2_000, ltt_ms=close - 2_500, vtt=5_000),
        update(close + 40_000, ltt_ms=close - 100, vtt=5_010),
        update(close + 900_000, ltt_ms=close + 890_000, vtt=6_000),
    )
    assert [tick.session_phase for tick in ticks] == ["continuous", "continuous", "post_close"]
    assert [tick.auction for tick in ticks] == [False, False, True]


def test_index_when_it_has_no_volume_then_its_price_is_timed_by_ltt() -> None:
    ticks, _, _ = run(update(OPEN + 5_000, ltt_ms=OPEN + 4_000, vtt=None), update(OPEN + 6_000, ltt_ms=OPEN + 4_000, vtt=None))
    assert [tick.event_time_ms for tick in ticks] == [OPEN + 4_000, OPEN + 6_000]
    assert [tick.traded_volume for tick in ticks] == [None, None]


def test_bar_when_it_repeats_then_it_is_published_once() -> None:
    first = replace(update(OPEN + 61_500, ltt_ms=OPEN + 59_000, vtt=500), minute_bar=Bar(OPEN, 1.0, 2.0, 1.0, 2.0, 400))
    ticks, _, _ = run(update(OPEN + 58_000, ltt_ms=OPEN + 57_000, vtt=450), first, replace(first, feed_time_ms=OPEN + 62_500))
    assert ticks[1].bar is not None
    assert ticks[1].bar.volume == 400
    assert ticks[2].bar is None


def test_new_trading_date_when_it_begins_then_counting_starts_again() -> None:
    _, state, _ = run(update(OPEN + 60_000, ltt_ms=OPEN + 59_000, vtt=5_000))
    tomorrow = SessionCalendar().session(KEY, "2025-12-16")
    at = tomorrow.start_ms + 60_000
    result = infer(state, update(at, ltt_ms=at - 500, vtt=300), tomorrow)
    assert (result.tick.sequence, result.tick.traded_volume, result.tick.trading_date) == (1, None, "2025-12-16")


def test_state_when_ticks_are_absorbed_again_then_it_is_the_same_as_live() -> None:
    updates = [
        update(OPEN + 60_000 + 700 * n, ltt_ms=OPEN + 59_500 + 700 * n, vtt=5_000 + 13 * n, ltp=100.0 + n % 3) for n in range(200)
    ]
    ticks, live, _ = run(*updates)
    restored = InstrumentState.from_record(run(*updates[:120])[1].to_record())
    for tick in ticks[120:]:
        copy = tick_from_record(tick_record(tick))
        assert copy == tick
        restored = infer(restored, update_from_tick(copy), SESSION, copy.segment_status).state
    assert restored == live
