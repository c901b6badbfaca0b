"""Rebuilds the states of a streamer that ended, from stored records, so that no volume is lost or counted twice."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

import msgspec

from orderflow.market import records, topics
from orderflow.market.conformity import MOST_VOLUME, problem
from orderflow.market.inference import Inference, InstrumentState, infer
from orderflow.market.phases import CONTINUOUS, Phase, Session, Span
from orderflow.market.rejects import reject_record
from orderflow.market.tick import MINUTE, READABLE_VERSIONS, Tick, tick_from_record, update_from_tick
from orderflow.market.times import DAY_MS, ist_date
from orderflow.upstox.engine import FeedEngine
from orderflow.upstox.storage import Storage, TickPublisher

log = logging.getLogger(__name__)

_ROOM_SECONDS: Final = 0.002
_OTHERS: Final = {topics.FEED_EVENTS: records.FEED_EVENT, topics.REJECTS: records.REJECT}
_INTERRUPTIONS: Final[tuple[Phase, ...]] = ("pre_open", "opening_auction", "halt")


class Continued(NamedTuple):
    """The state after a spooled tick, and the tick as it must now be published (None: it is stored already).

    `settled`: the volume of a hole before it is counted.
    """

    state: InstrumentState
    tick: Tick | None
    settled: bool = True


def restored_state(key: str, record: Mapping[str, Any] | None, newer: Iterable[Mapping[str, Any]]) -> InstrumentState:
    """Return the state of one instrument: the stored state, updated with the stored ticks that are newer.

    Trading date and sequence decide which ticks are newer; the order is that of the topic. Records that are not valid ticks of
    `key` are skipped, as everywhere. Raises DecodeError when `record` is not a state.
    """
    state = InstrumentState(key)
    if record and record.get("state"):
        state = InstrumentState.from_record(dict(record["state"]))
    for stored in newer:
        tick = valid_tick(key, stored)
        if tick is not None and tick.kind != MINUTE and _is_newer(tick, state):
            state = _inferred(state, tick, after_gap=False).state
    return state


def valid_tick(key: str, record: Mapping[str, Any]) -> Tick | None:
    """Return a stored record as the tick of `key` that it is by this version's definition; None when it is none."""
    complete = all(record.get(field.name) is not None for field in records.TICK if field.required)
    ours = record.get("schema_version") in READABLE_VERSIONS and record.get("instrument_key") == key
    if not complete or not ours or problem(records.TICK, record) is not None or record["event_time_ms"] <= 0:
        return None
    try:
        tick = tick_from_record(record)
    except msgspec.ValidationError:  # a nested part lacks a field
        return None
    dates = [ist_date(tick.event_time_ms + days * DAY_MS) for days in (0, 1)]
    sane = tick.trading_date in dates and 0 <= tick.sequence <= MOST_VOLUME and 0 <= (tick.vtt or 0) <= MOST_VOLUME
    return tick if sane else None


def continued(state: InstrumentState, tick: Tick, *, after_hole: bool = False) -> Continued:
    """Infer a spooled tick again from what is really stored: drop it if it is stored, and include the volume of missing ticks.

    `after_hole`: ticks were missing before an earlier spooled tick, and their volume is not counted yet.
    """
    if not _is_newer(tick, state):
        return Continued(state, None)
    follows = tick.sequence == state.sequence + 1 or (state.trading_date != tick.trading_date and tick.sequence == 1)
    after_hole = after_hole or tick.gap or not follows
    inferred = _inferred(state, tick, after_gap=after_hole)
    return Continued(inferred.state, inferred.tick, inferred.settled or not after_hole)


def continue_spool(storage: Storage, engine: FeedEngine, keys: Iterable[str], stop: threading.Event) -> bool:
    """Publish the records that an earlier process left on disk, and delete them once Kafka has confirmed them.

    Ticks are inferred again from what is really stored. Waits until Kafka accepts them; never writes them to the new spool.
    Returns False if asked to stop first: everything then stays for the next start.
    """
    publisher: TickPublisher = engine.sink  # type: ignore[assignment]
    own = frozenset(keys)
    published = others = foreign = broken = 0
    holes: set[str] = set()
    for topic, record in storage.spooled():
        if topic in _OTHERS and _is_record(_OTHERS[topic], record):
            (publisher.event if topic == topics.FEED_EVENTS else publisher.reject)(record)
            others += 1
            continue
        key = record.get("instrument_key") if topic == topics.TICKS and isinstance(record, dict) else None
        if isinstance(key, str) and key not in own:
            foreign += 1
            continue
        spooled = valid_tick(key, record) if isinstance(key, str) else None
        if key is None or spooled is None:
            payload = record if isinstance(record, bytes) else json.dumps(record).encode()
            engine.refused([reject_record("bad_spooled_record", "spool", time.time_ns() // 1_000_000, payload)], 1)
            broken += 1
            continue
        state, tick, settled = continued(engine.states.get(key, InstrumentState(key)), spooled, after_hole=key in holes)
        if tick is None:
            continue
        while not publisher.has_room(tick.feed_time_ms) or not publisher.tick(tick):
            publisher.poll()
            if stop.wait(_ROOM_SECONDS):
                return False
        engine.states[key] = state
        (holes.discard if settled else holes.add)(key)
        published += 1
    number = publisher.backlog_number()
    while not publisher.is_acknowledged(number):
        publisher.poll()
        if stop.wait(_ROOM_SECONDS):
            return False
    storage.discard_spooled(own)
    if published or others or foreign or broken:
        log.log(
            logging.WARNING if broken else logging.INFO,
            "spool of an earlier run: %d ticks and %d other records published, %d invalid ones rejected, "
            "%d ticks of instruments not streamed here kept",
            published,
            others,
            broken,
            foreign,
        )
    return True


def _is_record(fields: tuple[records.Field, ...], record: Any) -> bool:
    """Return whether what was spooled is a record of these fields."""
    if not isinstance(record, dict) or any(record.get(field.name) is None for field in fields if field.required):
        return False
    return problem(fields, record) is None


def _is_newer(tick: Tick, state: InstrumentState) -> bool:
    return (tick.trading_date, tick.sequence) > (state.trading_date, state.sequence)


def _inferred(state: InstrumentState, tick: Tick, *, after_gap: bool) -> Inference:
    start_ms, end_ms = tick.session_start_ms or 0, tick.session_end_ms or 0
    auction_end_ms = max(end_ms, tick.event_time_ms + 1) if tick.session_phase == "closing_auction" else end_ms
    last_ms = max(auction_end_ms, tick.event_time_ms + 1) if tick.session_phase == "post_close" else auction_end_ms
    first_ms = min(start_ms, tick.event_time_ms)
    session = Session(tick.trading_date, first_ms, start_ms, end_ms, auction_end_ms, last_ms, _interruption(tick))
    return infer(state, update_from_tick(tick), session, tick.segment_status, after_gap=after_gap, streamer=tick.streamer)


def _interruption(tick: Tick) -> tuple[Span, ...]:
    """Return the phases around a tick of a halt, or of the auction after it; none when a session's edges tell its phase."""
    start_ms, at_ms, end_ms = tick.session_start_ms or 0, tick.event_time_ms, tick.session_end_ms or 0
    phase = next((known for known in _INTERRUPTIONS if known == tick.session_phase), None)
    if phase is None or not start_ms <= at_ms < end_ms:
        return ()
    around = (Span(CONTINUOUS, start_ms, at_ms), Span(phase, at_ms, at_ms + 1), Span(CONTINUOUS, at_ms + 1, end_ms))
    return tuple(span for span in around if span.start_ms < span.end_ms)
