"""The login in a browser: by keyboard, readable in both themes, and the way back to it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from selenium.webdriver.common.keys import Keys

from orderflow.dashboard.sources.directory import Directory
from orderflow.dashboard.state.store import Store, clock_ms
from orderflow.dashboard.web.accounts import Accounts
from orderflow.dashboard.web.sessions import Sessions
from tests.browser.conftest import wait_until
from tests.browser.synthetic import NAMES, LiveSource, Market
from tests.browser.test_legible import CONTRAST
from tests.browser.test_page import READY
from tests.unit.served_dashboard import PASSWORDS, served, users_in

pytestmark = pytest.mark.browser


@pytest.fixture
def door(tmp_path: Path) -> Iterator[tuple[str, Accounts]]:
    names = dict(list(NAMES.items())[:2])
    store = Store(clock_ms, tuple(names))
    source = LiveSource(store, Market(tuple(names), clock_ms(), minutes=30), per_second=5)
    accounts = users_in(tmp_path)
    with served(Sessions(accounts.path, 3600), store=store, directory=Directory(tuple(names), names)) as address:
        source.start()
        yield address, accounts
        source.stop()


def focused(browser: Any) -> str:
    return str(browser.switch_to.active_element.get_attribute("id"))


def type_in(browser: Any, *keys: str) -> None:
    for one in keys:
        browser.switch_to.active_element.send_keys(one)


def test_login_when_done_by_keyboard_opens_the_view_and_logout_and_removal_lead_back(
    browser: Any, door: tuple[str, Accounts]
) -> None:
    address, accounts = door
    browser.get(f"{address}/?minutes=5")
    assert (browser.title, browser.current_url) == ("Log in · Order flow", f"{address}/login?minutes=5")
    labels = "return [...document.querySelectorAll('label')].map((one) => [one.textContent, one.control.id])"
    assert browser.execute_script(labels) == [["Name", "name"], ["Password", "password"]]

    assert focused(browser) == "name"
    type_in(browser, "asha" + Keys.TAB, "not the password", Keys.ENTER)
    wait_until(lambda: browser.find_elements("css selector", "[role=alert]"), "the reason")
    assert browser.find_element("id", "problem").text == "Name or password is wrong."
    assert (focused(browser), browser.find_element("id", "name").get_attribute("value")) == ("password", "asha")
    for theme in ("light", "dark"):
        browser.execute_script(f"document.documentElement.dataset.theme = {theme!r}")
        assert browser.execute_script(CONTRAST, "body *") == []

    type_in(browser, PASSWORDS["asha"], Keys.ENTER)
    wait_until(lambda: browser.execute_script(READY), "the chart")
    assert "minutes=5" in browser.current_url
    assert browser.execute_script("return document.cookie") == ""

    logout = browser.find_element("id", "of-logout")
    assert logout.get_attribute("title") == "Log out asha"
    browser.execute_script("arguments[0].focus()", logout)
    type_in(browser, Keys.ENTER)
    # With the view when its socket hears of the logout first.
    wait_until(lambda: browser.current_url.startswith(f"{address}/login"), "the login")
    browser.back()
    wait_until(lambda: browser.title == "Log in · Order flow", "the login again, and no page that the browser has kept")

    type_in(browser, "asha" + Keys.TAB, PASSWORDS["asha"], Keys.ENTER)
    wait_until(lambda: browser.execute_script(READY), "the chart")
    accounts.remove("asha")
    wait_until(lambda: "/login?" in browser.current_url, "the login, as the session has ended")
    browser.get("about:blank")
    browser.get_log("browser")  # the 401 of a wrong password is an error in the console
