"""The minute candles of `orderflow.processing.minutes` in plain Python: what Spark computes, without Spark."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from orderflow.market.aggressor import split
from orderflow.market.tick import MINUTE_MS, Bar, Tick

OWN, EARLIER, LATER = range(3)


class Trade(NamedTuple):
    """One tick as it concerns one minute; it occupies (low, high] of the vtt axis."""

    event_time_ms: int
    sequence: int
    price: float
    low: int
    high: int
    buy: int
    sell: int
    role: int
    spans: bool
    back: bool
    floor: int | None
    gap: bool


@dataclass
class Minute:
    """What has come for one minute."""

    trades: list[Trade] = field(default_factory=list)
    bars: list[tuple[bool, bool, Bar]] = field(default_factory=list)
    left: int | None = None
    right: int | None = None


class Candle(NamedTuple):
    """What of a candle the twin computes."""

    open: float
    high: float
    low: float
    close: float
    total_volume: int
    tick_volume: int
    buy_volume: int
    sell_volume: int
    exchange_bar: bool
    gap: bool


def candles(ticks: Iterable[Tick], *, live: bool = True, watermark_ms: int = 120_000) -> dict[int, Candle]:
    """Return one instrument's candles by start. Live, rows whose minute the watermark has closed are dropped, taking the feed's
    clock at the tick before as the greatest event time so far."""
    minutes: dict[int, Minute] = defaultdict(Minute)
    clock_ms = 0
    for tick in ticks:
        closed_ms = clock_ms - watermark_ms if live else 0

        def minute(at_ms: int, closed_ms: int = closed_ms) -> Minute:
            return minutes[at_ms] if at_ms + MINUTE_MS > closed_ms else Minute()

        _add(tick, minute, live)
        clock_ms = max(clock_ms, tick.feed_time_ms, tick.event_time_ms)
    found = {at_ms: _candle(each) for at_ms, each in sorted(minutes.items())}
    return {at_ms: candle for at_ms, candle in found.items() if candle is not None}


def _add(tick: Tick, minute: object, live: bool) -> None:
    assert callable(minute)
    own_ms, reach_ms = _floor(tick.event_time_ms), (3 if live else 400) * MINUTE_MS
    volume = tick.traded_volume or 0
    if tick.ltp is None or not volume:
        volume = 0
    bar = tick.bar if tick.bar is not None and not (live and tick.bar.late) else None
    prev_ms = own_ms if tick.prev_ltt_ms is None else _floor(tick.prev_ltt_ms)
    from_ms = max(prev_ms, _floor(tick.session_start_ms))
    last_ms = max(prev_ms, _floor(tick.feed_time_ms))
    spans, back = bool(volume) and from_ms < own_ms, bool(volume) and last_ms > own_ms
    places = [(own_ms, OWN)]
    if spans:
        places += [(at, EARLIER) for at in range(max(from_ms, own_ms - reach_ms), own_ms, MINUTE_MS)]
    if back:
        places += [(at, LATER) for at in range(own_ms + MINUTE_MS, min(last_ms, own_ms + reach_ms) + 1, MINUTE_MS)]
    for at_ms, role in places:
        counts = tick.session_phase == "continuous" and bool(volume) if role == OWN else at_ms < tick.session_end_ms
        if counts and tick.ltp is not None and tick.vtt is not None:
            floor = bar.close_vtt if bar is not None and at_ms > bar.start_ms else None
            buy, sell = _sides(tick)
            low, high = tick.vtt - volume, tick.vtt
            minute(at_ms).trades.append(
                Trade(tick.event_time_ms, tick.sequence, tick.ltp, low, high, buy, sell, role, spans, back, floor, bool(tick.gap))
            )
    if bar is not None:
        open_vtt = bar.open_vtt
        if not live:
            open_vtt = None if bar.close_vtt is None or bar.volume is None else bar.close_vtt - bar.volume
        minute(bar.start_ms).bars.append((bar.close_vtt is not None, open_vtt is not None, bar))
        after, before = minute(bar.end_ms), minute(bar.start_ms - MINUTE_MS)
        after.left = _greatest(after.left, bar.close_vtt)
        before.right = _greatest(before.right, open_vtt)


def _candle(minute: Minute) -> Candle | None:
    anchored, opens, bar = max(minute.bars, key=lambda each: each[:2], default=(False, False, None))
    left, right = minute.left, minute.right
    if anchored and bar is not None and bar.close_vtt is not None and bar.volume is not None:
        left, right = (bar.close_vtt - bar.volume if opens or left is not None else None), bar.close_vtt
    pieces = [(trade, *_cut(trade, left, right)) for trade in minute.trades]
    pieces = sorted(piece for piece in pieces if piece[0].role == OWN or piece[2] > piece[1])
    seen = sum(high - low for _, low, high in pieces)
    exchange = bar is not None and (bar.volume is None or (anchored and seen <= bar.volume))
    total = bar.volume or 0 if exchange and bar is not None else seen
    own = [piece for piece in pieces if piece[0].role == OWN]
    if not own and not total and not exchange:
        return None
    prices = [trade.price for trade, _, _ in own or pieces]
    shown = (prices[0], max(prices), min(prices), prices[-1]) if bar is None else (bar.open, bar.high, bar.low, bar.close)
    buy = sum(_share(trade, trade.buy, high) - _share(trade, trade.buy, low) for trade, low, high in pieces)
    sell = sum(_sell(trade, low, high) for trade, low, high in pieces)
    gap = any(trade.gap for trade, _, _ in pieces) or total > seen
    return Candle(*shown, total, sum(trade.high - trade.low for trade, _, _ in own), buy, sell, exchange, gap)


def _cut(trade: Trade, left: int | None, right: int | None) -> tuple[int, int]:
    low, high = trade.low, trade.high
    if trade.role == LATER:
        low = high if left is None else max(low, left)
    elif trade.spans:
        low = max(low, *(edge for edge in (trade.floor, left) if edge is not None), low)
    if trade.role == EARLIER and right is None:
        high = trade.low
    elif (trade.role == EARLIER or trade.back) and right is not None:
        high = min(high, right)
    return low, max(low, high)


def _share(trade: Trade, part: int, upto: int) -> int:
    return part * (upto - trade.low) // max(trade.high - trade.low, 1)


def _sell(trade: Trade, low: int, high: int) -> int:
    buy = _share(trade, trade.buy, high) - _share(trade, trade.buy, low)
    if trade.buy + trade.sell == trade.high - trade.low:
        return high - low - buy
    return min(_share(trade, trade.sell, high) - _share(trade, trade.sell, low), high - low - buy)


def _sides(tick: Tick) -> tuple[int, int]:
    split_volume = split(
        "lee_ready",
        volume=tick.traded_volume,
        ltp=tick.ltp,
        ltq=tick.ltq,
        prev_bid=tick.prev_bid,
        prev_ask=tick.prev_ask,
        tick_direction=tick.tick_direction,
        feed_time_ms=tick.feed_time_ms,
        prev_feed_time_ms=tick.prev_feed_time_ms,
        ltt_ms=tick.ltt_ms,
        prev_ltt_ms=tick.prev_ltt_ms,
        gap=tick.gap,
        auction=tick.auction,
    )
    return split_volume[0], split_volume[1]


def _floor(at_ms: int) -> int:
    return at_ms - at_ms % MINUTE_MS


def _greatest(one: int | None, other: int | None) -> int | None:
    return other if one is None else one if other is None else max(one, other)
