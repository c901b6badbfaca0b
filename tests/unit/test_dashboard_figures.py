"""Figures by value."""

from __future__ import annotations

import colorsys
from typing import Any

import pytest

from orderflow.dashboard.state.rollup import Rollup
from orderflow.dashboard.views import chart, footprint
from orderflow.dashboard.views.chart import PALETTES
from orderflow.market import topics
from tests.unit.test_dashboard_store import KEY, OPEN_MS, final, level, store_with, trade

PALETTE = PALETTES["default"]
PROFILE = chart.profile_of({1_000_000: [10, 0, 0], 1_000_500: [20, 30, 5], 1_001_000: [0, 10, 0], 1_005_000: [1, 0, 0]})


def day() -> list[Any]:
    store = store_with(
        trade(0, 100.0, 30, 10, 40),
        final(0, 100.0, 101.0, 99.0, 100.5, 40, 5, exchange_bar=True, imbalance=35 / 45),
        trade(60_000, 100.5, 4, 0, 44),
        trade(61_000, 100.45, 0, 9, 53, none=3),
    )
    return Rollup(1).rows(store.instruments[KEY])


def traces(figure: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {trace["uid"]: trace for trace in figure["data"]}


def test_label_when_given_a_time_writes_it_in_ist() -> None:
    assert chart.label(OPEN_MS) == "2025-12-15 09:15:00"


def test_tails_when_a_row_forms_leaves_it_to_the_forming_trace() -> None:
    columns = chart.tails(day(), PALETTE)
    assert columns["candles"] == {
        "x": ["2025-12-15 09:15:00", "2025-12-15 09:16:00"],
        "open": [100.0, None],
        "high": [101.0, None],
        "low": [99.0, None],
        "close": [100.5, None],
    }
    assert chart.forming(day()) == {
        "x": ["2025-12-15 09:16:00"],
        "open": [100.5],
        "high": [100.5],
        "low": [100.45],
        "close": [100.45],
    }


def test_tails_when_a_side_dominates_colours_volume_and_delta_and_stacks_the_unclassified() -> None:
    columns = chart.tails(day(), PALETTE)
    assert columns["volume"]["y"] == [45, 13]
    assert columns["unclassified"]["y"] == [0, 3]
    assert columns["volume"]["marker.color"] == [PALETTE.buy, PALETTE.sell_faint]
    assert columns["delta"]["y"] == [35, -5]
    assert columns["cvd"]["y"] == [35, 30]


def test_tails_when_imbalance_is_strong_marks_it_at_the_candles_end() -> None:
    columns = chart.tails(day(), PALETTE)
    assert columns["buy_marks"]["y"] == [99.0, None]
    assert columns["sell_marks"]["y"] == [None, None]


def test_chart_when_it_marks_selling_points_the_mark_down_from_above_the_candle() -> None:
    found = traces(chart.chart(day(), PROFILE, PALETTE))
    assert found["sell_marks"]["marker"] == {
        "symbol": "triangle-up",
        "size": 8,
        "standoff": 8,
        "angle": 180,
        "color": PALETTE.sell,
    }
    assert "angle" not in found["buy_marks"]["marker"]


def test_chart_when_it_shows_a_whole_day_draws_smaller_marks() -> None:
    store = store_with(*[final(minute, 100.0, 101.0, 99.0, 100.5, 40, 5, imbalance=0.8) for minute in range(201)])
    rows = Rollup(1).rows(store.instruments[KEY])
    sizes = [traces(chart.chart(shown, PROFILE, PALETTE))["buy_marks"]["marker"]["size"] for shown in (rows[:200], rows)]
    assert sizes == [8, 5]


def test_chart_when_drawn_gives_cvd_a_scale_of_its_own_in_its_colour() -> None:
    axis = chart.chart(day(), PROFILE, PALETTE)["layout"]["yaxis5"]
    assert axis.get("visible", True) is True
    assert (axis["side"], axis["ticklabelposition"], axis["tickfont"]["color"]) == ("left", "inside", PALETTE.cvd)


def test_palettes_when_one_colour_has_a_meaning_give_no_other_meaning_a_hue_near_it() -> None:
    def hue(color: str) -> float:
        red, green, blue = (int(color[at : at + 2], 16) / 255 for at in (1, 3, 5))
        return colorsys.rgb_to_hsv(red, green, blue)[0] * 360

    safe = PALETTES["safe"]
    for one in (safe.buy, safe.sell):
        apart = abs(hue(one) - hue(safe.gap))
        assert min(apart, 360 - apart) > 60
    for grey in (safe.vwap, safe.confirmed):
        assert max(int(grey[at : at + 2], 16) for at in (1, 3, 5)) - min(int(grey[at : at + 2], 16) for at in (1, 3, 5)) < 30


def test_tails_when_a_bar_is_the_exchanges_colours_the_quality_strip() -> None:
    assert chart.tails(day(), PALETTE)["quality"]["marker.color"] == [PALETTE.confirmed, PALETTE.grid]


def test_chart_when_built_puts_every_column_of_a_patch_into_a_trace_of_that_uid() -> None:
    rows = day()
    found = traces(chart.chart(rows, PROFILE, PALETTE))
    for uid, columns in chart.tails(rows, PALETTE).items():
        assert found[uid]["x"] == columns["x"]
    assert found["volume"]["marker"]["color"] == [PALETTE.buy, PALETTE.sell_faint]
    assert {trace.get("yaxis", "y") for trace in found.values()} == {"y", "y2", "y3", "y4", "y5"}


def test_profile_when_prices_are_few_gives_each_its_bar_and_marks_control_and_value_area() -> None:
    columns = chart.profile_columns(PROFILE)
    assert columns["profile_buy"]["x"] == [10, 20, 0, 1]
    assert columns["profile_sell"]["x"] == [0, 30, 10, 0]
    assert columns["profile_unclassified"]["x"] == [0, 5, 0, 0]
    assert columns["profile_buy"]["y"] == [100.0, 100.05, 100.1, 100.5]
    assert columns["poc"]["y"] == [100.05] * 3
    assert columns["value_area"]["y"][0] <= 100.05 <= columns["value_area"]["y"][3]
    assert columns["profile_buy"]["marker.opacity"][3] == 0.35


def test_profile_when_its_range_is_wide_states_and_draws_the_same_levels() -> None:
    levels = {1_000_000 + 500 * number: [1, 1, 0] for number in range(200)} | {1_050_000: [9, 0, 0]}
    profile = chart.profile_of(levels)
    assert (profile.step, profile.tick, len(profile.rows)) == (2_500, 500, 40)
    stated = chart.profile_levels(profile)
    columns = chart.profile_columns(profile)
    assert stated["poc"] == columns["poc"]["y"][0] == 105.0
    assert [stated["low"], stated["high"]] == [columns["value_area"]["y"][0], columns["value_area"]["y"][3]]
    assert sum(columns["profile_buy"]["x"]) == 208


def test_profile_when_volume_passed_in_outages_states_it_beside_the_bars() -> None:
    columns = chart.profile_columns(chart.profile_of({1_000_000: [10, 0, 0]}, unpriced=46_000))
    assert (columns["profile_unclassified"]["x"], columns["profile_unclassified"]["meta"]) == ([0], 46_000)
    assert columns["poc"]["x"] == [0, 10, None]


def test_profile_when_nothing_traded_is_empty() -> None:
    columns = chart.profile_columns(chart.profile_of({}))
    assert (columns["profile_buy"]["x"], columns["poc"]["x"]) == ([], [])


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
    assert chart.profile_columns(profile)["profile_buy"]["y"] == [90.4275, 90.43, 90.4325]
    assert chart.profile_levels(profile)["poc"] == 90.43


def test_gap_shapes_when_given_gaps_shades_all_panels() -> None:
    (shape,) = chart.gap_shapes([(OPEN_MS, OPEN_MS + 30_000)], PALETTE)
    assert (shape["x0"], shape["x1"], shape["yref"]) == ("2025-12-15 09:15:00", "2025-12-15 09:15:30", "paper")


def test_facts_when_rows_are_given_say_everything_the_csv_holds() -> None:
    facts = chart.facts(day())
    assert (facts["x"][0], facts["window_end"][0]) == ("2025-12-15 09:15:00", "2025-12-15 09:16:00")
    assert (facts["buy_volume"], facts["final"], facts["exchange_bar"]) == ([40, 4], [True, False], [True, False])


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
    assert (cell["volume"], cell["delta"], cell["final"]) == (295, 165, False)


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


def test_footprint_cells_when_volume_passed_in_an_outage_keep_it_off_the_prices_and_say_it_below() -> None:
    known, missed = (footprint.cells(row, 500, 500, footprint.DEFAULT) for row in outage())
    assert [entry[:4] for entry in known["levels"]] == [[100.0, 30, 10, 0], [100.05, 5, 40, 5]]
    assert (known["unclassified"], known["gap"]) == (5, False)
    assert missed["levels"] == [[100.0, 20, 0, 0, 8]]
    assert (missed["unclassified"], missed["gap"]) == (7000, True)


def test_footprint_chart_when_a_level_holds_unclassified_volume_draws_and_writes_it_beside_the_sides() -> None:
    figure = footprint.chart(outage(), PALETTE)
    found = traces(figure)
    assert figure["most"] == 45
    assert found["cells_sell"]["x"][:4] == [-0.28, -0.0, -0.0, -0.28]
    assert found["cells_buy"]["x"][6:10] == [0.0, 0.3733, 0.3733, 0.0]
    assert found["cells_unclassified"]["x"] == [0.3733, 0.42, 0.42, 0.3733, 0.3733, None]
    assert found["ask"]["text"][1] == f'40 <span style="color:{PALETTE.neutral}">?5</span>'


def test_footprint_chart_when_a_candle_spans_an_outage_shades_its_column_and_colours_its_unclassified_volume() -> None:
    figure = footprint.chart(outage(), PALETTE)
    (shape,) = figure["layout"]["shapes"]
    assert (shape["x0"], shape["x1"], shape["yref"], shape["fillcolor"]) == (0.5, 1.5, "paper", PALETTE.gap)
    sums = traces(figure)["statistics"]
    assert sums["text"] == ["90", "+15", "+15", "5", "7,020", "−20", "−5", "7,000"]
    assert (sums["textfont"]["color"][3], sums["textfont"]["color"][7]) == (PALETTE.text, PALETTE.gap)


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


def test_footprint_chart_when_rows_are_wished_coarser_gathers_levels_by_them() -> None:
    store = store_with(
        trade(0, 100.0, 1, 2, 3),
        trade(1, 100.05, 3, 4, 10),
        trade(2, 101.0, 5, 0, 15),
        final(0, 100.0, 101.0, 100.0, 101.0, 9, 6),
    )
    rows = Rollup(1).rows(store.instruments[KEY])
    ask = traces(footprint.chart(rows, PALETTE, 10))["ask"]
    assert ask["y"] == [100.225, 101.225]  # the middles of 100.00 to 100.45 and of 101.00 to 101.45


def test_footprint_chart_when_the_newest_candle_forms_leaves_room_for_it() -> None:
    figure = footprint.chart(day(), PALETTE)
    found = traces(figure)
    assert found["ask"]["text"] == ["30"]
    assert figure["layout"]["xaxis"]["range"] == [-0.6, 11.6]
    assert figure["ranges"] == [[99.0, 101.0]]


def test_footprint_text_when_every_cell_is_drawn_uses_two_text_traces_and_no_annotation() -> None:
    figure = footprint.chart(day(), PALETTE)
    assert [trace["uid"] for trace in figure["data"] if trace.get("mode") == "text"] == ["bid", "ask", "unfinished", "statistics"]
    assert "annotations" not in figure["layout"]


@pytest.mark.parametrize(
    ("value", "text"),
    [(950, "+950"), (4273, "+4,273"), (-12_345, "−12.3K"), (456_789, "+4.57L"), (-12_000_000, "−1.20Cr"), (0, "0")],
)
def test_short_when_counts_grow_writes_lakh_and_crore(value: int, text: str) -> None:
    assert footprint.short(value, signed=True) == text
