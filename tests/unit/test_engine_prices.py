"""Where an update's volume traded: what the footprint shows at other prices than the last."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from ticks import OPEN, trade_tick

from orderflow.market.engine.minute import AxisTrade, OwnTicks, Stretch, final_minute
from orderflow.market.engine.partition import EngineSettings, PartitionEngine
from orderflow.market.engine.prices import elsewhere
from orderflow.market.tick import Bar, Tick

SWEEP = replace(
    trade_tick(10, 100.2, 1_000, 2_000, since=9, ltq=50),
    prev_bid=100.0,
    prev_bid_quantity=400,
    prev_ask=100.1,
    prev_ask_quantity=350,
)
"""1,000 traded up to 100.20, from the quote 100.00 / 100.10."""

PLUNGE = replace(SWEEP, ltp=99.9)


@pytest.mark.parametrize(
    ("tick", "buy", "sell", "expected"),
    [
        (SWEEP, 900, 100, ((100.0, 0, 100), (100.1, 350, 0))),
        (SWEEP, 1_000, 0, ((100.1, 350, 0),)),
        (PLUNGE, 100, 900, ((100.1, 100, 0), (100.0, 0, 400))),
        (replace(SWEEP, ltp=100.1), 900, 100, ((100.0, 0, 100),)),
        (replace(SWEEP, ltp=100.1), 1_000, 0, ()),
        (replace(SWEEP, ltp=100.0), 900, 100, ()),
        (replace(SWEEP, prev_ask_quantity=5_000), 900, 100, ((100.0, 0, 100), (100.1, 850, 0))),
        (replace(SWEEP, prev_ask_quantity=None), 900, 100, ((100.0, 0, 100),)),
        (replace(SWEEP, prev_bid=None), 900, 100, ((100.1, 350, 0),)),
        (replace(SWEEP, ltq=1_000), 900, 100, ()),
        (replace(SWEEP, ltq=None), 900, 100, ()),
        (replace(SWEEP, ltq=950), 500, 500, ((100.0, 0, 50),)),
    ],
    ids=[
        "both sides", "bought alone", "mirrored", "at the ask", "at the ask, bought alone", "at the bid", "long queue",
        "queue unknown", "no bid", "single trade", "last quantity unknown", "last quantity stays",
    ],
)  # fmt: skip
def test_elsewhere_when_volume_met_a_quote_then_the_other_side_and_the_queue_are_at_theirs(
    tick: Tick, buy: int, sell: int, expected: tuple[tuple[float, int, int], ...]
) -> None:
    assert elsewhere(tick, buy, sell) == expected


prices = st.one_of(st.none(), st.integers(995, 1_005).map(lambda tenths: tenths / 10))
quantities = st.one_of(st.none(), st.integers(-5, 2_000))


@given(prices, prices, prices, quantities, quantities, quantities, st.integers(0, 1_000), st.integers(0, 1_000))
def test_elsewhere_when_given_anything_then_the_last_quantity_stays_and_no_side_is_exceeded(
    ltp: float | None,
    bid: float | None,
    ask: float | None,
    bid_quantity: int | None,
    ask_quantity: int | None,
    ltq: int | None,
    buy: int,
    sell: int,
) -> None:
    tick = replace(
        SWEEP, ltp=ltp, ltq=ltq, prev_bid=bid, prev_ask=ask, prev_bid_quantity=bid_quantity, prev_ask_quantity=ask_quantity
    )
    bookings = elsewhere(tick, buy, sell)
    bought, sold = sum(part[1] for part in bookings), sum(part[2] for part in bookings)
    assert all(part[1] >= 0 and part[2] >= 0 and part[1] + part[2] > 0 and part[0] != ltp for part in bookings)
    assert bought <= buy
    assert sold <= sell
    assert not bookings or buy + sell - bought - sold >= (ltq or 0)


TRADE = AxisTrade(0, 1_000, 100.2, 900, 100, 0.05, unseen=False, elsewhere=((100.0, 0, 100), (100.1, 350, 0)))


def minute(high: int, *, low_price: float, trades: tuple[AxisTrade, ...] = (TRADE,)) -> list[tuple[int, ...]]:
    """Return the levels of a minute of the axis from 0 to `high`, whose bar begins at `low_price`."""
    bar = Bar(OPEN, 100.2, 100.3, low_price, 100.2, high)
    stretch = Stretch(0, high, high, exchange_bar=True, final_by="complete")
    own = OwnTicks(1, 100.2, 100.2, 100.2, 100.2, 1_000, 900, 100)
    final = final_minute("NSE_EQ|INE467B01029", OPEN, stretch, trades, own, None, bar, "stream")
    candle = final.candle
    assert sum(level.buy_volume for level in final.levels) == candle.buy_volume
    assert sum(level.sell_volume for level in final.levels) == candle.sell_volume
    assert (candle.vwap, candle.tick_low, candle.tick_high) == (pytest.approx(100.2), 100.2, 100.2)
    return [tuple(level)[:4] for level in final.levels]


def test_footprint_when_a_trade_hit_several_prices_then_it_shows_them_and_the_candle_is_unchanged() -> None:
    assert minute(1_000, low_price=99.9) == [(10_000, 0, 100, 0), (10_010, 350, 0, 0), (10_020, 550, 0, 0)]


def test_footprint_when_a_price_is_outside_the_bar_then_its_volume_stays_at_the_last_price() -> None:
    assert minute(1_000, low_price=100.1) == [(10_010, 350, 0, 0), (10_020, 550, 100, 0)]
    assert minute(1_000, low_price=100.2) == [(10_020, 900, 100, 0)]


def test_footprint_when_a_trade_is_cut_at_the_minutes_edge_then_all_of_it_is_at_the_last_price() -> None:
    assert minute(500, low_price=99.9) == [(10_020, 450, 50, 0)]


def test_footprint_when_two_trades_share_prices_then_their_levels_add_up() -> None:
    second = AxisTrade(1_000, 1_300, 100.1, 0, 300, 0.05, unseen=False)
    expected = [(10_000, 0, 100, 0), (10_010, 350, 300, 0), (10_020, 550, 0, 0)]
    bar = Bar(OPEN, 100.2, 100.3, 99.9, 100.1, 1_300)
    stretch = Stretch(0, 1_300, 1_300, exchange_bar=True, final_by="complete")
    final = final_minute("NSE_EQ|INE467B01029", OPEN, stretch, (TRADE, second), None, None, bar, "stream")
    assert [tuple(level)[:4] for level in final.levels] == expected


def test_footprint_when_ticks_are_folded_then_the_engine_spreads_them() -> None:
    engine = PartitionEngine(EngineSettings(rule="lee_ready", watermark_ms=None))
    bar = Bar(OPEN, 100.2, 100.3, 99.9, 100.2, 1_000)
    later = trade_tick(70, 100.2, 1, 2_001, since=10, bar=bar)
    outputs = [output for tick in (SWEEP, later) for output in engine.take(tick)] + engine.finish()
    first = next(output for output in outputs if getattr(output, "candle", None) and output.candle.start_ms == OPEN)
    assert [tuple(level)[:4] for level in first.levels] == [(10_010, 350, 0, 0), (10_020, 650, 0, 0)]
