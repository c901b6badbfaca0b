"""Measures how often each instrument is updated, and derives whether it is live, quiet, stalled or not served."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple

State = Literal["live", "quiet", "stalled", "dead", "not served"]
STATES: Final[tuple[State, ...]] = ("live", "quiet", "stalled", "dead", "not served")
SILENCE_MS: Final = 30_000
NOT_SERVED_MS: Final = 20_000
"""A server sends the first state of every instrument within a second or two; for a key it does not know it sends nothing."""

_UNUSUAL: Final = 10.0
_LIVE_MS: Final = 10_000
_LIVE: Final = 3.0
_STALLED_MS: Final = 120_000
_WEIGHT: Final = 0.05
_KNOWN_AFTER: Final = 5
_FEW: Final = 20


@dataclass(slots=True)
class Pace:
    """The updates of one instrument: the feed time of the last one, and the usual time between two."""

    last_ms: int | None = None
    usual_ms: float = 0.0
    gaps: int = 0

    def heard(self, at_ms: int, connected_since_ms: int | None = None) -> int:
        """Note an update; return the silence before it in milliseconds if that was unusual, else 0.

        A silence that began before `connected_since_ms` belongs to an outage, and does not count towards the
        instrument's pace.
        """
        before_ms = self.last_ms
        if before_ms is not None and at_ms < before_ms:
            return 0
        self.last_ms = at_ms
        if before_ms is None or (connected_since_ms is not None and before_ms < connected_since_ms):
            return 0
        gap_ms = at_ms - before_ms
        unusual = gap_ms > SILENCE_MS and self.gaps >= _KNOWN_AFTER and gap_ms > _UNUSUAL * self.usual_ms
        self.gaps += 1
        self.usual_ms += (gap_ms - self.usual_ms) * (_WEIGHT if self.gaps >= _FEW else 1.0 / self.gaps)
        return gap_ms if unusual else 0


class InstrumentHealth(NamedTuple):
    """The health of one instrument: its state, the age of its last update and the usual time between two, in seconds."""

    state: State
    last_update_seconds: float | None
    usual_seconds: float | None


@dataclass(slots=True)
class PaceBook:
    """The pace of every instrument watched, and those that the server does not serve."""

    connected_since_ms: int | None = None
    not_served: set[str] = field(default_factory=set)
    _awaited: dict[str, int] = field(default_factory=dict)
    _paces: dict[str, Pace] = field(default_factory=dict)

    def subscribed(self, keys: Iterable[str], at_ms: int) -> None:
        """Note that a first update of `keys` is due."""
        self._awaited.update(dict.fromkeys(keys, at_ms))

    def unserved(self, now_ms: int) -> set[str]:
        """Return the keys for which the server has sent nothing since they were subscribed at least 20 s ago, each once."""
        unserved = {key for key, since_ms in self._awaited.items() if now_ms - since_ms >= NOT_SERVED_MS} - self.not_served
        self.not_served |= unserved
        return unserved

    def is_served_again(self, key: str) -> bool:
        """Return whether this key had been reported as not served, and count it as served from now on."""
        if key not in self.not_served:
            return False
        self.not_served.discard(key)
        return True

    def heard(self, key: str, at_ms: int) -> int:
        """Note an update at feed time `at_ms`; return the length of an unusual silence before it, else 0."""
        if self._awaited:
            self._awaited.pop(key, None)
        pace = self._paces.get(key)
        if pace is None:
            pace = self._paces[key] = Pace()
        return pace.heard(at_ms, self.connected_since_ms)

    def forget(self, key: str) -> None:
        """Forget an instrument that is no longer watched."""
        self._paces.pop(key, None)
        self._awaited.pop(key, None)
        self.not_served.discard(key)

    def health(self, keys: Iterable[str], feed_now_ms: int | None, continuous: Mapping[str, bool]) -> dict[str, InstrumentHealth]:
        """Return the health of `keys` at the feed's time now; `continuous` says by key whether it should be trading."""
        return {key: self._health(key, feed_now_ms, continuous.get(key, False)) for key in keys}

    def _health(self, key: str, now_ms: int | None, continuous: bool) -> InstrumentHealth:
        pace = self._paces.get(key)
        silent_ms = None if pace is None or pace.last_ms is None or now_ms is None else max(0, now_ms - pace.last_ms)
        usual_ms = None if pace is None or pace.gaps == 0 else pace.usual_ms
        state: State
        if key in self.not_served:
            state = "not served"
        elif silent_ms is None or not continuous:
            state = "quiet"
        elif silent_ms <= max(_LIVE_MS, _LIVE * (usual_ms or 0.0)):
            state = "live"
        else:
            state = "stalled" if usual_ms is not None and silent_ms > max(_STALLED_MS, _UNUSUAL * usual_ms) else "quiet"
        return InstrumentHealth(
            state,
            None if silent_ms is None else round(silent_ms / 1000, 1),
            None if usual_ms is None else round(usual_ms / 1000, 1),
        )
