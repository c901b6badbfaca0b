"""Follows the watch-list file and the instrument master, on a thread of its own, until each change has succeeded.

Names are looked up again when the list changes, at each new date in IST, because contracts expire, and at 08:00, when
the day's master is available. Looking up names, taking leases and reading states block for seconds, and can fail while
Kafka or ZooKeeper is unreachable. A change that fails is tried again; meanwhile everything streams as before.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple, Protocol

from orderflow.market.errors import OrderflowError
from orderflow.market.inference import InstrumentState
from orderflow.market.times import ist_date
from orderflow.upstox.resolution import Selection
from orderflow.upstox.resume import restored_state
from orderflow.upstox.storage import Stored

log = logging.getLogger(__name__)

_LOOK_SECONDS: Final = 2.0
_MOST_SECONDS: Final = 30.0
_MASTER_MS: Final = 8 * 3_600_000
"""How long after midnight the master of a day is available."""


class Leases(Protocol):
    """What is needed of `lease.InstrumentLeases`."""

    def acquire(self, keys: Iterable[str]) -> dict[str, str]:
        """Take all of `keys` or none; return by key who holds those that are taken."""
        ...

    def release(self, keys: Iterable[str]) -> None:
        """Give leases back."""
        ...


class Change(NamedTuple):
    """A changed list that is ready to take effect: its leases are held and its states are read."""

    selection: Selection
    added: tuple[str, ...]
    removed: tuple[str, ...]
    rolled: dict[str, str]
    replaced: dict[str, str]
    states: tuple[InstrumentState, ...]
    stored: Stored | None


@dataclass(slots=True)
class WatchList:
    """Prepares changes of the streamed instruments; `take` returns one that is ready, `applied` records that it took effect.

    `names` gives the names wanted now with their modes, `select` their keys, `read` what is stored of some; all three may
    raise OrderflowError.
    """

    names: Callable[[], Mapping[str, str]]
    select: Callable[[Mapping[str, str]], Selection]
    read: Callable[[tuple[str, ...]], Stored]
    leases: Leases | None
    now_ms: Callable[[], int]
    current: Selection
    wanted: Mapping[str, str]
    failure: str = ""
    _day: tuple[str, str] = ("", "")
    _taken: set[str] = field(default_factory=set)
    _ready: Change | None = None
    _stop: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self._day = _day(self.now_ms())

    def start(self) -> None:
        """Begin to look every two seconds."""
        self._thread = threading.Thread(target=self._run, name="watch-list", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop looking; does not wait for what blocks."""
        self._stop.set()

    def take(self) -> Change | None:
        """Return a change that is ready, once."""
        with self._lock:
            ready, self._ready = self._ready, None
        return ready

    def look(self) -> bool:
        """Prepare a change if the list is another, or names are to be looked up again; return False when that failed."""
        day = _day(self.now_ms())
        try:
            names = self.names()
            if (names, day) == (self.wanted, self._day):
                self._succeeded()
                return True
            change = self._prepared(self.select(names))
        except OrderflowError as error:
            if str(error) != self.failure:
                log.error("the watch list stays unchanged and is tried again: %s", error)
            self.failure = str(error)
            return False
        self._succeeded()
        self.wanted, self._day = names, day
        for name, cause in change.selection.skipped.items():
            if name not in self.current.skipped:
                log.warning("not streamed: %s: %s", name, cause)
        for key, cause in change.replaced.items():
            log.warning("%s: %s", key, cause)
        self.current = change.selection
        self._taken.clear()
        with self._lock:
            self._ready = change if self._ready is None else _joined(self._ready, change)
        return True

    def _prepared(self, selection: Selection) -> Change:
        added = tuple(key for key in selection.keys if key not in self.current.keys)
        removed = tuple(key for key in self.current.keys if key not in selection.keys)
        rolled = {name: key for name, key in selection.rolling.items() if self.current.rolling.get(name, key) != key}
        replaced = {key: text for key, text in selection.replaced.items() if key not in self.current.replaced}
        if self.leases is not None:
            self.leases.release(self._taken.difference(added))
            self._taken.intersection_update(added)
            taken = self.leases.acquire(added) if added else {}
            if taken:
                key, holder = next(iter(taken.items()))
                raise OrderflowError(f"{key} is streamed already by {holder}")
            self._taken.update(added)
        stored = self.read(added) if added else None
        states = () if stored is None else tuple(_restored(key, stored) for key in added)
        return Change(selection, added, removed, rolled, replaced, states, stored)

    def _succeeded(self) -> None:
        if self.failure:
            log.info("the watch list can be read again")
        self.failure = ""

    def _run(self) -> None:
        seconds = _LOOK_SECONDS
        while not self._stop.wait(seconds):
            seconds = _LOOK_SECONDS if self.look() else min(seconds * 2.0, _MOST_SECONDS)


def _day(at_ms: int) -> tuple[str, str]:
    """Return the date, and the date of the present instrument master."""
    return ist_date(at_ms), ist_date(at_ms - _MASTER_MS)


def _restored(key: str, stored: Stored) -> InstrumentState:
    return restored_state(key, stored.states.get(key), stored.ticks.get(key, ()))


def _joined(first: Change, second: Change) -> Change:
    """Merge two consecutive changes, the first of which has not taken effect yet."""
    back = set(second.added).intersection(first.removed)
    added = tuple(key for key in (*first.added, *second.added) if key not in back and key not in second.removed)
    removed = (*(key for key in first.removed if key not in back), *second.removed)
    states = {each.instrument_key: each for each in (*first.states, *second.states) if each.instrument_key in added}
    rolled, replaced = {**first.rolled, **second.rolled}, {**first.replaced, **second.replaced}
    return Change(second.selection, added, removed, rolled, replaced, tuple(states.values()), second.stored or first.stored)
