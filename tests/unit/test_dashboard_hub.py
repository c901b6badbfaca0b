"""Viewers on one event loop: what each is sent, and that a slow one neither blocks nor misses the last state."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import orjson
import pytest
from starlette.websockets import WebSocketDisconnect

from orderflow.dashboard.sources.archive import Archive
from orderflow.dashboard.sources.directory import Directory
from orderflow.dashboard.sources.past_day import Replay
from orderflow.dashboard.state.store import Store
from orderflow.dashboard.views.days import Days
from orderflow.dashboard.web import connection
from orderflow.dashboard.web.hub import Hub
from tests.unit.test_dashboard_messages import check
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
        check(message)
        self.received.append(message)
        if self._acknowledges and "seq" in message:
            self.ask(type="ack", seq=message["seq"], latency_ms=[12.5])


async def until(condition: Any) -> None:
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.005)


DATE_BEFORE = "2025-12-12"


def hub_in(store: Store) -> Hub:
    return Hub(Days(store, Directory((KEY,)), Archive(None)))


def hub_of(store: Store) -> Hub:
    hub = hub_in(store)
    hub.attach(asyncio.get_running_loop())
    return hub


def last_volume(socket: FakeSocket) -> Any:
    volumes = [message["stats"]["volume"] for message in socket.received if "stats" in message]
    return volumes[-1] if volumes else None


async def two_viewers() -> tuple[FakeSocket, FakeSocket, Hub]:
    store = store_with(trade(0, 100.0, 1, 0, 1))
    hub = hub_of(store)
    quick, slow = FakeSocket(acknowledges=True), FakeSocket(acknowledges=False)
    serving = [asyncio.create_task(hub.serve(socket)) for socket in (quick, slow)]  # type: ignore[arg-type]
    await until(lambda: last_volume(quick) == 1 and last_volume(slow) == 1)
    for number in range(2, 8):
        store.apply([trade(number, 100.0, 1, 0, number)])
        # The slow one gets its second message, the last that it may leave unacknowledged, with the first of these trades.
        await until(lambda wanted=number: last_volume(quick) == wanted and last_volume(slow) == 2)
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


async def bad_requests() -> tuple[list[dict[str, Any]], Hub]:
    hub = hub_of(store_with(trade(0, 100.0, 1, 0, 1)))
    socket = FakeSocket(acknowledges=True)
    serving = asyncio.create_task(hub.serve(socket))  # type: ignore[arg-type]
    await until(lambda: last_volume(socket) == 1)
    for message in ({"type": "ack", "seq": "x", "latency_ms": ["<b>", -1, None]}, {"type": 7}, {"type": "replay", "speed": 1e9}):
        socket.ask(**message)
    socket._requests.put_nowait("{not json")
    socket.ask(type="view", instrument=["a list"], minutes={"a": 1}, date="2025-99-99", mode=None)
    socket._requests.put_nowait(f'{{"type": "alerts", "viewer": "{"v" * 16}", "add": [{{"value": 1e999}}]}}')
    socket.ask(type="ping", t=5)
    await until(lambda: any(message["type"] == "pong" for message in socket.received))
    socket.leave()
    await serving
    return socket.received, hub


async def replayed_with_another_view() -> list[dict[str, Any]]:
    hub = Hub(Days(Store(lambda: CLOSE_MS), Directory((KEY,)), Archive(TwoMinutes())))
    hub.attach(asyncio.get_running_loop())
    socket = FakeSocket(acknowledges=True)
    serving = asyncio.create_task(hub.serve(socket))  # type: ignore[arg-type]
    await until(lambda: socket.received)
    wish = {"type": "view", "instrument": KEY, "date": DATE, "replay": True}
    socket.ask(**wish)

    def state() -> dict[str, Any]:
        return next((message["replay"] for message in reversed(socket.received) if message.get("replay")), {})

    await until(state)
    socket.ask(type="replay", speed=60, position_ms=CLOSE_MS - 1, playing=False)
    await until(lambda: state().get("speed") == 60)
    before = state()
    socket.received.clear()
    socket.ask(**wish, mode="footprint", minutes=3)
    await until(lambda: any(message.get("mode") == "footprint" and message["facts"]["x"] for message in socket.received))
    await until(state)
    socket.leave()
    await serving
    return [before, state()]


def test_hub_when_the_view_of_a_replay_changes_lets_it_stand_where_it_is() -> None:
    before, after = asyncio.run(replayed_with_another_view())
    assert after == before
    assert (after["speed"], after["playing"]) == (60, False)


def test_hub_when_requests_are_not_valid_refuses_and_counts_them_and_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    received, hub = asyncio.run(asyncio.wait_for(bad_requests(), 20))
    (pong,) = [message for message in received if message["type"] == "pong"]
    assert (pong["t"], pong["server_ms"]) == (5, CLOSE_MS)
    assert hub.counts["refused_messages"] == 4
    (alerts,) = [message for message in received if message["type"] == "alerts"]
    assert "out of range" in alerts["problem"]
    assert caplog.records[0].getMessage() == "a viewer's message was refused: 'Expected `int`, got `str` - at `$.seq`'"
    assert set(hub.latencies) == {12.5}


async def conversation(hub: Hub, *requests: dict[str, Any], until_true: Any) -> list[dict[str, Any]]:
    """Ask one after the other, wait until what was received suffices, and leave."""
    hub.attach(asyncio.get_running_loop())
    socket = FakeSocket(acknowledges=True)
    serving = asyncio.create_task(hub.serve(socket))  # type: ignore[arg-type]
    await until(lambda: socket.received)
    for request in requests:
        socket.ask(**request)
    await until(lambda: until_true(socket.received))
    socket.leave()
    await serving
    return socket.received


def archive_hub(history: TwoMinutes) -> Hub:
    return Hub(Days(store_with(trade(0, 100.0, 1, 0, 1)), Directory((KEY,)), Archive(history)))


def banner_codes(received: list[dict[str, Any]]) -> list[str]:
    return [banner["code"] for message in received for banner in message.get("banners", [])]


def banner_texts(received: list[dict[str, Any]]) -> list[str]:
    return [banner["text"] for message in received for banner in message.get("banners", [])]


@pytest.mark.parametrize("date", ["2025-99-99", "2025-02-30"])
def test_hub_when_a_date_is_impossible_says_so(date: str) -> None:
    wish = {"type": "view", "instrument": KEY, "date": date}
    received = asyncio.run(conversation(archive_hub(TwoMinutes()), wish, until_true=lambda all_: "archive" in banner_codes(all_)))
    assert f"{date} cannot be read from HDFS: {date} is not a valid date" in banner_texts(received)


class Broken(TwoMinutes):
    def candles(self, instrument_key: str, date: str, n: int) -> Any:
        raise ZeroDivisionError("a stored file of another shape")


def test_hub_when_a_stored_day_is_of_another_shape_says_so_instead_of_reading_for_ever() -> None:
    wish = {"type": "view", "instrument": KEY, "date": DATE_BEFORE}
    received = asyncio.run(conversation(archive_hub(Broken()), wish, until_true=lambda all_: "archive" in banner_codes(all_)))
    assert any("a stored file of another shape" in text for text in banner_texts(received))


class Gated(TwoMinutes):
    """An archive whose first read waits until it is let go; it notes which days were read."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = threading.Event()
        self.days: list[str] = []

    def trades(self, instrument_key: str, date: str) -> Any:
        self.days.append(date)
        if len(self.days) == 1:
            self.gate.wait(10)
        return super().trades(instrument_key, date)


async def five_quick_switches() -> tuple[list[str], list[dict[str, Any]]]:
    history = Gated()
    hub = archive_hub(history)
    hub.attach(asyncio.get_running_loop())
    socket = FakeSocket(acknowledges=True)
    serving = asyncio.create_task(hub.serve(socket))  # type: ignore[arg-type]
    await until(lambda: socket.received)
    socket.ask(type="view", instrument=KEY, date="2025-12-01", request=2)
    await until(lambda: history.days)
    for day in range(2, 6):
        socket.ask(type="view", instrument=KEY, date=f"2025-12-0{day}", request=day + 1)
    # The first read still waits: the last day comes all the same, and the ones between are never read.
    await until(lambda: "2025-12-05" in history.days)
    await until(lambda: any(text.startswith("Showing 2025-12-05") for text in banner_texts(socket.received)))
    history.gate.set()
    socket.leave()
    await serving
    return history.days, socket.received


def test_hub_when_days_are_switched_quickly_reads_no_day_that_is_wanted_no_more() -> None:
    days, received = asyncio.run(asyncio.wait_for(five_quick_switches(), 20))
    assert days == ["2025-12-01", "2025-12-05"]
    assert received[-1]["request"] == 6


async def slider_moved(monkeypatch: pytest.MonkeyPatch) -> tuple[Any, Any]:
    gate, entered = threading.Event(), threading.Event()

    def slow_seek(_replay: Replay, _position_ms: float) -> None:
        entered.set()
        gate.wait(10)

    monkeypatch.setattr(Replay, "seek", slow_seek)
    hub = archive_hub(TwoMinutes())
    hub.attach(asyncio.get_running_loop())
    replaying, live = FakeSocket(acknowledges=True), FakeSocket(acknowledges=True)
    serving = [asyncio.create_task(hub.serve(socket)) for socket in (replaying, live)]  # type: ignore[arg-type]
    await until(lambda: replaying.received)
    replaying.ask(type="view", instrument=KEY, date=DATE_BEFORE, replay=True)
    await until(lambda: any(message.get("replay") for message in replaying.received) and last_volume(live) == 1)
    replaying.ask(type="replay", position_ms=0)
    await until(entered.is_set)
    hub.days.store.apply([trade(5, 100.0, 7, 0, 8)])
    await until(lambda: last_volume(live) == 8)
    moved = gate.is_set()
    gate.set()
    for socket in (replaying, live):
        socket.leave()
    await asyncio.gather(*serving)
    return moved, last_volume(live)


def test_hub_when_a_replays_slider_moves_goes_on_serving_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    assert asyncio.run(asyncio.wait_for(slider_moved(monkeypatch), 20)) == (False, 8)


def test_hub_when_nothing_happens_still_says_something(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "BEAT_SECONDS", 0.02)
    hub = hub_in(store_with(trade(0, 100.0, 1, 0, 1)))
    beats = lambda all_: [message for message in all_ if message["type"] == "beat"]  # noqa: E731
    received = asyncio.run(conversation(hub, until_true=lambda all_: len(beats(all_)) >= 3))
    assert beats(received)[0] == {"type": "beat", "server_ms": CLOSE_MS}


def test_hub_when_asked_with_a_number_answers_with_it() -> None:
    hub = hub_in(store_with(trade(0, 100.0, 1, 0, 1)))
    wish = {"type": "view", "instrument": KEY, "minutes": 5, "request": 41}
    received = asyncio.run(conversation(hub, wish, until_true=lambda all_: any(message.get("request") == 41 for message in all_)))
    assert [message["view"]["minutes"] for message in received if message.get("request") == 41 and "view" in message] == [5]


def test_hub_when_a_page_fails_counts_it_and_logs_the_first_few(caplog: pytest.LogCaptureFixture) -> None:
    hub = hub_in(store_with(trade(0, 100.0, 1, 0, 1)))
    failures = [{"type": "error", "text": f"draw: TypeError\nforged line {number}"} for number in range(8)]
    asyncio.run(conversation(hub, *failures, until_true=lambda _: hub.counts["page_errors"] == 8))
    assert [record.getMessage() for record in caplog.records][:1] == ["a viewer's page failed: 'draw: TypeError\\nforged line 0'"]
    assert len(caplog.records) == connection.FAILURES_LOGGED
