"""The simulated server: handshake, protocol and faults, seen by a plain WebSocket client and by the real SDK."""

from __future__ import annotations

import json
import queue
import socket
import ssl
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import upstox_client
import websocket
from upstox_client.feeder.market_data_feeder_v3 import MarketDataFeederV3
from upstox_client.feeder.market_data_streamer_v3 import MarketDataStreamerV3
from upstox_client.feeder.proto import MarketDataFeedV3_pb2 as pb

from orderflow.market.errors import SettingsError
from orderflow.simulator.catalogue import choose
from orderflow.simulator.in_process import SimulatorServer
from orderflow.simulator.market_model import MarketModel
from orderflow.simulator.replay import Recording

TCS = "NSE_EQ|INE467B01029"
INFY = "NSE_EQ|INE009A01021"
NIFTY = "NSE_INDEX|Nifty 50"
Connect = Callable[[SimulatorServer], websocket.WebSocket]
BEARER = ["Authorization: Bearer right"]


def full_feed(ltp: float, vtt: int, at_ms: int) -> dict[str, Any]:
    ltpc = {"ltp": ltp, "ltt": str(at_ms), "ltq": "1", "cp": 100.0}
    return {"fullFeed": {"marketFF": {"ltpc": ltpc, "optionGreeks": {}, "vtt": str(vtt)}}, "requestMode": "full_d5"}


def message(at_ms: int, feeds: dict[str, Any], kind: str | None = "live_feed") -> dict[str, Any]:
    return {**({"type": kind} if kind else {}), "feeds": feeds, "currentTs": str(at_ms)}


SNAPSHOT = message(
    1_765_770_300_000, {TCS: full_feed(100.0, 10, 1_765_770_299_900), INFY: full_feed(50.0, 5, 1_765_770_299_000)}, None
)


@pytest.fixture
def market() -> Iterator[SimulatorServer]:
    with SimulatorServer(MarketModel(choose(f"{TCS},{INFY},{NIFTY}"), updates_per_second=20), token="right") as server:
        yield server


@pytest.fixture
def script() -> Iterator[SimulatorServer]:
    with SimulatorServer(Recording.of_messages([SNAPSHOT], announce_close=False), token="right") as server:
        yield server


@pytest.fixture
def connect() -> Iterator[Connect]:
    """Connect to a server, following the redirect; every connection is dropped at the test's end."""
    clients: list[websocket.WebSocket] = []

    def connected(server: SimulatorServer) -> websocket.WebSocket:
        clients.append(websocket.create_connection(server.feed_url, header=BEARER, timeout=5))
        return clients[-1]

    yield connected
    for client in clients:
        client.shutdown()


def ask(client: websocket.WebSocket, method: str, keys: list[str], mode: str | None = None) -> None:
    wanted = {"instrumentKeys": keys, **({"mode": mode} if mode else {})}
    client.send_binary(json.dumps({"guid": "g", "method": method, "data": wanted}).encode())


def receive(client: websocket.WebSocket) -> Any:
    return pb.FeedResponse.FromString(client.recv())


def get(url: str, token: str | None = "right") -> tuple[int, Any]:
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"} if token else {})
    try:
        with urllib.request.urlopen(request, timeout=5) as response:
            return response.status, json.loads(response.read())
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.loads(error.read())


def test_connection_when_subscribed_then_market_info_snapshot_and_live_feed_come_in_order(
    market: SimulatorServer, connect: Connect
) -> None:
    client = connect(market)
    info = receive(client)
    ask(client, "sub", [TCS, NIFTY], "full")
    snapshot, live = receive(client), receive(client)
    assert [pb.Type.Name(each.type) for each in (info, snapshot, live)] == ["market_info", "initial_feed", "live_feed"]
    assert info.marketInfo.segmentStatus["NSE_EQ"] == pb.NORMAL_OPEN
    assert set(snapshot.feeds) == {TCS, NIFTY}
    assert set(live.feeds) <= {TCS, NIFTY}


@pytest.mark.parametrize("header", [["Authorization: Bearer wrong"], ["Authorization: right"], []])
def test_handshake_when_the_token_is_not_the_right_one_then_401(market: SimulatorServer, header: list[str]) -> None:
    with pytest.raises(websocket.WebSocketBadStatusException) as refused:
        websocket.create_connection(market.feed_url, header=header, timeout=5)
    assert refused.value.status_code == 401


def test_authorize_when_asked_then_names_an_address_that_works_once(market: SimulatorServer) -> None:
    _, body = get(f"{market.rest_url}/v3/feed/market-data-feed/authorize")
    address = body["data"]["authorizedRedirectUri"]
    client = websocket.create_connection(address, timeout=5)
    assert pb.Type.Name(receive(client).type) == "market_info"
    client.shutdown()
    with pytest.raises(websocket.WebSocketBadStatusException) as refused:
        websocket.create_connection(address, timeout=5)
    assert refused.value.status_code == 401


@pytest.mark.parametrize(
    ("path", "token", "status"),
    [
        ("/v2/market/status/NSE", "right", 200),
        ("/v2/market/status/NSE", "wrong", 401),
        ("/v3/feed/market-data-feed/authorize", None, 401),
        ("/v3/historical-candle/intraday/NSE_EQ%7CINE467B01029/minutes/1", None, 200),
        ("/v3/historical-candle/intraday/NSE_EQ%7CNOBODY/minutes/1", None, 400),
        ("/v3/historical-candle/intraday/NSE_EQ%7CINE467B01029/minutes/5", None, 400),
        ("/v2/market/holidays", None, 200),
        ("/v9/nothing", "right", 404),
        ("/healthz", None, 200),
    ],
)
def test_rest_when_called_then_the_status_fits_path_and_token(
    market: SimulatorServer, path: str, token: str | None, status: int
) -> None:
    assert get(market.rest_url + path, token)[0] == status


def test_subscription_when_two_clients_want_different_modes_then_each_gets_its_own(
    script: SimulatorServer, connect: Connect
) -> None:
    wide, narrow = connect(script), connect(script)
    for client in (wide, narrow):
        receive(client)
    ask(wide, "sub", [TCS, INFY], "full")
    receive(wide)
    ask(narrow, "sub", [INFY], "ltpc")
    receive(narrow)
    sent = message(1_765_770_301_000, {TCS: full_feed(101.0, 12, 1_765_770_300_500), INFY: full_feed(51.0, 6, 1_765_770_300_600)})
    script.push(sent)
    everything, part = receive(wide), receive(narrow)
    assert set(everything.feeds) == {TCS, INFY}
    assert everything.feeds[TCS].fullFeed.marketFF.vtt == 12
    assert set(part.feeds) == {INFY}
    assert part.feeds[INFY].ltpc.ltp == 51.0
    assert part.currentTs == 1_765_770_301_000


def test_subscription_when_changed_and_ended_then_follows(script: SimulatorServer, connect: Connect) -> None:
    client = connect(script)
    receive(client)
    ask(client, "sub", [TCS, INFY], "full")
    receive(client)
    ask(client, "change_mode", [TCS], "ltpc")
    assert receive(client).feeds[TCS].WhichOneof("FeedUnion") == "ltpc"
    ask(client, "unsub", [INFY])
    ask(client, "change_mode", [INFY], "full")
    ask(client, "sub", [TCS], "ltpc")
    assert set(receive(client).feeds) == {TCS}
    script.push(message(1_765_770_301_000, {INFY: full_feed(51.0, 6, 1_765_770_300_600)}))
    script.push(message(1_765_770_302_000, {TCS: full_feed(102.0, 14, 1_765_770_301_600)}))
    assert receive(client).feeds[TCS].ltpc.ltp == 102.0


def test_request_when_it_makes_no_sense_then_the_connection_goes_on(script: SimulatorServer, connect: Connect) -> None:
    client = connect(script)
    receive(client)
    for nonsense in (b"\xff", b"[]", b'{"method":"sub"}', b'{"method":"sub","data":{"instrumentKeys":5}}'):
        client.send_binary(nonsense)
    ask(client, "sub", ["NSE_EQ|NOBODY", TCS], "full")
    assert set(receive(client).feeds) == {TCS}


def test_snapshot_when_a_client_comes_back_then_shows_what_happened_meanwhile(script: SimulatorServer, connect: Connect) -> None:
    first = connect(script)
    receive(first)
    ask(first, "sub", [TCS], "full")
    receive(first)
    first.shutdown()
    script.push(message(1_765_770_305_000, {TCS: full_feed(105.0, 40, 1_765_770_304_000)}))
    second = connect(script)
    receive(second)
    ask(second, "sub", [TCS], "full")
    snapshot = receive(second)
    assert (snapshot.type, snapshot.currentTs) == (pb.initial_feed, 1_765_770_305_000)
    assert snapshot.feeds[TCS].fullFeed.marketFF.vtt == 40


def test_tls_when_its_authority_is_trusted_then_connects_and_otherwise_not(tmp_path: Path) -> None:
    source = Recording.of_messages([SNAPSHOT], announce_close=False)
    with SimulatorServer(source, tls_dir=tmp_path / "tls") as server:
        assert server.feed_url.startswith("wss://")
        trusted = {"ca_certs": str(server.ca_file)}
        client = websocket.create_connection(server.feed_url, header=BEARER, timeout=5, sslopt=trusted)
        assert pb.Type.Name(receive(client).type) == "market_info"
        client.close()
        with pytest.raises(ssl.SSLCertVerificationError):
            websocket.create_connection(server.feed_url, header=BEARER, timeout=5)


def test_certificates_when_made_before_then_stay(tmp_path: Path) -> None:
    source = Recording.of_messages([SNAPSHOT])
    first = SimulatorServer(source, tls_dir=tmp_path).ca_file
    assert first is not None
    before = first.read_bytes()
    SimulatorServer(source, tls_dir=tmp_path)
    assert first.read_bytes() == before
    assert (tmp_path / "server.key").stat().st_mode & 0o077 == 0


def test_start_when_not_loopback_without_tls_then_refuses() -> None:
    with pytest.raises(SettingsError, match="SIM_TLS_DIR"), SimulatorServer(Recording.of_messages([SNAPSHOT]), host="0.0.0.0"):
        pass


def test_start_when_the_port_is_taken_then_names_it() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with (
            pytest.raises(SettingsError, match=f"SIM_PORT={port}"),
            SimulatorServer(Recording.of_messages([SNAPSHOT]), port=port),
        ):
            pass


def test_fault_when_handshakes_are_refused_then_so_many_fail(script: SimulatorServer, connect: Connect) -> None:
    script.fail_handshakes(503, 2)
    for _ in range(2):
        with pytest.raises(websocket.WebSocketBadStatusException) as refused:
            connect(script)
        assert refused.value.status_code == 503
    connect(script)
    assert script.handshakes == 3


def test_fault_when_closed_with_a_code_then_the_client_sees_it(script: SimulatorServer, connect: Connect) -> None:
    client = connect(script)
    receive(client)
    closing = threading.Thread(target=script.close_all, args=(4001, "bye"))
    closing.start()
    opcode, data = client.recv_data()
    closing.join()
    assert opcode == websocket.ABNF.OPCODE_CLOSE
    assert int.from_bytes(data[:2]) == 4001


def test_fault_when_reset_then_the_client_gets_a_connection_error(script: SimulatorServer, connect: Connect) -> None:
    client = connect(script)
    receive(client)
    script.reset_all()
    with pytest.raises((ConnectionResetError, websocket.WebSocketConnectionClosedException)):
        client.recv()


def test_fault_when_a_handshake_is_reset_or_closed_after_then_the_next_one_works(
    script: SimulatorServer, connect: Connect
) -> None:
    script.reset_handshakes()
    with pytest.raises((ConnectionResetError, websocket.WebSocketException)):
        connect(script)
    script.accept_then_close(1011)
    client = connect(script)
    assert client.recv_data()[0] == websocket.ABNF.OPCODE_CLOSE
    again = connect(script)
    assert receive(again).type == pb.market_info


def test_fault_when_muted_then_pings_are_answered_and_messages_stop(script: SimulatorServer, connect: Connect) -> None:
    client = connect(script)
    receive(client)
    ask(client, "sub", [TCS], "full")
    receive(client)
    script.mute()
    script.push(message(1_765_770_301_000, {TCS: full_feed(101.0, 12, 1_765_770_300_500)}))
    client.ping("still there?")
    assert client.recv_data(control_frame=True) == (websocket.ABNF.OPCODE_PONG, b"still there?")
    script.mute(False)
    script.push(message(1_765_770_302_000, {TCS: full_feed(102.0, 13, 1_765_770_301_500)}))
    assert receive(client).feeds[TCS].fullFeed.marketFF.vtt == 13


def test_fault_when_frozen_then_even_pings_stay_unanswered(script: SimulatorServer, connect: Connect) -> None:
    client = connect(script)
    receive(client)
    script.freeze()
    client.ping("anyone?")
    client.settimeout(0.3)
    with pytest.raises(websocket.WebSocketTimeoutException):
        client.recv_data(control_frame=True)


def test_fault_when_bytes_text_or_garbage_are_sent_then_they_arrive_as_such(script: SimulatorServer, connect: Connect) -> None:
    client = connect(script)
    receive(client)
    script.send_binary(b"\x00\x01")
    script.send_text("maintenance")
    assert client.recv_data() == (websocket.ABNF.OPCODE_BINARY, b"\x00\x01")
    assert client.recv_data() == (websocket.ABNF.OPCODE_TEXT, b"maintenance")
    script.send_garbage()
    with pytest.raises(websocket.WebSocketException):
        client.recv_data()


def test_fault_when_the_server_goes_down_then_connections_fail_until_it_is_back(
    script: SimulatorServer, connect: Connect
) -> None:
    client = connect(script)
    receive(client)
    closer = threading.Thread(target=script.stop_listening)
    closer.start()
    assert client.recv_data()[0] == websocket.ABNF.OPCODE_CLOSE
    closer.join()
    with pytest.raises(ConnectionRefusedError):
        connect(script)
    script.listen_again()
    connect(script)


class LocalFeeder(MarketDataFeederV3):  # type: ignore[misc]
    """The SDK's feeder with its hard-coded address replaced."""

    url = ""

    def connect(self) -> None:
        bearer = self.api_client.configuration.auth_settings()["OAUTH2"]["value"]
        callbacks = {"on_open": self.on_open, "on_message": self.on_message, "on_error": self.on_error, "on_close": self.on_close}
        self.ws = websocket.WebSocketApp(self.url, header={"Authorization": bearer}, **callbacks)
        self.thread = threading.Thread(target=self.ws.run_forever, kwargs={"ping_interval": 2, "ping_timeout": 1}, daemon=True)
        self.thread.start()


class LocalStreamer(MarketDataStreamerV3):  # type: ignore[misc]
    """The SDK's streamer, built on LocalFeeder."""

    def connect(self) -> None:
        handlers = {"on_open": self.handle_open, "on_message": self.handle_message, "on_error": self.handle_error}
        self.feeder = LocalFeeder(self.api_client, self.instrumentKeys, self.mode, on_close=self.handle_close, **handlers)
        self.feeder.connect()


def test_sdk_when_it_streams_then_decodes_the_messages_in_order(market: SimulatorServer, connect: Connect) -> None:
    configuration = upstox_client.Configuration()
    configuration.access_token = "right"
    LocalFeeder.url = market.feed_url
    streamer = LocalStreamer(upstox_client.ApiClient(configuration), [TCS, NIFTY], "full")
    received: queue.Queue[dict[str, Any]] = queue.Queue()
    streamer.on("message", received.put)
    streamer.connect()
    messages = [received.get(timeout=10) for _ in range(30)]
    streamer.disconnect()
    streamer.feeder.thread.join(10)
    assert [each.get("type") for each in messages[:3]] == ["market_info", None, "live_feed"]
    assert {each["type"] for each in messages[2:]} == {"live_feed"}
    assert set(messages[1]["feeds"]) == {TCS, NIFTY}
    assert "indexFF" in messages[1]["feeds"][NIFTY]["fullFeed"]
    times = [int(each["currentTs"]) for each in messages]
    assert times == sorted(times)
    volumes = [int(each["feeds"][TCS]["fullFeed"]["marketFF"]["vtt"]) for each in messages[1:] if TCS in each["feeds"]]
    assert volumes == sorted(volumes)
    assert volumes[-1] > volumes[0]


def test_recording_when_moved_to_now_then_what_is_due_already_comes_at_once(connect: Connect) -> None:
    start_ms = 1_765_770_300_000
    later = [message(start_ms + ms, {TCS: full_feed(101.0, ms, start_ms + ms)}) for ms in (20_000, 29_000, 50_000)]
    source = Recording.of_messages([SNAPSHOT, *later], times="now", announce_close=False)
    with SimulatorServer(source, token="right", wall_ms=start_ms + 7 * 86_400_000 + 30_000) as server:
        client = connect(server)
        ask(client, "sub", [TCS, INFY], "full")
        times = [0]
        while times[-1] < 29_000:
            times.append(receive(client).currentTs - start_ms - 7 * 86_400_000)
        assert times[-2:] == [20_000, 29_000]
        client.settimeout(0.5)
        with pytest.raises(websocket.WebSocketTimeoutException):
            client.recv()
