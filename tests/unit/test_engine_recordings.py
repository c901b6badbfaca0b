"""The engine on the recordings of a real market, against the exchange's own bars and counts that know nothing of the product."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest
from recording import MINUTE_MS, exchange_bars, lee_ready_minutes, minute_volumes, packets
from replayed import replay

from orderflow.market.candle import Candle
from orderflow.market.engine.minute import FinalMinute
from orderflow.market.engine.partition import EngineSettings, Output, PartitionEngine
from orderflow.market.tick import Tick

RECORDINGS = ("2025-12-15_open_3eq", "2025-12-15_close_2fo")
Minutes = dict[tuple[str, int], Candle]


@cache
def ticks_of(path: Path) -> tuple[Tick, ...]:
    return tuple(tick for tick, _ in replay(path))


@cache
def outputs_of(path: Path) -> tuple[Output, ...]:
    """What the live engine makes of a recording, with a rule whose sides can be counted independently."""
    engine = PartitionEngine(EngineSettings(rule="lee_ready"))
    outputs = [output for tick in ticks_of(path) for output in engine.take(tick)]
    return (*outputs, *engine.finish())


def minutes_of(path: Path) -> Minutes:
    candles = [output.candle for output in outputs_of(path) if isinstance(output, FinalMinute)]
    by_place = {(candle.instrument, candle.start_ms): candle for candle in candles}
    assert len(by_place) == len(candles)
    return by_place


@pytest.fixture(params=RECORDINGS)
def recording(request: pytest.FixtureRequest, shared: Path) -> Path:
    return shared / "data" / "upstox" / f"{request.param}.jsonl.gz"


def test_candles_when_the_exchange_has_a_bar_then_each_equals_it(recording: Path) -> None:
    """But for the last minute, whose bar would have come after the recording's end."""
    bars = exchange_bars(recording.with_name(recording.name.replace(".jsonl.gz", ".i1.csv")))
    candles = minutes_of(recording)
    both = [place for place in candles if place in bars]
    assert len(both) >= 60
    last_ms = max(start_ms for _, start_ms in both)
    for place in both:
        candle = candles[place]
        assert candle.exchange_bar or place[1] == last_ms, place
        if candle.exchange_bar:
            assert (candle.open, candle.high, candle.low, candle.close, candle.total_volume) == bars[place], place


def test_books_when_a_recording_is_folded_then_they_balance(recording: Path) -> None:
    """Σ candles + Σ late of all minutes but the first = how much vtt rose from the first minute's end.

    Where that end lies on the axis is known up to what traded between two updates; the first minute is its bar, as tested above.
    """
    minutes = minutes_of(recording)
    for key in {instrument for instrument, _ in minutes}:
        first_end_ms = min(at for instrument, at in minutes if instrument == key) + MINUTE_MS
        later = [candle for (instrument, at), candle in minutes.items() if instrument == key and at >= first_end_ms]
        total = sum(candle.total_volume for candle in later)
        events = [output for output in outputs_of(recording) if not isinstance(output, Candle | FinalMinute)]
        traded = [tick for tick in ticks_of(recording) if tick.instrument_key == key and tick.session_phase == "continuous"]
        before = max(tick.vtt for tick in traded if tick.ltt_ms < first_end_ms)
        after = min(tick.vtt - tick.ltq for tick in traded if tick.ltt_ms >= first_end_ms)
        late = sum(event.volume or 0 for event in events if event.instrument_key == key)
        assert before <= max(tick.vtt for tick in traded) - total - late <= after, key
        assert after - before < 0.002 * total


def test_minutes_when_counted_without_the_product_then_volumes_and_sides_are_the_same(recording: Path) -> None:
    candles = minutes_of(recording)
    assert len(ticks_of(recording)) == sum(1 for _ in packets(recording))
    assert {place: candle.tick_volume for place, candle in candles.items() if candle.tick_volume} == minute_volumes(recording)
    sides = {place: (c.tick_buy_volume, c.tick_sell_volume) for place, c in candles.items() if c.tick_volume}
    assert sides == lee_ready_minutes(recording)


def test_candles_when_summed_then_their_parts_and_their_footprint_are_the_whole(recording: Path) -> None:
    for output in outputs_of(recording):
        if isinstance(output, FinalMinute):
            candle = output.candle
            parts = (candle.buy_volume, candle.sell_volume, candle.unclassified_volume)
            assert sum(parts) == candle.total_volume
            assert min(parts) >= 0
            assert sum(level.buy_volume for level in output.levels) == candle.buy_volume
            assert sum(level.sell_volume for level in output.levels) == candle.sell_volume
            assert candle.low <= min(candle.open, candle.close)
            assert max(candle.open, candle.close) <= candle.high
