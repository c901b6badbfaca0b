"""The candle engine against random markets whose truth is known, with outages, batches, restarts and disorder."""

from __future__ import annotations

import os
import random
from collections import defaultdict

import pytest
from outages import BASELINE, KEY, SESSION, Market, market, seen_through

from orderflow.market.candle import Candle
from orderflow.market.engine.minute import FinalMinute
from orderflow.market.engine.partition import EngineSettings, Output, PartitionEngine
from orderflow.market.engine.store import StoredEngine, caught_up, restored, saved
from orderflow.market.records import FeedEvent
from orderflow.market.tick import Tick, heartbeat_tick
from orderflow.market.times import MINUTE_MS

MARKETS = int(os.environ.get("ENGINE_MARKETS", "150"))
FIRST_MS, LAST_MS = SESSION.start_ms + 4 * MINUTE_MS, SESSION.start_ms + 20 * MINUTE_MS


def outages_of(rng: random.Random) -> list[tuple[int, int]]:
    begins = [rng.randrange(FIRST_MS, LAST_MS) for _ in range(rng.randrange(1, 4))]
    return [(begin, begin + rng.randrange(1_000, 500_000)) for begin in begins]


def folded(ticks: list[Tick], settings: EngineSettings | None = None) -> list[Output]:
    engine = PartitionEngine(settings or EngineSettings())
    return [output for tick in ticks for output in engine.take(tick)] + engine.finish()


def minutes_of(outputs: list[Output]) -> dict[int, Candle]:
    finals = [output.candle for output in outputs if isinstance(output, FinalMinute)]
    assert len({candle.start_ms for candle in finals}) == len(finals)
    return {candle.start_ms: candle for candle in finals}


def late_of(outputs: list[Output]) -> int:
    return sum(output.volume or 0 for output in outputs if isinstance(output, FeedEvent))


def check_books(outputs: list[Output], ticks: list[Tick], truth: Market, *, outages: bool) -> None:
    candles = minutes_of(outputs)
    end = ticks[-1].vtt
    assert end is not None
    assert sum(candle.total_volume for candle in candles.values()) + late_of(outputs) == end - BASELINE
    for start_ms, candle in candles.items():
        assert candle.buy_volume + candle.sell_volume + candle.unclassified_volume == candle.total_volume
        assert min(candle.buy_volume, candle.sell_volume, candle.unclassified_volume) >= 0
        if candle.exchange_bar:
            bar = truth.bars[start_ms]
            assert (candle.open, candle.high, candle.low, candle.close) == (bar.open, bar.high, bar.low, bar.close)
            assert candle.total_volume == bar.volume
        elif outages:
            assert candle.gap or candle.final_by != "complete" or candle.total_volume == truth.bars[start_ms].volume
    levels = defaultdict(int)
    for output in outputs:
        if isinstance(output, FinalMinute):
            levels[output.candle.start_ms] = sum(sum(level[1:4]) for level in output.levels)
    assert all(levels[at] <= candle.total_volume for at, candle in candles.items())


@pytest.mark.parametrize("first", range(0, MARKETS, 50))
def test_candles_when_every_bar_comes_then_each_is_the_exchanges(first: int) -> None:
    for seed in range(first, first + 50):
        truth = market(seed)
        ticks = seen_through(truth.updates, [])
        outputs = folded(ticks)
        check_books(outputs, ticks, truth, outages=False)
        known = {tick.bar.start_ms for tick in ticks if tick.bar is not None}
        candles = minutes_of(outputs)
        assert late_of(outputs) == 0, seed
        for at_ms in known:
            candle, bar = candles[at_ms], truth.bars[at_ms]
            figures = (candle.open, candle.high, candle.low, candle.close, candle.total_volume)
            assert figures == (bar.open, bar.high, bar.low, bar.close, bar.volume), (seed, at_ms)


@pytest.mark.parametrize("first", range(0, MARKETS, 50))
def test_volume_when_outages_come_then_nothing_is_lost_or_doubled(first: int) -> None:
    for seed in range(first, first + 50):
        rng = random.Random(seed)
        truth = market(seed)
        ticks = seen_through(truth.updates, outages_of(rng))
        check_books(folded(ticks), ticks, truth, outages=True)
        batch = folded(ticks, EngineSettings(watermark_ms=None))
        check_books(batch, ticks, truth, outages=True)
        assert late_of(batch) == 0, seed


def beating(ticks: list[Tick], rng: random.Random) -> list[Tick]:
    """Put in a second instrument that trades alike, heartbeats, and repeats of what came before."""
    records: list[Tick] = []
    for number, tick in enumerate(ticks):
        records.append(tick)
        if rng.random() < 0.1:
            records.append(heartbeat_tick(tick.feed_time_ms, tick.received_time_ms))
        if rng.random() < 0.02:
            records += ticks[max(number - 5, 0) : number + 1]
    return records


@pytest.mark.parametrize("seed", range(12))
def test_result_when_records_come_in_batches_and_workers_change_then_the_same(seed: int) -> None:
    rng = random.Random(seed)
    ticks = seen_through(market(seed).updates, outages_of(rng) if seed % 2 else [])
    records = beating(ticks, rng)
    settings = EngineSettings(window_minutes=(3, 5))
    whole = folded(records, settings)
    assert [output for output in folded(ticks, settings) if isinstance(output, FinalMinute)] == [
        output for output in whole if isinstance(output, FinalMinute)
    ]
    log: dict[str, bytes] = {}
    journals: dict[int, bytes] = {}
    workers: list[StoredEngine | None] = [None, None]
    outputs: list[Output] = []
    at = 0
    while at < len(records):
        batch, worker = records[at : at + rng.randrange(1, 300)], rng.randrange(2)
        kept = workers[worker]
        stored = (kept and caught_up(kept, at, journals.get)) or restored(log.items(), at, settings)
        outputs += [output for tick in batch for output in stored.engine.take(tick)]
        begin, at = at, at + len(batch)
        workers[worker], written, journals[begin] = saved(stored, at)
        log.update(written)
        if rng.random() < 0.1:
            workers[rng.randrange(2)] = None
    outputs += restored(log.items(), at, settings).engine.finish()
    assert outputs == whole


def test_bytes_written_when_one_instrument_changes_then_they_do_not_grow_with_the_others() -> None:
    ticks = seen_through(market(7).updates, [])[:300]
    stored = restored([], 0, EngineSettings())
    for number in range(400):
        for tick in ticks[:40]:
            stored.engine.take(_renamed(tick, f"NSE_EQ|{number}"))
    stored, whole, _ = saved(stored, 16_000)
    for tick in ticks[40:60]:
        stored.engine.take(_renamed(tick, "NSE_EQ|7"))
    _, changed, _ = saved(stored, 16_020)
    assert sum(len(value) for _, value in changed) < sum(len(value) for _, value in whole) / 50


def _renamed(tick: Tick, key: str) -> Tick:
    import msgspec

    return msgspec.structs.replace(tick, instrument_key=key)


def test_key_when_named_then_it_is_the_markets() -> None:
    assert {tick.instrument_key for tick in seen_through(market(1).updates, [])} == {KEY}
