"""Tracks how recent the data is, per instrument and per streamer, because one may stop while others continue.

Records name their streamer, because several can share the subscription; records without a name belong to one streamer, "".
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from orderflow.dashboard.state.instrument import Instrument

STALL_MS: Final = 30_000
OPEN_STATES: Final = frozenset({"NORMAL_OPEN", "CLOSING_START"})


@dataclass(slots=True)
class Streamer:
    """The last records of one streamer; times are epoch milliseconds, 0 for never."""

    name: str
    update_ms: int = 0
    heartbeat_ms: int = 0
    connected_ms: int = 0
    lost_ms: int = 0
    refused_ms: int = 0
    refusal: str = ""

    @property
    def refused(self) -> bool:
        """Return whether Upstox refuses its connection."""
        return self.refused_ms > self.connected_ms

    @property
    def disconnected(self) -> bool:
        """Return whether it reports its connection to the feed as down."""
        return self.lost_ms > self.connected_ms

    def note(self, event: str, at_ms: int) -> None:
        """Take one of its events."""
        if event == "connected":
            self.connected_ms = max(self.connected_ms, at_ms)
        elif event in ("disconnected", "stopped"):
            self.lost_ms = max(self.lost_ms, at_ms)

    def refuse(self, at_ms: int, cause: str) -> None:
        """Take Upstox's refusal of its connection."""
        if at_ms >= self.refused_ms:
            self.refused_ms, self.refusal = at_ms, cause

    def failing(self, now_ms: int) -> bool:
        """Return whether it is disconnected, or no update of any of its instruments came for `STALL_MS`."""
        return self.disconnected or now_ms - self.update_ms > STALL_MS


class Streamers:
    """All streamers by name."""

    def __init__(self) -> None:
        self._known: dict[str, Streamer] = {}

    def of(self, name: str | None) -> Streamer:
        """Return the streamer of that name, made if new."""
        streamer = self._known.get(name or "")
        if streamer is None:
            streamer = self._known[name or ""] = Streamer(name or "")
        return streamer

    def restarted(self, name: str | None, at_ms: int) -> None:
        """Clear refusals from before a start: the streamer may now have fewer connections (`name/2` and so on)."""
        base = name or ""
        for known in self._known.values():
            if (known.name == base or known.name.startswith(f"{base}/")) and known.refused_ms <= at_ms:
                known.refused_ms = 0

    def refusals(self) -> list[str]:
        """Return what Upstox says to the connections that it refuses."""
        return [known.refusal for _, known in sorted(self._known.items()) if known.refused]

    def serving(self, instrument: Instrument | None) -> Streamer | None:
        """Return the streamer of an instrument's newest update; without an update the only streamer there is, if any."""
        if instrument is not None and "received_time_ms" in instrument.quote:
            return self.of(instrument.quote.get("streamer"))
        return next(iter(self._known.values())) if len(self._known) == 1 else None

    def failing(self, trading: Iterable[Instrument], now_ms: int) -> dict[str, int]:
        """Return how many instruments each failing streamer serves; a streamer without instruments has been replaced.

        `trading` are those whose market is open: after the close a streamer has nothing to send.
        """
        counts: dict[str, int] = {}
        for instrument in trading:
            streamer = self.serving(instrument)
            if streamer is not None and streamer.failing(now_ms):
                counts[streamer.name] = counts.get(streamer.name, 0) + 1
        return counts


def is_trading(instrument: Instrument, status: str | None, feed_clock_ms: int | None) -> bool:
    """Return whether updates of an instrument are due: it has had one today, and its market is open."""
    if "received_time_ms" not in instrument.quote or (status is not None and status not in OPEN_STATES):
        return False
    end = instrument.session_end_ms
    return end is None or feed_clock_ms is None or feed_clock_ms < end
