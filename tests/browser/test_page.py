"""The page in a real browser, on a made-up market."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.browser.conftest import EVIL, Page, wait_until
from tests.browser.synthetic import NAMES

pytestmark = pytest.mark.browser

TCS, HDFC = tuple(NAMES)[:2]
READY = "return !!(window.orderflow && orderflow.rows && document.querySelector('#of-chart .plot-container') && orderflow.stats)"
NUMBERS = (
    "const pen = document.getElementById('of-numbers').getContext('2d'), found = [];"
    "pen.fillText = function (text, x, y) {"
    " const { width } = this.measureText(text), left = this.textAlign === 'right' ? x - width : x;"
    " if (this.font.includes('monospace')) found.push([text, left, left + width, y, this.font.startsWith('bold')]);"
    " return CanvasRenderingContext2D.prototype.fillText.call(this, text, x, y); };"
    "orderflow.drawNumbers(); delete pen.fillText; return found"
)
"""The numbers of the footprint's cells as they are drawn: text, left, right, height on the canvas, and whether it is bold."""
QUIET = "return !orderflow.older.asking"


def open_page(browser: Any, page: Page, query: str = "") -> None:
    browser.get(f"{page.url}/{query}")
    wait_until(lambda: browser.execute_script(READY), "the chart")
    wait_until(lambda: browser.execute_script(QUIET), "the earlier candles of a young day")


def rows(browser: Any) -> dict[str, list[Any]]:
    return dict(browser.execute_script("return orderflow.rows"))


def click(browser: Any, selector: str) -> None:
    browser.execute_script(f"document.querySelector({json.dumps(selector)}).click()")


def test_page_when_opened_draws_three_panels_without_an_error_in_the_console(browser: Any, page: Page) -> None:
    browser.get_log("browser")  # what earlier tests left there, such as a server that was away
    open_page(browser, page)
    wait_until(lambda: "TCS" in browser.find_element("id", "of-header").text, "the header")
    assert len(browser.find_elements("css selector", "#of-chart .cartesianlayer .xy, #of-chart .xy2, #of-chart .xy3")) >= 3
    assert browser.execute_script("return document.querySelectorAll('#of-watch .row').length") == 4
    assert browser.execute_script("return document.querySelectorAll('#of-depth tr.bid').length") == 5
    severe = [entry["message"] for entry in browser.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")]
    assert severe == []


def test_page_when_trades_come_shows_them_without_reload(browser: Any, page: Page) -> None:
    open_page(browser, page)
    browser.execute_script("window.sameDocument = true")
    before = rows(browser)["total_volume"][-1], browser.find_element("id", "of-tape").text
    wait_until(lambda: rows(browser)["total_volume"][-1] != before[0], "a live candle update")
    wait_until(lambda: browser.find_element("id", "of-tape").text != before[1], "a new line of time and sales")
    wait_until(lambda: browser.execute_script("return orderflow.latency.samples.length") > 3, "latency samples")
    assert browser.execute_script("return window.sameDocument") is True


def test_page_when_an_instrument_is_searched_by_name_shows_it_and_links_to_it(browser: Any, page: Page) -> None:
    open_page(browser, page)
    browser.execute_script(
        "const s=document.getElementById('of-search'); s.focus(); s.value='hdfc bank'; s.dispatchEvent(new Event('input'))"
    )
    wait_until(lambda: browser.find_elements("css selector", ".choice"), "the choices")
    browser.execute_script("document.querySelector('.choice').dispatchEvent(new MouseEvent('mousedown'))")
    wait_until(lambda: browser.find_element("id", "of-symbol").text == "HDFCBANK", "the symbol")
    wait_until(lambda: browser.execute_script("return (orderflow.stats || {}).last > 1000"), "the other instrument's price")
    assert "instrument=NSE_EQ%7CINE040A01034" in browser.current_url
    open_page(browser, page, browser.current_url.partition("/?")[2].join(["?", ""]))
    assert browser.find_element("id", "of-symbol").text == "HDFCBANK"


def test_page_when_the_timeframe_changes_aligns_candles_to_the_session_start(browser: Any, page: Page) -> None:
    open_page(browser, page, "?date=2025-12-12&instrument=" + TCS.replace("|", "%7C"))
    click(browser, '[data-minutes="60"]')
    wait_until(lambda: len(rows(browser)["x"]) == 7, "seven hourly candles")
    starts = [label[11:16] for label in rows(browser)["x"]]
    assert starts == ["09:15", "10:15", "11:15", "12:15", "13:15", "14:15", "15:15"]
    assert rows(browser)["window_end"][-1] == "2025-12-12 15:30:00"


def test_page_when_a_past_date_is_chosen_says_so_and_shows_that_day(browser: Any, page: Page) -> None:
    open_page(browser, page)
    wait_until(lambda: "2025-12-12" in browser.find_element("id", "of-date").text, "the dates")
    browser.execute_script(
        "const p=document.getElementById('of-date'); p.value='2025-12-12'; p.dispatchEvent(new Event('change'))"
    )
    wait_until(lambda: rows(browser)["x"][-1:] == ["2025-12-12 15:29:00"], "the past day's last candle")
    wait_until(lambda: browser.find_elements("css selector", '[data-code="past"]'), "the banner")


def test_page_when_a_past_day_is_replayed_moves_through_it_at_the_chosen_speed(browser: Any, page: Page) -> None:
    open_page(browser, page, "?date=2025-12-12&replay=1&instrument=" + TCS.replace("|", "%7C"))
    wait_until(lambda: browser.find_elements("id", "of-speed"), "the replay bar")
    browser.execute_script("const s=document.getElementById('of-speed'); s.value='120'; s.dispatchEvent(new Event('change'))")
    wait_until(lambda: len(rows(browser)["x"]) >= 4, "the fourth minute")
    click(browser, "#of-play")
    wait_until(lambda: browser.find_element("id", "of-play").get_attribute("data-playing") == "no", "the pause")
    moment = browser.find_element("id", "of-position").get_attribute("value")
    click(browser, '[data-mode="footprint"]')
    wait_until(
        lambda: browser.execute_script("return !orderflow.waiting && orderflow.chart.state.mode === 'footprint'"), "the footprint"
    )
    browser.execute_script("window.states = 0; orderflow.on('message', ({ replay }) => { window.states += Boolean(replay); })")
    page.stop()
    page.start()
    # The bar goes while the day is read again, and comes back.
    again = (
        "const [position, play, speed] = ['position', 'play', 'speed'].map((name) => document.getElementById('of-' + name));"
        "return states > 0 && play && [position.value, play.dataset.playing, speed.value]"
    )
    wait_until(lambda: browser.execute_script(again) == [moment, "no", "120"], "the replay where it stood", 30)


def test_page_when_the_footprint_is_chosen_draws_cells_and_the_forming_column(browser: Any, page: Page) -> None:
    open_page(browser, page)
    click(browser, '[data-mode="footprint"]')
    wait_until(lambda: browser.execute_script("return orderflow.chart.state.mode") == "footprint", "the footprint")
    wait_until(lambda: len(browser.execute_script(NUMBERS)) > 60, "numbers")
    wait_until(
        lambda: browser.execute_script(
            "return orderflow.chart.state.cells.length && orderflow.chart.state.cells[0].levels.length"
        ),
        "cells",
    )


def test_page_when_csv_is_saved_holds_the_shown_candles(browser: Any, page: Page, downloads: Path) -> None:
    open_page(browser, page, "?date=2025-12-12&minutes=15&instrument=" + TCS.replace("|", "%7C"))
    wait_until(lambda: len(rows(browser)["x"]) == 25, "a day of quarter hours")
    click(browser, "#of-csv")
    csv_file = wait_until(lambda: [path for path in downloads.glob("*.csv") if path.stat().st_size], "the download")[0]
    lines = csv_file.read_text().splitlines()
    assert csv_file.name == "TCS_2025-12-12_15m.csv"
    assert len(lines) == 26
    assert lines[1].startswith("NSE_EQ|INE467B01029,TCS,2025-12-12T09:15:00+05:30,2025-12-12T09:30:00+05:30,")


def test_page_when_csv_is_saved_in_the_footprint_holds_its_levels(browser: Any, page: Page) -> None:
    open_page(browser, page, "?mode=footprint&ticks=10&date=2025-12-12&instrument=" + TCS.replace("|", "%7C"))
    wait_until(lambda: rows(browser)["x"][-1:] == ["2025-12-12 15:29:00"], "the day")
    head, *lines = [line.split(",") for line in browser.execute_script("return orderflow.csv()").splitlines()]
    levels = [dict(zip(head, line, strict=True)) for line in lines]
    last = [line for line in levels if line["window_start"] == "2025-12-12T15:29:00+05:30"]
    volumes = ("sell_volume", "buy_volume", "unclassified_volume")
    assert sum(int(line[name]) for line in last for name in volumes) == rows(browser)["total_volume"][-1]
    assert len({line["window_start"] for line in levels}) == 30
    assert all(round(float(line["price"]) * 100) % 50 == 0 for line in levels)  # ten ticks of five paise
    assert {line["imbalance"] for line in levels} >= {"", "buy", "sell"}


def test_page_when_a_picture_is_asked_for_gives_a_png(browser: Any, page: Page) -> None:
    open_page(browser, page)
    size = browser.execute_async_script("const done=arguments[0]; orderflow.png().then(b => done([b.type, b.size]))")
    assert size[0] == "image/png"
    assert size[1] > 20_000


def test_page_when_an_instrument_name_is_markup_shows_it_as_text(browser: Any, page: Page) -> None:
    open_page(
        browser, page, "?instrument=" + EVIL.replace("|", "%7C").replace("<", "%3C").replace(">", "%3E").replace(" ", "%20")
    )
    wait_until(lambda: browser.find_element("id", "of-symbol").text == "<b>EVIL</b>", "the symbol as text")
    assert browser.execute_script(
        "return [window.hacked, document.querySelectorAll('#of-page img, #of-header script').length]"
    ) == [None, 0]


def test_page_when_an_alert_rule_holds_shows_a_toast(browser: Any, page: Page) -> None:
    open_page(browser, page, "?instrument=" + TCS.replace("|", "%7C"))
    click(browser, "#of-alerts")
    browser.execute_script(
        "document.getElementById('of-alert-kind').value='volume'; document.getElementById('of-alert-value').value='0.0001';"
        "document.getElementById('of-alert-add').click()"
    )
    wait_until(lambda: browser.find_elements("css selector", ".toast"), "the toast")
    assert browser.execute_script("return orderflow.alertRules().map((one) => one.kind)") == ["volume"]
    browser.execute_script("localStorage.clear()")


def test_page_when_two_viewers_look_at_different_instruments_keeps_them_apart(browser: Any, page: Page) -> None:
    first = browser.current_window_handle
    open_page(browser, page, "?instrument=" + TCS.replace("|", "%7C"))
    browser.switch_to.new_window("tab")
    open_page(browser, page, "?instrument=" + HDFC.replace("|", "%7C") + "&minutes=5")
    assert browser.execute_script("return orderflow.stats.last") > 1000
    browser.close()
    browser.switch_to.window(first)
    assert browser.execute_script("return orderflow.stats.last") < 1000


def test_page_when_the_server_restarts_reconnects_by_itself(browser: Any, page: Page) -> None:
    open_page(browser, page, "?instrument=" + TCS.replace("|", "%7C"))
    browser.execute_script("window.sameDocument = true")
    page.stop()
    wait_until(lambda: browser.find_elements("css selector", '[data-code="offline"]'), "the banner")
    page.start()
    wait_until(lambda: browser.find_element("id", "of-dot").get_attribute("class") == "open", "the connection")
    before = wait_until(lambda: rows(browser)["total_volume"][-1:], "the day again")
    wait_until(lambda: rows(browser)["total_volume"][-1:] != before, "a live update after the restart")
    assert browser.find_elements("css selector", '[data-code="offline"]') == []
    assert browser.execute_script("return window.sameDocument") is True


@contextmanager
def without_sockets(browser: Any) -> Iterator[None]:
    refusing = (
        "window.WebSocket = class {"
        "  constructor() { this.readyState = 3; setTimeout(() => this.onclose({ code: 1006 }), 0); }"
        "  send() {}"
        "};"
    )
    script = browser.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": refusing})
    try:
        yield
    finally:
        browser.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", {"identifier": script["identifier"]})


def polling(browser: Any) -> bool:
    return bool(browser.find_element("id", "of-dot").get_attribute("class") == "polling")


def test_page_when_no_socket_opens_polls_the_same_view(browser: Any, page: Page) -> None:
    with without_sockets(browser):
        open_page(browser, page, "?instrument=" + TCS.replace("|", "%7C"))
        wait_until(lambda: polling(browser), "the polling")
        before = rows(browser)["total_volume"][-1]
        browser.execute_script(
            "window.states = []; orderflow.on('connection', (state) => window.states.push(state));"
            "window.hellos = 0; orderflow.on('hello', () => window.hellos += 1);"
            "window.figures = 0; orderflow.on('message', (one) => window.figures += one.type === 'whole')"
        )
        wait_until(lambda: rows(browser)["total_volume"][-1] != before, "a polled update")
        script = "return window.figures"
        wait_until(lambda: browser.execute_script(script) >= 4, "four polls, with attempts at a socket between them")
        assert browser.execute_script("return window.states") == []
        assert browser.execute_script("return window.hellos") == 0


def test_page_when_it_polls_and_the_archive_is_away_says_so_until_it_answers(browser: Any, page: Page) -> None:
    def note() -> str:
        return str(browser.find_element("id", "of-note").text)

    with without_sockets(browser):
        open_page(browser, page, "?instrument=" + TCS.replace("|", "%7C"))
        wait_until(lambda: polling(browser), "the polling")
        page.history.away = True
        try:
            browser.execute_script("orderflow.choose({date: '2025-12-10'})")
            wait_until(lambda: note().startswith("HDFS does not answer"), "the reason")
            assert "press L for the running day" in note()
            assert browser.find_element("id", "of-last").text == "–"
            assert polling(browser)
        finally:
            page.history.away = False
        wait_until(lambda: note().startswith("HDFS holds no candles"), "the answer")
