"""How the dashboard's memory is kept small: minutes at rest are packed, views' own state goes with their viewers."""

from __future__ import annotations

import gc
import random
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_dashboard_store import CLOSE_MS, KEY, OPEN_MS, final, level, store_with, trade

from orderflow.dashboard.sources.directory import Directory
from orderflow.dashboard.state import instrument
from orderflow.dashboard.state.instrument import OPEN_MINUTES
from orderflow.dashboard.state.minute import Flow, Minute
from orderflow.dashboard.state.newest import KEPT, NewestMinutes
from orderflow.dashboard.state.rollup import Rollup
from orderflow.dashboard.state.store import Store
from orderflow.dashboard.state.tape import REMEMBERED_TRADES, TAPE_LENGTH, PackedTrades, SeenTrades, Tape
from orderflow.dashboard.views.viewer import View, Viewer
from orderflow.market.candle import Candle
from orderflow.market.trade import Trade

LEVELS = 20
whole = st.integers(-(2**63), 2**63 - 1)
price = st.one_of(st.none(), st.floats())


def full(minute: int, close: float) -> tuple[str, dict[str, Any]]:
    return final(
        minute, close - 0.35, close + 2.15, close - 1.05, close, 12_345, 11_017,
        tbq=312_500, tsq=287_250, unclassified_volume=317, tick_volume=23_362, tick_count=57, imbalance=0.0568438,
        delta_band=1_204.0, confidence="high", exchange_bar=True, tick_open=close, tick_high=close + 2.1, tick_low=close - 1,
        tick_close=close, tick_buy_volume=12_300, tick_sell_volume=11_000,
    )  # fmt: skip


def day(length: int) -> Store:
    """Return a store that holds finals of the day, each with twenty levels of footprint."""
    rng = random.Random(1)
    store = Store(lambda: CLOSE_MS, (KEY,))
    for minute in range(length):
        levels = [level(minute, 250_000 + 5 * row, rng.randrange(900), rng.randrange(900), row % 3) for row in range(LEVELS)]
        assert store.apply([full(minute, 2500.0 + rng.randrange(200) / 20), *levels]) == 0
    return store


def test_minutes_when_they_rest_hold_few_bytes_each() -> None:
    at_rest = day(60).instruments[KEY].minutes_from(0)[:-OPEN_MINUTES]
    held = [minute.pack() for minute in at_rest]
    assert sum(held) / len(held) < 500
    assert Minute.__slots__ == ("_flow", "after_close", "final", "instrument", "revision", "start_ms", "traded")


def test_minutes_when_many_have_come_only_the_last_changed_are_open() -> None:
    instrument = day(60).instruments[KEY]
    opened = [minute.start_ms for minute in instrument.minutes_from(0) if isinstance(minute._flow, Flow)]
    assert opened == [OPEN_MS + minute * 60_000 for minute in range(60 - OPEN_MINUTES, 60)]


def test_minute_when_a_late_level_comes_is_opened_changed_and_shown() -> None:
    store = day(30)
    rollup = store.rollup(KEY, 5)
    before = rollup.rows(store.instruments[KEY])[0]
    store.apply([level(2, 251_000, 7, 9), full(3, 2400.0)])
    row = rollup.rows(store.instruments[KEY])[0]
    assert (before.candle.low, row.candle.low) == (before.candle.low, 2398.95)
    assert store.instruments[KEY].minutes[OPEN_MS + 120_000].flow.levels[25_100_000] == [7, 9, 0]
    assert row.span == (25_000_000, 25_100_000, 500)
    fresh = Rollup(5).rows(store.instruments[KEY])
    assert [(row.candle, row.cvd, row.vwap, row.sigma, row.span) for row in fresh] == [
        (row.candle, row.cvd, row.vwap, row.sigma, row.span) for row in rollup.rows(store.instruments[KEY])
    ]


@given(
    st.builds(
        Candle, start_ms=whole, end_ms=whole, instrument=st.just(KEY), open=price, high=price, low=price, close=price,
        buy_volume=whole, sell_volume=whole, total_volume=whole, delta=whole, tbq=st.one_of(st.none(), whole),
        vwap=price, confidence=st.one_of(st.none(), st.text()), gap=st.booleans(), source=st.text(),
    ),
    st.dictionaries(whole, st.lists(whole, min_size=3, max_size=3)),
)  # fmt: skip
@settings(deadline=None)
def test_flow_when_packed_and_unpacked_is_the_same(candle: Candle, levels: dict[int, list[int]]) -> None:
    flow = Flow(candle.end_ms, final=candle, levels=levels, close=candle.close, trades=3, open_key=(1, 2))
    assert repr(Flow.unpacked(flow.packed(), KEY)) == repr(flow)
    forming = replace(flow, final=None)
    assert repr(Flow.unpacked(forming.packed(), KEY)) == repr(forming)


def test_newest_minutes_when_a_day_goes_by_are_few_and_their_sums_are_the_days() -> None:
    store = day(200)
    instrument = store.instruments[KEY]
    newest = NewestMinutes()
    newest.update(instrument)
    for late in (full(199, 2600.0), full(20, 2601.0), full(199, 2602.0)):
        store.apply([late])
        newest.update(instrument)
    rows = Rollup(1).rows(instrument)
    last = rows[-1]
    assert (newest.volume, newest.delta, newest.lines[-1].close) == (last.volume, last.cvd, 2602.0)
    assert newest.lines[-10][:4] == (rows[-10].candle.start_ms, rows[-10].candle.close, 23_362, 1_328)
    assert KEPT <= len(newest.lines) <= KEPT * 5 // 4


def test_newest_minutes_when_the_next_day_begins_start_anew() -> None:
    store = day(3)
    store.clock_ms = lambda: CLOSE_MS + 86_400_000
    newest = NewestMinutes()
    newest.update(store.instruments[KEY])
    later = trade(0, 90.0, 4, 1, 5, date="2025-12-16")[1]
    moved = {name: later[name] + 86_400_000 for name in ("event_time_ms", "session_start_ms", "session_end_ms")}
    store.apply([(trade(0, 1, 1, 1, 1)[0], {**later, **moved})])
    newest.update(store.instruments[KEY])
    assert (newest.volume, newest.delta, len(newest.lines)) == (5, 3, 1)


def test_roll_up_and_profile_when_their_last_viewer_has_left_are_held_no_more() -> None:
    store = day(10)
    viewers = [Viewer(store, Directory((KEY,))) for _ in range(2)]
    for viewer in viewers:
        viewer.look_at(View(KEY, minutes=5), store)
        viewer.message(CLOSE_MS)
    profile = store.instruments[KEY].profile
    assert profile is store.instruments[KEY].profile
    del viewers[0], profile
    gc.collect()
    assert list(store._rollups) == [(KEY, 5)]
    viewers[0].look_at(View(KEY, minutes=1), store)
    viewers[0].message(CLOSE_MS)
    gc.collect()
    assert list(store._rollups) == [(KEY, 1)]
    viewers.clear()
    del viewer
    gc.collect()
    assert not store._rollups
    kept = store.instruments[KEY]._profile
    assert kept is not None
    assert kept() is None


def made(number: int, volume: int = 10) -> Trade:
    record = trade(number * 100, 100.0 + number * 0.05, volume, 0, number)[1]
    return Trade.from_record({**record, "bid": 99.5, "tbq": None})


def test_tape_when_it_is_full_gives_the_newest_trades_as_they_were() -> None:
    tape = Tape(KEY)
    for number in range(1, TAPE_LENGTH + 11):
        tape.add(made(number, 5_000 if number == 405 else 10))
    assert (tape.count, len(tape)) == (TAPE_LENGTH + 10, TAPE_LENGTH)
    assert tape.newest(limit=2) == [(410, made(410), False), (409, made(409), False)]
    assert [(number, big) for number, _, big in tape.newest(after=403)] == [
        (410, False), (409, False), (408, False), (407, False), (406, False), (405, True), (404, False),
    ]  # fmt: skip
    assert tape.newest()[-1] == (11, made(11), False)
    assert tape.newest(after=410) == tape.newest(after=999) == []


def test_seen_trades_when_more_than_are_remembered_have_come_counts_the_older_ones_as_seen() -> None:
    seen = SeenTrades()
    assert all(seen.first_time(number * 10) for number in range(3 * REMEMBERED_TRADES))
    assert not any(seen.first_time(number * 10) for number in range(3 * REMEMBERED_TRADES))
    newest = (3 * REMEMBERED_TRADES - 1) * 10
    assert [seen.first_time(newest - 5), seen.first_time(newest - 5), seen.first_time(7)] == [True, False, False]
    assert len(seen._known) < 2 * REMEMBERED_TRADES


def test_packed_trades_when_a_part_is_asked_for_gives_it_in_order() -> None:
    trades = [made(number) for number in range(600)]
    packed = PackedTrades(KEY, iter(trades))
    assert (len(packed), list(packed)) == (600, trades)
    for start, end in ((0, 0), (250, 260), (255, 256), (256, 513), (599, 600)):
        assert list(packed.between(start, end)) == trades[start:end]
    assert packed.times[-1] == OPEN_MS + 59_900
    assert sum(map(len, packed._chunks)) / len(trades) < 60


def test_store_when_an_instrument_is_unknown_shows_nothing_and_later_its_day() -> None:
    store = Store(lambda: CLOSE_MS)
    viewer = Viewer(store, Directory((KEY,)))
    viewer.look_at(View(KEY), store)
    first = viewer.message(CLOSE_MS)
    assert first is not None
    assert first["facts"]["x"] == []
    store.apply([full(0, 2500.0)])
    then = viewer.message(CLOSE_MS)
    assert then is not None
    assert then["facts"]["close"] == [2500.0]


def test_store_when_minutes_are_packed_in_between_holds_the_same_as_when_they_never_are(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = random.Random(5)
    records = [
        trade(rng.randrange(30 * 60_000), 100 + rng.randrange(40) / 20, 5, 3, number, none=number % 2, gap=number % 97 == 0)
        for number in range(2_000)
    ]
    records += [full(minute, 101.0) for minute in range(0, 30, 2)]
    records += [level(minute, 10_000 + row * 5, 3, 4) for minute in range(0, 30, 3) for row in range(4)]
    rng.shuffle(records)
    packed = store_with(*records).instruments[KEY]
    monkeypatch.setattr(instrument, "OPEN_MINUTES", 1000)
    never = store_with(*records).instruments[KEY]
    assert sum(isinstance(minute._flow, bytes) for minute in never.minutes_from(0)) == 0
    assert sum(isinstance(minute._flow, bytes) for minute in packed.minutes_from(0)) == 30 - OPEN_MINUTES
    assert [minute.flow for minute in packed.minutes_from(0)] == [minute.flow for minute in never.minutes_from(0)]
    assert (packed.profile.levels, packed.profile.unpriced) == (never.profile.levels, never.profile.unpriced)
    assert (packed.late_volume, packed.repeats) == (never.late_volume, never.repeats)
