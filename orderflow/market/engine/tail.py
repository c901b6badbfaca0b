"""A list that grows at its end and shrinks at its front, so that only its new end need be written."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Generic, TypeVar

Item = TypeVar("Item")


class Tail(Generic[Item]):
    """Items whose places count from the first there ever was: `items[0]` has the place `dropped`.

    Those from the place `saved` on have not been written yet.
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
        """Return the place of the first item that was not written, and the items from there on; they count as written now."""
        begin = max(self.saved, self.dropped)
        self.saved = self.dropped + len(self.items)
        return begin, self.items[begin - self.dropped :]

    def write_again(self) -> None:
        """Let all items count as not written: their order has changed."""
        self.saved = self.dropped

    def take(self, begin: int, items: Iterable[Item], dropped: int) -> None:
        """Put back what `unsaved` gave, behind what was put back before, and forget what lies before the place `dropped`."""
        del self.items[max(begin - self.dropped, 0) :]
        self.dropped = max(self.dropped, begin - len(self.items))
        self.items.extend(items)
        self.drop(max(dropped - self.dropped, 0))
        self.dropped = dropped
        self.saved = dropped + len(self.items)
