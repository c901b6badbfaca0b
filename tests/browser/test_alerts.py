"""Sound and notification of an alert, as far as a browser without loudspeaker and desktop shows them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.browser.conftest import Page, wait_until
from tests.browser.synthetic import NAMES
from tests.browser.test_page import click, open_page

pytestmark = pytest.mark.browser

TCS = next(iter(NAMES))
SPY = """
window.notified = []; window.contexts = []; window.tones = [];
const RealNotification = window.Notification;
window.Notification = class extends RealNotification {
  constructor(title, options) { super(title, options); window.notified.push([title, options.body, options.tag]); }
};
const RealContext = window.AudioContext;
window.AudioContext = class extends RealContext {
  constructor() { super(); window.contexts.push(this); }
  createOscillator() {
    const made = super.createOscillator(), start = made.start.bind(made);
    made.start = (at) => { window.tones.push([this.state, made.frequency.value]); return start(at); };
    return made;
  }
};
"""
FEED = (
    "orderflow.emit('message', {watch: [{key: 'NSE_EQ|LONE', symbol: 'LONE', name: 'LONE', last: arguments[0],"
    " minute: {start_ms: 1, volume: 1, delta: 1, imbalance: 1, average_volume: 10}}]})"
)
RULE = (
    "localStorage.setItem('orderflow.alerts', JSON.stringify("
    "[{id: 'r1', key: 'NSE_EQ|LONE', kind: 'above', value: 100, sound: true, notify: true}]));"
    "window.dispatchEvent(new StorageEvent('storage', {key: 'orderflow.alerts'}))"
)


@pytest.fixture
def spied(browser: Any, page: Page) -> Iterator[Any]:
    grant = {"origin": page.url, "permissions": ["notifications"]}
    browser.execute_cdp_cmd("Browser.grantPermissions", grant)
    script = browser.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": SPY})
    open_page(browser, page, "?instrument=" + TCS.replace("|", "%7C"))
    yield browser
    browser.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", {"identifier": script["identifier"]})
    browser.execute_cdp_cmd("Browser.resetPermissions", {})
    browser.execute_script("localStorage.clear()")


def test_alert_when_it_fires_after_a_click_notifies_and_sounds(spied: Any) -> None:
    spied.find_element("id", "of-header").click()
    wait_until(lambda: spied.execute_script("return contexts.length === 1 && contexts[0].state === 'running'"), "the audio")
    spied.execute_script(RULE)
    spied.execute_script(FEED, 99)
    spied.execute_script(FEED, 101)
    notified = wait_until(lambda: spied.execute_script("return notified"), "the notification")
    assert notified == [["Order flow alert", "LONE: last 101.00 (price at or above 100)", "r1"]]
    assert spied.execute_script("return Notification.permission") == "granted"
    assert spied.execute_script("return tones") == [["running", 880]]


def test_alert_when_the_page_was_never_touched_notifies_without_a_sound_and_says_so(spied: Any) -> None:
    spied.execute_script(RULE)
    spied.execute_script(FEED, 99)
    spied.execute_script(FEED, 101)
    wait_until(lambda: spied.execute_script("return notified.length"), "the notification")
    assert spied.execute_script("return [navigator.userActivation.hasBeenActive, contexts.length]") == [False, 0]
    click(spied, "#of-alerts")
    assert "Sound is off until you click" in spied.find_element("id", "of-alert-state").text
    spied.execute_script("document.querySelector('dialog').close()")


def test_alert_when_notifications_are_asked_for_asks_the_browser(spied: Any) -> None:
    spied.execute_script("window.requested = 0; Notification.requestPermission = async () => { window.requested += 1; };")
    click(spied, "#of-alerts")
    spied.execute_script("document.querySelectorAll('dialog input[type=checkbox]')[1].click()")
    assert spied.execute_script("return window.requested") == 1
    spied.execute_script("document.querySelector('dialog').close()")
