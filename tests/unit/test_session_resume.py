"""A tick that is inferred again from what was stored keeps the phase that it had."""

from __future__ import annotations

from dataclasses import replace

import pytest
from session_days import TCS, ist

from orderflow.market.inference import InstrumentState
from orderflow.market.tick import Tick
from orderflow.upstox.resume import continued

OPEN_MS, CLOSE_MS = ist("2021-02-24T09:15"), ist("2021-02-24T17:00")
BEFORE = InstrumentState(
    TCS, "2021-02-24", 7, vtt=5_000, ltp=100.0, ltt_ms=ist("2021-02-24T11:39"), feed_time_ms=OPEN_MS, in_session=True
)


def stored(at: str, phase: str) -> Tick:
    at_ms = ist(f"2021-02-24T{at}")
    return Tick(
        1, TCS, "update", 8, at_ms, at_ms + 20, at_ms, "2021-02-24", ltp=100.5, ltt_ms=at_ms, ltq=5, vtt=13_000,
        session_phase=phase, session_start_ms=OPEN_MS, session_end_ms=CLOSE_MS, traded_volume=8_000,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("at", "phase", "auction"),
    [
        ("15:38:01", "opening_auction", True),
        ("15:31:00", "pre_open", True),
        ("11:41:00", "halt", True),
        ("15:46:00", "continuous", False),
        ("09:15:00", "opening_auction", True),
        ("17:00:00", "post_close", True),
        ("17:00:00", "closing_auction", True),
    ],
)
def test_tick_when_inferred_again_then_its_phase_and_that_it_is_an_auction_stay(at: str, phase: str, auction: bool) -> None:
    again = continued(replace(BEFORE, ltt_ms=OPEN_MS), stored(at, phase)).tick
    assert again is not None
    assert (again.session_phase, again.auction, again.traded_volume) == (phase, auction, 8_000)
