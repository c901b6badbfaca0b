"""Past days, loaded from the archive one at a time; the last few are kept."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from datetime import date as calendar_date
from typing import Final, TypeVar

from orderflow.dashboard.sources.day_reading import SUPERSEDED_SECONDS, SupersededError, never, read_day
from orderflow.dashboard.sources.history import History
from orderflow.dashboard.sources.past_day import Day, whole_store
from orderflow.dashboard.state.store import Store, clock_ms
from orderflow.market.errors import OrderflowError
from orderflow.market.times import ist_date

DAYS_KEPT: Final = 8
CANDLE_DAYS_KEPT: Final = 24
Kept = TypeVar("Kept")


class Archive:
    """Loads past days and keeps the last few; safe to call from threads, of which one reads at a time and the others wait.

    Without a history there are no dates, and every other call raises OrderflowError.
    """

    def __init__(self, history: History | None) -> None:
        self._history = history
        self._days: OrderedDict[tuple[str, str], Day] = OrderedDict()
        self._stores: OrderedDict[tuple[str, str], Store] = OrderedDict()
        self._lock = threading.Lock()

    def dates(self) -> list[str]:
        """Return the dates held, oldest first; raise OrderflowError when the archive cannot be read."""
        if self._history is None:
            return []
        try:
            return list(self._history.dates())
        except OSError as error:
            raise OrderflowError(f"HDFS does not answer ({error}); is the NameNode up?") from error

    def day(self, key: str, date: str, superseded: Callable[[], bool] = never) -> Day:
        """Return one instrument's day; raise OrderflowError if it cannot be read, SupersededError once it is no longer wanted."""
        history = self._present()
        try:
            calendar_date.fromisoformat(date)
        except ValueError:
            raise OrderflowError(f"{date} is not a valid date") from None
        while not self._lock.acquire(timeout=SUPERSEDED_SECONDS):
            if superseded():
                raise SupersededError(f"{date} is no longer wanted")
        try:
            day = _held(self._days, (key, date))
            if day is None:
                instrument, trades = read_day(history, key, date, _today(), with_trades=True, superseded=superseded)
                day = Day(key, date, whole_store(clock_ms, instrument), trades)
                if instrument.starts or len(trades):
                    _keep(self._days, (key, date), day, DAYS_KEPT)
            return day
        finally:
            self._lock.release()

    def candles(self, key: str, date: str) -> Store:
        """Return one instrument's candles and footprint of a day, without its trades; raise OrderflowError as `day` does."""
        history = self._present()
        with self._lock:
            if (day := _held(self._days, (key, date))) is not None:
                return day.store
            store = _held(self._stores, (key, date))
            if store is None:
                store = whole_store(clock_ms, read_day(history, key, date, _today(), with_trades=False)[0])
                if store.instruments[key].starts and date != _today():
                    _keep(self._stores, (key, date), store, CANDLE_DAYS_KEPT)
            return store

    def _present(self) -> History:
        if self._history is None:
            raise OrderflowError("no archive is configured; set NAMENODE_URL and start HDFS")
        return self._history


def _today() -> str:
    return ist_date(clock_ms())


def _held(cache: OrderedDict[tuple[str, str], Kept], place: tuple[str, str]) -> Kept | None:
    kept = cache.get(place)
    if kept is not None:
        cache.move_to_end(place)
    return kept


def _keep(cache: OrderedDict[tuple[str, str], Kept], place: tuple[str, str], kept: Kept, most: int) -> None:
    cache[place] = kept
    while len(cache) > most:
        cache.popitem(last=False)
