"""A page whose records begin in mid-session: what is the exchange's, what is ours, and what share of the day ours cover."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from orderflow.dashboard.state.store import clock_ms
from orderflow.market import topics
from orderflow.market.times import iso_from_ms, ist_date
from tests.browser.conftest import Page, wait_until
from tests.browser.test_page import open_page

pytestmark = pytest.mark.browser

KEY = "NSE_EQ|INE237A01028"
PAIR = "NCD_FO|14366"
MINUTE = 60_000
FETCHED, SEEN = 3, 2


def candle(start_ms: int, volume: int, **more: Any) -> tuple[str, dict[str, Any]]:
    edges = {"window_start": iso_from_ms(start_ms), "window_end": iso_from_ms(start_ms + MINUTE), "instrument": KEY}
    prices = {"open": 100.0, "high": 101.0, "low": 99.0, "close": 100.0, "vwap": None}
    sides = {"buy_volume": 0, "sell_volume": 0, "unclassified_volume": volume, "delta": 0, "total_volume": volume}
    record = {**edges, **prices, **sides, "window_minutes": 1, "tick_volume": 0, "tick_count": 0, "exchange_bar": True}
    return topics.ORDERFLOW, {**record, "gap": False, "source": "stream", **more}


def tick(key: str, start_ms: int, **more: Any) -> tuple[str, dict[str, Any]]:
    now = clock_ms()
    times = {"feed_time_ms": now, "received_time_ms": now, "event_time_ms": now, "trading_date": ist_date(start_ms)}
    session = {"session_start_ms": start_ms, "session_end_ms": start_ms + 375 * MINUTE, "segment_status": "NORMAL_OPEN"}
    record = {"schema_version": 2, "instrument_key": key, "kind": "update", "sequence": 1, **times, **session}
    return topics.TICKS, {**record, "session_phase": "continuous", **more}


@pytest.fixture
def start_ms(page: Page, browser: Any) -> Iterator[int]:
    """Give the store three minutes of the exchange, then two of ours: 1,000 of 4,000 shares were seen."""
    begin = clock_ms() // MINUTE * MINUTE - 10 * MINUTE
    fetched = [candle(begin + number * MINUTE, 900, source="exchange") for number in range(FETCHED)]
    ours = {"buy_volume": 300, "sell_volume": 200, "unclassified_volume": 0, "delta": 100, "tick_volume": 500, "tick_count": 9}
    seen = [candle(begin + (FETCHED + number) * MINUTE, 500, **ours) for number in range(SEEN)]
    last = tick(KEY, begin, ltp=100.5, ltt_ms=begin + 5 * MINUTE, vtt=4_000, atp=100.25, close_price=98.0)
    assert page.store.apply([*fetched, *seen, last]) == 0
    yield begin
    browser.get("about:blank")
    with page.store.lock:
        for key in (KEY, PAIR):
            page.store.instruments.pop(key, None)


def test_page_when_it_starts_in_mid_session_says_what_share_of_the_day_it_saw(browser: Any, page: Page, start_ms: int) -> None:
    open_page(browser, page, "?instrument=" + KEY.replace("|", "%7C"))
    stats = (
        "return Object.fromEntries([...document.querySelectorAll('#of-stats dt')]"
        ".map((one) => [one.textContent, [one.nextSibling.textContent, one.nextSibling.className.trim()]]))"
    )
    statistics = {name: tuple(shown) for name, shown in browser.execute_script(stats).items()}
    since = iso_from_ms(start_ms + FETCHED * MINUTE)[11:16]
    assert statistics["Seen"] == (f"25 % of volume, since {since}", "warn wide")
    assert (statistics["Volume"][0], statistics["VWAP"][0], statistics["Buy"][0], statistics["CVD"][0]) == (
        "4,000",
        "100.25",
        "600",
        "+200",
    )


def test_legend_when_a_minute_is_the_exchange_s_says_that_it_has_no_sides(browser: Any, page: Page, start_ms: int) -> None:
    open_page(browser, page, "?instrument=" + KEY.replace("|", "%7C"))
    state = "return document.querySelector('#of-legend .state').textContent"
    assert browser.execute_script(state).startswith("final, exchange's bar")
    for _ in range(SEEN):
        browser.find_element("tag name", "body").send_keys(",")
    assert browser.execute_script(state).startswith("the exchange's minute bar, from before the first update: no buy/sell split")
    when = browser.execute_script("return document.querySelector('#of-legend .when').textContent")
    assert when.startswith(iso_from_ms(start_ms + (FETCHED - 1) * MINUTE)[11:16])


def test_legend_when_a_candle_is_of_the_closing_auction_says_so(browser: Any, page: Page, start_ms: int) -> None:
    sold = {"session_phase": "closing_auction", "auction_volume": 700, "exchange_bar": False}
    assert page.store.apply([candle(start_ms + 8 * MINUTE, 700, **sold)]) == 0
    open_page(browser, page, "?instrument=" + KEY.replace("|", "%7C"))
    state = browser.execute_script("return document.querySelector('#of-legend .state').textContent")
    assert state.startswith("closing auction · final, from ticks")


def test_auction_when_a_pair_is_in_it_has_the_pair_s_decimals(browser: Any, page: Page, start_ms: int) -> None:
    auction = {"session_phase": "pre_open", "segment_status": "PRE_OPEN_START", "indicative_price": 90.4275}
    assert page.store.apply([tick(PAIR, start_ms, **auction, indicative_quantity=1_00_000)]) == 0
    browser.get(f"{page.url}/?instrument={PAIR.replace('|', '%7C')}")
    words = "Auction: indicative price 90.4275, quantity 1,00,000."
    said = "return [...document.querySelectorAll('[data-code=auction]')].map((one) => one.textContent)"
    wait_until(lambda: browser.execute_script(said) == [words], "the auction with four decimals")
