"""Every reader takes stored messages of the present version of each record and of the one before."""

from __future__ import annotations

import json

import msgspec
import pytest
import stored_messages as stored

from orderflow.dashboard.state.store import Store
from orderflow.dashboard.views.chart import profile_levels, profile_of
from orderflow.market import records, topics
from orderflow.market.candle import Candle
from orderflow.market.conformity import problem
from orderflow.market.engine.messages import fold
from orderflow.market.engine.minute import FinalMinute
from orderflow.market.engine.partition import EngineSettings, PartitionEngine
from orderflow.market.inference import InstrumentState
from orderflow.market.records import Field
from orderflow.market.stored_state import POSITIONS, SEGMENT, require_usable, segment_state
from orderflow.market.tick import READABLE_VERSIONS, SCHEMA_VERSION, Bar, BookLevel, DayBar, decode_tick, encode_tick
from orderflow.market.trade import Trade
from orderflow.market.validation import tick_problem
from orderflow.upstox.resume import restored_state, valid_tick

KEY = "NSE_EQ|INE467B01029"
STORED_MS = 1_765_770_390_000
TICKS = (stored.TICK_1, stored.TICK_2)
HEARTBEATS = (stored.HEARTBEAT_1, stored.HEARTBEAT_2)
AUCTION = ("indicative_price", "indicative_quantity", "indicative_imbalance")
STATES = (stored.STATE_1, stored.STATE_2)


def test_versions_when_the_present_one_is_raised_then_these_messages_must_follow() -> None:
    assert (SCHEMA_VERSION, READABLE_VERSIONS) == (2, (1, 2))


@pytest.mark.parametrize("value", TICKS)
def test_tick_when_of_either_version_then_the_engine_reads_the_same(value: str) -> None:
    tick = decode_tick(value)
    assert tick_problem(tick, KEY, STORED_MS) is None
    assert (tick.vtt, tick.traded_volume, tick.ltq, tick.sequence) == (1_110, 3, 2, 10)
    assert tick.bar == Bar(1_765_770_300_000, 99.8, 100.4, 99.7, 100.3, 92)
    assert tick.day_bar == DayBar(99.8, 100.4, 99.7, 100.2, 1_110)
    assert tick.bid == (BookLevel(100.1, 10), BookLevel(100.0, 20))
    assert (tick.gap or False, tick.auction or False) == (False, False)
    assert decode_tick(encode_tick(tick)) == tick


@pytest.mark.parametrize("value", TICKS)
def test_tick_when_stored_before_auctions_had_fields_then_they_are_absent(value: str) -> None:
    tick = decode_tick(value)
    assert (tick.indicative_price, tick.indicative_quantity, tick.indicative_imbalance) == (None, None, None)


def test_tick_when_it_is_of_an_auction_then_every_reader_takes_it() -> None:
    tick = decode_tick(stored.AUCTION_TICK)
    assert tick_problem(tick, KEY, STORED_MS) is None
    assert (tick.indicative_price, tick.indicative_quantity, tick.indicative_imbalance) == (99.55, 50_000, -1_200)
    assert decode_tick(encode_tick(tick)) == tick
    assert valid_tick(KEY, json.loads(stored.AUCTION_TICK)) == tick
    assert problem(records.TICK, json.loads(stored.AUCTION_TICK)) is None


@pytest.mark.parametrize("value", HEARTBEATS)
def test_heartbeat_when_of_either_version_then_it_moves_the_clock(value: str) -> None:
    engine = PartitionEngine(EngineSettings())
    assert list(fold(engine, [(None, value.encode(), STORED_MS)])) == []
    assert list(engine.clocks.values()) == [1_765_770_381_000]


def test_engine_when_a_topic_holds_both_versions_then_it_goes_on_across_them() -> None:
    """Version 1 has no streamer's name; the clocks of both count."""
    engine = PartitionEngine(EngineSettings())
    rows = [(KEY.encode(), value.encode(), STORED_MS) for value in (stored.TICK_1, stored.TICK_2)]
    assert list(fold(engine, rows)) == []
    assert set(engine.clocks) == {"", "alpha"}
    finals = [output.candle for output in engine.finish() if isinstance(output, FinalMinute)]
    assert [(candle.tick_count, candle.tick_volume) for candle in finals if candle.tick_count] == [(1, 3)]


@pytest.mark.parametrize("value", TICKS)
def test_tick_when_of_either_version_then_a_streamer_resumes_from_it(value: str) -> None:
    tick = valid_tick(KEY, json.loads(value))
    assert tick is not None
    assert tick.vtt == 1_110
    before = json.loads(stored.STATE_1)
    before["state"] |= {"sequence": 9, "vtt": 1_107}
    state = restored_state(KEY, before, [json.loads(value)])
    assert (state.vtt, state.sequence, state.trading_date) == (1_110, 10, "2025-12-15")


@pytest.mark.parametrize("value", STATES)
def test_state_when_of_either_version_then_a_streamer_resumes_from_it(value: str) -> None:
    record = json.loads(value)
    require_usable(KEY, record, STORED_MS)
    state = InstrumentState.from_record(record["state"])
    assert (state.vtt, state.ltp, state.bar_start_ms) == (1_110, 100.2, 1_765_770_300_000)
    assert state.day_bar == DayBar(99.8, 100.4, 99.7, 100.2, 1_110)
    assert InstrumentState.from_record(json.loads(json.dumps(state.to_record()))) == state


@pytest.mark.parametrize("value", [stored.SEGMENT_1, stored.SEGMENT_2])
def test_segment_when_of_either_version_then_its_status_holds(value: str) -> None:
    record = json.loads(value)
    require_usable(f"{SEGMENT}NSE_EQ", record, STORED_MS)
    state = segment_state(record)
    assert (state.status, state.trading_date) == ("NORMAL_OPEN", "2025-12-15")


def test_positions_when_stored_then_they_are_usable() -> None:
    require_usable(f"{POSITIONS}alpha", json.loads(stored.POSITIONS), STORED_MS)


@pytest.mark.parametrize(("value", "final_by"), [(stored.CANDLE_1, None), (stored.CANDLE_2, "complete")])
def test_candle_when_of_either_version_then_it_is_read(value: str, final_by: str | None) -> None:
    record = json.loads(value)
    candle = Candle.from_record(record)
    assert (candle.total_volume, candle.delta, candle.exchange_bar, candle.final_by) == (92, 32, True, final_by)
    assert {name: candle.to_record()[name] for name in record} == record


def test_trade_when_stored_then_it_is_read() -> None:
    record = json.loads(stored.TRADE)
    assert Trade.from_record(record).to_record() == record


@pytest.mark.parametrize(
    ("value", "level", "rupees"),
    [
        (stored.LEVEL_1, (10_020, 100), 100.2),
        (stored.LEVEL_2, (10_020, 100), 100.2),
        (stored.LEVEL_CURRENCY, (904_275, 10_000), 90.4275),
    ],
)
def test_level_when_of_either_version_then_its_price_is_known(value: str, level: tuple[int, int], rupees: float) -> None:
    record = msgspec.json.decode(value, type=records.FootprintLevel)
    assert (record.price, record.price_unit) == level
    store = Store(lambda: STORED_MS)
    assert store.apply([(topics.FOOTPRINT, json.loads(value))]) == 0
    profile = profile_of(store.instruments[record.instrument].profile.levels)
    assert profile_levels(profile)["poc"] == rupees


def test_level_when_its_unit_is_none_then_the_dashboard_refuses_it() -> None:
    store = Store(lambda: STORED_MS)
    assert store.apply([(topics.FOOTPRINT, json.loads(stored.LEVEL_1) | {"price_unit": 0})]) == 1


@pytest.mark.parametrize(
    ("fields", "value"),
    [
        *[(records.TICK, value) for value in (*TICKS, *HEARTBEATS)],
        *[(records.CANDLE, value) for value in (stored.CANDLE_1, stored.CANDLE_2)],
        *[(records.FEED_EVENT, value) for value in (stored.EVENT_1, stored.EVENT_2)],
        *[(records.REJECT, value) for value in (stored.REJECT_1, stored.REJECT_2)],
        (records.TRADE, stored.TRADE),
        *[(records.FOOTPRINT, value) for value in (stored.LEVEL_1, stored.LEVEL_2, stored.LEVEL_CURRENCY)],
    ],
)
def test_message_when_of_either_version_then_it_conforms_to_the_present_fields(fields: tuple[Field, ...], value: str) -> None:
    record = json.loads(value)
    assert problem(fields, record) is None
    assert [field.name for field in fields if field.required and record.get(field.name) is None] == []


@pytest.mark.parametrize(
    ("fields", "value"),
    [
        (records.TICK, stored.TICK_2),
        (records.CANDLE, stored.CANDLE_2),
        (records.TRADE, stored.TRADE),
        (records.FOOTPRINT, stored.LEVEL_2),
        (records.FEED_EVENT, stored.EVENT_2),
        (records.REJECT, stored.REJECT_2),
    ],
)
def test_message_of_the_present_version_when_a_field_is_added_then_it_must_have_it(fields: tuple[Field, ...], value: str) -> None:
    left_out = {"oi", "iv", "greeks", "segment_status", "gap", "auction", *AUCTION} if fields == records.TICK else set()
    assert set(records.names(fields)) == set(json.loads(value)) | left_out


@pytest.mark.parametrize("candle", [stored.CANDLE_1, stored.CANDLE_2])
@pytest.mark.parametrize("tick", TICKS)
def test_dashboard_when_messages_are_of_either_version_then_it_shows_them(tick: str, candle: str) -> None:
    store = Store(lambda: STORED_MS)
    messages = [
        (topics.TICKS, tick),
        (topics.TRADES, stored.TRADE),
        (topics.ORDERFLOW, candle),
        (topics.FOOTPRINT, stored.LEVEL_1),
        (topics.FEED_EVENTS, stored.EVENT_1),
        (topics.FEED_EVENTS, stored.EVENT_2),
    ]
    assert store.apply((topic, json.loads(value)) for topic, value in messages) == 0
    assert set(store.instruments) == {KEY}
    assert store.counts.total() == len(messages)
