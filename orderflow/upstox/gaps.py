"""Tracks which instruments may have missed updates, and which have an impossible baseline."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final, NamedTuple

_QUIET_MS: Final = 5_000
_RESET_UPDATES: Final = 20
_RESET_MS: Final = 30_000


@dataclass(slots=True)
class GapTracker:
    """Remember why updates of an instrument were missed, until the volume traded meanwhile is counted, or none was traded.

    None was traded if live updates state the known volume for five seconds: the first of them may be as old as the outage.
    """

    _causes: dict[str, str] = field(default_factory=dict)
    _unchanged_since_ms: dict[str, int] = field(default_factory=dict)

    def miss(self, keys: Iterable[str], cause: str) -> None:
        """Record that updates of `keys` were missed; the first cause is kept until the gap is settled."""
        for key in keys:
            self._causes.setdefault(key, cause)
            self._unchanged_since_ms.pop(key, None)

    def cause(self, key: str) -> str | None:
        """Return the cause of missed updates; None if none were missed."""
        return self._causes.get(key)

    def settle(self, key: str) -> None:
        """Clear the gap: the missed volume is counted, or the instrument is no longer watched."""
        self._causes.pop(key, None)
        self._unchanged_since_ms.pop(key, None)

    def unchanged(self, key: str, at_ms: int) -> None:
        """Note a live update that states the known volume."""
        if at_ms - self._unchanged_since_ms.setdefault(key, at_ms) >= _QUIET_MS:
            self.settle(key)


class Fall(NamedTuple):
    """Updates of one instrument in a row whose cumulative volume is below the known one."""

    updates: int
    since_ms: int
    least_vtt: int


@dataclass(slots=True)
class BaselineWatch:
    """Detect cumulative volumes that stay below the known one: it was wrong, or this is a different feed (demo, then live)."""

    falls: dict[str, Fall] = field(default_factory=dict)

    def fell(self, key: str, vtt: int, at_ms: int) -> Fall | None:
        """Record a cumulative volume below the known one; after 20 updates and 30 s of these, return the fall and clear it."""
        known = self.falls.get(key)
        fall = Fall(1, at_ms, vtt) if known is None else Fall(known.updates + 1, known.since_ms, min(known.least_vtt, vtt))
        if fall.updates < _RESET_UPDATES or at_ms - fall.since_ms < _RESET_MS:
            self.falls[key] = fall
            return None
        self.rose(key)
        return fall

    def rose(self, key: str) -> None:
        """Note a cumulative volume that is not below the known one."""
        self.falls.pop(key, None)
