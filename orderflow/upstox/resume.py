"""Rebuilds the states of a streamer that ended, from stored records, so that no volume is lost or counted twice."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

import msgspec

from orderflow.market import records
from orderflow.market.conformity import MOST_VOLUME, is_sound
from orderflow.market.inference import Inference, InstrumentState, infer
from orderflow.market.phases import CONTINUOUS, Phase, Session, Span
from orderflow.market.tick import MINUTE, READABLE_VERSIONS, Tick, tick_from_record, update_from_tick
from orderflow.market.times import DAY_MS, ist_date

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
    ours = record.get("schema_version") in READABLE_VERSIONS and record.get("instrument_key") == key
    if not ours or not is_sound(records.TICK, record) or record["event_time_ms"] <= 0:
        return None
    try:
        tick = tick_from_record(record)
    except msgspec.ValidationError:  # a nested part lacks a field
        return None
    dates = [ist_date(tick.event_time_ms + days * DAY_MS) for days in (0, 1)]
    sane = tick.trading_date in dates and 0 <= tick.sequence <= MOST_VOLUME and 0 <= (tick.vtt or 0) <= MOST_VOLUME
    return tick if sane else None


def continued(state: InstrumentState | None, tick: Tick, *, after_hole: bool = False) -> Continued:
    """Infer a spooled tick again from what is really stored: drop it if it is stored, and include the volume of missing ticks.

    `state` is None where nothing is stored. `after_hole`: ticks were missing before an earlier spooled tick, and
    their volume is not counted yet.
    """
    state = InstrumentState(tick.instrument_key) if state is None else state
    if not _is_newer(tick, state):
        return Continued(state, None)
    follows = tick.sequence == state.sequence + 1 or (state.trading_date != tick.trading_date and tick.sequence == 1)
    after_hole = after_hole or tick.gap or not follows
    inferred = _inferred(state, tick, after_gap=after_hole)
    return Continued(inferred.state, inferred.tick, inferred.settled or not after_hole)


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
