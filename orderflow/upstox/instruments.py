"""The instrument master: resolves what a user writes (an instrument key, a trading symbol, an index name)."""

from __future__ import annotations

import difflib
import gzip
import itertools
import os
import ssl
import time
import urllib.error
import urllib.request
import zlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

import orjson

from orderflow.market.contract import Contract, Terms, contracts
from orderflow.market.errors import SettingsError
from orderflow.market.special_days import special_days
from orderflow.market.times import ist_date

_FRESH_SECONDS: Final = 12 * 3600
_ASK_AGAIN_SECONDS: Final = 600
_TIMEOUT_SECONDS: Final = 30
_CASH_SEGMENTS: Final = 4
_OPTIONS: Final = ("CE", "PE")
_PREFERRED: Final = ("NSE_EQ", "NSE_INDEX", "BSE_EQ", "BSE_INDEX", "NSE_FO", "BSE_FO", "MCX_FO", "NCD_FO", "BCD_FO")
_CONTRACTS: Final = ("FUT", "CE", "PE")
_FUTURE: Final = " fut"
_LISTED: Final = 5


class UnknownInstrumentError(SettingsError):
    """A name that is in no row of the master."""


class Instrument(NamedTuple):
    """One row of the master; `expiry_ms` lies in the day on which a contract expires.

    `lot_size` is in shares or contracts, `tick_size` in paise as the master has it, `strike` in rupees, `underlying` a symbol.
    A field that the master leaves out is None or empty.
    """

    key: str
    trading_symbol: str
    name: str
    kind: str = ""
    expiry_ms: int | None = None
    lot_size: int | None = None
    tick_size: float | None = None
    strike: float | None = None
    underlying: str = ""

    @property
    def is_contract(self) -> bool:
        """Return whether it is a future or an option."""
        return self.expiry_ms is not None or self.kind in _CONTRACTS or self.key.partition("|")[0].endswith("_FO")

    def is_expired(self, at_ms: int) -> bool:
        """Return whether its last day is over."""
        return self.expiry_ms is not None and ist_date(at_ms) > ist_date(self.expiry_ms)


@dataclass(frozen=True, slots=True)
class InstrumentMaster:
    """The instruments that exist, which stocks have derivatives (they close by auction), and the terms of all but options."""

    by_key: dict[str, Instrument]
    with_derivatives: frozenset[str]
    terms: tuple[Terms, ...] = ()
    _by_symbol: dict[str, list[str]] = field(default_factory=dict)
    _by_name: dict[str, list[str]] = field(default_factory=dict)

    @classmethod
    def from_rows(cls, rows: Iterable[dict[str, Any]]) -> InstrumentMaster:
        """Build from the rows of Upstox's JSON file."""
        by_key: dict[str, Instrument] = {}
        by_symbol: dict[str, list[str]] = {}
        by_name: dict[str, list[str]] = {}
        with_derivatives: set[str] = set()
        terms: list[Terms] = []
        for row in rows:
            key = row.get("instrument_key")
            if not isinstance(key, str):
                continue
            symbol, name = str(row.get("trading_symbol") or ""), str(row.get("name") or "")
            expiry = row.get("expiry")
            expiry_ms = int(expiry) if isinstance(expiry, (int, float)) and expiry > 0 else None
            by_key[key] = Instrument(
                key,
                symbol,
                name,
                str(row.get("instrument_type") or ""),
                expiry_ms,
                int(_number(row, "lot_size") or 0) or None,
                _number(row, "tick_size"),
                _number(row, "strike_price"),
                str(row.get("underlying_symbol") or row.get("asset_symbol") or ""),
            )
            for word in {symbol.casefold(), key.partition("|")[2].casefold()} - {""}:
                by_symbol.setdefault(word, []).append(key)
            underlying_names = (str(row.get(field) or "").casefold() for field in ("underlying_symbol", "asset_symbol"))
            for word in {name.casefold(), *underlying_names} - {""}:
                by_name.setdefault(word, []).append(key)
            underlying = row.get("underlying_key")
            if isinstance(underlying, str) and underlying.startswith(("NSE_EQ|", "BSE_EQ|")):
                with_derivatives.add(underlying)
            if row.get("expiry") and row.get("instrument_type") not in _OPTIONS:
                terms.append(_terms(key, row))
        return cls(by_key, frozenset(with_derivatives), tuple(terms), by_symbol, by_name)

    def resolve(self, name: str, at_ms: int | None = None) -> str:
        """Return the key of an instrument given as key, trading symbol, ISIN or name (case does not matter).

        A name in several segments means cash equity first, then index, then the others. `NAME FUT` is the nearest future of an
        underlying that has not expired at `at_ms` (default now). Raises UnknownInstrumentError with the nearest matches when
        nothing fits, SettingsError for an expired contract, and with the choices for an underlying that has only contracts.
        """
        at_ms = _now_ms() if at_ms is None else at_ms
        if name in self.by_key:
            return self._unexpired(name, at_ms)
        word = name.casefold()
        listed = self._by_symbol.get(word)
        if listed:
            alive = [key for key in listed if not self.by_key[key].is_expired(at_ms)]
            return min(alive, key=_preference) if alive else self._unexpired(listed[0], at_ms)
        named = self._by_name.get(word, [])
        cash = [key for key in named if not self.by_key[key].is_contract]
        if cash:
            return min(cash, key=_preference)
        if is_rolling(name):
            futures = self._futures(word.removesuffix(_FUTURE).strip(), at_ms)
            if futures:
                return futures[0].key
        if named:
            raise SettingsError(self._choices(name, at_ms))
        raise UnknownInstrumentError(f"instrument {name!r} is not in the instrument master{self._nearest(name)}")

    def contracts(self, keys: Iterable[str], is_trading_day: Callable[[str], bool]) -> dict[str, Contract]:
        """Return those of `keys` whose hours differ from their segment's, by key; `is_trading_day` takes a date of the NSE."""
        known = [key for key in keys if key in self.by_key]
        return contracts(known, self.terms, special_days(), is_trading_day)

    def knows(self, names: Iterable[str]) -> bool:
        """Return whether every name can be looked up, whatever the answer."""
        for name in names:
            try:
                self.resolve(name)
            except UnknownInstrumentError:
                return False
            except SettingsError:
                continue
        return True

    def _unexpired(self, key: str, at_ms: int) -> str:
        instrument = self.by_key[key]
        if instrument.expiry_ms is not None and instrument.is_expired(at_ms):
            raise SettingsError(f"{instrument.trading_symbol or key} ({key}) expired on {ist_date(instrument.expiry_ms)}")
        return key

    def _futures(self, word: str, at_ms: int) -> list[Instrument]:
        """Return the futures of an underlying that have not expired, the nearest of the preferred segment first."""
        contracts = [self.by_key[key] for key in self._by_name.get(word, ())]
        alive = [each for each in contracts if each.kind == "FUT" and each.expiry_ms is not None and not each.is_expired(at_ms)]
        return sorted(alive, key=lambda each: (_preference(each.key)[0], each.expiry_ms or 0, each.key))

    def _choices(self, name: str, at_ms: int) -> str:
        """Return the names to suggest in place of an underlying's name."""
        futures = self._futures(name.casefold(), at_ms)
        contracts = [self.by_key[key] for key in self._by_name[name.casefold()] if not self.by_key[key].is_expired(at_ms)]
        options = sorted((each for each in contracts if each.kind != "FUT"), key=lambda each: (each.expiry_ms or 0, each.key))
        some = [*futures[:_LISTED], *options[: max(1, _LISTED - len(futures))]]
        listed = ", ".join(f"{each.trading_symbol} ({each.key})" for each in some)
        nearest = f"write {name} FUT for the nearest future, now {futures[0].trading_symbol}, or " if futures else "write "
        return f"{name!r} is an underlying with {len(contracts)} contracts: {nearest}one contract, for example {listed}"

    def _nearest(self, name: str) -> str:
        wanted = (name.partition("|")[2] or name).casefold()
        words: dict[str, list[str]] = {**self._by_name, **self._by_symbol}
        cash = [word for word, keys in words.items() if any(_preference(key)[0] < _CASH_SEGMENTS for key in keys)]
        near_words = difflib.get_close_matches(wanted, cash, n=4, cutoff=0.6)
        starting = (word for word in words if word.startswith(wanted) and word not in near_words)
        near_words += itertools.islice(starting, 4 - len(near_words))
        near = [min(words[word], key=_preference) for word in near_words]
        listed = ", ".join(f"{self.by_key[key].trading_symbol} ({key})" for key in dict.fromkeys(near))
        return f"; did you mean {listed}?" if listed else "; look it up on the broker's site, or write its key as SEGMENT|TOKEN"


def is_rolling(name: str) -> bool:
    """Return whether a name asks for the nearest future: `NIFTY FUT`."""
    return name.casefold().endswith(_FUTURE)


def master_cache(directory: Path, source: str) -> Path:
    """Return where the master of a source is kept in a directory."""
    return directory / f"instrument-master-{zlib.crc32(source.encode()):08x}.json.gz"


def load_master(
    source: str, cache: Path, ca_file: Path | None = None, names: Sequence[str] = ()
) -> tuple[InstrumentMaster | None, str]:
    """Return the master from a file path or URL, kept at `cache` for twelve hours.

    A server on loopback or with an authority of its own (the simulator) is always asked; any other also if the copy is
    older than ten minutes and lacks one of `names`. Also returns a warning, empty when all is well; the master is None
    if there is none. Raises SettingsError when the file cannot be read.
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
        problem = f"the instrument master at {source} cannot be fetched ({type(error).__name__})"
        if kept is not None:
            return kept, f"{problem}: using the stored copy"
        return None, f"{problem}, and there is no stored copy: keys are accepted unchecked, names are not"
    try:
        cache.parent.mkdir(parents=True, exist_ok=True)
        part = cache.with_suffix(f".{os.getpid()}.part")
        part.write_bytes(content)
        part.replace(cache)
    except OSError as error:
        return master, f"the instrument master cannot be stored at {cache}: {error.strerror}"
    return master, ""


def _preference(key: str) -> tuple[int, str]:
    segment = key.partition("|")[0]
    return (_PREFERRED.index(segment) if segment in _PREFERRED else len(_PREFERRED), key)


def _number(row: dict[str, Any], name: str) -> float | None:
    """Return a row's positive number; None where it has none."""
    value = row.get(name)
    return float(value) if isinstance(value, (int, float)) and value > 0 else None


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


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
