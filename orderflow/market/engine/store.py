"""Keeps one partition's engine in a map of named parts, such that a batch writes what it changed and no more.

journal N    what a batch changed: the clocks, and the changed instruments
snapshot I   all instruments, in pieces of about a megabyte, once the journals have outgrown the snapshot before
index        the version, which snapshot and journals make up the state, and a token that names it
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple, Protocol

import msgspec

from orderflow.market.engine.partition import EngineSettings, PartitionEngine
from orderflow.market.engine.state import STATE_VERSION, Change, change_of, changed
from orderflow.market.errors import OrderflowError

_INDEX: Final = "index"
_INSTRUMENTS_A_PIECE: Final = 200
_LEAST_SNAPSHOT_BYTES: Final = 1 << 16
_CURE: Final = "delete the checkpoint /trading/checkpoints/orderflow to start the candles afresh from what Kafka still holds"


class StateError(OrderflowError):
    """The stored state is of another version, or not what was written."""


class StateMap(Protocol):
    """What holds the parts, by name; Spark's state store in the product."""

    def get(self, name: str) -> bytes | None:
        """Return a part, or None."""
        ...

    def put(self, name: str, value: bytes) -> None:
        """Write a part."""
        ...

    def remove(self, name: str) -> None:
        """Remove a part."""
        ...


class Part(msgspec.Struct, array_like=True):
    """A journal, or a piece of a snapshot; `before` is the token of the state that a journal changes."""

    before: bytes
    clocks: dict[str, int]
    changes: list[Change]


class Index(msgspec.Struct, array_like=True, frozen=True):
    """Where the state is: its version and token, and which parts make it up."""

    version: int
    token: bytes
    pieces: int
    snapshot_bytes: int
    first_journal: int
    next_journal: int
    journal_bytes: int


class Stored(NamedTuple):
    """An engine and the state that it is in."""

    engine: PartitionEngine
    position: Index


_ENCODER: Final = msgspec.msgpack.Encoder()
_PART: Final = msgspec.msgpack.Decoder(Part)


class EngineStore:
    """Reads and writes one partition's engine."""

    def __init__(self, parts: StateMap, settings: EngineSettings) -> None:
        self._parts = parts
        self._settings = settings

    def load(self, cached: Stored | None = None) -> Stored:
        """Return the engine as it was saved last; a new one where nothing was.

        `cached` is what this process loaded or saved before: where the store has gone on from there, only what changed since is
        read. It must not be used any more afterwards. Raises StateError on state of another version.
        """
        value = self._parts.get(_INDEX)
        if value is None:
            return Stored(PartitionEngine(self._settings), Index(STATE_VERSION, b"", 0, 0, 0, 0, 0))
        index = _index(value)
        if cached is not None and cached.engine.settings == self._settings:
            if cached.position.token == index.token:
                return cached
            if index.first_journal <= cached.position.next_journal < index.next_journal:
                since = list(self._journals(cached.position.next_journal, index))
                if since[0].before == cached.position.token:
                    return Stored(_applied(cached.engine, since), index)
        snapshot = (self._part(f"snapshot {number}") for number in range(index.pieces))
        engine = _applied(PartitionEngine(self._settings), snapshot)
        return Stored(_applied(engine, self._journals(index.first_journal, index)), index)

    def save(self, stored: Stored) -> Stored:
        """Write what changed since the last save; now and then all of it, so that the cost stays in proportion."""
        engine, index = stored.engine, stored.position
        changes = [change_of(key, engine.instruments.get(key)) for key in sorted(engine.changed)]
        engine.changed.clear()
        journal = _ENCODER.encode(Part(index.token, engine.clocks, changes))
        self._parts.put(f"journal {index.next_journal}", journal)
        index = msgspec.structs.replace(
            index,
            token=os.urandom(12),
            next_journal=index.next_journal + 1,
            journal_bytes=index.journal_bytes + len(journal),
        )
        if index.journal_bytes > max(index.snapshot_bytes, _LEAST_SNAPSHOT_BYTES):
            index = self._snapshot(engine, index)
        self._parts.put(_INDEX, _ENCODER.encode(index))
        return Stored(engine, index)

    def _snapshot(self, engine: PartitionEngine, index: Index) -> Index:
        keys = sorted(engine.instruments)
        size = pieces = 0
        for begin in range(0, len(keys), _INSTRUMENTS_A_PIECE):
            some = keys[begin : begin + _INSTRUMENTS_A_PIECE]
            changes = [change_of(key, engine.instruments[key], whole=True) for key in some]
            piece = _ENCODER.encode(Part(b"", engine.clocks, changes))
            self._parts.put(f"snapshot {pieces}", piece)
            size += len(piece)
            pieces += 1
        for number in range(pieces, index.pieces):
            self._parts.remove(f"snapshot {number}")
        for number in range(index.first_journal, index.next_journal):
            self._parts.remove(f"journal {number}")
        return Index(STATE_VERSION, index.token, pieces, size, index.next_journal, index.next_journal, 0)

    def _journals(self, begin: int, index: Index) -> Iterator[Part]:
        return (self._part(f"journal {number}") for number in range(begin, index.next_journal))

    def _part(self, name: str) -> Part:
        value = self._parts.get(name)
        if value is None:
            raise StateError(f"the candle state lacks its part {name!r}; {_CURE}")
        try:
            return _PART.decode(value)
        except msgspec.MsgspecError as error:
            raise StateError(f"the candle state's part {name!r} cannot be read ({error}); {_CURE}") from error


def _applied(engine: PartitionEngine, parts: Iterable[Part]) -> PartitionEngine:
    """Return the engine after the changes of `parts`, in order."""
    for part in parts:
        for change in part.changes:
            known = changed(change, engine.instruments.pop(change.key, None), engine.settings.longer_windows)
            if known is not None:
                engine.instruments[change.key] = known
        engine.clocks = dict(part.clocks)
    engine.resume()
    return engine


def _index(value: bytes) -> Index:
    try:
        version = msgspec.msgpack.decode(value)[0]
        if version == STATE_VERSION:
            return msgspec.msgpack.decode(value, type=Index)
    except (msgspec.MsgspecError, TypeError, IndexError) as error:
        raise StateError(f"the candle state's index cannot be read ({error}); {_CURE}") from error
    raise StateError(f"the candle state is of version {version}, this code reads {STATE_VERSION}; {_CURE}")
