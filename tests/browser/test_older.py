"""Panning into what came before: the day's earlier candles, then the sessions before it."""

from __future__ import annotations

from typing import Any

import pytest

from tests.browser.conftest import Page, wait_until
from tests.browser.synthetic import NAMES
from tests.browser.test_interaction import axis, pan, point_at
from tests.browser.test_page import open_page, rows

pytestmark = pytest.mark.browser

TCS = next(iter(NAMES))
QUERY = "instrument=" + TCS.replace("|", "%7C")
LAST = "2025-12-12"
AGAIN = (
    "const done = arguments[0], real = window.fetch, { instrument, minutes, buffer, mode, ticks, date } = orderflow.view;"
    "const wish = new URLSearchParams({ instrument, minutes, buffer, mode, ticks, ...(date ? { date } : {}) });"
    "const again = async () => { for (const message of await (await real('/api/view?' + wish)).json())"
    " orderflow.emit('message', message); orderflow.emit('draw', []); };"
)


def first(browser: Any) -> str:
    return str((rows(browser)["x"] or [""])[0])


def settled(browser: Any) -> None:
    wait_until(lambda: browser.execute_script("return orderflow.older.asking") is False, "the answer")


def pan_back(browser: Any, screens: int) -> None:
    """Pan back by so many screens, each time waiting for what had to be loaded."""
    for _ in range(screens):
        browser.execute_script("orderflow.panShare(-0.9)")
        settled(browser)


def view_again(browser: Any) -> None:
    """Let the page take its whole view once more: at once, where a socket sends an empty one first."""
    browser.execute_async_script(AGAIN + "orderflow.older.more = false; again().then(done)")


def test_chart_when_the_day_is_young_begins_with_the_end_of_the_session_before(browser: Any, page: Page) -> None:
    open_page(browser, page, "?" + QUERY)
    wait_until(lambda: first(browser).startswith(LAST), "the session before")
    days = [label[:10] for label in rows(browser)["x"]]
    begins = days.index(page.store.instruments[TCS].date)
    times = browser.execute_script("return orderflow.times()")
    assert times[begins] - times[begins - 1] == 2 * 60_000
    assert rows(browser)["x"][begins - 1] == f"{LAST} 15:29:00"
    assert axis(browser)[3] is True


def test_chart_when_panned_beyond_its_candles_loads_earlier_ones_and_stays_in_place(browser: Any, page: Page) -> None:
    open_page(browser, page, f"?date={LAST}&buffer=100&{QUERY}")
    wait_until(lambda: first(browser) == f"{LAST} 13:50:00", "the newest hundred")
    pan(browser, 300)
    wait_until(lambda: first(browser) == f"{LAST} 09:15:00", "the whole day")
    before = axis(browser)[:2]
    assert before[1] < axis(browser)[2]
    pan_back(browser, 6)
    wait_until(lambda: first(browser).startswith("2025-12-11"), "the session before")
    assert len(rows(browser)["x"]) == 750
    assert browser.execute_script("return orderflow.older.more") is False
    assert [label[11:16] for label in (first(browser), rows(browser)["x"][-1])] == ["09:15", "15:29"]


def test_chart_when_panned_far_keeps_candles_in_view(browser: Any, page: Page) -> None:
    open_page(browser, page, f"?date={LAST}&{QUERY}")
    wait_until(lambda: first(browser) == f"{LAST} 09:15:00", "the whole day")
    pan_back(browser, 12)
    low, high, _newest, _following = axis(browser)
    oldest = browser.execute_script("return orderflow.times()[0]")
    assert low < oldest < high


def test_legend_when_an_earlier_session_is_pointed_at_names_its_day(browser: Any, page: Page) -> None:
    open_page(browser, page, "?" + QUERY)
    wait_until(lambda: first(browser).startswith(LAST), "the session before")
    said = "return [document.querySelector('#of-legend .when').textContent, document.getElementById('of-cross-time').textContent]"

    def named() -> bool:
        label = point_at(browser, 80)  # again at each look: a new candle moves the others from under the pointer
        legend, crosshair = browser.execute_script(said)
        return label.startswith(LAST) and legend.startswith(crosshair) and crosshair == "12 Dec " + label[11:16]

    wait_until(named, "legend and crosshair with the day")


def test_chart_when_hdfs_is_away_asks_once_and_not_in_a_loop(browser: Any, page: Page) -> None:
    open_page(browser, page, f"?date={LAST}&buffer=100&{QUERY}")
    wait_until(lambda: first(browser) == f"{LAST} 13:50:00", "the newest hundred")
    browser.execute_script(
        "window.asked = 0; const real = window.fetch; window.fetch = (url, ...more) => String(url).includes('/api/older')"
        " ? (window.asked += 1, Promise.resolve(new Response('{}', {status: 503}))) : real(url, ...more);"
    )
    pan(browser, 300)
    wait_until(lambda: browser.execute_script("return asked") == 1, "the question")
    for _ in range(5):
        browser.execute_script("orderflow.panShare(-0.1); orderflow.emit('draw', [])")
    assert browser.execute_script("return [asked, orderflow.older.asking, orderflow.rows.x.length]") == [1, False, 100]


def test_chart_when_the_same_view_is_polled_keeps_earlier_candles_and_asks_for_no_more(browser: Any, page: Page) -> None:
    open_page(browser, page, "?" + QUERY)
    wait_until(lambda: first(browser).startswith(LAST), "the session before")
    settled(browser)
    before = rows(browser)["x"]
    asked = browser.execute_async_script(
        AGAIN + "let asked = 0;"
        "window.fetch = (url, ...more) => { asked += String(url).includes('/api/older'); return real(url, ...more); };"
        "again().then(again).then(() => done(asked))"
    )
    assert asked == 0
    assert rows(browser)["x"][: len(before)] == before
    times = browser.execute_script("return orderflow.times()")
    assert times == sorted(set(times))


def test_footprint_when_panned_loads_earlier_columns_and_keeps_them_over_the_same_view(browser: Any, page: Page) -> None:
    open_page(browser, page, f"?mode=footprint&date={LAST}&{QUERY}")
    wait_until(lambda: rows(browser)["x"][-1:] == [f"{LAST} 15:29:00"], "the day")
    pan_back(browser, 4)
    columns = "return orderflow.columns().map(({ cell, column }) => [cell.x, column])"
    wait_until(lambda: len(browser.execute_script(columns)) >= 60, "earlier columns")
    settled(browser)
    held = browser.execute_script(columns)
    assert held[0][0] < f"{LAST} 14:31:00"
    assert [column for _, column in held] == list(range(30 - len(held), 30))
    before = axis(browser)[:2]
    view_again(browser)
    assert browser.execute_script(columns) == held
    assert axis(browser)[:2] == before


def test_footprint_when_its_columns_are_drawn_gives_all_of_them_one_scale(browser: Any, page: Page) -> None:
    open_page(browser, page, f"?mode=footprint&date={LAST}&{QUERY}")
    wait_until(lambda: rows(browser)["x"][-1:] == [f"{LAST} 15:29:00"], "the day")
    pan_back(browser, 1)
    settled(browser)
    bars, levels, unit = browser.execute_script(
        "const pen = document.getElementById('of-numbers').getContext('2d'), bars = [], { x, price } = orderflow.plot();"
        "const seen = orderflow.columns().filter(({ column }) => column > x.range[0] - 1 && column < x.range[1] + 1);"
        "const inside = (one) => one > price.range[0] && one < price.range[1];"
        "pen.fillRect = (left, top, width) => { bars.push([left, width]); }; orderflow.drawNumbers(); delete pen.fillRect;"
        "return [bars, seen.flatMap(({ cell, column }) => cell.levels.map(([at, sell, buy, none]) =>"
        " [inside(at), x.at(column), sell, buy + none])), x.at(0.42) - x.at(0)]"
    )
    most = max(max(sell, bought) for _, _, sell, bought in levels)
    drawn = {(round(left, 1), round(width, 1)) for left, width in bars}
    sold = [(centre, unit * sell / most) for inside, centre, sell, _ in levels if inside and sell]
    assert len(sold) > 10
    assert [cell for cell in sold if (round(cell[0] - cell[1], 1), round(cell[1], 1)) not in drawn] == []


def test_csv_when_earlier_sessions_are_shown_holds_them_in_order(browser: Any, page: Page) -> None:
    open_page(browser, page, "?" + QUERY)
    wait_until(lambda: first(browser).startswith(LAST), "the session before")
    starts = [line.split(",")[2] for line in browser.execute_script("return orderflow.csv()").splitlines()[1:]]
    assert starts == sorted(starts, key=lambda start: (not start.startswith(LAST), start))
    assert starts[0].startswith(LAST)
