"""A mode per instrument on one connection of the real SDK, and changes of mode while it is open."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from orderflow.simulator.in_process import SimulatorServer
from orderflow.upstox.client import Listener
from orderflow.upstox.supervisor import Connection
from orderflow.upstox.token import Token
from tests.feed.rig import INFY, TCS, TEN, Rig, push


def asked(server: SimulatorServer) -> list[tuple[object, Any, Any]]:
    """Return method, keys and mode of each request."""
    return [(each["method"], each["data"]["instrumentKeys"], each["data"].get("mode")) for each in server.requests]  # type: ignore[index]


def test_subscription_when_instruments_differ_in_mode_then_one_request_a_mode_and_each_gets_its_own(
    server: SimulatorServer,
) -> None:
    with Rig(server.feed_url, modes={INFY: "ltpc"}) as rig:
        rig.wait_for(lambda: len(rig.sink.ticks) == 2, "the snapshots")
        assert asked(server) == [("sub", [INFY], "ltpc"), ("sub", [TCS], "full")]
        push(server, 1010, TEN + 1000)
        push(server, 510, TEN + 1000, INFY)
        rig.wait_for(lambda: len(rig.sink.ticks) == 4, "the updates")
        assert [(tick.vtt, len(tick.bid)) for tick in rig.ticks(TCS)] == [(1000, 1), (1010, 1)]
        assert [(tick.ltp, tick.vtt, len(tick.bid)) for tick in rig.ticks(INFY)] == [(100.0, None, 0), (100.0, None, 0)]


def test_mode_when_changed_on_an_open_connection_then_the_feed_follows_without_a_new_connection(
    server: SimulatorServer,
) -> None:
    with Rig(server.feed_url, modes={INFY: "ltpc"}) as rig:
        rig.wait_for(lambda: len(rig.sink.ticks) == 2, "the snapshots")
        modes = {TCS: "full", INFY: "full"}
        rig.inbox.call(lambda engine: engine.subscribed(modes))
        rig.supervisor.watch(modes)
        rig.wait_for(lambda: ("change_mode", [INFY], "full") in asked(server), "the request")
        push(server, 520, TEN + 2000, INFY)
        rig.wait_for(lambda: rig.last_vtt(INFY) == 520, "the update")
        assert [tick.traded_volume for tick in rig.ticks(INFY)] == [None, None, 20]
        assert server.handshakes == 1


def test_list_when_it_changes_while_the_connection_opens_then_it_takes_effect_once_it_is_open(server: SimulatorServer) -> None:
    rig = Rig(server.feed_url, keys=(TCS,))
    connect = rig.supervisor._connect

    def changed_meanwhile(token: Token, modes: Mapping[str, str], listener: Listener) -> Connection:
        rig.supervisor.watch({TCS: "full", INFY: "full"})
        return connect(token, modes, listener)

    rig.supervisor._connect = changed_meanwhile
    rig.engine.own((INFY,))
    with rig:
        rig.wait_for(lambda: rig.last_vtt(INFY) == 500, "the snapshot of what was added")
        assert sorted(keys for _, keys, _ in asked(server)) == [[INFY], [TCS]]
