from __future__ import annotations

import random
from pathlib import Path

import minute_twin
import pytest
from flow import CLOSE, KEY, OPEN, candles, footprint, frame, trade_tick
from outages import SESSION, market, seen_through
from pyspark.sql import SparkSession
from recording import MINUTE_MS, exchange_bars, lee_ready_minutes, minute_volumes, packets
from replayed import replay

from orderflow.market.candle import Candle, ms_from_iso
from orderflow.market.measures import roll_up
from orderflow.market.tick import Bar, Tick, heartbeat_tick

pytestmark = pytest.mark.spark


def story() -> list[Tick]:
    """Two minutes without the exchange's bar; the third update spans the edge between them."""
    return [
        trade_tick(10, 100.0, 50, 1_050, since=5, side="buy"),
        trade_tick(55, 100.2, 30, 1_080, since=10, side="sell"),
        trade_tick(62, 100.1, 20, 1_100, since=55, side="buy"),
        trade_tick(70, 99.9, 10, 1_110, since=62, side="sell"),
    ]


def test_candle_when_built_from_ticks_then_every_measure_is_as_counted_by_hand(spark: SparkSession) -> None:
    first, second = candles(frame(spark, story()))
    assert (first["window_start"], first["window_end"]) == ("2025-12-15T09:15:00+05:30", "2025-12-15T09:16:00+05:30")
    assert [first[name] for name in ("open", "high", "low", "close")] == [100.0, 100.2, 100.0, 100.2]
    assert [first[name] for name in ("buy_volume", "sell_volume", "total_volume", "delta")] == [50, 30, 80, 20]
    assert (first["min_delta"], first["max_delta"], first["tick_count"]) == (0, 50, 2)
    assert first["vwap"] == pytest.approx((50 * 100.0 + 30 * 100.2) / 80)
    assert (first["imbalance"], first["exchange_bar"], first["gap"]) == (0.25, False, False)
    assert (first["tbq"], first["tsq"], first["window_minutes"], first["source"]) == (1_055, 2_000, 1, "stream")
    assert (second["tick_volume"], second["total_volume"], second["min_delta"], second["max_delta"]) == (30, 30, 0, 20)


def with_bars() -> list[Tick]:
    """The exchange says that 92 traded in the first minute, up to vtt 1,092: 12 of the spanning 20 belong to it."""
    bar = Bar(OPEN, 99.8, 100.4, 99.7, 100.3, 92, close_vtt=1_092, open_vtt=1_000)
    next_bar = Bar(OPEN + MINUTE_MS, 100.3, 100.3, 99.9, 99.9, 18, close_vtt=1_110)
    ticks = story()
    return [*ticks[:3], trade_tick(70, 99.9, 10, 1_110, since=62, side="sell", bar=bar), depth_tick(122, next_bar)]


def depth_tick(second: float, bar: Bar | None = None) -> Tick:
    at = OPEN + round(second * 1000)
    return trade_tick(second, 99.9, 0, 1_110, since=70, bar=bar, feed_time_ms=at, event_time_ms=at)


def test_candle_when_the_exchange_gives_its_bar_then_a_spanning_update_is_cut_at_the_minutes_edge(spark: SparkSession) -> None:
    first, second = candles(frame(spark, with_bars()))
    assert [first[name] for name in ("open", "high", "low", "close", "total_volume")] == [99.8, 100.4, 99.7, 100.3, 92]
    assert (first["buy_volume"], first["sell_volume"], first["unclassified_volume"], first["tick_volume"]) == (62, 30, 0, 80)
    assert (second["buy_volume"], second["sell_volume"], second["total_volume"], second["tick_volume"]) == (8, 10, 18, 30)
    assert first["exchange_bar"]
    assert second["exchange_bar"]
    assert first["total_volume"] + second["total_volume"] == 1_110 - 1_000


def test_candle_when_the_exchange_saw_more_than_we_did_then_the_rest_is_unclassified_and_marked(spark: SparkSession) -> None:
    late_start = with_bars()[1:]
    first = candles(frame(spark, late_start))[0]
    assert (first["total_volume"], first["unclassified_volume"], first["gap"]) == (92, 50, True)
    assert (first["buy_volume"], first["sell_volume"]) == (12, 30)


def test_candle_when_bars_are_switched_off_then_it_is_built_from_ticks(spark: SparkSession) -> None:
    first, second = candles(frame(spark, with_bars()), exchange_bars=False)
    assert (first["total_volume"], second["total_volume"], first["exchange_bar"]) == (80, 30, False)


def test_candle_when_a_bar_is_late_then_only_a_batch_applies_it(spark: SparkSession) -> None:
    late = [tick if tick.bar is None else _late(tick) for tick in with_bars()]
    assert [candle["total_volume"] for candle in candles(frame(spark, late), live=True)] == [80, 30]
    assert [candle["total_volume"] for candle in candles(frame(spark, late), live=False)] == [92, 18]


def _late(tick: Tick) -> Tick:
    from dataclasses import replace

    assert tick.bar is not None
    return replace(tick, bar=tick.bar._replace(late=True, open_vtt=None))


def test_candle_when_ticks_are_repeated_or_shuffled_then_it_is_the_same(spark: SparkSession) -> None:
    ticks = with_bars()
    expected = candles(frame(spark, ticks))
    shuffled = ticks * 2
    random.Random(7).shuffle(shuffled)
    assert candles(frame(spark, shuffled)) == expected


def test_heartbeats_when_alone_then_no_candle_comes_of_them(spark: SparkSession) -> None:
    assert candles(frame(spark, [heartbeat_tick(OPEN + 5_000, OPEN + 5_000), depth_tick(20)])) == []


def test_trade_when_outside_the_session_then_it_is_in_no_candle(spark: SparkSession) -> None:
    after = trade_tick(375 * 60 + 600, 100.0, 70, 1_200, since=375 * 60 - 30, session_phase="post_close", auction=True)
    assert candles(frame(spark, [after])) == []


def test_gap_when_volume_spans_an_outage_then_it_is_unclassified(spark: SparkSession) -> None:
    (candle,) = candles(frame(spark, [trade_tick(300, 100.0, 500, 2_000, since=290, gap=True)]))
    assert (candle["unclassified_volume"], candle["buy_volume"], candle["total_volume"], candle["gap"]) == (500, 0, 500, True)


def test_footprint_when_summed_then_it_is_the_candle(spark: SparkSession) -> None:
    levels = footprint(frame(spark, with_bars()))
    assert [(level["price"], level["buy_volume"], level["sell_volume"]) for level in levels] == [
        (10_000, 50, 0),
        (10_010, 12, 0),
        (10_020, 0, 30),
        (9_990, 0, 10),
        (10_010, 8, 0),
    ]


@pytest.mark.parametrize("name", ["2025-12-15_open_3eq", "2025-12-15_close_2fo"])
def test_recording_when_replayed_then_candles_are_the_exchanges_and_volumes_are_exact(
    spark: SparkSession, shared: Path, name: str
) -> None:
    path = shared / "data" / "upstox" / f"{name}.jsonl.gz"
    ticks = [tick for tick, _ in replay(path)]
    assert len(ticks) == sum(1 for _ in packets(path))
    found = {(row["instrument"], ms_from_iso(row["window_start"])): row for row in candles(frame(spark, ticks))}
    assert all(c["buy_volume"] + c["sell_volume"] + c["unclassified_volume"] == c["total_volume"] for c in found.values())
    volumes = minute_volumes(path)
    assert {place: c["tick_volume"] for place, c in found.items() if c["tick_volume"]} == volumes
    sides = lee_ready_minutes(path)
    assert {p: (c["tick_buy_volume"], c["tick_sell_volume"]) for p, c in found.items() if c["tick_volume"]} == sides
    bars = exchange_bars(path.with_name(f"{name}.i1.csv"))
    both = [place for place in found if place in bars]
    exact = [
        place for place in both if tuple(found[place][n] for n in ("open", "high", "low", "close", "total_volume")) == bars[place]
    ]
    assert len(both) >= 60
    assert len(exact) / len(both) >= 0.995


@pytest.mark.parametrize(("seed", "backwards"), [(1, 0.0), (2, 0.0), (3, 0.05)])
def test_candles_when_outages_and_stale_times_come_then_they_are_those_of_plain_python(
    spark: SparkSession, seed: int, backwards: float
) -> None:
    rng = random.Random(seed)
    begins = [SESSION.start_ms + rng.randrange(4, 18) * MINUTE_MS + rng.randrange(MINUTE_MS) for _ in range(2)]
    outages = [(begin, begin + rng.choice([20, 70, 130, 300]) * 1000) for begin in begins]
    ticks = seen_through(market(seed, backwards=backwards).updates, outages)
    for live in (True, False):
        expected = minute_twin.candles(ticks, live=live)
        names = minute_twin.Candle._fields
        found = {
            ms_from_iso(row["window_start"]): minute_twin.Candle(*(row[name] for name in names))
            for row in candles(frame(spark, ticks), live=live)
        }
        assert found == expected


@pytest.mark.parametrize("window_minutes", [5, 75, 125])
def test_roll_up_when_compared_with_plain_python_then_it_is_equal(spark: SparkSession, window_minutes: int) -> None:
    rng, vtt, second, ticks = random.Random(3), 1_000, 5.0, []
    while second < 375 * 60 - 40:
        before, second = second, second + rng.uniform(20, 90)
        volume = rng.randrange(1, 90)
        vtt += volume
        price = 100 + rng.randrange(-20, 20) / 10
        ticks.append(trade_tick(second, price, volume, vtt, since=before, side=rng.choice(["buy", "sell"])))
    frames = frame(spark, ticks)
    minutes = [Candle.from_record(row) for row in candles(frames)]
    expected = roll_up(minutes, window_minutes, OPEN, CLOSE)
    found = [Candle.from_record(row) for row in candles(frames, window_minutes=window_minutes)]
    assert [_rounded(c) for c in found] == [_rounded(c) for c in expected]
    assert (found[0].start_ms, found[-1].end_ms, found[0].instrument) == (OPEN, CLOSE, KEY)


def _rounded(candle: Candle) -> Candle:
    from dataclasses import replace

    return replace(candle, vwap=round(candle.vwap or 0.0, 9), delta_band=None, confidence=None)
