import pytest
from hypothesis import given
from hypothesis import strategies as st

from orderflow.market.footprint import (
    Imbalance,
    Level,
    Stack,
    diagonal_imbalances,
    merge_levels,
    stacked_imbalances,
    unfinished_auctions,
)
from orderflow.market.profile import (
    ValueArea,
    point_of_control,
    value_area,
)

TICK = 5


@pytest.mark.parametrize(
    ("profile", "expected"),
    [({}, None), ({100: 0}, None), ({100: 3, 105: 7}, 105), ({100: 7, 105: 7, 110: 7, 115: 0}, 105), ({100: 7, 105: 7}, 100)],
)
def test_point_of_control_when_volumes_tie_then_nearest_the_middle_then_lower(profile, expected):
    assert point_of_control(profile) == expected


def test_value_area_when_grown_from_the_control_then_the_larger_pair_joins():
    # 70 % of 200 is 140. From 60 at 110: above 40 + 10, below 30 + 15: up (110); above 5, below 45: down (155).
    profile = {95: 20, 100: 15, 105: 30, 110: 60, 115: 40, 120: 10, 125: 5, 130: 20}
    assert value_area(profile) == ValueArea(100, 110, 120)


def test_value_area_when_pairs_are_equal_then_up_first():
    assert value_area({90: 10, 95: 10, 100: 40, 105: 10, 110: 10}) == ValueArea(100, 100, 110)


def test_value_area_when_nothing_or_one_price_traded_then_none_or_that_price():
    assert value_area({}) is None
    assert value_area({100: 0}) is None
    assert value_area({100: 9}) == ValueArea(100, 100, 100)


@given(st.dictionaries(st.integers(1, 200), st.integers(0, 1000), max_size=40))
def test_value_area_when_any_profile_then_holds_its_share_and_the_control(profile):
    area = value_area(profile)
    total = sum(profile.values())
    assert (area is None) == (total == 0)
    if area:
        assert area.low <= area.point_of_control <= area.high
        assert sum(volume for price, volume in profile.items() if area.low <= price <= area.high) >= 0.7 * total


def test_merge_levels_when_minutes_share_prices_then_sums_lowest_first():
    assert merge_levels([Level(105, 1, 2, 3), Level(100, 4, 5, 6), Level(105, 10, 20, 30)]) == [
        Level(100, 4, 5, 6),
        Level(105, 11, 22, 33),
    ]
    assert (Level(105, 11, 22, 33).volume, Level(105, 11, 22, 33).delta) == (66, -11)


LADDER = [Level(100, 5, 10), Level(105, 30, 10), Level(110, 30, 9), Level(115, 40, 2), Level(120, 3, 1)]


def test_diagonal_imbalances_when_three_times_the_diagonal_then_found():
    # 105 buys 30 against 10 sold at 100; 110: 30 against 10; 115: 40 against 9; 120: 3 against 2 is too little.
    assert diagonal_imbalances(LADDER, TICK) == [Imbalance(105, "buy"), Imbalance(110, "buy"), Imbalance(115, "buy")]
    assert diagonal_imbalances(LADDER, TICK, ratio=4.0) == [Imbalance(115, "buy")]
    assert diagonal_imbalances(LADDER, TICK, min_volume=35) == [Imbalance(115, "buy")]


def test_diagonal_imbalances_when_selling_outweighs_buying_one_tick_above_then_sell():
    assert diagonal_imbalances([Level(100, 0, 12), Level(105, 4, 11), Level(110, 4, 5)], TICK) == [Imbalance(100, "sell")]


def test_diagonal_imbalances_when_the_price_between_did_not_trade_then_weighed_against_nothing():
    assert diagonal_imbalances([Level(100, 0, 8), Level(110, 6, 0)], TICK, min_volume=5) == [
        Imbalance(100, "sell"),
        Imbalance(110, "buy"),
    ]


def test_diagonal_imbalances_when_at_the_ends_then_nothing_beyond_to_weigh_against():
    assert diagonal_imbalances([Level(100, 50, 50)], TICK) == []
    assert diagonal_imbalances([], TICK) == []


def test_stacked_imbalances_when_three_neighbours_then_one_stack():
    imbalances = diagonal_imbalances(LADDER, TICK)
    assert stacked_imbalances(imbalances, TICK) == [Stack("buy", 105, 115)]
    assert stacked_imbalances(imbalances, TICK, count=4) == []


def test_stacked_imbalances_when_a_price_is_missing_between_then_no_stack():
    prices = [100, 105, 115, 120, 125]
    assert stacked_imbalances([Imbalance(price, "sell") for price in prices], TICK) == [Stack("sell", 115, 125)]
    mixed = [Imbalance(100, "sell"), Imbalance(105, "buy"), Imbalance(110, "sell")]
    assert stacked_imbalances(mixed, TICK) == []


def test_unfinished_auctions_when_both_sides_traded_at_an_end_then_reported():
    assert unfinished_auctions([Level(100, 0, 9), Level(105, 4, 4), Level(110, 6, 2)]) == [Imbalance(110, "buy")]
    assert unfinished_auctions([Level(100, 1, 9), Level(110, 6, 0)]) == [Imbalance(100, "sell")]
    assert unfinished_auctions([Level(100, 0, 9), Level(110, 6, 0), Level(115, 0, 0, 50)]) == []
    assert unfinished_auctions([]) == []
