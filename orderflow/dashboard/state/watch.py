"""The watch list's lines: each instrument's last minutes and day in one line, computed once for all viewers."""

from __future__ import annotations

from typing import Any, Final

from orderflow.dashboard.state.instrument import Instrument
from orderflow.dashboard.state.newest import KEPT, NewestMinutes

AVERAGE_OF: Final = 20


def watch_row(instrument: Instrument, newest: NewestMinutes) -> dict[str, Any]:
    """Return one line of the watch list, with the values of the newest minute for alert rules."""
    close = instrument.quote.get("close_price")
    price = instrument.last_price
    last = newest.lines[-1] if newest.lines else None
    before = [line.volume for line in newest.lines[-1 - AVERAGE_OF : -1]]
    return {
        "key": instrument.key,
        "last": price,
        "change_percent": None if price is None or not close else round((price - close) / close * 100, 2),
        "volume": max(instrument.quote.get("vtt") or 0, newest.volume),
        "delta": newest.delta,
        "minute": None
        if last is None
        else {
            "start_ms": last.start_ms,
            "volume": last.volume,
            "delta": last.delta,
            "imbalance": last.imbalance,
            "average_volume": round(sum(before) / len(before)) if before else None,
        },
    }


class WatchLines:
    """The watch list's lines, each computed once for all viewers until its instrument changes."""

    def __init__(self) -> None:
        self._lines: dict[str, tuple[tuple[int, int], dict[str, Any]]] = {}
        self._newest: dict[str, NewestMinutes] = {}

    def newest(self, instrument: Instrument) -> NewestMinutes:
        """Return the last minutes of one instrument."""
        minutes = self._newest.get(instrument.key)
        if minutes is None:
            minutes = self._newest[instrument.key] = NewestMinutes()
        minutes.update(instrument)
        return minutes

    def row(self, instrument: Instrument) -> dict[str, Any]:
        """Return the line of one instrument; copy what you change."""
        stamp = (instrument.revision, instrument.tick_revision)
        line = self._lines.get(instrument.key)
        if line is None or line[0] != stamp:
            line = self._lines[instrument.key] = (stamp, watch_row(instrument, self.newest(instrument)))
        return line[1]


def spark(newest: NewestMinutes) -> list[float]:
    """Return the closes of the last minutes, for the watch list's line."""
    return [line.close for line in newest.lines[-KEPT:]]
