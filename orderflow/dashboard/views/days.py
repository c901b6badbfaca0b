"""The running day and the past ones, and what a page must know to choose among them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from orderflow.dashboard.sources.archive import Archive
from orderflow.dashboard.sources.directory import Directory
from orderflow.dashboard.state.store import Store
from orderflow.dashboard.views.footprint import DEFAULT, Imbalances
from orderflow.dashboard.views.viewer import MINUTES, Viewer
from orderflow.market.price_unit import currency_decimals


class Days:
    """The running day in `store` and the days of the archive, whose calls block and raise OrderflowError.

    `buffer` is how many candles a view has by default, `marked` which imbalances a footprint marks.
    """

    def __init__(
        self, store: Store, directory: Directory, archive: Archive, buffer: int = 100, marked: Imbalances = DEFAULT
    ) -> None:
        self.store = store
        self.buffer = buffer
        self.marked = marked
        self.past_day, self.past_candles, self.stored_dates = archive.day, archive.candles, archive.dates
        self._directory = directory

    def default_instrument(self) -> str:
        """Return the instrument shown when none is asked for."""
        keys = self._directory.instruments or tuple(self.store.instruments)
        return keys[0] if keys else ""

    def listing(self) -> list[dict[str, str]]:
        """Return every known instrument with its symbol and name, configured ones first."""
        with self.store.lock:
            known = tuple(self.store.instruments)
        return self._directory.listing(known)

    def hello(self, user: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Return the first message of every conversation, with the user that has logged in."""
        listed = self.listing()
        known: dict[str, Any] = {"instruments": listed, "minutes": MINUTES, "imbalances": self.marked.words()}
        known["user"] = user
        known["decimals"] = currency_decimals()
        return {"type": "hello", **known, "server_ms": self.store.clock_ms()}

    def new_viewer(self) -> Viewer:
        """Return the memory of a viewer that has been sent nothing yet."""
        return Viewer(self.store, self._directory, self.marked)

    def store_of(self, key: str, date: str) -> Store:
        """Return what holds an instrument's day: the running day, also for an empty date, or a past one.

        Blocks while that is read; raises OrderflowError when it cannot be had.
        """
        live = self.store.instrument(key)
        if not date or (live is not None and live.date == date):
            return self.store
        return self.past_day(key, date).store
