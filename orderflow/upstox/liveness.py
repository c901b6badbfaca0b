"""Decides whether an open connection is dead, from the usual gaps between messages. Pure: times are passed with each call.

Pings on the socket show whether the other side is reachable. This module detects a server that answers pings but sends
nothing. With twenty liquid shares a message comes every second; with three far options none may come for minutes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

STALL_SECONDS: Final = 30.0
FIRST_MESSAGE_SECONDS: Final = 20.0
MOST_STALL_SECONDS: Final = 900.0

_UNKNOWN: Final = 10.0
_ENOUGH_GAPS: Final = 20
_UNUSUAL: Final = 4.0
_HALF_LIFE_SECONDS: Final = 1_800.0


@dataclass(slots=True)
class Liveness:
    """Judge silences against the longest recent gap between two live messages, which is remembered across connections.

    Until twenty gaps are known, ten times `stall_seconds` are allowed, because three contracts that update every minute
    or two may begin with a gap of a few seconds. A list of liquid shares has twenty gaps within seconds. If a
    connection ends as stalled without a live message, the next one is allowed twice as long: probably the market is
    silent (a halt), and a new connection would not change that.
    """

    stall_seconds: float = STALL_SECONDS
    first_message_seconds: float = FIRST_MESSAGE_SECONDS
    most_seconds: float = MOST_STALL_SECONDS
    usual_seconds: float = 0.0
    gaps: int = 0
    fruitless: int = 0
    _opened_at: float = 0.0
    _live: int = 0
    _live_at: float | None = None
    _trading_since: float | None = None

    def opened(self, now: float, live_messages: int) -> None:
        """Begin a connection; `live_messages` is how many live messages have come since the process began."""
        self._opened_at, self._live, self._live_at = now, live_messages, None

    def silence(self, now: float, last_message_at: float | None, live_messages: int, *, trading: bool) -> float | None:
        """Return how long the feed has been silent if that is too long, else None; call it several times a second.

        `last_message_at` is of this connection; `trading` says that a watched instrument should be trading now.
        """
        if last_message_at is None:
            waited = now - self._opened_at
            return waited if waited > self.first_message_seconds else None
        if live_messages != self._live:
            self._heard(last_message_at, live_messages)
        if not trading:
            self._trading_since = None
            return None
        if self._trading_since is None:
            self._trading_since = now
        silent = now - max(last_message_at, self._trading_since)
        return silent if silent > self.limit_seconds() else None

    def stalled(self) -> None:
        """Record that the connection was closed because it was silent."""
        self.fruitless = self.fruitless + 1 if self._live_at is None else 0

    @property
    def knows_pace(self) -> bool:
        """Return whether enough gaps are known to judge a silence by them."""
        return self.gaps >= _ENOUGH_GAPS

    def limit_seconds(self) -> float:
        """Return the silence that is allowed now."""
        usual = self.usual_seconds * _UNUSUAL
        if not self.knows_pace:
            usual = max(usual, self.stall_seconds * _UNKNOWN)
        most = max(self.stall_seconds, self.most_seconds)
        return min(max(self.stall_seconds, usual) * 2.0 ** min(self.fruitless, 20), most)

    def _heard(self, at: float, live_messages: int) -> None:
        if self._live_at is not None:
            gap = max(0.0, at - self._live_at)
            remembered = self.usual_seconds * 0.5 ** (gap / _HALF_LIFE_SECONDS)
            self.usual_seconds = max(gap, remembered)
            self.gaps += 1
            self.fruitless = 0
        self._live, self._live_at = live_messages, at
