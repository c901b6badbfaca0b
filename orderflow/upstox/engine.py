"""Turns what comes from the socket into published ticks, events and heartbeats; keeps the state of every instrument.

It has no clock, thread or socket of its own: times come in with each call, and the sink is injected.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any, Final, Protocol

from orderflow.market.errors import DecodeError
from orderflow.market.inference import InstrumentState, infer
from orderflow.market.rejects import reject_record
from orderflow.market.session import SegmentState, SessionBook, segment_of
from orderflow.market.stored_state import SEGMENT, segment_state
from orderflow.market.tick import FeedUpdate, Tick, heartbeat_tick
from orderflow.upstox.decode import EMPTY, MARKET_INFO, Decoded, decode

log = logging.getLogger(__name__)

_REJECTS_A_SECOND: Final = 20
_TELL_REJECT_EVERY_MS: Final = 10_000
_SNAPSHOT_PATIENCE_MS: Final = 3_000
_UNCONFIRMED_SECONDS: Final = 5.0
_LEDGER_EVERY_MS: Final = 60_000
_FROZEN_MS: Final = 5_000
_HOLD_MS: Final = 10_000
_RESET_UPDATES: Final = 20
_RESET_MS: Final = 30_000


class Sink(Protocol):
    """Where ticks, events, rejects and states go; the Kafka publisher in the product, a list in tests."""

    def tick(self, tick: Tick) -> bool:
        """Take a tick; False when it could not be kept."""
        ...

    def heartbeat(self, tick: Tick) -> None:
        """Take a heartbeat."""
        ...

    def event(self, record: dict[str, Any]) -> None:
        """Take a record of the gap ledger."""
        ...

    def reject(self, record: dict[str, Any]) -> None:
        """Take something that could not be used."""
        ...

    def state(self, key: str, record: Callable[[], dict[str, Any]]) -> None:
        """Take a changed state."""
        ...

    def backlog_number(self) -> int:
        """Return the number of the last record taken."""
        ...

    def is_acknowledged(self, number: int) -> bool:
        """Say whether all up to `number` is stored."""
        ...

    @property
    def is_spooling(self) -> bool:
        """Say whether records wait on disk."""
        ...

    def oldest_unacknowledged_seconds(self) -> float:
        """Return the age of the oldest unconfirmed record."""
        ...


@dataclass(slots=True)
class EngineFigures:
    """Counters since the start."""

    messages: int = 0
    ticks: int = 0
    trades: int = 0
    rejects: int = 0
    gaps: int = 0
    duplicates: int = 0
    out_of_order: int = 0
    heartbeats: int = 0


@dataclass(slots=True)
class _Ledger:
    """Repeats of one instrument that are told together, once a minute."""

    count: int
    from_ms: int | None
    to_ms: int | None


@dataclass(slots=True)
class FeedEngine:
    """The streamer's core. Call it from one thread; `states` and `book` may be restored ones."""

    sink: Sink
    book: SessionBook
    states: dict[str, InstrumentState] = field(default_factory=dict)
    watermark_ms: int = 120_000
    figures: EngineFigures = field(default_factory=EngineFigures)
    keys: set[str] = field(default_factory=set)
    last_message_ms: int | None = None
    last_feed_time_ms: int | None = None
    _gap_cause: dict[str, str] = field(default_factory=dict)
    _connected: bool = False
    _stalled: bool = False
    _outage_from_ms: int | None = None
    _unseen: set[str] = field(default_factory=set)
    _snapshot_from_ms: int | None = None
    _resume_number: int | None = None
    _beating: bool = False
    _last_beat_ms: int = 0
    _asked_ms: int = 0
    _awake_ms: int = 0
    _hold_until_ms: int = 0
    _backwards: dict[str, tuple[int, int]] = field(default_factory=dict)
    _duplicates: dict[str, _Ledger] = field(default_factory=dict)
    _ledger_from_ms: int = 0
    _reject_second: int = 0
    _rejects_this_second: int = 0
    _told_reject_ms: int = 0
    _closing_auction_status: dict[str, str] = field(default_factory=dict)

    def own(self, keys: Iterable[str], cause: str = "restart") -> None:
        """Take over instruments; what was restored of them continues after a gap."""
        for key in keys:
            if key not in self.keys:
                self.keys.add(key)
                state = self.states.setdefault(key, InstrumentState(key))
                if state.sequence:
                    self._gap_cause[key] = cause
                    self.sink.state(key, lambda key=key: {"state": self.states[key].to_record()})  # type: ignore[misc]

    def disown(self, keys: Iterable[str]) -> None:
        """Forget instruments that are no longer watched; their updates are ignored from now on."""
        for key in keys:
            self.keys.discard(key)
            self._unseen.discard(key)
            self.states.pop(key, None)
            self._gap_cause.pop(key, None)

    def opened(self, at_ms: int) -> None:
        """Note that a connection is open; heartbeats resume once its first snapshot is stored."""
        self._connected, self._stalled = True, False
        self._unseen = set(self.keys)
        self._snapshot_from_ms = self._resume_number = None
        self._beating = False
        self._event("connected", at_ms, from_ms=self._outage_from_ms, to_ms=at_ms if self._outage_from_ms is not None else None)
        self._outage_from_ms = None

    def lost(self, at_ms: int, cause: str) -> None:
        """Note that the connection is gone: heartbeats stop, and the next trade of each instrument spans a gap."""
        if self._connected or self._outage_from_ms is None:
            self._event("disconnected", at_ms, from_ms=self.last_feed_time_ms, cause=cause)
            self._outage_from_ms = self.last_feed_time_ms if self._connected else self._outage_from_ms
        if self._connected:
            self.overrun(cause)
        self._connected = self._beating = False

    def stalled(self, at_ms: int, silent_ms: int) -> None:
        """Note that the connection is open but mute: heartbeats stop."""
        self._stalled = True
        self._beating = False
        self._event(
            "stalled", at_ms, from_ms=self.last_feed_time_ms, to_ms=at_ms, cause=f"no message for {silent_ms / 1000:.0f} s"
        )

    def overrun(self, cause: str) -> None:
        """Note that messages were missed: the next trade of each instrument is marked as spanning a gap."""
        for key in self.keys:
            if self.states[key].sequence:
                self._gap_cause.setdefault(key, cause)

    def refused(self, rejects: Iterable[dict[str, Any]], count: int) -> None:
        """Publish what was refused of stored records, and count it; `rejects` may be fewer than `count`."""
        self.figures.rejects += count
        for record in rejects:
            self.sink.reject(record)

    def event(self, name: str, at_ms: int, cause: str, detail: dict[str, Any] | None = None) -> None:
        """Record something that the supervisor decided."""
        self._event(name, at_ms, cause=cause, detail=detail)

    def message(self, payload: bytes | str, received_ms: int) -> Decoded | None:
        """Publish what one message says; return it decoded, or None when it could not be used."""
        self.figures.messages += 1
        try:
            decoded = decode(payload, received_ms)
        except DecodeError as error:
            self._reject(error.reason, str(error), payload, received_ms)
            return None
        if decoded.kind == EMPTY:
            self._reject("empty_message", "a message without feeds or market status", payload, received_ms)
            return decoded
        for rejection in decoded.rejections:
            text = f"{rejection.reason}: {rejection.instrument_key or 'message'}: {rejection.detail}"
            self._reject(rejection.reason, text, payload, received_ms)
        self.last_message_ms = received_ms
        self._awake_ms = 0
        self.last_feed_time_ms = decoded.feed_time_ms
        if decoded.segment_status:
            self._announced(decoded, received_ms)
        if decoded.closing_auction_status and decoded.closing_auction_status != self._closing_auction_status:
            self._closing_auction_status = decoded.closing_auction_status
            self._event("closing_auction", received_ms, to_ms=decoded.feed_time_ms, detail=dict(decoded.closing_auction_status))
        for update in decoded.updates:
            if update.instrument_key in self.keys:
                self._update(update, received_ms)
        if decoded.kind != MARKET_INFO:
            self._note_snapshot(decoded, received_ms)
        return decoded

    def beat(self, now_ms: int) -> bool:
        """Send the heartbeat that is due, if heartbeats may be sent; return whether one was. Call it once a second.

        After a pause of the whole process (a suspended machine) it holds back for ten seconds: messages that waited in the
        socket come first, or the heartbeat would make them late. Neither such a pause nor a step of the wall clock moves the
        heartbeat far: between messages it advances by the time between calls, of each at most five seconds.
        """
        if now_ms - self._ledger_from_ms >= _LEDGER_EVERY_MS:
            self._flush_ledger(now_ms)
        if 0 < self._asked_ms < now_ms - _FROZEN_MS:
            self._hold_until_ms = now_ms + _HOLD_MS
        self._awake_ms += min(max(0, now_ms - self._asked_ms), _FROZEN_MS)
        self._asked_ms = now_ms
        if not self._may_beat(now_ms) or self.last_message_ms is None or self.last_feed_time_ms is None:
            return False
        clock_ms = self.last_feed_time_ms + min(max(0, now_ms - self.last_message_ms), self._awake_ms)
        self._last_beat_ms = max(self._last_beat_ms, clock_ms)
        self.sink.heartbeat(heartbeat_tick(self._last_beat_ms, now_ms))
        self.figures.heartbeats += 1
        return True

    def is_in_continuous_trading(self, now_ms: int) -> bool:
        """Say whether any owned instrument should be trading, by the feed's clock and announcements."""
        if self.last_feed_time_ms is None or self.last_message_ms is None:
            return False
        clock_ms = self.last_feed_time_ms + now_ms - self.last_message_ms
        one_of_each = {segment_of(key): key for key in self.keys}
        return any(
            self.book.status(key) in (None, "NORMAL_OPEN") and self.book.session(key, clock_ms).phase(clock_ms) == "continuous"
            for key in one_of_each.values()
        )

    def close(self, at_ms: int, cause: str) -> None:
        """Write the last records of the ledger before the process ends."""
        self._flush_ledger(at_ms)
        self._event("stopped", at_ms, from_ms=self.last_feed_time_ms, cause=cause)

    def _update(self, update: FeedUpdate, received_ms: int) -> None:
        key = update.instrument_key
        session = self.book.session(key, update.feed_time_ms)
        cause = self._gap_cause.get(key)
        result = infer(
            self.states[key],
            update,
            session,
            self.book.status(key),
            after_gap=cause is not None,
            watermark_ms=self.watermark_ms,
        )
        if not self.sink.tick(result.tick):
            self._gap_cause.setdefault(key, "the spool was full")
            return
        figures = self.figures
        figures.ticks += 1
        if result.tick.traded_volume:
            figures.trades += 1
        self.states[key] = result.state
        if cause is not None:
            del self._gap_cause[key]
        if key in self._backwards and not any(event.event == "out_of_order" for event in result.events):
            del self._backwards[key]
        self.sink.state(key, lambda: {"state": self.states[key].to_record()} if key in self.states else {"state": None})
        for event in result.events:
            if event.event == "duplicate":
                figures.duplicates += 1
                known = self._duplicates.get(key)
                if known is None:
                    self._duplicates[key] = _Ledger(1, event.from_ms, event.to_ms)
                else:
                    known.count += 1
                    known.to_ms = event.to_ms
                continue
            figures.gaps += event.event == "gap"
            figures.out_of_order += event.event == "out_of_order"
            self._event(
                event.event,
                received_ms,
                instrument_key=key,
                from_ms=event.from_ms,
                to_ms=event.to_ms,
                cause=cause if event.event == "gap" else "vtt went backwards",
                volume=event.volume,
            )
            if event.event == "out_of_order":
                self._went_backwards(update, received_ms)

    def _went_backwards(self, update: FeedUpdate, received_ms: int) -> None:
        """Take a new baseline once vtt has stayed below the old one: that one was wrong, or the feed is another."""
        key = update.instrument_key
        count, since_ms = self._backwards.get(key, (0, update.feed_time_ms))
        self._backwards[key] = (count + 1, since_ms)
        if count + 1 < _RESET_UPDATES or update.feed_time_ms - since_ms < _RESET_MS:
            return
        del self._backwards[key]
        cause = f"vtt stayed below {self.states[key].vtt} for {count + 1} updates: a new baseline is taken"
        self.states[key] = replace(self.states[key], vtt=None)
        log.warning("%s: %s", key, cause)
        self._event("reset", received_ms, instrument_key=key, from_ms=since_ms, to_ms=update.feed_time_ms, cause=cause)

    def _announced(self, decoded: Decoded, received_ms: int) -> None:
        changes = self.book.announce(decoded.segment_status or {}, decoded.feed_time_ms)
        for segment in decoded.segment_status or {}:
            self.sink.state(SEGMENT + segment, lambda segment=segment: self.book.segments[segment].to_record())  # type: ignore[misc]
        if changes:
            log.info("market status: %s", ", ".join(f"{segment} {after}" for segment, _, after in changes))
            detail = {segment: after for segment, _, after in changes}
            self._event("market_status", received_ms, to_ms=decoded.feed_time_ms, detail=detail)

    def _note_snapshot(self, decoded: Decoded, received_ms: int) -> None:
        """Decide when heartbeats may resume: every instrument seen, or three seconds after the first; then stored."""
        if self._beating or not self._connected or self._resume_number is not None:
            return
        if self._snapshot_from_ms is None:
            self._snapshot_from_ms = received_ms
        self._unseen.difference_update(update.instrument_key for update in decoded.updates)
        if not self._unseen or received_ms - self._snapshot_from_ms >= _SNAPSHOT_PATIENCE_MS:
            self._resume_number = self.sink.backlog_number()

    def _may_beat(self, now_ms: int) -> bool:
        if not self._connected or self._stalled or self.sink.is_spooling or now_ms < self._hold_until_ms:
            return False
        if self.sink.oldest_unacknowledged_seconds() > _UNCONFIRMED_SECONDS:
            return False
        if self._beating:
            return True
        waited = self._snapshot_from_ms is not None and now_ms - self._snapshot_from_ms >= _SNAPSHOT_PATIENCE_MS
        if self._resume_number is None and waited:
            self._resume_number = self.sink.backlog_number()
        self._beating = self._resume_number is not None and self.sink.is_acknowledged(self._resume_number)
        return self._beating

    def _flush_ledger(self, at_ms: int) -> None:
        self._ledger_from_ms = at_ms
        for key, told in self._duplicates.items():
            self._event(
                "duplicate",
                at_ms,
                instrument_key=key,
                from_ms=told.from_ms,
                to_ms=told.to_ms,
                cause="the feed repeated itself",
                volume=0,
                detail={"count": told.count},
            )
        self._duplicates.clear()

    def _event(self, name: str, at_ms: int, *, detail: dict[str, Any] | None = None, **known: Any) -> None:
        record = {"event": name, "at_ms": at_ms, **{field: value for field, value in known.items() if value is not None}}
        if detail is not None:
            record["detail"] = json.dumps(detail)
        self.sink.event(record)

    def _reject(self, reason: str, text: str, payload: bytes | str, received_ms: int) -> None:
        self.figures.rejects += 1
        if received_ms // 1000 != self._reject_second:
            self._reject_second, self._rejects_this_second = received_ms // 1000, 0
        self._rejects_this_second += 1
        if self._rejects_this_second > _REJECTS_A_SECOND:
            return
        if received_ms - self._told_reject_ms >= _TELL_REJECT_EVERY_MS:
            log.warning("rejected: %s (%d rejected so far)", text, self.figures.rejects)
            self._told_reject_ms = received_ms
        raw = payload.encode() if isinstance(payload, str) else payload
        self.sink.reject(reject_record(reason, "feed", received_ms, raw))


def restored_segments(states: dict[str, dict[str, Any]]) -> dict[str, SegmentState]:
    """Return the announcements kept on the state topic, by segment. Raises DecodeError when one of `states` is none."""
    return {key.removeprefix(SEGMENT): segment_state(record) for key, record in states.items() if key.startswith(SEGMENT)}
