"""Rebuild the states of a streamer that ended, from what is stored, so that no volume is lost or counted twice."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from orderflow.market import records
from orderflow.market.conformity import problem
from orderflow.market.errors import OrderflowError
from orderflow.market.inference import Inference, InstrumentState, infer
from orderflow.market.session import Session
from orderflow.market.tick import Tick, tick_from_record, update_from_tick

log = logging.getLogger(__name__)


class Continued(NamedTuple):
    """The state after a spooled tick, and the tick as it must now be published (None: it is stored already)."""

    state: InstrumentState
    tick: Tick | None


def restored_state(key: str, record: Mapping[str, Any] | None, newer: Iterable[Mapping[str, Any]]) -> InstrumentState:
    """Return the state of one instrument: the stored one, carried on by the stored ticks that are newer.

    Trading date and sequence decide which are; the order is that of the topic. Records that are no valid tick of `key` are left
    out, as everywhere. Raises OrderflowError when the stored state cannot be read (written by another version).
    """
    state = InstrumentState(key)
    try:
        if record and record.get("state"):
            state = InstrumentState.from_record(dict(record["state"]))
        for stored in newer:
            if not _is_tick(key, stored):
                continue
            tick = tick_from_record(stored)
            if _is_newer(tick, state):
                state = _inferred(state, tick, after_gap=False).state
    except (KeyError, TypeError, ValueError) as error:
        raise OrderflowError(
            f"the stored state of {key} cannot be read ({type(error).__name__}: {error}); it was written by another version: "
            "delete the topic upstox_instrument_state and start again"
        ) from error
    return state


def _is_tick(key: str, record: Mapping[str, Any]) -> bool:
    """Say whether a stored record is a tick of `key` by this version's definition."""
    complete = all(record.get(field.name) is not None for field in records.TICK if field.required)
    ours = record.get("schema_version") == records.SCHEMA_VERSION and record.get("instrument_key") == key
    return complete and ours and problem(records.TICK, record) is None and record["event_time_ms"] > 0


def continued(state: InstrumentState, stored: Mapping[str, Any]) -> Continued:
    """Infer a spooled tick anew from what is really stored: drop it if it is, and let its volume span what is missing."""
    tick = tick_from_record(stored)
    if not _is_newer(tick, state):
        return Continued(state, None)
    follows = tick.sequence == state.sequence + 1 or (state.trading_date != tick.trading_date and tick.sequence == 1)
    after, again, _ = _inferred(state, tick, after_gap=tick.gap or not follows)
    return Continued(after, again)


def _is_newer(tick: Tick, state: InstrumentState) -> bool:
    return (tick.trading_date, tick.sequence) > (state.trading_date, state.sequence)


def _inferred(state: InstrumentState, tick: Tick, *, after_gap: bool) -> Inference:
    start_ms, end_ms = tick.session_start_ms or 0, tick.session_end_ms or 0
    auction_end_ms = max(end_ms, tick.event_time_ms + 1) if tick.session_phase == "closing_auction" else end_ms
    last_ms = max(auction_end_ms, tick.event_time_ms + 1) if tick.session_phase == "post_close" else auction_end_ms
    session = Session(tick.trading_date, min(start_ms, tick.event_time_ms), start_ms, end_ms, auction_end_ms, last_ms)
    return infer(state, update_from_tick(tick), session, tick.segment_status, after_gap=after_gap)
