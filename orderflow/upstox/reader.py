"""Decode what comes from the socket, by the feed's clock, and reject what cannot be used."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from orderflow.market.errors import DecodeError
from orderflow.market.rejects import reject_record
from orderflow.upstox.clock import FeedClock
from orderflow.upstox.decode import EMPTY, MARKET_INFO, AheadOfClockError, Decoded, decode
from orderflow.upstox.ledger import Ledger
from orderflow.upstox.reject_limit import RejectLimiter

log = logging.getLogger(__name__)


class MessageReader:
    """Reads one connection's messages; `clock` says how far the machine's clock is behind the feed.

    Rejects go to `publish` as records.REJECT, at most twenty a second; `rejected` counts them all.
    """

    def __init__(self, publish: Callable[[dict[str, Any]], None], ledger: Ledger) -> None:
        self.clock = FeedClock()
        self.rejected = 0
        self._publish, self._ledger = publish, ledger
        self._limiter = RejectLimiter()

    def read(self, payload: bytes | str, received_ms: int) -> Decoded | None:
        """Return a message decoded, perhaps without parts that were rejected; None when nothing of it could be decoded."""
        at_ms = self.clock.corrected(received_ms)
        try:
            decoded = self._decoded(payload, received_ms)
        except DecodeError as error:
            self._useless(error.reason, str(error), payload, at_ms)
            return None
        at_ms = self.clock.corrected(received_ms)
        if decoded.kind == EMPTY:
            self._useless("empty_message", "a message without feeds or market status", payload, at_ms)
            return decoded
        for rejection in decoded.rejections:
            text = f"{rejection.reason}: {rejection.instrument_key or 'message'}: {rejection.detail}"
            self._reject(rejection.reason, text, payload, at_ms)
        if decoded.updates:
            self._limiter.useful()
        elif decoded.rejections and decoded.kind != MARKET_INFO:
            self._limiter.useless(decoded.rejections[0].reason, at_ms)
        return decoded

    def trouble(self, now_ms: int) -> str | None:
        """Return in words why no message of the feed can be used; None while messages are usable."""
        blocked = self._limiter.blocked(self.clock.corrected(now_ms))
        if blocked is None:
            return None
        reason, count = blocked
        if reason == AheadOfClockError.REASON:
            return f"this machine's clock is {self.clock.behind_ms // 1000} s behind the feed: set the clock"
        return f"no message of the feed can be used: {count} messages rejected in a row, mostly {reason}"

    def _decoded(self, payload: bytes | str, received_ms: int) -> Decoded:
        """Decode a message; uses the feed's clock once the machine's clock is known to be behind."""
        try:
            decoded = decode(payload, self.clock.corrected(received_ms))
        except AheadOfClockError as ahead:
            if not self.clock.believes(ahead.feed_time_ms, received_ms, is_status=ahead.is_status):
                raise
            at_ms = self.clock.corrected(received_ms)
            decoded = decode(payload, at_ms)
            cause = (
                f"this machine's clock is {self.clock.offset_ms / 1000:.0f} s behind the feed, whose time is used: set the clock"
            )
            log.warning("%s", cause)
            self._ledger.event("clock", at_ms, to_ms=decoded.feed_time_ms, cause=cause)
        self.clock.accept(decoded.feed_time_ms, received_ms)
        return decoded

    def _useless(self, reason: str, text: str, payload: bytes | str, at_ms: int) -> None:
        """Reject a whole message."""
        self._limiter.useless(reason, at_ms)
        self._reject(reason, text, payload, at_ms)

    def _reject(self, reason: str, text: str, payload: bytes | str, at_ms: int) -> None:
        self.rejected += 1
        if not self._limiter.may_publish(at_ms):
            return
        if self._limiter.may_tell(at_ms):
            log.warning("rejected: %s (%d rejected so far)", text, self.rejected)
        raw = payload.encode() if isinstance(payload, str) else payload
        self._publish(reject_record(reason, "feed", at_ms, raw))
