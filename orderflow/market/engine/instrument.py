"""Turns the ticks of one instrument on one trading date into final minutes, as docs/decisions/0012 describes."""

from __future__ import annotations

from bisect import insort
from collections.abc import Iterator
from operator import attrgetter
from typing import Final, NamedTuple

import msgspec

from orderflow.market.day_so_far import EXCHANGE, exchange_candle
from orderflow.market.engine.after_close import OVER_AFTER_MS, AfterClose
from orderflow.market.engine.minute import AxisTrade, FinalBy, FinalMinute, OwnTicks, Quote, Stretch, final_minute, uncovered
from orderflow.market.engine.prices import NOWHERE_ELSE, elsewhere
from orderflow.market.engine.tail import Tail
from orderflow.market.engine.volume_axis import UNKNOWN_HIGH, UNKNOWN_LOW, Bounds, VolumeAxis
from orderflow.market.phases import BEFORE_TRADING, CLOSING_AUCTION, CONTINUOUS
from orderflow.market.tick import Bar, Tick
from orderflow.market.times import MINUTE_MS

_LONGEST_PRE_OPEN_MS: Final = 120 * MINUTE_MS
NO_DEADLINE: Final = 1 << 62
SILENT_MS: Final = 10_000
"""If two updates are further apart, and more than one trade lies between them, their candle is marked as a gap."""

AHEAD_MS: Final = 60_000
"""How far a trade's time may be ahead of the feed's: a trade dated next year would end all minutes until then."""


class LateVolume(NamedTuple):
    """Volume that belongs to a minute which is already final."""

    instrument: str
    start_ms: int
    volume: int


class Sides(msgspec.Struct, frozen=True, gc=False):
    """The split of a tick's volume by aggressor, and the expected share of it on the wrong side."""

    buy: int
    sell: int
    wrong_share: float


Settled = FinalMinute | LateVolume


class InstrumentMinutes:
    """Folds the ticks of one instrument on one trading date; minutes are counted since the epoch.

    `closed` is the first minute that is still open; `done` holds later ones that were published before it.
    """

    __slots__ = (
        "after_close", "auction_ltt_ms", "auction_vtt", "axis", "bars", "closed", "date", "done", "end_minute", "filled_to",
        "first_minute", "highest_vtt", "key",
        "last_ltt_ms", "last_sequence", "measured", "own", "quotes", "session_end_ms", "session_start_ms", "source", "trades",
    )  # fmt: skip

    def __init__(self, key: str, date: str, source: str, first_minute: int) -> None:
        self.key = key
        self.date = date
        self.source = source
        self.set_session(0, 0)
        self.first_minute = first_minute
        self.closed = first_minute
        self.done: set[int] = set()
        self.measured: set[int] = set()
        self.axis: VolumeAxis | None = None
        self.trades: Tail[AxisTrade] = Tail()
        self.own: dict[int, OwnTicks] = {}
        self.quotes: dict[int, Quote] = {}
        self.bars: dict[int, Bar] = {}
        self.highest_vtt = 0
        self.auction_vtt = 0
        self.auction_ltt_ms = 0
        self.last_ltt_ms = 0
        self.last_sequence = 0
        self.filled_to = 0

    @classmethod
    def beginning(cls, tick: Tick, source: str) -> InstrumentMinutes:
        """Begin a trading date with its first tick; earlier volume of the date was not seen."""
        minutes = cls(
            tick.instrument_key, tick.trading_date, source, max(tick.feed_time_ms, tick.session_start_ms or 0) // MINUTE_MS
        )
        minutes.set_session(tick.session_start_ms or 0, tick.session_end_ms or 0)
        return minutes

    def take(self, tick: Tick, sides: Sides | None, *, use_bar: bool = True) -> bool:
        """Fold one tick; `sides` is given if the tick carries volume. Returns whether minutes may have become final.

        Ticks must be passed in the order of their topic, without repeats; volume out of order is still placed correctly.
        """
        self._take_session(tick)
        phase = tick.session_phase
        if phase in BEFORE_TRADING:
            self._take_auction(tick)
        ready = False
        ltt_ms, vtt, sequence = tick.ltt_ms, tick.vtt, tick.sequence
        if ltt_ms is not None and ltt_ms > tick.feed_time_ms + AHEAD_MS:
            ltt_ms = None
        if vtt is not None and ltt_ms is not None and (0 < self.session_start_ms <= ltt_ms or self.axis is not None):
            ready = self._place(tick, vtt, ltt_ms, sides)
        if phase == CONTINUOUS:
            event_ms, tbq = tick.event_time_ms, tick.tbq
            minute = (event_ms if sides is None or ltt_ms is None else ltt_ms) // MINUTE_MS
            if minute >= self.closed and minute not in self.done:
                self._count(tick, minute, sides)
                if tbq is not None:
                    known = self.quotes.get(minute)
                    if known is None:
                        self.quotes[minute] = Quote(event_ms, tbq, tick.tsq)
                    elif event_ms >= known.event_time_ms:
                        known.event_time_ms, known.tbq, known.tsq = event_ms, tbq, tick.tsq
        if use_bar and tick.bar is not None:
            ready = self._take_bar(tick.bar, vtt) or ready
        if sequence > self.last_sequence:
            self.last_sequence = sequence
        return ready

    def fill(self, tick: Tick, bar: Bar) -> FinalMinute | None:
        """Add a minute bar from before the first update, oldest first; returns it as final, once, if it has volume.

        Its tick may show that the session began earlier than the feed's first status implied. Such minutes are not placed on
        the axis of cumulative volume, because they lie below its origin.
        """
        self._take_session(tick)
        minute = bar.start_ms // MINUTE_MS
        in_session = self.session_start_ms <= bar.start_ms < self.session_end_ms
        if not in_session or not self.filled_to < minute < self.first_minute:
            return None
        self.filled_to = minute
        return None if bar.volume == 0 else FinalMinute(exchange_candle(self.key, bar, EXCHANGE), ())

    def _take_session(self, tick: Tick) -> None:
        """Record the session's start and end, which the feed may move; a first tick may lack them, a late one have old ones."""
        start_ms, end_ms = tick.session_start_ms, tick.session_end_ms
        known = self.session_start_ms, self.session_end_ms
        if start_ms is None or end_ms is None or (start_ms, end_ms) == known or end_ms <= self.session_start_ms:
            return
        self.set_session(start_ms, end_ms)
        begin = start_ms // MINUTE_MS
        if self.axis is None and not self.done and self.closed == self.first_minute < begin:
            self.closed = self.first_minute = begin

    def set_session(self, start_ms: int, end_ms: int) -> None:
        """Set start and end of continuous trading; `end_minute` is the first minute after it."""
        self.session_start_ms, self.session_end_ms = start_ms, end_ms
        self.end_minute = -(-end_ms // MINUTE_MS)
        self.after_close = AfterClose()

    def has_open_minutes(self) -> bool:
        """Return whether anything is known of a minute that is not published yet."""
        return bool(self.own or self.bars or self.trades.items)

    def ends_session(self, tick: Tick) -> bool:
        """Return whether the tick belongs to a later session of the day, so that everything before it must be settled first."""
        return 0 < self.session_end_ms <= (tick.session_start_ms or 0)

    def settle(self, clock_ms: int | None, watermark_ms: int | None) -> Iterator[Settled]:
        """Yield what has become final: late volume first, then minutes in order.

        A minute is final by time once the clock has passed its end by `watermark_ms`, or by twice that if later bars will soon
        determine its edge. Without a clock, every minute that has begun is final. Without a watermark, no minute is final
        because of time.
        """
        axis = self.axis
        limit = overdue = 0
        if clock_ms is None:
            limit = overdue = self._newest() + 1
        elif watermark_ms is not None:
            limit = (clock_ms - watermark_ms) // MINUTE_MS
            overdue = (clock_ms - 2 * watermark_ms) // MINUTE_MS
        end = min(max(self._newest() + 1, limit), self.end_minute)
        if axis is not None:
            yield from self._late(axis)
        for minute in range(self.closed, end):
            if minute not in self.done:
                by_clock = minute < overdue or (minute < limit and not self._will_be_known(minute))
                stretch = self._stretch(minute, by_clock=by_clock)
                if stretch is not None:
                    yield from self._publish(minute, stretch)
        self._advance()
        if self.closed >= self.end_minute:
            for phase, minute in self.after_close.open(self.closed):
                by_clock = clock_ms is None or clock_ms >= self._over_ms(phase, watermark_ms)
                stretch = self._stretch(minute, by_clock=by_clock)
                if stretch is not None:
                    yield from self._publish(minute, stretch._replace(session_phase=phase))
            self._advance()
        self._prune()

    def deadline_ms(self, watermark_ms: int | None) -> int:
        """Return the clock time at which the oldest open minute becomes final; NO_DEADLINE once all are published."""
        if watermark_ms is not None and self.closed < self.end_minute:
            return (self.closed + 1) * MINUTE_MS + watermark_ms
        return min((self._over_ms(phase, watermark_ms) for phase, _ in self.after_close.open(self.closed)), default=NO_DEADLINE)

    def restart_axis(self) -> None:
        """Begin a new axis after cumulative volume was set back; the minutes of the old axis must be settled before."""
        self.axis = None
        self.trades.drop(len(self.trades.items))
        self.highest_vtt = 0

    def is_set_back(self, tick: Tick) -> bool:
        """Return whether the tick begins a new baseline below the cumulative volume so far."""
        vtt = tick.vtt
        if vtt is None or vtt >= self.highest_vtt or self.axis is None or tick.sequence <= self.last_sequence:
            return False
        return tick.traded_volume is None or tick.traded_volume > 0

    def _take_auction(self, tick: Tick) -> None:
        """Record the opening auction's volume: `vtt` once it shows a trade of the auction; before that it is indicative."""
        matched = tick.ltt_ms is not None and tick.ltt_ms >= self.session_start_ms - _LONGEST_PRE_OPEN_MS
        if matched and tick.vtt is not None and self.axis is None:
            self.auction_vtt = tick.vtt

    def _place(self, tick: Tick, vtt: int, ltt_ms: int, sides: Sides | None) -> bool:
        """Put the tick on the axis; returns whether it began a new minute there or came out of order.

        An auction after a halt, or before a later session, belongs to the minute in which trading resumes, like the opening
        auction. The time of the auction does not show where a minute ends.
        """
        volume = (0 if sides is None else tick.traded_volume) or 0
        low, end_minute, phase = vtt - volume, self.end_minute, tick.session_phase
        minute = ltt_ms // MINUTE_MS
        before_trading = phase in BEFORE_TRADING
        if before_trading and volume:
            self.auction_ltt_ms = ltt_ms
        after_close = minute >= end_minute and not before_trading
        if after_close:
            minute = self.after_close.minute_of(phase, ltt_ms, volume, end_minute, self.closed)
        axis = self.axis
        if axis is None:
            axis = self.axis = VolumeAxis(self.closed, low)
        ready = False
        if ltt_ms >= self.last_ltt_ms and vtt >= self.highest_vtt and ltt_ms > self.auction_ltt_ms:
            self.last_ltt_ms = ltt_ms
            ready = axis.observe(minute, vtt, tick.ltq or 0)
        if vtt > self.highest_vtt:
            self.highest_vtt = vtt
        price = tick.ltp
        if not volume or sides is None or price is None or minute < self.closed >= end_minute:
            return ready
        if after_close:
            self._count(tick, minute, sides)
        if self.session_start_ms // MINUTE_MS <= minute < self.first_minute and self._covers_none_yet():
            self._begin_at(minute)
        if low < axis.origin and minute >= self.first_minute == self.closed:
            axis.origin = low
        auction = not tick.gap and (before_trading or phase == CLOSING_AUCTION)
        unseen = not auction and (tick.gap or is_silent(tick))
        one_sided = (tick.prev_bid is None) != (tick.prev_ask is None)
        buy, sell = sides.buy, sides.sell
        others = elsewhere(tick, buy, sell) if buy + sell == volume and not unseen else NOWHERE_ELSE
        trade = AxisTrade(low, vtt, price, buy, sell, sides.wrong_share, unseen, one_sided, others, auction)
        trades = self.trades.items
        if not trades or low >= trades[-1].high:
            trades.append(trade)
            return ready
        for part in uncovered(trade, trades):
            insort(trades, part, key=attrgetter("low"))
        self.trades.write_again()
        return True

    def _over_ms(self, phase: str, watermark_ms: int | None) -> int:
        """Return the clock time at which a phase after continuous trading becomes final."""
        return NO_DEADLINE if watermark_ms is None else self.session_end_ms + OVER_AFTER_MS[phase] + watermark_ms

    def _advance(self) -> None:
        """Move `closed` past the published minutes."""
        while self.closed in self.done:
            self.done.remove(self.closed)
            self.closed += 1

    def _covers_none_yet(self) -> bool:
        """Return whether no minute was published, so that the beginning may still move back."""
        return (
            not self.filled_to
            and self.first_minute == self.closed
            and not self.done
            and (self.axis is None or self.axis.base == self.closed)
        )

    def _begin_at(self, minute: int) -> None:
        self.first_minute = self.closed = minute
        if self.axis is not None:
            self.axis.begin_at(minute)

    def _count(self, tick: Tick, minute: int, sides: Sides | None) -> None:
        """Count a tick in the minute of its last trade."""
        price = tick.ltp
        if price is None or (sides is None and (tick.vtt is not None or tick.event_time_ms != tick.ltt_ms)):
            return
        volume, buy, sell = (0, 0, 0) if sides is None else (tick.traded_volume or 0, sides.buy, sides.sell)
        own = self.own.get(minute)
        if own is None:
            self.own[minute] = OwnTicks(1, price, price, price, price, volume, buy, sell)
        else:
            own.add(price, volume, buy, sell)

    def _take_bar(self, bar: Bar, vtt: int | None) -> bool:
        minute = bar.start_ms // MINUTE_MS
        if not self.session_start_ms <= bar.start_ms < self.session_end_ms:
            return False
        if minute == self.first_minute - 1 and self.last_sequence and self._covers_none_yet():
            self._begin_at(minute)  # it ended as the updates began, and its bar came after the first of them
        if minute < self.first_minute:
            return False
        if bar.volume is not None and self.axis is not None:
            self.axis.add_bar(minute, bar.volume, self.highest_vtt if vtt is None else vtt)
        if minute >= self.closed and minute not in self.done:
            self.bars[minute] = bar
        return True

    def _newest(self) -> int:
        """Return the newest minute of which anything is known."""
        newest = max(max(self.own, default=0), max(self.bars, default=0), self.closed - 1)
        if self.axis is not None and self.axis.marks:
            newest = max(newest, self.axis.marks[-1].minute)
        return newest

    def _will_be_known(self, minute: int) -> bool:
        """Return whether the minute, or the open one before it, has no bar, and later bars will soon determine its end."""
        axis = self.axis
        if axis is None or not axis.later_bar_than(minute - 1):
            return False
        if axis.volume_of(minute) is None:
            return axis.later_bar_than(minute) and not axis.bounds(minute + 1).exact
        return minute != self.closed and minute - 1 not in self.done and not axis.bounds(minute).exact

    def _stretch(self, minute: int, *, by_clock: bool) -> Stretch | None:
        """Return the minute's place on the axis once it is final, else None."""
        axis, bar = self.axis, self.bars.get(minute)
        if axis is None or (bar is not None and bar.volume is None):
            if bar is not None:
                return Stretch(0, 0, 0, exchange_bar=bar.volume is None, final_by="bar")
            return Stretch(0, 0, 0, exchange_bar=False, final_by="clock") if by_clock else None
        volume = axis.volume_of(minute)
        left, right = axis.bounds(minute), axis.bounds(minute + 1)
        if volume is not None:
            return self._with_bar(axis, minute, volume, left, right, by_clock=by_clock)
        if left.exact and right.exact:
            empty = left.low == right.low and minute < axis.marks[-1].minute
            if empty or axis.later_bar_than(minute):
                return Stretch(left.low, right.low, right.low - left.low, exchange_bar=False, final_by="complete")
        return self._by_clock(axis, minute, left, right) if by_clock else None

    def _with_bar(
        self, axis: VolumeAxis, minute: int, volume: int, left: Bounds, right: Bounds, *, by_clock: bool
    ) -> Stretch | None:
        """Place a minute with its bar's volume: at exact edges, after a published minute, or by an estimate."""
        used = axis.used.get(minute)
        if left.exact and right.exact and not (used is not None and used.binds):
            return Stretch(left.low, right.low, volume, exchange_bar=True, final_by="complete")
        begin = self._edge(axis, minute, left)
        if minute != self.closed and minute - 1 not in self.done and not by_clock:
            return None  # a minute without a bar lies before it, and both are cut at this edge
        if begin is not None:
            end = min(max(begin + volume, right.low), right.high)
        elif by_clock or right.high - right.low <= volume // 2:
            end = (right.low + right.high) // 2 if right.high < UNKNOWN_HIGH else right.low
        else:
            return None
        final_by: FinalBy = "complete" if left.exact and right.exact else "bar"
        if used is not None and used.binds and begin is not None and end - begin != volume:
            return Stretch(begin, max(begin, end), max(begin, end) - begin, exchange_bar=False, final_by=final_by)
        return Stretch(end - volume, end, volume, exchange_bar=True, final_by=final_by)

    def _by_clock(self, axis: VolumeAxis, minute: int, left: Bounds, right: Bounds) -> Stretch:
        """Place a minute without a bar by what has certainly traded before its end, and after the first update."""
        begin = self._edge(axis, minute, left)
        if begin is None:
            begin = axis.origin if left.low == UNKNOWN_LOW else max(left.low, axis.origin)
        end = max(begin, right.low)
        used = axis.used.get(minute + 1)
        if used is not None and not right.exact:
            end = max(begin, min(max(used.value, right.low), right.high))
        return Stretch(begin, end, end - begin, exchange_bar=False, final_by="clock")

    def _edge(self, axis: VolumeAxis, edge: int, bounds: Bounds) -> int | None:
        """Return an edge's cumulative volume: the one a published volume was measured from, else the exact or an earlier one."""
        used = axis.used.get(edge)
        if used is not None and used.binds:
            return used.value
        if bounds.exact:
            return bounds.low
        return None if used is None else min(max(used.value, bounds.low), bounds.high)

    def _publish(self, minute: int, stretch: Stretch) -> Iterator[Settled]:
        own, quote, bar = self.own.pop(minute, None), self.quotes.pop(minute, None), self.bars.pop(minute, None)
        self.done.add(minute)
        if self.axis is not None and (bar is None or bar.volume is not None):
            measured = not stretch.exchange_bar
            if measured:
                self.measured.add(minute)
            self.axis.use(minute, stretch.low, binds=measured)
            self.axis.use(minute + 1, stretch.high, binds=measured)
            stretch = stretch._replace(auction=min(self._auction(self.axis, minute), stretch.total, self._unseen(stretch)))
        if own is not None or stretch.total or stretch.exchange_bar:
            yield final_minute(
                self.key, self.after_close.start_ms(minute), stretch, self.trades.items, own, quote, bar, self.source
            )

    def _auction(self, axis: VolumeAxis, minute: int) -> int:
        """Return the opening auction's volume for the session's first minute, in which it is counted; 0 for any other minute."""
        opens = minute == self.first_minute == self.session_start_ms // MINUTE_MS
        return min(self.auction_vtt, axis.origin) if opens else 0

    def _unseen(self, stretch: Stretch) -> int:
        """Return the part of an interval's volume that lies before the first update."""
        return 0 if self.axis is None else max(min(self.axis.origin, stretch.high) - stretch.low, 0)

    def _late(self, axis: VolumeAxis) -> Iterator[LateVolume]:
        """Yield late volume: volume that turns out to lie before an end to which a published volume was measured."""
        for edge in sorted(axis.used):
            used = axis.used[edge]
            if used.binds and edge - 1 in self.measured and edge not in self.measured:
                low = axis.bounds(edge).low
                if low > used.value:
                    axis.use(edge, low, binds=True)
                    yield LateVolume(self.key, self.after_close.start_ms(edge - 1), low - used.value)

    def _prune(self) -> None:
        axis = self.axis
        if axis is None:
            return
        if self.closed >= self.end_minute and not any(self.after_close.open(self.closed)):
            self.trades.drop(len(self.trades.items))
        axis.prune(self.closed, self._newest())
        self.measured = {minute for minute in self.measured if minute >= axis.base}
        begin = axis.bounds(self.closed).low
        used = axis.used.get(self.closed)
        if used is not None and used.binds:
            begin = max(begin, used.value)
        for place, trade in enumerate(self.trades.items):
            if trade.high > begin:
                self.trades.drop(place)
                return
        self.trades.drop(len(self.trades.items))


def is_silent(tick: Tick) -> bool:
    """Return whether the tick's volume is of several trades after a silence, so that single trades are not known."""
    if tick.prev_feed_time_ms is None or tick.feed_time_ms - tick.prev_feed_time_ms <= SILENT_MS:
        return False
    return (tick.traded_volume or 0) > (tick.ltq or 0)
