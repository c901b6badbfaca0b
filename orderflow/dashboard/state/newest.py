"""The watch list's data of every instrument: its last minutes and the day's sums, much less than a roll-up holds."""

from __future__ import annotations

from typing import Final, NamedTuple

from orderflow.dashboard.state.instrument import Instrument

KEPT: Final = 48


class MinuteLine(NamedTuple):
    """One minute in which something traded."""

    start_ms: int
    close: float
    volume: int
    delta: int
    imbalance: float | None


class NewestMinutes:
    """The last traded minutes of one instrument, `KEPT` or a few more, and the sums of all its day's minutes."""

    def __init__(self) -> None:
        self.lines: list[MinuteLine] = []
        self.volume = self.delta = 0
        self._epoch = self._revision = -1
        self._forgotten = False

    def update(self, instrument: Instrument) -> None:
        """Take over what has changed since the last call."""
        if instrument.epoch != self._epoch:
            self._start_anew(instrument)
        changed = instrument.first_change_after(self._revision)
        self._revision = instrument.revision
        if changed is None:
            return
        if self._forgotten and changed <= self.lines[0].start_ms:
            self._start_anew(instrument)
            changed = instrument.starts[0]
        lines = self.lines
        while lines and lines[-1].start_ms >= changed:
            gone = lines.pop()
            self.volume -= gone.volume
            self.delta -= gone.delta
        for minute in instrument.minutes_from(changed):
            close, volume, delta, imbalance = minute.sums()
            if close is not None:
                lines.append(MinuteLine(minute.start_ms, close, volume, delta, imbalance))
                self.volume += volume
                self.delta += delta
        if len(lines) > KEPT + KEPT // 4:
            del lines[:-KEPT]
            self._forgotten = True

    def _start_anew(self, instrument: Instrument) -> None:
        self.lines = []
        self.volume = self.delta = 0
        self._epoch, self._revision, self._forgotten = instrument.epoch, -1, False
