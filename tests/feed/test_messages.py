"""Messages that no good server sends: what is wrong is reported, and the feed goes on."""

from __future__ import annotations

import base64
from collections.abc import Callable

import pytest

from orderflow.market.tick import BookLevel
from orderflow.simulator.in_process import SimulatorServer
from tests.feed.rig import INFY, NIFTY, TCS, TEN, Rig, full, message, push, wire


def reasons(rig: Rig) -> list[str]:
    return [reject["reason"] for reject in rig.sink.rejects]


def test_feed_when_messages_are_broken_then_rejected_and_the_next_is_read(server: SimulatorServer) -> None:
    sound = wire(message(TEN + 500, {TCS: full(1005, TEN + 500)}))
    with Rig(server.feed_url) as rig:
        rig.wait_for(lambda: rig.last_vtt() == 1000, "the snapshot")
        server.send_binary(sound[:-30])
        server.send_text("hello")
        server.send_binary(b"")
        server.send_binary(sound + bytes([0xFA, 0x07, 0x03]) + b"new")
        rig.wait_for(lambda: rig.last_vtt() == 1005, "the message with an unknown field")
        push(server, 1010, TEN + 1000)
        rig.wait_for(lambda: rig.last_vtt() == 1010, "the next update")
        assert reasons(rig) == ["bad_protobuf", "text_frame", "empty_message"]
        assert base64.b64decode(rig.sink.rejects[0]["payload"]) == sound[:-30]
        assert server.handshakes == 1
        rig.assert_volume_exact()


def test_feed_when_twenty_megabytes_of_garbage_come_then_one_reject_of_bounded_size(server: SimulatorServer) -> None:
    with Rig(server.feed_url) as rig:
        rig.wait_for(lambda: rig.last_vtt() == 1000, "the snapshot")
        server.send_binary(b"\xff" * 20_000_000)
        push(server, 1010, TEN + 1000)
        rig.wait_for(lambda: rig.last_vtt() == 1010, "the next update")
        assert reasons(rig) == ["bad_protobuf"]
        assert len(rig.sink.rejects[0]["payload"]) < 720_000


INDEX = {"fullFeed": {"indexFF": {"ltpc": {"ltp": 26000.0, "ltt": str(TEN + 400), "cp": 25900.0}}}, "requestMode": "full_d5"}
DEPTH_ONLY = {
    "fullFeed": {"marketFF": {"marketLevel": {"bidAskQuote": [{"bidQ": "5", "bidP": 99.0, "askQ": "5", "askP": 99.5}]}}}
}
CROSSED = full(1003, TEN + 500, marketLevel={"bidAskQuote": [{"bidQ": "5", "bidP": 101.0, "askQ": "5", "askP": 99.0}]})
PRICELESS = full(1004, TEN + 500, marketLevel={"bidAskQuote": [{"bidQ": "5", "askQ": "7"}]})


@pytest.mark.parametrize(
    ("feeds", "seen"),
    [
        ({NIFTY: INDEX}, lambda rig: rig.ticks(NIFTY)[0].ltp == 26000.0),
        ({TCS: DEPTH_ONLY}, lambda rig: rig.ticks(TCS)[-1].bid[0].price == 99.0 and rig.ticks(TCS)[-1].vtt is None),
        ({TCS: CROSSED}, lambda rig: rig.ticks(TCS)[-1].traded_volume == 3),
        ({TCS: PRICELESS}, lambda rig: rig.ticks(TCS)[-1].bid[0] == BookLevel(None, 5) and rig.ticks(TCS)[-1].traded_volume == 4),
    ],
)
def test_feed_when_parts_are_missing_then_what_is_there_is_used(
    server: SimulatorServer, feeds: dict[str, dict[str, object]], seen: Callable[[Rig], bool]
) -> None:
    with Rig(server.feed_url, keys=(TCS, INFY, NIFTY)) as rig:
        rig.wait_for(lambda: rig.last_vtt() == 1000, "the snapshot")
        server.send_binary(wire(message(TEN + 500, feeds)))
        rig.wait_for(lambda: len(rig.sink.ticks) == 3, "the odd message")
        assert seen(rig)
        push(server, 1010, TEN + 1000)
        rig.wait_for(lambda: rig.last_vtt() == 1010, "the next update")
        assert rig.sink.rejects == []
        rig.assert_volume_exact()


def test_feed_when_vtt_goes_backwards_then_out_of_order_is_reported_and_nothing_is_doubled(server: SimulatorServer) -> None:
    with Rig(server.feed_url) as rig:
        rig.wait_for(lambda: rig.last_vtt() == 1000, "the snapshot")
        for vtt in (1010, 1004, 1020):
            push(server, vtt, TEN + vtt)
        rig.wait_for(lambda: rig.last_vtt() == 1020, "the updates")
        assert [tick.traded_volume for tick in rig.ticks(TCS)] == [None, 10, 0, 10]
        assert rig.event_names().count("out_of_order") == 1
        rig.assert_volume_exact()


def test_feed_when_other_instruments_come_too_then_ignored(server: SimulatorServer) -> None:
    with Rig(server.feed_url) as rig:
        rig.wait_for(lambda: rig.last_vtt() == 1000, "the snapshot")
        server.send_binary(wire(message(TEN + 500, {"NSE_EQ|OTHER": full(9, TEN), TCS: full(1007, TEN + 500)})))
        rig.wait_for(lambda: rig.last_vtt() == 1007, "the update")
        assert {tick.instrument_key for tick in rig.sink.ticks} == {TCS, INFY}
