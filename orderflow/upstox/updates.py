"""One connection's instruments: every update becomes a tick and the next state, and missed or doubtful volume is told."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Final

from orderflow.market.inference import Inference, InstrumentState, infer, minute_tick
from orderflow.market.session import SessionBook
from orderflow.market.tick import Bar, FeedUpdate, Tick
from orderflow.upstox.gaps import BaselineWatch, GapTracker
from orderflow.upstox.ledger import Ledger
from orderflow.upstox.storage import Sink

log = logging.getLogger(__name__)

_CAUSES: Final = {
    "out_of_order": "vtt went backwards",
    "doubtful": "vtt rose by an implausible amount: not counted until another update confirms it",
}


class InstrumentUpdates:
    """Turns updates into ticks in the order of their receipt; `states` is shared with the other connections.

    `on_tick` is told of each tick and when its update was received; `streamer` is the name that ticks carry. The counters are
    since the start.
    """

    def __init__(
        self,
        sink: Sink,
        book: SessionBook,
        states: dict[str, InstrumentState],
        ledger: Ledger,
        on_tick: Callable[[Tick, int], None],
        streamer: str | None,
    ) -> None:
        self.states = states
        self.ticks = self.trades = self.gaps = self.duplicates = self.out_of_order = 0
        self._sink, self._book, self._ledger = sink, book, ledger
        self._on_tick, self._streamer = on_tick, streamer
        self._gaps = GapTracker()
        self._baselines = BaselineWatch()

    def own(self, key: str, cause: str | None) -> None:
        """Take over an instrument: what is known of it continues after a gap; `cause` says why, where it was not a start."""
        state = self.states.setdefault(key, InstrumentState(key))
        self.missed((key,), cause or ("restart" if state.sequence else "start"))
        if state.session_start_ms is not None:
            self._book.recall_listing(key, state.trading_date, state.session_start_ms)
        if state.sequence:
            self._publish_state(key)

    def disown(self, key: str) -> None:
        """Take it that an instrument is no longer watched; its state is kept, because it may come back."""
        self._gaps.settle(key)

    def missed(self, keys: Iterable[str], cause: str) -> None:
        """Take it that updates of `keys` were missed: their next volume is marked as spanning a gap."""
        self._gaps.miss(keys, cause)

    def restore(self, states: Iterable[InstrumentState]) -> None:
        """Take states read from the state topic, unless a newer state of the instrument is known."""
        for state in states:
            known = self.states.get(state.instrument_key)
            if known is None or (known.trading_date, known.sequence) < (state.trading_date, state.sequence):
                self.states[state.instrument_key] = state

    def publish_minutes(self, key: str, bars: Iterable[Bar], feed_time_ms: int, received_ms: int) -> None:
        """Publish the exchange's minute bars from before an instrument's first update, oldest first, with the feed's clock."""
        for bar in bars:
            session = self._book.session(key, bar.start_ms)
            self._sink.tick(minute_tick(key, bar, session, feed_time_ms, received_ms, self._streamer))

    def take(self, update: FeedUpdate, at_ms: int) -> None:
        """Publish the tick of an update that was received at `at_ms`; what the sink cannot keep counts as missed."""
        key = update.instrument_key
        session = self._book.session_of(update, has_traded=self.states[key].in_session)
        cause = self._gaps.cause(key)
        result = infer(
            self.states[key],
            update,
            session,
            self._book.status(key),
            after_gap=cause is not None,
            streamer=self._streamer,
        )
        tick = result.tick
        if not self._sink.tick(tick):
            self._gaps.miss((key,), "the spool was full")
            return
        self.ticks += 1
        if tick.traded_volume:
            self.trades += 1
        self.states[key] = result.state
        if cause is not None and result.settled:
            self._gaps.settle(key)
        elif cause is not None and result.unchanged:
            self._gaps.unchanged(key, update.feed_time_ms)
        self._publish_state(key)
        self._on_tick(tick, at_ms)
        if result.events:
            self._tell(result, update, cause, at_ms)
        elif self._baselines.falls:
            self._baselines.rose(key)

    def _tell(self, result: Inference, update: FeedUpdate, cause: str | None, at_ms: int) -> None:
        """Write the events of an update to the ledger, and follow a volume that went backwards."""
        key = update.instrument_key
        for event in result.events:
            if event.event == "duplicate":
                self.duplicates += 1
                self._ledger.repeated(key, event.from_ms, event.to_ms)
                continue
            self.gaps += event.event == "gap"
            self._ledger.event(
                event.event,
                at_ms,
                instrument_key=key,
                from_ms=event.from_ms,
                to_ms=event.to_ms,
                cause=cause if event.event == "gap" else _CAUSES[event.event],
                volume=event.volume,
            )
        if result.fell_to is not None:
            self.out_of_order += 1
            self._went_backwards(update, result.fell_to, at_ms)
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
        self._ledger.event("reset", at_ms, instrument_key=key, from_ms=fall.since_ms, to_ms=update.feed_time_ms, cause=cause)

    def _publish_state(self, key: str) -> None:
        self._sink.state(key, lambda: {"state": self.states[key].to_record()})
