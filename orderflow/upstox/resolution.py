"""Look up the names to stream in the instrument master, in a process of its own: their keys, calendar and contracts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from orderflow.market.calendar import SessionCalendar
from orderflow.market.contract import Contract
from orderflow.market.errors import OrderflowError, SettingsError
from orderflow.upstox.calendar import load_calendar
from orderflow.upstox.instruments import InstrumentMaster, UnknownInstrumentError, is_rolling, load_master
from orderflow.upstox.replaced import Meant, remember, remembered, successor


class Selection(NamedTuple):
    """The mode of each key that the names resolve to, in order, and for each other name why it cannot be streamed.

    `rolling` are the keys of names that mean another contract after an expiry; `replaced` says in words, by key, which key it
    replaces.
    """

    modes: dict[str, str]
    skipped: dict[str, str]
    rolling: dict[str, str]
    replaced: dict[str, str]

    @property
    def keys(self) -> tuple[str, ...]:
        """Return the keys without repeats, in order."""
        return tuple(self.modes)


def selected(
    names: Mapping[str, str],
    master: InstrumentMaster | None,
    at_ms: int,
    before: Mapping[str, Meant] = MappingProxyType({}),
) -> Selection:
    """Return what to stream of `names`, which have a mode each, at `at_ms`.

    Without a master, full keys are accepted unchecked. `before` is what names meant earlier: a name that is no longer in the
    master means its successor. Of two names of one instrument with different modes, the first is streamed.

    Raises SettingsError with every cause when nothing is left.
    """
    modes: dict[str, str] = {}
    skipped: dict[str, str] = {}
    rolling: dict[str, str] = {}
    replaced: dict[str, str] = {}
    for name, mode in names.items():
        meant, successor_key = before.get(name), None
        try:
            key = _on_trust(name) if master is None else master.resolve(name, at_ms)
        except SettingsError as error:
            if master is not None and meant is not None and isinstance(error, UnknownInstrumentError):
                successor_key = successor(meant, master.by_key.values())
            if successor_key is None:
                skipped[name] = str(error)
                continue
            key = successor_key
        if meant is not None and not is_rolling(name) and (successor_key or key != meant.key):
            advice = f"; write {key} in place of {name}" if successor_key else ""
            replaced[key] = f"{meant.trading_symbol} was {meant.key if key != meant.key else name} and is now {key}{advice}"
        if modes.setdefault(key, mode) != mode:
            skipped[name] = f"{key} is streamed in mode {modes[key]}, by another name in the list"
        if is_rolling(name) and master is not None and name != master.by_key[key].trading_symbol:
            rolling[name] = key
    if not modes:
        raise SettingsError("; ".join(skipped.values()))
    return Selection(modes, skipped, rolling, replaced)


def meanings(names: Iterable[str], selection: Selection, master: InstrumentMaster, at_ms: int) -> dict[str, Meant]:
    """Return what each name of a selection means, except contracts, which expire and are not replaced."""
    meant: dict[str, Meant] = {}
    for name in names:
        if name not in selection.skipped and master.knows((name,)):
            row = master.by_key[master.resolve(name, at_ms)]
            if not row.is_contract:
                meant[name] = Meant(row.key, row.trading_symbol)
    return meant


def _on_trust(name: str) -> str:
    if "|" in name:
        return name
    raise SettingsError(f"{name!r} cannot be looked up without the instrument master; write its key, as NSE_EQ|INE467B01029")


class Resolution(NamedTuple):
    """The instruments to stream, which stocks close by auction, the calendar, contracts by key, and what to warn of."""

    selection: Selection
    with_derivatives: frozenset[str]
    calendar: SessionCalendar
    contracts: dict[str, Contract]
    warnings: tuple[str, ...]


def resolve_apart(
    names: Mapping[str, str],
    source: str,
    cache: Path,
    ca_file: Path | None,
    at_ms: int,
    rest_url: str | None = None,
) -> Resolution:
    """Resolve names in a process of its own, which ends with its memory: a full master takes 300 MB, the calendar 100.

    The calendar is Upstox's at `rest_url`, kept beside the master, and that of exchange_calendars.

    Raises SettingsError like `selected` and `load_master`, OrderflowError when that process was killed.
    """
    with ProcessPoolExecutor(max_workers=1, mp_context=get_context("spawn")) as pool:
        try:
            return pool.submit(_resolve, dict(names), source, cache, ca_file, at_ms, rest_url).result()
        except BrokenProcessPool as error:
            raise OrderflowError("the process that resolves instruments was killed; is there too little memory?") from error


def _resolve(
    names: dict[str, str],
    source: str,
    cache: Path,
    ca_file: Path | None,
    at_ms: int,
    rest_url: str | None,
) -> Resolution:
    master, warning = load_master(source, cache, ca_file, tuple(names))
    selection = selected(names, master, at_ms, remembered(cache.parent))
    calendar, doubt = load_calendar(rest_url, cache.parent, ca_file)
    warnings = tuple(text for text in (warning, doubt) if text)
    if master is None:
        return Resolution(selection, frozenset(), calendar, {}, warnings)
    remember(cache.parent, meanings(names, selection, master, at_ms))
    contracts = master.contracts(selection.keys, lambda day: calendar.is_trading_day("NSE_EQ", day))
    return Resolution(selection, master.with_derivatives, calendar, contracts, warnings)
