"""Ticks written by hand: each trade is a clear buy or sell, at a second counted from the open."""

from __future__ import annotations

from typing import Any

from orderflow.market.tick import Bar, Tick

OPEN = 1_765_770_300_000  # 2025-12-15 09:15:00 IST
CLOSE = OPEN + 375 * 60_000
KEY = "NSE_EQ|INE467B01029"


def trade_tick(
    second: float,
    price: float,
    volume: int,
    vtt: int,
    *,
    since: float,
    side: str = "buy",
    sequence: int | None = None,
    **more: Any,
) -> Tick:
    """A tick `second` seconds after the open whose trade is a clear buy or sell; `since` is the time of the trade before."""
    at = OPEN + round(second * 1000)
    quote = (price - 0.1, price) if side == "buy" else (price, price + 0.1)
    values: dict[str, Any] = {
        "schema_version": 1,
        "instrument_key": KEY,
        "kind": "update",
        "sequence": sequence if sequence is not None else round(second * 1000),
        "feed_time_ms": at + 300,
        "received_time_ms": at + 350,
        "event_time_ms": at,
        "trading_date": "2025-12-15",
        "ltp": price,
        "ltt_ms": at,
        "ltq": 1,
        "vtt": vtt,
        "tbq": 1_000 + round(second),
        "tsq": 2_000,
        "session_phase": "continuous",
        "session_start_ms": OPEN,
        "session_end_ms": CLOSE,
        "traded_volume": volume,
        "prev_bid": quote[0],
        "prev_ask": quote[1],
        "prev_feed_time_ms": OPEN + round(since * 1000) + 300,
        "prev_ltt_ms": OPEN + round(since * 1000),
        "tick_direction": 1,
    }
    return Tick(**{**values, **more})


def bar_of(number: int, volume: int | None, *, low: float = 99.0, high: float = 101.0) -> Bar:
    """Return the exchange's bar of a minute, counted from the open."""
    return Bar(OPEN + number * 60_000, 100.0, high, low, 100.0, volume)


def quiet_tick(second: float, vtt: int, *, last_trade: float, **more: Any) -> Tick:
    """A tick without a trade: the book, or a bar."""
    at = OPEN + round(second * 1000)
    values = {"feed_time_ms": at, "event_time_ms": at, "ltt_ms": OPEN + round(last_trade * 1000), **more}
    return trade_tick(second, 99.9, 0, vtt, since=last_trade, **values)
