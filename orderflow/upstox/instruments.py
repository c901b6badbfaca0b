"""Resolve what a person writes (an instrument key, a trading symbol, an index name) through the instrument master."""

from __future__ import annotations

import difflib
import gzip
import itertools
import os
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

import orjson

from orderflow.market.calendar import SessionCalendar
from orderflow.market.contract import Contract, Terms, contracts
from orderflow.market.errors import OrderflowError, SettingsError
from orderflow.market.special_days import special_days
from orderflow.market.tick import ist_date
from orderflow.upstox.calendar import load_calendar

_FRESH_SECONDS: Final = 20 * 3600
_ASK_AGAIN_SECONDS: Final = 600
_TIMEOUT_SECONDS: Final = 30
_CASH_SEGMENTS: Final = 4
_OPTIONS: Final = ("CE", "PE")
_PREFERRED: Final = ("NSE_EQ", "NSE_INDEX", "BSE_EQ", "BSE_INDEX", "NSE_FO", "BSE_FO", "MCX_FO")


class Instrument(NamedTuple):
    """One row of the master."""

    key: str
    trading_symbol: str
    name: str


@dataclass(frozen=True, slots=True)
class InstrumentMaster:
    """The instruments that exist, which stocks have derivatives (they close by auction), and the terms of all but options."""

    by_key: dict[str, Instrument]
    with_derivatives: frozenset[str]
    terms: tuple[Terms, ...] = ()
    _by_symbol: dict[str, list[str]] = field(default_factory=dict)

    @classmethod
    def from_rows(cls, rows: Iterable[dict[str, Any]]) -> InstrumentMaster:
        """Build from the rows of Upstox's JSON file."""
        by_key: dict[str, Instrument] = {}
        by_symbol: dict[str, list[str]] = {}
        with_derivatives: set[str] = set()
        terms: list[Terms] = []
        for row in rows:
            key = row.get("instrument_key")
            if not isinstance(key, str):
                continue
            symbol, name = str(row.get("trading_symbol") or ""), str(row.get("name") or "")
            by_key[key] = Instrument(key, symbol, name)
            for word in {symbol.casefold(), key.partition("|")[2].casefold(), name.casefold()} - {""}:
                by_symbol.setdefault(word, []).append(key)
            underlying = row.get("underlying_key")
            if isinstance(underlying, str) and underlying.startswith(("NSE_EQ|", "BSE_EQ|")):
                with_derivatives.add(underlying)
            if row.get("expiry") and row.get("instrument_type") not in _OPTIONS:
                terms.append(_terms(key, row))
        return cls(by_key, frozenset(with_derivatives), tuple(terms), by_symbol)

    def resolve(self, name: str) -> str:
        """Return the key of an instrument given as key, trading symbol, ISIN or name (case does not matter).

        A name in several segments means cash equity first, then index, then the others. Raises SettingsError with the
        nearest matches when nothing fits.
        """
        if name in self.by_key:
            return name
        found = self._by_symbol.get(name.casefold(), [])
        if found:
            return min(found, key=_preference)
        raise SettingsError(f"instrument {name!r} is not in the instrument master{self._nearest(name)}")

    def knows(self, names: Iterable[str]) -> bool:
        """Tell whether every name can be resolved."""
        return all(name in self.by_key or name.casefold() in self._by_symbol for name in names)

    def _nearest(self, name: str) -> str:
        wanted = name.partition("|")[2] or name
        cash = [word for word, keys in self._by_symbol.items() if any(_preference(key)[0] < _CASH_SEGMENTS for key in keys)]
        words = difflib.get_close_matches(wanted.casefold(), cash, n=4, cutoff=0.6)
        starting = (word for word in self._by_symbol if word.startswith(wanted.casefold()) and word not in words)
        words += itertools.islice(starting, 4 - len(words))
        near = [min(self._by_symbol[word], key=_preference) for word in words]
        told = ", ".join(f"{self.by_key[key].trading_symbol} ({key})" for key in dict.fromkeys(near))
        return f"; did you mean {told}?" if told else "; look it up on the broker's site, or write its key as SEGMENT|TOKEN"


def resolved(names: Sequence[str], master: InstrumentMaster | None, mode_limit: int) -> tuple[str, ...]:
    """Return the keys of `names` without repeats, in order.

    Without a master, full keys are taken on trust. Raises SettingsError naming every unknown name, or when more than
    `mode_limit` remain.
    """
    keys: dict[str, None] = {}
    errors: list[str] = []
    for name in names:
        if master is None:
            if "|" in name:
                keys[name] = None
            else:
                errors.append(
                    f"{name!r} cannot be looked up without the instrument master; write its key, as NSE_EQ|INE467B01029"
                )
            continue
        try:
            keys[master.resolve(name)] = None
        except SettingsError as error:
            errors.append(str(error))
    if errors:
        raise SettingsError("; ".join(errors))
    if len(keys) > mode_limit:
        raise SettingsError(f"{len(keys)} instruments are more than the {mode_limit} that one connection of this mode may carry")
    return tuple(keys)


class Resolution(NamedTuple):
    """The instruments to stream, which stocks close by auction, the calendar, contracts by key, and what to warn of."""

    keys: tuple[str, ...]
    with_derivatives: frozenset[str]
    calendar: SessionCalendar
    contracts: dict[str, Contract]
    warnings: tuple[str, ...]


def resolve_apart(
    names: Sequence[str], source: str, cache: Path, ca_file: Path | None, mode_limit: int, rest_url: str | None = None
) -> Resolution:
    """Resolve names in a process of its own, which ends with its memory: a full master takes 300 MB, the calendar 100.

    The calendar is Upstox's at `rest_url`, kept beside the master, and that of exchange_calendars.

    Raises SettingsError like `resolved` and `load_master`, OrderflowError when that process was killed.
    """
    with ProcessPoolExecutor(max_workers=1, mp_context=get_context("spawn")) as pool:
        try:
            return pool.submit(_resolve, tuple(names), source, cache, ca_file, mode_limit, rest_url).result()
        except BrokenProcessPool as error:
            raise OrderflowError("the process that resolves instruments was killed; is there too little memory?") from error


def _resolve(
    names: tuple[str, ...], source: str, cache: Path, ca_file: Path | None, mode_limit: int, rest_url: str | None
) -> Resolution:
    master, warning = load_master(source, cache, ca_file, names)
    keys = resolved(names, master, mode_limit)
    calendar, doubt = load_calendar(rest_url, cache.parent, ca_file)
    warnings = tuple(text for text in (warning, doubt) if text)
    if master is None:
        return Resolution(keys, frozenset(), calendar, {}, warnings)
    known = [key for key in keys if key in master.by_key]
    terms = contracts(known, master.terms, special_days(), lambda day: calendar.is_trading_day("NSE_EQ", day))
    return Resolution(keys, master.with_derivatives, calendar, terms, warnings)


def load_master(
    source: str, cache: Path, ca_file: Path | None = None, names: Sequence[str] = ()
) -> tuple[InstrumentMaster | None, str]:
    """Return the master from a file path or URL, kept at `cache` for a day.

    A server on loopback or with an authority of its own (the simulator) is asked always, any other also when the copy is older
    than ten minutes and lacks one of `names`. With it comes a warning, empty when all is well; None when there is no master to
    have. Raises SettingsError when the file cannot be read.
    """
    if urlsplit(source).scheme not in ("http", "https"):
        try:
            return _parsed(Path(source).expanduser().read_bytes()), ""
        except (OSError, ValueError) as error:
            raise SettingsError(f"INSTRUMENT_MASTER={source} cannot be read ({type(error).__name__})") from error
    beside = ca_file is not None or urlsplit(source).hostname in ("127.0.0.1", "localhost", "::1")
    age = time.time() - cache.stat().st_mtime if cache.exists() else _FRESH_SECONDS
    if not beside and age < _FRESH_SECONDS:
        kept = _cached(cache)
        if kept is not None and (age < _ASK_AGAIN_SECONDS or kept.knows(names)):
            return kept, ""
    try:
        content = _downloaded(source, ca_file)
        master = _parsed(content)
    except (OSError, ValueError) as error:
        kept = _cached(cache)
        problem = f"the instrument master at {source} cannot be had ({type(error).__name__})"
        if kept is not None:
            return kept, f"{problem}: using the one kept"
        return None, f"{problem}, and none is kept: keys are taken on trust, names not at all"
    try:
        cache.parent.mkdir(parents=True, exist_ok=True)
        part = cache.with_suffix(f".{os.getpid()}.part")
        part.write_bytes(content)
        part.replace(cache)
    except OSError as error:
        return master, f"the instrument master cannot be kept at {cache}: {error.strerror}"
    return master, ""


def watch_list(path: Path) -> tuple[str, ...]:
    """Return the names in a watch-list file: one or several (comma-separated) a line, `#` begins a comment.

    Raises SettingsError when it cannot be read or names nothing.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"INSTRUMENT_FILE={path} cannot be read ({type(error).__name__})") from error
    names = [part.strip() for line in lines for part in line.partition("#")[0].split(",")]
    found = tuple(dict.fromkeys(name for name in names if name))
    if not found:
        raise SettingsError(f"INSTRUMENT_FILE={path} names no instrument")
    return found


def _preference(key: str) -> tuple[int, str]:
    segment = key.partition("|")[0]
    return (_PREFERRED.index(segment) if segment in _PREFERRED else len(_PREFERRED), key)


def _terms(key: str, row: dict[str, Any]) -> Terms:
    """Return a row's terms; its expiry comes as epoch milliseconds, or as a date in some files."""
    expiry = row["expiry"]
    date = ist_date(int(expiry)) if isinstance(expiry, (int, float)) else str(expiry)[:10]
    underlying = row.get("underlying_symbol") or row.get("asset_symbol") or row.get("name") or ""
    return Terms(key, str(row.get("instrument_type") or ""), str(underlying), date)


def _parsed(content: bytes) -> InstrumentMaster:
    rows = orjson.loads(gzip.decompress(content) if content[:2] == b"\x1f\x8b" else content)
    if not isinstance(rows, list):
        raise ValueError("the instrument master is not a list")  # noqa: TRY004 a fault of the content, like bad JSON
    return InstrumentMaster.from_rows(rows)


def _cached(cache: Path) -> InstrumentMaster | None:
    try:
        return _parsed(cache.read_bytes())
    except (OSError, ValueError):
        return None


def _downloaded(url: str, ca_file: Path | None) -> bytes:
    context = ssl.create_default_context(cafile=str(ca_file) if ca_file else None) if url.startswith("https") else None
    request = urllib.request.Request(url, headers={"User-Agent": "orderflow"})
    with urllib.request.urlopen(request, timeout=_TIMEOUT_SECONDS, context=context) as answer:
        return bytes(answer.read())
