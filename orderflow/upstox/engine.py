"""Turns what comes from one connection into published ticks, events and heartbeats, and follows the connection.

It has no clock, thread or socket of its own: times come in with each call, and the sink is injected. Its parts have one job
each: `reader` decodes and rejects, `updates` makes ticks of updates, `presence` knows which instruments are served and at what
pace, `announcements` what the feed says of sessions, `heartbeat` when one may be sent; `ledger` writes down what happened.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from orderflow.market.inference import InstrumentState
from orderflow.market.session import SessionBook
from orderflow.market.tick import UPDATE, Bar, heartbeat_tick
from orderflow.upstox.announcements import Announcements
from orderflow.upstox.decode import EMPTY, MARKET_INFO, Decoded
from orderflow.upstox.heartbeat import HeartbeatClock
from orderflow.upstox.ledger import Ledger
from orderflow.upstox.pace import InstrumentHealth
from orderflow.upstox.presence import Presence
from orderflow.upstox.reader import MessageReader
from orderflow.upstox.storage import Sink
from orderflow.upstox.updates import InstrumentUpdates


@dataclass(frozen=True, slots=True)
class EngineFigures:
    """Counters since the start."""

    messages: int
    live_messages: int
    ticks: int
    trades: int
    rejects: int
    gaps: int
    duplicates: int
    out_of_order: int
    heartbeats: int


class FeedEngine:
    """The streamer's core for one connection. Call it from one thread; `states` and `book` may be restored ones.

    `streamer` is the name that ticks, heartbeats and events carry, so that two streamers can be told apart.
    """

    def __init__(
        self,
        sink: Sink,
        book: SessionBook,
        states: dict[str, InstrumentState] | None = None,
        *,
        streamer: str | None = None,
    ) -> None:
        self.sink, self.book, self.states = sink, book, states if states is not None else {}
        self.keys: set[str] = set()
        self.last_message_ms: int | None = None
        self.last_feed_time_ms: int | None = None
        self._streamer = streamer
        self._ledger = Ledger(sink.event, streamer)
        self._reader = MessageReader(sink.reject, self._ledger)
        self._announcements = Announcements(sink, book, self._ledger)
        self._presence = Presence(self._ledger)
        self._updates = InstrumentUpdates(sink, book, self.states, self._ledger, self._presence.heard, streamer)
        self._heartbeat = HeartbeatClock(sink)
        self.clock = self._reader.clock
        self._messages = self._live_messages = self._heartbeats = 0
        self._connected = False
        self._opened_ms = 0
        self._outage_from_ms: int | None = None

    @property
    def figures(self) -> EngineFigures:
        """Return the counters as they are now."""
        updates = self._updates
        return EngineFigures(
            self._messages,
            self._live_messages,
            updates.ticks,
            updates.trades,
            self._reader.rejected,
            updates.gaps,
            updates.duplicates,
            updates.out_of_order,
            self._heartbeats,
        )

    def own(self, keys: Iterable[str], cause: str | None = None) -> None:
        """Add instruments. Their next volume is marked as after a gap, also that of a first snapshot, which may be old."""
        for key in keys:
            if key not in self.keys:
                self.keys.add(key)
                self._updates.own(key, cause)
                if self._connected:
                    self._presence.subscribed((key,), self.last_message_ms or self._opened_ms)

    def disown(self, keys: Iterable[str]) -> None:
        """Ignore updates of instruments that are no longer watched; their states are kept, because they may come back."""
        for key in keys:
            self.keys.discard(key)
            self._heartbeat.unseen.discard(key)
            self._updates.disown(key)
            self._presence.forget(key)

    def subscribed(self, modes: Mapping[str, str]) -> None:
        """Set the mode of each key; volume that traded during a mode without volume is marked as a gap after the mode changes."""
        changed, without_volume = self._presence.use_modes(modes, self.keys)
        self._updates.missed(without_volume, "the previous mode carried no volume")
        if self._connected:
            self._presence.subscribed(changed, self.last_message_ms or self._opened_ms)

    def restore(self, states: Iterable[InstrumentState]) -> None:
        """Take states read from the state topic, unless a newer state of the instrument is known."""
        self._updates.restore(states)

    def minutes_before(self, key: str, bars: Iterable[Bar], received_ms: int) -> None:
        """Publish the exchange's minute bars from before an instrument's first update, oldest first, with the feed's clock."""
        feed_time_ms = self.last_feed_time_ms
        if key not in self.keys or feed_time_ms is None:
            return
        minutes = list(bars)
        self._announcements.minutes(key, (bar.start_ms for bar in minutes))
        self._updates.publish_minutes(key, minutes, feed_time_ms, self.clock.corrected(received_ms))

    def opened(self, at_ms: int) -> None:
        """Handle an opened connection; heartbeats resume once its first snapshot is stored."""
        at_ms = self.clock.corrected(at_ms)
        self._connected, self._opened_ms = True, at_ms
        self._heartbeat.opened(self.keys)
        self._presence.opened(self.keys, at_ms)
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
        self._updates.missed(self.keys, cause)

    def refused(self, rejects: Iterable[dict[str, Any]], count: int) -> None:
        """Publish the stored records that were rejected, and count them; `rejects` may be fewer than `count`."""
        self._reader.rejected += count
        for record in rejects:
            self.sink.reject(record)

    def event(self, name: str, at_ms: int, cause: str, detail: dict[str, Any] | None = None, key: str | None = None) -> None:
        """Write an event of the supervisor or the streamer to the ledger."""
        self._event(name, self.clock.corrected(at_ms), cause=cause, detail=detail, instrument_key=key)

    def message(self, payload: bytes | str, received_ms: int) -> Decoded | None:
        """Publish the ticks and events of one message; return it decoded, or None if it was unusable."""
        self._messages += 1
        decoded = self._reader.read(payload, received_ms)
        if decoded is None or decoded.kind == EMPTY:
            return decoded
        at_ms = self.clock.corrected(received_ms)
        self.last_message_ms, self.last_feed_time_ms = at_ms, decoded.feed_time_ms
        self._heartbeat.message(decoded.feed_time_ms, at_ms)
        self._announcements.take(decoded, at_ms)
        if decoded.kind == MARKET_INFO:
            return decoded
        self._live_messages += decoded.kind == UPDATE
        self._presence.message(decoded.feed_time_ms)
        for update in decoded.updates:
            if update.instrument_key in self.keys:
                self._updates.take(update, at_ms)
        if self._heartbeat.awaits_snapshot:
            self._heartbeat.seen((update.instrument_key for update in decoded.updates), at_ms)
        return decoded

    def beat(self, now_ms: int) -> bool:
        """Send the heartbeat that is due, if heartbeats may be sent; return whether one was. Call it once a second."""
        now_ms = self.clock.corrected(now_ms)
        self._ledger.flush(now_ms)
        if self._connected and self.last_message_ms is not None and self.last_message_ms >= self._opened_ms:
            self._presence.look_for_unserved(self.keys, now_ms)
        feed_time_ms = self._heartbeat.due(now_ms)
        if feed_time_ms is None:
            return False
        self.sink.heartbeat(heartbeat_tick(feed_time_ms, now_ms, self._streamer))
        self._heartbeats += 1
        return True

    def is_in_continuous_trading(self, now_ms: int) -> bool:
        """Return whether any owned instrument should be trading, by the feed's clock and announcements."""
        return any(self._announcements.continuous(self.keys, self._feed_now_ms(now_ms)).values())

    def health(self, now_ms: int) -> dict[str, InstrumentHealth]:
        """Return the health of every instrument watched."""
        feed_now_ms = self._feed_now_ms(now_ms)
        return self._presence.health(self._announcements.continuous(self.keys, feed_now_ms), feed_now_ms)

    def examine(self, now_ms: int) -> dict[str, InstrumentHealth]:
        """Return the health of every instrument; on a live feed, also report those that have stalled or send updates again."""
        health = self.health(now_ms)
        if self._connected:
            self._presence.tell_stalled(health, self.clock.corrected(now_ms))
        return health

    def trouble(self, now_ms: int) -> str | None:
        """Return in words why no message of the feed can be used; None while messages are usable."""
        return self._reader.trouble(now_ms)

    def close(self, at_ms: int, cause: str) -> None:
        """Write the last records of the ledger before the process ends."""
        at_ms = self.clock.corrected(at_ms)
        self._ledger.flush(at_ms, all_of_it=True)
        self._event("stopped", at_ms, from_ms=self.last_feed_time_ms, cause=cause)

    def _feed_now_ms(self, now_ms: int) -> int | None:
        """Return the feed's time now; None before its first message."""
        return self._heartbeat.feed_now_ms(self.clock.corrected(now_ms))

    def _event(self, name: str, at_ms: int, **known: Any) -> None:
        self._ledger.event(name, at_ms, **known)
