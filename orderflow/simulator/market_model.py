"""The market model as a source: every instrument's market, sampled into conflated updates as the real feed does."""

from __future__ import annotations

import datetime as dt
import heapq
import random
from collections.abc import Sequence
from typing import Final

from orderflow.market.times import DAY_MS, MINUTE_MS
from orderflow.simulator import session_plan
from orderflow.simulator.catalogue import Instrument, master
from orderflow.simulator.listing import IndexListing, Listing, StockListing, earlier_bars
from orderflow.simulator.market_status import MarketStatus
from orderflow.simulator.session_plan import Announcement, SessionPlan
from orderflow.simulator.source import Candle, Message, TradeSink

_REPEAT_SHARE: Final = 0.09
_QUIET_GAP_MS: Final = 4_000
HISTORY_DAYS: Final = 30


class MarketModel:
    """Simulate a market on one trading day; deterministic for a seed, instruments, rate and start.

    `date` None is a market open now, at the wall clock, without a close. With a date the session runs from 09:00, or from
    `begin`, to 16:00 IST at `speed`, at its own times or (`times` = "now") moved by whole minutes so that it ends at the wall
    clock; with `wait` it begins when somebody has subscribed.
    """

    def __init__(
        self,
        instruments: Sequence[Instrument],
        *,
        seed: int = 1,
        updates_per_second: float = 2.0,
        date: dt.date | None = None,
        begin: dt.time | None = None,
        speed: float = 1.0,
        times: str = "original",
        wait: bool = False,
        sink: TradeSink | None = None,
    ) -> None:
        self.keys = tuple(instrument.key for instrument in instruments)
        self.speed = speed
        self.lossless = date is not None
        self.waits_for_subscriber = wait and date is not None
        self._instruments = tuple(instruments)
        self._seed, self._rate, self._times, self._sink = seed, updates_per_second, times, sink
        self._date, self._begin = date, begin
        self._grid_ms = max(1, int(min(50.0, 1000 / updates_per_second)))
        self._rng = random.Random(f"{seed}:feed")
        self._listings: dict[str, Listing] = {}
        self._due: list[tuple[float, str]] = []
        self._announcements: list[Announcement] = []
        self._status = MarketStatus()
        self._insists = date is None or times == "now"
        self._real_end_ms = 0
        self._ending: tuple[str, ...] = ()
        self._now_ms = 0
        self._next_midnight_ms = 0
        self._plan: SessionPlan | None = None

    def start(self, wall_ms: int) -> None:
        """Open the market: fix the day's plan and the state before its first message; may be called again before `next`."""
        self._rng = random.Random(f"{self._seed}:feed")
        if self._date is None:
            plan = session_plan.live(wall_ms)
        else:
            plan = session_plan.of_date(self._date, begin=self._begin)
            if self._times == "now":
                end = plan.without_derivatives.end_ms
                shift = min(wall_ms - plan.start_ms, wall_ms + int((end - plan.start_ms) / self.speed) - end)
                plan = session_plan.of_date(self._date, shift - shift % MINUTE_MS, self._begin)
        self._plan = plan
        self._now_ms = plan.start_ms
        self._next_midnight_ms = plan.day_start_ms + DAY_MS
        stocks = {
            instrument.key: StockListing(instrument, plan, self._seed, self._rate, self._sink)
            for instrument in self._instruments
            if not instrument.is_index
        }
        for instrument in self._instruments:
            stock = stocks.get(instrument.key)
            self._listings[instrument.key] = stock or IndexListing(
                instrument, plan, self._seed, self._rate, list(stocks.values())
            )
        self._announcements = list(plan.announcements)
        while self._announcements and self._announcements[0].at_ms <= plan.start_ms:
            self._status.announce(self._announcements.pop(0))
        gap = 1000 / self._rate
        self._due = [(plan.start_ms + gap * self._rng.random(), key) for key in self.keys]
        heapq.heapify(self._due)
        self._real_end_ms, self._ending = session_plan.next_real_end(plan.start_ms)

    def due_ms(self) -> int | None:
        """Return the feed time of the next message, or None once the session has ended."""
        times = [self._announcements[0].at_ms] if self._announcements else []
        if self._due:
            times.append(self._on_grid(self._due[0][0]))
        return min(times, default=None)

    def next(self) -> Message:
        """Advance to the next announcement or to the next group of updates."""
        at = self.due_ms()
        if at is None:
            raise StopIteration
        while self._insists and self._real_end_ms <= at:
            self._stay_open()
            at = self.due_ms() or at
        self._now_ms = at
        if self._announcements and self._announcements[0].at_ms <= at:
            self._status.announce(self._announcements.pop(0))
            return Message(at, announcement=self.market_info())
        if self._date is None and at >= self._next_midnight_ms:
            for listing in self._listings.values():
                listing.new_day(self._next_midnight_ms)
            self._next_midnight_ms += DAY_MS
        keys: list[str] = []
        while self._due and self._due[0][0] <= at:
            due, key = self._due[0]
            listing = self._listings[key]
            gap = self._gap_ms() if listing.is_trading(at) else _QUIET_GAP_MS * (0.5 + self._rng.random())
            if due + gap > listing.end_ms:
                heapq.heappop(self._due)
            else:
                heapq.heapreplace(self._due, (max(due + gap, at + 1 - self._grid_ms), key))
            if key not in keys:
                keys.append(key)
                if self._rng.random() >= _REPEAT_SHARE:
                    listing.update(at, self._lag_ms())
        return Message(at, tuple(keys))

    def _stay_open(self) -> None:
        """Announce that what is open at the end of the real session stays so."""
        still = [segment for segment in self._ending if self._status.of(segment) == "NORMAL_OPEN"]
        if still:
            self._announcements[:0] = session_plan.reopening(self._real_end_ms, still)
        self._real_end_ms, self._ending = session_plan.next_real_end(self._real_end_ms)

    def market_info(self) -> bytes:
        """Return the segments' current statuses."""
        return self._status.info(self._now_ms)

    def greeting(self) -> Sequence[bytes]:
        """Return the current statuses, phrased so that they are believed at any hour."""
        return self._status.greeting(self._now_ms, insists=self._insists)

    def entry(self, key: str, mode: str) -> bytes | None:
        """Return the instrument's state after its last update."""
        listing = self._listings.get(key)
        return listing.entry(mode) if listing else None

    def now_ms(self) -> int:
        """Return the feed time of the last message."""
        return self._now_ms

    def instrument_master(self) -> list[dict[str, object]]:
        """Return a row for every instrument and its future."""
        return master(self._instruments, real_hours=not self._insists)

    def segment_status(self, segment: str) -> str:
        """Return the segment's current status."""
        return self._status.of(segment)

    def minute_candles(self, key: str, from_ms: int, to_ms: int) -> Sequence[Candle]:
        """Return today's minutes so far, and made-up earlier days that end at the previous close."""
        listing, plan = self._listings.get(key), self._plan
        if listing is None or plan is None:
            return []
        today = [bar for bar in listing.bars() if from_ms <= bar[0] < to_ms]
        if from_ms >= plan.day_start_ms:
            return today
        earlier = earlier_bars(listing, self._seed, plan.day_start_ms, HISTORY_DAYS)
        return [bar for bar in earlier if from_ms <= bar[0] < to_ms] + today

    def _on_grid(self, due: float) -> int:
        return -int(-due // self._grid_ms) * self._grid_ms

    def _gap_ms(self) -> float:
        gap = 1000 / self._rate
        return gap if self._rate >= 20 else gap * (0.35 + 1.3 * self._rng.random())

    def _lag_ms(self) -> int:
        return 110 + int(self._rng.random() * min(150.0, 300 / self._rate))
