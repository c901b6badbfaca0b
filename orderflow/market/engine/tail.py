"""A list that grows at its end and shrinks at its front, so that only new items have to be written."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Generic, TypeVar

Item = TypeVar("Item")


class Tail(Generic[Item]):
    """Items numbered from the first one ever added: `items[0]` has the number `dropped`.

    Items from the number `saved` on have not been written yet.
    """

    __slots__ = ("dropped", "items", "saved")

    def __init__(self) -> None:
        self.items: list[Item] = []
        self.dropped = 0
        self.saved = 0

    def drop(self, count: int) -> None:
        """Forget the first `count` items."""
        del self.items[:count]
        self.dropped += count

    def unsaved(self) -> tuple[int, list[Item]]:
        """Return the number of the first unwritten item, and the items from there on; they count as written afterwards."""
        begin = max(self.saved, self.dropped)
        self.saved = self.dropped + len(self.items)
        return begin, self.items[begin - self.dropped :]

    def write_again(self) -> None:
        """Mark all items as unwritten, because their order has changed."""
        self.saved = self.dropped

    def take(self, begin: int, items: Iterable[Item], dropped: int) -> None:
        """Put back what `unsaved` gave, behind what was put back before, and forget what lies before the place `dropped`."""
        del self.items[max(begin - self.dropped, 0) :]
        self.dropped = max(self.dropped, begin - len(self.items))
        self.items.extend(items)
        self.drop(max(dropped - self.dropped, 0))
        self.dropped = dropped
        self.saved = dropped + len(self.items)
