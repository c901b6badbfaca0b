"""The HTTP endpoints for monitoring: health, metrics, and the latency that browsers measure."""

from __future__ import annotations

from typing import Any, Final

from fastapi import Depends, FastAPI, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, generate_latest

from orderflow.dashboard.state.store import Store
from orderflow.dashboard.web.hub import Hub
from orderflow.dashboard.web.login import is_stranger, visitor_of
from orderflow.dashboard.web.sessions import may_operate
from orderflow.market.errors import OrderflowError


class ForbiddenError(OrderflowError):
    """The visitor's role does not allow it."""


def _require_operator(request: Request) -> None:
    if not may_operate(visitor_of(request.scope)):
        raise ForbiddenError("this needs the role operator, because it has figures about all visitors")


OPERATORS: Final = (Depends(_require_operator),)


def add(server: FastAPI, store: Store, hub: Hub) -> None:
    """Register the routes on `server`. ForbiddenError is raised for visitors that are no operators."""

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

    @server.get("/api/latency", dependencies=OPERATORS)
    def latency() -> dict[str, Any]:
        ordered = sorted(hub.latencies)
        return {"samples": len(ordered), **{f"p{share}": _quantile(ordered, share / 100) for share in (50, 95, 99)}}


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
    refused = Counter("dashboard_refused_messages", "Messages from viewers that could not be read", registry=registry)
    refused.inc(hub.counts["refused_messages"])
    held = Counter("dashboard_viewer_held_back", "Times a viewer had not yet drawn what it was sent", registry=registry)
    held.inc(hub.counts["held_back"])
    ordered = sorted(hub.latencies)
    gauge = Gauge("dashboard_latency_ms", "Feed receipt to browser screen, reported by browsers", ["quantile"], registry=registry)
    for share in (0.5, 0.95, 0.99):
        gauge.labels(str(share)).set(_quantile(ordered, share) or 0.0)
    return registry
