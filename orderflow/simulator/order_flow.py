"""One instrument's market: random order flow into a limit order book, so that every trade's aggressor side is known.

Zero-intelligence flow (Smith, Farmer, Gillemot and Krishnamurthy, 2003: market orders, limit orders and cancellations
arrive at random), steered by a hidden fair price with momentum and mean reversion: market orders lean towards it, limit
orders are placed around it, makers pull quotes on its wrong side.
"""

from __future__ import annotations

import random
from typing import Final

from orderflow.simulator.catalogue import Instrument
from orderflow.simulator.order_book import Side
from orderflow.simulator.source import Candle, TradeSink

_VOLATILITY_PER_SQRT_SECOND: Final = 5e-5
_TARGET_ORDERS: Final = 110
_PASSIVE_EVENTS_PER_UPDATE: Final = 4.5
_KEEP_LEVELS: Final = 12
_DEEPEST_TICKS: Final = 60


class InstrumentMarket:
    """The book and the day's figures of one instrument; prices in ticks, times in epoch milliseconds of feed time.

    Its course depends on the seed alone, not on how often or when `advance` is called.
    """

    def __init__(self, instrument: Instrument, seed: int, updates_per_second: float, sink: TradeSink | None) -> None:
        self.instrument = instrument
        self.rng = rng = random.Random(f"{seed}:{instrument.key}")
        self.tick = instrument.tick_paise / 100
        self._sink = sink
        self.fair = float(round(instrument.start_paise / instrument.tick_paise))
        self.anchor = self.fair
        self._drift = 0.0
        market_orders = rng.uniform(0.4, 1.25)
        self._events_per_ms = (market_orders + _PASSIVE_EVENTS_PER_UPDATE) * updates_per_second / 1000
        self._market_share = market_orders / (market_orders + _PASSIVE_EVENTS_PER_UPDATE)
        self._sigma = _VOLATILITY_PER_SQRT_SECOND * self.fair
        self._impact = 0.2 * self._sigma / (market_orders * updates_per_second) ** 0.5
        self.half_spread = rng.uniform(0.8, 2.2)
        self.next_event_ms = 0.0
        self._last_sign = 1
        self.bids, self.asks = Side(1), Side(-1)
        self._far_bids = int(instrument.typical_order * rng.uniform(1500, 4000))
        self._far_asks = int(instrument.typical_order * rng.uniform(1500, 4000))
        self.previous_close = round(self.fair)
        self.last_price = self.previous_close
        self.last_time_ms = 0
        self.last_quantity = 0
        self.volume = 0
        self.turnover = 0
        self.day_open = self.day_high = self.day_low = 0
        self.bars: list[Candle] = []
        self.minute_end_ms = 0
        self._minute_open = self._minute_high = self._minute_low = self._minute_volume = 0
        self.simulated_ms = 0
        self._seed_book()

    @property
    def total_bid_quantity(self) -> int:
        """Return the whole pending buy quantity, also beyond the levels simulated."""
        return self.bids.quantity + self._far_bids

    @property
    def total_ask_quantity(self) -> int:
        """Return the whole pending sell quantity."""
        return self.asks.quantity + self._far_asks

    def advance(self, until_ms: int) -> None:
        """Run continuous trading up to `until_ms`."""
        rng = self.rng
        draw, exponential = rng.random, rng.expovariate
        at, rate, share = self.next_event_ms, self._events_per_ms, self._market_share
        while at <= until_ms:
            if at >= self.minute_end_ms:
                self._end_minute(int(at))
            if draw() < share:
                self._move_fair(1 / rate)
                self._market_order(int(at))
            else:
                self._move_fair(1 / rate)
                self._passive_order()
            at += exponential(rate)
        self.next_event_ms = at
        if until_ms >= self.minute_end_ms:
            self._end_minute(until_ms)
        self.simulated_ms = until_ms

    def close_minute(self, at_ms: int) -> None:
        """Complete the running minute if it ended by `at_ms`, when no trade would."""
        if at_ms >= self.minute_end_ms:
            self._end_minute(at_ms)
        self.simulated_ms = max(self.simulated_ms, at_ms)

    def new_day(self, midnight_ms: int) -> None:
        """Begin another trading date without a pause: the day's figures start again from nothing."""
        self.close_minute(midnight_ms)
        self.previous_close = self.last_price
        self.volume = self.turnover = 0
        self.day_open = self.day_high = self.day_low = 0
        self.bars = []

    def auction(self, at_ms: int, quantity: int, side: str, price: int | None = None, *, minute_ms: int | None = None) -> None:
        """Book one trade without an aggressor: an auction's match or a post-close trade.

        It counts in the bar of its own minute, or of the one at `minute_ms`.
        """
        if at_ms >= self.minute_end_ms:
            self._end_minute(at_ms if minute_ms is None else minute_ms)
        auction_price = round(self.fair) if price is None else price
        self._book_trades([(auction_price, quantity)], at_ms, side)

    def set_price(self, ticks: float) -> None:
        """Move the fair price, and with it the book, as after an auction or at a session's start."""
        shift = round(ticks) - round(self.fair)
        self.fair = float(round(ticks))
        if shift:
            self.bids, self.asks = Side(1), Side(-1)
            self._seed_book()

    def _seed_book(self) -> None:
        rng, centre = self.rng, self.fair
        for side, sign in ((self.bids, -1), (self.asks, 1)):
            edge = round(centre + sign * self.half_spread)
            for depth in range(40):
                for _ in range(rng.randrange(1, 4)):
                    side.add(edge + sign * depth, self._size(3.0))

    def _size(self, scale: float) -> int:
        instrument = self.instrument
        return (
            1 + int(self.rng.lognormvariate(0.0, 1.15) * scale * instrument.typical_order / instrument.lot_size)
        ) * instrument.lot_size

    def _move_fair(self, elapsed_ms: float) -> None:
        seconds = elapsed_ms / 1000
        rng = self.rng
        sigma = self._sigma
        self._drift += -self._drift * seconds / 20 + (rng.random() - 0.5) * 0.14 * sigma * seconds**0.5
        self.fair += (
            sigma * seconds**0.5 * rng.gauss(0.0, 1.0) + self._drift * seconds + (self.anchor - self.fair) * seconds * 1e-4
        )

    def _market_order(self, at_ms: int) -> None:
        rng, bids, asks = self.rng, self.bids, self.asks
        best_bid, best_ask = bids.ladder[-1], -asks.ladder[-1]
        lean = (self.fair - (best_bid + best_ask) / 2) / (best_ask - best_bid + 1)
        chance = 0.5 + max(-0.42, min(0.42, 0.8 * lean)) + 0.12 * self._last_sign
        sign = 1 if rng.random() < chance else -1
        self._last_sign = sign
        side = asks if sign > 0 else bids
        orders = 1
        while orders < 6 and rng.random() < 0.35:
            orders += 1
        for _ in range(orders):
            fills = side.take(self._size(1.0), _KEEP_LEVELS)
            if fills:
                self._book_trades(fills, at_ms, "buy" if sign > 0 else "sell")
        self.fair += sign * self._impact

    def _passive_order(self) -> None:
        rng = self.rng
        buying = rng.random() < 0.5
        side, other, sign = (self.bids, self.asks, -1) if buying else (self.asks, self.bids, 1)
        if len(side.ladder) < _KEEP_LEVELS + 4:
            side.add(side.best() + sign * rng.randrange(1, 40), self._size(3.0))
            return
        wrong_side = (side.best() - self.fair) * sign < 0
        if wrong_side or rng.random() < side.orders / (2 * _TARGET_ORDERS):
            level = 0 if wrong_side else int(rng.expovariate(0.12))
            side.cancel(level, int(rng.random() * 4), _KEEP_LEVELS)
            return
        depth = int(rng.expovariate(0.16))
        price = round(self.fair + sign * (self.half_spread + depth))
        limit = other.best() + sign
        if (price - limit) * sign < 0:
            price = limit
        if depth <= _DEEPEST_TICKS:
            side.add(price, self._size(3.0))

    def _book_trades(self, fills: list[tuple[int, int]], at_ms: int, side: str) -> None:
        sink, tick, key = self._sink, self.tick, self.instrument.key
        for price, quantity in fills:
            self.volume += quantity
            self.turnover += price * quantity
            self._minute_volume += quantity
            if sink is not None:
                sink(key, at_ms, round(price * tick, 2), quantity, side, self.volume)
        first, (last, quantity) = fills[0][0], fills[-1]
        high, low = (first, last) if first > last else (last, first)
        if self.day_open == 0:
            self.day_open = self.day_high = self.day_low = first
        self.day_high = max(self.day_high, high)
        self.day_low = min(self.day_low, low)
        if self._minute_open == 0:
            self._minute_open = self._minute_high = self._minute_low = first
        self._minute_high = max(self._minute_high, high)
        self._minute_low = min(self._minute_low, low)
        self.last_price, self.last_quantity, self.last_time_ms = last, quantity, at_ms

    def _end_minute(self, at_ms: int) -> None:
        if self._minute_open:
            prices = (self._minute_open, self._minute_high, self._minute_low, self.last_price)
            opened, high, low, closed = (round(price * self.tick, 2) for price in prices)
            self.bars.append((self.minute_end_ms - 60_000, opened, high, low, closed, self._minute_volume))
            self._minute_open = self._minute_volume = 0
        self.minute_end_ms = at_ms - at_ms % 60_000 + 60_000
        self.bids.trim(round(self.fair) - 2 * _DEEPEST_TICKS)
        self.asks.trim(round(self.fair) + 2 * _DEEPEST_TICKS)
