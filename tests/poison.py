"""Mutated tick messages: valid ticks with every field, changed at random."""

from __future__ import annotations

import copy
import json
import random
from typing import Any

from msgspec.structs import replace
from ticks import OPEN, trade_tick

from orderflow.market.tick import Bar, BookLevel, Greeks, heartbeat_tick, tick_record

INT, LONG = 2**31 - 1, 2**63 - 1
INTEGERS = (0, -1, 1, INT, -INT - 1, LONG, -LONG - 1, LONG + 1, 10**12, 10**12 + 1, 10**15, 10**30, OPEN, OPEN * 1000)
DOUBLES = (1e-300, 1e308, -1e308, 0.1, float("nan"), float("inf"), float("-inf"))
TEXTS = ("", " ", "NaN", "2025-12-15", "9999-99-99", "*", "continuous", "x" * 5_000, "\u0000", "😀")
NESTED = ([], {}, [None], [{}], [[]], {"price": None}, [{"price": "a", "quantity": {}}])
VALUES: tuple[Any, ...] = (*INTEGERS, *DOUBLES, *TEXTS, *NESTED, None, True, False)
BYTES = (b"", b"null", b"[]", b"{}", b"[{}]", b"\xff\xfe\x00", b"\x00" * 64, b"{" * 2_000, b'{"schema_version":', b'"text"', b"7")


def sound(rng: random.Random, number: int) -> dict[str, Any]:
    """One valid tick, with everything a tick can carry; fifty minutes of one instrument, then those of the next."""
    second = 5 + number % 3_000 + rng.random()
    minute = OPEN + int(second // 60) * 60_000 - 60_000
    bar = Bar(minute, 99.8, 100.4, 99.7, 100.3, 92)
    tick = trade_tick(
        second,
        100 + rng.randrange(-20, 20) / 10,
        20,
        1_050 + number,
        since=max(1.0, second - rng.uniform(0.5, 200)),
        sequence=number + 1,
        bar=bar if second >= 60 and rng.random() < 0.2 else None,
        bid=(BookLevel(99.9, 10), BookLevel(99.8, 20)),
        ask=(BookLevel(100.1, 15), BookLevel(None, 5)),
        greeks=Greeks(0.5, -1.0, 0.1, 0.2, 0.0),
        indicative_price=100.05,
        indicative_quantity=5_000,
        indicative_imbalance=-1_200,
    )
    tick = replace(tick, instrument_key=f"NSE_EQ|INE{number // 3_000:06d}")
    if rng.random() < 0.02:
        tick = heartbeat_tick(tick.feed_time_ms, tick.received_time_ms)
    return tick_record(tick)


def mutate(rng: random.Random, record: dict[str, Any]) -> None:
    """Change, remove or add a value, at the top or inside a nested part."""
    place: Any = record
    name: Any = rng.choice(list(record))
    while isinstance(place[name], (dict, list)) and place[name] and rng.random() < 0.8:
        place = place[name]
        name = rng.choice(list(place)) if isinstance(place, dict) else rng.randrange(len(place))
    how = rng.random()
    if how < 0.1 and isinstance(place, dict):
        del place[name]
    elif how < 0.4 and isinstance(place[name], (int, float)) and not isinstance(place[name], bool):
        place[name] = rng.choice((-place[name], place[name] * 1_000, place[name] + 86_400_000 * 365, place[name] - 10**13))
    else:
        place[name] = copy.deepcopy(rng.choice(VALUES))
    if how > 0.97:
        record["surprise"] = {"nested": [1, 2, {}]}


def message(rng: random.Random, number: int) -> tuple[bytes | None, bytes | None, int]:
    """One message as (key, value, Kafka's time in ms): a valid tick with up to four mutations, or arbitrary bytes."""
    record = sound(rng, number)
    sent_ms = int(record["received_time_ms"]) + 20
    key: bytes | None = str(record["instrument_key"]).encode()
    how = rng.random()
    if how < 0.02:
        return rng.choice((key, None, b"")), rng.choice((None, *BYTES)), sent_ms
    for _ in range(rng.choice((0, 1, 1, 2, 4))):
        mutate(rng, record)
    value = json.dumps(record, ensure_ascii=rng.random() < 0.5).encode("utf-8", "surrogatepass")
    if how < 0.06:
        at = rng.randrange(len(value))
        value = value[:at] + rng.randbytes(rng.randrange(0, 4)) + value[at + rng.randrange(0, 3) :]
    elif how < 0.08:
        value = value[: rng.randrange(len(value))]
    if how > 0.98:
        key = rng.choice((None, b"", b"*", b"NSE_EQ|other", b"\xff\xff"))
    return key, value, sent_ms
