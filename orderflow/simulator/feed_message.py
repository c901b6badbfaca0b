"""Protobuf of the V3 feed: build an instrument's state, reduce it to a mode, frame messages."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from upstox_client.feeder.proto import MarketDataFeedV3_pb2 as pb

from orderflow.simulator import session_plan
from orderflow.simulator.order_book import Fill
from orderflow.simulator.source import Candle

REQUEST_MODE: Final = {"ltpc": pb.ltpc, "full": pb.full_d5, "option_greeks": pb.option_greeks, "full_d30": pb.full_d30}
_LIVE: Final = pb.FeedResponse(type=pb.live_feed).SerializeToString()


def entry(key: str, feed: Any) -> bytes:
    """Serialize one `feeds` entry; entries concatenate to a message, since protobuf merges repeated map fields."""
    response = pb.FeedResponse()
    response.feeds[key].CopyFrom(feed)
    return bytes(response.SerializeToString())


def frame(entries: Iterable[bytes], feed_time_ms: int, *, snapshot: bool = False) -> bytes:
    """Join entries to one message: the snapshot (type initial_feed, which the wire omits) or a live_feed message."""
    tail = pb.FeedResponse(currentTs=feed_time_ms).SerializeToString()
    return (b"" if snapshot else _LIVE) + b"".join(entries) + bytes(tail)


def market_info(
    feed_time_ms: int,
    segments: Mapping[str, str],
    closing_auction: tuple[str, int] | None = None,
    pre_open: tuple[str, int] | None = None,
) -> bytes:
    """Serialize a `market_info` message; the closing auction's and pre-open's status belong to NSE_EQ, with their times."""
    response = pb.FeedResponse(type=pb.market_info, currentTs=feed_time_ms)
    for segment, status in segments.items():
        response.marketInfo.segmentStatus[segment] = pb.MarketStatus.Value(status)
    for statuses, value in (
        (response.marketInfo.casMarketStatus, closing_auction),
        (response.marketInfo.preOpenSessionStatus, pre_open),
    ):
        if value is not None:
            statuses["NSE_EQ"].status = value[0]
            statuses["NSE_EQ"].updatedTime = value[1]
    return bytes(response.SerializeToString())


def greeting(feed_time_ms: int, segments: Mapping[str, str], now: bytes, *, insists: bool) -> list[bytes]:
    """Return what a new connection receives: `now`, after a close of all where the streamer would doubt a mere NORMAL_OPEN."""
    if insists and session_plan.is_before_real_open(feed_time_ms):
        closed = {s: "NORMAL_CLOSE" if status == "NORMAL_OPEN" else status for s, status in segments.items()}
        return [market_info(feed_time_ms, closed), now]
    return [now]


def in_mode(feed: Any, mode: str) -> Any:
    """Reduce a full feed to what `mode` shows; a feed that has less than the mode asks for is returned as it is."""
    if mode in ("full", "full_d30") or not feed.HasField("fullFeed"):
        return feed
    full = feed.fullFeed
    index = full.HasField("indexFF")
    inner = full.indexFF if index else full.marketFF
    reduced = pb.Feed(requestMode=REQUEST_MODE[mode])
    if mode == "ltpc" or index:
        reduced.ltpc.CopyFrom(inner.ltpc)
        return reduced
    first = reduced.firstLevelWithGreeks
    first.ltpc.CopyFrom(inner.ltpc)
    if inner.marketLevel.bidAskQuote:
        first.firstDepth.CopyFrom(inner.marketLevel.bidAskQuote[0])
    first.optionGreeks.CopyFrom(inner.optionGreeks)
    first.vtt, first.oi, first.iv = inner.vtt, inner.oi, inner.iv
    return reduced


def set_depth(market: Any, bids: list[Fill], asks: list[Fill], levels: int, tick: float) -> None:
    """Write up to `levels` levels into a MarketFullFeed, best first; missing levels are left out."""
    quotes = market.marketLevel.bidAskQuote
    wanted = min(levels, max(len(bids), len(asks)))
    while len(quotes) < wanted:
        quotes.add()
    if len(quotes) > wanted:
        del quotes[wanted:]
    for quote, (price, quantity) in zip(quotes, bids, strict=False):
        quote.bidP = round(price * tick, 2)
        quote.bidQ = quantity
    for quote, (price, quantity) in zip(quotes, asks, strict=False):
        quote.askP = round(price * tick, 2)
        quote.askQ = quantity


def set_bar(bar: Any, interval: str, candle: Candle) -> None:
    """Write a candle into an OHLC message; a volume of zero stays absent, as for an index."""
    bar.interval = interval
    bar.ts, bar.open, bar.high, bar.low, bar.close, bar.vol = candle
