"""Limits how many rejects are published, and detects that no message of the feed can be used."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Final

_A_SECOND: Final = 20
_TELL_EVERY_MS: Final = 10_000
_BLOCKED_MESSAGES: Final = 3
_BLOCKED_MS: Final = 10_000


@dataclass(slots=True)
class RejectLimiter:
    """Let twenty rejects a second be published and one in ten seconds be logged.

    `blocked` says why, when no message could be used for ten seconds.
    """

    _second: int = 0
    _this_second: int = 0
    _told_ms: int = 0
    _useless: Counter[str] = field(default_factory=Counter)
    _useless_since_ms: int | None = None

    def may_publish(self, at_ms: int) -> bool:
        """Return whether one more reject may be published now."""
        if at_ms // 1000 != self._second:
            self._second, self._this_second = at_ms // 1000, 0
        self._this_second += 1
        return self._this_second <= _A_SECOND

    def may_tell(self, at_ms: int) -> bool:
        """Return whether the log may have a line about it now."""
        if abs(at_ms - self._told_ms) < _TELL_EVERY_MS:
            return False
        self._told_ms = at_ms
        return True

    def useless(self, reason: str, at_ms: int) -> None:
        """Note a message of which nothing could be used."""
        self._useless[reason] += 1
        if self._useless_since_ms is None:
            self._useless_since_ms = at_ms

    def useful(self) -> None:
        """Note a message that brought an update."""
        if self._useless_since_ms is not None:
            self._useless_since_ms = None
            self._useless.clear()

    def blocked(self, now_ms: int) -> tuple[str, int] | None:
        """Return the most frequent reason and how many messages, when none was of use for ten seconds; else None."""
        since_ms, total = self._useless_since_ms, self._useless.total()
        if since_ms is None or total < _BLOCKED_MESSAGES or now_ms - since_ms < _BLOCKED_MS:
            return None
        return self._useless.most_common(1)[0][0], total
