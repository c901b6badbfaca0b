"""The dashboard's state in memory: every instrument's day, fed by the records of the topics, safe to share by threads.

The clock is injected. One writer (the feed) applies batches; readers hold `lock` while they read.
"""

from __future__ import annotations

import json
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final
from weakref import WeakValueDictionary

from orderflow.dashboard.state.alerts import AlertBook
from orderflow.dashboard.state.freshness import STALL_MS, Streamers, is_trading
from orderflow.dashboard.state.instrument import Instrument, level_of
from orderflow.dashboard.state.rollup import Rollup
from orderflow.dashboard.state.watch import WatchLines
from orderflow.market import topics
from orderflow.market.candle import Candle
from orderflow.market.closed_day import ClosedDay
from orderflow.market.conformity import problem
from orderflow.market.day_so_far import candle_of_minute, is_index
from orderflow.market.errors import DecodeError
from orderflow.market.times import MINUTE_MS, ist_date, ms_from_iso
from orderflow.market.trade import Trade

Record = Mapping[str, Any]
FEED_EVENTS_KEPT: Final = 200
GAPS_KEPT: Final = 200
# Twice the watermark of two minutes: after that no final candle of a minute can still arrive.
FINAL_MS: Final = 240_000
HEARTBEAT: Final = "heartbeat"
MINUTE: Final = "minute"
STALE_EVERY_MS: Final = 1_000
_FUTURE_MS: Final = 300_000
_PRESENT_TIMES: Final = ("event_time_ms", "received_time_ms", "feed_time_ms", "at_ms")


@dataclass(frozen=True, slots=True)
class Gap:
    """A period of feed time in which updates were missed; `instrument_key` None means all instruments."""

    from_ms: int
    to_ms: int
    instrument_key: str | None
    volume: int | None


def clock_ms() -> int:
    """Return the wall clock in epoch milliseconds."""
    return time.time_ns() // 1_000_000


class Store:
    """All instruments of the running day and the feed's condition."""

    def __init__(self, clock_ms: Callable[[], int], instruments: Iterable[str] = ()) -> None:
        self.lock = threading.RLock()
        self.clock_ms = clock_ms
        self.instruments: dict[str, Instrument] = {key: Instrument(key) for key in instruments}
        self.counts: Counter[str] = Counter()
        self.rejected: Counter[str] = Counter()
        self.events: deque[Record] = deque(maxlen=FEED_EVENTS_KEPT)
        self._gaps: dict[str | None, deque[Gap]] = {}
        self.last_event: dict[str, int] = {}
        self.streamers = Streamers()
        self._stale: tuple[int, frozenset[str]] = (0, frozenset())
        self.token_trouble: tuple[int, str] | None = None
        self.last_update_ms: int | None = None
        self.last_heartbeat_ms: int | None = None
        self.feed_clock_ms: int | None = None
        self.segment_status: dict[str, str] = {}
        self.closed_days: Mapping[str, ClosedDay] = {}
        self.source_error: str | None = None
        self.caught_up = False
        self.replaying = False
        self.revision = 0
        self._listeners: list[Callable[[], None]] = []
        self.watch = WatchLines()
        self.alerts = AlertBook()
        self._changed: set[str] = set()
        self._rollups: WeakValueDictionary[tuple[str, int], Rollup] = WeakValueDictionary()

    def subscribe(self, listener: Callable[[], None]) -> None:
        """Call `listener` (on the writer's thread) after every batch that changed something."""
        self._listeners.append(listener)

    def apply(self, batch: Iterable[tuple[str, Record]]) -> int:
        """Apply (topic, record) pairs in order; return how many were malformed.

        Malformed records are counted in `rejected` by topic and otherwise ignored: the application that owns the topic
        rejects them.
        """
        bad = 0
        with self.lock:
            for topic, record in batch:
                self.counts[topic] += 1
                key = record.get("instrument_key") or record.get("instrument")
                if key is not None:
                    self._changed.add(str(key))
                try:
                    self._apply_one(topic, record)
                except (DecodeError, KeyError, TypeError, ValueError, AttributeError, OverflowError):
                    self.rejected[topic] += 1
                    bad += 1
            self.revision += 1
        self._notify()
        return bad

    def report_source(self, error: str | None, *, caught_up: bool) -> None:
        """Set the condition of the records' source: an error in words or None, and whether history has been read."""
        with self.lock:
            changed = (error, caught_up) != (self.source_error, self.caught_up)
            self.source_error, self.caught_up = error, caught_up
            self.revision += changed
        if changed:
            self._notify()

    def report_closed(self, days: Mapping[str, ClosedDay]) -> None:
        """Return the result of the close of each stored day, by date."""
        if days != self.closed_days:
            self.closed_days = days
            self._notify()

    def take_changed(self) -> frozenset[str]:
        """Return the keys of the instruments that had records since the last call."""
        with self.lock:
            changed, self._changed = frozenset(self._changed), set()
        return changed

    def touch(self) -> None:
        """Tell the subscribers that an instrument was changed directly."""
        self.revision += 1
        self._notify()

    def instrument(self, key: str) -> Instrument | None:
        """Return an instrument's state, or None when nothing is known of it."""
        return self.instruments.get(key)

    def rollup(self, key: str, window_minutes: int) -> Rollup:
        """Return the roll-up of one instrument, shared by all viewers that hold it; it is dropped with the last of them."""
        rollup = self._rollups.get((key, window_minutes))
        if rollup is None:
            rollup = self._rollups[(key, window_minutes)] = Rollup(window_minutes)
        return rollup

    def gaps_of(self, key: str) -> list[Gap]:
        """Return the gaps that concern an instrument, oldest first."""
        gaps = [*self._gaps.get(None, ()), *self._gaps.get(key, ())]
        return sorted(gaps, key=lambda gap: gap.from_ms)

    def gaps_on(self, key: str, date: str) -> list[Gap]:
        """Return the gaps of an IST date that concern an instrument, oldest first."""
        return [gap for gap in self.gaps_of(key) if ist_date(gap.from_ms) <= date <= ist_date(gap.to_ms)]

    def silence_ms(self, key: str, now_ms: int) -> int | None:
        """Return for how long an instrument of an open market had no update, where that is long; else None."""
        instrument = self.instruments.get(key)
        if instrument is None or not self._trades(instrument):
            return None
        silence = now_ms - int(instrument.quote["received_time_ms"])
        return silence if silence > STALL_MS else None

    def trading(self) -> list[Instrument]:
        """Return the instruments of which updates are due."""
        return [instrument for instrument in self.instruments.values() if self._trades(instrument)]

    def _trades(self, instrument: Instrument) -> bool:
        return is_trading(instrument, self.segment_status.get(instrument.key.partition("|")[0]), self.feed_clock_ms)

    def stale_keys(self, now_ms: int) -> frozenset[str]:
        """Return the instruments whose prices are old, computed at most once a second for all viewers."""
        if now_ms - self._stale[0] >= STALE_EVERY_MS:
            self._stale = now_ms, frozenset(key for key in self.instruments if self.silence_ms(key, now_ms) is not None)
        return self._stale[1]

    def _apply_one(self, topic: str, record: Record) -> None:
        self._refuse(topic, record)
        if topic == topics.TICKS:
            self._tick(record)
        elif topic == topics.TRADES:
            trade = Trade.from_record(record)
            moment = trade.session_start_ms if trade.session_start_ms is not None else trade.event_time_ms
            instrument = self._of_date(trade.instrument_key, ist_date(moment), trade.session_start_ms, trade.session_end_ms)
            if instrument is not None and instrument.add_trade(trade):
                self._judge(instrument, trade.price, trade.event_time_ms)
        elif topic == topics.ORDERFLOW:
            candle = Candle.from_record(record)
            instrument = self._of_date(candle.instrument, ist_date(candle.start_ms), None, None)
            if instrument is not None and candle.window_minutes == 1:
                instrument.add_final(candle)
        elif topic == topics.FOOTPRINT:
            start = ms_from_iso(record["window_start"])
            instrument = self._of_date(record["instrument"], ist_date(start), None, None)
            if instrument is not None:
                instrument.add_levels(start, (level_of(record),))
        elif topic == topics.FEED_EVENTS:
            self._feed_event(record)

    def _refuse(self, topic: str, record: Record) -> None:
        """Raise DecodeError for a value of another type or in the future: such a date would end its instrument's day."""
        if (wrong := problem(topics.FIELDS.get(topic, ()), record)) is not None:
            raise DecodeError("bad_value", wrong)
        latest_ms = self.clock_ms() + _FUTURE_MS
        for name in _PRESENT_TIMES:
            if (record.get(name) or 0) > latest_ms:
                raise DecodeError("future_time", f"{name} is {record[name]}")

    def _tick(self, record: Record) -> None:
        received = int(record["received_time_ms"])
        status = record.get("segment_status")
        streamer = self.streamers.of(record.get("streamer"))
        if record["kind"] == HEARTBEAT:
            self.last_heartbeat_ms = max(self.last_heartbeat_ms or 0, received)
            streamer.heartbeat_ms = max(streamer.heartbeat_ms, received)
            self._tell_time(int(record["feed_time_ms"]))
            return
        key = record["instrument_key"]
        if record["kind"] == MINUTE:
            self._minute_before(key, record)
            return
        streamer.update_ms = max(streamer.update_ms, received)
        self.last_update_ms = max(self.last_update_ms or 0, received)
        self._tell_time(int(record["feed_time_ms"]))
        if status is not None:
            self.segment_status[key.partition("|")[0]] = status
        start = record.get("session_start_ms")
        instrument = self._of_date(key, record["trading_date"], start, record.get("session_end_ms"))
        if instrument is not None:
            instrument.add_tick(record)
            if is_index(key) and record.get("ltp") is not None and record.get("ltt_ms") is not None:
                self._judge(instrument, float(record["ltp"]), int(record["ltt_ms"]))

    def _minute_before(self, key: str, record: Record) -> None:
        """Show a minute of the day so far at once: at a start the processor publishes its candle a minute later."""
        candle = candle_of_minute(record)
        instrument = self._of_date(key, record["trading_date"], record.get("session_start_ms"), record.get("session_end_ms"))
        if instrument is not None and candle is not None:
            instrument.add_minute_before(candle)

    def _judge(self, instrument: Instrument, price: float, at_ms: int) -> None:
        """Judge alerts by a trade, or an index's value; values read again at the start do not count."""
        if self.caught_up and self.alerts.concerns(instrument.key):
            minute = self.watch.row(instrument)["minute"]
            own = minute is not None and minute["start_ms"] == at_ms // MINUTE_MS * MINUTE_MS
            self.alerts.judge(instrument.key, price, at_ms, minute if own else None)

    def _tell_time(self, feed_time_ms: int) -> None:
        """Advance the feed's clock; at each full minute, candles of idle instruments may be complete."""
        before = self.feed_clock_ms or 0
        self.feed_clock_ms = feed_time_ms
        if feed_time_ms // MINUTE_MS > before // MINUTE_MS:
            for instrument in self.instruments.values():
                instrument.close_until(feed_time_ms - FINAL_MS)

    def _of_date(self, key: str, date: str, start_ms: int | None, end_ms: int | None) -> Instrument | None:
        if not date <= ist_date(self.clock_ms() + _FUTURE_MS):
            raise DecodeError("future_time", f"trading date {date}")
        instrument = self.instruments.get(key)
        if instrument is None:
            instrument = self.instruments[key] = Instrument(key)
        if date > instrument.date:
            instrument.reset(date, start_ms, end_ms)
        elif date < instrument.date:
            self.counts["other_day"] += 1
            return None
        if instrument.session_start_ms is None and start_ms is not None:
            instrument.session_start_ms, instrument.session_end_ms = start_ms, end_ms
        return instrument

    def _feed_event(self, record: Record) -> None:
        event = str(record["event"])
        at_ms = int(record["at_ms"])
        self.events.append(record)
        self.last_event[event] = max(self.last_event.get(event, 0), at_ms)
        self.streamers.of(record.get("streamer")).note(event, at_ms)
        if event == "refused":
            self.streamers.of(record.get("streamer")).refuse(at_ms, str(record.get("cause") or "refused"))
        if event == "restart":
            self.streamers.restarted(record.get("streamer"), at_ms)
        if event == "token":
            self.token_trouble = (at_ms, str(record.get("cause") or "refused"))
        if event == "market_status":
            self.segment_status |= {str(key): str(value) for key, value in json.loads(record.get("detail") or "{}").items()}
        if event == "gap" and record.get("from_ms") is not None and record.get("to_ms") is not None:
            gap = Gap(int(record["from_ms"]), int(record["to_ms"]), record.get("instrument_key"), record.get("volume"))
            held = self._gaps.setdefault(gap.instrument_key, deque(maxlen=GAPS_KEPT))
            if gap not in held:
                held.append(gap)

    def _notify(self) -> None:
        for listener in self._listeners:
            listener()
