"""Reads the results of closed days, so that the page can say whether a day is sound."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from typing import Final

from orderflow.dashboard.state.store import Store
from orderflow.market.closed_day import ClosedDay
from orderflow.market.errors import OrderflowError

EVERY_SECONDS: Final = 60.0

log = logging.getLogger(__name__)


class ClosedDays:
    """Reads them into the store every minute, on its own thread; if they cannot be read, the store is unchanged."""

    def __init__(self, read: Callable[[], Mapping[str, ClosedDay]], store: Store) -> None:
        self._read, self._store = read, store
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="closed-days", daemon=True)

    def start(self) -> None:
        """Begin to read."""
        self._thread.start()

    def stop(self) -> None:
        """Stop reading; does not wait for an answer of HDFS."""
        self._stop.set()

    def look(self) -> None:
        """Read once."""
        try:
            self._store.report_closed(self._read())
        except (OrderflowError, OSError) as error:
            log.debug("the results of closed days cannot be read: %s", error)

    def _run(self) -> None:
        self.look()
        while not self._stop.wait(EVERY_SECONDS):
            self.look()
