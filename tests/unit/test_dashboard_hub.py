"""Viewers on one event loop: what each is sent, and that a slow one neither blocks nor misses the last state."""

from __future__ import annotations

import asyncio
from typing import Any

import orjson
from starlette.websockets import WebSocketDisconnect

from orderflow.dashboard.sources.archive import Archive
from orderflow.dashboard.sources.directory import Directory
from orderflow.dashboard.state.store import Store
from orderflow.dashboard.web.hub import Hub
from tests.unit.test_dashboard_past import DATE, TwoMinutes
from tests.unit.test_dashboard_store import CLOSE_MS, KEY, store_with, trade


class FakeSocket:
    """A viewer at the end of a queue; acknowledges each message unless told not to."""

    def __init__(self, *, acknowledges: bool) -> None:
        self.received: list[dict[str, Any]] = []
        self._acknowledges = acknowledges
        self._requests: asyncio.Queue[str | None] = asyncio.Queue()

    async def accept(self) -> None:
        self.ask(type="view", instrument=KEY)

    def ask(self, **message: Any) -> None:
        self._requests.put_nowait(orjson.dumps(message).decode())

    def leave(self) -> None:
        self._requests.put_nowait(None)

    async def receive_text(self) -> str:
        text = await self._requests.get()
        if text is None:
            raise WebSocketDisconnect(1000)
        return text

    async def send_text(self, text: str) -> None:
        message = orjson.loads(text)
        self.received.append(message)
        if self._acknowledges and "seq" in message:
            self.ask(type="ack", seq=message["seq"], latency_ms=[12.5])


async def until(condition: Any) -> None:
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.005)


def hub_of(store: Store) -> Hub:
    hub = Hub(store, Directory((KEY,)), None, 100)
    hub.attach(asyncio.get_running_loop())
    return hub


def last_volume(socket: FakeSocket) -> Any:
    found = [message["stats"]["volume"] for message in socket.received if "stats" in message]
    return found[-1] if found else None


async def two_viewers() -> tuple[FakeSocket, FakeSocket, Hub]:
    store = store_with(trade(0, 100.0, 1, 0, 1))
    hub = hub_of(store)
    quick, slow = FakeSocket(acknowledges=True), FakeSocket(acknowledges=False)
    serving = [asyncio.create_task(hub.serve(socket)) for socket in (quick, slow)]  # type: ignore[arg-type]
    await until(lambda: last_volume(quick) == 1 and last_volume(slow) == 1)
    for number in range(2, 8):
        store.apply([trade(number, 100.0, 1, 0, number)])
        await until(lambda wanted=number: last_volume(quick) == wanted)
    held_at = last_volume(slow)
    slow.ask(type="ack", seq=max(message.get("seq", 0) for message in slow.received))
    await until(lambda: last_volume(slow) == 7)
    assert held_at == 2
    for socket in (quick, slow):
        socket.leave()
    await asyncio.gather(*serving)
    return quick, slow, hub


def test_hub_when_a_viewer_does_not_acknowledge_holds_it_back_without_holding_up_the_other() -> None:
    quick, slow, hub = asyncio.run(asyncio.wait_for(two_viewers(), 20))
    drawn = [message for message in quick.received if "tape" in message]
    skipped = [message for message in slow.received if "tape" in message]
    assert len(drawn) == 7
    assert len(skipped) == 3
    assert [entry[0] for entry in skipped[-1]["tape"]] == [7, 6, 5, 4, 3]
    assert hub.counts["held_back"] > 0
    assert hub.viewers == 0
    assert set(hub.latencies) == {12.5}


async def bad_requests() -> list[dict[str, Any]]:
    hub = hub_of(store_with(trade(0, 100.0, 1, 0, 1)))
    socket = FakeSocket(acknowledges=True)
    serving = asyncio.create_task(hub.serve(socket))  # type: ignore[arg-type]
    await until(lambda: last_volume(socket) == 1)
    for message in ({"type": "ack", "seq": "x", "latency_ms": ["<b>", -1, None]}, {"type": 7}, {"type": "replay", "speed": 1e9}):
        socket.ask(**message)
    socket._requests.put_nowait("{not json")
    socket.ask(type="view", instrument=["a list"], minutes={"a": 1}, date="2025-99-99", mode=None)
    socket.ask(type="ping", t=5)
    await until(lambda: any(message["type"] == "pong" for message in socket.received))
    socket.leave()
    await serving
    return socket.received


async def replayed_with_another_view() -> list[dict[str, Any]]:
    hub = Hub(Store(lambda: CLOSE_MS), Directory((KEY,)), Archive(TwoMinutes()), 100)
    hub.attach(asyncio.get_running_loop())
    socket = FakeSocket(acknowledges=True)
    serving = asyncio.create_task(hub.serve(socket))  # type: ignore[arg-type]
    await until(lambda: socket.received)
    wish = {"type": "view", "instrument": KEY, "date": DATE, "replay": True}
    socket.ask(**wish)

    def state() -> dict[str, Any]:
        return next((one["replay"] for one in reversed(socket.received) if one.get("replay")), {})

    await until(state)
    socket.ask(type="replay", speed=60, position_ms=CLOSE_MS - 1, playing=False)
    await until(lambda: state().get("speed") == 60)
    before = state()
    socket.received.clear()
    socket.ask(**wish, mode="footprint", minutes=3)
    await until(lambda: any(one.get("mode") == "footprint" and one["facts"]["x"] for one in socket.received))
    await until(state)
    socket.leave()
    await serving
    return [before, state()]


def test_hub_when_the_view_of_a_replay_changes_lets_it_stand_where_it_is() -> None:
    before, after = asyncio.run(replayed_with_another_view())
    assert after == before
    assert (after["speed"], after["playing"]) == (60, False)


def test_hub_when_requests_are_not_valid_goes_on() -> None:
    received = asyncio.run(asyncio.wait_for(bad_requests(), 20))
    (pong,) = [message for message in received if message["type"] == "pong"]
    assert (pong["t"], pong["server_ms"]) == (5, CLOSE_MS)
