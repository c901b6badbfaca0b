"""A size-limited, ordered spool on disk for records that were never handed to the producer."""

from __future__ import annotations

import fcntl
import logging
import os
import zlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import IO, Final, NamedTuple

from orderflow.market.errors import OrderflowError

log = logging.getLogger(__name__)

_SEGMENT_BYTES: Final = 8 << 20
_MOST_SLOTS: Final = 64
_NAMES: Final = "names"


class Spooled(NamedTuple):
    """One record on its way to a topic; the line in the file is `topic TAB key TAB value`."""

    topic: str
    key: bytes
    value: bytes


class Spool:
    """Append at the end, take from the front; a segment is deleted once everything in it is acknowledged.

    One process owns a slot directory by a lock, so that two streamers may share the parent; the slot is called after the `names`
    that the process streams, so that each finds its own again. Not synchronised to disk record by record: it survives a crash
    of the process, and loses what the kernel has not written yet when the machine loses power (decision 19).
    Raises OrderflowError when the directory cannot be written.
    """

    def __init__(self, directory: Path, max_bytes: int, names: Iterable[str] = ()) -> None:
        wanted = frozenset(names)
        self._slot, self._lock = _locked_slot(directory, wanted)
        self._max_bytes = max_bytes
        own = sorted(self._slot.glob("*.spool"))
        adopted, self._adopted_locks = _adopted(directory, self._slot, wanted)
        slots = sorted([own, *adopted], key=lambda paths: max((path.stat().st_mtime for path in paths), default=0.0))
        self._left = [path for paths in slots for path in paths]
        self._segments: deque[Path] = deque()
        self._bytes = sum(path.stat().st_size for path in own)
        self._number = int(own[-1].stem) if own else 0
        self._writer: IO[bytes] | None = None
        self._reader: IO[bytes] | None = None
        self._reading: Path | None = None
        self._done: deque[Path] = deque()
        self.segment_bytes = _SEGMENT_BYTES
        self.waiting = 0

    @property
    def size_bytes(self) -> int:
        """Return the bytes on disk."""
        return self._bytes

    def leftovers(self) -> Iterator[Spooled]:
        """Yield the records that an earlier process left, oldest first; an incomplete line is skipped."""
        for path in self._left:
            with path.open("rb") as lines:
                for line in lines:
                    record = _parsed(line)
                    if record is not None:
                        yield record

    def discard_leftovers(self, keep: Callable[[Spooled], bool] = lambda _: False) -> None:
        """Delete the records that an earlier process left, except those to `keep` for another start."""
        for path in self._left:
            size = path.stat().st_size
            _keep_only(path, keep)
            if path.parent == self._slot:
                self._bytes -= size - (path.stat().st_size if path.exists() else 0)
        self._left.clear()
        self._release_adopted()

    def put_first(self, records: Iterable[Spooled]) -> None:
        """Write records that precede all others in order, for the next process to find.

        Before `discard_leftovers` nothing is written: such records come from what is left, which the next process finds.
        """
        lines = [_line(record) for record in records]
        if lines and not self._left:
            with (self._slot / f"{0:012d}.spool").open("ab") as first:
                first.write(b"".join(lines))

    def append(self, record: Spooled) -> bool:
        """Add a record at the end; return False when the size limit or the disk refuses it."""
        line = _line(record)
        if self._bytes + len(line) > self._max_bytes:
            return False
        try:
            if self._writer is None or self._writer.tell() >= self.segment_bytes:
                self._roll()
            if self._writer is None:
                return False
            self._writer.write(line)
        except OSError as error:
            log.error("spool %s cannot be written: %s", self._slot, error.strerror)
            return False
        self._bytes += len(line)
        self.waiting += 1
        return True

    def flush(self) -> None:
        """Flush appended records to the operating system."""
        if self._writer is not None:
            try:
                self._writer.flush()
            except OSError as error:
                log.error("spool %s cannot be written: %s", self._slot, error.strerror)

    def take(self, most: int) -> list[Spooled]:
        """Return up to `most` records from the front, in order; their segments stay until `release`."""
        taken: list[Spooled] = []
        while len(taken) < most and self.waiting > len(taken):
            if not self._segments:
                self.waiting = len(taken)
                break
            if self._reader is None:
                self._reading = self._segments[0]
                self._reader = self._reading.open("rb")
            if self._reading == self._segments[-1]:
                self.flush()
            line = self._reader.readline()
            if line:
                record = _parsed(line)
                if record is not None:
                    taken.append(record)
                continue
            self._reader.close()
            self._reader = None
            if self._reading == self._segments[-1] and self._writer is not None:
                self._writer.close()
                self._writer = None
            self._done.append(self._segments.popleft())
        self.waiting -= len(taken)
        return taken

    def release(self) -> None:
        """Delete the segments whose records have all been taken; call it once those are acknowledged."""
        if self.waiting == 0:
            self._close_files()
            self._done.extend(self._segments)
            self._segments.clear()
        while self._done:
            path = self._done.popleft()
            self._bytes -= path.stat().st_size
            path.unlink()

    def close(self) -> None:
        """Close the files and release the slot; spooled records stay for the next process."""
        self._close_files()
        self._release_adopted()
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def _roll(self) -> None:
        if self._writer is not None:
            self._writer.close()
        self._number += 1
        path = self._slot / f"{self._number:012d}.spool"
        self._writer = path.open("wb")
        self._segments.append(path)

    def _release_adopted(self) -> None:
        for lock in self._adopted_locks:
            os.close(lock)
        self._adopted_locks.clear()

    def _close_files(self) -> None:
        for file in (self._writer, self._reader):
            if file is not None:
                file.close()
        self._writer = self._reader = None


def _line(record: Spooled) -> bytes:
    return b"\t".join((record.topic.encode(), record.key, record.value)) + b"\n"


def _parsed(line: bytes) -> Spooled | None:
    parts = line.rstrip(b"\n").split(b"\t", 2)
    if not line.endswith(b"\n") or len(parts) != 3:
        return None
    return Spooled(parts[0].decode(errors="replace"), parts[1], parts[2])


def _keep_only(path: Path, keep: Callable[[Spooled], bool]) -> None:
    """Rewrite a segment to the records to keep, or delete it when there are none."""
    rest = path.with_suffix(".keep")
    with path.open("rb") as lines, rest.open("wb") as kept:
        for line in lines:
            record = _parsed(line)
            if record is not None and keep(record):
                kept.write(line)
    if rest.stat().st_size:
        rest.replace(path)
    else:
        path.unlink()
        rest.unlink()


def _locked_slot(directory: Path, names: frozenset[str]) -> tuple[Path, int]:
    mark = zlib.crc32("\n".join(sorted(names)).encode())
    for number in range(_MOST_SLOTS):
        slot = directory / f"slot-{mark:08x}-{number}"
        try:
            slot.mkdir(parents=True, exist_ok=True)
            lock = _lock(slot)
            if lock is not None:
                (slot / _NAMES).write_text("\n".join(sorted(names)))
                return slot, lock
        except OSError as error:
            raise OrderflowError(
                f"spool directory {directory} cannot be written ({error.strerror}); make it writable or set SPOOL_DIR"
            ) from error
    raise OrderflowError(f"all {_MOST_SLOTS} slots of the spool directory {directory} are in use; set SPOOL_DIR to another one")


def _adopted(directory: Path, own: Path, names: frozenset[str]) -> tuple[list[list[Path]], list[int]]:
    """Lock the unused slots of other sets of instruments that may hold records of `names`."""
    adopted: list[list[Path]] = []
    locks: list[int] = []
    for slot in sorted(directory.glob("slot-*")):
        segments = sorted(slot.glob("*.spool"))
        listed = slot / _NAMES
        if slot == own or not segments or (listed.is_file() and names.isdisjoint(listed.read_text(errors="replace").split("\n"))):
            continue
        lock = _lock(slot)
        if lock is not None:
            adopted.append(segments)
            locks.append(lock)
    return adopted, locks


def _lock(slot: Path) -> int | None:
    lock = os.open(slot / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        return None
    return lock
