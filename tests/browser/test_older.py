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


def first(browser: Any) -> str:
    return str((rows(browser)["x"] or [""])[0])


def settled(browser: Any) -> None:
    wait_until(lambda: browser.execute_script("return orderflow.older.asking") is False, "the answer")


def pan_back(browser: Any, screens: int) -> None:
    """Pan back by so many screens, each time waiting for what had to be loaded."""
    for _ in range(screens):
        browser.execute_script("orderflow.panShare(-0.9)")
        settled(browser)


def figure_again(browser: Any, change: str = "") -> None:
    """Let the page take its view's figure once more, changed by a statement: at once, where a socket sends an empty one first."""
    browser.execute_async_script(
        "const done = arguments[0]; orderflow.older.more = false;"
        "fetch('/api/view?' + new URLSearchParams(orderflow.query(true))).then((one) => one.json())"
        f".then(([, figure]) => {{ {change}; orderflow.emit('message', figure); orderflow.emit('draw', []); done(); }})"
    )


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
    before, asked, after, aligned = browser.execute_async_script(
        "const done = arguments[0], before = orderflow.older.rows; let asked = 0; const real = window.fetch;"
        "window.fetch = (url, ...more) => { asked += String(url).includes('/api/older'); return real(url, ...more); };"
        "const poll = async () => { const one = await real('/api/view?' + new URLSearchParams(orderflow.query(true)));"
        " for (const message of await one.json()) orderflow.emit('message', message); orderflow.emit('draw', []); };"
        "poll().then(poll).then(() => { const { x } = orderflow.rows, volume = orderflow.trace('volume');"
        " done([before, asked, orderflow.older.rows, [x.length, volume.x.length, volume.y.length, volume.marker.color.length,"
        " orderflow.trace('candles').close.length, orderflow.times().findIndex((one, i, all) => i && one <= all[i - 1])]]); })"
    )
    assert (after, asked) == (before, 0)
    assert before > 0
    assert len(set(aligned[:-1])) == 1
    assert aligned[-1] == -1
    assert first(browser).startswith(LAST)


def test_chart_when_a_candle_comes_before_the_days_first_keeps_rows_and_traces_in_step(browser: Any, page: Page) -> None:
    open_page(browser, page, "?" + QUERY)
    wait_until(lambda: first(browser).startswith(LAST), "the session before")
    settled(browser)
    lengths, starts, expected = browser.execute_script(
        "const { rows, older, chart } = orderflow, from = older.rows, before = rows.x.length;"
        "const early = orderflow.toLabel(orderflow.toMs(rows.x[from]) - 180000);"
        "const again = (values) => [values[from], ...values.slice(from)];"
        "const facts = Object.fromEntries(Object.entries(rows).map(([name, values]) => [name, again(values)]));"
        "const tails = {}; facts.x[0] = early;"
        "for (const trace of chart.figure.data) if (Array.isArray(trace.x) && trace.x.length === before) {"
        " const columns = (tails[trace.uid] = { x: facts.x });"
        " for (const name of ['y', 'open', 'high', 'low', 'close'])"
        " if (Array.isArray(trace[name])) columns[name] = again(trace[name]);"
        " if (trace.marker && Array.isArray(trace.marker.color)) columns['marker.color'] = again(trace.marker.color); }"
        "orderflow.emit('message', { type: 'patch', from: early, tails, facts });"
        "const held = chart.figure.data.filter(({ uid }) => tails[uid]);"
        "const lengths = [rows.x.length, ...held.map(({ x }) => x.length), ...held.map(({ y, close }) => (y || close).length)];"
        "return [[...new Set(lengths)],"
        " [orderflow.trace('volume').x[0], rows.x[0]], [facts.x.length, early]]"
    )
    assert lengths == [expected[0]]
    assert starts == [expected[1], expected[1]]
    wait_until(lambda: first(browser).startswith(LAST), "the session before again")
    settled(browser)
    days = [label[:10] for label in rows(browser)["x"]]
    times = browser.execute_script("return orderflow.times()")
    begins = days.index(page.store.instruments[TCS].date)
    assert times[begins] - times[begins - 1] == 2 * 60_000
    assert times == sorted(set(times))


def test_footprint_when_panned_loads_earlier_columns_and_keeps_them_over_a_new_figure(browser: Any, page: Page) -> None:
    open_page(browser, page, f"?mode=footprint&date={LAST}&{QUERY}")
    wait_until(lambda: rows(browser)["x"][-1:] == [f"{LAST} 15:29:00"], "the day")
    pan_back(browser, 4)
    wait_until(lambda: browser.execute_script("return orderflow.older.columns") >= 30, "earlier columns")
    settled(browser)
    labels = browser.execute_script("return orderflow.rows.x[orderflow.base() - orderflow.older.columns]")
    assert labels < f"{LAST} 14:31:00"
    view = "return [orderflow.older.columns, orderflow.chart.div._fullLayout.xaxis.range[0]]"
    before = browser.execute_script(view)
    browser.execute_script("orderflow.chart.figure.layout.shapes = [{ type: 'rect', x0: -2.5, x1: -1.5, y0: 0, y1: 1 }]")
    figure_again(browser)
    assert browser.execute_script(view) == before
    assert browser.execute_script("return orderflow.levels().some(([column]) => column < -20)") is True
    bands = browser.execute_script("return orderflow.chart.figure.layout.shapes.map(({ x0, x1 }) => [x0, x1])")
    assert bands[0] == [-2.5, -1.5]


def test_footprint_when_a_new_figure_has_another_scale_keeps_earlier_columns_and_draws_them_by_it(
    browser: Any, page: Page
) -> None:
    open_page(browser, page, f"?mode=footprint&date={LAST}&{QUERY}")
    wait_until(lambda: rows(browser)["x"][-1:] == [f"{LAST} 15:29:00"], "the day")
    browser.execute_script("orderflow.panShare(-0.9); orderflow.panShare(-0.9)")
    wait_until(lambda: browser.execute_script("return orderflow.older.columns") >= 30, "earlier columns")
    settled(browser)
    widths = (
        "const { x, y } = orderflow.trace('cells_buy'), bars = {}; x.forEach((left, i) => {"
        " if (left !== null && i % 6 === 0 && left < -0.5) bars[[Math.round(left), y[i].toFixed(3)]] = x[i + 1] - left; });"
        "return bars"
    )
    before = browser.execute_script(widths)
    columns = browser.execute_script("return orderflow.older.columns")
    figure_again(browser, "figure.figure.most *= 2")
    after = browser.execute_script(widths)
    assert browser.execute_script("return orderflow.older.columns") == columns
    assert after.keys() == before.keys()
    most = browser.execute_script("return orderflow.chart.figure.most")
    levels = browser.execute_script("return orderflow.levels().filter(([column, , , buy]) => column < 0 && buy)")
    expected = [0.42 * buy / max(most, sell + buy + none) for _, _, sell, buy, none in levels]
    assert sorted(after.values()) == pytest.approx(sorted(expected), abs=1e-3)


def test_csv_when_earlier_sessions_are_shown_holds_them_in_order(browser: Any, page: Page) -> None:
    open_page(browser, page, "?" + QUERY)
    wait_until(lambda: first(browser).startswith(LAST), "the session before")
    starts = [line.split(",")[2] for line in browser.execute_script("return orderflow.csv()").splitlines()[1:]]
    assert starts == sorted(starts, key=lambda start: (not start.startswith(LAST), start))
    assert starts[0].startswith(LAST)
