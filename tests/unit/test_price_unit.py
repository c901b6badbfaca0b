"""Whole numbers for prices, from the segments' ticks to what the engine publishes and the dashboard holds."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orderflow.market.engine.messages import levels_of
from orderflow.market.engine.minute import AxisTrade, Stretch, final_minute
from orderflow.market.errors import DecodeError
from orderflow.market.price_unit import (
    FINEST,
    PAISE,
    PRICE_UNITS,
    common_unit,
    decimals,
    from_finest,
    in_finest,
    in_units,
    price_unit,
)

SHARE, OPTION, METAL = "NSE_EQ|INE467B01029", "NSE_FO|43650", "MCX_FO|466583"
PAIR, CROSS_PAIR = "NCD_FO|14366", "BCD_FO|1001"

TABLE = pytest.mark.parametrize(
    ("instrument", "prices", "unit", "expected"),
    [
        pytest.param(SHARE, (3220.5, 3220.55, 3220.6), 100, [322_050, 322_055, 322_060], id="tick 0.05"),
        pytest.param(SHARE, (99.99, 100.0, 100.01), 100, [9_999, 10_000, 10_001], id="tick 0.01"),
        pytest.param(OPTION, (0.05, 0.1), 100, [5, 10], id="premium of one tick of 0.05"),
        pytest.param(METAL, (72_345.0, 72_346.0), 100, [7_234_500, 7_234_600], id="whole rupees"),
        pytest.param(METAL, (-2_884.0, -37.5, 1.0), 100, [-288_400, -3_750, 100], id="commodity below zero"),
        pytest.param(PAIR, (90.4275, 90.43, 90.4325), 10_000, [904_275, 904_300, 904_325], id="tick 0.0025"),
        pytest.param(PAIR, (0.0025, 0.005), 10_000, [25, 50], id="premium of one tick of 0.0025"),
        pytest.param(PAIR, (90.0,), 10_000, [900_000], id="currency at a whole rupee"),
        pytest.param(CROSS_PAIR, (1.1612, 1.1613), 10_000, [11_612, 11_613], id="tick 0.0001"),
        pytest.param(SHARE, (100.0, 100.125), 10_000, [1_000_000, 1_001_250], id="share not in whole paise"),
        pytest.param(SHARE, (0.1 + 0.2, 1.1 * 3), 100, [30, 330], id="binary noise is no finer price"),
        pytest.param(SHARE, (), 100, [], id="nothing traded"),
    ],
)


@TABLE
def test_unit_when_prices_are_of_a_segment_then_each_is_a_number_of_its_own(
    instrument: str, prices: tuple[float, ...], unit: int, expected: list[int]
) -> None:
    assert price_unit(instrument, prices) == unit
    assert [in_units(price, unit) for price in prices] == expected
    assert [number / unit for number in expected] == pytest.approx(prices, abs=1e-12)


@TABLE
def test_footprint_when_a_minute_is_final_then_its_levels_are_exact_and_in_order(
    instrument: str, prices: tuple[float, ...], unit: int, expected: list[int]
) -> None:
    trades = [AxisTrade(10 * at, 10 * at + 10, price, 10, 0, 0.0, False) for at, price in reversed(list(enumerate(prices)))]
    stretch = Stretch(0, 10 * len(prices), 10 * len(prices), False, "complete")
    minute = final_minute(instrument, 0, stretch, trades, None, None, None, "stream")
    assert [(level.price, level.buy_volume, level.price_unit) for level in levels_of(minute)] == [
        (price, 10, unit) for price in expected
    ]


def test_footprint_when_updates_share_a_price_but_for_binary_noise_then_it_is_one_level() -> None:
    trades = [AxisTrade(0, 10, 0.3, 10, 0, 0.0, False), AxisTrade(10, 15, 0.1 + 0.2, 0, 5, 0.0, False)]
    minute = final_minute(SHARE, 0, Stretch(0, 15, 15, False, "complete"), trades, None, None, None, "stream")
    assert [tuple(level) for level in minute.levels] == [(30, 10, 5, 0, 100)]


@pytest.mark.parametrize(("price", "expected"), [(0.00001, 1), (-0.00001, -1)])
def test_price_when_below_half_a_unit_then_it_is_not_zero(price: float, expected: int) -> None:
    assert in_units(price, FINEST) == expected


@pytest.mark.parametrize(
    ("level", "unit", "expected"),
    [(10_005, None, 1_000_500), (10_005, 100, 1_000_500), (904_275, 10_000, 904_275), (7, 20, 3_500)],
)
def test_level_when_of_any_unit_then_it_is_known_in_the_finest(level: int, unit: int | None, expected: int) -> None:
    assert in_finest(level, unit) == expected


@pytest.mark.parametrize("unit", [0, -100, 3, 20_000])
def test_level_when_its_unit_is_none_then_it_is_refused(unit: int) -> None:
    with pytest.raises(DecodeError, match="unknown_price_unit"):
        in_finest(10_005, unit)


def test_levels_when_they_leave_the_dashboard_then_they_have_the_unit_they_are_published_with() -> None:
    assert from_finest(SHARE, [1_000_000, 1_000_500]) == (100, 100)
    assert from_finest(SHARE, [1_000_000, 1_001_250]) == (1, 10_000)
    assert from_finest(PAIR, [900_000]) == (1, 10_000)


@pytest.mark.parametrize(("units", "expected"), [([], 100), ([100], 100), ([100, 10_000], 10_000), ([20, 8], 40)])
def test_units_when_days_differ_then_the_common_one_holds_all(units: list[int], expected: int) -> None:
    assert common_unit(units) == expected


def test_decimals_when_a_price_is_shown_then_currency_has_four() -> None:
    assert [decimals(key) for key in (SHARE, METAL, PAIR, "NCD_FO")] == [2, 2, 4, 4]


@given(st.sampled_from([SHARE, METAL, PAIR]), st.lists(st.integers(1, 10**11), min_size=1, max_size=20, unique=True))
def test_prices_when_of_four_decimals_then_levels_are_as_many_and_in_their_order(instrument: str, numbers: list[int]) -> None:
    prices = sorted(number / FINEST for number in numbers)
    unit = price_unit(instrument, prices)
    levels = [in_units(price, unit) for price in prices]
    assert unit in PRICE_UNITS
    assert levels == sorted(set(levels))
    assert [level / unit for level in levels] == prices
    assert unit == FINEST or all(number % (FINEST // PAISE) == 0 for number in numbers)
