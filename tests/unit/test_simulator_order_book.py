"""One side of the simulated limit order book."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from orderflow.simulator.order_book import Side


def asks(*orders: tuple[int, int]) -> Side:
    side = Side(-1)
    for price, quantity in orders:
        side.add(price, quantity)
    return side


def test_take_when_two_orders_share_a_price_then_the_earlier_fills_first() -> None:
    side = asks((100, 5), (100, 7), (101, 9))
    assert side.take(6) == [(100, 5), (100, 1)]
    assert side.top(5) == [(100, 6), (101, 9)]


def test_take_when_larger_than_the_best_level_then_walks_to_worse_prices() -> None:
    side = asks((101, 4), (100, 5), (103, 9), (104, 2))
    assert side.take(10) == [(100, 5), (101, 4), (103, 1)]
    assert side.best() == 103
    assert (side.orders, side.quantity) == (2, 10)


def test_take_when_only_the_kept_levels_remain_then_the_rest_lapses() -> None:
    side = asks((100, 5), (101, 4))
    assert side.take(50, keep_levels=1) == [(100, 5)]
    assert side.top(5) == [(101, 4)]


def test_bids_when_added_out_of_order_then_the_highest_is_best() -> None:
    side = Side(1)
    for price in (98, 100, 99):
        side.add(price, 1)
    assert side.top(2) == [(100, 1), (99, 1)]


def test_cancel_when_a_level_empties_then_it_disappears() -> None:
    side = asks((100, 5), (101, 4), (101, 6))
    side.cancel(1, 0)
    assert side.top(5) == [(100, 5), (101, 6)]
    side.cancel(0, 0)
    assert side.top(5) == [(101, 6)]
    side.cancel(7, 0)
    assert side.top(5) == [(101, 6)]


def test_trim_when_levels_are_far_away_then_they_go_with_their_quantity() -> None:
    side = asks((100, 5), (110, 4), (150, 6))
    side.trim(110)
    assert side.top(5) == [(100, 5), (110, 4)]
    assert (side.orders, side.quantity) == (2, 9)


@given(
    st.lists(st.tuples(st.integers(90, 110), st.integers(1, 50)), min_size=1, max_size=60),
    st.lists(st.integers(1, 200), max_size=20),
    st.sampled_from([1, -1]),
)
def test_book_when_orders_come_and_trade_then_no_share_is_lost(
    orders: list[tuple[int, int]], takes: list[int], sign: int
) -> None:
    side = Side(sign)
    for price, quantity in orders:
        side.add(price, quantity)
    fills = [fill for quantity in takes for fill in side.take(quantity)]
    resting = side.top(1000)
    assert sum(quantity for _, quantity in orders) == sum(q for _, q in fills) + sum(q for _, q in resting)
    assert side.quantity == sum(q for _, q in resting)
    prices = [price for price, _ in fills]
    assert prices == sorted(prices, reverse=sign > 0)
    assert len(side.ladder) >= 1
