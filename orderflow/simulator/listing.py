"""The feed's state of one instrument, through the phases of the day, as protobuf."""

from __future__ import annotations

import random
import zlib
from collections.abc import Sequence
from typing import Final, Protocol

from upstox_client.feeder.proto import MarketDataFeedV3_pb2 as pb

from orderflow.market.times import MINUTE_MS
from orderflow.simulator import bars, feed_message
from orderflow.simulator.catalogue import DEMO, Instrument
from orderflow.simulator.order_book import Fill
from orderflow.simulator.order_flow import InstrumentMarket
from orderflow.simulator.session_plan import SessionPlan
from orderflow.simulator.source import Candle, TradeSink

_EARLIER_PER_MINUTE: Final = 600
_OVERNIGHT_MS: Final = 17 * 3600 * 1000


class Listing(Protocol):
    """One instrument of the model as the feed sees it."""

    instrument: Instrument
    end_ms: int

    def is_trading(self, at_ms: int) -> bool:
        """Return whether updates come at the full rate."""

    def new_day(self, midnight_ms: int) -> None:
        """Begin another trading date of a market that does not close."""

    def update(self, at_ms: int, lag_ms: int) -> None:
        """Bring the shown state to what the exchange had `lag_ms` before `at_ms`."""

    def entry(self, mode: str) -> bytes:
        """Return the shown state as a `feeds` entry."""

    def bars(self) -> Sequence[Candle]:
        """Return today's completed minutes."""

    def previous_close_paise(self) -> int:
        """Return the previous day's close."""


def earlier_bars(listing: Listing, seed: int, before_ms: int, days: int) -> Sequence[Candle]:
    """Return the minutes of made-up days before the IST midnight `before_ms`, which end at the listing's previous close."""
    return bars.history(listing.instrument, seed, before_ms, days, listing.previous_close_paise())


class _BarTicker:
    """Show each completed minute 1–2 s after its end."""

    def __init__(self, key: str) -> None:
        self._salt = zlib.crc32(key.encode())
        self._shown = 0

    def restart(self) -> None:
        self._shown = 0

    def newest(self, completed: Sequence[Candle], at_ms: int) -> Candle | None:
        while self._shown < len(completed):
            start = completed[self._shown][0]
            delay = 1000 + (self._salt + start // MINUTE_MS * 379) % 1000
            if at_ms < start + MINUTE_MS + delay:
                break
            self._shown += 1
        return completed[self._shown - 1] if self._shown else None


class StockListing:
    """A stock: book, volume, auctions."""

    def __init__(self, instrument: Instrument, plan: SessionPlan, seed: int, rate: float, sink: TradeSink | None) -> None:
        self.instrument = instrument
        self.hours = hours = plan.hours(instrument)
        self.end_ms = hours.end_ms
        self._day_start_ms = plan.day_start_ms
        self.market = market = InstrumentMarket(instrument, seed, rate, sink)
        self._rng = random.Random(f"{seed}:{instrument.key}:auction")
        self._ticker = _BarTicker(instrument.key)
        self._feed = pb.Feed(requestMode=pb.full_d5)
        self._shown_volume, self._shown_average = 0, 0.0
        self._indicative = 0
        matches = (hours.opening_match_ms, hours.closing_match_ms)
        self._pending_matches = [at for at in matches if at is not None and at >= plan.start_ms]
        self._last_post_close_ms = hours.post_close_ms
        self._closing_price = 0
        self._full = self._feed.fullFeed.marketFF
        self._full.optionGreeks.SetInParent()
        self._full.ltpc.cp = round(market.previous_close * market.tick, 2)
        ohlc = self._full.marketOHLC.ohlc
        ohlc.add()
        ohlc.add()
        self._full.casEligible = hours.closing_match_ms is not None
        self._future = instrument.segment.endswith("_FO")
        market.last_time_ms = hours.open_ms - _OVERNIGHT_MS
        market.last_quantity = 1 + self._rng.randrange(20)
        market.next_event_ms = float(max(plan.start_ms, hours.open_ms))
        if plan.opened:
            self._warm_up(plan)
        self.update(plan.start_ms, 0)

    def _warm_up(self, plan: SessionPlan) -> None:
        """Give a market that opens in the middle of its day the minutes before."""
        market, instrument = self.market, self.instrument
        first_whole = plan.start_ms - plan.start_ms % MINUTE_MS
        starts = range(self.hours.open_ms, first_whole, MINUTE_MS)
        market.minute_end_ms = first_whole + MINUTE_MS
        market.bars = bars.walk_back(self._rng, instrument, instrument.start_paise, starts)
        if not market.bars:
            return
        market.day_open = round(market.bars[0][1] / market.tick)
        market.day_high = round(max(bar[2] for bar in market.bars) / market.tick)
        market.day_low = round(min(bar[3] for bar in market.bars) / market.tick)
        market.volume = sum(bar[5] for bar in market.bars)
        market.turnover = sum(round((bar[2] + bar[3]) / 2 / market.tick) * bar[5] for bar in market.bars)
        if plan.unseen_from_ms is not None:
            # A restarted market has continued in the meantime: volume grows with the time of day, faster than it can trade.
            earlier = (plan.start_ms - plan.unseen_from_ms) * instrument.typical_order * _EARLIER_PER_MINUTE // MINUTE_MS
            earlier -= earlier % instrument.lot_size
            market.turnover += earlier * market.turnover // max(market.volume, 1)
            market.volume += earlier
        market.last_time_ms = first_whole - 500
        market.previous_close = round(market.previous_close * (1 + self._rng.uniform(-0.012, 0.012)))
        self._full.ltpc.cp = round(market.previous_close * market.tick, 2)

    def is_trading(self, at_ms: int) -> bool:
        """Return whether continuous trading is under way."""
        return self.hours.open_ms <= at_ms < self.hours.close_ms + 3000

    def new_day(self, midnight_ms: int) -> None:
        """Begin another trading date: cumulative volume and day bar start again, the last close becomes the previous one."""
        self.market.advance(midnight_ms - 1)
        self.market.new_day(midnight_ms)
        self._day_start_ms = midnight_ms
        self._ticker.restart()
        self._shown_volume, self._shown_average = 0, 0.0
        self._full.ltpc.cp = round(self.market.previous_close * self.market.tick, 2)

    def update(self, at_ms: int, lag_ms: int) -> None:
        """Bring the shown state to what the exchange had `lag_ms` before `at_ms`."""
        market, hours = self.market, self.hours
        seen_ms = max(at_ms - lag_ms, market.simulated_ms)
        while self._pending_matches and self._pending_matches[0] <= seen_ms:
            self._match(self._pending_matches.pop(0))
        if seen_ms >= hours.open_ms and market.simulated_ms < hours.close_ms:
            market.advance(min(seen_ms, hours.close_ms - 1))
        if seen_ms >= hours.close_ms:
            market.close_minute(seen_ms)
        if seen_ms >= hours.post_close_ms:
            self._trade_post_close(seen_ms)
        self._show(at_ms, seen_ms)

    def entry(self, mode: str) -> bytes:
        """Return the shown state as a `feeds` entry in the given mode."""
        if mode != "full_d30":
            return feed_message.entry(self.instrument.key, feed_message.in_mode(self._feed, mode))
        deep = pb.Feed()
        deep.CopyFrom(self._feed)
        deep.requestMode = pb.full_d30
        market = self.market
        feed_message.set_depth(deep.fullFeed.marketFF, market.bids.top(30), market.asks.top(30), 30, market.tick)
        return feed_message.entry(self.instrument.key, deep)

    def bars(self) -> Sequence[Candle]:
        """Return today's completed minutes."""
        return self.market.bars

    def previous_close_paise(self) -> int:
        """Return the previous day's close."""
        return round(float(self._full.ltpc.cp) * 100)

    def _match(self, at_ms: int) -> None:
        market = self.market
        opening = at_ms == self.hours.opening_match_ms
        move = self._rng.uniform(-0.006, 0.006) if opening else self._rng.uniform(-0.0008, 0.0008)
        market.set_price(market.fair * (1 + move))
        quantity = (400 + self._rng.randrange(900)) * self.instrument.typical_order * (1 if opening else 4)
        # The exchange's first minute of trading holds the opening auction.
        market.auction(at_ms, quantity, "auction", minute_ms=self.hours.open_ms if opening else None)
        self._closing_price = market.last_price

    def _trade_post_close(self, seen_ms: int) -> None:
        if seen_ms - self._last_post_close_ms > 30_000 and seen_ms < self.end_ms:
            self._last_post_close_ms = seen_ms
            self.market.auction(seen_ms, 1 + self._rng.randrange(40), "post_close", self._closing_price or self.market.last_price)

    def _in_auction(self, at_ms: int) -> bool:
        hours = self.hours
        before_open = hours.opening_match_ms is not None and at_ms < hours.opening_match_ms
        before_close = hours.closing_match_ms is not None and hours.close_ms + 5 * MINUTE_MS <= at_ms < hours.closing_match_ms
        return before_open or before_close

    def _show(self, at_ms: int, seen_ms: int) -> None:
        market, full = self.market, self._full
        tick = market.tick
        ltpc = full.ltpc
        ltpc.ltp = round(market.last_price * tick, 2)
        ltpc.ltt = market.last_time_ms
        ltpc.ltq = market.last_quantity
        auction = self._in_auction(seen_ms)
        if auction:
            bids, asks = self._crossed_book()
            self._indicative += 1 + self._rng.randrange(40 * self.instrument.typical_order)
            full.iep = round(round(market.fair) * tick, 2)
            full.ieq = self._indicative
            ltpc.iep.value = full.iep
        else:
            bids, asks = market.bids.top(5), market.asks.top(5)
            if self._indicative:
                self._indicative = 0
                full.ClearField("iep")
                full.ClearField("ieq")
                full.ClearField("iiqTotal")
                ltpc.ClearField("iep")
        feed_message.set_depth(full, bids, asks, 5, tick)
        if auction:
            last = full.marketLevel.bidAskQuote.add() if len(bids) < 5 else full.marketLevel.bidAskQuote[4]
            last.bidQ, last.askQ = self._indicative * 2, self._indicative
            # Every bid stands above every ask, so that what does not match is the difference of the two sides.
            full.iiqTotal = sum(quote.bidQ - quote.askQ for quote in full.marketLevel.bidAskQuote)
        full.tbq, full.tsq = float(market.total_bid_quantity), float(market.total_ask_quantity)
        if self._future:
            full.oi = float(900 * self.instrument.typical_order * self.instrument.lot_size + market.volume // 5)
        day, minute = full.marketOHLC.ohlc
        if auction and market.volume == 0:
            close = ltpc.ltp
            feed_message.set_bar(day, "1d", (self._day_start_ms, close, close, close, close, self._indicative))
            full.vtt = self._indicative
        else:
            day_range = (market.day_open, market.day_high, market.day_low) if market.day_open else (market.last_price,) * 3
            prices = (*day_range, market.last_price)
            opened, high, low, closed = (round(price * tick, 2) for price in prices)
            feed_message.set_bar(day, "1d", (self._day_start_ms, opened, high, low, closed, self._shown_volume))
            full.vtt = market.volume
            full.atp = self._shown_average
        self._shown_volume = market.volume
        self._shown_average = round(market.turnover / market.volume * tick, 2) if market.volume else 0.0
        newest = self._ticker.newest(market.bars, at_ms)
        if newest is not None and newest[0] != minute.ts:
            feed_message.set_bar(minute, "I1", newest)

    def _crossed_book(self) -> tuple[list[Fill], list[Fill]]:
        """Four priced levels whose bids stand above the asks, as in the order-entry period of a call auction."""
        rng, fair, size = self._rng, round(self.market.fair), self.instrument.typical_order
        step = max(1, fair // 500)
        bids = [(fair + step * (4 - level), size * rng.randrange(1, 60)) for level in range(4)]
        asks = [(max(1, fair - step * (4 - level)), size * rng.randrange(1, 60)) for level in range(4)]
        return bids, asks


class IndexListing:
    """An index: weighted from the stocks of the model, or from stocks of its own when there are none; no book, no volume."""

    def __init__(self, instrument: Instrument, plan: SessionPlan, seed: int, rate: float, stocks: Sequence[StockListing]) -> None:
        self.instrument = instrument
        self._own = [] if stocks else [StockListing(stock, plan, seed, rate, None) for stock in DEMO[:5]]
        self.hours = hours = plan.hours(instrument)
        self.end_ms = hours.end_ms
        self._day_start_ms = plan.day_start_ms
        weighted = [(stock, stock.instrument.weight or 0.2) for stock in stocks or self._own]
        total = sum(weight for _, weight in weighted) or 1.0
        self._parts = [(stock.market, weight / total / max(stock.market.anchor, 1.0)) for stock, weight in weighted]
        self._base = instrument.start_paise / 100
        self._ticker = _BarTicker(instrument.key)
        self._feed = pb.Feed(requestMode=pb.full_d5)
        self._full = self._feed.fullFeed.indexFF
        self._full.ltpc.cp = self._base
        self._day: tuple[float, float, float] | None = None
        self._minute: tuple[float, float, float] | None = None
        self._minute_end_ms = 0
        self._value = self._base
        self._bars: list[Candle] = []
        self._full.marketOHLC.ohlc.add()
        self._full.marketOHLC.ohlc.add()
        if plan.opened:
            starts = range(hours.open_ms, plan.start_ms - plan.start_ms % MINUTE_MS, MINUTE_MS)
            rng = random.Random(f"{seed}:{instrument.key}")
            self._bars = bars.walk_back(rng, instrument, instrument.start_paise, starts)
            self._full.ltpc.cp = round(round(self._base * (1 + rng.uniform(-0.008, 0.008)) / 0.05) * 0.05, 2)
        if self._bars:
            highest, lowest = max(bar[2] for bar in self._bars), min(bar[3] for bar in self._bars)
            self._day = (self._bars[0][1], highest, lowest)
        self._full.ltpc.ltp, self._full.ltpc.ltt = self._base, hours.open_ms - _OVERNIGHT_MS
        self.update(plan.start_ms, 0)

    def is_trading(self, at_ms: int) -> bool:
        """Return whether the cash market trades."""
        return self.hours.open_ms <= at_ms < self.hours.close_ms + 3000

    def new_day(self, midnight_ms: int) -> None:
        """Begin another trading date."""
        for stock in self._own:
            stock.new_day(midnight_ms)
        self._end_minute(midnight_ms)
        self._bars, self._day, self._day_start_ms = [], None, midnight_ms
        self._ticker.restart()
        self._full.ltpc.cp = self._value

    def update(self, at_ms: int, lag_ms: int) -> None:
        """Compute the index from the stocks' last prices."""
        for stock in self._own:
            stock.update(at_ms, lag_ms)
        seen_ms = at_ms - lag_ms
        if self.is_trading(at_ms) and seen_ms >= self.hours.open_ms:
            if seen_ms >= self._minute_end_ms:
                self._end_minute(seen_ms)
            self._set_value(seen_ms - seen_ms % 1000)
        elif self._minute is not None and seen_ms >= self._minute_end_ms:
            self._end_minute(seen_ms)
        day, minute = self._full.marketOHLC.ohlc
        if self._day is not None:
            feed_message.set_bar(day, "1d", (self._day_start_ms, *self._day, self._value, 0))
        newest = self._ticker.newest(self._bars, at_ms)
        if newest is not None:
            feed_message.set_bar(minute, "I1", newest)

    def entry(self, mode: str) -> bytes:
        """Return the shown state as a `feeds` entry in the given mode."""
        return feed_message.entry(self.instrument.key, feed_message.in_mode(self._feed, mode))

    def bars(self) -> Sequence[Candle]:
        """Return today's completed minutes."""
        return self._bars

    def previous_close_paise(self) -> int:
        """Return the previous day's close."""
        return round(float(self._full.ltpc.cp) * 100)

    def _set_value(self, time_ms: int) -> None:
        if self._parts:
            self._value = round(self._base * sum(market.last_price * factor for market, factor in self._parts), 2)
        value = self._value
        self._full.ltpc.ltp, self._full.ltpc.ltt = value, time_ms
        opened, high, low = self._day or (value, value, value)
        self._day = (opened, max(high, value), min(low, value))
        opened, high, low = self._minute or (value, value, value)
        self._minute = (opened, max(high, value), min(low, value))

    def _end_minute(self, at_ms: int) -> None:
        if self._minute is not None:
            self._bars.append((self._minute_end_ms - MINUTE_MS, *self._minute, self._value, 0))
            self._minute = None
        self._minute_end_ms = at_ms - at_ms % MINUTE_MS + MINUTE_MS
