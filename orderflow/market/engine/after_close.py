"""Candles of trading after the continuous session: one for the closing auction and one for post-close trading.

On the axis of cumulative volume a phase lies behind the session's minutes, at a minute number that stands for it:

    … 15:13 │ 15:14 │ closing_auction │ post_close
                    └── end of continuous trading

The time of its candle is the minute of its last trade, which is not known before the phase is over.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import msgspec

from orderflow.market.phases import CLOSING_AUCTION, POST_CLOSE
from orderflow.market.times import MINUTE_MS

OVER_AFTER_MS: Final = {CLOSING_AUCTION: 20 * MINUTE_MS, POST_CLOSE: 60 * MINUTE_MS}
"""How long after the end of continuous trading each later phase is complete: its last trade has arrived by then."""


class PhaseMinute(msgspec.Struct, array_like=True, gc=False):
    """The minute that stands for a phase on the axis, and the time of the phase's last trade."""

    minute: int
    last_trade_ms: int


class AfterClose:
    """The phases of one session that traded after its end, in the order of the axis."""

    __slots__ = ("phases",)

    def __init__(self, phases: dict[str, PhaseMinute] | None = None) -> None:
        self.phases = {} if phases is None else phases

    def minute_of(self, session_phase: str | None, ltt_ms: int, volume: int, first: int, closed: int) -> int:
        """Return the minute that stands for the phase of an update, and note the time of its trade if it has `volume`.

        `first` is the minute at which continuous trading ends, `closed` the first that is not published.
        """
        phase = CLOSING_AUCTION if session_phase == CLOSING_AUCTION else POST_CLOSE
        known = self.phases.get(phase)
        if known is None:
            minute = max(first, closed, *(other.minute + 1 for other in self.phases.values()))
            if volume:
                self.phases[phase] = PhaseMinute(minute, ltt_ms)
            return minute
        if known.minute >= closed and volume and ltt_ms > known.last_trade_ms:
            known.last_trade_ms = ltt_ms
        return known.minute

    def open(self, closed: int) -> Iterator[tuple[str, int]]:
        """Yield the phases that are not published, each with its minute."""
        return ((phase, known.minute) for phase, known in self.phases.items() if known.minute >= closed)

    def start_ms(self, minute: int) -> int:
        """Return the start of a minute's candle; for a minute that stands for a phase, the minute of the phase's last trade."""
        for known in self.phases.values():
            if known.minute == minute:
                return known.last_trade_ms - known.last_trade_ms % MINUTE_MS
        return minute * MINUTE_MS
