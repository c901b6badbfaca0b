"""What a stored day is judged by."""

from __future__ import annotations

import pyarrow as pa

from orderflow.lake.layout import CANDLES, TICKS, arrow_schema
from orderflow.lake.verification import CANDLE_COLUMNS, TICK_COLUMNS, candle_faults, instrument_days

TCS = "NSE_EQ|INE467B01029"


def ticks(*rows: dict[str, object]) -> pa.Table:
    return pa.Table.from_pylist(list(rows), schema=arrow_schema(TICKS.fields)).select(TICK_COLUMNS)


def tick(sequence: int, vtt: int, traded_volume: int | None = None, **more: object) -> dict[str, object]:
    times = {"feed_time_ms": 1000 * sequence, "event_time_ms": 1000 * sequence, "session_phase": "continuous"}
    return {"instrument_key": TCS, "sequence": sequence, "vtt": vtt, "traded_volume": traded_volume} | times | more


def candles(*rows: dict[str, object]) -> pa.Table:
    complete = {
        "instrument": TCS, "window_start": "2025-12-15T09:15:00+05:30", "window_minutes": 1, "open": 10.0, "high": 11.0,
        "low": 9.0, "close": 10.5, "buy_volume": 6, "sell_volume": 3, "unclassified_volume": 1, "total_volume": 10, "delta": 3,
        "tick_volume": 10,
    }  # fmt: skip
    return pa.Table.from_pylist([complete | row for row in rows], schema=arrow_schema(CANDLES.fields)).select(CANDLE_COLUMNS)


def test_day_when_every_update_is_there_once_then_it_is_sound_and_counts_gaps_and_late_volume() -> None:
    stored = ticks(
        tick(1, 500),
        tick(2, 507, 7),
        tick(3, 530, 23, gap=True),
        tick(4, 530),
        tick(5, 540, 10, session_phase="post_close"),
    )

    (day,) = instrument_days(stored, candles({"tick_volume": 25}))

    assert day.sound
    assert (day.rows, day.first_ms, day.last_ms) == (5, 1000, 5000)
    assert (day.traded_volume, day.continuous_volume, day.gaps, day.gap_volume) == (40, 30, 1, 23)
    assert (day.candle_volume, day.late_volume) == (25, 5)


def test_day_when_an_update_is_lost_then_sequence_and_volume_show_it() -> None:
    (day,) = instrument_days(ticks(tick(1, 500), tick(2, 507, 7), tick(4, 540, 10)), candles())

    assert not day.sound
    assert (day.missing, day.doubled, day.unaccounted_volume) == (1, 0, 23)


def test_day_when_an_update_is_stored_twice_then_sequence_and_volume_show_it() -> None:
    (day,) = instrument_days(ticks(tick(1, 500), tick(2, 507, 7), tick(2, 507, 7)), candles())

    assert not day.sound
    assert (day.missing, day.doubled, day.unaccounted_volume) == (0, 1, -7)


def test_day_when_nothing_is_stored_then_there_is_no_instrument() -> None:
    assert instrument_days(ticks(), candles()) == []


def test_candle_faults_when_candles_agree_with_themselves_then_none() -> None:
    assert candle_faults(candles({}, {"window_minutes": 5}, {"window_start": "2025-12-15T09:16:00+05:30", "open": None})) == []


def test_candle_faults_when_candle_repeats_or_contradicts_itself_then_each_is_named() -> None:
    place = f"{TCS} 2025-12-15T09:15:00+05:30 (1 min)"

    assert candle_faults(candles({}, {})) == [f"{place}: stored twice"]
    assert candle_faults(candles({"total_volume": 11})) == [f"{place}: 6 bought + 3 sold + 1 unclassified is not 11"]
    assert candle_faults(candles({"delta": 4})) == [f"{place}: delta 4 is not 6 - 3"]
    assert candle_faults(candles({"close": 11.5})) == [f"{place}: open 10.0 or close 11.5 is outside 9.0…11.0"]
