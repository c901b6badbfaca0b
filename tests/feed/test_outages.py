"""Every way a connection can end or hang: the feed comes back, the ledger tells, and no volume is lost or doubled."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from websockets.sync.server import ServerConnection, serve

from orderflow.simulator.in_process import SimulatorServer
from orderflow.simulator.replay import Recording
from orderflow.upstox.token import TokenSource
from tests.feed.rig import INFY, TCS, TEN, AlwaysSoon, Rig, opening, push


def through(server: SimulatorServer, rig: Rig, outage: Callable[[], None]) -> None:
    """Trade, suffer the outage while 300 more trade unseen, and trade again."""
    rig.wait_for(lambda: rig.last_vtt() == 1000, "the snapshot")
    push(server, 1010, TEN + 1000)
    rig.wait_for(lambda: rig.last_vtt() == 1010, "an update")
    outage()
    rig.wait_for(lambda: "disconnected" in rig.event_names(), "the loss")
    push(server, 1310, TEN + 5000)
    rig.wait_for(lambda: rig.last_vtt() == 1310, "the next snapshot")
    push(server, 1315, TEN + 6000)
    rig.wait_for(lambda: rig.last_vtt() == 1315, "updates after the outage")


@pytest.mark.parametrize("code", [1000, 1001, 1008, 1011])
def test_volume_when_the_server_closes_then_exact_and_the_gap_is_in_the_ledger(server: SimulatorServer, code: int) -> None:
    with Rig(server.feed_url, backoff=AlwaysSoon(lambda: 0.0)) as rig:
        through(server, rig, lambda: server.close_all(code))
        rig.assert_volume_exact()
        (gap,) = [event for event in rig.sink.events if event["event"] == "gap"]
    assert (gap["instrument_key"], gap["volume"], gap["from_ms"], gap["to_ms"]) == (TCS, 300, TEN + 1000, TEN + 5000)
    assert f"code {code}" in gap["cause"]
    spanning = [tick for tick in rig.ticks(TCS) if tick.gap]
    assert [(tick.traded_volume, tick.vtt) for tick in spanning] == [(300, 1310)]


def test_volume_when_the_connection_is_reset_then_exact(server: SimulatorServer) -> None:
    with Rig(server.feed_url) as rig:
        through(server, rig, server.reset_all)
        rig.assert_volume_exact()
        rig.assert_volume_exact(500, INFY)


def test_volume_when_the_connection_is_half_open_then_noticed_by_ping(server: SimulatorServer, quick_timeouts: None) -> None:
    with Rig(server.feed_url) as rig:
        through(server, rig, server.freeze)
        rig.assert_volume_exact()


def test_volume_when_bytes_are_no_frame_then_reconnected(server: SimulatorServer) -> None:
    with Rig(server.feed_url) as rig:
        through(server, rig, server.send_garbage)
        rig.assert_volume_exact()


def test_stall_when_open_but_mute_in_continuous_trading_then_reported_and_reconnected(server: SimulatorServer) -> None:
    with Rig(server.feed_url, stall_seconds=1.5) as rig:
        rig.wait_for(lambda: rig.worker.report.continuous, "continuous trading")

        def paced() -> bool:
            push(server, 1000, TEN)
            return rig.liveness.knows_pace

        rig.wait_for(paced, "a usual pace")
        through(server, rig, server.mute)
        rig.assert_volume_exact()
        assert "stalled" in rig.event_names()
        assert rig.event_names().index("stalled") < rig.event_names().index("disconnected")


def test_stall_when_the_market_is_closed_then_silence_is_normal(server: SimulatorServer) -> None:
    with Rig(server.feed_url, stall_seconds=0.5) as rig:
        rig.wait_for(lambda: rig.last_vtt() == 1000, "the snapshot")
        closed = {"type": "market_info", "currentTs": str(TEN + 100), "marketInfo": {"segmentStatus": {"NSE_EQ": "NORMAL_CLOSE"}}}
        server.push(closed)
        rig.wait_for(lambda: rig.event_names().count("market_status") == 2 and not rig.worker.report.continuous, "the close")
        beats = len(rig.sink.heartbeats)
        rig.wait_for(lambda: len(rig.sink.heartbeats) >= beats + 2, "heartbeats after the close")
        assert server.handshakes == 1
        assert "stalled" not in rig.event_names()


def test_volume_when_the_server_is_away_for_a_while_then_exact(server: SimulatorServer) -> None:
    with Rig(server.feed_url) as rig:
        rig.wait_for(lambda: rig.last_vtt() == 1000, "the snapshot")
        server.stop_listening()
        rig.wait_for(lambda: rig.supervisor.status.attempts >= 4, "some attempts")
        push(server, 1700, TEN + 60_000)
        server.listen_again()
        rig.wait_for(lambda: rig.last_vtt() == 1700, "the next snapshot")
        rig.assert_volume_exact()


def test_attempts_when_the_server_accepts_and_closes_at_once_then_bounded(server: SimulatorServer) -> None:
    server.accept_then_close(1006, 1000)
    began = time.monotonic()
    with Rig(server.feed_url, cap_seconds=30.0) as rig:
        rig.wait_for(lambda: server.handshakes >= 5, "five attempts")
        took = time.monotonic() - began
    assert took >= 0.1 + 0.2 + 0.4 + 0.8
    assert server.handshakes == 5


def test_token_when_refused_at_the_start_then_waits_visibly_and_resumes_with_a_new_one(
    server: SimulatorServer, tmp_path: Path
) -> None:
    file = tmp_path / "token"
    file.write_text("wrong-token\n")
    with Rig(server.feed_url, tokens=TokenSource(None, file, tmp_path / "none")) as rig:
        rig.wait_for(lambda: rig.state == "waiting for a token", "the visible state")
        assert str(file) in rig.supervisor.status.cause
        assert "wrong-token" not in rig.supervisor.status.cause
        assert server.handshakes == 1
        file.write_text("right\n")
        rig.wait_for(lambda: rig.last_vtt() == 1000, "the feed")


def test_token_when_refused_during_a_reconnect_then_no_volume_is_lost(server: SimulatorServer, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("right")
    with Rig(server.feed_url, tokens=TokenSource(None, file, tmp_path / "none")) as rig:
        rig.wait_for(lambda: rig.last_vtt() == 1000, "the snapshot")
        file.write_text("gone-stale")
        server.reset_all()
        rig.wait_for(lambda: rig.state == "waiting for a token", "the visible state")
        push(server, 1200, TEN + 9000)
        assert "token" in rig.event_names()
        file.write_text("right ")
        rig.wait_for(lambda: rig.last_vtt() == 1200, "the feed")
        rig.assert_volume_exact()


def test_token_when_there_is_none_then_waits_without_an_attempt(server: SimulatorServer, tmp_path: Path) -> None:
    file = tmp_path / "token"
    with Rig(server.feed_url, tokens=TokenSource(None, file, tmp_path / "none")) as rig:
        rig.wait_for(lambda: rig.state == "waiting for a token", "the visible state")
        assert server.handshakes == 0
        file.write_text("right")
        rig.wait_for(lambda: rig.last_vtt() == 1000, "the feed")


@pytest.mark.parametrize("status", [403, 429])
def test_attempts_when_refused_with_a_status_then_slow(server: SimulatorServer, status: int) -> None:
    server.fail_handshakes(status, 1)
    with Rig(server.feed_url) as rig:
        rig.wait_for(lambda: rig.state == "retrying", "the refusal")
        assert str(status) in rig.supervisor.status.cause
    assert server.handshakes == 1


def test_attempts_when_the_server_fails_then_tried_again(server: SimulatorServer) -> None:
    server.fail_handshakes(503, 1)
    server.reset_handshakes(1)
    with Rig(server.feed_url, backoff=AlwaysSoon(lambda: 0.0)) as rig:
        rig.wait_for(lambda: rig.last_vtt() == 1000, "the feed")
    assert server.handshakes == 3


@contextmanager
def answering(answer: Callable[[int], bytes]) -> Iterator[tuple[int, list[bytes]]]:
    """Serve raw TCP: each request gets `answer(port)`, then the connection closes."""
    requests: list[bytes] = []
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                requests.append(connection.recv(65536))
                connection.sendall(answer(port))

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield port, requests
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(5)


def test_handshake_when_never_answered_then_given_up(quick_timeouts: None) -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute, Rig(f"ws://127.0.0.1:{mute.getsockname()[1]}/") as rig:
        rig.wait_for(lambda: rig.state == "retrying", "the time-out")
        assert "timed out" in rig.supervisor.status.cause


def test_first_message_when_none_comes_after_opening_then_stalled_at_any_hour() -> None:
    def mute(connection: ServerConnection) -> None:
        for _ in connection:
            pass

    with serve(mute, "127.0.0.1", 0) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        with Rig(f"ws://127.0.0.1:{server.socket.getsockname()[1]}/", first_message_seconds=0.5) as rig:
            rig.wait_for(lambda: rig.event_names().count("stalled") >= 2, "two attempts")
            assert rig.sink.heartbeats == []
        server.shutdown()
        thread.join(5)


def test_attempts_when_redirected_in_a_circle_then_given_up_and_said() -> None:
    def circle(port: int) -> bytes:
        return f"HTTP/1.1 302 Found\r\nLocation: ws://127.0.0.1:{port}/again\r\nContent-Length: 0\r\n\r\n".encode()

    with answering(circle) as (port, requests), Rig(f"ws://127.0.0.1:{port}/start") as rig:
        rig.wait_for(lambda: rig.state == "retrying", "the refusal")
        assert rig.supervisor.status.cause == "redirected in a circle"
        assert len(requests) == 4


def test_token_when_the_handshake_is_redirected_to_a_host_without_tls_then_it_is_not_sent_there() -> None:
    def elsewhere(port: int) -> bytes:
        return f"HTTP/1.1 302 Found\r\nLocation: ws://localhost.localdomain:{port}/\r\nContent-Length: 0\r\n\r\n".encode()

    with answering(elsewhere) as (port, requests), Rig(f"ws://127.0.0.1:{port}/start") as rig:
        rig.wait_for(lambda: rig.state == "retrying", "the refusal")
        assert rig.supervisor.status.cause == "redirected to ws://localhost.localdomain, without TLS"
    assert len(requests) == 1


def test_attempts_when_the_name_cannot_be_resolved_then_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with Rig("wss://feed.invalid/v3") as rig:
        rig.wait_for(lambda: rig.state == "retrying", "the failure")
        assert rig.supervisor.status.cause == "the server's name cannot be resolved"


def test_tls_when_the_server_signed_its_certificate_itself_then_refused_before_the_token_is_sent(tmp_path: Path) -> None:
    source = Recording.of_messages(opening(), announce_close=False)
    with SimulatorServer(source, token="right", tls_dir=tmp_path) as server:
        assert server.feed_url.startswith("wss://")
        with Rig(server.feed_url) as rig:
            rig.wait_for(lambda: rig.state == "retrying", "the refusal")
            assert "not trusted" in rig.supervisor.status.cause
        assert server.handshakes == 0
        with Rig(server.feed_url, ca_file=server.ca_file) as rig:
            rig.wait_for(lambda: rig.last_vtt() == 1000, "the feed, its authority trusted")


def test_status_when_attempts_fail_one_after_another_then_it_says_since_when_there_is_no_connection(
    server: SimulatorServer,
) -> None:
    with Rig(server.feed_url) as rig:
        rig.wait_for(lambda: rig.state == "connected", "a connection")
        server.reset_handshakes(3)
        server.reset_all()
        rig.wait_for(lambda: rig.state != "connected", "the loss")
        since, attempts = rig.supervisor.status.since, rig.supervisor.status.attempts
        rig.wait_for(lambda: rig.supervisor.status.attempts >= attempts + 2, "two more attempts")
        assert rig.supervisor.status.since == since
        rig.wait_for(lambda: rig.state == "connected" and rig.supervisor.status.since > since, "the next connection")
