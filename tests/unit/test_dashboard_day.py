"""The exchange's day figures on a page that starts in mid-session, next to what only we can compute."""

from __future__ import annotations

from typing import Any

import pytest

from orderflow.dashboard.state.rollup import Rollup
from orderflow.dashboard.state.store import Store
from orderflow.dashboard.views import chart, footprint, panels
from tests.unit.test_dashboard_session import NOW, tick, viewer_of
from tests.unit.test_dashboard_store import KEY, OPEN_MS, final, rows, store_with, trade

HOURS_4 = 4 * 60
DAY_BAR = {"open": 2715.0, "high": 2733.0, "low": 2660.0, "close": 2680.0, "volume": 2_080_000}


def mid_session(**more: Any) -> Store:
    """A page whose first record is of 13:15: 440,000 of the day's 2,080,000 shares."""
    return store_with(
        final(HOURS_4, 2670.0, 2690.0, 2670.0, 2680.0, 200_000, 240_000, vwap=2680.0),
        tick(ltp=2680.0, ltt_ms=OPEN_MS + HOURS_4 * 60_000 + 30_000, atp=2696.18, vtt=2_080_000, day_bar=DAY_BAR, **more),
    )


def test_statistics_when_the_page_starts_in_mid_session_are_the_exchanges() -> None:
    store = mid_session()
    stats = panels.statistics(store.instruments[KEY], rows(store))
    assert (stats["open"], stats["high"], stats["low"]) == (2715.0, 2733.0, 2660.0)
    assert (stats["vwap"], stats["volume"]) == (2696.18, 2_080_000)
    assert (stats["seen_volume"], stats["cvd"]) == (440_000, -40_000)
    assert stats["coverage"] == {"share": 0.2115, "from_ms": OPEN_MS + HOURS_4 * 60_000}


def test_statistics_when_the_exchanges_minutes_fill_the_time_before_then_they_do_not_count_as_seen() -> None:
    store = mid_session()
    before = [
        final(
            HOURS_4 - back,
            2670.0,
            2690.0,
            2670.0,
            2680.0,
            0,
            0,
            total_volume=50_000,
            unclassified_volume=50_000,
            source="exchange",
        )
        for back in (2, 1)
    ]
    store.apply(before)
    stats = panels.statistics(store.instruments[KEY], rows(store))
    assert stats["coverage"] == {"share": 0.2115, "from_ms": OPEN_MS + HOURS_4 * 60_000}


def test_statistics_when_a_price_beyond_the_exchanges_day_bar_was_seen_count_it() -> None:
    store = store_with(final(0, 100.0, 105.0, 99.0, 104.0, 5, 5), tick(day_bar={"open": 100.0, "high": 104.0, "low": 99.5}))
    stats = panels.statistics(store.instruments[KEY], rows(store))
    assert (stats["high"], stats["low"]) == (105.0, 99.0)


def test_statistics_when_the_exchange_says_nothing_are_of_the_minutes_held_without_a_coverage() -> None:
    store = store_with(final(0, 100.0, 105.0, 99.0, 104.0, 5, 5, vwap=102.0))
    stats = panels.statistics(store.instruments[KEY], rows(store))
    assert (stats["open"], stats["high"], stats["low"], stats["vwap"], stats["volume"]) == (100.0, 105.0, 99.0, 102.0, 10)
    assert stats["coverage"] is None


def test_statistics_when_another_day_begins_keep_nothing_of_the_day_before() -> None:
    store = mid_session()
    day = 86_400_000
    start = {"session_start_ms": OPEN_MS + day, "session_end_ms": OPEN_MS + day + 375 * 60_000}
    store.clock_ms = lambda: OPEN_MS + day
    store.apply([tick(ltp=2690.0, ltt_ms=OPEN_MS + day, trading_date="2025-12-16", close_price=2681.0, **start)])
    stats = panels.statistics(store.instruments[KEY], rows(store))
    assert (stats["high"], stats["vwap"], stats["volume"], stats["previous_close"]) == (None, None, 0, 2681.0)


def test_watch_row_when_the_page_starts_in_mid_session_has_the_exchanges_volume() -> None:
    store = mid_session()
    assert store.watch.row(store.instruments[KEY])["volume"] == 2_080_000


def test_vwap_line_when_the_page_starts_in_mid_session_ends_at_the_exchanges_average_price() -> None:
    store = mid_session()
    store.report_source(None, caught_up=True)
    message = viewer_of(store).message(NOW)
    assert message is not None
    assert message["facts"]["vwap"] == [pytest.approx(2696.18)]
    # The bands are of the prices seen: one minute at one price has none.
    assert not message["facts"]["sigma"][0]


def test_vwap_line_when_the_average_price_cannot_be_true_stays_that_of_the_minutes_held() -> None:
    store = store_with(
        final(HOURS_4, 2670.0, 2690.0, 2670.0, 2680.0, 200_000, 240_000, vwap=2680.0),
        tick(ltp=2680.0, atp=2800.0, vtt=2_080_000, day_bar=DAY_BAR),
    )
    store.report_source(None, caught_up=True)
    message = viewer_of(store).message(NOW)
    assert message is not None
    assert message["facts"]["vwap"] == [2680.0]


def test_last_trade_when_the_final_candle_comes_is_still_the_last_trades_time() -> None:
    store = store_with(trade(12_345, 100.0, 1, 0, 1), final(0, 100.0, 100.0, 100.0, 100.0, 1, 0))
    stats = panels.statistics(store.instruments[KEY], rows(store))
    assert stats["updated_ms"] == OPEN_MS + 12_345


def test_profile_when_rows_of_several_ticks_are_drawn_states_levels_to_the_tick() -> None:
    levels = {4_594_500 + 500 * number: [1, 0, 0] for number in range(500)} | {4_602_000: [1000, 997, 0]}
    profile = chart.profile_of(levels)
    assert profile.step == 5_000  # ten ticks
    # 70 % of 2,496 is 1,748: the busiest tick alone.
    assert chart.profile_levels(profile) == {"poc": 460.2, "low": 460.2, "high": 460.2}
    assert chart.profile_columns(profile)["height"] == 0.5


def test_footprint_cells_when_rows_hold_several_ticks_mark_the_row_of_the_busiest_tick() -> None:
    store = store_with(
        trade(0, 100.00, 0, 30, 30),
        trade(1, 100.05, 30, 0, 60),
        trade(2, 100.10, 50, 0, 110),
        trade(3, 100.20, 1, 0, 111),
    )
    (row,) = rows(store)
    marks = {entry[0]: entry[4] & 8 for entry in footprint.cells(row, 1_000, 500, footprint.DEFAULT)["levels"]}
    assert marks == {100.025: 0, 100.125: 8, 100.225: 0}


def test_footprint_cells_when_only_a_row_holds_both_sides_see_a_finished_auction() -> None:
    store = store_with(trade(0, 100.00, 0, 30, 30), trade(1, 100.05, 30, 0, 60))
    (row,) = rows(store)
    assert [entry[4] & 16 for entry in footprint.cells(row, 1_000, 500, footprint.DEFAULT)["levels"]] == [0]


@pytest.mark.parametrize("forming", [True, False])
def test_long_candle_when_a_part_still_forms_has_neither_band_nor_grade(forming: bool) -> None:
    parts = [final(minute, 100, 101, 99, 100, 50, 40, delta_band=30.0, confidence="medium") for minute in range(4)]
    last = trade(240_000, 100.0, 700, 0, 1060)
    store = store_with(*parts, last if forming else final(4, 100, 101, 99, 100, 50, 40, delta_band=30.0, confidence="medium"))
    (row,) = Rollup(5).rows(store.instruments[KEY])
    assert row.final is not forming
    assert (row.candle.delta_band, row.candle.confidence is None) == ((None, True) if forming else (67.0, False))


def marks_of(**settings: Any) -> list[int]:
    """Return the imbalance marks (1 buy, 2 sell) of a candle of 1,000 shares, lowest price first."""
    store = store_with(
        trade(0, 100.00, 200, 10, 210),
        trade(1, 100.05, 30, 0, 240),
        trade(2, 100.10, 18, 200, 458),
        trade(3, 100.15, 400, 0, 858),
        trade(4, 100.20, 142, 0, 1000),
    )
    (row,) = rows(store)
    cells = footprint.cells(row, 500, 500, footprint.Imbalances(**settings))
    return [entry[4] & 3 for entry in cells["levels"]]


def test_imbalances_when_left_alone_need_three_to_one_and_two_percent_of_the_candle() -> None:
    # 30 to 10 at 100.05; 18 to 0 at 100.10 is below the floor of 20; 400 to 200 is no 3 to 1; 142 to 0 at the top.
    assert marks_of() == [0, 1, 0, 0, 1]


def test_imbalances_when_the_floor_is_lifted_mark_a_few_shares() -> None:
    assert marks_of(floor=0.0) == [0, 1, 1, 0, 1]


def test_imbalances_when_the_ratio_is_lower_mark_more_and_without_zero_fewer() -> None:
    assert marks_of(ratio=2.0) == [0, 1, 0, 1, 1]
    assert marks_of(ignore_zero=True) == [0, 1, 0, 0, 0]


def test_imbalances_when_they_are_the_measured_ones_state_their_precision() -> None:
    assert footprint.Imbalances().words() == {"ratio": 3.0, "floor": 0.02, "ignore_zero": False, "precision": (0.661, 0.827)}
    assert footprint.Imbalances(floor=0.01).precision is None
