import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from orderflow.market.candle import Candle
from orderflow.market.measures import DeltaPath, imbalance_ratio, roll_up
from orderflow.market.times import MINUTE_MS

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


PATHS = st.builds(
    lambda total, below, above: DeltaPath(total, min(total, 0) - below, max(total, 0) + above),
    st.integers(-99, 99),
    st.integers(0, 99),
    st.integers(0, 99),
)


def test_delta_path_when_a_stretch_follows_then_its_extremes_count_from_where_the_first_ended():
    assert DeltaPath(-20, -30, 50).then(DeltaPath(60, -30, 60)) == DeltaPath(40, -50, 50)
    assert DeltaPath().then(DeltaPath(-3, -4, 5)) == DeltaPath(-3, -4, 5)


@given(PATHS, PATHS, PATHS)
def test_delta_path_when_stretches_are_joined_in_any_grouping_then_as_in_one(first, second, third):
    assert first.then(second).then(third) == first.then(second.then(third))


def test_imbalance_ratio_when_classified_then_between_minus_one_and_one():
    assert imbalance_ratio(60, 40) == pytest.approx(0.2)
    assert imbalance_ratio(0, 40) == -1.0
    assert imbalance_ratio(0, 0) is None


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
