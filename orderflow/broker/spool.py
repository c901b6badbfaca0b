"""A size-limited, ordered spool on disk for records that were never handed to the producer."""

from __future__ import annotations

import fcntl
import logging
import os
from collections import deque
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Final, NamedTuple

from orderflow.market.errors import OrderflowError

log = logging.getLogger(__name__)

_SEGMENT_BYTES: Final = 8 << 20
_MOST_SLOTS: Final = 64


class Spooled(NamedTuple):
    """One record on its way to a topic; the line in the file is `topic TAB key TAB value`."""

    topic: str
    key: bytes
    value: bytes


class Spool:
    """Append at one end, take from the other; a segment is deleted once everything in it is acknowledged.

    One process owns a slot directory by a lock, so that two streamers may share the parent. Not synchronised to disk
    record by record: it survives a crash of the process, and loses at most the last moments when the machine loses power.
    Raises OrderflowError when the directory cannot be written.
    """

    def __init__(self, directory: Path, max_bytes: int) -> None:
        self._slot, self._lock = _locked_slot(directory)
        self._max_bytes = max_bytes
        self._left = sorted(self._slot.glob("*.spool"))
        self._segments: deque[Path] = deque()
        self._bytes = sum(path.stat().st_size for path in self._left)
        self._number = int(self._left[-1].stem) if self._left else 0
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
        """Yield what an earlier process left, oldest first; a line that was cut off is left out."""
        for path in self._left:
            with path.open("rb") as lines:
                for line in lines:
                    record = _parsed(line)
                    if record is not None:
                        yield record

    def discard_leftovers(self) -> None:
        """Delete what an earlier process left."""
        for path in self._left:
            self._bytes -= path.stat().st_size
            path.unlink()
        self._left.clear()

    def put_first(self, records: Iterable[Spooled]) -> None:
        """Write records that precede all others in order, for the next process to find."""
        lines = [_line(record) for record in records]
        if lines:
            (self._slot / f"{0:012d}.spool").write_bytes(b"".join(lines))

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
        """Hand what was appended to the operating system."""
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
        """Close the files and give the slot back; what is spooled stays for the next process."""
        self._close_files()
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
    return Spooled(parts[0].decode(), parts[1], parts[2])


def _locked_slot(directory: Path) -> tuple[Path, int]:
    for number in range(_MOST_SLOTS):
        slot = directory / f"slot-{number}"
        try:
            slot.mkdir(parents=True, exist_ok=True)
            lock = os.open(slot / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise OrderflowError(
                f"spool directory {directory} cannot be written ({error.strerror}); make it writable or set SPOOL_DIR"
            ) from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            continue
        return slot, lock
    raise OrderflowError(f"all {_MOST_SLOTS} slots of the spool directory {directory} are in use; set SPOOL_DIR to another one")
