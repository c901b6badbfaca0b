"""One instrument's minutes as stories: ticks written by hand, and the candles and footprint that follow from them."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import permutations

import pytest
from msgspec.structs import replace
from ticks import OPEN, quiet_tick, trade_tick

from orderflow.market.candle import Candle
from orderflow.market.engine.minute import FinalMinute
from orderflow.market.engine.partition import EngineSettings, Output, PartitionEngine
from orderflow.market.tick import Bar, Tick, heartbeat_tick
from orderflow.market.times import MINUTE_MS

LEE_READY = EngineSettings(rule="lee_ready")
BATCH = EngineSettings(rule="lee_ready", watermark_ms=None)


def fold(ticks: Iterable[Tick], settings: EngineSettings = LEE_READY) -> list[Output]:
    """Fold ticks and finish, as at the end of a recording."""
    engine = PartitionEngine(settings)
    return [output for tick in ticks for output in engine.take(tick)] + engine.finish()


def candles(ticks: Iterable[Tick], settings: EngineSettings = LEE_READY) -> list[Candle]:
    finals = [output for output in fold(ticks, settings) if isinstance(output, FinalMinute)]
    return sorted((final.candle for final in finals), key=lambda candle: candle.start_ms)


def levels(ticks: Iterable[Tick], settings: EngineSettings = LEE_READY) -> dict[int, list[tuple[int, ...]]]:
    """Return (paise, buy, sell, unclassified) of each level by the number of its minute since the open."""
    return {
        (output.candle.start_ms - OPEN) // MINUTE_MS: [tuple(level[:4]) for level in output.levels]
        for output in fold(ticks, settings)
        if isinstance(output, FinalMinute)
    }


def story() -> list[Tick]:
    """Two minutes without the exchange's bar; the third update spans the edge between them."""
    return [
        trade_tick(10, 100.0, 50, 1_050, since=5, side="buy"),
        trade_tick(18, 100.2, 30, 1_080, since=10, side="sell"),
        trade_tick(62, 100.1, 20, 1_100, since=55, side="buy"),
        trade_tick(70, 99.9, 10, 1_110, since=62, side="sell"),
    ]


def story_with_bars() -> list[Tick]:
    """A minute later, and its bar says that 92 traded, up to vtt 1,092: 12 of the 20 that span its end belong to it.

    It certainly begins at vtt 1,000: there was a trade before, and its first update is of one trade alone.
    """
    bar = Bar(OPEN + MINUTE_MS, 99.8, 100.4, 99.7, 100.3, 92)
    next_bar = Bar(OPEN + 2 * MINUTE_MS, 100.3, 100.3, 99.9, 99.9, 18)
    return [
        trade_tick(50, 100.0, 5, 1_000, since=45, ltq=5),
        trade_tick(61, 100.0, 50, 1_050, since=58, ltq=50),
        trade_tick(110, 100.2, 30, 1_080, since=104, side="sell"),
        trade_tick(122, 100.1, 20, 1_100, since=115),
        trade_tick(130, 99.9, 10, 1_110, since=122, side="sell", bar=bar),
        quiet_tick(182, 1_110, last_trade=130, bar=next_bar),
    ]


def test_candle_when_built_from_ticks_then_every_measure_is_as_counted_by_hand() -> None:
    first, second = candles(story())
    assert (first.to_record()["window_start"], first.to_record()["window_end"]) == (
        "2025-12-15T09:15:00+05:30",
        "2025-12-15T09:16:00+05:30",
    )
    assert (first.open, first.high, first.low, first.close) == (100.0, 100.2, 100.0, 100.2)
    assert (first.buy_volume, first.sell_volume, first.total_volume, first.delta) == (50, 30, 80, 20)
    assert (first.min_delta, first.max_delta, first.tick_count) == (0, 50, 2)
    assert first.vwap == pytest.approx((50 * 100.0 + 30 * 100.2) / 80)
    assert (first.imbalance, first.exchange_bar, first.gap, first.final_by) == (0.25, False, False, "clock")
    assert (first.tbq, first.tsq, first.window_minutes, first.source) == (1_018, 2_000, 1, "stream")
    assert (second.tick_volume, second.total_volume, second.min_delta, second.max_delta) == (30, 30, 0, 20)


def test_candle_when_the_exchange_gives_its_bar_then_a_spanning_update_is_cut_at_the_minutes_edge() -> None:
    _, first, second = candles(story_with_bars())
    assert (first.open, first.high, first.low, first.close, first.total_volume) == (99.8, 100.4, 99.7, 100.3, 92)
    assert (first.buy_volume, first.sell_volume, first.unclassified_volume, first.tick_volume) == (62, 30, 0, 80)
    assert (second.buy_volume, second.sell_volume, second.total_volume, second.tick_volume) == (8, 10, 18, 30)
    assert [(each.exchange_bar, each.final_by) for each in (first, second)] == [(True, "complete"), (True, "complete")]
    assert first.total_volume + second.total_volume == 1_110 - 1_000


def test_candle_when_the_exchange_saw_more_than_we_did_then_the_rest_is_unclassified_and_marked() -> None:
    _, _, third, *rest = story_with_bars()
    rest[0] = replace(rest[0], ltq=20)  # one trade alone: the minute ends at vtt 1,080
    first, second = candles([third, *rest])
    assert (first.total_volume, first.unclassified_volume, first.gap, first.exchange_bar) == (92, 62, True, True)
    assert (first.buy_volume, first.sell_volume, first.final_by) == (0, 30, "complete")
    assert (second.total_volume, second.gap, second.exchange_bar) == (30, False, False)


def test_candle_when_bars_are_switched_off_then_it_is_built_from_ticks() -> None:
    _, first, second = candles(story_with_bars(), EngineSettings(rule="lee_ready", exchange_bars=False))
    assert (first.total_volume, second.total_volume, first.exchange_bar, first.final_by) == (80, 30, False, "clock")


def test_candle_when_ticks_are_repeated_then_it_is_the_same() -> None:
    ticks = story_with_bars()
    assert fold([*ticks[:3], *ticks[1:4], *ticks, ticks[4]]) == fold(ticks)


def test_volume_when_the_first_ticks_come_last_then_none_is_lost() -> None:
    for order in permutations(story()):
        assert sum(candle.total_volume for candle in candles(order)) == 110


def test_heartbeats_when_alone_then_no_candle_comes_of_them() -> None:
    assert fold([heartbeat_tick(OPEN + 5_000, OPEN + 5_000), quiet_tick(20, 1_110, last_trade=10)]) == []


def test_trade_when_after_the_session_then_it_is_in_a_candle_of_its_phase() -> None:
    after = trade_tick(375 * 60 + 600, 100.0, 70, 1_200, since=375 * 60 - 30, session_phase="post_close", auction=True)
    (candle,) = candles([after])
    assert (candle.session_phase, candle.start_ms, candle.total_volume) == ("post_close", OPEN + 385 * MINUTE_MS, 70)
    assert (candle.unclassified_volume, candle.auction_volume) == (70, 0)


def test_gap_when_volume_spans_an_outage_then_it_is_unclassified() -> None:
    (candle,) = candles([trade_tick(300, 100.0, 500, 2_000, since=290, gap=True)])
    assert (candle.unclassified_volume, candle.buy_volume, candle.total_volume, candle.gap) == (500, 0, 500, True)


def test_footprint_when_summed_then_it_is_the_candle() -> None:
    assert levels(story_with_bars()) == {
        0: [(10_000, 5, 0, 0)],
        1: [(10_000, 50, 0, 0), (10_010, 12, 0, 0), (10_020, 0, 30, 0)],
        2: [(9_990, 0, 10, 0), (10_010, 8, 0, 0)],
    }


def test_trade_when_its_time_is_of_next_year_then_it_moves_no_minute() -> None:
    year = 365 * 86_400_000
    ticks = story_with_bars()
    absurd = replace(quiet_tick(112, 1_080, last_trade=110), ltt_ms=OPEN + year, tbq=None, sequence=111_000)
    assert candles([*ticks[:3], absurd, *ticks[3:]]) == candles(ticks)


def test_minutes_when_the_first_tick_names_no_session_then_they_begin_with_the_next_one() -> None:
    nameless = replace(quiet_tick(-30, 1_000, last_trade=-40), session_start_ms=None, session_end_ms=None, feed_time_ms=0)
    assert candles([nameless, *story()]) == candles(story())
