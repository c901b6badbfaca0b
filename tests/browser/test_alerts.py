"""Sound and notification of an alert, as far as a browser without loudspeaker and desktop shows them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from selenium.webdriver.common.actions.action_builder import ActionBuilder
from selenium.webdriver.common.actions.mouse_button import MouseButton

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
FIRED = (
    "orderflow.emit('fired', {alert: {number: 1, at_ms: 1, price: 101, words: 'last 101.00 (price at or above 100.00)',"
    " rule: {id: 'r1', key: 'NSE_EQ|LONE', kind: 'above', value: 100, sound: true, notify: true}}})"
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
    spied.execute_script(FIRED)
    notified = wait_until(lambda: spied.execute_script("return notified"), "the notification")
    assert notified == [["Order flow alert", "LONE: last 101.00 (price at or above 100.00)", "r1"]]
    assert spied.execute_script("return Notification.permission") == "granted"
    assert spied.execute_script("return tones") == [["running", 880]]


def test_alert_when_the_page_was_never_touched_notifies_without_a_sound_and_says_so(spied: Any) -> None:
    spied.execute_script(FIRED)
    wish = {"id": "far", "key": TCS, "kind": "above", "value": 1e6}
    spied.execute_script("orderflow.send({type: 'alerts', viewer: orderflow.kept('viewer'), add: [arguments[0]]})", wish)
    wait_until(lambda: spied.execute_script("return orderflow.alertRules().length") == 1, "a rule with sound")
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


def right_click(browser: Any, price: float) -> None:
    """Click with the right button on the prices' pane at a price."""
    x, y = browser.execute_script(
        "const { x, price } = orderflow.plot(), box = orderflow.chart.div.getBoundingClientRect();"
        "return [box.left + (x.start + x.end) / 2, box.top + price.at(arguments[0])]",
        price,
    )
    press = ActionBuilder(browser)
    press.pointer_action.move_to_location(round(x), round(y))
    press.pointer_action.pointer_down(button=MouseButton.RIGHT)
    press.pointer_action.pointer_up(button=MouseButton.RIGHT)
    press.perform()


@pytest.mark.parametrize("mode", ["chart", "footprint"])
def test_alert_when_the_prices_are_right_clicked_is_set_drawn_and_removed_there(spied: Any, page: Page, mode: str) -> None:
    open_page(spied, page, f"?mode={mode}&instrument=" + TCS.replace("|", "%7C"))
    wait_until(lambda: spied.execute_script("return orderflow.stats !== null"), "the last price")
    last = spied.execute_script("return orderflow.stats.last")
    low, high = spied.execute_script("return orderflow.plot().price.range")
    wanted = low + (high - low) * (0.25 if last > (low + high) / 2 else 0.75)
    right_click(spied, wanted)
    first = spied.find_element("css selector", "#of-menu button")
    assert first.text.startswith("Alert at ")
    first.click()
    drawn_rules = "return orderflow.priceRules().map(({ kind, value }) => [kind, value])"
    [(kind, value)] = wait_until(lambda: spied.execute_script(drawn_rules), "the rule")
    assert kind == ("above" if value >= last else "below")
    assert abs(value - wanted) < (high - low) / 50
    drawn = spied.execute_script(
        "const pen = orderflow.liveCanvas().getContext('2d'), found = [];"
        "pen.fillText = (text) => found.push(text); orderflow.drawLive(); delete pen.fillText; return found"
    )
    assert [text for text in drawn if text.startswith("alert ")] == [f"alert {'≥' if kind == 'above' else '≤'} {value:,.2f}"]
    right_click(spied, value)
    remove = spied.find_element("css selector", "#of-menu button")
    assert remove.text.startswith("Remove the alert at ")
    remove.click()
    wait_until(lambda: spied.execute_script("return orderflow.priceRules().length") == 0, "its removal")
    assert not spied.find_elements("id", "of-menu")


def test_alert_when_it_fired_while_no_page_was_open_is_new_on_the_next_one(spied: Any, page: Page) -> None:
    wish = {"id": "touch", "key": TCS, "kind": "below", "value": 1}
    spied.execute_script("orderflow.send({type: 'alerts', viewer: orderflow.kept('viewer'), add: [arguments[0]]})", wish)
    wait_until(lambda: spied.execute_script("return orderflow.alertRules().length") == 1, "the rule")
    viewer = spied.execute_script("return orderflow.kept('viewer')")
    spied.get("about:blank")
    page.store.alerts.judge(TCS, 2.0, 1, None)
    page.store.alerts.judge(TCS, 0.5, 2, None)
    assert len(page.store.alerts.of(viewer)["log"]) == 1
    open_page(spied, page, "?instrument=" + TCS.replace("|", "%7C"))
    wait_until(lambda: spied.find_element("id", "of-alerts").text == "Alerts 1 · 1 new", "what fired meanwhile")
    click(spied, "#of-alerts")
    assert "TCS: last 0.50 (price at or below 1.00)" in spied.find_element("id", "of-alert-log").text
    assert spied.find_element("css selector", "#of-alert-log time").text == "1 Jan 05:30:00"
    assert "price at or below 1.00" in spied.find_element("id", "of-alert-list").text
    spied.execute_script("document.querySelector('dialog').close()")
