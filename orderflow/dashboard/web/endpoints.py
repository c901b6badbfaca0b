"""The HTTP endpoints for automation and monitoring, and the viewers' WebSocket route."""

from __future__ import annotations

from collections import deque
from typing import Any, Final

import orjson
from fastapi import Depends, FastAPI, Request, Response, WebSocket
from fastapi.responses import JSONResponse
from msgspec import to_builtins
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, generate_latest

from orderflow.dashboard.state.rollup import Rollup, Row, levels_of
from orderflow.dashboard.state.store import Store
from orderflow.dashboard.views import older
from orderflow.dashboard.views.viewer import View, Viewer
from orderflow.dashboard.web.hub import Hub
from orderflow.dashboard.web.login import is_stranger, visitor_of
from orderflow.dashboard.web.sessions import may_operate
from orderflow.market.errors import OrderflowError
from orderflow.market.price_unit import from_finest
from orderflow.market.records import FootprintLevel
from orderflow.market.times import iso_from_ms

POLLS_HELD: Final = 8


class ForbiddenError(OrderflowError):
    """The visitor's role does not allow it."""


def _require_operator(request: Request) -> None:
    if not may_operate(visitor_of(request.scope)):
        raise ForbiddenError("this needs the role operator, because it has figures about all visitors")


OPERATORS: Final = (Depends(_require_operator),)


def add(server: FastAPI, store: Store, hub: Hub) -> None:
    """Register the routes on `server`."""

    @server.exception_handler(OrderflowError)
    async def explained(_request: Request, error: OrderflowError) -> JSONResponse:
        return JSONResponse({"error": str(error)}, status_code=403 if isinstance(error, ForbiddenError) else 503)

    @server.websocket("/ws")
    async def viewers_socket(socket: WebSocket) -> None:
        await hub.serve(socket, visitor_of(socket.scope))

    @server.get("/healthz")
    def healthz(request: Request, response: Response) -> dict[str, Any]:
        with store.lock:
            state = {
                "status": "ok" if store.source_error is None else "degraded",
                "kafka": store.source_error or "connected",
                "caught_up": store.caught_up,
                "instruments": len(store.instruments),
                "viewers": hub.viewers,
                "last_update_ms": store.last_update_ms,
                "records": dict(store.counts),
                "rejected": dict(store.rejected),
            }
        if store.source_error is not None:
            response.status_code = 503
        return {"status": state["status"]} if is_stranger(request.scope) else state

    @server.get("/metrics", dependencies=OPERATORS)
    def metrics() -> Response:
        return Response(generate_latest(_registry(store, hub)), media_type=CONTENT_TYPE_LATEST)

    @server.get("/api/instruments")
    def instruments() -> list[dict[str, Any]]:
        with store.lock:
            return [{**listing, "date": _date(store, listing["key"])} for listing in hub.listing()]

    # A poll's viewer is gone when the next comes; what its view was computed from goes only with the last that holds it.
    polled: deque[Viewer] = deque(maxlen=POLLS_HELD)

    @server.get("/api/view")
    def view(request: Request) -> list[dict[str, Any]]:
        wish = View.parse(request.query_params, hub.default_instrument(), hub.buffer)
        viewer = Viewer(store, hub.directory, hub.marked)
        viewer.look_at(wish, _store(store, hub, wish.instrument, wish.date or ""))
        polled.append(viewer)
        message = viewer.message(store.clock_ms())
        return [hub.hello(visitor_of(request.scope)), *([message] if message is not None else [])]

    @server.get("/api/dates")
    def dates() -> list[str]:
        return hub.stored_dates()

    @server.get("/api/older")
    def earlier(request: Request) -> Response:
        answer = older.answer(hub, older.Wish.parse(request.query_params, hub.default_instrument()))
        return Response(orjson.dumps(answer), media_type="application/json")

    @server.get("/api/candles")
    def candles(instrument: str = "", n: int = 1, date: str = "") -> list[dict[str, Any]]:
        rows = _rows(store, hub, instrument, n, date)
        return [{**row.candle.to_record(), "forming": not row.final, "cvd": row.cvd, "day_vwap": row.vwap} for row in rows]

    @server.get("/api/trades")
    def trades(instrument: str = "", limit: int = 400) -> list[dict[str, Any]]:
        with store.lock:
            held = store.instrument(instrument or hub.default_instrument())
            entries = held.tape.newest(limit=max(limit, 1)) if held is not None else []
        return [{**trade.to_record(), "big": big} for _, trade, big in reversed(entries)]

    @server.get("/api/footprint")
    def footprint(instrument: str = "", n: int = 1, date: str = "") -> list[dict[str, Any]]:
        rows = _rows(store, hub, instrument, n, date)
        with store.lock:
            return [level for row in rows for level in _levels(row)]

    @server.get("/api/latency", dependencies=OPERATORS)
    def latency() -> dict[str, Any]:
        ordered = sorted(hub.latencies)
        return {"samples": len(ordered), **{f"p{share}": _quantile(ordered, share / 100) for share in (50, 95, 99)}}


def _levels(row: Row) -> list[dict[str, Any]]:
    """Return a candle's levels as records of `upstox_footprint`."""
    candle, levels = row.candle, levels_of(row)
    edges = iso_from_ms(candle.start_ms), iso_from_ms(candle.end_ms), candle.instrument
    divisor, unit = from_finest(candle.instrument, [level.price for level in levels])
    return [
        to_builtins(FootprintLevel(*edges, level.price // divisor, level.buy, level.sell, level.unclassified, price_unit=unit))
        for level in levels
    ]


def _store(store: Store, hub: Hub, key: str, date: str) -> Store:
    live = store.instrument(key)
    if not date or (live is not None and live.date == date):
        return store
    return hub.past_day(key, date).store


def _rows(store: Store, hub: Hub, key: str, n: int, date: str) -> list[Row]:
    key = key or hub.default_instrument()
    source = _store(store, hub, key, date)
    with source.lock:
        instrument = source.instrument(key)
        return list(Rollup(min(max(n, 1), 375)).rows(instrument)) if instrument is not None else []


def _date(store: Store, key: str) -> str | None:
    instrument = store.instrument(key)
    return instrument.date or None if instrument is not None else None


def _quantile(ordered: list[float], share: float) -> float | None:
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)] if ordered else None


def _registry(store: Store, hub: Hub) -> CollectorRegistry:
    registry = CollectorRegistry()
    records = Counter("dashboard_records", "Records read, by topic", ["topic"], registry=registry)
    rejected = Counter("dashboard_rejected", "Records that were malformed, by topic", ["topic"], registry=registry)
    with store.lock:
        for topic, count in store.counts.items():
            records.labels(topic).inc(count)
        for topic, count in store.rejected.items():
            rejected.labels(topic).inc(count)
        repeats = sum(instrument.repeats for instrument in store.instruments.values())
        late = sum(instrument.late_volume for instrument in store.instruments.values())
    for name, text, value in (
        ("dashboard_viewers", "Viewers connected", hub.viewers),
        ("dashboard_kafka_connected", "1 while Kafka answers", int(store.source_error is None)),
        ("dashboard_repeated_trades", "Trades dropped because their trade_id had been seen", repeats),
        ("dashboard_late_volume", "Volume that came after its minute's final candle", late),
        ("dashboard_last_update_timestamp_seconds", "Receipt of the newest feed update", (store.last_update_ms or 0) / 1000),
    ):
        Gauge(name, text, registry=registry).set(value)
    messages = Counter("dashboard_viewer_messages", "Messages sent to viewers", registry=registry)
    messages.inc(hub.counts["messages"])
    failures = Counter("dashboard_page_errors", "Errors that viewers' browsers reported", registry=registry)
    failures.inc(hub.counts["page_errors"])
    held = Counter("dashboard_viewer_held_back", "Times a viewer had not yet drawn what it was sent", registry=registry)
    held.inc(hub.counts["held_back"])
    ordered = sorted(hub.latencies)
    gauge = Gauge("dashboard_latency_ms", "Feed receipt to browser screen, reported by browsers", ["quantile"], registry=registry)
    for share in (0.5, 0.95, 0.99):
        gauge.labels(str(share)).set(_quantile(ordered, share) or 0.0)
    return registry
