"""Replaces a date's directory while readers read it and the sink keeps adding files.

HDFS can rename one directory atomically, but not two. So a swap first writes a marker file, then renames the old directory,
moves the files that the sink added meanwhile into the new one, and renames the new one to the date's name. For a few
milliseconds in between, the date is absent: readers get an error and retry, and the sink waits. A process that finds a marker
whose owner seems dead finishes the swap; several may do so at once.

A compaction of 15 December replaces the batches b1 and b2 by c, while the sink adds b3 (below `/trading`):

    step                            ticks/date=2025-12-15   _staging/new   _staging/replaced/ticks-…   marker
    0  c is written                 b1 b2                   c              –                           –
    1  a marker announces it        b1 b2 b3                c              –                           ✓
    2  the day moves to replaced    (absent)                c              b1 b2 b3                    ✓
    3  what was added follows       (absent)                c b3           b1 b2                       ✓
    4  new moves to the day         c b3                    –              b1 b2                       ✓
    5  b1, b2 go to the trash       c b3                    –              (empty)                     –

Each step is one rename, which fails if it was done before, so any process can continue from any step.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from typing import Final

from orderflow.lake.hadoop import HadoopFiles
from orderflow.lake.layout import OFFSETS, ROOT, LakeError, Table, is_date

SWAPS: Final = f"{ROOT}/_staging/swaps"
REPLACED: Final = f"{ROOT}/_staging/replaced"
TRASH: Final = f"{ROOT}/_staging/trash"
POLL_SECONDS: Final = 0.1
# A swap takes milliseconds: after this many polls its owner counts as dead.
POLLS_BEFORE_TAKEOVER: Final = 30
POLLS_BEFORE_GIVING_UP: Final = 100


@dataclass(frozen=True, slots=True)
class _Swap:
    """The content of a marker: `new`, which `holds` files, replaces `replaced`; the day is renamed to `old`."""

    new: str
    old: str
    replaced: tuple[str, ...]
    holds: tuple[str, ...]
    beside: tuple[str, ...] | None

    def adds_to(self, names: set[str]) -> bool:
        """Return whether a directory holds files that may not have been added."""
        return self.beside is not None and not _visible(names) <= {*self.replaced, *self.beside}

    def is_refused_by(self, names: set[str]) -> bool:
        """Return whether a day that was not moved yet has changed since the swap was prepared."""
        return not set(self.replaced) <= names or self.adds_to(names)


def _read_swap(text: str) -> _Swap:
    said = json.loads(text)
    beside = said["beside"]
    return _Swap(
        str(said["new"]),
        str(said["old"]),
        tuple(map(str, said["replaced"])),
        tuple(map(str, said["holds"])),
        None if beside is None else tuple(map(str, beside)),
    )


class Swaps:
    """List, add to and replace the directories of trading dates, safely against one another."""

    def __init__(self, files: HadoopFiles, sleep: Callable[[float], None]) -> None:
        self._files = files
        self._sleep = sleep

    def names(self, table: Table, date: str) -> tuple[str, ...]:
        """Return the names in a date's directory; empty only if the date is absent and no swap hides it."""
        for poll in range(POLLS_BEFORE_GIVING_UP):
            names = self._files.names(table.day(date))
            if names is not None:
                return names
            if not self._files.exists(_marker(table, date)):
                # A swap may have ended between the two look-ups.
                return self._files.names(table.day(date)) or ()
            self._wait(table, date, poll)
        raise LakeError(f"{table.day(date)} is missing and its swap does not finish: see {_marker(table, date)}")

    def place(self, table: Table, date: str, written: str, name: str) -> None:
        """Move a finished file into a date's directory; if a file of that name exists, it was moved before."""
        target = f"{table.day(date)}/{name}"
        for poll in range(POLLS_BEFORE_GIVING_UP):
            if self._files.rename(written, target) or self._files.exists(target):
                return
            if self._files.exists(_marker(table, date)):
                self._wait(table, date, poll)
            else:
                self._files.make_directory(table.day(date))
        raise LakeError(f"cannot move {written} to {target}: check the space and the permissions of {table.directory}")

    def replace(self, table: Table, date: str, new: str, replaced: Iterable[str], beside: Iterable[str] | None = None) -> bool:
        """Replace a date's files `replaced` with the directory `new`.

        Files added since are kept; with `beside`, only those names may have been added. Returns False, with `new` deleted and
        the day unchanged, if some of the replaced files are gone or other files were added. Raises LakeError if another swap
        of the date was in progress.
        """
        self._files.make_directory(SWAPS)
        self._files.make_directory(REPLACED)
        old = f"{REPLACED}/{table.name}-{date}-{uuid.uuid4().hex[:8]}"
        holds = sorted(name for name in self._files.names(new) or () if not name.startswith(("_", ".")))
        if not holds:
            raise LakeError(f"{new} holds no file that could replace {table.day(date)}")
        swap = _Swap(new, old, tuple(sorted(replaced)), tuple(holds), None if beside is None else tuple(sorted(beside)))
        text = json.dumps(asdict(swap))
        # A marker appears complete: a partly written one would look like that of a dead owner.
        self._files.create_text(f"{old}.json", text)
        if not self._files.rename(f"{old}.json", _marker(table, date)):
            self._files.delete(f"{old}.json")
            for poll in range(POLLS_BEFORE_GIVING_UP):
                if not self._files.exists(_marker(table, date)):
                    break
                self._wait(table, date, poll)
            self._files.delete(new)
            raise LakeError(f"another swap of {table.day(date)} was under way and is now complete: try again")
        return self._carry_out(table, date, swap, text)

    def finish(self, table: Table, date: str) -> None:
        """Finish a swap that has a marker, from whatever step it reached; its owner may be doing the same."""
        text = self._files.read_text(_marker(table, date))
        if text is None:
            return
        try:
            swap = _read_swap(text)
        except (ValueError, KeyError, TypeError):
            self._files.delete(_marker(table, date))
            return
        self._carry_out(table, date, swap, text)

    def _carry_out(self, table: Table, date: str, swap: _Swap, text: str) -> bool:
        """Every step may be done by a second process at the same time, or again much later.

        `old` stays as an empty directory, so that the day cannot be moved away twice. Nothing is given up once `old` is there,
        and what `old` holds no longer changes: every process that looks decides the same.
        """
        day = table.day(date)
        present = set(self._files.names(day) or ())
        if not self._files.exists(swap.old):
            if swap.is_refused_by(present):
                self._files.delete(swap.new)
            else:
                self._files.rename(day, swap.old)
        moved = set(self._files.names(swap.old) or ())
        if moved and swap.adds_to(moved):
            self._files.delete(swap.new)
        self._put(swap.new, day, (swap.old, day), swap.replaced)
        done = set(swap.holds) <= set(self._files.names(day) or ())
        left = self._files.names(swap.old) or ()
        if done and left:
            trash = f"{TRASH}/{swap.old.rpartition('/')[2]}"
            self._files.make_directory(trash)
            for name in left:
                self._files.rename(f"{swap.old}/{name}", f"{trash}/{name}")
        elif left:
            self._put(swap.old, day, (day,), ())
        if self._files.read_text(_marker(table, date)) == text:
            self._files.delete(_marker(table, date))
        return done

    def _put(self, source: str, day: str, added_to: tuple[str, ...], replaced: tuple[str, ...]) -> None:
        """Rename `source` to `day` after moving into it what a writer added to the directories `added_to`."""
        for _ in range(POLLS_BEFORE_GIVING_UP):
            if not self._files.exists(source):
                return
            for directory in added_to:
                for name in self._files.names(directory) or ():
                    if name not in replaced and _is_added(name):
                        self._files.rename(f"{directory}/{name}", f"{source}/{name}")
            if not self._files.rename(source, day):
                # A writer that had seen no marker made the directory.
                self._files.delete_empty(day)
        raise LakeError(f"cannot replace {day} with {source}: check what is in {day}")

    def finish_all(self, table: Table) -> None:
        """Finish this table's swaps that a dead process left behind."""
        for name in self._files.names(SWAPS) or ():
            date = name.removesuffix(".json").removeprefix(f"{table.name}-")
            if is_date(date):
                self.finish(table, date)

    def _wait(self, table: Table, date: str, poll: int) -> None:
        if poll >= POLLS_BEFORE_TAKEOVER:
            self.finish(table, date)
        else:
            self._sleep(POLL_SECONDS)


def _is_added(name: str) -> bool:
    """Return whether a writer may have put the file there: a batch, or the list of its offsets."""
    return name.startswith(OFFSETS) or not name.startswith(("_", "."))


def _visible(names: set[str]) -> set[str]:
    return {name for name in names if not name.startswith(("_", "."))}


def _marker(table: Table, date: str) -> str:
    return f"{SWAPS}/{table.name}-{date}.json"
