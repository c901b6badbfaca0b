import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from orderflow.market.candle import Candle
from orderflow.market.measures import (
    MINUTE_MS,
    DeltaPath,
    candle_divergence,
    cumulative_delta,
    delta_path,
    imbalance_ratio,
    initial_balance,
    roll_up,
    session_vwap,
    swing_divergences,
)

START_MS = 1_765_770_300_000
END_MS = START_MS + 375 * MINUTE_MS
TCS, INFY = "NSE_EQ|INE467B01029", "NSE_EQ|INE009A01021"


def minute(index, open_=100.0, high=101.0, low=99.0, close=100.0, buy=60, sell=40, **more):
    start_ms = START_MS + index * MINUTE_MS
    values = {
        "instrument": TCS,
        "total_volume": buy + sell + more.get("unclassified_volume", 0),
        "tick_volume": buy + sell,
        "delta": buy - sell,
        "min_delta": min(buy - sell, 0),
        "max_delta": max(buy - sell, 0),
        "vwap": None if high is None else (high + low) / 2,
        "tick_count": 10,
        "exchange_bar": True,
        "delta_band": 30.0,
        "tbq": 1000 + index,
        "tsq": 2000 + index,
        "tick_open": open_,
        "tick_high": high,
        "tick_low": low,
        "tick_close": close,
        "tick_buy_volume": buy,
        "tick_sell_volume": sell,
        **more,
    }
    return Candle(
        start_ms=start_ms,
        end_ms=start_ms + MINUTE_MS,
        open=open_,
        high=high,
        low=low,
        close=close,
        buy_volume=buy,
        sell_volume=sell,
        **values,
    )


def test_cumulative_delta_when_candles_follow_then_running_sum():
    assert cumulative_delta([minute(0, buy=60, sell=40), minute(1, buy=10, sell=50), minute(2, buy=30, sell=0)]) == [20, -20, 10]


def test_delta_path_when_deltas_follow_then_sum_and_extremes_from_zero():
    assert delta_path([]) == DeltaPath(0, 0, 0)
    assert delta_path([5, -9, 3]) == DeltaPath(-1, -4, 5)
    assert delta_path([-2, -1]) == DeltaPath(-3, -3, 0)


@given(st.lists(st.integers(-99, 99)), st.lists(st.integers(-99, 99)), st.lists(st.integers(-99, 99)))
def test_delta_path_when_stretches_are_joined_in_any_grouping_then_as_in_one(first, second, third):
    whole = delta_path(first + second + third)
    assert delta_path(first).then(delta_path(second)).then(delta_path(third)) == whole
    assert delta_path(first).then(delta_path(second).then(delta_path(third))) == whole


def test_session_vwap_when_volumes_differ_then_weighted_mean_and_deviation():
    points = session_vwap([(0.0, 0), (100.0, 100), (110.0, 300), (90.0, 0)])
    assert points[0] is None
    assert points[1] == (100.0, 0.0)
    assert points[2].vwap == pytest.approx(107.5)
    assert points[2].deviation == pytest.approx(18.75**0.5)
    assert points[3] == points[2]
    assert points[2].band(2) == pytest.approx((107.5 - 2 * 18.75**0.5, 107.5 + 2 * 18.75**0.5))


def test_session_vwap_when_prices_are_high_and_close_then_deviation_keeps_its_digits():
    assert session_vwap([(1e9, 1), (1e9 + 0.02, 1)])[-1].deviation == pytest.approx(0.01, rel=1e-4)


def test_initial_balance_when_the_first_hour_is_over_then_its_range_alone():
    candles = [minute(0, low=98.0), minute(59, high=105.0), minute(60, high=200.0, low=1.0)]
    assert initial_balance(candles, START_MS) == (98.0, 105.0)
    assert initial_balance(candles, START_MS, minutes=1) == (98.0, 101.0)
    assert initial_balance([minute(60)], START_MS) is None
    assert initial_balance([minute(0, high=None, low=None, vwap=None)], START_MS) is None


def test_imbalance_ratio_when_classified_then_between_minus_one_and_one():
    assert imbalance_ratio(60, 40) == pytest.approx(0.2)
    assert imbalance_ratio(0, 40) == -1.0
    assert imbalance_ratio(0, 0) is None


@pytest.mark.parametrize(
    ("open_", "close", "buy", "sell", "expected"),
    [
        (100, 101, 10, 20, "bearish"),
        (101, 100, 20, 10, "bullish"),
        (100, 101, 20, 10, None),
        (100, 100, 1, 9, None),
        (None, 1, 1, 9, None),
    ],
)
def test_candle_divergence_when_price_and_delta_part_then_named(open_, close, buy, sell, expected):
    assert candle_divergence(minute(0, open_=open_, close=close, buy=buy, sell=sell)) == expected


def test_swing_divergences_when_a_new_high_has_less_delta_then_bearish():
    candles = [
        minute(0, high=101, low=100, buy=90, sell=0),
        minute(1, high=103, low=100, buy=50, sell=0),
        minute(2, high=102, low=100, buy=0, sell=80),
        minute(3, high=104, low=100, buy=40, sell=20),
        minute(4, high=105, low=100, buy=99, sell=0),
    ]
    assert swing_divergences(candles) == [None, None, None, "bearish", None]


def test_swing_divergences_when_a_new_low_has_more_delta_then_bullish():
    candles = [
        minute(0, high=101, low=98, buy=0, sell=90),
        minute(1, high=101, low=99, buy=70, sell=0),
        minute(2, high=101, low=97, buy=0, sell=10),
    ]
    assert swing_divergences(candles) == [None, None, "bullish"]
    assert swing_divergences(candles, swing=1) == [None, None, None]


def test_roll_up_when_five_minutes_then_aligned_to_the_session_and_combined():
    minutes = [
        minute(0, open_=100, high=102, low=99, close=101, buy=60, sell=40, min_delta=-5, max_delta=25),
        minute(2, open_=101, high=105, low=100, close=104, buy=10, sell=70, min_delta=-66, max_delta=2, exchange_bar=False),
        minute(4, open_=104, high=104, low=98, close=99, buy=30, sell=0, min_delta=0, max_delta=30, gap=True),
        minute(5, open_=99, high=100, low=97, close=98, buy=1, sell=2),
    ]
    first, second = roll_up(reversed(minutes), 5, START_MS, END_MS)
    assert (first.start_ms, first.end_ms, first.window_minutes) == (START_MS, START_MS + 5 * MINUTE_MS, 5)
    assert (first.open, first.high, first.low, first.close) == (100, 105, 98, 99)
    assert (first.buy_volume, first.sell_volume, first.total_volume, first.delta) == (100, 110, 210, -10)
    assert (first.min_delta, first.max_delta) == (-46, 25)
    assert (first.tbq, first.tsq, first.tick_count) == (1004, 2004, 30)
    assert first.vwap == pytest.approx((100.5 * 100 + 102.5 * 80 + 101.0 * 30) / 210)
    assert first.imbalance == pytest.approx(-10 / 210)
    assert (first.delta_band, first.confidence) == (52.0, "high")
    assert (first.exchange_bar, first.gap) == (False, True)
    assert (second.start_ms, second.delta, second.exchange_bar, second.gap) == (START_MS + 5 * MINUTE_MS, -1, True, False)


@pytest.mark.parametrize(("n", "windows", "last_minutes"), [(75, 5, 75), (125, 3, 125), (60, 7, 15), (10, 38, 5), (1, 375, 1)])
def test_roll_up_when_n_does_not_divide_the_day_then_cut_at_the_sessions_end(n, windows, last_minutes):
    candles = roll_up([minute(index) for index in range(375)], n, START_MS, END_MS)
    assert len(candles) == windows
    assert candles[-1].end_ms == END_MS
    assert candles[-1].end_ms - candles[-1].start_ms == last_minutes * MINUTE_MS
    assert sum(candle.total_volume for candle in candles) == 37_500


def test_roll_up_when_one_minute_each_then_the_minutes_themselves():
    minutes = [replace(minute(index), confidence="high", imbalance=0.2) for index in (0, 1, 3)]
    assert roll_up(minutes, 1, START_MS, END_MS) == minutes


def test_roll_up_when_several_instruments_then_kept_apart():
    candles = roll_up([minute(0), minute(0, instrument=INFY, buy=1, sell=0)], 5, START_MS, END_MS)
    assert [(candle.instrument, candle.delta) for candle in candles] == [(INFY, 1), (TCS, 20)]


def test_roll_up_when_minutes_lie_outside_the_session_then_left_out():
    assert roll_up([minute(-1), minute(375)], 5, START_MS, END_MS) == []


def test_roll_up_when_sources_differ_then_reprocess_has_touched_it():
    mixed = roll_up([minute(0), minute(1, source="reprocess")], 5, START_MS, END_MS)
    same = roll_up([minute(0, source="backfill"), minute(1, source="backfill")], 5, START_MS, END_MS)
    begun = roll_up([minute(0, source="exchange"), minute(1)], 5, START_MS, END_MS)
    assert (mixed[0].source, same[0].source, begun[0].source) == ("reprocess", "backfill", "stream")


def test_roll_up_when_nothing_is_known_then_nulls_stay_null():
    bare = minute(0, open_=None, high=None, low=None, close=None, buy=0, sell=0, vwap=None, delta_band=None)
    bare = replace(bare, tick_high=None, tick_low=None, tick_buy_volume=None, tick_sell_volume=None)
    (candle,) = roll_up([bare], 5, START_MS, END_MS)
    assert (candle.high, candle.vwap, candle.imbalance, candle.delta_band, candle.confidence) == (None,) * 5
    assert (candle.tick_high, candle.tick_buy_volume) == (None, None)


def test_roll_up_when_misused_then_value_error_says_why():
    with pytest.raises(ValueError, match="n=0"):
        roll_up([], 0, START_MS, END_MS)
    with pytest.raises(ValueError, match=TCS.replace("|", r"\|")):
        roll_up([minute(0), minute(0)], 5, START_MS, END_MS)
