"""What a stored day is judged by."""

from __future__ import annotations

import pyarrow as pa
import pytest

from orderflow.lake.layout import CANDLES, FOOTPRINT, TICKS, arrow_schema
from orderflow.lake.verification import (
    CANDLE_COLUMNS,
    FOOTPRINT_COLUMNS,
    TICK_COLUMNS,
    candle_faults,
    footprint_faults,
    instrument_days,
)

TCS = "NSE_EQ|INE467B01029"
OPEN_MS = 1_765_770_300_000


def ticks(*rows: dict[str, object]) -> pa.Table:
    return pa.Table.from_pylist(list(rows), schema=arrow_schema(TICKS.fields)).select(TICK_COLUMNS)


def tick(sequence: int, vtt: int, traded_volume: int | None = None, **more: object) -> dict[str, object]:
    times = {f"{kind}_time_ms": OPEN_MS + 1000 * sequence for kind in ("feed", "received", "event")}
    times |= {"session_phase": "continuous"}
    return {"instrument_key": TCS, "sequence": sequence, "vtt": vtt, "traded_volume": traded_volume} | times | more


def candles(*rows: dict[str, object]) -> pa.Table:
    complete = {
        "instrument": TCS, "window_start": "2025-12-15T09:15:00+05:30", "window_minutes": 1, "open": 10.0, "high": 11.0,
        "low": 9.0, "close": 10.5, "buy_volume": 6, "sell_volume": 3, "unclassified_volume": 1, "total_volume": 10, "delta": 3,
        "tick_volume": 10, "exchange_bar": False, "source": "stream",
    }  # fmt: skip
    return pa.Table.from_pylist([complete | row for row in rows], schema=arrow_schema(CANDLES.fields)).select(CANDLE_COLUMNS)


def levels(*rows: dict[str, object]) -> pa.Table:
    complete = {
        "instrument": TCS, "window_start": "2025-12-15T09:15:00+05:30", "price": 1_000, "buy_volume": 6, "sell_volume": 3,
        "unclassified_volume": 1,
    }  # fmt: skip
    return pa.Table.from_pylist([complete | row for row in rows], schema=arrow_schema(FOOTPRINT.fields)).select(FOOTPRINT_COLUMNS)


def test_day_when_every_update_is_there_once_then_it_is_sound_and_counts_gaps() -> None:
    stored = ticks(
        tick(1, 500),
        tick(2, 507, 7),
        tick(3, 530, 23, gap=True),
        tick(4, 530),
        tick(5, 540, 10, session_phase="post_close"),
    )

    (day,) = instrument_days(stored, candles({"tick_volume": 30}))

    assert day.sound
    assert (day.rows, day.first_ms, day.last_ms) == (5, OPEN_MS + 1000, OPEN_MS + 5000)
    assert (day.traded_volume, day.continuous_volume, day.gaps, day.gap_volume) == (40, 30, 1, 23)


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([], (2, 0, 0)),
        ([{"tick_volume": 7}], (1, 0, 0)),
        ([{"tick_volume": 5}, {"tick_volume": 10, "window_start": "2025-12-15T09:16:00+05:30"}], (0, 2, 0)),
        ([{"tick_volume": 9}, {"tick_volume": 8, "window_start": "2025-12-15T09:16:00+05:30"}], (0, 2, 2)),
        ([{"tick_volume": 0, "source": "backfill"}, {"tick_volume": 17, "window_minutes": 5}], (1, 7, 0)),
    ],
)
def test_day_when_candles_do_not_hold_what_traded_then_it_is_not_sound(rows, expected) -> None:
    stored = ticks(tick(1, 500), tick(2, 507, 7), tick(61, 517, 10), tick(62, 517))
    stored = stored.set_column(1, "sequence", pa.array([1, 2, 3, 4]))

    (day,) = instrument_days(stored, candles(*rows))

    assert (day.without_candle, day.late_volume, day.surplus_volume) == expected
    assert not day.sound
    assert day.repairable


def test_day_when_its_minutes_are_not_settled_then_their_candles_are_not_missed() -> None:
    (day,) = instrument_days(ticks(tick(1, 500), tick(2, 507, 7)), candles(), settled_ms=OPEN_MS + 59_999)

    assert day.sound


def test_day_when_sequences_begin_again_then_holes_of_each_run_are_counted() -> None:
    first = [tick(number, 500) for number in range(1, 25)]
    second = [tick(number, 500, received_time_ms=OPEN_MS + 100_000 + number, feed_time_ms=7) for number in (1, 2, 9, 10)]

    (day,) = instrument_days(ticks(*first, *second), candles())

    assert (day.missing, day.doubled) == (6, 0)


AUCTION = {"window_start": "2025-12-15T15:32:00+05:30", "session_phase": "closing_auction", "tick_volume": 90}
CLOSING = [("closing_auction", 976, 60), ("closing_auction", 1_021, 30), ("post_close", 1_510, 7), ("closed", 1_570, 3)]


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        (
            [AUCTION, AUCTION | {"window_start": "2025-12-15T15:41:00+05:30", "session_phase": "post_close", "tick_volume": 10}],
            (0, 0, 0),
        ),
        ([AUCTION], (1, 0, 0)),
        ([AUCTION | {"tick_volume": 80}, AUCTION | {"session_phase": "post_close", "tick_volume": 12}], (0, 10, 2)),
    ],
)
def test_day_when_it_traded_after_the_close_then_each_phase_is_in_a_candle_of_its_own(rows, expected) -> None:
    """Seconds are counted from 15:15; the first trade is of 09:15."""
    vtt, stored = 507, [tick(1, 500), tick(2, 507, 7)]
    for number, (phase, second, volume) in enumerate(CLOSING, 3):
        vtt += volume
        stored.append(tick(number, vtt, volume, session_phase=phase, event_time_ms=OPEN_MS + 360 * 60_000 + second * 1_000))
    continuous = {"tick_volume": 7, "session_phase": "continuous"}

    (day,) = instrument_days(ticks(*stored), candles(continuous, *rows))
    (early,) = instrument_days(ticks(*stored), candles(continuous), settled_ms=OPEN_MS + 400 * 60_000)
    (before_phases,) = instrument_days(ticks(*stored), candles({"tick_volume": 7}))

    assert (day.without_candle, day.late_volume, day.surplus_volume) == expected
    assert early.sound
    assert before_phases.sound


def test_footprint_faults_when_levels_add_up_to_their_candles_then_none() -> None:
    exchange = {"window_start": "2025-12-15T09:16:00+05:30", "unclassified_volume": 9, "total_volume": 18, "exchange_bar": True}
    nothing = {"buy_volume": 0, "sell_volume": 0, "delta": 0, "unclassified_volume": 10, "source": "backfill"}
    filled = nothing | {"window_start": "2025-12-15T09:17:00+05:30", "exchange_bar": True}
    two = [levels({"buy_volume": 2, "sell_volume": 0, "unclassified_volume": 0}), levels({"price": 1_005, "buy_volume": 4})]

    footprint = pa.concat_tables([*two, levels({"window_start": "2025-12-15T09:16:00+05:30"})])

    assert footprint_faults(footprint, candles({}, exchange, filled)) == []


def test_footprint_faults_when_levels_are_missing_doubled_or_left_over_then_each_is_named() -> None:
    place = f"{TCS} 2025-12-15T09:15:00+05:30"

    assert footprint_faults(levels(), candles({})) == [f"{place}: footprint [0, 0, 0] is not the candle's [6, 3, 1]"]
    assert footprint_faults(levels(), candles({}), settled_ms=OPEN_MS + 59_999) == []
    assert footprint_faults(levels({}, {}), candles({})) == [
        f"{place}: a footprint level is stored twice",
        f"{place}: footprint [12, 6, 2] is not the candle's [6, 3, 1]",
    ]
    assert footprint_faults(levels({}), candles()) == [f"{place}: footprint without a candle"]
    assert footprint_faults(levels({"buy_volume": 7}, {"price": 1, "buy_volume": -1, "sell_volume": 0, "unclassified_volume": 0}),
                            candles({})) == [f"{place}: a footprint level is negative"]  # fmt: skip


def test_day_when_an_update_is_lost_then_sequence_and_volume_show_it() -> None:
    (day,) = instrument_days(ticks(tick(1, 500), tick(2, 507, 7), tick(4, 540, 10)), candles())

    assert not day.sound
    assert (day.missing, day.doubled, day.unaccounted_volume) == (1, 0, 23)


def test_day_when_an_update_is_stored_twice_then_sequence_and_volume_show_it() -> None:
    (day,) = instrument_days(ticks(tick(1, 500), tick(2, 507, 7), tick(2, 507, 7)), candles())

    assert not day.sound
    assert (day.missing, day.doubled, day.unaccounted_volume) == (0, 1, -7)


def test_day_when_the_exchanges_minutes_are_among_its_ticks_then_they_are_no_updates() -> None:
    updates = [tick(1, 100), tick(2, 110, 10), tick(3, 117, 7)]
    minutes = [tick(0, 0) | {"vtt": None, "event_time_ms": OPEN_MS - 60_000 * back} for back in (3, 2, 1)]
    nothing = candles().slice(0, 0)
    assert instrument_days(ticks(*minutes, *updates), nothing) == instrument_days(ticks(*updates), nothing)
    assert instrument_days(ticks(*minutes), nothing) == []


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
    assert candle_faults(candles({"buy_volume": -3, "total_volume": 1, "delta": -6})) == [f"{place}: a volume is negative"]
    assert candle_faults(candles({"high": 1e300})) == [f"{place}: impossible prices: [10.0, 1e+300, 9.0, 10.5]"]
    assert candle_faults(candles({"low": -9.0})) == [f"{place}: impossible prices: [10.0, 11.0, -9.0, 10.5]"]
    assert candle_faults(candles({"instrument": "MCX_FO|466583", "low": -9.0})) == []
    assert candle_faults(candles({}), "2025-12-16") == [f"{place}: stored under 2025-12-16"]
