"""One watch list over two connections of the real SDK."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, Self

from orderflow.market.session import SessionBook, SessionCalendar
from orderflow.simulator.in_process import SimulatorServer
from orderflow.upstox.client import Listener, UpstoxConnection
from orderflow.upstox.clock import SYSTEM
from orderflow.upstox.connections import FeedConnections, streamer_names
from orderflow.upstox.engine import FeedEngine
from orderflow.upstox.feed_health import Figures, feed_health
from orderflow.upstox.token import Token, TokenSource
from orderflow.upstox.worker import Lane, Worker
from tests.feed.rig import INFY, TCS, TEN, ListSink, eventually, push
from tests.feed.test_modes import asked

FIGURES: Final = Figures(1, 0.0, 0, 0.0, 0.0, 0.0)


class Two:
    """A running streamer with two connections and without Kafka; a context manager."""

    def __init__(self, url: str, *parts: Mapping[str, str]) -> None:
        self.sink = ListSink()
        book = SessionBook(SessionCalendar())
        self.lanes = tuple(Lane(FeedEngine(self.sink, book, streamer=name)) for name in streamer_names("mumbai", 2))
        for lane, part in zip(self.lanes, parts, strict=True):
            lane.engine.own(part)
            lane.engine.subscribed(part)
        self.worker = Worker(self.lanes, self.sink)

        def connect(token: Token, modes: Mapping[str, str], listener: Listener) -> UpstoxConnection:
            return UpstoxConnection(url, None, token.value, modes, listener)

        tokens = TokenSource("right", None, Path("/nonexistent"))
        self.connections = FeedConnections(connect, tokens, self.lanes, parts, SYSTEM.now_ms)
        self._thread = threading.Thread(target=self.connections.run, name="connections")

    def __enter__(self) -> Self:
        self.worker.start()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.connections.stop()
        self._thread.join(15)
        self.worker.stop(1.0)
        assert not self._thread.is_alive()
        assert self.worker.error is None

    def wait_for(self, condition: Callable[[], bool], what: str) -> None:
        eventually(condition, lambda: f"{what} did not come about; {self.connections.status}, {self.sink.events}")

    def streamers(self) -> dict[str, set[str | None]]:
        """Return by instrument the names under which its ticks came."""
        owners: dict[str, set[str | None]] = {}
        for tick in self.sink.ticks:
            owners.setdefault(tick.instrument_key, set()).add(tick.streamer)
        return owners


def test_list_when_spread_over_two_connections_then_each_key_is_on_one_with_a_clock_of_its_own(server: SimulatorServer) -> None:
    with Two(server.feed_url, {TCS: "full"}, {INFY: "full"}) as two:
        two.wait_for(lambda: len(two.sink.ticks) == 2, "the snapshots")
        assert server.connections == 2
        assert sorted(keys for _, keys, _ in asked(server)) == [[INFY], [TCS]]
        push(server, 1010, TEN + 1000)
        push(server, 505, TEN + 1000, INFY)
        two.wait_for(lambda: len(two.sink.ticks) == 4, "the updates")
        assert two.streamers() == {TCS: {"mumbai"}, INFY: {"mumbai/2"}}
        assert sorted((tick.instrument_key, tick.sequence, tick.traded_volume) for tick in two.sink.ticks) == [
            (INFY, 1, None),
            (INFY, 2, 5),
            (TCS, 1, None),
            (TCS, 2, 10),
        ]
        two.wait_for(lambda: {beat.streamer for beat in two.sink.heartbeats} == {"mumbai", "mumbai/2"}, "both clocks")
        two.wait_for(lambda: set(two.worker.report.instruments) == {TCS, INFY}, "the health of all")
        assert (two.connections.status.state, two.connections.status.connections) == ("connected", 2)


LIMIT = (
    "no right to this feed, or too many connections or keys for the account, which may have 2 connections, 5 with Plus: check "
    "UPSTOX_CONNECTIONS, and which other programs use the account"
)


def refusals(two: Two) -> list[dict[str, Any]]:
    return [event for event in two.sink.events if event["event"] == "refused"]


def test_connection_when_the_server_refuses_a_further_one_then_the_other_takes_its_instruments_over(
    server: SimulatorServer,
) -> None:
    server.fail_handshakes(403)
    with Two(server.feed_url, {TCS: "full"}, {INFY: "full"}) as two:
        two.wait_for(lambda: len(two.sink.ticks) == 2, "the snapshots of both")
        push(server, 1010, TEN + 1000)
        push(server, 505, TEN + 1000, INFY)
        two.wait_for(lambda: len(two.sink.ticks) == 4, "the updates of both")
        two.wait_for(lambda: len(refusals(two)) == 2, "the ledger")
        number = next(number for number, part in enumerate(two.connections.parts, start=1) if not part)
        lost, name = (TCS, INFY)[number - 1], streamer_names("mumbai", 2)
        assert two.connections.parts[2 - number] == {TCS: "full", INFY: "full"}
        assert two.streamers() == {key: {name[2 - number]} for key in (TCS, INFY)}
        assert [event["streamer"] for event in refusals(two)] == [name[number - 1]] * 2
        assert [event["cause"] for event in refusals(two)] == [
            f"connection {number} of 2: refused (403): {LIMIT}; instruments not streamed: 1 ({lost})",
            f"connection {number} of 2: refused (403); instruments moved to other connections: 1; not streamed: 0",
        ]
        status = two.connections.status
        assert (status.state, status.unconnected, two.connections.refused) == ("connected", 0, 1)
        health = feed_health(status, two.worker.report, FIGURES, {}, "", status.since + 31.0)
        assert (health.healthy, health.detail["refused"]) == (True, f"connection {number} of 2: refused (403)")
        assert server.connections == 1


def test_connection_when_the_other_has_no_room_for_its_instruments_then_those_left_out_are_named(server: SimulatorServer) -> None:
    server.fail_handshakes(403)
    more = [{f"NSE_EQ|{side}{number}": "full_d30" for number in range(49)} for side in "AB"]
    with Two(server.feed_url, {TCS: "full_d30", **more[0]}, {INFY: "full_d30", **more[1]}) as two:
        two.wait_for(lambda: len(two.sink.ticks) == 1 and two.connections.status.state == "retrying", "one of the two")
        two.wait_for(lambda: len(refusals(two)) == 1, "the ledger")
        status = two.connections.status
        lost = INFY if two.sink.ticks[0].instrument_key == TCS else TCS
        assert f"instruments not streamed: 50 ({lost}, NSE_EQ|" in refusals(two)[0]["cause"]
        assert refusals(two)[0]["cause"].endswith(" and 30 more)")
        assert (status.unconnected, two.connections.refused) == (50, 1)
        health = feed_health(status, two.worker.report, FIGURES, {}, "", status.since + 31.0)
        assert (health.healthy, health.state, health.detail["unconnected_instruments"]) == (False, "retrying", 50)


def test_connection_when_it_is_refused_with_what_it_took_over_then_it_gives_it_back(server: SimulatorServer) -> None:
    server.fail_handshakes(403)
    with Two(server.feed_url, {TCS: "full"}, {INFY: "full"}) as two:
        two.wait_for(lambda: len(two.sink.ticks) == 2 and len(refusals(two)) == 2, "the snapshots of both on one")
        kept = TCS if two.connections.parts[0] else INFY
        server.close_all(1008)
        two.wait_for(lambda: two.connections.parts == ({TCS: "full"}, {INFY: "full"}), "each on its own again")
        two.wait_for(lambda: len(refusals(two)) == 4, "the ledger")
        assert refusals(two)[-1]["cause"].endswith("instruments moved to other connections: 1; not streamed: 1 (" + kept + ")")


def test_list_when_it_grows_then_an_idle_connection_opens_and_the_other_is_left_alone(server: SimulatorServer) -> None:
    with Two(server.feed_url, {TCS: "full"}, {}) as two:
        two.wait_for(lambda: len(two.sink.ticks) == 1, "the first snapshot")
        assert (server.handshakes, two.connections.status.state) == (1, "connected")
        two.lanes[1].inbox.call(lambda engine: engine.own((INFY,)))
        two.connections.watch(({TCS: "full"}, {INFY: "full"}))
        two.wait_for(lambda: len(two.sink.ticks) == 2, "the other snapshot")
        assert (server.handshakes, two.streamers()) == (2, {TCS: {"mumbai"}, INFY: {"mumbai/2"}})
