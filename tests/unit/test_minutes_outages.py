"""Volume of minute candles around outages: whatever is missed, it is neither lost nor doubled."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from minute_twin import Candle as TwinCandle
from minute_twin import candles
from outages import BASELINE, KEY, SESSION, market, seen_through

from orderflow.lake.exchange_candles import ExchangeMinute, backfill_candle
from orderflow.lake.reconciliation import reconcile, without_outages
from orderflow.market.candle import Candle
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


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), OUTAGES, st.booleans())
def test_candles_when_outages_are_backfilled_then_their_volume_counts_once(seed, outages, live):
    truth = market(seed)
    ticks = seen_through(truth.updates, [(begin, min(end, LAST_MS + 2 * MINUTE_MS)) for begin, end in outages])
    exchange = [ExchangeMinute(bar.start_ms, *bar[1:5], bar.volume or 0) for bar in truth.bars.values()]
    stored = [stored_candle(at_ms, candle) for at_ms, candle in candles(ticks, live=live).items()]
    traded = sum(minute.volume for minute in exchange)
    assert sum(candle.total_volume for candle in stored) == traded
    missing = reconcile(KEY, "2025-12-15", stored, exchange).missing
    stored += [backfill_candle(KEY, minute) for minute in missing]

    replaced = without_outages(stored, exchange)
    stored = list({candle.start_ms: candle for candle in (*stored, *replaced)}.values())

    # What a conflated update classified beyond its minute's bar stays.
    bars = {minute.start_ms: minute.volume for minute in exchange}
    beyond = sum(max(0, candle.buy_volume + candle.sell_volume - bars.get(candle.start_ms, 0)) for candle in replaced)
    assert sum(candle.total_volume for candle in stored) == traded + beyond
    assert beyond <= traded // 20
    assert all(candle.unclassified_volume >= 0 for candle in stored)
    assert without_outages(stored, exchange) == []


def stored_candle(start_ms: int, candle: TwinCandle) -> Candle:
    buy, sell, total = candle.buy_volume, candle.sell_volume, candle.total_volume
    measures = {"delta": buy - sell, "unclassified_volume": total - buy - sell, "tick_count": int(candle.tick_volume > 0)}
    return Candle(start_ms=start_ms, end_ms=start_ms + MINUTE_MS, instrument=KEY, **candle._asdict(), **measures)
