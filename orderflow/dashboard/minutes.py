"""One instrument's trading day in memory: its minutes, forming or final, and what other updates say about it.

A minute is folded from trades until its final candle arrives, which then replaces the fold. Nothing here knows a clock,
a network or a thread.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from orderflow.market.candle import Candle
from orderflow.market.footprint import Level
from orderflow.market.trade import Trade

MINUTE_MS: Final = 60_000
TAPE_LENGTH: Final = 400
REMEMBERED_TRADES: Final = 20_000
_BIG_SAMPLE: Final = 400
_BIG_REFRESH: Final = 20
_CHANGES_KEPT: Final = 200


@dataclass(slots=True)
class Minute:
    """One minute of one instrument: the running fold of its trades, or its final candle."""

    start_ms: int
    end_ms: int
    revision: int = 0
    final: Candle | None = None
    levels: dict[int, list[int]] = field(default_factory=dict)
    levels_final: bool = False
    open: float | None = None
    high: float | None = None
    low: float | None = None
    close: float | None = None
    open_key: tuple[int, int] = (0, 0)
    close_key: tuple[int, int] = (0, 0)
    buy: int = 0
    sell: int = 0
    unclassified: int = 0
    turnover: float = 0.0
    trades: int = 0
    min_delta: int = 0
    max_delta: int = 0
    tbq: int | None = None
    tsq: int | None = None
    gap: bool = False

    def fold(self, trade: Trade, order: int) -> None:
        """Add one trade to the forming minute; `order` breaks ties of equal event times."""
        key = (trade.event_time_ms, order)
        price = trade.price
        if self.trades == 0:
            self.open = self.high = self.low = self.close = price
            self.open_key = self.close_key = key
        else:
            if key < self.open_key:
                self.open, self.open_key = price, key
            if key >= self.close_key:
                self.close, self.close_key = price, key
            self.high = price if self.high is None else max(self.high, price)
            self.low = price if self.low is None else min(self.low, price)
        self.trades += 1
        self.buy += trade.buy_volume
        self.sell += trade.sell_volume
        self.unclassified += trade.unclassified_volume
        self.turnover += price * trade.volume
        delta = self.buy - self.sell
        self.min_delta, self.max_delta = min(self.min_delta, delta), max(self.max_delta, delta)
        self.tbq = self.tbq if trade.tbq is None else trade.tbq
        self.tsq = self.tsq if trade.tsq is None else trade.tsq
        self.gap = self.gap or trade.gap

    @property
    def spans_gap(self) -> bool:
        """Return whether some of the volume passed during an outage."""
        return self.final.gap if self.final is not None else self.gap

    def priced_levels(self) -> Iterator[Level]:
        """Yield the volume whose price is known.

        That of an outage traded at prices nobody saw and is booked at the one after it; it is the unclassified volume of a
        minute that spans a gap.
        """
        known = not self.spans_gap
        for price, (buy, sell, unclassified) in self.levels.items():
            if buy or sell or (known and unclassified):
                yield Level(price, buy, sell, unclassified if known else 0)

    def candle(self, instrument: str) -> Candle:
        """Return the final candle, or the forming one as known so far."""
        if self.final is not None:
            return self.final
        total = self.buy + self.sell + self.unclassified
        classified = self.buy + self.sell
        return Candle(
            start_ms=self.start_ms,
            end_ms=self.end_ms,
            instrument=instrument,
            open=self.open,
            high=self.high,
            low=self.low,
            close=self.close,
            buy_volume=self.buy,
            sell_volume=self.sell,
            total_volume=total,
            delta=self.buy - self.sell,
            tbq=self.tbq,
            tsq=self.tsq,
            unclassified_volume=self.unclassified,
            tick_volume=total,
            vwap=self.turnover / total if total else None,
            tick_count=self.trades,
            min_delta=self.min_delta,
            max_delta=self.max_delta,
            imbalance=(self.buy - self.sell) / classified if classified else None,
            gap=self.gap,
        )


class Instrument:
    """What is known of one instrument on its current trading date."""

    def __init__(self, key: str) -> None:
        self.key = key
        self.revision = 0
        self.tick: Mapping[str, Any] = {}
        self.tick_revision = 0
        self.quote: dict[str, Any] = {}
        self.reset("", None, None)

    def reset(self, date: str, session_start_ms: int | None, session_end_ms: int | None) -> None:
        """Forget the day before and start `date` (YYYY-MM-DD)."""
        self.date = date
        self.session_start_ms = session_start_ms
        self.session_end_ms = session_end_ms
        self.minutes: dict[int, Minute] = {}
        self.starts: list[int] = []
        self.profile: dict[int, list[int]] = {}
        self.unpriced_volume = 0
        self.tape: deque[tuple[int, Trade, bool]] = deque(maxlen=TAPE_LENGTH)
        self.tape_count = 0
        self.repeats = 0
        self.late_volume = 0
        self.outside_volume = 0
        self.last_price: float | None = None
        self.last_time_ms: int | None = None
        self.last_received_ms: int | None = None
        self.epoch = self.revision = self.revision + 1
        self._changes: deque[tuple[int, int]] = deque(maxlen=_CHANGES_KEPT)
        self._seen: set[int] = set()
        self._order: deque[int] = deque()
        self._floor = -1
        self._sizes: deque[int] = deque(maxlen=_BIG_SAMPLE)
        self._big = 0

    def minute(self, start_ms: int, end_ms: int | None = None) -> Minute:
        """Return the minute that starts at `start_ms`, made if new."""
        found = self.minutes.get(start_ms)
        if found is None:
            found = Minute(start_ms, end_ms or start_ms + MINUTE_MS)
            self.minutes[start_ms] = found
            insort(self.starts, start_ms)
        return found

    def add_trade(self, trade: Trade) -> bool:
        """Fold a trade; return False when it repeats one already seen."""
        cumulative = _cumulative(trade.trade_id)
        if cumulative is not None and not self._first_time(cumulative):
            self.repeats += 1
            return False
        self.tape_count += 1
        self.tape.append((self.tape_count, trade, self._is_big(trade.volume)))
        if self.last_time_ms is None or trade.event_time_ms >= self.last_time_ms:
            self.last_price, self.last_time_ms = trade.price, trade.event_time_ms
        self.last_received_ms = max(self.last_received_ms or 0, trade.received_time_ms)
        start, end = self.session_start_ms, self.session_end_ms
        self.revision += 1
        if start is not None and end is not None and not start <= trade.event_time_ms < end:
            self.outside_volume += trade.volume
            return True
        minute = self.minute(trade.event_time_ms // MINUTE_MS * MINUTE_MS)
        if minute.final is not None:
            if minute.trades:
                self.late_volume += trade.volume
            return True
        spanned = minute.spans_gap
        minute.fold(trade, self.tape_count)
        self._regard_gap(minute, spanned)
        if not minute.levels_final:
            self._book(minute, round(trade.price * 100), trade.buy_volume, trade.sell_volume, trade.unclassified_volume)
        self._changed(minute)
        return True

    def add_final(self, candle: Candle) -> None:
        """Replace a forming minute by its final candle."""
        minute = self.minute(candle.start_ms, candle.end_ms)
        if minute.final == candle:
            return
        spanned = minute.spans_gap
        minute.final = candle
        self._regard_gap(minute, spanned)
        self.revision += 1
        self._changed(minute)
        if candle.close is not None and (self.last_time_ms is None or candle.end_ms > self.last_time_ms):
            self.last_price, self.last_time_ms = candle.close, candle.end_ms - 1

    def add_levels(self, start_ms: int, rows: Iterable[tuple[int, int, int, int]]) -> None:
        """Replace a minute's footprint by final rows of (price in paise, buy, sell, unclassified)."""
        minute = self.minute(start_ms)
        if not minute.levels_final:
            for price, volumes in minute.levels.items():
                self._add_profile(minute, price, -volumes[0], -volumes[1], -volumes[2])
            minute.levels = {}
            minute.levels_final = True
        for price, buy, sell, unclassified in rows:
            old = minute.levels.pop(price, None)
            if old is not None:
                self._add_profile(minute, price, -old[0], -old[1], -old[2])
            self._book(minute, price, buy, sell, unclassified)
        self.revision += 1
        self._changed(minute)

    def add_tick(self, tick: Mapping[str, Any]) -> None:
        """Keep the newest quote, depth and day figures; absent fields keep their last value."""
        self.tick_revision += 1
        quote = self.quote
        for name in _QUOTE_FIELDS:
            value = tick.get(name)
            if value is not None:
                quote[name] = value
        if tick.get("session_start_ms") is not None and tick.get("trading_date") == self.date:
            self.session_start_ms = tick["session_start_ms"]
            self.session_end_ms = tick.get("session_end_ms")
        price = tick.get("ltp")
        time_ms = tick.get("ltt_ms")
        if price is not None and time_ms is not None and (self.last_time_ms is None or time_ms >= self.last_time_ms):
            self.last_price = price
            if "_INDEX|" in self.key:
                self._fold_index(float(price), int(time_ms), int(tick["received_time_ms"]))

    def _fold_index(self, price: float, time_ms: int, received_ms: int) -> None:
        """Fold an index's value into the forming minute: it has no trades, and its final candle is the exchange's bar."""
        start, end = self.session_start_ms, self.session_end_ms
        minute = self.minute(time_ms // MINUTE_MS * MINUTE_MS)
        if minute.final is not None or (start is not None and end is not None and not start <= time_ms < end):
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
        minute.fold(value, self.tick_revision)
        self.last_time_ms, self.last_received_ms = time_ms, received_ms
        self.revision += 1
        self._changed(minute)

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

    def _changed(self, minute: Minute) -> None:
        minute.revision = self.revision
        self._changes.append((self.revision, minute.start_ms))

    def _book(self, minute: Minute, price: int, buy: int, sell: int, unclassified: int) -> None:
        level = minute.levels.get(price)
        if level is None:
            minute.levels[price] = [buy, sell, unclassified]
        else:
            level[0] += buy
            level[1] += sell
            level[2] += unclassified
        self._add_profile(minute, price, buy, sell, unclassified)

    def _regard_gap(self, minute: Minute, spanned: bool) -> None:
        """Move a minute's unclassified volume out of the profile, or back, when it turns out to span a gap, or not to."""
        if minute.spans_gap == spanned:
            return
        for price, (_, _, unclassified) in minute.levels.items():
            moved = unclassified if minute.spans_gap else -unclassified
            self.unpriced_volume += moved
            self._add_level(price, 0, 0, -moved)

    def _add_profile(self, minute: Minute, price: int, buy: int, sell: int, unclassified: int) -> None:
        if minute.spans_gap:
            self.unpriced_volume += unclassified
            unclassified = 0
        self._add_level(price, buy, sell, unclassified)

    def _add_level(self, price: int, buy: int, sell: int, unclassified: int) -> None:
        level = self.profile.get(price)
        if level is None:
            level = self.profile[price] = [0, 0, 0]
        level[0] += buy
        level[1] += sell
        level[2] += unclassified
        if level == [0, 0, 0]:
            del self.profile[price]

    def _first_time(self, cumulative: int) -> bool:
        if cumulative <= self._floor or cumulative in self._seen:
            return False
        self._seen.add(cumulative)
        self._order.append(cumulative)
        if len(self._order) > REMEMBERED_TRADES:
            oldest = self._order.popleft()
            self._seen.discard(oldest)
            self._floor = max(self._floor, oldest)
        return True

    def _is_big(self, volume: int) -> bool:
        self._sizes.append(volume)
        if self.tape_count % _BIG_REFRESH == 0 and len(self._sizes) >= 2 * _BIG_REFRESH:
            ordered = sorted(self._sizes)
            self._big = max(ordered[len(ordered) * 39 // 40], 2 * ordered[len(ordered) // 2])
        return self._big > 0 and volume >= self._big


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
)
