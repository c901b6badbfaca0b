"""Reads the records of the state topic, by the form of their keys, and finds the invalid ones.

`INSTRUMENT` has {"state": InstrumentState or null, "owner": who published it}, `segment|SEGMENT` a SegmentState and its owner,
`positions|OWNER` where the tick topic stood when that owner last published states.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from orderflow.market.conformity import MOST
from orderflow.market.errors import DecodeError
from orderflow.market.inference import InstrumentState
from orderflow.market.session import SegmentState

SEGMENT: Final = "segment|"
POSITIONS: Final = "positions|"

_FUTURE_MS: Final = 6 * 60_000
"""Feed times are at most a minute ahead of the streamer's clock, which is at most five ahead of the broker's."""


def require_usable(key: str, record: Mapping[str, Any], stored_ms: int) -> None:
    """Raise DecodeError, with a reason for the rejects topic, if a record is not what its key requires."""
    if key.startswith(POSITIONS):
        _require_positions(record)
        return
    if not isinstance(record.get("owner"), str):
        raise DecodeError("bad_state", "no owner")
    if key.startswith(SEGMENT):
        segment_state(record)
        return
    if record.keys() != {"state", "owner"}:
        raise DecodeError("bad_state", "other fields than state and owner")
    if record["state"] is None:
        return
    if not isinstance(record["state"], dict):
        raise DecodeError("bad_state", "state is no object")
    state = InstrumentState.from_record(record["state"])
    if state.instrument_key != key:
        raise DecodeError("wrong_key", f"the state of {state.instrument_key[:40]}")
    times = (state.feed_time_ms, state.ltt_ms, state.bar_start_ms)
    if max(at_ms or 0 for at_ms in times) > stored_ms + _FUTURE_MS:
        raise DecodeError("state_in_future", f"fed at {state.feed_time_ms}, stored at {stored_ms}")


def segment_state(record: Mapping[str, Any]) -> SegmentState:
    """Return the announcements of a `segment|` record. Raises DecodeError when it holds anything else."""
    return SegmentState.from_record({name: value for name, value in record.items() if name != "owner"})


def _require_positions(record: Mapping[str, Any]) -> None:
    positions = record.get("positions")
    if not isinstance(positions, dict):
        raise DecodeError("bad_state", "no positions")
    for partition, offset in positions.items():
        if not partition.isdecimal() or not isinstance(offset, int) or isinstance(offset, bool) or not 0 <= offset < MOST:
            raise DecodeError("bad_state", f"position {str(offset)[:40]!r} of partition {partition[:40]!r}")


def restored_segments(states: Mapping[str, Mapping[str, Any]]) -> dict[str, SegmentState]:
    """Return the announcements kept on the state topic, by segment. Raises DecodeError when one of `states` is none."""
    return {key.removeprefix(SEGMENT): segment_state(record) for key, record in states.items() if key.startswith(SEGMENT)}
