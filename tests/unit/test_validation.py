"""Which ticks may be used: a sound one, and for each reason a row that has nothing else wrong."""

from __future__ import annotations

import random
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace
from poison import message, sound
from ticks import KEY, OPEN, bar_of, trade_tick

from orderflow.market.tick import BookLevel, Tick, decode_tick, encode_tick, heartbeat_tick, tick_from_record
from orderflow.market.validation import decode_sound, tick_problem

SENT_MS = OPEN + 10_400
YEAR_MS = 365 * 86_400_000


def tick(**changes: Any) -> Tick:
    """A sound tick ten seconds after the open, changed."""
    return replace(trade_tick(10, 100.0, 50, 1_050, since=5, bid=(BookLevel(99.9, 10),), ask=(BookLevel(100.0, 5),)), **changes)


def problem(**changes: Any) -> str | None:
    return tick_problem(tick(**changes), KEY, SENT_MS)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"schema_version": 2},
        {"kind": "snapshot"},
        {"trading_date": "2025-12-16"},
        {"received_time_ms": SENT_MS + 5 * 60_000},
        {"feed_time_ms": OPEN + 10_350 + 60_000},
        {"event_time_ms": OPEN + 10_350 + 60_000},
        {"traded_volume": None, "vtt": None},
        {"traded_volume": 1_050},
        {"vtt": 10**12},
        {"bid": (), "ask": ()},
        {"bid": (BookLevel(None, 10),)},
        {"bid": (BookLevel(99.9, 10), BookLevel(-1.0, -5))},
        {"tick_direction": None},
        {"oi": -1.0},
        {"bar": bar_of(-1, None)},
        {"bar": bar_of(0, 0)},
        {"indicative_price": 100.05, "indicative_quantity": 5_000, "indicative_imbalance": -1_200},
        {"indicative_imbalance": 10**12},
        {"indicative_imbalance": -(10**12)},
    ],
)
def test_tick_when_it_is_sound_then_it_has_no_problem(changes: dict[str, Any]) -> None:
    assert problem(**changes) is None


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"schema_version": 0}, "unknown_schema_version"),
        ({"schema_version": 3}, "unknown_schema_version"),
        ({"kind": "trade"}, "unknown_kind"),
        ({"instrument_key": "NSE_EQ|other"}, "wrong_key"),
        ({"received_time_ms": -1}, "absurd_time"),
        ({"feed_time_ms": 4_102_444_800_001}, "absurd_time"),
        ({"ltt_ms": -1}, "absurd_time"),
        ({"prev_feed_time_ms": 10**18}, "absurd_time"),
        ({"prev_ltt_ms": 10**18}, "absurd_time"),
        ({"feed_time_ms": OPEN + 10_350 + 60_001}, "event_time_in_future"),
        ({"event_time_ms": OPEN + 10_350 + 60_001}, "event_time_in_future"),
        ({"received_time_ms": SENT_MS + 5 * 60_000 + 1}, "receive_time_in_future"),
        ({"event_time_ms": 0, "trading_date": "1970-01-01"}, "event_time_absurd"),
        ({"trading_date": "2025-12-14"}, "bad_trading_date"),
        ({"trading_date": "2025-12-17"}, "bad_trading_date"),
        ({"sequence": -1}, "absurd_volume"),
        ({"session_start_ms": OPEN - YEAR_MS}, "absurd_session"),
        ({"session_end_ms": OPEN + YEAR_MS}, "absurd_session"),
        ({"vtt": 10**12 + 1}, "absurd_volume"),
        ({"traded_volume": -1}, "absurd_volume"),
        ({"ltq": -1}, "absurd_volume"),
        ({"tbq": -1}, "absurd_volume"),
        ({"tsq": 10**13}, "absurd_volume"),
        ({"ltp": 0.0}, "absurd_price"),
        ({"ltp": float("nan")}, "absurd_price"),
        ({"close_price": 1e9}, "absurd_price"),
        ({"atp": float("inf")}, "absurd_price"),
        ({"prev_bid": -0.05}, "absurd_price"),
        ({"prev_ask": 0.0}, "absurd_price"),
        ({"bid": (BookLevel(99.9, -1),)}, "absurd_volume"),
        ({"ask": (BookLevel(0.0, 1),)}, "absurd_price"),
        ({"oi": 1e15}, "absurd_number"),
        ({"iv": float("nan")}, "absurd_number"),
        ({"tick_direction": 2}, "absurd_direction"),
        ({"vtt": None}, "volume_without_vtt"),
        ({"traded_volume": 1_051}, "volume_without_vtt"),
        ({"bar": replace(bar_of(0, 5), start_ms=OPEN + 1)}, "bad_bar"),
        ({"bar": bar_of(0, 5, low=100.5)}, "bad_bar"),
        ({"bar": bar_of(0, 5, high=99.5)}, "bad_bar"),
        ({"bar": replace(bar_of(0, 5), close=102.0)}, "bad_bar"),
        ({"bar": bar_of(0, -5)}, "absurd_volume"),
        ({"bar": bar_of(2, 5)}, "bar_in_future"),
        ({"indicative_price": 0.0}, "absurd_price"),
        ({"indicative_price": -1.0}, "absurd_price"),
        ({"indicative_quantity": -1}, "absurd_volume"),
        ({"indicative_quantity": 10**12 + 1}, "absurd_volume"),
        ({"indicative_imbalance": 10**12 + 1}, "absurd_volume"),
        ({"indicative_imbalance": -(10**12) - 1}, "absurd_volume"),
    ],
)
def test_tick_when_one_thing_is_wrong_then_it_is_the_reason(changes: dict[str, Any], reason: str) -> None:
    assert problem(**changes) == reason


@pytest.mark.parametrize("key", [None, "", "*", "NSE_EQ|other"])
def test_key_when_it_is_not_the_instruments_then_the_tick_is_refused(key: str | None) -> None:
    assert tick_problem(tick(), key, SENT_MS) == "wrong_key"


@pytest.mark.parametrize("key", [None, "*", "p0"])
def test_heartbeat_when_its_key_is_any_then_it_is_sound(key: str | None) -> None:
    assert tick_problem(heartbeat_tick(OPEN, OPEN + 5), key, OPEN + 10) is None


def test_heartbeat_when_it_is_of_the_future_then_it_is_refused() -> None:
    assert tick_problem(heartbeat_tick(OPEN + YEAR_MS, OPEN), None, OPEN) == "event_time_in_future"


def test_ticks_when_they_are_not_mutated_then_all_are_sound() -> None:
    rng = random.Random(5)
    for number in range(500):
        decoded = tick_from_record(sound(rng, number))
        key = decoded.instrument_key
        assert tick_problem(decoded, key, decoded.received_time_ms + 20) is None
        assert msgspec.json.decode(msgspec.json.encode(decoded), type=Tick) == decoded


def test_messages_when_mutated_then_the_narrow_decoder_takes_exactly_those_without_a_problem() -> None:
    rng = random.Random(11)
    taken = 0
    for number in range(20_000):
        key, value, sent_ms = message(rng, number)
        if value is None:
            continue
        name = None if key is None else key.decode(errors="replace")
        try:
            decoded = decode_tick(value)
        except msgspec.MsgspecError:
            expected = None
        else:
            expected = decoded if tick_problem(decoded, name, sent_ms) is None else None
        narrow = decode_sound(value, name, sent_ms)
        assert (None if narrow is None else encode_tick(narrow)) == (None if expected is None else encode_tick(expected)), value
        taken += narrow is not None
    assert 4_000 < taken < 16_000


def test_commodity_when_its_price_is_below_zero_then_it_is_taken_although_the_narrow_decoder_refuses_it() -> None:
    oil = tick(instrument_key="MCX_FO|1", ltp=-37.63, prev_bid=-37.7, prev_ask=-37.6)
    decoded = decode_sound(encode_tick(oil), "MCX_FO|1", SENT_MS)
    assert decoded is not None
    assert decoded.ltp == -37.63
    assert decode_sound(encode_tick(tick(ltp=-37.63)), KEY, SENT_MS) is None
