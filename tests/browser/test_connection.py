"""The page when the dashboard is silent, and when a part of the page itself fails."""

from __future__ import annotations

from typing import Any

import pytest

from tests.browser.conftest import Page, wait_until
from tests.browser.synthetic import NAMES
from tests.browser.test_page import open_page

pytestmark = pytest.mark.browser

TCS = next(iter(NAMES))
QUERY = "?instrument=" + TCS.replace("|", "%7C")
STATE = (
    "return [document.documentElement.hasAttribute('data-stale'), document.getElementById('of-dot').className,"
    " document.getElementById('of-latency').textContent]"
)


def test_page_when_the_dashboard_says_nothing_turns_grey_and_its_latency_expires(browser: Any, page: Page) -> None:
    open_page(browser, page, QUERY)
    wait_until(lambda: browser.execute_script("return orderflow.latency.samples.length") > 3, "latency samples")
    with page.store.lock:  # the server waits for it: a connection that is open, and silent
        wait_until(lambda: browser.execute_script(STATE) == [True, "silent", "– ms"], "the grey page")
        assert browser.find_element("css selector", '[data-code="offline"]').text.startswith("No message has come from")
    wait_until(lambda: browser.execute_script(STATE)[:2] == [False, "open"], "the live page")
    assert not browser.find_elements("css selector", '[data-code="offline"]')


def test_page_when_one_of_its_parts_fails_goes_on_with_the_others_and_says_so(browser: Any, page: Page) -> None:
    open_page(browser, page, QUERY)
    browser.execute_script("orderflow.handlers.message.unshift(() => { throw new Error('made for the test'); })")
    before = browser.find_element("id", "of-tape").text
    wait_until(lambda: browser.find_elements("css selector", '[data-code="failed"]'), "the banner")
    for _ in range(2):
        wait_until(lambda seen=before: browser.find_element("id", "of-tape").text != seen, "the next trade", 5)
        before = browser.find_element("id", "of-tape").text
    (metric,) = browser.execute_async_script(
        "const done = arguments[0]; fetch('/metrics').then((one) => one.text())"
        ".then((text) => done(text.match(/^dashboard_page_errors_total .*$/m)))"
    )
    assert metric == "dashboard_page_errors_total 1.0"
    browser.get("about:blank")  # or its errors would go on in the console of the next test
    browser.get_log("browser")
