"""One instrument's trading day in memory: its minutes, forming or final, and values from other updates.

A minute is folded from trades until its final candle arrives and replaces the fold. All minutes except those changed last are
packed to a few hundred bytes each, because every instrument's whole day is here. This module uses no clock, network or thread.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import deque
from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple
from weakref import ref

from orderflow.dashboard.state.minute import Flow, Minute, Profile, profile_of
from orderflow.dashboard.state.tape import SeenTrades, Tape
from orderflow.market.candle import Candle
from orderflow.market.day_so_far import EXCHANGE, is_index
from orderflow.market.phases import CONTINUOUS, Window
from orderflow.market.price_unit import FINEST, in_finest, in_units
from orderflow.market.times import MINUTE_MS
from orderflow.market.trade import Trade

OPEN_MINUTES: Final = 5
_CHANGES_KEPT: Final = 50
_LONGEST_WINDOW_MS: Final = 60 * MINUTE_MS


class Unseen(NamedTuple):
    """The part of the day's trading that no record held here covers: its volume, and its turnover in rupees."""

    volume: int
    turnover: float


class Auction(NamedTuple):
    """What a running auction would match now, by the feed's last values; absent values are None."""

    price: float | None
    quantity: int | None
    imbalance: int | None
    received_ms: int


class Instrument:
    """The state of one instrument on its current trading date."""

    def __init__(self, key: str) -> None:
        self.key = key
        self.revision = 0
        self.tick: Mapping[str, Any] = {}
        self.tick_revision = 0
        self.reset("", None, None)

    def reset(self, date: str, session_start_ms: int | None, session_end_ms: int | None) -> None:
        """Drop the previous day and start `date` (YYYY-MM-DD)."""
        self.date = date
        self.session_start_ms = session_start_ms
        self.session_end_ms = session_end_ms
        self.earlier_sessions: list[Window] = []
        self.minutes: dict[int, Minute] = {}
        self.starts: list[int] = []
        self.tape = Tape(self.key)
        self.repeats = 0
        self.late_volume = 0
        self.outside_volume = 0
        self.unseen_minutes: dict[int, int] = {}
        """Volume by start of the minutes before the first update, which are known from the exchange's candles alone."""
        self._first_update_ms: int | None = None
        self.closed_ms = 0
        self.quote: dict[str, Any] = {}
        self.auction: Auction | None = None
        self.last_price: float | None = None
        self.last_time_ms: int | None = None
        self.last_trade_ms: int | None = None
        self.last_received_ms: int | None = None
        self.unseen = Unseen(0, 0.0)
        self.epoch = self.revision = self.revision + 1
        self._changes: deque[tuple[int, int]] = deque(maxlen=_CHANGES_KEPT)
        self._seen = SeenTrades()
        self._open: dict[int, Minute] = {}
        self._newest: Minute | None = None
        self._profile: ref[Profile] | None = None

    @property
    def tape_count(self) -> int:
        """Return how many trades there have been."""
        return self.tape.count

    @property
    def profile(self) -> Profile:
        """Return the day's profile: kept up to date while somebody holds it, otherwise added up again."""
        profile = self._profile() if self._profile is not None else None
        if profile is None:
            profile = profile_of(self.minutes.values())
            self._profile = ref(profile)
        return profile

    def add_trade(self, trade: Trade) -> bool:
        """Fold a trade; return False when it repeats one already seen."""
        cumulative = _cumulative(trade.trade_id)
        if cumulative is not None and not self._seen.first_time(cumulative):
            self.repeats += 1
            return False
        self.tape.add(trade)
        if self.last_time_ms is None or trade.event_time_ms >= self.last_time_ms:
            self.last_price, self.last_time_ms = trade.price, trade.event_time_ms
        self.last_trade_ms = max(self.last_trade_ms or 0, trade.event_time_ms)
        self.last_received_ms = max(self.last_received_ms or 0, trade.received_time_ms)
        self.revision += 1
        if not self._trades_at(trade.event_time_ms):
            self.outside_volume += trade.volume
            return True
        minute = self._minute(trade.event_time_ms // MINUTE_MS * MINUTE_MS)
        if minute.final:
            if minute.traded:
                self.late_volume += trade.volume
            return True
        flow = self._opened(minute)
        spanned = flow.gap
        flow.fold(trade, self.tape.count)
        minute.traded = True
        if flow.gap != spanned:
            self._regard_gap(flow, spanned)
        if not flow.levels_final:
            self._book(flow, in_units(trade.price, FINEST), trade.buy_volume, trade.sell_volume, trade.unclassified_volume)
        self._changed(minute)
        return True

    def add_final(self, candle: Candle) -> None:
        """Replace a forming minute by its final candle."""
        minute = self._minute(candle.start_ms, candle.end_ms)
        if minute.flow.final == candle:
            return
        flow = self._opened(minute)
        spanned = flow.spans_gap
        flow.final = candle
        if candle.source == EXCHANGE:
            self.unseen_minutes[candle.start_ms] = candle.total_volume
        else:
            self._updated_at(candle.start_ms)
            self.unseen_minutes.pop(candle.start_ms, None)
        minute.final = True
        self._regard_gap(flow, spanned)
        self.revision += 1
        if candle.session_phase != CONTINUOUS and not minute.after_close:
            minute.after_close = True
            self.epoch = self.revision
        self._changed(minute)
        if candle.close is not None and (self.last_time_ms is None or candle.end_ms > self.last_time_ms):
            self.last_price, self.last_time_ms = candle.close, candle.end_ms - 1

    def add_minute_before(self, candle: Candle) -> None:
        """Show the exchange's candle of a minute before the first update, unless its final candle is known.

        The processor publishes the same candle later.
        """
        known = candle.start_ms in self.minutes
        before = self._first_update_ms is None or candle.start_ms < self._first_update_ms
        if before and not known and self._trades_at(candle.start_ms):
            self.add_final(candle)

    def add_levels(self, start_ms: int, rows: Iterable[tuple[int, int, int, int]]) -> None:
        """Replace a minute's footprint by final rows of (price in finest units, buy, sell, unclassified)."""
        minute = self._minute(start_ms)
        flow = self._opened(minute)
        if not flow.levels_final:
            for price, volumes in flow.levels.items():
                self._add_profile(flow, price, -volumes[0], -volumes[1], -volumes[2])
            flow.levels = {}
            flow.levels_final = True
        for price, buy, sell, unclassified in rows:
            old = flow.levels.pop(price, None)
            if old is not None:
                self._add_profile(flow, price, -old[0], -old[1], -old[2])
            self._book(flow, price, buy, sell, unclassified)
        self.revision += 1
        self._changed(minute)

    def add_tick(self, tick: Mapping[str, Any]) -> None:
        """Keep the newest quote, depth and day figures; absent fields keep their last value."""
        self.tick_revision += 1
        self._updated_at(int(tick["feed_time_ms"]))
        quote = self.quote
        for name in _QUOTE_FIELDS:
            value = tick.get(name)
            if value is not None:
                quote[name] = value
        price, quantity, imbalance = (tick.get(f"indicative_{name}") for name in ("price", "quantity", "imbalance"))
        if price is not None or quantity is not None or imbalance is not None:
            self.auction = Auction(price, quantity, imbalance, int(tick["received_time_ms"]))
        if tick.get("session_start_ms") is not None and tick.get("trading_date") == self.date:
            start, end = self.session_start_ms, self.session_end_ms
            if start is not None and end is not None and start < end <= tick["session_start_ms"]:
                self.earlier_sessions.append(Window(start, end))
            self.session_start_ms = tick["session_start_ms"]
            self.session_end_ms = tick.get("session_end_ms")
        last_price = tick.get("ltp")
        time_ms = tick.get("ltt_ms")
        if time_ms is not None:
            self.last_trade_ms = max(self.last_trade_ms or 0, int(time_ms))
        if last_price is not None and time_ms is not None and (self.last_time_ms is None or time_ms >= self.last_time_ms):
            self.last_price = last_price
            if is_index(self.key):
                self._fold_index(float(last_price), int(time_ms), int(tick["received_time_ms"]))

    def _fold_index(self, price: float, time_ms: int, received_ms: int) -> None:
        """Fold an index's value into the forming minute: it has no trades, and its final candle is the exchange's bar."""
        minute = self._minute(time_ms // MINUTE_MS * MINUTE_MS)
        if minute.final or not self._trades_at(time_ms):
            return
        value = Trade(
            instrument_key=self.key,
            trade_id="",
            event_time_ms=time_ms,
            received_time_ms=received_ms,
            price=price,
            volume=0,
            buy_volume=0,
            sell_volume=0,
            unclassified_volume=0,
            side="unclassified",
        )
        self._opened(minute).fold(value, self.tick_revision)
        self.last_time_ms, self.last_received_ms = time_ms, received_ms
        self.revision += 1
        self._changed(minute)

    def _updated_at(self, time_ms: int) -> None:
        """Note the minute of an update, which may be the first."""
        start_ms = time_ms // MINUTE_MS * MINUTE_MS
        if self._first_update_ms is None or start_ms < self._first_update_ms:
            self._first_update_ms = start_ms

    def _trades_at(self, time_ms: int) -> bool:
        """Return whether a time lies in one of the day's sessions, as far as these are known."""
        start, end = self.session_start_ms, self.session_end_ms
        if start is None or end is None or start <= time_ms < end:
            return True
        return any(begin <= time_ms < close for begin, close in self.earlier_sessions)

    def take_unseen(self, unseen: Unseen) -> None:
        """Set the volume and turnover of this day outside the records held; the day's running figures start again from it."""
        self.unseen = unseen
        self.epoch = self.revision = self.revision + 1

    def close_until(self, time_ms: int) -> None:
        """Mark windows that ended by `time_ms` as complete, also those without a trade in their last minutes."""
        if time_ms <= self.closed_ms:
            return
        self.closed_ms = time_ms
        last = self.minutes[self.starts[-1]] if self.starts else None
        if last is not None and last.final and 0 < time_ms - last.start_ms <= _LONGEST_WINDOW_MS + MINUTE_MS:
            self.revision += 1
            self._changed(last)

    def first_change_after(self, revision: int) -> int | None:
        """Return the start of the earliest minute changed after `revision`; None when nothing changed."""
        earliest: int | None = None
        for at, start in reversed(self._changes):
            if at <= revision:
                return earliest
            earliest = start if earliest is None else min(earliest, start)
        return next((start for start in self.starts if self.minutes[start].revision > revision), None)

    def minutes_from(self, start_ms: int) -> list[Minute]:
        """Return the minutes at or after `start_ms`, in order."""
        return [self.minutes[start] for start in self.starts[bisect_left(self.starts, start_ms) :]]

    def _minute(self, start_ms: int, end_ms: int | None = None) -> Minute:
        """Return the minute that starts at `start_ms`, made if new."""
        minute = self.minutes.get(start_ms)
        if minute is None:
            minute = self.minutes[start_ms] = Minute(self.key, start_ms, end_ms or start_ms + MINUTE_MS)
            insort(self.starts, start_ms)
            self._opened(minute)
        return minute

    def _opened(self, minute: Minute) -> Flow:
        """Return a minute's flow to be changed, and pack the one changed longest ago when too many are open."""
        if minute is not self._newest:
            self._newest = minute
            opened = self._open
            opened[minute.start_ms] = opened.pop(minute.start_ms, minute)
            if len(opened) > OPEN_MINUTES:
                opened.pop(next(iter(opened))).pack()
        return minute.open()

    def _changed(self, minute: Minute) -> None:
        minute.revision = self.revision
        self._changes.append((self.revision, minute.start_ms))

    def _book(self, flow: Flow, price: int, buy: int, sell: int, unclassified: int) -> None:
        level = flow.levels.get(price)
        if level is None:
            flow.levels[price] = [buy, sell, unclassified]
        else:
            level[0] += buy
            level[1] += sell
            level[2] += unclassified
        self._add_profile(flow, price, buy, sell, unclassified)

    def _regard_gap(self, flow: Flow, spanned: bool) -> None:
        """Move a minute's unclassified volume out of the profile, or back, when it turns out to span a gap, or not to."""
        profile = self._profile() if self._profile is not None else None
        if profile is None or flow.spans_gap == spanned:
            return
        for price, (_, _, unclassified) in flow.levels.items():
            profile.add(price, 0, 0, -unclassified, gap=spanned)
            profile.add(price, 0, 0, unclassified, gap=flow.spans_gap)

    def _add_profile(self, flow: Flow, price: int, buy: int, sell: int, unclassified: int) -> None:
        profile = self._profile() if self._profile is not None else None
        if profile is not None:
            profile.add(price, buy, sell, unclassified, gap=flow.spans_gap)


def level_of(record: Mapping[str, Any]) -> tuple[int, int, int, int]:
    """Return a `records.FOOTPRINT` mapping as (price in finest units, buy, sell, unclassified), for `Instrument.add_levels`."""
    price = in_finest(record["price"], record.get("price_unit"))
    return price, record["buy_volume"], record["sell_volume"], record["unclassified_volume"]


def _cumulative(trade_id: str) -> int | None:
    tail = trade_id.rpartition(":")[2]
    return int(tail) if tail.isdigit() else None


_QUOTE_FIELDS: Final = (
    "ltp",
    "ltt_ms",
    "ltq",
    "close_price",
    "vtt",
    "atp",
    "oi",
    "iv",
    "tbq",
    "tsq",
    "bid",
    "ask",
    "day_bar",
    "segment_status",
    "session_phase",
    "session_start_ms",
    "session_end_ms",
    "feed_time_ms",
    "received_time_ms",
    "trading_date",
    "streamer",
)
