"""What a hand does to the chart and to alerts, in a real browser."""

from __future__ import annotations

from typing import Any

import pytest
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.actions.wheel_input import ScrollOrigin

from tests.browser.conftest import Page, wait_until
from tests.browser.synthetic import NAMES
from tests.browser.test_page import click, open_page

pytestmark = pytest.mark.browser

TCS, HDFC = tuple(NAMES)[:2]
AXIS = (
    "const { range } = orderflow.plot().x, t = orderflow.times(), at = t[t.length - 1];"
    "return [...range, at, orderflow.isFollowing()]"
)


def axis(browser: Any) -> tuple[float, float, float, bool]:
    low, high, newest, following = browser.execute_script(AXIS)
    return low, high, newest, following


def chart(browser: Any) -> Any:
    return browser.find_element("id", "of-chart")


def pan(browser: Any, pixels: int) -> None:
    before = axis(browser)
    drag = ActionChains(browser).move_to_element_with_offset(chart(browser), -50, -100).click_and_hold()
    drag.move_by_offset(pixels, 0).release().perform()
    wait_until(lambda: axis(browser)[0] != before[0], "the panned axis")


def point_at(browser: Any, from_newest: int) -> str:
    """Move the pointer onto a candle, counted from the newest; return its label."""
    x, width, height, label = browser.execute_script(
        "const { x } = orderflow.plot(), t = orderflow.times(), i = t.length - 1 - arguments[0];"
        "const d = orderflow.chart.div; return [x.at(t[i]), d.clientWidth, d.clientHeight, orderflow.rows.x[i]]",
        from_newest,
    )
    ActionChains(browser).move_to_element_with_offset(chart(browser), round(x - width / 2), round(-height / 5)).perform()
    return str(label)


def rules(browser: Any) -> list[dict[str, Any]]:
    return list(browser.execute_script("return orderflow.alertRules()"))


def add_rule(browser: Any, kind: str, value: str) -> None:
    click(browser, "#of-alerts")
    browser.execute_script(
        "const k = document.getElementById('of-alert-kind'); k.value = arguments[0]; k.dispatchEvent(new Event('change'));"
        "document.getElementById('of-alert-value').value = arguments[1]; document.getElementById('of-alert-add').click()",
        kind,
        value,
    )


def close_dialog(browser: Any) -> None:
    browser.execute_script("document.querySelector('dialog').close()")
    wait_until(lambda: not browser.find_elements("css selector", "dialog"), "the closed dialog")


def test_chart_when_another_instrument_is_chosen_after_a_pan_shows_its_newest_candle(browser: Any, page: Page) -> None:
    open_page(browser, page, "?instrument=" + TCS.replace("|", "%7C"))
    pan(browser, 400)
    assert axis(browser)[1] < axis(browser)[2]
    browser.execute_script("orderflow.choose({instrument: arguments[0]})", HDFC)
    wait_until(lambda: browser.execute_script("return (orderflow.stats || {}).last > 1000"), "the other instrument")
    low, high, newest, following = wait_until(lambda: (axis(browser)[3] and axis(browser)) or None, "following")
    assert low < newest < high
    assert following is True


def test_chart_when_newest_is_asked_for_after_a_pan_returns_to_it(browser: Any, page: Page) -> None:
    open_page(browser, page, "?instrument=" + TCS.replace("|", "%7C"))
    pan(browser, 400)
    click(browser, "#of-newest")
    wait_until(lambda: axis(browser)[0] < axis(browser)[2] < axis(browser)[1], "the newest candle in view")


def test_chart_when_panned_keeps_the_view_over_live_updates(browser: Any, page: Page) -> None:
    open_page(browser, page, "?instrument=" + TCS.replace("|", "%7C"))
    pan(browser, 300)
    before = axis(browser)[:2], browser.execute_script("return orderflow.rows.total_volume.at(-1)")
    wait_until(lambda: browser.execute_script("return orderflow.rows.total_volume.at(-1)") != before[1], "a live update")
    assert axis(browser)[:2] == before[0]


@pytest.mark.parametrize("from_newest", [0, 1, 2, 20])
def test_legend_when_a_candle_is_pointed_at_shows_that_candle(browser: Any, page: Page, from_newest: int) -> None:
    open_page(browser, page, "?instrument=" + TCS.replace("|", "%7C"))
    label = point_at(browser, from_newest)
    wait_until(lambda: browser.find_element("css selector", "#of-legend .when").text.startswith(label[11:16]), "the legend")
    assert browser.find_element("id", "of-cross-time").text == label[11:16]
    price = float(browser.find_element("id", "of-cross-level").text.replace(",", ""))
    assert round(price * 100) % 5 == 0
    low, high = browser.execute_script("return orderflow.plot().price.range")
    assert low <= price <= high


def test_legend_when_the_pointer_leaves_shows_the_newest_candle_and_no_crosshair(browser: Any, page: Page) -> None:
    open_page(browser, page, "?instrument=" + TCS.replace("|", "%7C"))
    point_at(browser, 20)
    ActionChains(browser).move_to_element(browser.find_element("id", "of-header")).perform()
    newest = browser.execute_script("return orderflow.rows.x.at(-1)")[11:16]
    wait_until(lambda: browser.find_element("css selector", "#of-legend .when").text.startswith(newest), "the newest candle")
    assert browser.execute_script("return [...document.querySelectorAll('.cross')].every((one) => one.hidden)") is True


def test_legend_when_a_footprint_column_is_pointed_at_shows_its_candle(browser: Any, page: Page) -> None:
    open_page(browser, page, "?mode=footprint&date=2025-12-12&instrument=" + TCS.replace("|", "%7C"))
    wait_until(lambda: browser.execute_script("return orderflow.rows.x.at(-1)") == "2025-12-12 15:29:00", "the past day")
    x, width = browser.execute_script("return [orderflow.plot().x.at(27), orderflow.chart.div.clientWidth]")
    ActionChains(browser).move_to_element_with_offset(chart(browser), round(x - width / 2), -100).perform()
    wait_until(lambda: browser.find_element("css selector", "#of-legend .when").text == "15:27–15:28", "the column's candle")


def test_wheel_when_following_changes_the_time_span_and_keeps_the_newest_candle(browser: Any, page: Page) -> None:
    open_page(browser, page, "?instrument=" + TCS.replace("|", "%7C"))
    wide = axis(browser)
    ActionChains(browser).scroll_from_origin(ScrollOrigin.from_element(chart(browser), -200, -100), 0, -240).perform()
    wait_until(lambda: axis(browser)[1] - axis(browser)[0] < 0.8 * (wide[1] - wide[0]), "the narrower span")
    low, high, newest, following = axis(browser)
    assert low < newest < high
    assert following is True
    lows = browser.execute_script(
        "const t = orderflow.times(), [from] = orderflow.plot().x.range;"
        "return Math.min(...orderflow.rows.low.filter((_, i) => t[i] >= from))"
    )
    bottom, top = browser.execute_script("return orderflow.plot().price.range")
    assert bottom < lows < bottom + 0.25 * (top - bottom)


def test_latency_when_connecting_learns_the_clock_before_the_figure_comes(browser: Any, page: Page) -> None:
    spy = (
        "window.sent = [];"
        "const send = WebSocket.prototype.send; WebSocket.prototype.send = function (text) {"
        " if (this.url.endsWith('/ws')) window.sent.push(JSON.parse(text).type); return send.call(this, text); };"
    )
    script = browser.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": spy})
    try:
        open_page(browser, page, "?instrument=" + TCS.replace("|", "%7C"))
        wait_until(lambda: browser.execute_script("return orderflow.latency.samples.length") > 3, "samples")
        sent = browser.execute_script("return window.sent")
        assert sent[:2] == ["ping", "view"]
        wait_until(lambda: browser.execute_script("return window.sent.filter((t) => t === 'ping').length") >= 5, "more pings", 3)
        assert browser.execute_script("return orderflow.latency.samples.every((one) => one >= 0)") is True
    finally:
        browser.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", {"identifier": script["identifier"]})


def test_alerts_when_two_tabs_add_rules_keep_both(browser: Any, page: Page) -> None:
    first = browser.current_window_handle
    open_page(browser, page, "?instrument=" + TCS.replace("|", "%7C"))
    browser.switch_to.new_window("tab")
    open_page(browser, page, "?instrument=" + HDFC.replace("|", "%7C"))
    second = browser.current_window_handle
    try:
        browser.switch_to.window(first)
        add_rule(browser, "above", "99999")
        browser.switch_to.window(second)
        wait_until(lambda: browser.find_element("id", "of-alerts").text == "Alerts 1", "the other tab's rule")
        add_rule(browser, "below", "1")
        wait_until(lambda: [(rule["key"], rule["value"]) for rule in rules(browser)] == [(TCS, 99999), (HDFC, 1)], "both rules")
    finally:
        browser.execute_script("localStorage.clear()")
        browser.close()
        browser.switch_to.window(first)


def test_page_when_it_is_hidden_between_a_message_and_its_frame_goes_on(browser: Any, page: Page) -> None:
    open_page(browser, page)
    browser.execute_script(
        "window.seen = 0; orderflow.on('message', () => window.seen += 1); window.requestAnimationFrame = () => 0"
    )

    def ten_more_batches() -> None:
        before = page.store.revision
        wait_until(lambda: page.store.revision >= before + 10, "ten more batches of trades")

    ten_more_batches()
    stuck = browser.execute_script("return window.seen")
    ten_more_batches()
    assert browser.execute_script("return window.seen") == stuck
    browser.execute_script(
        "Object.defineProperty(document, 'hidden', { value: true, configurable: true });"
        "document.dispatchEvent(new Event('visibilitychange'))"
    )
    wait_until(lambda: browser.execute_script("return window.seen") > stuck + 5, "messages while hidden")


def test_page_when_a_choice_was_made_with_the_pointer_gives_the_keys_back(browser: Any, page: Page) -> None:
    open_page(browser, page, "?mode=footprint")
    select = browser.find_element("id", "of-cells")
    change = "arguments[0].value = arguments[1]; arguments[0].dispatchEvent(new Event('change', { bubbles: true }))"
    browser.execute_script("arguments[0].focus();" + change, select, "delta")
    assert browser.execute_script("return document.activeElement.id") == "of-cells"
    browser.execute_script(
        "arguments[0].dispatchEvent(new PointerEvent('pointerdown', { bubbles: true }));" + change, select, "pair"
    )
    assert browser.execute_script("return document.activeElement.id") != "of-cells"


def test_alerts_when_the_dialog_opens_offer_the_last_price_and_take_the_keys(browser: Any, page: Page) -> None:
    open_page(browser, page, "?instrument=" + TCS.replace("|", "%7C"))
    click(browser, "#of-alerts")
    assert browser.execute_script("return document.activeElement.id") == "of-alert-value"
    assert 100 < float(browser.execute_script("return document.activeElement.value")) < 1000
    browser.execute_script(
        "document.querySelector('dialog h2 button').focus();"
        "document.activeElement.dispatchEvent(new KeyboardEvent('keydown', {key: 'f', bubbles: true}))"
    )
    assert browser.execute_script("return orderflow.view.mode") == "chart"
    close_dialog(browser)


def test_alerts_when_a_price_rule_holds_already_say_so(browser: Any, page: Page) -> None:
    open_page(browser, page, "?instrument=" + TCS.replace("|", "%7C"))
    add_rule(browser, "above", "1")
    assert browser.find_element("id", "of-alert-answer").text.startswith("Already true")
    close_dialog(browser)
    browser.execute_script("localStorage.clear()")


def test_legend_when_a_forming_candle_is_over_says_the_final_is_due(browser: Any, page: Page) -> None:
    open_page(browser, page, "?instrument=" + TCS.replace("|", "%7C"))
    state = "return document.querySelector('#of-legend .state').textContent"
    later = (
        "orderflow.rows.window_end[orderflow.rows.window_end.length - 1] = "
        "new Date(orderflow.serverNow() + 19800000 - arguments[0]).toISOString().slice(0, 19).replace('T', ' ');"
        "orderflow.emit('draw', []); "
    )
    assert browser.execute_script(later + state, 5_000).startswith("closed, final due")
    assert browser.execute_script(later + state, 600_000).startswith("closed, no final came")


def test_search_when_nothing_matches_says_what_to_do(browser: Any, page: Page) -> None:
    open_page(browser, page)
    browser.execute_script(
        "const s = document.getElementById('of-search'); s.focus(); s.value = 'zzz'; s.dispatchEvent(new Event('input'))"
    )
    assert "INSTRUMENT" in browser.find_element("id", "of-choices").text
    browser.execute_script("const s = document.getElementById('of-search'); s.value = ''; s.blur()")


def test_date_when_it_is_today_shows_the_live_day_as_live(browser: Any, page: Page) -> None:
    today = page.store.instruments[TCS].date
    open_page(browser, page, f"?date={today}&instrument=" + TCS.replace("|", "%7C"))
    wait_until(lambda: browser.find_element("id", "of-date").get_attribute("value") == "", "the picker on Live")
    assert "date=" not in browser.current_url


def test_axes_when_volumes_are_large_use_the_page_s_units(browser: Any, page: Page) -> None:
    open_page(browser, page, "?minutes=60&date=2025-12-12&instrument=" + TCS.replace("|", "%7C"))
    wait_until(lambda: len(browser.execute_script("return orderflow.rows.x")) == 7, "hours")
    ticks = "return orderflow.chart.div.layout.yaxis2.ticktext"
    wait_until(lambda: any(label.endswith("L") for label in browser.execute_script(ticks)), "lakh")
    prices = browser.execute_script("return orderflow.chart.div.layout.yaxis.ticktext")
    assert all(label.endswith(".00") or "." in label for label in prices)


def swipe(browser: Any, start: tuple[int, int], end: tuple[int, int]) -> None:
    """Move one finger in twelve steps."""
    for step in range(13):
        x, y = (first + (last - first) * step / 12 for first, last in zip(start, end, strict=True))
        kind = "touchMove" if step else "touchStart"
        browser.execute_cdp_cmd("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [{"x": x, "y": y}]})
    browser.execute_cdp_cmd("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})


def test_phone_when_swiped_up_on_the_chart_scrolls_the_page_and_sideways_pans(browser: Any, page: Page) -> None:
    metrics = {"width": 390, "height": 844, "deviceScaleFactor": 2, "mobile": True}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    browser.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": True, "maxTouchPoints": 2})
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [{"name": "pointer", "value": "coarse"}]})
    try:
        open_page(browser, page, "?instrument=" + TCS.replace("|", "%7C"))
        assert browser.execute_script("return document.documentElement.scrollWidth") <= 390
        swipe(browser, (150, 500), (150, 250))
        wait_until(lambda: browser.execute_script("return scrollY") > 100, "the scrolled page")
        assert axis(browser)[3] is True
        browser.execute_script("scrollTo(0, 0)")
        swipe(browser, (120, 450), (300, 450))
        wait_until(lambda: axis(browser)[3] is False, "the panned chart")
    finally:
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
        browser.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": False})
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


def test_help_when_the_server_has_not_answered_yet_opens_without_its_imbalance_rule(browser: Any, page: Page) -> None:
    open_page(browser, page)
    told = "const names = [...document.querySelectorAll('dialog dt')].map((one) => one.textContent); return names"
    browser.execute_script("window.rule = orderflow.imbalances; orderflow.imbalances = null; orderflow.keys['?']()")
    names = browser.execute_script(told)
    assert "Footprint" in names
    assert "Diagonal imbalance" not in names
    browser.execute_script("orderflow.imbalances = window.rule; orderflow.keys['?']()")
    assert "Diagonal imbalance" in browser.execute_script(told)
    browser.execute_script("document.querySelector('dialog').close()")
