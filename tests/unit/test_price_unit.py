"""One integer unit of price for each instrument."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orderflow.market.price_unit import FINEST, PriceUnit, price_unit

TICKS_PAISE = (5.0, 1.0, 0.25, 0.01, 100.0, 10.0, 50.0, 500.0)


@pytest.mark.parametrize(
    ("segment", "tick_size_paise", "expected", "rupees"),
    [
        ("NSE_EQ", 5.0, PriceUnit(20), 0.05),
        ("NSE_EQ", 1.0, PriceUnit(100), 0.01),
        ("NSE_EQ", 10.0, PriceUnit(10), 0.1),
        ("NCD_FO", 0.25, PriceUnit(400), 0.0025),
        ("NCD_FO", 0.01, PriceUnit(10_000), 0.0001),
        ("NCD_FO", 1.0, PriceUnit(100), 0.01),
        ("MCX_FO", 100.0, PriceUnit(1), 1.0),
        ("MCX_FO", 500.0, PriceUnit(1, 5), 1.0),
        ("MCX_FO", 10.0, PriceUnit(10), 0.1),
        ("NSE_EQ", None, PriceUnit(100), 0.01),
        ("NSE_INDEX", 0.0, PriceUnit(100), 0.01),
        ("NCD_FO", None, PriceUnit(10_000), 0.0001),
        ("NSE_EQ", float("nan"), PriceUnit(100), 0.01),
        ("NSE_EQ", -5.0, PriceUnit(100), 0.01),
        ("NSE_EQ", 0.003, PriceUnit(100), 0.01),
    ],
)
def test_unit_when_the_master_gives_the_tick_then_it_is_that_or_the_segments(
    segment: str, tick_size_paise: float | None, expected: PriceUnit, rupees: float
) -> None:
    unit = price_unit(segment, tick_size_paise)
    assert (unit, unit.rupees) == (expected, rupees)


def test_levels_when_a_currency_moves_by_its_tick_then_three_prices_are_three_levels() -> None:
    unit = price_unit("NCD_FO", 0.25)
    assert [unit.units(price) for price in (90.4275, 90.43, 90.4325)] == [36_171, 36_172, 36_173]
    assert [unit.price(level) for level in (36_171, 36_172, 36_173)] == [90.4275, 90.43, 90.4325]


def test_premium_when_it_is_one_tick_then_it_is_one_unit_and_not_zero() -> None:
    assert price_unit("NCD_FO", 0.25).units(0.0025) == 1
    assert price_unit("NSE_FO", 5.0).units(0.05) == 1
    assert price_unit("NSE_FO", 5.0).units(0.01) == 1


def test_units_when_a_commoditys_price_is_negative_then_levels_are_in_order_and_none_is_zero() -> None:
    unit = price_unit("MCX_FO", 100.0)
    assert [unit.units(price) for price in (-2884.0, -1.0, -0.2, 0.3, 1.0)] == [-2884, -1, -1, 1, 1]
    assert unit.price(-2884) == -2884.0


@pytest.mark.parametrize("price", [0.0, float("nan"), float("inf"), -float("inf"), 1e9, -1e9])
def test_units_when_it_is_no_price_then_an_error(price: float) -> None:
    with pytest.raises(ValueError, match="is no price"):
        PriceUnit(100).units(price)


@pytest.mark.parametrize(
    ("unit", "price", "expected"),
    [
        (PriceUnit(20), 100.05, PriceUnit(20)),
        (PriceUnit(20), 100.01, PriceUnit(100, 5)),
        (PriceUnit(1), 72_345.5, PriceUnit(2, 2)),
        (PriceUnit(100), 90.4275, PriceUnit(400, 4)),
        (PriceUnit(400), 1.1234, PriceUnit(10_000, 25)),
        (PriceUnit(100), 1 / 3, PriceUnit(10_000, 100)),
    ],
)
def test_unit_when_a_price_lies_between_its_levels_then_a_finer_one_holds_both(
    unit: PriceUnit, price: float, expected: PriceUnit
) -> None:
    assert unit.including(price) == expected


@given(st.sampled_from(TICKS_PAISE), st.integers(1, 10**7), st.integers(1, 10**7))
def test_prices_when_they_are_multiples_of_the_tick_then_levels_are_exact_distinct_and_in_order(
    tick_paise: float, first: int, second: int
) -> None:
    unit = price_unit("MCX_FO", tick_paise)
    ticks_in_rupee = round(100 / tick_paise) if tick_paise < 100 else 1
    step = 1 if tick_paise < 100 else round(tick_paise / 100)
    prices = [count * step / ticks_in_rupee for count in (first, second)]
    levels = [unit.units(price) for price in prices]
    assert [unit.price(level) for level in levels] == prices
    assert all(unit.holds(price) for price in prices)
    assert (levels[0] < levels[1], levels[0] == levels[1]) == (first < second, first == second)
    assert [level % unit.tick for level in levels] == [0, 0]


@given(st.sampled_from(TICKS_PAISE), st.integers(1, 10**10))
def test_unit_when_made_finer_then_it_holds_the_new_price_and_the_tick_stays(tick_paise: float, ten_thousandths: int) -> None:
    unit, price = price_unit("MCX_FO", tick_paise), ten_thousandths / FINEST
    finer = unit.including(price)
    assert finer.holds(price)
    assert finer.tick * unit.in_rupee == unit.tick * finer.in_rupee
    assert finer.price(finer.units(price)) == price
