"""Turns messages from the socket into published ticks, events and heartbeats; keeps the state of every instrument.

It has no clock, thread or socket: times are passed with each call, and the sink is injected. Its parts keep missed volume
(`gaps`), the heartbeat's clock (`heartbeat`), update intervals (`pace`), rejects, the ledger, and the clock's lag (`clock`).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, Protocol

from orderflow.market.errors import DecodeError
from orderflow.market.inference import Inference, InstrumentState, infer, minute_tick
from orderflow.market.rejects import reject_record
from orderflow.market.session import Session, SessionBook, segment_of
from orderflow.market.stored_state import SEGMENT
from orderflow.market.tick import UPDATE, Bar, FeedUpdate, Tick, heartbeat_tick
from orderflow.market.volume import stated_volume
from orderflow.upstox.clock import FeedClock
from orderflow.upstox.decode import EMPTY, MARKET_INFO, AheadOfClockError, Decoded, decode
from orderflow.upstox.gaps import BaselineWatch, GapTracker
from orderflow.upstox.heartbeat import Backlog, HeartbeatClock
from orderflow.upstox.ledger import Ledger
from orderflow.upstox.pace import InstrumentHealth, PaceBook
from orderflow.upstox.reject_limit import RejectLimiter
from orderflow.upstox.subscription import NO_VOLUME, unserved

log = logging.getLogger(__name__)

_NAMED_AT_MOST: Final = 20
_CAUSES: Final = {
    "out_of_order": "vtt went backwards",
    "doubtful": "vtt rose by an implausible amount: not counted until another update confirms it",
}


class Sink(Backlog, Protocol):
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


@dataclass(slots=True)
class EngineFigures:
    """Counters since the start."""

    messages: int = 0
    live_messages: int = 0
    ticks: int = 0
    trades: int = 0
    rejects: int = 0
    gaps: int = 0
    duplicates: int = 0
    out_of_order: int = 0
    heartbeats: int = 0


class FeedEngine:
    """The streamer's core, for one thread; `states` and `book` may be restored. Ticks and events carry the name `streamer`."""

    def __init__(
        self,
        sink: Sink,
        book: SessionBook,
        states: dict[str, InstrumentState] | None = None,
        *,
        streamer: str | None = None,
    ) -> None:
        self.sink, self.book, self.states = sink, book, states if states is not None else {}
        self.figures = EngineFigures()
        self.keys: set[str] = set()
        self.clock = FeedClock()
        self.paces = PaceBook()
        self.rejects = RejectLimiter()
        self.last_message_ms: int | None = None
        self.last_feed_time_ms: int | None = None
        self._streamer = streamer
        self._modes: dict[str, str] = {}
        self._ledger = Ledger(sink.event, streamer)
        self._heartbeat = HeartbeatClock(sink)
        self._gaps = GapTracker()
        self._baselines = BaselineWatch()
        self._connected = False
        self._opened_ms = 0
        self._outage_from_ms: int | None = None
        self._stalled_keys: set[str] = set()
        self._auction_status: dict[str, dict[str, str]] = {}

    def own(self, keys: Iterable[str], cause: str | None = None) -> None:
        """Add instruments. Their next volume is marked as after a gap, also that of a first snapshot, which may be old."""
        for key in keys:
            if key not in self.keys:
                self.keys.add(key)
                state = self.states.setdefault(key, InstrumentState(key))
                self._gaps.miss((key,), cause or ("restart" if state.sequence else "start"))
                if state.session_start_ms is not None:
                    self.book.recall_listing(key, state.trading_date, state.session_start_ms)
                if state.sequence:
                    self._publish_state(key)
                if self._connected:
                    self.paces.subscribed((key,), self.last_message_ms or self._opened_ms)

    def disown(self, keys: Iterable[str]) -> None:
        """Ignore updates of instruments that are no longer watched; their states are kept, because they may come back."""
        for key in keys:
            self.keys.discard(key)
            self._heartbeat.unseen.discard(key)
            self._gaps.settle(key)
            self.paces.forget(key)

    def subscribed(self, modes: Mapping[str, str]) -> None:
        """Set the mode of each key; volume that traded during a mode without volume is marked as a gap after the mode changes."""
        changed = [key for key in self.keys & modes.keys() if self._modes.get(key, modes[key]) != modes[key]]
        self._gaps.miss((key for key in changed if self._modes[key] in NO_VOLUME), "the previous mode carried no volume")
        if self._connected:
            self.paces.subscribed(changed, self.last_message_ms or self._opened_ms)
        self._modes = dict(modes)

    def restore(self, states: Iterable[InstrumentState]) -> None:
        """Take states read from the state topic, unless a newer state of the instrument is known."""
        for state in states:
            known = self.states.get(state.instrument_key)
            if known is None or (known.trading_date, known.sequence) < (state.trading_date, state.sequence):
                self.states[state.instrument_key] = state

    def minutes_before(self, key: str, bars: Iterable[Bar], received_ms: int) -> None:
        """Publish the exchange's minute bars from before an instrument's first update, oldest first, with the feed's clock."""
        feed_time_ms = self.last_feed_time_ms
        if key not in self.keys or feed_time_ms is None:
            return
        minutes = list(bars)
        if any([self.book.announce_minute(key, bar.start_ms) for bar in minutes]):
            self._store_segments([segment_of(key)])
        for bar in minutes:
            session = self.book.session(key, bar.start_ms)
            self.sink.tick(minute_tick(key, bar, session, feed_time_ms, self.clock.corrected(received_ms), self._streamer))

    def opened(self, at_ms: int) -> None:
        """Handle an opened connection; heartbeats resume once its first snapshot is stored."""
        at_ms = self.clock.corrected(at_ms)
        self._connected, self._opened_ms = True, at_ms
        self._heartbeat.opened(self.keys)
        self.paces.connected_since_ms = None
        self.paces.subscribed(self.keys, at_ms)
        self._event("connected", at_ms, from_ms=self._outage_from_ms, to_ms=at_ms if self._outage_from_ms is not None else None)
        self._outage_from_ms = None

    def lost(self, at_ms: int, cause: str) -> None:
        """Handle a lost connection: heartbeats stop, and the next trade of each instrument spans a gap."""
        if self._connected or self._outage_from_ms is None:
            self._event("disconnected", self.clock.corrected(at_ms), from_ms=self.last_feed_time_ms, cause=cause)
            self._outage_from_ms = self.last_feed_time_ms if self._connected else self._outage_from_ms
        if self._connected:
            self.overrun(cause)
        self._connected = False
        self._heartbeat.stop()

    def stalled(self, at_ms: int, silent_ms: int) -> None:
        """Handle a connection that is open but sends nothing: heartbeats stop."""
        self._heartbeat.stop()
        cause = f"no message for {silent_ms / 1000:.0f} s"
        at_ms = self.clock.corrected(at_ms)
        self._event("stalled", at_ms, from_ms=self.last_feed_time_ms, to_ms=at_ms, cause=cause)

    def overrun(self, cause: str) -> None:
        """Handle missed messages: the next volume of each instrument is marked as spanning a gap."""
        self._gaps.miss(self.keys, cause)

    def refused(self, rejects: Iterable[dict[str, Any]], count: int) -> None:
        """Publish the stored records that were rejected, and count them; `rejects` may be fewer than `count`."""
        self.figures.rejects += count
        for record in rejects:
            self.sink.reject(record)

    def event(self, name: str, at_ms: int, cause: str, detail: dict[str, Any] | None = None, key: str | None = None) -> None:
        """Write an event of the supervisor or the streamer to the ledger."""
        self._event(name, self.clock.corrected(at_ms), cause=cause, detail=detail, instrument_key=key)

    def message(self, payload: bytes | str, received_ms: int) -> Decoded | None:
        """Publish the ticks and events of one message; return it decoded, or None if it was unusable."""
        self.figures.messages += 1
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
        self.last_message_ms, self.last_feed_time_ms = at_ms, decoded.feed_time_ms
        self._heartbeat.message(decoded.feed_time_ms, at_ms)
        if decoded.segment_status:
            self._announced(decoded, at_ms)
        for name, statuses in (("pre_open", decoded.pre_open_status), ("closing_auction", decoded.closing_auction_status)):
            if statuses and statuses != self._auction_status.get(name):
                self._auction_status[name] = statuses
                self._event(name, at_ms, to_ms=decoded.feed_time_ms, detail=dict(statuses))
        if decoded.kind == MARKET_INFO:
            return decoded
        self.figures.live_messages += decoded.kind == UPDATE
        if decoded.updates:
            self.rejects.useful()
        elif decoded.rejections:
            self.rejects.useless(decoded.rejections[0].reason, at_ms)
        if self.paces.connected_since_ms is None:
            self.paces.connected_since_ms = decoded.feed_time_ms
        for update in decoded.updates:
            if update.instrument_key in self.keys:
                self._update(update, at_ms)
        if self._heartbeat.awaits_snapshot:
            self._heartbeat.seen((update.instrument_key for update in decoded.updates), at_ms)
        return decoded

    def beat(self, now_ms: int) -> bool:
        """Send the heartbeat that is due, if heartbeats may be sent; return whether one was. Call it once a second."""
        now_ms = self.clock.corrected(now_ms)
        self._ledger.flush(now_ms)
        self._look_for_unserved(now_ms)
        feed_time_ms = self._heartbeat.due(now_ms)
        if feed_time_ms is None:
            return False
        self.sink.heartbeat(heartbeat_tick(feed_time_ms, now_ms, self._streamer))
        self.figures.heartbeats += 1
        return True

    def is_in_continuous_trading(self, now_ms: int) -> bool:
        """Return whether any owned instrument should be trading, by the feed's clock and announcements."""
        return any(self._continuous(now_ms).values())

    def health(self, now_ms: int) -> dict[str, InstrumentHealth]:
        """Return the health of every instrument watched."""
        by_segment = self._continuous(now_ms)
        continuous = {key: by_segment.get(segment_of(key), False) for key in self.keys}
        feed_now_ms = self._heartbeat.feed_now_ms(self.clock.corrected(now_ms))
        return self.paces.health(sorted(self.keys), feed_now_ms, continuous)

    def examine(self, now_ms: int) -> dict[str, InstrumentHealth]:
        """Return the health of every instrument; on a live feed, also report those that have stalled or send updates again."""
        health = self.health(now_ms)
        stalled = {key for key, each in health.items() if each.state == "stalled"}
        if not self._connected or 2 * len(stalled) > len(health):
            return health
        at_ms = self.clock.corrected(now_ms)
        for key in sorted(stalled ^ self._stalled_keys):
            each = health.get(key)
            if each is not None and key in stalled:
                cause = f"no update for {each.last_update_seconds} s; {each.usual_seconds} s is usual"
                self._event("instrument_stalled", at_ms, instrument_key=key, cause=cause)
            elif each is not None and each.state == "live":
                self._event("instrument_live", at_ms, instrument_key=key, cause="it sends updates again")
        self._stalled_keys = stalled
        return health

    def trouble(self, now_ms: int) -> str | None:
        """Return in words why no message of the feed can be used; None while messages are usable."""
        blocked = self.rejects.blocked(self.clock.corrected(now_ms))
        if blocked is None:
            return None
        reason, count = blocked
        if reason == AheadOfClockError.REASON:
            return f"this machine's clock is {self.clock.behind_ms // 1000} s behind the feed: set the clock"
        return f"no message of the feed can be used: {count} messages rejected in a row, mostly {reason}"

    def close(self, at_ms: int, cause: str) -> None:
        """Write the last records of the ledger before the process ends."""
        at_ms = self.clock.corrected(at_ms)
        self._ledger.flush(at_ms, all_of_it=True)
        self._event("stopped", at_ms, from_ms=self.last_feed_time_ms, cause=cause)

    def _decoded(self, payload: bytes | str, received_ms: int) -> Decoded:
        """Decode a message; uses the feed's clock once the machine's clock is known to be behind."""
        try:
            decoded = decode(payload, self.clock.corrected(received_ms))
        except AheadOfClockError as ahead:
            if not self.clock.believes(ahead.feed_time_ms, received_ms, is_status=ahead.is_status):
                raise
            decoded = decode(payload, self.clock.corrected(received_ms))
            cause = (
                f"this machine's clock is {self.clock.offset_ms / 1000:.0f} s behind the feed, whose time is used: set the clock"
            )
            log.warning("%s", cause)
            self._event("clock", self.clock.corrected(received_ms), to_ms=decoded.feed_time_ms, cause=cause)
        self.clock.accept(decoded.feed_time_ms, received_ms)
        return decoded

    def _update(self, update: FeedUpdate, at_ms: int) -> None:
        key = update.instrument_key
        session = self.book.session_of(update, has_traded=self.states[key].in_session)
        cause = self._gaps.cause(key)
        known, status, gap = self.states[key], self.book.status(key), cause is not None
        result = infer(known, update, session, status, after_gap=gap, streamer=self._streamer)
        tick = result.tick
        if not self.sink.tick(tick):
            self._gaps.miss((key,), "the spool was full")
            return
        self.figures.ticks += 1
        if tick.traded_volume:
            self.figures.trades += 1
        self.states[key] = result.state
        if cause is not None and result.settled:
            self._gaps.settle(key)
        elif cause is not None and result.unchanged:
            self._gaps.unchanged(key, update.feed_time_ms)
        self._publish_state(key)
        silent_ms = self.paces.heard(key, update.feed_time_ms)
        if silent_ms and not tick.gap and (tick.traded_volume or 0) > (tick.ltq or 0):
            self._event(
                "silence",
                at_ms,
                instrument_key=key,
                from_ms=tick.prev_feed_time_ms,
                to_ms=update.feed_time_ms,
                cause=f"no update for {silent_ms / 1000:.0f} s on an open connection",
                volume=tick.traded_volume,
            )
        if self.paces.not_served and self.paces.is_served_again(key):
            self._event("served", at_ms, instrument_key=key, cause="the feed sends it after all")
        if result.events:
            self._tell(result, update, session, cause, at_ms)
        elif self._baselines.falls:
            self._baselines.rose(key)

    def _tell(self, result: Inference, update: FeedUpdate, session: Session, cause: str | None, at_ms: int) -> None:
        """Write the events of an update to the ledger, and follow a volume that went backwards."""
        key, backwards = update.instrument_key, False
        for event in result.events:
            if event.event == "duplicate":
                self.figures.duplicates += 1
                self._ledger.repeated(key, event.from_ms, event.to_ms)
                continue
            backwards = backwards or event.event == "out_of_order"
            self.figures.gaps += event.event == "gap"
            self._event(
                event.event,
                at_ms,
                instrument_key=key,
                from_ms=event.from_ms,
                to_ms=event.to_ms,
                cause=cause if event.event == "gap" else _CAUSES[event.event],
                volume=event.volume,
            )
        if backwards:
            self.figures.out_of_order += 1
            self._went_backwards(update, stated_volume(update, session) or 0, at_ms)
        else:
            self._baselines.rose(key)

    def _went_backwards(self, update: FeedUpdate, vtt: int, at_ms: int) -> None:
        """Set a new baseline once vtt has stayed below the old one. Volume traded since is counted with the next update."""
        key = update.instrument_key
        fall = self._baselines.fell(key, vtt, update.feed_time_ms)
        if fall is None:
            return
        cause = f"vtt stayed below {self.states[key].vtt} for {fall.updates} updates: {fall.least_vtt} is the new baseline"
        self.states[key] = replace(self.states[key], vtt=fall.least_vtt, volume_time_ms=fall.since_ms)
        self._gaps.miss((key,), "the volume known was wrong")
        log.warning("%s: %s", key, cause)
        self._event("reset", at_ms, instrument_key=key, from_ms=fall.since_ms, to_ms=update.feed_time_ms, cause=cause)

    def _announced(self, decoded: Decoded, at_ms: int) -> None:
        changes = self.book.announce(decoded.segment_status or {}, decoded.feed_time_ms)
        self._store_segments(decoded.segment_status or {})
        if changes:
            log.info("market status: %s", ", ".join(f"{segment} {after}" for segment, _, after in changes))
            detail = {segment: after for segment, _, after in changes}
            self._event("market_status", at_ms, to_ms=decoded.feed_time_ms, detail=detail)

    def _store_segments(self, segments: Iterable[str]) -> None:
        for segment in segments:
            self.sink.state(SEGMENT + segment, lambda segment=segment: self.book.segments[segment].to_record())  # type: ignore[misc]

    def _continuous(self, now_ms: int) -> dict[str, bool]:
        """Return by segment whether its instruments should be trading."""
        clock_ms = self._heartbeat.feed_now_ms(self.clock.corrected(now_ms))
        if clock_ms is None:
            return {}
        one_of_each = {segment_of(key): key for key in self.keys}
        return {
            segment: self.book.status(key) in (None, "NORMAL_OPEN")
            and self.book.session(key, clock_ms).phase(clock_ms) == "continuous"
            for segment, key in one_of_each.items()
        }

    def _look_for_unserved(self, now_ms: int) -> None:
        """Report once the keys for which the server sends nothing although the connection works."""
        if not self._connected or self.last_message_ms is None or self.last_message_ms < self._opened_ms:
            return
        unserved_keys = self.paces.unserved(now_ms)
        if not unserved_keys:
            return
        watched = {key: self._modes.get(key, "full") for key in self.keys}
        for mode, keys, cause, whole_mode in unserved(watched, unserved_keys, self.paces.not_served):
            named = keys[:_NAMED_AT_MOST]
            log.warning("%s: %s", ", ".join(named), cause)
            if whole_mode:
                self._event("not_served", now_ms, cause=cause, detail={"mode": mode, "keys": named})
                continue
            for key in keys:
                self._event("not_served", now_ms, instrument_key=key, cause=cause, detail={"mode": mode})

    def _publish_state(self, key: str) -> None:
        self.sink.state(key, lambda: {"state": self.states[key].to_record()})

    def _event(self, name: str, at_ms: int, **known: Any) -> None:
        self._ledger.event(name, at_ms, **known)

    def _useless(self, reason: str, text: str, payload: bytes | str, at_ms: int) -> None:
        """Reject a whole message."""
        self.rejects.useless(reason, at_ms)
        self._reject(reason, text, payload, at_ms)

    def _reject(self, reason: str, text: str, payload: bytes | str, at_ms: int) -> None:
        self.figures.rejects += 1
        if not self.rejects.may_publish(at_ms):
            return
        if self.rejects.may_tell(at_ms):
            log.warning("rejected: %s (%d rejected so far)", text, self.figures.rejects)
        raw = payload.encode() if isinstance(payload, str) else payload
        self.sink.reject(reject_record(reason, "feed", at_ms, raw))
