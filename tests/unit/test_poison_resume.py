"""A streamer that starts again must not stumble over what others have put on its topics."""

from __future__ import annotations

from typing import Any

import pytest

from orderflow.broker.resume import _record
from orderflow.market.tick import Tick, tick_record
from orderflow.upstox.resume import restored_state

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
    ],
)
def test_state_when_a_newer_record_is_no_tick_then_it_is_left_out(junk: dict[str, Any]) -> None:
    expected = restored_state(KEY, None, [stored(1), stored(2)])
    assert expected.sequence == 2
    assert restored_state(KEY, None, [stored(1), junk, stored(2)]) == expected
