"""Decides when changed states are published: a flush is published only after every record that it includes is stored."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import orjson

from orderflow.market.stored_state import POSITIONS

_EVERY_SECONDS: Final = 1.5


@dataclass(slots=True)
class StateFlush:
    """Collects changed states of `owner`, and returns them once the records they include are stored. Pure."""

    owner: str
    _changed: dict[str, Callable[[], dict[str, Any]]] = field(default_factory=dict)
    _waiting: tuple[int, deque[tuple[str, bytes]]] | None = None
    _begun_at: float = float("-inf")

    @property
    def is_empty(self) -> bool:
        """Return whether nothing waits to be published."""
        return not self._changed and self._waiting is None

    def changed(self, key: str, record: Callable[[], dict[str, Any]]) -> None:
        """Note that the state under `key` changed; `record` gives it when it is due."""
        self._changed[key] = record

    def publish(self, acknowledged: int, hand_over: Callable[[str, bytes], bool]) -> None:
        """Hand over the states whose records are all stored, and the position last; call `begin` after.

        States that `hand_over` refuses are kept for the next call: a position published without the states before it
        would hide stored ticks from the next start, which would then count their volume twice.
        """
        if self._waiting is None or acknowledged < self._waiting[0]:
            return
        _, states = self._waiting
        while states and hand_over(*states[0]):
            states.popleft()
        if not states:
            self._waiting = None

    def begin(self, now: float, handed_over: int, positions: Mapping[str, int], *, at_once: bool = False) -> None:
        """Take what has changed, one and a half seconds after the last time or `at_once`.

        `handed_over` is the number of the last record that it includes, `positions` where the tick topic stands.
        """
        if self._waiting is not None or not self._changed or (now - self._begun_at < _EVERY_SECONDS and not at_once):
            return
        self._begun_at = now
        states = deque((key, orjson.dumps({**record(), "owner": self.owner})) for key, record in self._changed.items())
        states.append((f"{POSITIONS}{self.owner}", orjson.dumps({"positions": positions})))
        self._changed.clear()
        self._waiting = (handed_over, states)
