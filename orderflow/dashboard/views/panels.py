"""The panels beside the chart, as plain values: statistics, depth, time and sales."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from orderflow.dashboard.state.day import coverage, day_figures
from orderflow.dashboard.state.instrument import Instrument
from orderflow.dashboard.state.row import Row
from orderflow.market.price_unit import decimals

DEPTH_LEVELS: Final = 5


def statistics(instrument: Instrument, rows: Sequence[Row]) -> dict[str, Any]:
    """Return the day's statistics and those of the last candle.

    Prices, VWAP and volume are the exchange's where it gives them; sides, delta and CVD are of the part in `coverage`.
    """
    quote = instrument.quote
    last = rows[-1] if rows else None
    price = instrument.last_price
    close = quote.get("close_price")
    buy, sell = (last.buy, last.sell) if last else (0, 0)
    day = day_figures(instrument, last)
    return {
        "last": price,
        "previous_close": close,
        "change": None if price is None or not close else round(price - close, 4),
        "change_percent": None if price is None or not close else round((price - close) / close * 100, 3),
        "open": day.open,
        "high": day.high,
        "low": day.low,
        "volume": day.volume,
        "seen_volume": last.volume if last else 0,
        "coverage": coverage(instrument, last),
        "buy": buy,
        "sell": sell,
        "unclassified": last.unclassified if last else 0,
        "ratio": round(buy / sell, 3) if sell else None,
        "delta": buy - sell,
        "cvd": last.cvd if last else 0,
        "vwap": None if day.vwap is None else round(day.vwap, decimals(instrument.key)),
        "tbq": quote.get("tbq", last.candle.tbq if last else None),
        "tsq": quote.get("tsq", last.candle.tsq if last else None),
        "oi": quote.get("oi"),
        "iv": quote.get("iv"),
        "candle": None if last is None else _candle(last),
        "confidence": next((row.candle.confidence for row in reversed(rows) if row.final), None),
        "updated_ms": instrument.last_trade_ms,
        "received_ms": instrument.last_received_ms,
        "late_volume": instrument.late_volume,
        "outside_volume": instrument.outside_volume,
        "date": instrument.date,
    }


def _candle(row: Row) -> dict[str, Any]:
    candle = row.candle
    return {
        "start_ms": candle.start_ms,
        "end_ms": candle.end_ms,
        "volume": candle.total_volume,
        "delta": candle.delta,
        "buy": candle.buy_volume,
        "sell": candle.sell_volume,
        "final": row.final,
    }


def depth(instrument: Instrument) -> dict[str, Any]:
    """Return the best levels of the book, [price, quantity] best first; a level without a price is left out."""

    def side(name: str) -> list[list[float]]:
        levels = [level for level in instrument.quote.get(name) or () if level]
        priced = [[level["price"], level.get("quantity") or 0] for level in levels if level.get("price") is not None]
        return priced[:DEPTH_LEVELS]

    return {"bid": side("bid"), "ask": side("ask"), "time_ms": instrument.quote.get("feed_time_ms")}


def tape(instrument: Instrument, after: int) -> list[list[Any]]:
    """Return the trades held that are numbered above `after`, newest first.

    Each is [number, time_ms, price, volume, buy, sell, side, big, gap].
    """
    return [
        [number, t.event_time_ms, t.price, t.volume, t.buy_volume, t.sell_volume, t.side, big, t.gap]
        for number, t, big in instrument.tape.newest(after)
    ]


def received_times(instrument: Instrument, after: int) -> list[int]:
    """Return when the streamer received each trade numbered above `after`, oldest first."""
    return [trade.received_time_ms for _, trade, _ in reversed(instrument.tape.newest(after))]
