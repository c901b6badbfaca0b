"""The streamer's start line, with the market's status from the simulator."""

from __future__ import annotations

import logging
import socket
from collections.abc import Iterator

import pytest

from orderflow.simulator.catalogue import choose
from orderflow.simulator.in_process import SimulatorServer
from orderflow.simulator.market_model import MarketModel
from orderflow.upstox.startup import announce, exchange_of, market_statuses, start_line
from orderflow.upstox.token import Token

TCS = "NSE_EQ|INE467B01029"
NIFTY = "NSE_INDEX|Nifty 50"
HALF_PAST_THREE = 1_765_836_000_000  # 16 December 2025, 03:30 IST


@pytest.fixture(scope="module")
def upstox() -> Iterator[SimulatorServer]:
    with SimulatorServer(MarketModel(choose(TCS)), token="right") as server:
        yield server


def test_start_line_when_all_is_known_then_says_modes_token_and_market() -> None:
    assert start_line({TCS: "full", NIFTY: "ltpc"}, Token("secret", HALF_PAST_THREE), {"NSE": "NORMAL_OPEN"}) == (
        "subscribing to 1 instrument in mode full (NSE_EQ|INE467B01029); 1 instrument in mode ltpc (NSE_INDEX|Nifty 50); "
        "the access token lasts until 16 December 2025, 03:30 IST; market status by REST: NSE NORMAL_OPEN"
    )


def test_start_line_when_there_is_no_token_then_says_so() -> None:
    assert start_line({TCS: "full"}, None, {}).endswith("there is no access token; market status by REST: not asked for")


def test_start_line_when_there_are_many_instruments_then_names_twenty_and_counts_the_rest() -> None:
    line = start_line({f"NSE_EQ|{number}": "full" for number in range(23)}, Token("opaque", None), {})
    assert line.startswith("subscribing to 23 instruments in mode full (NSE_EQ|0, NSE_EQ|1, ")
    assert "NSE_EQ|19 and 3 more); the access token lasts until an unknown time" in line


@pytest.mark.parametrize(
    ("key", "exchange"),
    [
        (TCS, "NSE"),
        (NIFTY, "NSE"),
        ("NSE_FO|53001", "NFO"),
        ("BSE_EQ|INE467B01029", "BSE"),
        ("BSE_FO|1", "BFO"),
        ("NCD_FO|1", "CDS"),
        ("BCD_FO|1", "BCD"),
        ("MCX_FO|1", "MCX"),
    ],
)
def test_exchange_when_the_key_has_a_segment_then_the_name_upstox_uses(key: str, exchange: str) -> None:
    assert exchange_of(key) == exchange


def test_status_when_asked_for_then_each_exchange_once(upstox: SimulatorServer) -> None:
    modes = {TCS: "full", NIFTY: "full", "NSE_FO|53001": "full"}
    assert market_statuses(modes, Token("right"), upstox.rest_url, None) == {"NFO": "NORMAL_OPEN", "NSE": "NORMAL_OPEN"}


def test_status_when_it_cannot_be_had_then_unknown_with_the_cause(upstox: SimulatorServer) -> None:
    assert market_statuses({TCS: "full"}, Token("wrong"), upstox.rest_url, None) == {"NSE": "unknown (HTTP 401)"}
    assert market_statuses({TCS: "full"}, None, upstox.rest_url, None) == {}
    in_the_clear = market_statuses({TCS: "full"}, Token("right"), "http://example.com", None)
    assert in_the_clear["NSE"].startswith("unknown (UPSTOX_REST_URL='http://example.com' is neither https://")
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{closed.getsockname()[1]}"
        assert market_statuses({TCS: "full"}, Token("right"), address, None) == {"NSE": "unknown (MaxRetryError)"}


def test_announce_when_started_then_logs_the_line_once_without_the_token(
    upstox: SimulatorServer, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "orderflow.upstox.startup"):
        announce({TCS: "full"}, Token("right", HALF_PAST_THREE), upstox.rest_url, None).join(10)
    said = [record.getMessage() for record in caplog.records if record.name == "orderflow.upstox.startup"]
    assert said == [
        f"subscribing to 1 instrument in mode full ({TCS}); the access token lasts until 16 December 2025, 03:30 IST; "
        "market status by REST: NSE NORMAL_OPEN"
    ]
