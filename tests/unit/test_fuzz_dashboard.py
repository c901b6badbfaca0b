"""Damaged records of every topic into the dashboard's store: nothing raises, and sound ones are shown afterwards."""

from __future__ import annotations

import copy
import os
import random
from typing import Any

import pytest
from test_dashboard_store import CLOSE_MS, KEY, OPEN_MS, final, trade

from orderflow.dashboard.sources.directory import Directory
from orderflow.dashboard.state.store import Store
from orderflow.dashboard.views.viewer import View, Viewer
from orderflow.market import topics

ROUNDS = int(os.environ.get("FUZZ_EXAMPLES", "40")) * 50
LONG = 2**63 - 1
NUMBERS = (0, -1, 1, LONG, -LONG - 1, 10**30, 1e308, float("nan"), float("inf"), OPEN_MS + 10**11)
TEXTS = ("", "x", "9999-99-99", "2099-01-01", "NaN", "2025-12-15T09:15:00+05:30", "2099-12-15T09:15:00+05:30")
VALUES: tuple[Any, ...] = (*NUMBERS, *TEXTS, None, True, [], {}, [None], {"price": None}, [[1]])


def tick(offset_ms: int) -> tuple[str, dict[str, Any]]:
    at = OPEN_MS + offset_ms
    return topics.TICKS, {
        "schema_version": 1,
        "instrument_key": KEY,
        "kind": "update",
        "sequence": 7,
        "feed_time_ms": at,
        "received_time_ms": at + 30,
        "event_time_ms": at,
        "trading_date": "2025-12-15",
        "ltp": 100.0,
        "ltt_ms": at,
        "ltq": 5,
        "vtt": 1_000,
        "tbq": 10,
        "tsq": 20,
        "bid": [{"price": 99.9, "quantity": 5}],
        "ask": [{"price": 100.1, "quantity": 5}],
        "segment_status": "NORMAL_OPEN",
        "session_start_ms": OPEN_MS,
        "session_end_ms": CLOSE_MS,
    }


def level() -> tuple[str, dict[str, Any]]:
    return topics.FOOTPRINT, {
        "window_start": "2025-12-15T09:15:00+05:30",
        "window_end": "2025-12-15T09:16:00+05:30",
        "instrument": KEY,
        "price": 10_000,
        "buy_volume": 5,
        "sell_volume": 3,
        "unclassified_volume": 0,
    }


def event() -> tuple[str, dict[str, Any]]:
    return topics.FEED_EVENTS, {
        "event": "gap",
        "at_ms": OPEN_MS,
        "instrument_key": KEY,
        "from_ms": OPEN_MS,
        "to_ms": OPEN_MS + 5,
        "cause": "x",
        "volume": 5,
        "detail": "{}",
    }


def damaged(rng: random.Random) -> tuple[str, dict[str, Any]]:
    kinds = (trade(5_000, 100.0, 5, 0, 900), final(0, 100, 101, 99, 100, 5, 5), tick(5_000), level(), event())
    topic, record = copy.deepcopy(rng.choice(kinds))
    for _ in range(rng.choice((1, 1, 2))):
        name = rng.choice(list(record))
        if rng.random() < 0.15:
            record.pop(name)
        else:
            record[name] = copy.deepcopy(rng.choice(VALUES))
        if not record:
            break
    return topic, record


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_store_when_records_are_damaged_then_nothing_raises_and_sound_ones_are_shown(seed: int) -> None:
    rng = random.Random(seed)
    now_ms = OPEN_MS + 130_000
    store = Store(lambda: now_ms, (KEY,))
    for _ in range(ROUNDS // 20):
        store.apply([damaged(rng) for _ in range(20)])
        viewer = Viewer(store, Directory((KEY,)))
        viewer.look_at(View.parse({}, KEY, 100), store)
        viewer.message(now_ms)
    assert sum(store.rejected.values()) > ROUNDS / 4
    store.apply([tick(125_000), trade(125_000, 100.5, 9, 0, 2_000), final(1, 100.0, 101.0, 99.0, 100.5, 40, 2)])
    instrument = store.instruments[KEY]
    assert instrument.date == "2025-12-15"
    rows = store.rollup(KEY, 1).rows(instrument)
    assert [row.candle.buy_volume for row in rows if row.candle.start_ms == OPEN_MS + 60_000 and row.final] == [40]
    assert any(row.candle.close == 100.5 and not row.final for row in rows)
