"""What a trader sees while a view loads, stands still, is empty, or is looked at from near and far."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.actions.wheel_input import ScrollOrigin
from selenium.webdriver.common.keys import Keys

from orderflow.dashboard.state.store import clock_ms
from orderflow.market import topics
from orderflow.market.times import ist_date
from tests.browser.conftest import Page, wait_until
from tests.browser.synthetic import NAMES
from tests.browser.test_interaction import axis, chart, pan, point_at
from tests.browser.test_page import NUMBERS, open_page, rows

pytestmark = pytest.mark.browser

TCS, HDFC = tuple(NAMES)[:2]
QUERY = "instrument=" + TCS.replace("|", "%7C")


def press(browser: Any, key: str) -> None:
    browser.find_element("tag name", "body").send_keys(key)


def note(browser: Any) -> str:
    return str(browser.find_element("id", "of-note").text)


def test_switch_when_another_instrument_is_chosen_shows_no_price_of_the_one_before(browser: Any, page: Page) -> None:
    open_page(browser, page, "?" + QUERY)
    shown = browser.execute_script(
        "orderflow.choose({instrument: arguments[0]});"
        "return ['of-symbol', 'of-last', 'of-change'].map((id) => document.getElementById(id).textContent)"
        ".concat(document.documentElement.dataset.loading, document.querySelector('#of-note b').textContent)",
        HDFC,
    )
    assert shown == ["HDFCBANK", "–", "", "yes", "Loading HDFCBANK …"]
    wait_until(lambda: browser.find_element("id", "of-last").text.startswith("1,"), "the other instrument's price")
    assert browser.execute_script("return document.documentElement.dataset.loading") is None
    assert note(browser) == ""


def test_past_day_when_hdfs_is_slow_says_that_it_is_read_and_shows_no_live_price(browser: Any, page: Page) -> None:
    open_page(browser, page, "?" + QUERY)
    page.history.delay = 1.5
    try:
        browser.execute_script("orderflow.choose({date: '2025-12-11'})")
        wait_until(lambda: note(browser) == "Reading 2025-12-11 from HDFS …", "the note")
        assert browser.find_element("id", "of-last").text == "–"
        wait_until(lambda: rows(browser)["x"][-1:] == ["2025-12-11 15:29:00"], "the day")
        wait_until(lambda: note(browser) == "", "the note's end")
        assert browser.find_element("id", "of-last").text != "–"
    finally:
        page.history.delay = 0.0


def test_past_day_when_nothing_is_stored_says_what_to_do_next(browser: Any, page: Page) -> None:
    open_page(browser, page, "?date=2024-01-02&" + QUERY)
    wait_until(lambda: "HDFS holds no candles" in note(browser), "the note")
    assert "press L for the running day" in note(browser)


def test_price_when_the_feed_stalls_is_shown_as_old(browser: Any, page: Page) -> None:
    open_page(browser, page, "?" + QUERY)
    stall = (
        "orderflow.emit('message', {banners: arguments[0]});"
        "return [document.documentElement.hasAttribute('data-stale'),"
        " getComputedStyle(document.getElementById('of-tag')).backgroundColor]"
    )
    stale = browser.execute_script(stall, [{"level": "warning", "code": "stalled", "text": "Feed stalled"}])
    assert stale == [True, "rgb(86, 99, 122)"]
    assert browser.execute_script(stall, [])[0] is False


def test_auction_when_one_runs_then_its_figures_are_shown_until_trading_is_continuous(browser: Any, page: Page) -> None:
    key = "BSE_EQ|INE467B01029"

    def say(phase: str, status: str, **more: Any) -> None:
        now = clock_ms()
        times = {"feed_time_ms": now, "received_time_ms": now, "event_time_ms": now, "trading_date": ist_date(now)}
        tick = {"schema_version": 2, "instrument_key": key, "kind": "update", "sequence": 1, **times}
        assert page.store.apply([(topics.TICKS, {**tick, "session_phase": phase, "segment_status": status, **more})]) == 0

    def banner() -> Any:
        return browser.execute_script(
            "return [...document.querySelectorAll('[data-code=auction]')].map((one) => [one.textContent, one.ariaLive])"
        )

    try:
        say("pre_open", "PRE_OPEN_START", indicative_price=1_541.5, indicative_quantity=150_000, indicative_imbalance=-1_200)
        browser.get(f"{page.url}/?instrument={key.replace('|', '%7C')}")
        words = "Auction: indicative price 1,541.50, quantity 1,50,000, imbalance −1,200."
        wait_until(lambda: banner() == [[words, "off"]], "the auction")
        say("continuous", "NORMAL_OPEN")
        wait_until(lambda: banner() == [], "the auction's end")
    finally:
        browser.get("about:blank")
        with page.store.lock:
            del page.store.instruments[key]


def test_keys_when_pressed_pan_zoom_and_return(browser: Any, page: Page) -> None:
    open_page(browser, page, "?" + QUERY)
    wide = axis(browser)
    press(browser, "+")
    wait_until(lambda: axis(browser)[1] - axis(browser)[0] < 0.9 * (wide[1] - wide[0]), "fewer candles")
    press(browser, Keys.ARROW_LEFT)
    wait_until(lambda: axis(browser)[3] is False, "the pan")
    press(browser, Keys.ARROW_RIGHT)
    press(browser, Keys.ARROW_RIGHT)
    wait_until(lambda: axis(browser)[3] is True, "the newest candle again")
    press(browser, "r")
    wait_until(lambda: abs((axis(browser)[1] - axis(browser)[0]) / (wide[1] - wide[0]) - 1) < 0.05, "the span as it was")


def test_time_axis_when_dragged_zooms_and_double_clicked_is_as_it_was(browser: Any, page: Page) -> None:
    open_page(browser, page, "?" + QUERY)
    wide = axis(browser)
    strip = browser.find_element("id", "of-time-axis")
    ActionChains(browser).move_to_element(strip).click_and_hold().move_by_offset(150, 0).release().perform()
    wait_until(lambda: axis(browser)[1] - axis(browser)[0] < 0.7 * (wide[1] - wide[0]), "fewer candles")
    assert axis(browser)[3] is True
    ActionChains(browser).move_to_element(strip).double_click().perform()
    wait_until(lambda: abs((axis(browser)[1] - axis(browser)[0]) / (wide[1] - wide[0]) - 1) < 0.05, "the span as it was")


def test_chart_when_double_clicked_follows_the_newest_candle(browser: Any, page: Page) -> None:
    open_page(browser, page, "?" + QUERY)
    pan(browser, 300)
    assert axis(browser)[3] is False
    ActionChains(browser).move_to_element_with_offset(chart(browser), -100, -100).double_click().perform()
    wait_until(lambda: axis(browser)[3] is True, "the newest candle")


def test_panes_when_a_candle_is_pointed_at_show_its_values(browser: Any, page: Page) -> None:
    open_page(browser, page, "?" + QUERY)
    browser.execute_script(
        "window.written = []; const write = CanvasRenderingContext2D.prototype.fillText;"
        "CanvasRenderingContext2D.prototype.fillText = function (text, ...at) {"
        " window.written.push(text); return write.call(this, text, ...at); };"
    )
    point_at(browser, 20)
    expected = browser.execute_script(
        "const i = orderflow.rows.x.length - 21; return orderflow.short(orderflow.rows.total_volume[i])"
    )
    wait_until(lambda: expected in browser.execute_script("return written"), "the volume of the pointed candle")
    assert "% bought" in " ".join(browser.execute_script("return written"))


def test_statistics_when_hovered_explain_their_terms(browser: Any, page: Page) -> None:
    open_page(browser, page, "?" + QUERY)
    without = browser.execute_script(
        "return [...document.querySelectorAll('#of-stats dt')].filter((one) => !one.title).map((one) => one.textContent)"
    )
    assert without == []


PAST = "?mode=footprint&date=2025-12-12&" + QUERY
IN_VIEW = (
    "const { x, price } = orderflow.plot(), inside = (value, [from, to]) => value > from && value < to;"
    "const seen = orderflow.columns().filter(({ column }) => inside(column, x.range)).flatMap(({ cell }) => cell.levels);"
    "return seen.filter((level) => inside(level[0], price.range))"
)


def test_footprint_when_its_numbers_are_drawn_shows_each_level_s_volumes_beside_each_other(browser: Any, page: Page) -> None:
    open_page(browser, page, PAST)
    wait_until(lambda: len(browser.execute_script(NUMBERS)) > 60, "numbers")
    drawn = browser.execute_script(NUMBERS)
    levels = browser.execute_script(IN_VIEW)
    assert len(levels) > 30
    shown = [(text, bold) for text, _, _, _, bold in drawn if not text.startswith(("?", "◂"))]
    for _, sell, buy, _, strong in levels:
        assert (str(sell), bool(strong & 2)) in shown
        assert (str(buy), bool(strong & 1)) in shown
    boxes = sorted((round(top), left, right) for _, left, right, top, _ in drawn)
    overlaps = [(one, other) for one, other in pairwise(boxes) if one[0] == other[0] and other[1] < one[2] - 1]
    assert overlaps == []
    assert any(bold for _, bold in shown)


def test_footprint_when_seen_from_far_shades_levels_instead_of_numbers_that_would_overlap(browser: Any, page: Page) -> None:
    open_page(browser, page, PAST)
    wait_until(lambda: len(browser.execute_script(NUMBERS)) > 60, "numbers")
    for _ in range(8):
        ActionChains(browser).scroll_from_origin(ScrollOrigin.from_element(chart(browser), 0, -100), 0, 240).perform()
    wait_until(lambda: browser.execute_script("return orderflow.chart.style.form") == "heat", "the far view")
    assert browser.execute_script(NUMBERS) == []
    drawn = browser.execute_script(
        "const c = document.getElementById('of-numbers'), d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data;"
        "let n = 0; for (let i = 3; i < d.length; i += 4) if (d[i]) n += 1; return n"
    )
    assert drawn > 5_000


def test_page_when_loaded_marks_the_first_chart_and_reads_a_third_of_plotly(browser: Any, page: Page) -> None:
    open_page(browser, page)
    assert browser.execute_script("return performance.getEntriesByName('orderflow.first_chart').length") == 1
    sizes = browser.execute_script(
        "return performance.getEntriesByType('resource').filter((one) => one.name.includes('/plotly.min.js'))"
        ".map((one) => one.decodedBodySize)"
    )
    assert len(sizes) == 1
    assert sizes[0] < 1_500_000
