"""Alert rules kept and judged by the server: on every trade, also while no page is open."""

from __future__ import annotations

import asyncio
import http.server
import json
import threading
from pathlib import Path
from typing import Any

import pytest

from orderflow.dashboard.sources.archive import Archive
from orderflow.dashboard.sources.directory import Directory
from orderflow.dashboard.state.alerts import RULES_MOST, AlertBook, Rule
from orderflow.dashboard.state.store import Store
from orderflow.dashboard.views.days import Days
from orderflow.dashboard.web.alert_desk import AlertFile, Webhook
from orderflow.dashboard.web.hub import Hub
from orderflow.market.errors import OrderflowError
from tests.unit.test_dashboard_hub import FakeSocket, until
from tests.unit.test_dashboard_session import tick
from tests.unit.test_dashboard_store import CLOSE_MS, KEY, OPEN_MS, final, store_with, trade

ME, YOU = "viewer-of-the-first", "viewer-of-the-other"


def rule(identifier: str = "r1", kind: str = "above", value: float = 101.0, **more: Any) -> Rule:
    return Rule.parse({"id": identifier, "key": KEY, "kind": kind, "value": value, **more})


def live_store(*records: tuple[str, dict[str, Any]]) -> Store:
    store = store_with(*records)
    store.report_source(None, caught_up=True)
    return store


def words(store: Store, viewer: str = ME) -> list[str]:
    return [alert["words"] for alert in store.alerts.of(viewer)["log"]]


def test_alert_when_the_price_touches_and_returns_within_one_batch_fires() -> None:
    store = live_store(trade(0, 100.0, 1, 0, 1))
    store.alerts.change(ME, [rule()], [], {KEY: 100.0})
    store.apply([trade(1, 101.0, 1, 0, 2), trade(2, 100.0, 0, 1, 3)])
    assert words(store) == ["last 101.00 (price at or above 101.00)"]
    (entry,) = store.alerts.of(ME)["log"]
    assert (entry["at_ms"], entry["price"], entry["rule"]["id"]) == (OPEN_MS + 1, 101.0, "r1")


def test_alert_when_the_price_stays_beyond_fires_once_and_again_after_it_came_back() -> None:
    store = live_store(trade(0, 100.0, 1, 0, 1))
    store.alerts.change(ME, [rule(kind="below", value=99.0)], [], {KEY: 100.0})
    store.apply([trade(at, price, 1, 0, 1 + at) for at, price in ((1, 99.0), (2, 98.5), (3, 99.5), (4, 98.0))])
    assert words(store) == ["last 98.00 (price at or below 99.00)", "last 99.00 (price at or below 99.00)"]


def test_alert_when_its_condition_holds_already_waits_for_the_next_crossing() -> None:
    store = live_store(trade(0, 105.0, 1, 0, 1))
    store.alerts.change(ME, [rule()], [], {KEY: 105.0})
    store.apply([trade(1, 106.0, 1, 0, 2)])
    assert words(store) == []


def test_alert_when_the_day_is_read_again_at_a_start_does_not_fire() -> None:
    store = store_with(trade(0, 100.0, 1, 0, 1))
    store.alerts.change(ME, [rule()], [], {})
    store.apply([trade(1, 102.0, 1, 0, 2)])
    store.report_source(None, caught_up=True)
    store.apply([trade(2, 103.0, 1, 0, 3)])
    assert words(store) == []


def test_alert_when_a_minute_rule_holds_fires_once_in_that_minute() -> None:
    store = live_store(*[final(minute, 100, 100, 100, 100, 6, 4) for minute in range(20)])
    wishes = [
        rule("d", "delta", 25),
        rule("v", "volume", 3),
        rule("i", "imbalance", 0.9),
        rule("j", "imbalance", 0.9, least=1000),
    ]
    store.alerts.change(ME, wishes, [], {})
    store.apply([trade(20 * 60_000, 100.0, 3, 0, 203), trade(20 * 60_000 + 1, 100.0, 27, 0, 230)])
    assert sorted(words(store)) == [
        "delta +30 (absolute delta of the minute, at least 25)",
        "imbalance 1.00 of 30 (absolute imbalance of the minute, at least 0.9)",
        "volume 30 (volume of the minute, times the average of 20, 3)",
    ]
    store.apply([trade(20 * 60_000 + 2, 100.0, 40, 0, 270)])
    assert len(words(store)) == 3


def test_alert_when_a_trade_comes_for_a_minute_that_is_over_says_nothing_of_the_newest() -> None:
    store = live_store(*[final(minute, 100, 100, 100, 100, 90, 0) for minute in range(1, 3)])
    store.alerts.change(ME, [rule("d", "delta", 25)], [], {})
    store.apply([trade(0, 100.0, 1, 0, 1)])
    assert words(store) == []


def test_alert_when_an_index_moves_is_judged_by_its_values() -> None:
    index = "NSE_INDEX|Nifty 50"
    at = {"instrument_key": index, "ltt_ms": OPEN_MS}
    store = live_store(tick(**at, ltp=26_000.0))
    wish = Rule.parse({"id": "n", "key": index, "kind": "above", "value": 26_010})
    store.alerts.change(ME, [wish], [], {index: 26_000.0})
    store.apply([tick(**at, ltp=26_012.5)])
    assert words(store) == ["last 26,012.50 (price at or above 26,010.00)"]


def test_alert_when_it_is_of_one_viewer_is_not_the_others() -> None:
    store = live_store(trade(0, 100.0, 1, 0, 1))
    store.alerts.change(ME, [rule()], [], {KEY: 100.0})
    store.alerts.change(YOU, [rule("r2", value=200.0)], [], {KEY: 100.0})
    store.apply([trade(1, 101.5, 1, 0, 2)])
    assert (len(words(store, ME)), words(store, YOU)) == (1, [])
    store.alerts.change(ME, [], ["r1"], {})
    assert store.alerts.of(ME)["rules"] == []
    assert [rule["id"] for rule in store.alerts.of(YOU)["rules"]] == ["r2"]


@pytest.mark.parametrize(
    "wish",
    [
        None,
        {"id": "a", "key": KEY, "kind": "sideways", "value": 1},
        {"id": "a", "key": KEY, "kind": "above", "value": "101"},
        {"id": "a", "key": KEY, "kind": "above", "value": float("nan")},
        {"id": "", "key": KEY, "kind": "above", "value": 1},
        {"id": "a" * 200, "key": KEY, "kind": "above", "value": 1},
    ],
)
def test_rule_when_it_is_none_is_refused(wish: Any) -> None:
    with pytest.raises(OrderflowError):
        Rule.parse(wish)


def test_book_when_a_viewer_has_too_many_rules_refuses_more() -> None:
    book = AlertBook()
    book.change(ME, [rule(str(number)) for number in range(RULES_MOST)], [], {})
    with pytest.raises(OrderflowError, match="at most 100"):
        book.change(ME, [rule("one more")], [], {})


def test_alert_file_when_the_dashboard_starts_again_has_rules_and_log(tmp_path: Path) -> None:
    store = live_store(trade(0, 100.0, 1, 0, 1))
    path = tmp_path / "deep" / "alerts.json"
    file = AlertFile(path, store.alerts)
    store.alerts.change(ME, [rule(), rule("r2", "imbalance", 0.6, least=500)], [], {KEY: 100.0})
    store.apply([trade(1, 101.0, 1, 0, 2)])
    file.save()
    again = Store(lambda: CLOSE_MS)
    started = AlertFile(path, again.alerts)
    started.start()
    started.stop()
    assert again.alerts.of(ME) == store.alerts.of(ME)
    again.report_source(None, caught_up=True)
    again.apply([trade(0, 100.0, 1, 0, 1), trade(5, 102.0, 1, 0, 2)])
    assert len(words(again)) == 2


def test_alert_file_when_it_is_broken_is_set_aside(tmp_path: Path) -> None:
    path = tmp_path / "alerts.json"
    path.write_text("{not json")
    book = AlertBook()
    file = AlertFile(path, book)
    file.start()
    file.stop()
    assert (path.exists(), (tmp_path / "alerts.broken").read_text()) == (False, "{not json")


def test_webhook_when_a_rule_asks_for_it_is_posted_what_fired() -> None:
    posted: list[dict[str, Any]] = []
    arrived = threading.Event()

    class Receiver(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            posted.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()
            arrived.set()

        def log_message(self, *_: Any) -> None:
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Receiver)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    webhook = Webhook(f"http://127.0.0.1:{server.server_port}/hook", lambda _key: ("TCS", "Tata Consultancy Services"))
    webhook.start()
    store = live_store(trade(0, 100.0, 1, 0, 1))
    store.alerts.subscribe(webhook.fired)
    store.alerts.change(ME, [rule(webhook=True), rule("quiet", value=100.5)], [], {KEY: 100.0})
    store.apply([trade(1, 101.0, 1, 0, 2)])
    assert arrived.wait(5)
    webhook.stop()
    server.shutdown()
    server.server_close()
    assert posted == [
        {
            "text": "TCS: last 101.00 (price at or above 101.00) at 09:15:00 IST",
            "instrument": KEY,
            "symbol": "TCS",
            "kind": "above",
            "value": 101.0,
            "price": 101.0,
            "time": "2025-12-15T09:15:00.001+05:30",
        }
    ]


async def two_pages() -> tuple[list[list[dict[str, Any]]], Store]:
    store = live_store(trade(0, 100.0, 1, 0, 1))
    hub = Hub(Days(store, Directory((KEY,)), Archive(None)))
    hub.attach(asyncio.get_running_loop())
    mine, other, yours = (FakeSocket(acknowledges=True) for _ in range(3))
    serving = [asyncio.create_task(hub.serve(socket)) for socket in (mine, other, yours)]  # type: ignore[arg-type]

    def kinds(socket: FakeSocket, kind: str) -> list[dict[str, Any]]:
        return [message for message in socket.received if message["type"] == kind]

    for socket, viewer in ((mine, ME), (other, ME), (yours, YOU)):
        await until(lambda socket=socket: socket.received)
        socket.ask(type="alerts", viewer=viewer)
        await until(lambda socket=socket: kinds(socket, "alerts"))
    mine.ask(type="alerts", viewer=ME, add=[{"id": "r1", "key": KEY, "kind": "above", "value": 101}])
    await until(lambda: len(kinds(other, "alerts")) == 2)
    store.apply([trade(1, 101.0, 1, 0, 2), trade(2, 100.0, 1, 0, 3)])
    await until(lambda: kinds(mine, "fired") and kinds(other, "fired"))
    mine.ask(type="alerts", viewer=ME, add=[{"id": "bad"}])
    await until(lambda: kinds(mine, "alerts")[-1]["problem"])
    for socket in (mine, other, yours):
        socket.leave()
    await asyncio.gather(*serving)
    return [
        [message for message in socket.received if message["type"] in ("alerts", "fired")] for socket in (mine, other, yours)
    ], store


def test_hub_when_a_rule_fires_tells_all_pages_of_its_viewer_and_no_other() -> None:
    (mine, other, yours), _ = asyncio.run(asyncio.wait_for(two_pages(), 20))
    assert [message["alert"]["words"] for message in mine if message["type"] == "fired"] == [
        "last 101.00 (price at or above 101.00)"
    ]
    assert [[rule["id"] for rule in message["rules"]] for message in other if message["type"] == "alerts"] == [[], ["r1"]]
    assert [message["type"] for message in yours] == ["alerts"]
    assert mine[-1]["problem"] == "an alert rule has id, key and kind"
