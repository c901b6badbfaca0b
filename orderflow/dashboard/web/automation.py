"""The HTTP endpoints for automation: instruments, stored dates, candles, trades and footprints as records."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from msgspec import to_builtins

from orderflow.dashboard.state.row import Row, levels_of
from orderflow.dashboard.state.store import Store
from orderflow.dashboard.views.days import Days
from orderflow.market.price_unit import from_finest
from orderflow.market.records import FootprintLevel


def add(server: FastAPI, days: Days) -> None:
    """Register the routes on `server`; what concerns a past day raises OrderflowError when it cannot be had."""
    store = days.store

    @server.get("/api/instruments")
    def instruments() -> list[dict[str, Any]]:
        with store.lock:
            return [{**listing, "date": _date(store, listing["key"])} for listing in days.listing()]

    @server.get("/api/dates")
    def dates() -> list[str]:
        return days.stored_dates()

    @server.get("/api/candles")
    def candles(instrument: str = "", n: int = 1, date: str = "") -> list[dict[str, Any]]:
        rows = _rows(days, instrument, n, date)
        return [{**row.candle.to_record(), "forming": not row.final, "cvd": row.cvd, "day_vwap": row.vwap} for row in rows]

    @server.get("/api/trades")
    def trades(instrument: str = "", limit: int = 400) -> list[dict[str, Any]]:
        with store.lock:
            held = store.instrument(instrument or days.default_instrument())
            entries = held.tape.newest(limit=max(limit, 1)) if held is not None else []
        return [{**trade.to_record(), "big": big} for _, trade, big in reversed(entries)]

    @server.get("/api/footprint")
    def footprint(instrument: str = "", n: int = 1, date: str = "") -> list[dict[str, Any]]:
        rows = _rows(days, instrument, n, date)
        with store.lock:
            return [level for row in rows for level in _levels(row)]


def _levels(row: Row) -> list[dict[str, Any]]:
    """Return a candle's levels as records of `upstox_footprint`."""
    candle, levels = row.candle, levels_of(row)
    edges = *candle.window(), candle.instrument
    divisor, unit = from_finest(candle.instrument, [level.price for level in levels])
    return [
        to_builtins(FootprintLevel(*edges, level.price // divisor, level.buy, level.sell, level.unclassified, price_unit=unit))
        for level in levels
    ]


def _rows(days: Days, key: str, n: int, date: str) -> list[Row]:
    key = key or days.default_instrument()
    source = days.store_of(key, date)
    with source.lock:
        instrument = source.instrument(key)
        return list(source.rollup(key, min(max(n, 1), 375)).rows(instrument)) if instrument is not None else []


def _date(store: Store, key: str) -> str | None:
    instrument = store.instrument(key)
    return instrument.date or None if instrument is not None else None
