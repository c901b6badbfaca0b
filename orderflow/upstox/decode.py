"""Decode the V3 feed's protobuf into `FeedUpdate`s: pure, straight from the message object, one bad field at a time.

A field that is absent on the wire reads as zero (proto3), so a zero price, time or quantity counts as absent, and so
does a level of the book with quantity 0. An impossible value (negative where the exchange has no such price, NaN,
absurdly large, more than a minute in the future) is left out and reported as a rejection. The rest of its update, and
every other instrument of the message, is kept.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from google.protobuf.message import DecodeError as ProtobufDecodeError
from upstox_client.feeder.proto import MarketDataFeedV3_pb2 as pb

from orderflow.market.conformity import MOST_VOLUME
from orderflow.market.errors import DecodeError
from orderflow.market.session import may_trade_below_zero
from orderflow.market.tick import SNAPSHOT, UPDATE, Bar, BookLevel, DayBar, FeedUpdate, Greeks
from orderflow.market.times import DAY_MS, IST_OFFSET_MS, MINUTE_MS

MARKET_INFO: Final = "market_info"
EMPTY: Final = "empty"
FUTURE_MS: Final = 60_000
"""A time this far above the receive time is impossible; if it were accepted, it would end every candle.

Spark's limit is the same (`orderflow.processing.schemas.tick_reason`), so that nothing is published that it would refuse.
"""

_MOST_PRICE: Final = 1e9
_MOST_QUANTITY: Final = 10**15
_EARLIEST_MS: Final = 946_684_800_000
_SNAPSHOT_TYPE: Final = pb.initial_feed
_STATUS_NAMES: Final = {value.number: value.name for value in pb.MarketStatus.DESCRIPTOR.values}


class AheadOfClockError(DecodeError):
    """A message is dated more than a minute ahead of the machine's clock; `is_status`: it is a status, which dates no tick."""

    REASON: Final = "future_feed_time"

    def __init__(self, feed_time_ms: int, ahead_ms: int, *, is_status: bool) -> None:
        text = f"currentTs is {ahead_ms // 1000} s ahead of this machine's clock; set the clock if it is behind"
        super().__init__(self.REASON, text)
        self.feed_time_ms = feed_time_ms
        self.is_status = is_status


class Rejection(NamedTuple):
    """An impossible value in a message: a short reason, the instrument, and the value in words."""

    reason: str
    instrument_key: str | None
    detail: str


@dataclass(frozen=True, slots=True)
class Decoded:
    """One feed message. `kind` is snapshot, update, market_info or empty; `segment_status` is the feed's announcement."""

    kind: str
    feed_time_ms: int
    updates: tuple[FeedUpdate, ...] = ()
    segment_status: dict[str, str] | None = None
    closing_auction_status: dict[str, str] | None = None
    rejections: tuple[Rejection, ...] = ()
    pre_open_status: dict[str, str] | None = None


def decode(payload: bytes | str, received_time_ms: int) -> Decoded:
    """Decode one WebSocket message received at `received_time_ms` (epoch milliseconds).

    Updates keep the message's order. Raises DecodeError (`text_frame`, `bad_protobuf`) when nothing of the message can be used,
    AheadOfClockError when it is of the future.
    """
    if isinstance(payload, str):
        raise DecodeError("text_frame", f"a text frame of {len(payload)} characters where protobuf was expected")
    try:
        message: Any = pb.FeedResponse.FromString(payload)
    except ProtobufDecodeError as error:
        raise DecodeError("bad_protobuf", f"{len(payload)} bytes are not a FeedResponse") from error
    feed_time_ms = message.currentTs
    rejections: list[Rejection] = []
    if feed_time_ms > received_time_ms + FUTURE_MS:
        raise AheadOfClockError(feed_time_ms, feed_time_ms - received_time_ms, is_status=not message.feeds)
    if feed_time_ms < _EARLIEST_MS:
        if feed_time_ms:
            rejections.append(Rejection("bad_feed_time", None, f"currentTs={feed_time_ms}"))
        feed_time_ms = received_time_ms
    status = closing = pre_open = None
    if message.HasField("marketInfo"):
        market = message.marketInfo
        status = {segment: _STATUS_NAMES.get(number, str(number)) for segment, number in market.segmentStatus.items()}
        closing = {segment: entry.status for segment, entry in market.casMarketStatus.items()} or None
        pre_open = {segment: entry.status for segment, entry in market.preOpenSessionStatus.items()} or None
    feeds = message.feeds
    if not feeds:
        kind = MARKET_INFO if status is not None or message.type == pb.market_info else EMPTY
        return Decoded(kind, feed_time_ms, (), status, closing, tuple(rejections), pre_open)
    kind = SNAPSHOT if message.type == _SNAPSHOT_TYPE else UPDATE
    updates: list[FeedUpdate] = []
    for key in sorted(feeds):  # protobuf iterates a map in a different order in every process
        update = _FeedReader(key, kind, feed_time_ms, received_time_ms, rejections).update(feeds[key])
        if update is not None:
            updates.append(update)
    return Decoded(kind, feed_time_ms, tuple(updates), status, closing, tuple(rejections), pre_open)


class _FeedReader:
    """Reads one instrument's feed; impossible values go to `rejections`."""

    __slots__ = ("feed_time_ms", "key", "kind", "latest_ms", "least_price", "received_time_ms", "rejections")

    def __init__(self, key: str, kind: str, feed_time_ms: int, received_time_ms: int, rejections: list[Rejection]) -> None:
        self.key = key
        self.kind = kind
        self.feed_time_ms = feed_time_ms
        self.received_time_ms = received_time_ms
        self.latest_ms = min(feed_time_ms, received_time_ms) + FUTURE_MS
        self.least_price = -_MOST_PRICE if may_trade_below_zero(key) else 0.0
        self.rejections = rejections

    def update(self, feed: Any) -> FeedUpdate | None:
        union = feed.WhichOneof("FeedUnion")
        if union == "fullFeed":
            full = feed.fullFeed
            union = full.WhichOneof("FullFeedUnion")
            if union == "marketFF":
                return self._market(full.marketFF)
            if union == "indexFF":
                return self._index(full.indexFF)
        elif union == "ltpc":
            return self._plain(feed.ltpc)
        elif union == "firstLevelWithGreeks":
            return self._first_level(feed.firstLevelWithGreeks)
        self._reject("empty_feed", "no feed of a known kind")
        return None

    def _market(self, market: Any) -> FeedUpdate:
        has_ltpc = market.HasField("ltpc")
        ltp, ltt_ms, ltq, close_price = self._last_trade(market.ltpc) if has_ltpc else (None, None, None, None)
        bid, ask = self._book(market.marketLevel.bidAskQuote)
        minute_bar, day_bar = (
            self._bars(market.marketOHLC.ohlc, with_volume=True) if market.HasField("marketOHLC") else (None, None)
        )
        indicative_price, indicative_quantity, indicative_imbalance = self._auction(market)
        return FeedUpdate(
            self.key,
            self.kind,
            self.feed_time_ms,
            self.received_time_ms,
            ltp=ltp,
            ltt_ms=ltt_ms,
            ltq=ltq,
            close_price=close_price,
            vtt=self._volume_traded(market.vtt, ltt_ms, has_ltpc),
            atp=self._price(market.atp, "atp"),
            oi=self._amount(market.oi, "oi"),
            iv=self._amount(market.iv, "iv"),
            tbq=self._total(market.tbq, "tbq"),
            tsq=self._total(market.tsq, "tsq"),
            bid=bid,
            ask=ask,
            greeks=self._greeks(market.optionGreeks) if market.HasField("optionGreeks") else None,
            minute_bar=minute_bar,
            day_bar=day_bar,
            indicative_price=indicative_price,
            indicative_quantity=indicative_quantity,
            indicative_imbalance=indicative_imbalance,
            closes_by_auction=market.casEligible,
        )

    def _index(self, index: Any) -> FeedUpdate:
        ltp, ltt_ms, _, close_price = self._last_trade(index.ltpc)
        minute_bar, day_bar = self._bars(index.marketOHLC.ohlc, with_volume=False)
        return FeedUpdate(
            self.key,
            self.kind,
            self.feed_time_ms,
            self.received_time_ms,
            ltp=ltp,
            ltt_ms=ltt_ms,
            close_price=close_price,
            minute_bar=minute_bar,
            day_bar=day_bar,
            indicative_price=self._indicative_price(index.ltpc),
        )

    def _plain(self, ltpc: Any) -> FeedUpdate:
        ltp, ltt_ms, ltq, close_price = self._last_trade(ltpc)
        return FeedUpdate(
            self.key,
            self.kind,
            self.feed_time_ms,
            self.received_time_ms,
            ltp=ltp,
            ltt_ms=ltt_ms,
            ltq=ltq,
            close_price=close_price,
            indicative_price=self._indicative_price(ltpc),
        )

    def _first_level(self, first: Any) -> FeedUpdate:
        has_ltpc = first.HasField("ltpc")
        ltp, ltt_ms, ltq, close_price = self._last_trade(first.ltpc)
        bid, ask = self._book((first.firstDepth,)) if first.HasField("firstDepth") else ((), ())
        return FeedUpdate(
            self.key,
            self.kind,
            self.feed_time_ms,
            self.received_time_ms,
            ltp=ltp,
            ltt_ms=ltt_ms,
            ltq=ltq,
            close_price=close_price,
            vtt=self._volume_traded(first.vtt, ltt_ms, has_ltpc),
            oi=self._amount(first.oi, "oi"),
            iv=self._amount(first.iv, "iv"),
            bid=bid,
            ask=ask,
            greeks=self._greeks(first.optionGreeks) if first.HasField("optionGreeks") else None,
            indicative_price=self._indicative_price(first.ltpc),
        )

    def _auction(self, market: Any) -> tuple[float | None, int | None, int | None]:
        """Return indicative price, quantity and imbalance, which the feed gives only while an auction runs.

        Upstox does not document which side a positive imbalance means: its sign is kept as received.
        """
        price, quantity, imbalance = market.iep, market.ieq, market.iiqTotal
        indicative_price = self._price(price, "iep") if price else self._indicative_price(market.ltpc)
        if not (quantity or imbalance):
            return indicative_price, None, None
        if not 0 <= quantity <= MOST_VOLUME:
            self._reject("bad_quantity", f"ieq={quantity}")
            quantity = 0
        if not -MOST_VOLUME <= imbalance <= MOST_VOLUME:
            self._reject("bad_quantity", f"iiqTotal={imbalance}")
            imbalance = 0
        return indicative_price, quantity or None, imbalance or None

    def _indicative_price(self, ltpc: Any) -> float | None:
        """Return the indicative price that accompanies a last price, in modes that give no other field of an auction."""
        return self._price(ltpc.iep.value, "ltpc.iep") if ltpc.HasField("iep") else None

    def _last_trade(self, ltpc: Any) -> tuple[float | None, int | None, int | None, float | None]:
        ltt_ms: int | None = ltpc.ltt or None
        if ltt_ms is not None and not _EARLIEST_MS <= ltt_ms <= self.latest_ms:
            self._reject("bad_time", f"ltt={ltt_ms}")
            ltt_ms = None
        return self._price(ltpc.ltp, "ltp"), ltt_ms, self._quantity(ltpc.ltq, "ltq"), self._price(ltpc.cp, "cp")

    def _volume_traded(self, vtt: int, ltt_ms: int | None, has_ltpc: bool) -> int | None:
        """Return vtt. Zero means no trade today if the last trade is not of today; otherwise it means that vtt is absent."""
        if vtt == 0:
            if not has_ltpc:
                return None
            return None if ltt_ms is not None and _ist_day(ltt_ms) == _ist_day(self.feed_time_ms) else 0
        return self._quantity(vtt, "vtt")

    def _book(self, quotes: Iterable[Any]) -> tuple[tuple[BookLevel, ...], tuple[BookLevel, ...]]:
        bid: list[BookLevel] = []
        ask: list[BookLevel] = []
        least = self.least_price
        for quote in quotes:
            price, quantity = quote.bidP, quote.bidQ
            if least < price < _MOST_PRICE and price and 0 < quantity < _MOST_QUANTITY:
                bid.append(BookLevel(price, quantity))
            elif price or quantity:
                self._odd_level(bid, price, quantity, "bid")
            price, quantity = quote.askP, quote.askQ
            if least < price < _MOST_PRICE and price and 0 < quantity < _MOST_QUANTITY:
                ask.append(BookLevel(price, quantity))
            elif price or quantity:
                self._odd_level(ask, price, quantity, "ask")
        return tuple(bid), tuple(ask)

    def _odd_level(self, side: list[BookLevel], price: float, quantity: int, name: str) -> None:
        if price == 0.0 and 0 < quantity < _MOST_QUANTITY:
            side.append(BookLevel(None, quantity))
        elif quantity or not self._is_price(price):
            self._reject("bad_level", f"{name} {quantity} at {price}")

    def _bars(self, bars: Iterable[Any], *, with_volume: bool) -> tuple[Bar | None, DayBar | None]:
        minute_bar: Bar | None = None
        day_bar: DayBar | None = None
        for bar in bars:
            interval = bar.interval
            if not interval or not bar.ts:
                continue
            prices = (bar.open, bar.high, bar.low, bar.close)
            volume = bar.vol if with_volume else None
            if interval == "I1":
                # A message may also hold the running minute's bar, whose values still change.
                if bar.ts + MINUTE_MS <= self.feed_time_ms or bar.ts > self.latest_ms:
                    finished = self._minute_bar(bar.ts, prices, volume)
                    if finished is not None and (minute_bar is None or finished.start_ms > minute_bar.start_ms):
                        minute_bar = finished
            elif interval == "1d" and all([self.least_price < price < _MOST_PRICE and price for price in prices]):
                day_bar = DayBar(*prices, volume)
        return minute_bar, day_bar

    def _minute_bar(self, start_ms: int, prices: tuple[float, float, float, float], volume: int | None) -> Bar | None:
        opened, high, low, close = prices
        sound = self.least_price < low <= opened <= high < _MOST_PRICE and low <= close <= high and all(prices)
        in_time = start_ms % MINUTE_MS == 0 and _EARLIEST_MS <= start_ms <= self.latest_ms
        if sound and in_time and (volume is None or 0 <= volume < _MOST_QUANTITY):
            return Bar(start_ms, opened, high, low, close, volume)
        if any(prices):
            self._reject("bad_bar", f"I1 at {start_ms}: {opened} {high} {low} {close} volume {volume}")
        return None

    def _greeks(self, greeks: Any) -> Greeks | None:
        values = (greeks.delta, greeks.theta, greeks.gamma, greeks.vega, greeks.rho)
        if not any(values):
            return None
        if all(-_MOST_PRICE < value < _MOST_PRICE for value in values):
            return Greeks(*values)
        self._reject("bad_greeks", repr(values))
        return None

    def _price(self, price: float, name: str) -> float | None:
        if self.least_price < price < _MOST_PRICE and price:
            return price
        if price != 0.0:
            self._reject("bad_price", f"{name}={price}")
        return None

    def _is_price(self, price: float) -> bool:
        return self.least_price < price < _MOST_PRICE and price != 0.0

    def _amount(self, amount: float, name: str) -> float | None:
        if 0.0 < amount < _MOST_QUANTITY:
            return amount
        if amount != 0.0:
            self._reject("bad_amount", f"{name}={amount}")
        return None

    def _quantity(self, quantity: int, name: str) -> int | None:
        if 0 < quantity < _MOST_QUANTITY:
            return quantity
        if quantity:
            self._reject("bad_quantity", f"{name}={quantity}")
        return None

    def _total(self, total: float, name: str) -> int | None:
        if 0.0 < total < _MOST_QUANTITY:
            return round(total)
        if total != 0.0:
            self._reject("bad_quantity", f"{name}={total}")
        return None

    def _reject(self, reason: str, detail: str) -> None:
        self.rejections.append(Rejection(reason, self.key, detail))


def _ist_day(at_ms: int) -> int:
    return (at_ms + IST_OFFSET_MS) // DAY_MS
