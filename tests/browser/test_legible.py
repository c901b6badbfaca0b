"""What a trader must be able to read and to reach: contrast, headings, keyboard, nothing cut off, no label over another."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from selenium.webdriver.common.keys import Keys

from tests.browser.conftest import Page, wait_until
from tests.browser.synthetic import NAMES
from tests.browser.test_page import open_page

pytestmark = pytest.mark.browser

TCS = next(iter(NAMES))
QUERY = "?instrument=" + TCS.replace("|", "%7C")
CONTRAST = """
const rgb = (text) => text.match(/[\\d.]+/g).map(Number);
const backs = (node) => {
  for (let at = node; at; at = at.parentElement) {
    const [r, g, b, a = 1] = rgb(getComputedStyle(at).backgroundColor);
    if (a > 0.99) return [r, g, b];
  }
  return [13, 17, 23];
};
const light = (color) => color.slice(0, 3).map((one) => one / 255)
  .map((one) => (one <= 0.04045 ? one / 12.92 : ((one + 0.055) / 1.055) ** 2.4))
  .reduce((sum, one, index) => sum + one * [0.2126, 0.7152, 0.0722][index], 0);
const found = [];
for (const node of document.querySelectorAll(arguments[0])) {
  if (!node.offsetParent || ![...node.childNodes].some((one) => one.nodeType === 3 && one.textContent.trim())) continue;
  const [one, two] = [light(rgb(getComputedStyle(node).color)), light(backs(node))];
  const ratio = (Math.max(one, two) + 0.05) / (Math.min(one, two) + 0.05);
  if (ratio < 4.5) found.push([node.id || node.className, node.textContent.slice(0, 20), ratio.toFixed(2)]);
}
return found
"""
CUT = """
const pen = document.createElement("canvas").getContext("2d");
const cut = [];
for (const node of document.querySelectorAll("#of-header button, #of-header select, #of-search")) {
  const style = getComputedStyle(node);
  if (style.display === "none") continue;
  pen.font = `${style.fontWeight} ${style.fontSize} ${style.fontFamily}`;
  const text = node.tagName === "SELECT" ? node.options[node.selectedIndex].text : node.placeholder || node.textContent;
  const arrow = node.tagName === "SELECT" ? 22 : 0;
  const box = node.getBoundingClientRect();
  const room = node.clientWidth - parseFloat(style.paddingLeft) - parseFloat(style.paddingRight) - arrow;
  if (pen.measureText(text).width > room + 1 || box.right > innerWidth || box.left < 0) cut.push([node.id, text]);
}
return cut
"""


@pytest.fixture
def resized(browser: Any) -> Iterator[Any]:
    def resize(width: int, height: int = 900) -> None:
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)

    yield resize
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


@pytest.mark.parametrize("theme", ["dark", "light"])
@pytest.mark.parametrize("palette", ["default", "safe"])
def test_page_when_read_has_contrast_enough_everywhere(browser: Any, page: Page, palette: str, theme: str) -> None:
    open_page(browser, page, f"{QUERY}&palette={palette}&theme={theme}")
    wait_until(lambda: browser.find_element("id", "of-tag").text, "the price's tag")
    assert browser.execute_script(CONTRAST, "#of-page *") == []


@pytest.mark.parametrize("width", [1920, 1440, 1280, 390])
@pytest.mark.parametrize("mode", ["chart", "footprint"])
def test_header_when_the_window_is_narrow_cuts_nothing_off(browser: Any, page: Page, resized: Any, width: int, mode: str) -> None:
    resized(width)
    open_page(browser, page, f"{QUERY}&mode={mode}")
    assert browser.execute_script(CUT) == []
    assert browser.execute_script("return document.documentElement.scrollWidth <= innerWidth") is True
    if width >= 1280:  # one row, also where latencies are long
        slow = "document.getElementById('of-latency').textContent = '888 ms · p99 1888';"
        height = "return document.getElementById('of-header').offsetHeight"
        assert browser.execute_script(slow + height) < 50


def test_space_when_a_button_has_the_focus_presses_it(browser: Any, page: Page) -> None:
    open_page(browser, page, QUERY)
    browser.execute_script("document.querySelector('[data-mode=\"footprint\"]').focus()")
    browser.switch_to.active_element.send_keys(Keys.SPACE)
    wait_until(lambda: browser.execute_script("return orderflow.view.mode") == "footprint", "the footprint")
    pressed = "return [...document.querySelectorAll('#of-modes button')].map((one) => one.getAttribute('aria-pressed'))"
    assert browser.execute_script(pressed) == ["false", "true"]


def test_page_when_it_is_not_seen_says_its_headings_and_the_newest_candle(browser: Any, page: Page) -> None:
    open_page(browser, page, QUERY)
    assert browser.execute_script("return [...document.querySelectorAll('h1')].map((one) => one.textContent)") == ["TCS"]
    words = wait_until(lambda: browser.execute_script("return document.getElementById('of-spoken').textContent"), "the candle")
    assert words.startswith("TCS, 1 minute candle of ")
    assert ", close " in words
    unnamed = (
        "return [...document.querySelectorAll('button, select, input')].filter((one) => !one.getAttribute('aria-label')"
        " && !one.closest('label') && !/[a-z0-9?]/i.test(one.textContent)).map((one) => one.id)"
    )
    assert browser.execute_script(unnamed) == []


def test_cvd_tag_when_drawn_leaves_the_axis_of_delta_free(browser: Any, page: Page) -> None:
    open_page(browser, page, QUERY)
    drawn = browser.execute_script(
        "const pen = orderflow.liveCanvas().getContext('2d'), found = [];"
        "pen.fillText = function (text, x) { if (text === 'CVD') found.push(x + this.measureText(text).width); };"
        "orderflow.drawLive(); delete pen.fillText;"
        "return [found, orderflow.plot().width - 58]"
    )
    (right,), axis = drawn
    assert right < axis


THEME = (
    "return [document.documentElement.dataset.theme, getComputedStyle(document.body).backgroundColor,"
    " document.querySelector('#of-chart svg.main-svg').style.background, document.getElementById('of-theme').ariaPressed]"
)
LIGHT = ["light", "rgb(255, 255, 255)", "rgb(255, 255, 255)", "true"]
DARK = ["dark", "rgb(13, 17, 23)", "rgb(13, 17, 23)", "false"]


def prefer(browser: Any, theme: str) -> None:
    """Let the browser's system prefer a theme; an empty one is the system's own again."""
    features = [{"name": "prefers-color-scheme", "value": theme}] if theme else []
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})


def test_theme_when_nothing_is_chosen_is_the_system_s_also_when_that_changes(browser: Any, page: Page) -> None:
    try:
        prefer(browser, "light")
        open_page(browser, page, QUERY)
        assert browser.execute_script(THEME) == LIGHT
        prefer(browser, "dark")
        wait_until(lambda: browser.execute_script(THEME) == DARK, "the dark theme")
    finally:
        prefer(browser, "")


def test_theme_when_switched_is_remembered_until_it_is_the_system_s_again(browser: Any, page: Page) -> None:
    try:
        prefer(browser, "dark")
        open_page(browser, page, QUERY)
        browser.find_element("tag name", "body").send_keys("t")
        wait_until(lambda: browser.execute_script(THEME) == LIGHT, "the light theme")
        assert "theme=light" in browser.current_url
        open_page(browser, page, QUERY)
        assert browser.execute_script(THEME) == LIGHT
        browser.find_element("id", "of-theme").click()
        wait_until(lambda: browser.execute_script(THEME) == DARK, "the dark theme")
        assert browser.execute_script("return [orderflow.view.theme, location.search.includes('theme')]") == ["auto", False]
    finally:
        prefer(browser, "")
        browser.execute_script("localStorage.clear()")


def test_hints_when_the_page_is_first_visited_come_one_by_one_and_never_again(browser: Any, page: Page) -> None:
    open_page(browser, page, QUERY)
    browser.execute_script("localStorage.clear()")
    open_page(browser, page, QUERY)
    hint = browser.find_element("id", "of-hint")
    assert hint.text.startswith("The wheel zooms the time")
    chart, strip = (browser.find_element("id", name).rect for name in ("of-chart", "of-hint"))
    assert chart["y"] + chart["height"] <= strip["y"] + 1
    hint.find_element("tag name", "button").click()
    assert browser.find_element("id", "of-hint").text.startswith("Press F for the footprint")
    browser.find_element("css selector", "#of-hint [aria-label='No more hints']").click()
    assert not browser.find_elements("id", "of-hint")
    open_page(browser, page, QUERY)
    assert not browser.find_elements("id", "of-hint")


def test_legend_when_stepped_by_keys_shows_the_candle_before_and_after(browser: Any, page: Page) -> None:
    open_page(browser, page, f"?date=2025-12-12&{QUERY[1:]}")
    when = "return document.querySelector('#of-legend .when').textContent"
    wait_until(lambda: browser.execute_script(when) == "15:29–15:30", "the day's last candle")
    body = browser.find_element("tag name", "body")
    for key, shown in (
        (",", "15:28–15:29"),
        (",", "15:27–15:28"),
        (".", "15:28–15:29"),
        (".", "15:29–15:30"),
        (".", "15:29–15:30"),
    ):
        body.send_keys(key)
        assert browser.execute_script(when) == shown
