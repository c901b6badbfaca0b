"""When a minute is final, what comes late, and whose clock counts: as stories of ticks written by hand."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from ticks import CLOSE, OPEN, bar_of, quiet_tick, trade_tick

from orderflow.market.candle import Candle
from orderflow.market.engine.minute import FinalMinute
from orderflow.market.engine.partition import EngineSettings, Output, PartitionEngine
from orderflow.market.tick import Bar, Tick, heartbeat_tick
from orderflow.market.times import MINUTE_MS

SETTINGS = EngineSettings(rule="lee_ready")
Outcome = tuple[int, str | None, int]


def outcomes(outputs: Iterable[Output]) -> list[Outcome]:
    """Return (minute since the open, how it became final, volume) of minutes, and (minute, "late", volume) of late volume."""
    finals: list[Outcome] = []
    for output in outputs:
        if isinstance(output, FinalMinute):
            candle = output.candle
            finals.append(((candle.start_ms - OPEN) // MINUTE_MS, candle.final_by, candle.total_volume))
        elif not isinstance(output, Candle):
            assert output.from_ms is not None
            assert output.volume is not None
            finals.append(((output.from_ms - OPEN) // MINUTE_MS, output.event, output.volume))
    return finals


def each(ticks: Iterable[Tick], settings: EngineSettings = SETTINGS) -> list[list[Outcome]]:
    """Return what each tick made final, and at last what the end of the recording did."""
    engine = PartitionEngine(settings)
    by_tick = [outcomes(engine.take(tick)) for tick in ticks]
    return [*by_tick, outcomes(engine.finish())]


def beat(second: float, streamer: str | None = None) -> Tick:
    at_ms = OPEN + round(second * 1000)
    return heartbeat_tick(at_ms, at_ms, streamer)


def begun() -> list[Tick]:
    """The first minute trades once; the second one's first update is of one trade, so it begins at vtt 1,000."""
    return [
        trade_tick(50, 100.0, 5, 1_000, since=45, ltq=5),
        trade_tick(65, 100.0, 50, 1_050, since=62, ltq=50),
    ]


def test_minute_when_both_edges_are_exact_and_its_bar_comes_then_it_is_complete_at_once() -> None:
    ticks = [*begun(), quiet_tick(121, 1_050, last_trade=65, bar=bar_of(1, 50))]
    assert each(ticks)[2] == [(1, "complete", 50)]


def test_minute_when_its_bar_never_comes_then_a_later_bar_makes_it_complete() -> None:
    ticks = [
        *begun(),
        trade_tick(125, 100.0, 7, 1_057, since=115, ltq=7),
        quiet_tick(150, 1_057, last_trade=125, bar=bar_of(0, 5)),
        quiet_tick(181, 1_057, last_trade=125, bar=bar_of(2, 7)),
    ]
    assert each(ticks)[:5] == [[], [], [], [(0, "complete", 5)], [(1, "complete", 50), (2, "complete", 7)]]


def test_minute_when_an_edge_is_uncertain_then_its_bar_places_it_and_says_so() -> None:
    ticks = [*begun(), trade_tick(125, 100.1, 20, 1_070, since=115), quiet_tick(130, 1_070, last_trade=125, bar=bar_of(1, 60))]
    by_tick = each(ticks)
    assert by_tick[3] == [(1, "complete", 60)]  # its beginning is exact and its bar tells where it ends
    unsure = [trade_tick(65, 100.0, 50, 1_050, since=62), *ticks[2:]]
    assert each(unsure)[2] == [(1, "bar", 60)]


def test_minute_when_no_bar_comes_then_it_is_final_by_the_clock_after_the_watermark() -> None:
    by_tick = each([*begun(), beat(179), beat(180), beat(239), beat(240)])
    assert by_tick[2:] == [[], [(0, "clock", 5)], [], [(1, "clock", 50)], []]


def test_minute_when_bars_are_switched_off_then_only_the_clock_ends_it() -> None:
    ticks = [*begun(), quiet_tick(121, 1_050, last_trade=65, bar=bar_of(1, 50)), beat(240)]
    settings = EngineSettings(rule="lee_ready", exchange_bars=False)
    assert each(ticks, settings)[2:4] == [[], [(0, "clock", 5), (1, "clock", 50)]]


def test_minute_when_the_recording_ends_then_everything_that_began_is_final() -> None:
    assert each(begun()) == [[], [], [(0, "clock", 5), (1, "clock", 50)]]


def test_minutes_when_a_batch_has_no_watermark_then_time_ends_none() -> None:
    settings = EngineSettings(rule="lee_ready", watermark_ms=None)
    assert each([*begun(), beat(100_000)], settings) == [[], [], [], [(0, "clock", 5), (1, "clock", 50)]]


def index_tick(second: float, price: float, bar: Bar | None = None) -> Tick:
    """A tick of an index: it has a price and bars without volume."""
    at_ms = OPEN + round(second * 1000)
    return Tick(
        schema_version=2,
        instrument_key="NSE_INDEX|Nifty 50",
        kind="update",
        sequence=round(second),
        feed_time_ms=at_ms,
        received_time_ms=at_ms + 50,
        event_time_ms=at_ms,
        trading_date="2025-12-15",
        ltp=price,
        ltt_ms=at_ms,
        bar=bar,
        session_phase="continuous",
        session_start_ms=OPEN,
        session_end_ms=CLOSE,
    )


def test_index_when_its_bar_comes_then_the_minute_is_final_by_the_bar() -> None:
    ticks = [index_tick(10, 26_000.0), index_tick(40, 26_010.0), index_tick(61, 26_005.0, bar=bar_of(0, None))]
    engine = PartitionEngine(SETTINGS)
    outputs = [output for tick in ticks for output in engine.take(tick)]
    (final,) = outputs
    assert isinstance(final, FinalMinute)
    candle = final.candle
    assert (candle.final_by, candle.exchange_bar, candle.total_volume, candle.high, candle.tick_high) == (
        "bar", True, 0, 101.0, 26_010.0
    )  # fmt: skip
    assert (candle.vwap, candle.confidence, final.levels) == (None, "none", ())


def test_silent_stretch_when_bars_of_its_minutes_come_then_each_has_its_own_and_nothing_is_lost() -> None:
    """From 1:05 to 3:20 no update comes; 90 trade meanwhile. Only the newest bar is in the feed, so those between are missed."""
    ticks = [
        *begun(),
        trade_tick(200, 100.2, 90, 1_140, since=65, ltq=2),
        quiet_tick(241, 1_140, last_trade=200, bar=bar_of(3, 30)),
        beat(600),
    ]
    engine = PartitionEngine(SETTINGS)
    candles = [o.candle for tick in ticks for o in engine.take(tick) if isinstance(o, FinalMinute)]
    by_tick = {(c.start_ms - OPEN) // MINUTE_MS: (c.total_volume, c.unclassified_volume, c.gap, c.exchange_bar) for c in candles}
    assert by_tick[3] == (30, 0, True, True)
    assert sum(total for total, *_ in by_tick.values()) == 5 + 50 + 90
    assert {number: gap for number, (_, _, gap, _) in by_tick.items()} == {0: False, 1: False, 2: True, 3: True}


@pytest.mark.parametrize(("ltq", "since", "gap"), [(8, 75, False), (7, 75, True), (7, 80, False)])
def test_update_when_ten_seconds_are_silent_then_more_than_a_single_trade_marks_a_gap(ltq: int, since: float, gap: bool) -> None:
    engine = PartitionEngine(SETTINGS)
    engine.take(trade_tick(90, 100.0, 8, 1_008, since=since, ltq=ltq))
    (final,) = engine.finish()
    assert isinstance(final, FinalMinute)
    assert (final.candle.total_volume, final.candle.gap) == (8, gap)


def test_volume_when_it_comes_for_a_minute_that_is_final_then_it_is_late() -> None:
    ticks = [
        *begun(),
        beat(240),
        trade_tick(115, 100.0, 9, 1_059, since=65, feed_time_ms=OPEN + 241_000),
        trade_tick(245, 100.0, 3, 1_062, since=243, ltq=3),
    ]
    by_tick = each(ticks)
    assert by_tick[2] == [(0, "clock", 5), (1, "clock", 50)]
    assert [line for lines in by_tick[3:] for line in lines] == [(1, "late", 9), (4, "clock", 3)]


def test_late_volume_when_it_is_reported_then_the_event_names_minute_cause_and_cure() -> None:
    engine = PartitionEngine(SETTINGS)
    for tick in [*begun(), beat(240), trade_tick(115, 100.0, 9, 1_059, since=65, feed_time_ms=OPEN + 241_000)]:
        engine.take(tick)
    (event,) = [o for o in engine.take(trade_tick(245, 100.0, 3, 1_062, since=243, ltq=3)) if not isinstance(o, FinalMinute)]
    assert not isinstance(event, Candle)
    assert (event.event, event.instrument_key, event.volume) == ("late", "NSE_EQ|INE467B01029", 9)
    assert (event.from_ms, event.to_ms, event.at_ms) == (OPEN + 60_000, OPEN + 120_000, OPEN + 245_300)
    assert event.cause == "came after the minute was final; reprocess adds it to its candle"


def test_volume_when_it_came_late_then_a_batch_has_it_in_its_minute() -> None:
    ticks = [*begun(), trade_tick(115, 100.0, 9, 1_059, since=65, feed_time_ms=OPEN + 241_000)]
    settings = EngineSettings(rule="lee_ready", watermark_ms=None)
    assert each(ticks, settings)[-1] == [(0, "clock", 5), (1, "clock", 59)]


def closing(second: float, volume: int, vtt: int, since: float) -> Tick:
    return trade_tick(second, 100.2, volume, vtt, since=since, session_phase="closing_auction", auction=True)


def test_closing_auction_when_twenty_minutes_have_passed_then_the_clock_makes_it_final_and_the_rest_is_late() -> None:
    """Continuous trading ends after 375 minutes; the auction trades 16 minutes later, a last part of it comes far too late."""
    close = 375 * 60
    ticks = [
        trade_tick(close - 70, 100.0, 5, 1_000, since=close - 75, ltq=5),
        beat(close + 120),
        closing(close + 980, 900, 1_900, close - 70),
        closing(close + 981, 100, 2_000, close + 980),
        beat(close + 20 * 60 + 119),
        beat(close + 20 * 60 + 120),
        trade_tick(
            close + 990, 100.2, 30, 2_030, since=close + 981, session_phase="closing_auction", feed_time_ms=CLOSE + 1_400_000
        ),
        trade_tick(close + 40 * 60, 100.2, 7, 2_037, since=close + 990, session_phase="post_close", ltq=7),
        beat(close + 62 * 60),
    ]
    by_tick = each(ticks)
    assert by_tick[:4] == [[], [(373, "clock", 5)], [], []]
    assert by_tick[4:6] == [[], [(391, "clock", 1_000)]]
    assert [line for lines in by_tick[6:] for line in lines] == [(391, "late", 30), (415, "clock", 7)]
