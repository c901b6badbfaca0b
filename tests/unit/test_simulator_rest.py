"""The REST calls beside the feed, by the real SDK."""

from __future__ import annotations

import datetime as dt
import gzip
import json
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest
import upstox_client
from upstox_client.feeder.proto import MarketDataFeedV3_pb2 as pb
from upstox_client.rest import ApiException

from orderflow.simulator.catalogue import choose
from orderflow.simulator.in_process import SimulatorServer
from orderflow.simulator.market_model import MarketModel

TCS = "NSE_EQ|INE467B01029"
NIFTY = "NSE_INDEX|Nifty 50"
NINE_FIFTEEN = 1_765_770_300_000


@pytest.fixture(scope="module")
def server() -> Iterator[SimulatorServer]:
    with SimulatorServer(MarketModel(choose(f"{TCS},{NIFTY}")), token="right", wall_ms=NINE_FIFTEEN + 7_212_345) as running:
        yield running


@pytest.fixture
def client(server: SimulatorServer) -> Any:
    configuration = upstox_client.Configuration()
    configuration.host = server.rest_url
    configuration.access_token = "right"
    return upstox_client.ApiClient(configuration)


def test_intraday_when_the_market_is_open_then_newest_first_and_joined_to_the_feeds_bar(
    client: Any, server: SimulatorServer
) -> None:
    candles = upstox_client.HistoryV3Api(client).get_intra_day_candle_data(TCS, "minutes", "1").data.candles
    starts = [dt.datetime.fromisoformat(row[0]) for row in candles]
    assert len(candles) == 60
    assert starts == sorted(starts, reverse=True)
    assert starts[0].utcoffset() == dt.timedelta(hours=5, minutes=30)
    assert all(len(row) == 7 and row[3] <= min(row[1], row[4]) <= max(row[1], row[4]) <= row[2] and row[5] > 0 for row in candles)
    shown = server.source.minute_candles(TCS, int(starts[0].timestamp()) * 1000, int(starts[0].timestamp()) * 1000 + 1)
    assert [list(bar[1:]) for bar in shown] == [candles[0][1:6]]


def test_history_when_two_weeks_of_days_are_asked_for_then_ends_at_the_previous_close(
    client: Any, server: SimulatorServer
) -> None:
    rows = (
        upstox_client.HistoryV3Api(client)
        .get_historical_candle_data1(NIFTY, "minutes", "1", "2025-12-15", "2025-12-01")
        .data.candles
    )
    days = [f"2025-12-{day:02}" for day in (12, 11, 10, 9, 8, 5, 4, 3, 2, 1)]
    assert [row[0][:10] for row in rows] == [day for day in days for _ in range(375)]
    assert all(row[5] == 0 for row in rows)
    shown = pb.FeedResponse.FromString(server.source.entry(NIFTY, "ltpc") or b"").feeds[NIFTY].ltpc.cp
    assert rows[0][4] == shown


def test_history_when_more_than_a_month_of_minutes_is_asked_for_then_400(client: Any) -> None:
    with pytest.raises(ApiException) as refused:
        upstox_client.HistoryV3Api(client).get_historical_candle_data1(TCS, "minutes", "1", "2025-12-15", "2025-10-01")
    assert refused.value.status == 400


def test_calendar_calls_when_made_by_the_sdk_then_parse(client: Any) -> None:
    calendar = upstox_client.MarketHolidaysAndTimingsApi(client)
    assert calendar.get_market_status("NSE").data.status == "NORMAL_OPEN"
    assert {"NSE", "BSE"} <= {row.exchange for row in calendar.get_exchange_timings("2025-12-15").data}
    assert calendar.get_exchange_timings("2025-12-14").data == []
    assert calendar.get_holiday("2025-12-25").data[0].holiday_type == "TRADING_HOLIDAY"


def test_master_when_fetched_without_a_token_then_has_upstoxs_fields(server: SimulatorServer) -> None:
    with urllib.request.urlopen(f"{server.rest_url}/instruments/complete.json.gz", timeout=5) as response:
        rows = json.loads(gzip.decompress(response.read()))
    stock = {row["instrument_key"]: row for row in rows}[TCS]
    assert (stock["trading_symbol"], stock["isin"], stock["lot_size"], stock["tick_size"]) == ("TCS", "INE467B01029", 1, 10.0)
    wanted = {
        "segment",
        "name",
        "exchange",
        "isin",
        "instrument_type",
        "lot_size",
        "freeze_quantity",
        "exchange_token",
        "short_name",
    }
    assert wanted <= stock.keys()
