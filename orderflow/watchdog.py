"""Ends a process whose main loop hangs, so that the process manager starts it again."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Final, Self

log = logging.getLogger(__name__)

HUNG_CODE: Final = 70
_LOOK_SECONDS: Final = 5.0
_STOPPED_SECONDS: Final = 30.0


class Watchdog:
    """Watch, between `start` and `stop`, that `beat` is called at least every `seconds`; else log `problem` and end the process.

    The end is immediate: no exception reaches a thread that waits in a call for ever. `end` and `clock` are for tests.
    """

    def __init__(
        self,
        seconds: float,
        problem: str,
        *,
        end: Callable[[int], object] = os._exit,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._seconds, self._problem, self._end, self._clock = seconds, problem, end, clock
        self._beaten_at = self._looked_at = clock()
        self._stop = threading.Event()

    def beat(self) -> None:
        """Report that the loop is alive; safe from any thread."""
        self._beaten_at = self._clock()

    def start(self) -> None:
        """Begin to watch, on a thread of its own."""
        self._beaten_at = self._looked_at = self._clock()
        threading.Thread(target=self._watch, name="watchdog", daemon=True).start()

    def stop(self) -> None:
        """Stop watching, because the loop has ended."""
        self._stop.set()

    def look(self) -> None:
        """End the process if the last beat is too long ago; after a SIGSTOP of the whole process the time starts again."""
        now, looked_at = self._clock(), self._looked_at
        self._looked_at = now
        silent = now - self._beaten_at
        if now - looked_at > _STOPPED_SECONDS:
            self.beat()
        elif silent > self._seconds:
            log.critical("%s for %.0f s: the process ends and is restarted", self._problem, silent)
            self._end(HUNG_CODE)

    def _watch(self) -> None:
        while not self._stop.wait(_LOOK_SECONDS):
            self.look()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self.stop()
