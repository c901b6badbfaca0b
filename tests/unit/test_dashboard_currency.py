"""A currency pair on the dashboard: its tick is a quarter of a paisa, and nothing rounds it away."""

from __future__ import annotations

import json
from typing import Any

from orderflow.dashboard.sources.archive import Archive
from orderflow.dashboard.sources.directory import Directory
from orderflow.dashboard.state.alerts import Rule
from orderflow.dashboard.state.store import Store
from orderflow.dashboard.views.days import Days
from orderflow.dashboard.web.app import Parts, create_app
from orderflow.market import topics
from tests.unit.test_dashboard_guard import ask
from tests.unit.test_dashboard_store import OPEN_MS, level, trade

PAIR = "NCD_FO|14366"


def of_pair(message: tuple[str, dict[str, Any]], **more: Any) -> tuple[str, dict[str, Any]]:
    topic, record = message
    name = "instrument" if topic == topics.FOOTPRINT else "instrument_key"
    return topic, {**record, name: PAIR, **more}


def store_of(*messages: tuple[str, dict[str, Any]]) -> Store:
    store = Store(lambda: OPEN_MS + 3_600_000)
    store.report_source(None, caught_up=True)
    assert store.apply(messages) == 0
    return store


def test_levels_when_formed_from_trades_and_then_final_then_they_are_the_same_prices() -> None:
    trades = [of_pair(trade(at, price, 10, 0, 10 * (at + 1))) for at, price in enumerate((90.4275, 90.43, 90.4325))]
    store = store_of(*trades)
    profile = store.instruments[PAIR].profile
    assert profile.levels == {904_275: [10, 0, 0], 904_300: [10, 0, 0], 904_325: [10, 0, 0]}
    finals = [of_pair(level(0, price, 10, 0), price_unit=10_000) for price in (904_275, 904_300, 904_325)]
    assert store.apply(finals) == 0
    assert profile.levels == {904_275: [10, 0, 0], 904_300: [10, 0, 0], 904_325: [10, 0, 0]}


def test_alert_when_a_pair_moves_by_its_tick_then_it_fires_and_says_four_decimals() -> None:
    store = store_of(of_pair(trade(0, 90.4275, 1, 0, 1)))
    rule = Rule.parse({"id": "r1", "key": PAIR, "kind": "above", "value": 90.43})
    store.alerts.change("me", [rule], [], {PAIR: 90.4275})
    store.apply([of_pair(trade(1, 90.43, 1, 0, 2))])
    assert [alert["words"] for alert in store.alerts.of("me")["log"]] == ["last 90.4300 (price at or above 90.4300)"]


def test_hello_when_a_page_comes_then_it_learns_which_segments_have_more_decimals() -> None:
    assert Days(store_of(), Directory([]), Archive(None)).hello()["decimals"] == {"NCD_FO": 4, "BCD_FO": 4}


def test_footprint_when_asked_for_over_http_then_its_levels_are_those_of_the_topic() -> None:
    store = store_of(
        of_pair(trade(0, 90.4275, 4, 3, 7)), of_pair(level(0, 904_275, 4, 3), price_unit=10_000), trade(1, 100.05, 5, 1, 6)
    )
    served = create_app(Parts(store, Directory([])))
    pair, share = (footprint(served, key) for key in (PAIR, "NSE_EQ|INE467B01029"))
    assert [(level["price"], level["price_unit"], level["buy_volume"]) for level in pair] == [(904_275, 10_000, 4)]
    assert [(level["price"], level["price_unit"], level["buy_volume"]) for level in share] == [(10_005, 100, 5)]


def footprint(served: Any, key: str) -> list[dict[str, Any]]:
    levels: list[dict[str, Any]] = json.loads(ask(served, f"/api/footprint?instrument={key}")[2])
    return levels
