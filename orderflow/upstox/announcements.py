"""Passes the feed's market status, and the exchange's minutes, to the session book, the state topic and the ledger."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from orderflow.market.session import SessionBook, segment_of
from orderflow.market.stored_state import SEGMENT
from orderflow.upstox.decode import Decoded
from orderflow.upstox.ledger import Ledger
from orderflow.upstox.storage import Sink

log = logging.getLogger(__name__)


class Announcements:
    """Passes announcements on to the session book that all connections share."""

    def __init__(self, sink: Sink, book: SessionBook, ledger: Ledger) -> None:
        self._sink, self._book, self._ledger = sink, book, ledger
        self._auction_status: dict[str, dict[str, str]] = {}

    def take(self, decoded: Decoded, at_ms: int) -> None:
        """Take the statuses of segments and auctions in a message; what changed goes into the ledger."""
        if decoded.segment_status:
            self._announce(decoded.segment_status, decoded.feed_time_ms, at_ms)
        for name, statuses in (("pre_open", decoded.pre_open_status), ("closing_auction", decoded.closing_auction_status)):
            if statuses and statuses != self._auction_status.get(name):
                self._auction_status[name] = statuses
                self._ledger.event(name, at_ms, to_ms=decoded.feed_time_ms, detail=dict(statuses))

    def minutes(self, key: str, starts_ms: Iterable[int]) -> None:
        """Take it that the exchange has minutes of today of an instrument: its session had begun by the first."""
        if any([self._book.announce_minute(key, start_ms) for start_ms in starts_ms]):
            self._store([segment_of(key)])

    def continuous(self, keys: Iterable[str], clock_ms: int | None) -> dict[str, bool]:
        """Say by key whether it should be trading at the feed's time; nothing should before that is known."""
        keys = list(keys)
        if clock_ms is None:
            return dict.fromkeys(keys, False)
        one_of_each = {segment_of(key): key for key in keys}
        trading = {segment: self._is_continuous(key, clock_ms) for segment, key in one_of_each.items()}
        return {key: trading[segment_of(key)] for key in keys}

    def _is_continuous(self, key: str, clock_ms: int) -> bool:
        is_open = self._book.status(key) in (None, "NORMAL_OPEN")
        return is_open and self._book.session(key, clock_ms).phase(clock_ms) == "continuous"

    def _announce(self, statuses: dict[str, str], feed_time_ms: int, at_ms: int) -> None:
        changes = self._book.announce(statuses, feed_time_ms)
        self._store(statuses)
        if changes:
            log.info("market status: %s", ", ".join(f"{segment} {after}" for segment, _, after in changes))
            self._ledger.event(
                "market_status", at_ms, to_ms=feed_time_ms, detail={segment: after for segment, _, after in changes}
            )

    def _store(self, segments: Iterable[str]) -> None:
        for segment in segments:
            self._sink.state(SEGMENT + segment, lambda segment=segment: self._book.segments[segment].to_record())  # type: ignore[misc]
