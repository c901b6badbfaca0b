"""The HTTP endpoints of a served dashboard, without a browser."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

import pytest

from tests.browser.conftest import EVIL, Page, wait_until
from tests.browser.synthetic import NAMES

TCS = next(iter(NAMES))


def get(page: Page, path: str, **query: Any) -> Any:
    with urllib.request.urlopen(f"{page.url}{path}?{urlencode(query)}", timeout=10) as answer:
        body = answer.read().decode()
    return json.loads(body) if answer.headers["Content-Type"].startswith("application/json") else body


def test_healthz_when_records_come_says_ok_and_counts_them(page: Page) -> None:
    health = get(page, "/healthz")
    assert (health["status"], health["kafka"], health["caught_up"]) == ("ok", "connected", True)
    assert health["records"]["upstox_orderflow"] > 100


def test_healthz_when_the_source_fails_answers_503_with_the_reason(page: Page) -> None:
    page.store.report_source("no broker answers", caught_up=True)
    try:
        with pytest.raises(urllib.error.HTTPError) as caught:
            get(page, "/healthz")
    finally:
        page.store.report_source(None, caught_up=True)
    assert caught.value.code == 503
    assert json.load(caught.value)["kafka"] == "no broker answers"


def test_metrics_when_asked_are_in_prometheus_format(page: Page) -> None:
    assert 'dashboard_records_total{topic="upstox_orderflow"}' in get(page, "/metrics")


def test_instruments_when_asked_have_symbol_and_name(page: Page) -> None:
    listed = {listing["key"]: (listing["symbol"], listing["name"]) for listing in get(page, "/api/instruments")}
    assert listed[TCS] == ("TCS", "Tata Consultancy Services")
    assert listed[EVIL][0] == "<b>EVIL</b>"


def test_candles_when_a_past_day_is_asked_for_in_quarter_hours_add_up_to_its_minutes(page: Page) -> None:
    minutes = get(page, "/api/candles", instrument=TCS, date="2025-12-12")
    quarters = get(page, "/api/candles", instrument=TCS, date="2025-12-12", n=15)
    assert (len(minutes), len(quarters)) == (375, 25)
    assert sum(candle["total_volume"] for candle in minutes) == sum(candle["total_volume"] for candle in quarters)
    assert quarters[0]["window_start"] == "2025-12-12T09:15:00+05:30"
    assert quarters[0]["high"] == max(candle["high"] for candle in minutes[:15])
    assert quarters[-1]["forming"] is False
    assert quarters[-1]["cvd"] == sum(candle["delta"] for candle in minutes)


def test_footprint_when_asked_adds_up_to_the_candles(page: Page) -> None:
    levels = get(page, "/api/footprint", instrument=TCS, date="2025-12-12", n=375)
    candles = get(page, "/api/candles", instrument=TCS, date="2025-12-12", n=375)
    assert sum(level["buy_volume"] for level in levels) == candles[0]["buy_volume"]
    assert sum(level["sell_volume"] for level in levels) == candles[0]["sell_volume"]


def test_candles_when_live_end_with_a_forming_one(page: Page) -> None:
    candles = get(page, "/api/candles", instrument=TCS)
    assert candles[-1]["forming"] is True
    assert all(not candle["forming"] for candle in candles[:-1])


def test_trades_when_limited_are_the_newest(page: Page) -> None:
    trades = wait_until(lambda: get(page, "/api/trades", instrument=TCS, limit=3)[2:], "three trades") and get(
        page, "/api/trades", instrument=TCS, limit=2
    )
    assert len(trades) == 2
    assert trades[0]["event_time_ms"] <= trades[1]["event_time_ms"]
    assert all(trade["buy_volume"] + trade["sell_volume"] + trade["unclassified_volume"] == trade["volume"] for trade in trades)


def test_candles_when_the_instrument_is_unknown_are_none(page: Page) -> None:
    assert get(page, "/api/candles", instrument="NSE_EQ|NOTHING") == []
    assert get(page, "/api/candles", instrument=TCS, date="2001-01-01") == []


def test_view_when_polled_gives_the_whole_view(page: Page) -> None:
    hello, whole = get(page, "/api/view", instrument=TCS, minutes=5)
    assert (hello["type"], whole["type"], whole["view"]["minutes"]) == ("hello", "whole", 5)


def test_dates_when_asked_are_those_of_the_archive(page: Page) -> None:
    assert get(page, "/api/dates") == ["2025-12-11", "2025-12-12"]


def test_page_when_served_loads_nothing_from_another_host(page: Page) -> None:
    html = get(page, "/")
    assert "http://" not in html.replace("http://www.w3.org", "")
    assert "https://" not in html


def test_older_when_the_running_day_is_used_up_gives_the_stored_session_before_it(page: Page) -> None:
    first = get(page, "/api/candles", instrument=TCS)[0]["window_start"]
    before = int(datetime.fromisoformat(first).timestamp() * 1000)
    older = get(page, "/api/older", instrument=TCS, before=before)
    assert (older["date"], older["live"], older["from"]) == ("2025-12-12", False, "2025-12-12 09:15:00")
    assert len(older["facts"]["x"]) == len(older["facts"]["close"]) == 375
    again = get(page, "/api/older", instrument=TCS, before=before + 600_000, count=3)
    assert (again["live"], again["more"], len(again["facts"]["x"])) == (True, True, 3)
