"""Finds instruments whose key was replaced: an ISIN changes with a split or a merger, an exchange token with a new series.

The instrument master of a day has only the keys of that day. So for every streamed name, its last key and trading symbol are
kept on disk; a name that is no longer in the master is found by its symbol, in the same segment.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final, NamedTuple, Protocol

import msgspec

log = logging.getLogger(__name__)

_FILE: Final = "instrument-names.json"


class Meant(NamedTuple):
    """What a name meant when it was last looked up."""

    key: str
    trading_symbol: str


class Row(Protocol):
    """One row of the instrument master."""

    @property
    def key(self) -> str:
        """Return the Upstox key."""

    @property
    def trading_symbol(self) -> str:
        """Return the exchange's symbol."""


_DECODER: Final = msgspec.json.Decoder(dict[str, Meant])


def remembered(directory: Path) -> dict[str, Meant]:
    """Return what names meant by the file in `directory`; nothing when there is none that can be read."""
    try:
        return _DECODER.decode((directory / _FILE).read_bytes())
    except (OSError, msgspec.MsgspecError):
        return {}


def remember(directory: Path, meant: Mapping[str, Meant]) -> None:
    """Store what names mean, next to those stored earlier; warn when the file cannot be written."""
    path = directory / _FILE
    part = path.with_suffix(f".{os.getpid()}.part")
    try:
        part.write_bytes(msgspec.json.encode({**remembered(directory), **meant}))
        part.replace(path)
    except OSError as error:
        log.warning("the names of instruments cannot be saved at %s: %s", path, error.strerror)


def successor(before: Meant, rows: Iterable[Row]) -> str | None:
    """Return the key of the one row that has the symbol and the segment of what a name meant; None without it."""
    segment = before.key.partition("|")[0] + "|"
    keys = [row.key for row in rows if row.trading_symbol == before.trading_symbol and row.key.startswith(segment)]
    return keys[0] if len(keys) == 1 and before.trading_symbol else None
