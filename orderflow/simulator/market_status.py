"""What the simulated exchange has announced so far: each segment's status, the closing auction's and the pre-open's."""

from __future__ import annotations

from collections.abc import Sequence

from orderflow.simulator import feed_message
from orderflow.simulator.session_plan import SEGMENTS, Announcement


class MarketStatus:
    """The statuses as the feed's `market_info` has them."""

    def __init__(self) -> None:
        self._segments: dict[str, str] = dict.fromkeys(SEGMENTS, "NORMAL_CLOSE")
        self._closing_auction: tuple[str, int] | None = None
        self._pre_open: tuple[str, int] | None = None

    def announce(self, announcement: Announcement) -> None:
        """Take an announcement."""
        self._segments.update(announcement.segments)
        if announcement.closing_auction:
            self._closing_auction = (announcement.closing_auction, announcement.at_ms)
        if announcement.pre_open:
            self._pre_open = (announcement.pre_open, announcement.at_ms)

    def of(self, segment: str) -> str:
        """Return a segment's status; an unknown one is closed."""
        return self._segments.get(segment, "NORMAL_CLOSE")

    def info(self, now_ms: int) -> bytes:
        """Return the `market_info` message at feed time `now_ms`."""
        return feed_message.market_info(now_ms, self._segments, self._closing_auction, self._pre_open)

    def greeting(self, now_ms: int, *, insists: bool) -> Sequence[bytes]:
        """Return what a new connection receives; with `insists`, phrased so that it is believed at any hour."""
        return feed_message.greeting(now_ms, self._segments, self.info(now_ms), insists=insists)
