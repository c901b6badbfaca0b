"""Volume of minute candles around outages: whatever is missed, it is neither lost nor doubled."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from minute_twin import candles
from outages import BASELINE, SESSION, market, seen_through

from orderflow.market.tick import MINUTE_MS

FIRST_MS, LAST_MS = SESSION.start_ms + 4 * MINUTE_MS, SESSION.start_ms + 20 * MINUTE_MS
OUTAGES = st.lists(st.tuples(st.integers(FIRST_MS, LAST_MS), st.integers(1_000, 500_000)), max_size=3).map(
    lambda cuts: [(begin, begin + length) for begin, length in cuts]
)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), OUTAGES, st.booleans())
def test_candles_when_outages_of_any_length_come_then_no_volume_is_lost_or_doubled(seed, outages, live):
    truth = market(seed)
    ticks = seen_through(truth.updates, outages)
    found = candles(ticks, live=live)
    assert ticks[-1].vtt is not None
    assert sum(candle.total_volume for candle in found.values()) == ticks[-1].vtt - BASELINE
    assert sum(candle.tick_volume for candle in found.values()) == ticks[-1].vtt - BASELINE
    known = {tick.bar.start_ms for tick in ticks if tick.bar is not None and not (live and tick.bar.late)}
    for at_ms, candle in found.items():
        assert candle.buy_volume >= 0
        assert candle.sell_volume >= 0
        assert candle.buy_volume + candle.sell_volume <= candle.total_volume
        if at_ms in known:
            bar = truth.bars[at_ms]
            assert candle[:4] == (bar.open, bar.high, bar.low, bar.close)
            assert candle.total_volume == bar.volume or not candle.exchange_bar


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000), OUTAGES)
def test_candles_when_nothing_came_late_then_a_batch_computes_what_streaming_wrote(seed, outages):
    ticks = seen_through(market(seed).updates, outages)
    if all(tick.bar is None or tick.feed_time_ms - tick.bar.start_ms <= 90_000 for tick in ticks):  # a bar's start is known live
        assert candles(ticks, live=False) == candles(ticks, live=True)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000))
def test_candles_when_the_last_trades_time_goes_backwards_then_prices_are_the_exchanges(seed):
    truth = market(seed, backwards=0.05)
    ticks = seen_through(truth.updates, [])
    found = candles(ticks)
    assert ticks[-1].vtt is not None
    assert sum(candle.tick_volume for candle in found.values()) == ticks[-1].vtt - BASELINE
    for at_ms, bar in truth.bars.items():
        if at_ms < SESSION.start_ms + 22 * MINUTE_MS:
            assert found[at_ms][:4] == (bar.open, bar.high, bar.low, bar.close)
