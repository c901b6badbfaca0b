"""Replace a date's directory by another one while readers read it and the sink keeps adding files.

HDFS renames one directory atomically, not two. So a swap is announced by a marker file, the old directory is renamed away,
files the sink added meanwhile follow into the new one, which is renamed into place. In between, a few milliseconds, the
date is absent: readers get an error and retry, the sink waits. Whoever finds a marker whose owner died finishes the swap.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterable
from typing import Final

from orderflow.lake.hadoop import HadoopFiles
from orderflow.lake.layout import ROOT, LakeError, Table, is_date

SWAPS: Final = f"{ROOT}/_staging/swaps"
REPLACED: Final = f"{ROOT}/_staging/replaced"
POLL_SECONDS: Final = 0.1
# A swap takes milliseconds: after so many polls its owner is taken for dead.
POLLS_BEFORE_TAKEOVER: Final = 30
POLLS_BEFORE_GIVING_UP: Final = 100


class Swaps:
    """List, add to and replace the directories of trading dates, safely against one another."""

    def __init__(self, files: HadoopFiles, sleep: Callable[[float], None]) -> None:
        self._files = files
        self._sleep = sleep

    def names(self, table: Table, date: str) -> tuple[str, ...]:
        """Return the names in a date's directory; empty only if the date is absent and no swap hides it."""
        for poll in range(POLLS_BEFORE_GIVING_UP):
            found = self._files.names(table.day(date))
            if found is not None:
                return found
            if not self._files.exists(_marker(table, date)):
                # A swap may have ended between the two look-ups.
                return self._files.names(table.day(date)) or ()
            self._wait(table, date, poll)
        raise LakeError(f"{table.day(date)} is absent and its swap does not end: see {_marker(table, date)}")

    def place(self, table: Table, date: str, written: str, name: str) -> None:
        """Move a finished file into a date's directory; a file of that name already there means that it was done before."""
        target = f"{table.day(date)}/{name}"
        for poll in range(POLLS_BEFORE_GIVING_UP):
            if self._files.rename(written, target) or self._files.exists(target):
                return
            if self._files.exists(_marker(table, date)):
                self._wait(table, date, poll)
            else:
                self._files.make_directory(table.day(date))
        raise LakeError(f"cannot move {written} to {target}: check the space and the permissions of {table.directory}")

    def replace(self, table: Table, date: str, new: str, replaced: Iterable[str]) -> bool:
        """Put the directory `new` in the place of a date's `replaced` files; what was added since stays.

        False, with `new` deleted, when some of the replaced files are gone: someone else replaced them. Raises LakeError
        when another swap of the date is under way.
        """
        self._files.make_directory(SWAPS)
        self._files.make_directory(REPLACED)
        old = f"{REPLACED}/{table.name}-{date}-{uuid.uuid4().hex[:8]}"
        text = json.dumps({"new": new, "old": old, "replaced": sorted(replaced)})
        if not self._files.create_text(_marker(table, date), text):
            self.finish(table, date)
            raise LakeError(f"another swap of {table.day(date)} was under way and is now complete: try again")
        return self.finish(table, date)

    def finish(self, table: Table, date: str) -> bool:
        """Bring an announced swap to its end, from whatever point it reached; False if it had to be given up."""
        text = self._files.read_text(_marker(table, date))
        if text is None:
            return True
        try:
            swap = json.loads(text)
            new, old, replaced = str(swap["new"]), str(swap["old"]), set(swap["replaced"])
        except (ValueError, KeyError, TypeError):
            # Its writer died before the text was complete, so nothing was moved.
            self._files.delete(_marker(table, date))
            return False
        day = table.day(date)
        if self._files.exists(new) and not self._files.exists(old):
            if not replaced <= set(self._files.names(day) or ()):
                self._files.delete(new)
                self._files.delete(_marker(table, date))
                return False
            self._files.rename(day, old)
        for _ in range(POLLS_BEFORE_GIVING_UP):
            if not self._files.exists(new):
                break
            for added in (old, day):
                for name in self._files.names(added) or ():
                    if name not in replaced and not name.startswith(("_", ".")):
                        self._files.rename(f"{added}/{name}", f"{new}/{name}")
            if not self._files.rename(new, day) and not self._files.names(day):
                self._files.delete(day)
        else:
            raise LakeError(f"cannot put {new} in the place of {day}: what is in {day}?")
        if not self._files.exists(day):
            # Two owners met and the later one moved the new directory away as if it were the old one.
            self._files.rename(old, day)
        self._files.delete(old)
        self._files.delete(_marker(table, date))
        return True

    def finish_all(self, table: Table) -> None:
        """Finish what a dead process left behind of this table's swaps."""
        for name in self._files.names(SWAPS) or ():
            date = name.removesuffix(".json").removeprefix(f"{table.name}-")
            if is_date(date):
                self.finish(table, date)

    def _wait(self, table: Table, date: str, poll: int) -> None:
        if poll >= POLLS_BEFORE_TAKEOVER:
            self.finish(table, date)
        else:
            self._sleep(POLL_SECONDS)


def _marker(table: Table, date: str) -> str:
    return f"{SWAPS}/{table.name}-{date}.json"
