"""The viewers' WebSocket route, and the same messages for who polls by HTTP."""

from __future__ import annotations

from collections import deque
from typing import Any, Final

import orjson
from fastapi import FastAPI, Request, Response, WebSocket

from orderflow.dashboard.views import older
from orderflow.dashboard.views.viewer import View, Viewer
from orderflow.dashboard.views.wish import Wish
from orderflow.dashboard.web.hub import Hub
from orderflow.dashboard.web.login import visitor_of
from orderflow.dashboard.web.sessions import user_of

POLLS_HELD: Final = 8


def add(server: FastAPI, hub: Hub) -> None:
    """Register the routes on `server`; what concerns a past day raises OrderflowError when it cannot be had."""
    days = hub.days

    @server.websocket("/ws")
    async def viewers_socket(socket: WebSocket) -> None:
        await hub.serve(socket, visitor_of(socket.scope))

    # A poll's viewer is gone when the next comes; what its view was computed from goes only with the last that holds it.
    polled: deque[Viewer] = deque(maxlen=POLLS_HELD)

    @server.get("/api/view")
    def view(request: Request) -> list[dict[str, Any]]:
        wish = View.parse(request.query_params, days.default_instrument(), days.buffer)
        viewer = days.new_viewer()
        viewer.look_at(wish, days.store_of(wish.instrument, wish.date or ""))
        polled.append(viewer)
        message = viewer.message(days.store.clock_ms())
        return [days.hello(user_of(visitor_of(request.scope))), *([message] if message is not None else [])]

    @server.get("/api/older")
    def earlier(request: Request) -> Response:
        answer = older.answer(days, Wish.parse(request.query_params, days.default_instrument()))
        return Response(orjson.dumps(answer), media_type="application/json")
