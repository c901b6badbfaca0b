"""The dashboard's state: folding trades, replacing by finals, dropping repeats, rolling up."""

from __future__ import annotations

from typing import Any

from orderflow.dashboard.state.minute import profile_of
from orderflow.dashboard.state.rollup import Rollup
from orderflow.dashboard.state.store import Store
from orderflow.dashboard.views import chart
from orderflow.market import topics
from orderflow.market.times import iso_from_ms

KEY = "NSE_EQ|INE467B01029"
OPEN_MS = 1_765_770_300_000  # 2025-12-15 09:15 IST
CLOSE_MS = OPEN_MS + 375 * 60_000


def trade(
    offset_ms: int,
    price: float,
    buy: int,
    sell: int,
    vtt: int,
    *,
    date: str = "2025-12-15",
    none: int = 0,
    gap: bool = False,
) -> tuple[str, dict[str, Any]]:
    at = OPEN_MS + offset_ms
    record = {
        "instrument_key": KEY,
        "trade_id": f"{KEY}:{date}:{vtt}",
        "event_time_ms": at,
        "received_time_ms": at + 40,
        "price": price,
        "volume": buy + sell + none,
        "buy_volume": buy,
        "sell_volume": sell,
        "unclassified_volume": none,
        "side": "buy" if buy > sell else "sell",
        "session_start_ms": OPEN_MS,
        "session_end_ms": CLOSE_MS,
        "gap": gap,
    }
    return topics.TRADES, record


def final(minute: int, o: float, h: float, low: float, c: float, buy: int, sell: int, **more: Any) -> tuple[str, dict[str, Any]]:
    start = OPEN_MS + minute * 60_000
    record = {
        "window_start": iso_from_ms(start),
        "window_end": iso_from_ms(start + 60_000),
        "instrument": KEY,
        "open": o,
        "high": h,
        "low": low,
        "close": c,
        "buy_volume": buy,
        "sell_volume": sell,
        "total_volume": buy + sell,
        "delta": buy - sell,
        "window_minutes": 1,
        "min_delta": 0,
        "max_delta": max(0, buy - sell),
        "vwap": (h + low) / 2,
        **more,
    }
    return topics.ORDERFLOW, record


def level(minute: int, price: int, buy: int, sell: int, none: int = 0) -> tuple[str, dict[str, Any]]:
    start = OPEN_MS + minute * 60_000
    edges = {"window_start": iso_from_ms(start), "window_end": iso_from_ms(start + 60_000), "instrument": KEY}
    volumes = {"buy_volume": buy, "sell_volume": sell, "unclassified_volume": none}
    return topics.FOOTPRINT, {**edges, "price": price, **volumes}


def store_with(*records: tuple[str, dict[str, Any]]) -> Store:
    store = Store(lambda: CLOSE_MS)
    assert store.apply(records) == 0
    return store


def rows(store: Store, minutes: int = 1) -> list[Any]:
    return Rollup(minutes).rows(store.instruments[KEY])


def added_up_anew(store: Store) -> tuple[dict[int, list[int]], int]:
    """Return the day's profile as added up from its minutes, not as kept up to date with every record."""
    profile = profile_of(store.instruments[KEY].minutes.values())
    return profile.levels, profile.unpriced


def test_store_when_trades_of_one_minute_come_folds_a_forming_candle() -> None:
    store = store_with(trade(0, 100.0, 10, 0, 10), trade(5_000, 101.0, 0, 4, 14), trade(59_999, 99.5, 0, 8, 22))
    (row,) = rows(store)
    candle = row.candle
    assert (candle.open, candle.high, candle.low, candle.close) == (100.0, 101.0, 99.5, 99.5)
    assert (candle.buy_volume, candle.sell_volume, candle.total_volume, candle.delta) == (10, 12, 22, -2)
    assert (candle.min_delta, candle.max_delta, row.final, row.cvd) == (-2, 10, False, -2)


def test_store_when_trades_arrive_out_of_order_opens_and_closes_by_event_time() -> None:
    store = store_with(trade(30_000, 101.0, 1, 0, 2), trade(1_000, 100.0, 1, 0, 1), trade(20_000, 105.0, 1, 0, 3))
    candle = rows(store)[0].candle
    assert (candle.open, candle.close, candle.high) == (100.0, 101.0, 105.0)


def test_store_when_a_trade_id_repeats_counts_it_once() -> None:
    first = trade(0, 100.0, 10, 0, 10)
    store = store_with(first, trade(1_000, 100.0, 5, 0, 15), first)
    assert rows(store)[0].candle.total_volume == 15
    assert store.instruments[KEY].repeats == 1
    assert len(store.instruments[KEY].tape) == 2


def test_store_when_the_final_candle_comes_replaces_the_forming_one_and_ignores_later_trades() -> None:
    store = store_with(
        trade(0, 100.0, 10, 0, 10),
        final(0, 100.0, 102.0, 99.0, 101.0, 30, 20, exchange_bar=True),
        trade(40_000, 250.0, 7, 0, 17),
    )
    (row,) = rows(store)
    assert (row.candle.high, row.candle.total_volume, row.final, row.candle.exchange_bar) == (102.0, 50, True, True)
    assert store.instruments[KEY].late_volume == 7


def test_store_when_a_trade_is_outside_the_session_keeps_it_off_the_candles() -> None:
    store = store_with(trade(-60_000, 100.0, 0, 0, 50, none=50), trade(0, 101.0, 1, 0, 51))
    assert [row.candle.total_volume for row in rows(store)] == [1]
    assert store.instruments[KEY].outside_volume == 50


def test_store_when_a_new_date_starts_forgets_the_old_one_and_refuses_its_stragglers() -> None:
    store = store_with(trade(0, 100.0, 10, 0, 10))
    day = 86_400_000
    store.clock_ms = lambda: OPEN_MS + day
    topic, tomorrow = trade(day, 110.0, 3, 0, 3, date="2025-12-16")
    tomorrow |= {"session_start_ms": OPEN_MS + day, "session_end_ms": CLOSE_MS + day}
    store.apply([(topic, tomorrow), trade(2_000, 90.0, 1, 0, 11)])
    assert store.instruments[KEY].date == "2025-12-16"
    assert [row.candle.close for row in rows(store)] == [110.0]
    assert store.counts["other_day"] == 1


def test_store_when_a_record_is_malformed_counts_it_and_goes_on() -> None:
    store = Store(lambda: OPEN_MS)
    bad = [(topics.TRADES, {"instrument_key": KEY}), (topics.ORDERFLOW, {"window_start": "x"}), (topics.TICKS, {})]
    assert store.apply([*bad, trade(0, 100.0, 1, 0, 1)]) == 3
    assert rows(store)[0].candle.close == 100.0
    assert dict(store.rejected) == {topics.TRADES: 1, topics.ORDERFLOW: 1, topics.TICKS: 1}


def test_store_when_a_record_is_of_the_future_refuses_it_so_that_a_stalled_feed_is_still_seen() -> None:
    store = Store(lambda: OPEN_MS)
    tick = {"instrument_key": KEY, "kind": "update", "feed_time_ms": OPEN_MS, "trading_date": "2025-12-15", "ltp": 100.0}
    assert store.apply([(topics.TICKS, {**tick, "received_time_ms": OPEN_MS + 360_000})]) == 1
    assert store.last_update_ms is None
    assert store.apply([(topics.TICKS, {**tick, "received_time_ms": OPEN_MS + 240_000})]) == 0
    assert store.last_update_ms == OPEN_MS + 240_000


def test_store_when_a_final_footprint_comes_replaces_the_forming_levels_in_the_profile() -> None:
    store = store_with(trade(0, 100.0, 10, 0, 10), trade(1_000, 100.05, 0, 5, 15))
    edges = {"window_start": iso_from_ms(OPEN_MS), "window_end": iso_from_ms(OPEN_MS + 60_000), "instrument": KEY}
    level = {**edges, "price": 10_000, "buy_volume": 12, "sell_volume": 1, "unclassified_volume": 2}
    other = {**edges, "price": 10_010, "buy_volume": 0, "sell_volume": 3, "unclassified_volume": 0}
    profile = store.instruments[KEY].profile
    store.apply([(topics.FOOTPRINT, level), (topics.FOOTPRINT, other), (topics.FOOTPRINT, level)])
    assert profile.levels == {1_000_000: [12, 1, 2], 1_001_000: [0, 3, 0]}
    assert added_up_anew(store) == (profile.levels, 0)


def test_store_when_volume_passed_in_an_outage_keeps_it_out_of_the_profile() -> None:
    store = store_with(trade(0, 100.0, 10, 0, 12, none=2), trade(1_000, 104.0, 0, 0, 1012, none=1000, gap=True))
    profile = store.instruments[KEY].profile
    assert (profile.levels, profile.unpriced) == ({1_000_000: [10, 0, 0]}, 1002)
    store.apply([trade(60_000, 101.0, 0, 5, 1020, none=3)])
    assert (profile.levels, profile.unpriced) == ({1_000_000: [10, 0, 0], 1_010_000: [0, 5, 3]}, 1002)
    assert added_up_anew(store) == (profile.levels, 1002)


def test_store_when_a_final_candle_says_that_no_outage_fell_into_it_takes_the_volume_back_into_the_profile() -> None:
    store = store_with(trade(0, 100.0, 10, 0, 10), trade(1_000, 104.0, 0, 0, 110, none=100, gap=True))
    profile = store.instruments[KEY].profile
    assert (profile.levels, profile.unpriced) == ({1_000_000: [10, 0, 0]}, 100)
    store.apply([final(0, 100, 104, 100, 104, 10, 0, unclassified_volume=100)])
    assert (profile.levels, profile.unpriced) == ({1_000_000: [10, 0, 0], 1_040_000: [0, 0, 100]}, 0)
    assert added_up_anew(store) == (profile.levels, 0)


def test_store_when_a_final_footprint_spans_an_outage_keeps_its_unclassified_volume_out_of_the_profile() -> None:
    store = store_with(trade(0, 100.0, 10, 0, 10), final(0, 100, 104, 100, 104, 10, 0, gap=True))
    edges = {"window_start": iso_from_ms(OPEN_MS), "window_end": iso_from_ms(OPEN_MS + 60_000), "instrument": KEY}
    level = {**edges, "price": 10_400, "buy_volume": 12, "sell_volume": 1, "unclassified_volume": 900}
    profile = store.instruments[KEY].profile
    store.apply([(topics.FOOTPRINT, level)])
    assert (profile.levels, profile.unpriced) == ({1_040_000: [12, 1, 0]}, 900)
    assert added_up_anew(store) == (profile.levels, 900)


def test_rollup_when_minutes_do_not_fill_a_window_aligns_to_the_session_start_and_marks_forming() -> None:
    store = store_with(
        final(0, 100, 101, 99, 100.5, 5, 3), final(4, 100.5, 104, 100, 103, 2, 6), final(5, 103, 103, 98, 98, 1, 1)
    )
    first, second = rows(store, 5)
    assert (first.candle.start_ms, first.candle.end_ms) == (OPEN_MS, OPEN_MS + 300_000)
    assert (first.candle.open, first.candle.high, first.candle.low, first.candle.close) == (100, 104, 99, 103)
    assert (first.candle.buy_volume, first.candle.sell_volume, first.candle.delta) == (7, 9, -2)
    assert (first.final, second.final) == (True, False)
    assert (first.cvd, second.cvd) == (-2, -2)


def test_rollup_when_no_trade_comes_after_a_windows_end_closes_it_by_the_feeds_clock() -> None:
    store = store_with(final(0, 100, 101, 99, 100.5, 5, 3), final(2, 100.5, 104, 100, 103, 2, 6))
    rollup = Rollup(5)
    (row,) = rollup.rows(store.instruments[KEY])
    assert not row.final
    beat = {"instrument_key": "heartbeat", "kind": "heartbeat", "schema_version": 1}
    for minutes, closed in ((8, False), (9, True)):
        at = OPEN_MS + minutes * 60_000
        store.apply([(topics.TICKS, {**beat, "feed_time_ms": at, "received_time_ms": at})])
        assert [row.final for row in rollup.rows(store.instruments[KEY])] == [closed]


def test_rollup_when_a_window_crosses_the_close_cuts_it_at_the_session_end() -> None:
    store = store_with(trade(374 * 60_000, 100.0, 1, 0, 1))
    candle = rows(store, 60)[0].candle
    assert (candle.start_ms, candle.end_ms) == (OPEN_MS + 360 * 60_000, CLOSE_MS)


def test_rollup_when_an_auction_trades_after_the_close_then_it_is_a_row_of_its_own_at_every_length() -> None:
    auction = {"session_phase": "closing_auction", "unclassified_volume": 900, "total_volume": 900, "auction_volume": 900}
    store = store_with(final(374, 100, 101, 99, 100, 3, 1))
    rollup = Rollup(60)
    assert [row.final for row in rollup.rows(store.instruments[KEY])] == [False]
    store.apply(
        [level(391, 10_000, 0, 0, 900), final(391, 100, 100, 100, 100, 0, 0, **auction), trade(374 * 60_000, 100.0, 1, 0, 1)]
    )
    closing, after = rollup.rows(store.instruments[KEY])
    assert (closing.candle.start_ms, closing.candle.end_ms, closing.candle.total_volume) == (OPEN_MS + 360 * 60_000, CLOSE_MS, 4)
    assert (after.candle.start_ms, after.candle.end_ms) == (OPEN_MS + 391 * 60_000, OPEN_MS + 392 * 60_000)
    assert (after.candle.total_volume, after.candle.session_phase, after.final, after.volume) == (
        900,
        "closing_auction",
        True,
        904,
    )
    assert chart.facts([closing, after])["session_phase"] == ["continuous", "closing_auction"]


def test_rollup_when_a_second_session_begins_then_the_first_keeps_its_windows() -> None:
    first = {"session_start_ms": OPEN_MS, "session_end_ms": OPEN_MS + 45 * 60_000}
    second = {"session_start_ms": OPEN_MS + 135 * 60_000, "session_end_ms": OPEN_MS + 195 * 60_000}
    common = {"instrument_key": KEY, "kind": "update", "trading_date": "2025-12-15"}
    update = [
        (topics.TICKS, {**common, **hours, "feed_time_ms": at_ms, "received_time_ms": at_ms, "event_time_ms": at_ms})
        for hours, at_ms in ((first, OPEN_MS + 1_000), (second, OPEN_MS + 120 * 60_000))
    ]
    store = Store(lambda: CLOSE_MS)
    store.apply([update[0], final(0, 100, 101, 99, 100, 3, 1), final(44, 100, 101, 99, 100, 3, 1)])
    rollup = Rollup(30)
    rollup.rows(store.instruments[KEY])
    store.apply([update[1], final(135, 100, 101, 99, 100, 5, 1)])
    rows = [
        ((row.candle.start_ms - OPEN_MS) // 60_000, (row.candle.end_ms - OPEN_MS) // 60_000)
        for row in rollup.rows(store.instruments[KEY])
    ]
    assert rows == [(0, 30), (30, 45), (135, 165)]


def test_rollup_when_an_old_minute_becomes_final_updates_every_later_running_sum() -> None:
    store = store_with(trade(0, 100.0, 10, 0, 10), trade(60_000, 100.0, 0, 4, 14))
    rollup = Rollup(1)
    assert [row.cvd for row in rollup.rows(store.instruments[KEY])] == [10, 6]
    store.apply([final(0, 100, 100, 100, 100, 3, 1)])
    assert [row.cvd for row in rollup.rows(store.instruments[KEY])] == [2, -2]


def test_row_when_trades_have_two_prices_gives_the_day_vwap_and_its_deviation() -> None:
    store = store_with(trade(0, 100.0, 30, 0, 30), trade(60_000, 104.0, 10, 0, 40))
    last = rows(store)[-1]
    assert last.vwap == 101.0
    assert round(last.sigma or 0.0, 6) == round(3**0.5, 6)


def test_row_when_volume_passed_in_an_outage_leaves_it_out_of_the_vwap_and_its_deviation() -> None:
    store = store_with(
        trade(0, 100.0, 30, 0, 30), trade(60_000, 104.0, 10, 0, 40), trade(61_000, 200.0, 0, 0, 1040, none=1000, gap=True)
    )
    last = rows(store)[-1]
    assert (last.volume, last.priced, last.vwap) == (1040, 40, 101.0)
    assert round(last.sigma or 0.0, 6) == round(3**0.5, 6)


def test_row_when_an_outage_has_no_footprint_leaves_its_unclassified_volume_out_of_the_vwap() -> None:
    store = store_with(
        final(0, 100, 102, 98, 100, 20, 10),
        final(1, 104, 104, 104, 104, 10, 0, unclassified_volume=90, total_volume=100, gap=True),
    )
    assert rows(store)[-1].vwap == 101.0


def test_store_when_an_index_ticks_folds_its_value_without_volume() -> None:
    key = "NSE_INDEX|Nifty 50"
    base = {
        "instrument_key": key,
        "kind": "update",
        "trading_date": "2025-12-15",
        "session_start_ms": OPEN_MS,
        "session_end_ms": CLOSE_MS,
    }
    moments = [(1_000, 26_000.0), (2_000, 26_010.5), (3_000, 25_990.0)]
    ticks = [
        {**base, "feed_time_ms": OPEN_MS + at, "received_time_ms": OPEN_MS + at, "ltt_ms": OPEN_MS + at, "ltp": price}
        for at, price in moments
    ]
    store = store_with(*[(topics.TICKS, tick) for tick in ticks])
    (row,) = Rollup(1).rows(store.instruments[key])
    assert (row.candle.open, row.candle.high, row.candle.low, row.candle.close) == (26_000.0, 26_010.5, 25_990.0, 25_990.0)
    assert (row.candle.total_volume, row.vwap, len(store.instruments[key].tape)) == (0, None, 0)


def minute_before(minute: int, close: float, volume: int) -> tuple[str, dict[str, Any]]:
    """The exchange's minute of the day so far, as the streamer fetches it at a start in mid-session."""
    start = OPEN_MS + minute * 60_000
    bar = {"start_ms": start, "open": 100.0, "high": 102.0, "low": 99.0, "close": close, "volume": volume}
    record = {
        "schema_version": 2,
        "instrument_key": KEY,
        "kind": "minute",
        "sequence": 0,
        "feed_time_ms": OPEN_MS + 130_000,
        "received_time_ms": OPEN_MS + 130_030,
        "event_time_ms": start,
        "trading_date": "2025-12-15",
        "bar": bar,
        "session_start_ms": OPEN_MS,
        "session_end_ms": CLOSE_MS,
    }
    return topics.TICKS, record


def update(offset_ms: int) -> tuple[str, dict[str, Any]]:
    at = OPEN_MS + offset_ms
    times = {"feed_time_ms": at, "received_time_ms": at + 30, "event_time_ms": at}
    return topics.TICKS, {"instrument_key": KEY, "kind": "update", "trading_date": "2025-12-15", "sequence": 1, **times}


def test_store_when_the_day_so_far_comes_before_its_candles_then_it_is_shown_up_to_the_first_update() -> None:
    """Minute 2 is that of the first update: its candle is made of ticks."""
    store = store_with(update(125_000), minute_before(0, 101.0, 500), minute_before(1, 101.5, 300), minute_before(2, 100.5, 80))
    shown = [(row.candle.start_ms, row.candle.close, row.candle.total_volume, row.final) for row in rows(store)]
    assert shown == [(OPEN_MS, 101.0, 500, True), (OPEN_MS + 60_000, 101.5, 300, True)]
    assert store.instruments[KEY].unseen_minutes == {OPEN_MS: 500, OPEN_MS + 60_000: 300}


def test_store_when_a_candle_made_of_ticks_is_known_then_the_exchanges_minute_does_not_replace_it() -> None:
    store = store_with(final(0, 100.0, 102.0, 99.0, 101.0, 300, 200), minute_before(0, 101.0, 500), minute_before(1, 101.5, 300))
    assert [(row.candle.start_ms, row.candle.buy_volume) for row in rows(store)] == [(OPEN_MS, 300)]


def test_store_when_a_candle_made_of_ticks_follows_the_exchanges_minute_then_its_volume_counts_as_seen() -> None:
    store = store_with(minute_before(0, 101.0, 500), final(0, 100.0, 102.0, 99.0, 101.0, 300, 200))
    assert [(row.candle.buy_volume, row.candle.source) for row in rows(store)] == [(300, "stream")]
    assert store.instruments[KEY].unseen_minutes == {}
