"""A streamer that starts again must not stumble over what others have put on its topics."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from typing import Any

import orjson
import pytest
from confluent_kafka import TopicPartition

from orderflow.broker.resume import StateReader, _record, _starts
from orderflow.market import records
from orderflow.market.conformity import problem
from orderflow.market.session import SegmentState, SessionBook, SessionCalendar
from orderflow.market.stored_state import restored_segments
from orderflow.market.tick import DayBar, Tick, tick_record
from orderflow.market.transitions import Change
from orderflow.upstox.engine import FeedEngine
from orderflow.upstox.resume import restored_state
from tests.feed.rig import TCS, TEN, ListSink, full, message, opening, wire

KEY = "NSE_EQ|INE467B01029"
OPEN_MS = 1_765_770_300_000


def stored(number: int, **more: Any) -> dict[str, Any]:
    at = OPEN_MS + number * 1_000
    tick = Tick(1, KEY, "update", number, at, at + 20, at, "2025-12-15", ltp=100.0, ltt_ms=at, ltq=5, vtt=1_000 + number,
                session_phase="continuous", session_start_ms=OPEN_MS, session_end_ms=OPEN_MS + 22_500_000)  # fmt: skip
    return {**tick_record(tick), **more}


@pytest.mark.parametrize("value", [None, b"", b"{", b"null", b"[]", b'"text"', b"7", b"\xff\xfe"])
def test_record_when_a_message_holds_no_json_object_then_it_is_none(value: bytes | None) -> None:
    assert _record(value) is None


@pytest.mark.parametrize(
    "junk",
    [
        {},
        {"schema_version": 1},
        stored(9, schema_version=99),
        stored(9, instrument_key="NSE_EQ|another"),
        stored(9, sequence="nine"),
        stored(9, vtt=2**63 - 1),
        stored(9, event_time_ms=-5),
        stored(9, bid=[{"price": "x", "quantity": 1}]),
        stored(9, kind=None),
        stored(9, trading_date="9999-99-99"),
        stored(9, trading_date="2025-12-17"),
        stored(9, vtt=10**14),
        stored(9, bid=[{}]),
        stored(9, bar={}),
        stored(9, bar={"start_ms": None, "open": 1, "high": 1, "low": 1, "close": 1, "volume": 1}),
        stored(9, day_bar={"surprise": 1}),
    ],
)
def test_state_when_a_newer_record_is_no_tick_then_it_is_left_out(junk: dict[str, Any]) -> None:
    expected = restored_state(KEY, None, [stored(1), stored(2)])
    assert expected.sequence == 2
    assert restored_state(KEY, None, [stored(1), junk, stored(2)]) == expected


def stored_state(**changed: Any) -> dict[str, Any]:
    """A complete state as it is published, with a day's bar, and some of its values changed."""
    state = replace(restored_state(KEY, None, [stored(1), stored(2)]), day_bar=DayBar(99.0, 101.0, 98.5, 100.0, 900))
    return {"state": {**state.to_record(), **changed}, "owner": "x"}


def read(*values: Any, key: str = KEY) -> StateReader:
    """Read the state topic: these values under one key, a minute apart from the last tick on."""
    reader = StateReader(lambda name: name == KEY or name.startswith("segment|"))
    for number, value in enumerate(values):
        raw = value if value is None or isinstance(value, bytes) else orjson.dumps(value)
        reader.take(key, raw, OPEN_MS + 60_000 * (number + 1), f"upstox_instrument_state[0]@{number}")
    return reader


def test_positions_when_broken_then_ticks_are_read_since_their_owners_states_were_stored() -> None:
    reader = read(stored_state())
    assert reader.doubtful_ms([KEY]) is None
    owner = stored_state()["owner"]
    reader.take(f"positions|{owner}", b'{"positions": "far"}', OPEN_MS + 90_000, "t[0]@9")
    since = reader.doubtful_ms([KEY])
    assert since is not None
    assert since <= OPEN_MS + 60_000
    reader.take(f"positions|{owner}", b'{"positions": {"0": 5}}', OPEN_MS + 95_000, "t[0]@10")
    assert reader.doubtful_ms([KEY]) is None


def test_state_when_it_is_sound_then_read_back_and_nothing_is_rejected() -> None:
    reader = read(stored_state())
    assert reader.stored.states == {KEY: stored_state()}
    assert (reader.stored.rejected, reader.doubtful, reader.newest_ms()) == (0, set(), OPEN_MS + 60_000)
    assert restored_state(KEY, reader.stored.states[KEY], ()).day_bar == DayBar(99.0, 101.0, 98.5, 100.0, 900)
    assert read({"state": None, "owner": "x"}).stored.rejected == 0


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        (b"", "bad_json"),
        (b"{", "bad_json"),
        ([], "bad_json"),
        ({"foo": 1}, "bad_state"),
        ({"owner": "x", "foo": 1}, "bad_state"),
        ({"owner": "x"}, "bad_state"),
        ({"owner": ["x"], "state": None}, "bad_state"),
        ({"owner": "x", "state": {"a": 1}}, "bad_state"),
        ({"owner": "x", "state": 7}, "bad_state"),
        (stored_state(vtt="abc"), "bad_state"),
        (stored_state(vtt=True), "bad_state"),
        (stored_state(vtt=-1), "bad_state"),
        (stored_state(vtt=10**18), "bad_state"),
        (stored_state(sequence=None), "bad_state"),
        (stored_state(sequence=10**14), "bad_state"),
        (stored_state(ltp=1e300), "bad_state"),
        (stored_state(bid=-1.0), "bad_state"),
        (stored_state(tick_direction=5), "bad_state"),
        (stored_state(trading_date="9999-99-99"), "bad_state"),
        (stored_state(day_bar=[1.0]), "bad_state"),
        (stored_state(day_bar="12345"), "bad_state"),
        (stored_state(day_bar={"open": 1.0}), "bad_state"),
        (stored_state(surprise=1), "bad_state"),
        (stored_state(instrument_key="NSE_EQ|another"), "wrong_key"),
        (stored_state(feed_time_ms=4_000_000_000_000, trading_date="2096-10-02"), "state_in_future"),
    ],
)
def test_state_when_its_record_is_broken_then_rejected_with_a_reason_and_the_one_before_counts(broken: Any, reason: str) -> None:
    for before in ((), (stored_state(),)):
        reader = read(*before, broken)
        assert list(reader.stored.states.values()) == list(before)
        assert [reject["reason"] for reject in reader.stored.rejects] == [reason]
        assert reader.stored.rejects[0]["source"] == f"upstox_instrument_state[0]@{len(before)}"
        assert all(problem(records.REJECT, reject, exact=True) is None for reject in reader.stored.rejects)
        assert (reader.stored.rejected, reader.doubtful) == (1, {KEY})


@pytest.mark.parametrize(
    "broken",
    [
        {"owner": "x", "foo": 1},
        {"owner": "x"},
        {**SegmentState("NORMAL_OPEN", "2025-12-15").to_record()},
        {**SegmentState("NORMAL_OPEN", "2025-12-15").to_record(), "owner": "x", "changes": "abc"},
        {**SegmentState("NORMAL_OPEN", "2025-12-15").to_record(), "owner": "x", "carried": None},
        {**SegmentState("NORMAL_OPEN", "2025-12-15").to_record(), "owner": "x", "changes": [{"at_ms": 10**18, "status": "x"}]},
    ],
)
def test_segment_when_its_record_is_broken_then_rejected_and_the_one_before_counts(broken: dict[str, Any]) -> None:
    sound = SegmentState("NORMAL_OPEN", "2025-12-15", (Change(OPEN_MS, "NORMAL_OPEN"),))
    assert restored_segments(read(broken, key="segment|NSE_EQ").stored.states) == {}
    reader = read({**sound.to_record(), "owner": "x"}, broken, key="segment|NSE_EQ")
    assert restored_segments(reader.stored.states) == {"NSE_EQ": sound}
    assert reader.stored.rejected == 1


def test_states_when_thousands_are_broken_then_all_are_counted_and_few_kept() -> None:
    reader = read(*[b"junk"] * 5_000)
    assert (reader.stored.rejected, len(reader.stored.rejects)) == (5_000, 20)


def test_record_when_nobody_wants_its_key_then_it_is_nobodys_reject() -> None:
    assert read(b"junk", key="NSE_EQ|another").stored.rejected == 0


def test_state_when_a_sound_one_follows_the_broken_one_then_nothing_is_doubtful() -> None:
    reader = read(b"junk", stored_state())
    assert (reader.stored.rejected, reader.doubtful, reader.doubtful_ms([KEY])) == (1, set(), None)


@pytest.mark.parametrize("broken", [{"0": "abc"}, {"x": 1}, {"0": -1}, {"0": 10**18}, {"0": True}, [], None])
def test_positions_when_they_are_broken_then_rejected_and_the_ones_before_count(broken: Any) -> None:
    reader = read(stored_state())
    reader.take("positions|x", orjson.dumps({"positions": {"0": 5}}), OPEN_MS, "t[0]@1")
    reader.take("positions|x", orjson.dumps({"positions": broken}), OPEN_MS, "t[0]@2")
    assert reader.reported_positions() == [{"0": 5}]
    assert [reject["reason"] for reject in reader.stored.rejects] == ["bad_state"]


class Ticks:
    """A consumer of one tick partition that holds 100 messages, one a second from OPEN_MS on."""

    def list_topics(self, topic: str, timeout: float) -> Any:
        metadata = type("Topic", (), {"error": None, "partitions": {0: None}})
        return type("Topics", (), {"topics": {topic: metadata}})

    def offsets_for_times(self, partitions: list[TopicPartition], timeout: float) -> list[TopicPartition]:
        offset = max(0, -(-(partitions[0].offset - OPEN_MS) // 1_000))
        return [TopicPartition(partitions[0].topic, 0, offset if offset < 100 else -1)]

    def get_watermark_offsets(self, partition: TopicPartition, timeout: float) -> tuple[int, int]:
        return 0, 100


@pytest.mark.parametrize(
    ("positions", "doubtful_ms", "start"),
    [
        ([{"0": 80}], None, 80),
        ([{"0": 80}], OPEN_MS + 20_000, 20),
        ([{"0": 80}], OPEN_MS - 20_000, 0),
        ([{"0": 101}], None, 30),
        ([], None, 30),
        ([], OPEN_MS + 20_000, 20),
    ],
)
def test_ticks_when_a_state_is_doubtful_or_a_position_beyond_the_end_then_read_from_an_earlier_time(
    positions: list[dict[str, int]], doubtful_ms: int | None, start: int
) -> None:
    assert _starts(Ticks(), positions, OPEN_MS + 90_000, doubtful_ms) == {0: start}  # type: ignore[arg-type]


def test_engine_when_stored_records_were_rejected_then_published_and_counted() -> None:
    sink = ListSink()
    engine = FeedEngine(sink, SessionBook(SessionCalendar()))
    reader = read(b"junk")
    engine.refused(reader.stored.rejects, 3)
    assert (sink.rejects, engine.figures.rejects) == (reader.stored.rejects, 3)


def test_state_when_it_was_mutated_at_random_then_rejected_or_good_for_every_update_to_come() -> None:
    """A record that passes must not raise later, in inference, on the worker's thread."""
    sink = ListSink()
    first = FeedEngine(sink, SessionBook(SessionCalendar()))
    first.own([TCS])
    for content in (*opening(), message(TEN + 61_000, {TCS: full(2_000, TEN + 60_500)})):
        first.message(wire(content), int(content["currentTs"]) + 30)
    sound = json.dumps({name: record() for name, record in sink.states.items()})
    rng = random.Random(1)
    values = [None, True, "abc", "", -1, 0, 10**11, 10**18, 1e300, [], {}, [[1, 2, 3]], [None] * 5, {"a": 1}]
    passed = 0
    for _ in range(2_000):
        kept = json.loads(sound)
        place: Any = kept[TCS]["state"]
        place[rng.choice(list(place))] = rng.choice(values)
        segment = kept["segment|NSE_EQ"]
        segment[rng.choice(list(segment))] = rng.choice(values)
        reader = StateReader(lambda name: True)
        for name, record in kept.items():
            reader.take(name, orjson.dumps({"owner": "x", **record}), TEN + 120_000, "t[0]@0")
        passed += len(reader.stored.states)
        again = ListSink()
        book = SessionBook(SessionCalendar(), segments=restored_segments(reader.stored.states))
        engine = FeedEngine(again, book, {TCS: restored_state(TCS, reader.stored.states.get(TCS), ())})
        engine.own([TCS])
        for content in (*opening(), message(TEN + 61_000, {TCS: full(2_000, TEN + 60_500)})):
            engine.message(wire(content), int(content["currentTs"]) + 30)
        assert again.ticks
        restored_state(TCS, None, [tick_record(tick) for tick in again.ticks])
    assert 200 < passed < 3_500
