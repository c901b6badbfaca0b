"""Who is who: the configured instruments, their symbols and names, and when their market next opens.

The instrument master and the holidays may take seconds to come, so they are fetched on a thread and the page starts without.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, timedelta
from typing import Final, Protocol

from orderflow.dashboard.store import trading_date
from orderflow.market.errors import OrderflowError
from orderflow.market.session import SessionCalendar

Names = Mapping[str, tuple[str, str]]
DAYS_AHEAD: Final = 15
_KEPT: Final = ("NSE_EQ|", "NSE_INDEX|", "BSE_INDEX|")

log = logging.getLogger(__name__)


class Listing(Protocol):
    """One row of the instrument master."""

    @property
    def trading_symbol(self) -> str:
        """Return the exchange's symbol."""

    @property
    def name(self) -> str:
        """Return the company's or contract's name."""


class Master(Protocol):
    """The instrument master, as far as the page needs it."""

    @property
    def by_key(self) -> Mapping[str, Listing]:
        """Return every instrument by key."""

    @property
    def with_derivatives(self) -> frozenset[str]:
        """Return the stocks that close by auction."""

    def resolve(self, name: str) -> str:
        """Return the key of what a person wrote; raise OrderflowError when it is unknown."""


class Directory:
    """Instruments by key; complete once `load` has run, usable before."""

    def __init__(self, configured: Sequence[str], names: Names | None = None) -> None:
        self._configured = tuple(configured)
        self.instruments = tuple(name for name in configured if "|" in name)
        self.names: dict[str, tuple[str, str]] = dict(names or {})
        self._with_derivatives: frozenset[str] = frozenset()
        self._calendar = SessionCalendar()

    def load(self, master: Callable[[], Master | None], holidays: Callable[[], frozenset[str]]) -> None:
        """Fetch master and holidays, each by a call that may block; what fails is logged and done without."""
        try:
            found = master()
        except OrderflowError as error:
            log.warning("%s; instruments are shown by key", error)
            found = None
        if found is not None:
            self._take(found)
        self._calendar = SessionCalendar(holidays())

    def load_aside(self, master: Callable[[], Master | None], holidays: Callable[[], frozenset[str]]) -> None:
        """Run `load` on a thread."""
        threading.Thread(target=self.load, args=(master, holidays), name="directory", daemon=True).start()

    def symbol(self, key: str) -> tuple[str, str]:
        """Return (trading symbol, name), falling back to what the key says."""
        found = self.names.get(key)
        return found if found is not None else (key.partition("|")[2] or key, key)

    def listing(self, known: Iterable[str]) -> list[dict[str, str]]:
        """Return the configured instruments and the `known` ones, each with key, symbol and name."""
        keys = dict.fromkeys((*self.instruments, *sorted(known)))
        return [dict(zip(("key", "symbol", "name"), (key, *self.symbol(key)), strict=True)) for key in keys]

    def next_open_ms(self, key: str, now_ms: int) -> int | None:
        """Return the forecast start of the next continuous session after `now_ms`; None beyond two weeks."""
        today = date.fromisoformat(trading_date(now_ms))
        for ahead in range(DAYS_AHEAD):
            day = (today + timedelta(days=ahead)).isoformat()
            session = self._calendar.session(key, day, closing_auction=key in self._with_derivatives)
            if session.start_ms > now_ms and session.end_ms > session.start_ms:
                return session.start_ms
        return None

    def _take(self, master: Master) -> None:
        keys = []
        for name in self._configured:
            try:
                keys.append(master.resolve(name))
            except OrderflowError as error:
                log.warning("%s", error)
        self.names |= {
            key: (listing.trading_symbol or key.partition("|")[2], listing.name)
            for key, listing in master.by_key.items()
            if key.startswith(_KEPT) or key in keys
        }
        self.instruments = tuple(dict.fromkeys(keys)) or self.instruments
        self._with_derivatives = master.with_derivatives
