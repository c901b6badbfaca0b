"""What a viewer chooses beyond the view: price rows, sizes, the order of the watch list; and a past day over a reconnect."""

from __future__ import annotations

from typing import Any

import pytest

from tests.browser.conftest import Page, wait_until
from tests.browser.test_interaction import axis
from tests.browser.test_older import LAST, QUERY, TCS, first, pan_back
from tests.browser.test_page import open_page, rows

pytestmark = pytest.mark.browser

PICK = (
    "const s = document.getElementById(arguments[0]); s.value = arguments[1];s.dispatchEvent(new Event('change')); return s.value"
)
CELLS = (
    "const { chart: { state }, columns, rows, base } = orderflow, from = base();"
    "const levels = (cell) => cell.levels.map(([price, ...volumes]) => [price, volumes.slice(0, 3)]);"
    "const found = columns().map(({ cell, column }) => [cell.x, rows.total_volume[from + column], levels(cell)]);"
    "return [found, state.step, state.ticks]"
)


def pick(browser: Any, choice: str, value: str) -> None:
    assert browser.execute_script(PICK, choice, value) == value


def press(browser: Any, key: str) -> None:
    browser.execute_script("document.body.dispatchEvent(new KeyboardEvent('keydown', { key: arguments[0], bubbles: true }))", key)


def test_footprint_when_a_row_height_is_chosen_gathers_that_many_ticks_and_keeps_all_volume(browser: Any, page: Page) -> None:
    open_page(browser, page, f"?mode=footprint&date={LAST}&{QUERY}")
    wait_until(lambda: rows(browser)["x"][-1:] == [f"{LAST} 15:29:00"], "the day")
    _, step, ticks = browser.execute_script(CELLS)
    tick = step / ticks
    pick(browser, "of-ticks", "20")
    wait_until(lambda: browser.execute_script("return orderflow.chart.state.ticks") == 20, "rows of 20 ticks")
    columns, step, _ = browser.execute_script(CELLS)
    assert step == pytest.approx(20 * tick)
    assert len(columns) == 30
    for label, volume, cells in columns:
        assert sum(sum(volumes) for _, volumes in cells) == volume, label
        assert all(round((price - (step - tick) / 2) / step, 6).is_integer() for price, _ in cells)
    assert "ticks=20" in browser.current_url
    open_page(browser, page, browser.current_url.partition("/?")[2].join(["?", ""]))
    wait_until(lambda: browser.execute_script("return orderflow.chart.state.ticks") == 20, "the linked row height")
    assert browser.find_element("id", "of-ticks").get_attribute("value") == "20"


def test_footprint_when_brackets_are_pressed_takes_the_next_row_height(browser: Any, page: Page) -> None:
    open_page(browser, page, f"?mode=footprint&ticks=5&date={LAST}&{QUERY}")
    wait_until(lambda: browser.execute_script("return orderflow.chart.state.ticks") == 5, "rows of 5 ticks")
    press(browser, "]")
    wait_until(lambda: browser.execute_script("return orderflow.chart.state.ticks") == 10, "coarser rows")
    press(browser, "[")
    wait_until(lambda: browser.execute_script("return orderflow.chart.state.ticks") == 5, "finer rows")


def test_footprint_when_a_wish_gives_too_many_rows_says_what_is_shown(browser: Any, page: Page) -> None:
    named = "return document.getElementById('of-ticks').selectedOptions[0].textContent"
    open_page(browser, page, f"?mode=footprint&ticks=1&minutes=60&date={LAST}&{QUERY}")
    wait_until(lambda: rows(browser)["x"][-1:] == [f"{LAST} 15:15:00"], "the day in hours")
    shown = browser.execute_script("return orderflow.chart.state.ticks")
    assert shown > 1
    wait_until(lambda: browser.execute_script(named) == f"1 → {shown} ticks", "the row height shown instead")
    browser.execute_script("orderflow.choose({ minutes: 1 })")
    wait_until(lambda: len(rows(browser)["x"]) > 300, "the day in minutes")
    wait_until(lambda: browser.execute_script(named) == "1 tick", "the granted wish")


# What the canvases write while they are drawn once: words by canvas.
WRITTEN = (
    "const words = { 'of-numbers': [], 'of-live': [] }, own = CanvasRenderingContext2D.prototype.fillText;"
    "CanvasRenderingContext2D.prototype.fillText = function (text, ...more) {"
    " words[this.canvas.id].push(text); return own.call(this, text, ...more); };"
    "orderflow.drawNumbers(); orderflow.drawLive();"
    "CanvasRenderingContext2D.prototype.fillText = own;"
    "const { x, price } = orderflow.plot(), inside = (value, [from, to]) => value > from && value < to;"
    "const seen = orderflow.columns().filter(({ column }) => inside(column, x.range)).flatMap(({ cell }) => cell.levels);"
    "return [words, seen.filter((level) => inside(level[0], price.range)).map((level) => level.slice(1, 4))]"
)


def brief(count: int) -> str:
    return str(count) if count < 1000 else f"{count / 1000:.1f}K" if count < 9950 else f"{count / 1000:.0f}K"


def signed(count: int) -> str:
    return ("+" if count > 0 else "−" if count else "") + brief(abs(count))


def test_footprint_when_its_cells_are_chosen_writes_both_sides_the_delta_or_the_volume(browser: Any, page: Page) -> None:
    open_page(browser, page, f"?mode=footprint&date={LAST}&{QUERY}")
    wait_until(lambda: rows(browser)["x"][-1:] == [f"{LAST} 15:29:00"], "the day")
    words, levels = browser.execute_script(WRITTEN)
    assert len(levels) > 20
    for sell, buy, _ in levels:
        assert {str(sell), str(buy)} <= set(words["of-numbers"])
    press(browser, "x")
    words, levels = browser.execute_script(WRITTEN)
    assert "cells=delta" in browser.current_url
    assert {signed(buy - sell) for sell, buy, _ in levels} <= set(words["of-numbers"])
    pick(browser, "of-cells", "volume")
    words, levels = browser.execute_script(WRITTEN)
    assert {str(sum(volumes)) for volumes in levels} <= set(words["of-numbers"])
    open_page(browser, page, f"?mode=footprint&date={LAST}&cells=volume&{QUERY}")
    wait_until(lambda: rows(browser)["x"][-1:] == [f"{LAST} 15:29:00"], "the linked view")
    assert browser.find_element("id", "of-cells").get_attribute("value") == "volume"


def test_footprint_writes_the_sums_of_each_column_in_view(browser: Any, page: Page) -> None:
    open_page(browser, page, f"?mode=footprint&date={LAST}&{QUERY}")
    wait_until(lambda: rows(browser)["x"][-1:] == [f"{LAST} 15:29:00"], "the day")
    words, _ = browser.execute_script(WRITTEN)
    sums = browser.execute_script(
        "const { rows, short } = orderflow; return ['total_volume', 'delta', 'cvd', 'unclassified_volume']"
        ".map((name) => rows[name].slice(-3).map((value) => short(value, name === 'delta' || name === 'cvd')))"
    )
    for name, shown in zip(("volume", "delta", "CVD", "unclassified"), sums, strict=True):
        assert set(shown) <= set(words["of-numbers"]), name


def sizes(browser: Any) -> list[int]:
    cells = (
        "return [...document.querySelectorAll('#of-tape tbody tr:not(.nothing) td:nth-child(3)')].map((one) => one.textContent)"
    )
    return [int(text.replace(",", "")) for text in browser.execute_script(cells)]


TRADES = (
    "const size = (i) => (i % 2 ? 600 : 10), now = orderflow.serverNow();"
    "const trades = [...Array(150)].map((_, i) => [i, now, 100, size(i), size(i), 0, 'buy', i % 4 === 1,"
    " false]); orderflow.emit('message', { type: 'patch', tape: trades })"
)


def test_tape_when_a_least_size_is_chosen_shows_only_such_trades_and_remembers_it(browser: Any, page: Page) -> None:
    open_page(browser, page, "?" + QUERY)
    try:
        browser.execute_script(TRADES)
        wait_until(lambda: len(sizes(browser)) == 60, "sixty rows")
        assert {10, 600} <= set(sizes(browser))
        pick(browser, "of-least", "500")
        assert set(sizes(browser)) == {600}
        assert len(sizes(browser)) == 60
        pick(browser, "of-least", "big")
        only = "return [...document.querySelectorAll('#of-tape tbody tr')].map((one) => one.matches('.big'))"
        big = browser.execute_script(only)
        assert all(big)
        assert len(big) >= 37
        pick(browser, "of-least", "25000")
        assert browser.find_element("css selector", "#of-tape tbody").text == "none of this size yet"
        huge = "orderflow.emit('message', { type: 'patch', tape: [[1, 0, 100, 30000, 30000, 0, 'buy', true, false]] })"
        browser.execute_script(huge)
        assert sizes(browser) == [30000]
        open_page(browser, page, "?" + QUERY)
        assert browser.find_element("id", "of-least").get_attribute("value") == "25000"
        wait_until(lambda: "none of this size yet" in browser.find_element("id", "of-tape").text, "the kept choice at work")
        pick(browser, "of-least", "0")
        assert sizes(browser)
    finally:
        browser.execute_script("localStorage.clear()")


def standing(browser: Any) -> list[str]:
    """Return the keys of the watch list from top to bottom, as they are drawn."""
    drawn = (
        "return [...document.querySelectorAll('#of-watch .row')].sort((a, b) => a.offsetTop - b.offsetTop)"
        ".map((one) => one.title)"
    )
    return list(browser.execute_script(drawn))


def test_watch_list_when_an_order_is_chosen_stands_in_it_and_the_keys_follow_it(browser: Any, page: Page) -> None:
    open_page(browser, page, "?" + QUERY)
    try:
        given = standing(browser)
        pick(browser, "of-order", "symbol")
        symbols = "return orderflow.watchOrder().map((line) => [line.row.symbol, line.row.name, line.key])"
        ordered = browser.execute_script(symbols)
        assert [symbol for symbol, _, _ in ordered] == sorted((symbol for symbol, _, _ in ordered), key=str.casefold)
        assert standing(browser) == [name for _, name, _ in ordered]
        keys = [key for _, _, key in ordered]
        press(browser, "j")
        following = keys[(keys.index(TCS) + 1) % len(keys)]
        wait_until(lambda: browser.execute_script("return orderflow.view.instrument") == following, "the next in this order")
        pick(browser, "of-order", "volume")
        volumes = browser.execute_script("return orderflow.watchOrder().map((line) => line.row.volume)")
        assert volumes == sorted(volumes, reverse=True)
        pick(browser, "of-order", "given")
        assert standing(browser) == given
    finally:
        browser.execute_script("localStorage.clear()")


def test_past_day_when_the_dashboard_restarts_stays_on_the_screen_with_its_earlier_candles(browser: Any, page: Page) -> None:
    open_page(browser, page, f"?date={LAST}&{QUERY}")
    wait_until(lambda: first(browser) == f"{LAST} 09:15:00", "the whole day")
    pan_back(browser, 3)
    wait_until(lambda: first(browser).startswith("2025-12-11"), "the session before")
    before = axis(browser)[:2], len(rows(browser)["x"]), browser.find_element("id", "of-stats").text
    browser.execute_script(
        "window.least = Infinity; window.figures = 0;"
        "orderflow.on('draw', () => { window.least = Math.min(least, orderflow.rows.x.length); });"
        "orderflow.on('message', (one) => { window.figures += one.type === 'whole'; })"
    )
    page.stop()
    wait_until(lambda: "offline" in browser.page_source, "the banner")
    page.start()
    wait_until(lambda: browser.execute_script("return window.figures") >= 1, "the day again")
    assert browser.execute_script("return window.least") == before[1]
    after = axis(browser)[:2], len(rows(browser)["x"]), browser.find_element("id", "of-stats").text
    assert after == before
