"""Whose clock ends a minute, and what repeats, disorder, set-backs and new trading dates do."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec.structs import replace
from ticks import KEY, OPEN, bar_of, quiet_tick, trade_tick

from orderflow.market.candle import Candle
from orderflow.market.engine.minute import FinalMinute
from orderflow.market.engine.partition import EngineSettings, Output, PartitionEngine
from orderflow.market.tick import Tick, heartbeat_tick
from orderflow.market.times import MINUTE_MS

SETTINGS = EngineSettings(rule="lee_ready")
DAY_MS = 86_400_000
OTHER = "NSE_EQ|INE009A01021"


def beat(second: float, streamer: str | None = None) -> Tick:
    at_ms = OPEN + round(second * 1000)
    return heartbeat_tick(at_ms, at_ms, streamer)


def trade(second: float, vtt: int, volume: int, streamer: str, key: str = KEY) -> Tick:
    return trade_tick(second, 100.0, volume, vtt, since=second - 2, ltq=volume, streamer=streamer, instrument_key=key)


def finals(outputs: Iterable[Output]) -> list[tuple[str, int, int]]:
    """Return (instrument, minute since the open, volume) of each final minute."""
    candles = [output.candle for output in outputs if isinstance(output, FinalMinute)]
    return [(candle.instrument, (candle.start_ms - OPEN) // MINUTE_MS, candle.total_volume) for candle in candles]


def events(outputs: Iterable[Output]) -> list[tuple[str | None, int | None]]:
    """Return (instrument, volume) of each late event."""
    return [(o.instrument_key, o.volume) for o in outputs if not isinstance(o, FinalMinute | Candle)]


def test_streamer_when_it_lags_and_drains_its_spool_then_its_clock_ends_its_own_minutes_only() -> None:
    engine = PartitionEngine(SETTINGS)
    engine.take(trade(10, 1_000, 5, "alpha", KEY))
    engine.take(trade(300, 2_000, 5, "beta", OTHER))
    assert finals(engine.take(beat(310, "beta"))) == []
    assert finals(engine.take(trade(40, 1_007, 7, "alpha", KEY))) == []
    assert finals(engine.take(beat(180, "alpha"))) == [(KEY, 0, 12)]
    assert finals(engine.take(beat(480, "beta"))) == [(OTHER, 5, 5)]


def test_streamer_when_it_drains_then_the_other_ones_minutes_stay_open() -> None:
    engine = PartitionEngine(SETTINGS)
    engine.take(trade(10, 1_000, 5, "alpha", KEY))
    engine.take(trade(12, 2_000, 5, "beta", OTHER))
    for second in range(60, 560, 100):
        assert OTHER not in {key for key, *_ in finals(engine.take(beat(second, "alpha")))}


def test_streamer_when_silent_for_ten_minutes_then_the_others_clock_counts() -> None:
    engine = PartitionEngine(SETTINGS)
    engine.take(trade(10, 1_000, 5, "alpha", KEY))
    engine.take(beat(20, "beta"))
    assert finals(engine.take(beat(10.3 + 599.999, "beta"))) == []
    assert finals(engine.take(beat(10.3 + 600, "beta"))) == [(KEY, 0, 5)]


def test_streamer_when_it_takes_an_instrument_over_then_its_clock_counts_from_its_first_tick_on() -> None:
    engine = PartitionEngine(SETTINGS)
    engine.take(trade(10, 1_000, 5, "alpha"))
    engine.take(beat(175, "beta"))
    engine.take(trade(176, 1_009, 9, "beta"))
    assert finals(engine.take(beat(179, "alpha"))) == []
    assert finals(engine.take(beat(181, "beta"))) == [(KEY, 0, 5)]


def test_streamers_when_their_ticks_have_no_name_then_one_clock_counts_for_all() -> None:
    engine = PartitionEngine(SETTINGS)
    engine.take(trade_tick(10, 100.0, 5, 1_000, since=8, ltq=5))
    assert finals(engine.take(beat(180))) == [(KEY, 0, 5)]


def test_tick_when_it_is_repeated_then_it_counts_once() -> None:
    engine = PartitionEngine(SETTINGS)
    first, second = trade(10, 1_000, 5, "alpha"), trade(20, 1_009, 9, "alpha")
    for tick in (first, second, first, second, second):
        engine.take(tick)
    (final,) = engine.finish()
    assert isinstance(final, FinalMinute)
    assert (final.candle.total_volume, final.candle.tick_volume, final.candle.tick_count) == (14, 14, 2)


def test_tick_when_its_number_comes_again_with_another_feed_time_then_it_counts() -> None:
    """A streamer that lost its state begins its numbers anew."""
    engine = PartitionEngine(SETTINGS)
    engine.take(replace(trade(10, 1_000, 5, "alpha"), sequence=1))
    engine.take(replace(trade(20, 1_009, 9, "alpha"), sequence=1))
    assert finals(engine.finish()) == [(KEY, 0, 14)]


def test_tick_when_it_comes_out_of_order_then_its_volume_finds_its_place() -> None:
    engine = PartitionEngine(SETTINGS)
    for tick in (trade(10, 1_000, 5, "a"), trade(25, 1_030, 10, "a"), trade(20, 1_020, 20, "a"), trade(65, 1_035, 5, "a")):
        engine.take(tick)
    outputs = engine.take(quiet_tick(70, 1_035, last_trade=65, bar=bar_of(0, 35), streamer="a"))
    (final,) = outputs
    assert isinstance(final, FinalMinute)
    assert (final.candle.total_volume, final.candle.buy_volume, final.candle.gap) == (35, 35, False)
    assert [level.buy_volume for level in final.levels] == [35]


def test_volume_when_two_streamers_report_it_then_it_counts_once() -> None:
    """Beta went on from what alpha had published last; then alpha's spool brings what it had not."""
    engine = PartitionEngine(SETTINGS)
    engine.take(trade(5, 1_000, 5, "alpha"))
    engine.take(replace(trade(20, 1_030, 30, "beta"), prev_bid=100.0, prev_ask=100.1))
    engine.take(trade(8, 1_010, 10, "alpha"))
    engine.take(trade(25, 1_040, 20, "alpha"))
    (final,) = engine.finish()
    assert isinstance(final, FinalMinute)
    candle = final.candle
    assert (candle.total_volume, candle.buy_volume, candle.sell_volume, candle.unclassified_volume) == (45, 15, 30, 0)
    assert [tuple(level) for level in final.levels] == [(10_000, 15, 30, 0, 100)]


def test_volume_when_set_back_then_what_was_counted_is_final_and_counting_begins_anew() -> None:
    engine = PartitionEngine(SETTINGS)
    engine.take(trade(10, 1_000, 5, "alpha"))
    set_back = replace(quiet_tick(70, 400, last_trade=10), traded_volume=None, prev_feed_time_ms=None)
    assert finals(engine.take(set_back)) == [(KEY, 0, 5)]
    engine.take(trade_tick(80, 100.0, 6, 406, since=78, ltq=6))
    assert finals(engine.finish()) == [(KEY, 1, 6)]


def tomorrow(tick: Tick) -> Tick:
    """The same tick a day later."""
    later = {name: value + DAY_MS for name, value in ((n, getattr(tick, n)) for n in Tick.__struct_fields__)
             if name.endswith("_ms") and value is not None}  # fmt: skip
    return replace(tick, trading_date="2025-12-16", **later)


def test_trading_date_when_a_new_one_begins_then_the_old_ones_minutes_are_final_and_its_numbers_count_afresh() -> None:
    engine = PartitionEngine(SETTINGS)
    first = replace(trade(10, 1_000, 5, "alpha"), sequence=1)
    engine.take(first)
    assert finals(engine.take(tomorrow(replace(first, vtt=30)))) == [(KEY, 0, 5)]
    assert finals(engine.finish()) == [(KEY, 1_440, 5)]


def test_tick_when_it_is_of_a_date_before_then_its_volume_is_late() -> None:
    engine = PartitionEngine(SETTINGS)
    engine.take(trade(10, 1_000, 5, "alpha"))
    engine.take(tomorrow(trade(10, 30, 5, "alpha")))
    outputs = engine.take(trade(90, 1_008, 8, "alpha"))
    assert events(outputs) == [(KEY, 8)]
    (event,) = outputs
    assert not isinstance(event, FinalMinute | Candle)
    assert (event.from_ms, event.to_ms) == (OPEN + 60_000, OPEN + 120_000)


def test_state_of_a_date_when_the_date_is_over_then_it_is_dropped() -> None:
    engine = PartitionEngine(SETTINGS)
    engine.take(trade(10, 1_000, 5, "alpha", KEY))
    engine.take(trade(10, 1_000, 5, "alpha", OTHER))
    engine.take(beat(180, "alpha"))
    assert set(engine.instruments) == {KEY, OTHER}
    engine.take(beat(DAY_MS / 1000, "alpha"))
    assert engine.instruments == {}
    assert engine.changed == {KEY, OTHER}


def test_state_of_a_date_when_midnight_has_just_passed_then_it_is_kept_for_the_watermark() -> None:
    engine = PartitionEngine(SETTINGS)
    engine.take(trade(10, 1_000, 5, "alpha"))
    midnight = (14 * 60 + 45) * 60
    engine.take(beat(midnight + 100, "alpha"))
    assert set(engine.instruments) == {KEY}
    engine.take(beat(midnight + 2 * 3_600, "alpha"))
    assert engine.instruments == {}
