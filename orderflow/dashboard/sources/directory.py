"""The directory of instruments: the configured ones, their symbols and names, and when their market next opens.

Fetching the instrument master and the calendar may take seconds, so it happens in the background and the page starts before.
"""

from __future__ import annotations

import logging
import re
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from datetime import date, timedelta
from multiprocessing import get_context
from typing import Final, Protocol

from orderflow.market.errors import OrderflowError
from orderflow.market.phases import CONTINUOUS, Day
from orderflow.market.session import SessionCalendar, segment_of
from orderflow.market.times import ist_date

Names = Mapping[str, tuple[str, str]]
DAYS_AHEAD: Final = 15
NAMES_EVERY_SECONDS: Final = 60.0
_CONTRACT: Final = re.compile(
    r"(?P<underlying>.+?)(?: (?P<strike>\d+(?:\.\d+)?))? (?P<type>CE|PE|FUT) (?P<day>\d{1,2} [A-Z]{3}) (?P<year>\d\d)"
)
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
        """Return the key for a name that a user typed; raise OrderflowError if it is unknown."""


MasterSource = Callable[[], tuple[Master | None, str]]
CalendarSource = Callable[[], tuple[SessionCalendar, str]]


@dataclass(frozen=True, slots=True)
class Fetched:
    """What the page keeps of master and calendar."""

    instruments: tuple[str, ...] = ()
    names: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    with_derivatives: frozenset[str] = frozenset()
    calendar: SessionCalendar = field(default_factory=SessionCalendar)
    warnings: tuple[str, ...] = ()


def contract_name(symbol: str, year: int) -> str:
    """Return a contract's symbol in traders' order: underlying, expiry, strike, type; with the year if it is not `year`.

    The master writes `NIFTY 26000 CE 25 DEC 25` and `NIFTY FUT 30 DEC 25`; anything else is returned as it is.
    """
    match = _CONTRACT.fullmatch(symbol)
    if match is None:
        return symbol
    day = match["day"] if 2000 + int(match["year"]) == year else f"{match['day']} {match['year']}"
    return " ".join(part for part in (match["underlying"], day, match["strike"], match["type"]) if part)


def fetch(
    configured: Sequence[str], master: MasterSource, calendar: CalendarSource, seen: Sequence[str] = (), year: int | None = None
) -> Fetched:
    """Ask both sources, which may block for seconds; a source that fails is skipped with a warning.

    `seen` are keys known only from the feed, which are named too. `year` is the year that contract names omit.
    """
    year = year if year is not None else date.today().year
    master_data: Master | None = None
    try:
        master_data, warning = master()
    except OrderflowError as error:
        warning = str(error)
    sessions, doubt = calendar()
    warnings = [text for text in (warning, doubt) if text]
    if master_data is None:
        return Fetched(calendar=sessions, warnings=tuple(warnings))
    keys = []
    for name in configured:
        try:
            keys.append(master_data.resolve(name))
        except OrderflowError as error:
            warnings.append(str(error))
    wanted = {*keys, *seen}
    names = {
        key: (contract_name(listing.trading_symbol, year) or key.partition("|")[2], listing.name)
        for key, listing in master_data.by_key.items()
        if key.startswith(_KEPT) or key in wanted
    }
    return Fetched(tuple(dict.fromkeys(keys)), names, master_data.with_derivatives, sessions, tuple(warnings))


class Directory:
    """Instruments by key; complete once something was fetched, usable before."""

    def __init__(self, configured: Sequence[str], names: Names | None = None) -> None:
        self._configured = tuple(configured)
        self.instruments = tuple(name for name in configured if "|" in name)
        self.names: dict[str, tuple[str, str]] = dict(names or {})
        self._with_derivatives: frozenset[str] = frozenset()
        self._calendar = SessionCalendar()

    def fetch_aside(self, master: MasterSource, calendar: CalendarSource, seen: Callable[[], Iterable[str]] = tuple) -> None:
        """Fetch on a thread, in a process of its own: a full master takes some 300 MB, which end with it.

        It is fetched again when `seen`, called every minute, has keys without a name that the last fetch was not asked for.
        Both sources must be importable functions or partials of such.
        """

        def run() -> None:
            asked: frozenset[str] | None = None
            while True:
                unnamed = frozenset(key for key in seen() if key not in self.names)
                if asked is None or not unnamed <= asked:
                    asked = unnamed | (asked or frozenset())
                    self._fetch(master, calendar, sorted(asked))
                time.sleep(NAMES_EVERY_SECONDS)

        threading.Thread(target=run, name="directory", daemon=True).start()

    def _fetch(self, master: MasterSource, calendar: CalendarSource, seen: Sequence[str]) -> None:
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
            try:
                self.take(pool.submit(fetch, self._configured, master, calendar, seen).result())
            except (BrokenProcessPool, OSError) as error:
                log.warning("neither instrument master nor calendar could be fetched: %s", error)

    def take(self, fetched: Fetched) -> None:
        """Keep what was fetched."""
        for warning in fetched.warnings:
            log.warning("%s", warning)
        self.names |= fetched.names
        self.instruments = fetched.instruments or self.instruments
        self._with_derivatives = fetched.with_derivatives
        self._calendar = fetched.calendar

    def symbol(self, key: str) -> tuple[str, str]:
        """Return (trading symbol, name), falling back to what the key says."""
        names = self.names.get(key)
        return names if names is not None else (key.partition("|")[2] or key, key)

    def listing(self, known: Iterable[str]) -> list[dict[str, str]]:
        """Return the configured instruments and the `known` ones, each with key, symbol and name."""
        keys = dict.fromkeys((*self.instruments, *sorted(known)))
        return [dict(zip(("key", "symbol", "name"), (key, *self.symbol(key)), strict=True)) for key in keys]

    def in_session(self, key: str, now_ms: int) -> bool:
        """Return whether the calendar forecasts continuous trading of this instrument at `now_ms`; not on an unknown date."""
        day = self._day(key, ist_date(now_ms))
        return day.known and day.phase(now_ms) == CONTINUOUS

    def next_open_ms(self, key: str, now_ms: int) -> int | None:
        """Return the forecast start of the next session after `now_ms`; None beyond two weeks, or after an unknown date."""
        today = date.fromisoformat(ist_date(now_ms))
        for ahead in range(DAYS_AHEAD):
            day = self._day(key, (today + timedelta(days=ahead)).isoformat())
            if not day.known:
                return None
            starts = [session.start_ms for session in day.sessions() if session.start_ms > now_ms]
            if starts:
                return starts[0]
        return None

    def _day(self, key: str, day: str) -> Day:
        return self._calendar.day(segment_of(key), day, "stock_with_derivatives" if key in self._with_derivatives else None)
