"""Columns by value: what the page is sent to draw."""

from __future__ import annotations

from typing import Any

import pytest

from orderflow.dashboard.state.rollup import Rollup
from orderflow.dashboard.views import chart, footprint
from orderflow.market import topics
from tests.unit.test_dashboard_store import KEY, OPEN_MS, final, level, store_with, trade

PROFILE = chart.profile_of({1_000_000: [10, 0, 0], 1_000_500: [20, 30, 5], 1_001_000: [0, 10, 0], 1_005_000: [1, 0, 0]})


def day() -> list[Any]:
    store = store_with(
        trade(0, 100.0, 30, 10, 40),
        final(0, 100.0, 101.0, 99.0, 100.5, 40, 5, exchange_bar=True, imbalance=35 / 45),
        trade(60_000, 100.5, 4, 0, 44),
        trade(61_000, 100.45, 0, 9, 53, none=3),
    )
    return Rollup(1).rows(store.instruments[KEY])


def test_label_when_given_a_time_writes_it_in_ist() -> None:
    assert chart.label(OPEN_MS) == "2025-12-15 09:15:00"


def test_profile_when_prices_are_few_gives_each_its_row_and_marks_control_and_value_area() -> None:
    columns = chart.profile_columns(PROFILE)
    assert (columns["buy"], columns["sell"], columns["unclassified"]) == ([10, 20, 0, 1], [0, 30, 10, 0], [0, 5, 0, 0])
    assert (columns["price"], columns["height"]) == ([100.0, 100.05, 100.1, 100.5], 0.05)
    assert columns["poc"] == 100.05
    assert columns["inside"] == [False, True, False, False]  # 55 of 76 traded there


def test_profile_when_its_range_is_wide_gathers_rows_and_states_levels_by_ticks() -> None:
    levels = {1_000_000 + 500 * number: [1, 1, 0] for number in range(200)} | {1_050_000: [9, 0, 0]}
    profile = chart.profile_of(levels)
    assert (profile.step, profile.tick, len(profile.rows)) == (2_500, 500, 40)
    columns = chart.profile_columns(profile)
    assert columns["poc"] == 105.0
    assert columns | chart.profile_levels(profile) == columns
    assert (sum(columns["buy"]), columns["height"]) == (208, 0.25)


def test_profile_when_volume_passed_in_outages_states_it_beside_the_rows() -> None:
    columns = chart.profile_columns(chart.profile_of({1_000_000: [10, 0, 0]}, unpriced=46_000))
    assert (columns["unclassified"], columns["unpriced"]) == ([0], 46_000)


def test_profile_when_nothing_traded_is_empty() -> None:
    columns = chart.profile_columns(chart.profile_of({}))
    assert (columns["price"], columns["poc"]) == ([], None)


@pytest.mark.parametrize(("span", "step"), [(0, 5), (450, 5), (455, 10), (1800, 25), (2000, 25), (90_000, 1000)])
def test_price_step_when_the_range_grows_takes_more_ticks_a_row(span: int, step: int) -> None:
    assert chart.price_step([10_000, 10_005, 10_000 + span]) == step


def test_tick_size_when_prices_are_given_is_their_common_step() -> None:
    assert chart.tick_size([314_210, 314_250, 314_220]) == 10
    assert chart.tick_size([10_005, 10_015]) == 5
    assert chart.tick_size([30_000_000]) == 50_000


def test_figures_when_a_currency_moves_by_its_tick_then_each_price_has_its_row() -> None:
    store = store_with(trade(0, 90.4275, 1, 2, 3), trade(1, 90.43, 3, 4, 10), trade(2, 90.4325, 5, 0, 15))
    rows = Rollup(1).rows(store.instruments[KEY])
    assert footprint.row_height(rows) == (1, 25)
    assert [entry[:3] for entry in footprint.cells(rows[0], 25, 25, footprint.DEFAULT)["levels"]] == [
        [90.4275, 2, 1], [90.43, 4, 3], [90.4325, 0, 5],
    ]  # fmt: skip
    assert [entry[0] for entry in footprint.cells(rows[0], 50, 25, footprint.DEFAULT)["levels"]] == [90.42625, 90.43125]
    profile = chart.profile_of(store.instruments[KEY].profile.levels)
    assert chart.profile_columns(profile)["price"] == [90.4275, 90.43, 90.4325]
    assert chart.profile_levels(profile)["poc"] == 90.43


def test_gaps_when_outages_are_given_are_labelled_in_ist() -> None:
    assert chart.gaps([(OPEN_MS, OPEN_MS + 30_000)]) == [("2025-12-15 09:15:00", "2025-12-15 09:15:30")]


def test_facts_when_rows_are_given_say_everything_the_csv_holds() -> None:
    facts = chart.facts(day())
    assert (facts["x"][0], facts["window_end"][0]) == ("2025-12-15 09:15:00", "2025-12-15 09:16:00")
    assert (facts["buy_volume"], facts["final"], facts["exchange_bar"]) == ([40, 4], [True, False], [True, False])
    assert (facts["cvd"], facts["close"], facts["imbalance"][0]) == ([35, 30], [100.5, 100.45], 35 / 45)
    assert [None if width is None else width >= 0 for width in facts["sigma"]] == [True, True]


def test_footprint_cells_when_sides_differ_mark_imbalance_control_and_unfinished_ends() -> None:
    store = store_with(
        trade(0, 100.0, 0, 40, 40),
        trade(1, 100.05, 200, 5, 245),
        trade(2, 100.10, 30, 0, 275),
        trade(3, 100.10, 0, 20, 295),
    )
    (row,) = Rollup(1).rows(store.instruments[KEY])
    cell = footprint.cells(row, 500, 500, footprint.DEFAULT)
    assert cell["levels"] == [[100.0, 40, 0, 0, 0], [100.05, 5, 200, 0, 1 | 8], [100.1, 20, 30, 0, 1 | 16]]


def outage() -> list[Any]:
    store = store_with(
        trade(0, 100.0, 10, 30, 40),
        trade(1, 100.05, 40, 5, 90, none=5),
        trade(60_000, 100.0, 0, 20, 110),
        trade(61_000, 100.05, 0, 0, 7110, none=7000, gap=True),
        final(0, 100.0, 100.05, 100.0, 100.05, 50, 35, unclassified_volume=5, total_volume=90),
        final(1, 100.0, 100.05, 100.0, 100.05, 0, 20, unclassified_volume=7000, total_volume=7020, gap=True),
    )
    return Rollup(1).rows(store.instruments[KEY])


def test_footprint_cells_when_volume_passed_in_an_outage_keep_it_off_the_prices() -> None:
    known, missed = (footprint.cells(row, 500, 500, footprint.DEFAULT) for row in outage())
    assert [entry[:4] for entry in known["levels"]] == [[100.0, 30, 10, 0], [100.05, 5, 40, 5]]
    assert missed["levels"] == [[100.0, 20, 0, 0, 8]]
    assert (known["gap"], missed["gap"]) == (False, True)


def test_footprint_when_levels_are_gathered_keeps_all_volume() -> None:
    store = store_with(trade(0, 100.0, 1, 2, 3), trade(1, 100.05, 3, 4, 10), trade(2, 100.25, 5, 0, 15))
    (row,) = Rollup(1).rows(store.instruments[KEY])
    assert [(level.price, level.buy, level.sell) for level in footprint.grouped(row, 2_000)] == [
        (1_000_000, 4, 6), (1_002_000, 5, 0),
    ]  # fmt: skip


def test_row_height_when_wished_for_is_granted_unless_a_candle_had_too_many_rows() -> None:
    near = Rollup(1).rows(
        store_with(trade(0, 100.0, 1, 2, 3), trade(1, 100.05, 3, 4, 10), trade(2, 101.0, 5, 0, 15)).instruments[KEY]
    )
    assert [footprint.row_height(near, ticks) for ticks in (0, 1, 4)] == [(1, 500), (1, 500), (4, 500)]
    far = Rollup(1).rows(
        store_with(trade(0, 100.0, 1, 2, 3), trade(1, 100.05, 3, 4, 10), trade(2, 120.0, 5, 0, 15)).instruments[KEY]
    )
    assert [footprint.row_height(far, ticks) for ticks in (0, 1, 4)] == [(10, 500), (5, 500), (5, 500)]
    assert footprint.row_height([], 7) == (7, 50_000)


def test_row_height_when_prices_trend_fits_the_newest_candles_together() -> None:
    steps = [final(minute, 100.0 + minute, 101.0 + minute, 100.0 + minute, 101.0 + minute, 50, 40) for minute in range(12)]
    levels = [(topics.FOOTPRINT, record) for minute in range(12) for record in ladder(minute)]
    trend = Rollup(1).rows(store_with(*steps, *levels).instruments[KEY])
    # Each candle spans 20 ticks, the twelve together 240: rows of 5 ticks give 48.
    assert footprint.row_height(trend[:1]) == (1, 500)
    assert footprint.row_height(trend) == (5, 500)


def ladder(minute: int) -> list[dict[str, Any]]:
    return [level(minute, 10_000 + 100 * minute + 5 * step, 2, 3)[1] for step in range(21)]


def test_footprint_cells_when_rows_are_wished_coarser_stand_at_the_middle_of_their_prices() -> None:
    store = store_with(trade(0, 100.0, 1, 2, 3), trade(1, 100.05, 3, 4, 10), trade(2, 101.0, 5, 0, 15))
    (row,) = Rollup(1).rows(store.instruments[KEY])
    height, tick = footprint.row_height([row], 10)
    # The middles of 100.00 to 100.45 and of 101.00 to 101.45.
    levels = footprint.cells(row, height * tick, tick, footprint.DEFAULT)["levels"]
    assert [level[:3] for level in levels] == [[100.225, 6, 4], [101.225, 0, 5]]


def test_settled_when_the_newest_candle_forms_leaves_it_out() -> None:
    first, _ = rows = day()
    assert footprint.settled(rows) == [first]
    assert footprint.settled(rows[:1]) == [first]
