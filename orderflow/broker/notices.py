"""Limits log lines that would otherwise be written for every record: each subject at most once in ten seconds."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

_EVERY_SECONDS: Final = 10.0


@dataclass(slots=True)
class Notices:
    """Write to `log`, each subject at most once in ten seconds of `clock`."""

    log: logging.Logger
    clock: Callable[[], float]
    _written_at: dict[str, float] = field(default_factory=dict)

    def tell(self, subject: str, level: int, text: str) -> None:
        """Write a line, unless there was one of this subject just now."""
        now = self.clock()
        if now - self._written_at.get(subject, -_EVERY_SECONDS) >= _EVERY_SECONDS:
            self._written_at[subject] = now
            self.log.log(level, "%s", text)
