"""One partition's engine as the records of a changelog: what each batch changed, and now and then all of it.

The records that batches up to offset 260 leave behind, where each batch begins at the offset that the one before ended at:

    key             offsets       holds
    0/snapshot 0    120           all instruments as of offset 120, in pieces of about a megabyte
    0/journal 0     120 → 180     what a batch changed: the clocks, and the changed instruments
    0/journal 1     180 → 200     what the next batch changed
    1/snapshot 0    260           written instead of a journal, since the journals had outgrown the snapshot

Snapshots with their journals take turns under the keys 0/… and 1/…, so a compacted topic keeps two of them. A batch that fails
runs again over the same offsets. It then writes the same records under the same keys, and never over the state that it starts
from: an engine is restored as of an offset, whatever was written after it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final, NamedTuple

import msgspec

from orderflow.market.engine.partition import EngineSettings, PartitionEngine
from orderflow.market.engine.state import STATE_VERSION, Change, change_of, changed
from orderflow.market.errors import OrderflowError

_INSTRUMENTS_A_PIECE: Final = 200
_LEAST_SNAPSHOT_BYTES: Final = 1 << 16
_MOST_JOURNALS: Final = 256
_CURE: Final = "delete the checkpoint /trading/checkpoints/orderflow to start the candles afresh from what Kafka still holds"


class StateError(OrderflowError):
    """The stored state is of another version, incomplete or illegible."""


class Part(msgspec.Struct, array_like=True):
    """A journal, or a piece of a snapshot, which begins and ends at the same offset.

    `base` is the offset of the snapshot that a journal builds on, `pieces` the number of that snapshot's pieces.
    """

    version: int
    slot: int
    base: int
    begin: int
    end: int
    pieces: int
    clocks: dict[str, int]
    changes: list[Change]


class Position(NamedTuple):
    """Where an engine stands: the offset of its next message, and what of its slot's keys is in use."""

    offset: int
    base: int
    slot: int = 0
    pieces: int = 0
    snapshot_bytes: int = 0
    journals: int = 0
    journal_bytes: int = 0


class StoredEngine(NamedTuple):
    """An engine and where it stands."""

    engine: PartitionEngine
    position: Position


class Saved(NamedTuple):
    """An engine after a batch, the records (key, value) to be written of it, and the batch's journal."""

    stored: StoredEngine
    records: list[tuple[str, bytes]]
    journal: bytes


_ENCODE: Final = msgspec.msgpack.Encoder().encode
_PART: Final = msgspec.msgpack.Decoder(Part)


def restored(records: Iterable[tuple[str, bytes]], offset: int, settings: EngineSettings) -> StoredEngine:
    """Return the engine as of `offset` from its changelog, in which the last record of a key counts.

    Without any record it is a new engine. Raises StateError when the records do not lead to `offset`.
    """
    values = dict(records)
    if not values:
        return StoredEngine(PartitionEngine(settings), Position(offset, offset))
    by_base: dict[int, list[tuple[Part, int]]] = {}
    for key, value in values.items():
        part = _part(key, value)
        by_base.setdefault(part.base, []).append((part, len(value)))
    for base in sorted(by_base, reverse=True):
        parts = by_base[base]
        pieces = [(part, size) for part, size in parts if part.begin == part.end]
        chain = _chain(parts, base, offset)
        if chain is None or len(pieces) != parts[0][0].pieces:
            continue
        engine = _applied(PartitionEngine(settings), [part for part, _ in pieces + chain])
        size, journal_bytes = (sum(size for _, size in each) for each in (pieces, chain))
        return StoredEngine(engine, Position(offset, base, parts[0][0].slot, len(pieces), size, len(chain), journal_bytes))
    raise StateError(f"the changelog of the candle state does not lead to offset {offset}; {_CURE}")


def caught_up(stored: StoredEngine, offset: int, journal_at: Callable[[int], bytes | None]) -> StoredEngine | None:
    """Advance an engine that is behind `offset` to it, by applying the journals from its own offset on.

    Returns None when a journal is missing, or the engine is ahead. `stored` must not be used afterwards.
    """
    engine, position = stored
    while position.offset < offset:
        value = journal_at(position.offset)
        if value is None:
            return None
        part = _part(f"journal from {position.offset}", value)
        if part.base != position.base:
            return None
        engine = _applied(engine, [part])
        position = _after_journal(position, part.end, len(value))
    return StoredEngine(engine, position) if position.offset == offset else None


def saved(stored: StoredEngine, end: int) -> Saved:
    """Return the engine after a batch that ended before offset `end`, and the state records to write for it.

    Their size is proportional to what the batch changed. From time to time they are a snapshot of the whole engine, so that
    few journals have to be read at a restart.
    """
    engine, position = stored
    keys = sorted(engine.changed)
    engine.changed.clear()
    changes = [change_of(key, engine.instruments.get(key)) for key in keys]
    place = (STATE_VERSION, position.slot, position.base, position.offset, end, position.pieces)
    journal = _ENCODE(Part(*place, engine.clocks, changes))
    after = _after_journal(position, end, len(journal))
    if after.journal_bytes > max(after.snapshot_bytes, _LEAST_SNAPSHOT_BYTES) or after.journals > _MOST_JOURNALS:
        return Saved(*_snapshot(engine, end, 1 - position.slot), journal)
    return Saved(StoredEngine(engine, after), [(f"{position.slot}/journal {position.journals}", journal)], journal)


def _after_journal(position: Position, end: int, size: int) -> Position:
    return position._replace(offset=end, journals=position.journals + 1, journal_bytes=position.journal_bytes + size)


def _snapshot(engine: PartitionEngine, end: int, slot: int) -> tuple[StoredEngine, list[tuple[str, bytes]]]:
    keys = sorted(engine.instruments)
    begins = range(0, max(len(keys), 1), _INSTRUMENTS_A_PIECE)
    records = []
    for number, begin in enumerate(begins):
        some = keys[begin : begin + _INSTRUMENTS_A_PIECE]
        changes = [change_of(key, engine.instruments[key], whole=True) for key in some]
        part = Part(STATE_VERSION, slot, end, end, end, len(begins), engine.clocks, changes)
        records.append((f"{slot}/snapshot {number}", _ENCODE(part)))
    size = sum(len(value) for _, value in records)
    return StoredEngine(engine, Position(end, end, slot, len(records), size)), records


def _chain(parts: Iterable[tuple[Part, int]], base: int, offset: int) -> list[tuple[Part, int]] | None:
    """Return the journals that lead from a snapshot to `offset`, or None when one is missing."""
    journals = {part.begin: (part, size) for part, size in parts if part.begin < part.end}
    chain = []
    at = base
    while at < offset and at in journals:
        chain.append(journals[at])
        at = journals[at][0].end
    return chain if at == offset else None


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


def _part(name: str, value: bytes) -> Part:
    try:
        version = msgspec.msgpack.decode(value)[0]
        if version == STATE_VERSION:
            return _PART.decode(value)
    except (msgspec.MsgspecError, TypeError, IndexError, KeyError) as error:
        raise StateError(f"the candle state's record {name!r} cannot be read ({error}); {_CURE}") from error
    raise StateError(f"the candle state is of version {version}, this code reads {STATE_VERSION}; {_CURE}")
