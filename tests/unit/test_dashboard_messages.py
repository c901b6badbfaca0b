"""The messages between server and page: what is sent is what both sides' types say."""

from __future__ import annotations

import json
from dataclasses import fields
from typing import Any, get_type_hints

import msgspec
import pytest

from docs import page_types
from orderflow.dashboard.state import messages
from orderflow.dashboard.state.alerts import Rule
from orderflow.dashboard.state.store import Store
from orderflow.dashboard.views.older import answer
from orderflow.dashboard.views.viewer import View, Viewer
from orderflow.dashboard.views.wish import Wish
from tests.unit.test_dashboard_older import TwoDays, days
from tests.unit.test_dashboard_session import NOW, tick, viewer_of
from tests.unit.test_dashboard_store import KEY, OPEN_MS, final, store_with, trade

KINDS: dict[str, Any] = {
    "hello": messages.Hello,
    "alerts": messages.Alerts,
    "fired": messages.Fired,
    "pong": messages.Pong,
    "beat": messages.Beat,
}


def check(message: Any, kind: Any = None) -> None:
    """Fail when a message is not what its type says, or holds more than that."""
    plain = msgspec.json.decode(msgspec.json.encode(message))
    kind = kind or KINDS.get(plain.get("type"), messages.Update)
    known = msgspec.json.decode(msgspec.json.encode(msgspec.convert(plain, kind)))
    assert known == plain


def test_types_when_written_for_the_page_are_up_to_date() -> None:
    assert page_types.TARGET.read_text() == page_types.rendered(), "run python -m docs.page_types"


def busy() -> Store:
    finals = [final(0, 100, 101, 99, 100, 5, 5, confidence="high", delta_band=2.0, imbalance=0.1)]
    return store_with(*finals, trade(60_000, 100.0, 3, 1, 14, none=2), tick(atp=100.1, vtt=40, oi=7.0))


@pytest.mark.parametrize("mode", ["chart", "footprint"])
def test_updates_when_a_viewer_is_sent_them_are_what_their_type_says(mode: str) -> None:
    store = busy()
    store.report_source(None, caught_up=True)
    viewer = viewer_of(store, mode=mode)
    whole = viewer.message(NOW)
    store.apply([trade(70_000, 100.5, 0, 2, 16), tick(tbq=900, sequence=2)])
    patch = viewer.message(NOW + 2_000)
    assert whole is not None
    assert patch is not None
    check(whole)
    check(patch)
    columns = {name: len(values) for name, values in whole["facts"].items()}
    assert set(columns.values()) == {2}


def test_update_when_nothing_is_known_of_the_instrument_is_what_its_type_says() -> None:
    store = store_with(trade(0, 100.0, 3, 1, 4))
    viewer: Viewer = viewer_of(store)
    viewer.look_at(View("NSE_EQ|NOTHING"), store)
    check(viewer.message(NOW))


@pytest.mark.parametrize("mode", ["chart", "footprint"])
def test_older_when_answered_is_what_its_type_says(mode: str) -> None:
    wish = Wish.parse({"instrument": KEY, "before": str(OPEN_MS), "mode": mode}, KEY)
    check(answer(days(TwoDays()), wish), messages.Older)


def test_alerts_when_they_fire_are_what_their_type_says() -> None:
    store = busy()
    store.alerts.change("me", [Rule.parse({"id": "r", "key": KEY, "kind": "above", "value": 100})], [], {KEY: 99.0})
    store.alerts.judge(KEY, 101.0, NOW, None)
    state = store.alerts.of("me")
    assert len(state["log"]) == 1
    check({"type": "alerts", **state, "webhook": False, "problem": None})
    check({"type": "fired", "alert": state["log"][0]})


def test_page_types_when_a_field_may_be_absent_say_so() -> None:
    written = page_types.rendered()
    assert "  spark?: number[];\n" in written
    assert 'export interface Ack {\n  type: "ack";\n  seq: number;\n  latency_ms?: number[];\n}\n' in written
    assert "  add?: AlertWish[];\n" in written


@pytest.mark.parametrize(
    ("sent", "message"),
    [
        ({"type": "view"}, messages.ViewRequest()),
        (
            {"type": "view", "request": 2, "instrument": KEY, "minutes": 5, "buffer": 50, "mode": "footprint", "ticks": 4},
            messages.ViewRequest(request=2, instrument=KEY, minutes=5, buffer=50, mode="footprint", ticks=4),
        ),
        ({"type": "view", "date": "2025-12-12", "replay": True}, messages.ViewRequest(date="2025-12-12", replay=True)),
        ({"type": "ack", "seq": 7, "latency_ms": [3, 4.5]}, messages.Ack(7, [3.0, 4.5])),
        ({"type": "ping", "t": 1765770300123}, messages.Ping(1765770300123.0)),
        ({"type": "replay", "position_ms": 5}, messages.ReplayControl(position_ms=5.0)),
        ({"type": "alerts", "viewer": "v" * 16, "remove": ["r1"]}, messages.AlertChange("v" * 16, [], ["r1"])),
        ({"type": "error", "text": "draw: TypeError"}, messages.PageError("draw: TypeError")),
        ({"type": "ack", "seq": 1, "of_a_later_version": []}, messages.Ack(1)),
    ],
)
def test_read_when_a_viewer_sends_a_message_of_the_protocol_returns_it(sent: dict[str, Any], message: Any) -> None:
    assert messages.read(json.dumps(sent)) == message


@pytest.mark.parametrize(
    "sent",
    [
        "{not json",
        "7",
        "[]",
        "{}",
        '{"type": 7}',
        '{"type": "shutdown"}',
        '{"type": "ack"}',
        '{"type": "ack", "seq": "x"}',
        '{"type": "ack", "seq": 1, "latency_ms": ["<b>"]}',
        '{"type": "view", "instrument": ["a list"]}',
        '{"type": "view", "mode": "heat"}',
        '{"type": "replay", "playing": 1}',
        '{"type": "replay", "position_ms": NaN}',
        '{"type": "replay", "position_ms": 1e999}',
        '{"type": "alerts", "remove": [1]}',
        '{"type": "error", "text": "\\ud800"}',
        '{"type": "error", "text": "\\udc00"}',
    ],
)
def test_read_when_a_viewer_sends_anything_else_refuses_it(sent: str) -> None:
    with pytest.raises(msgspec.DecodeError):
        messages.read(sent)


def test_alert_wish_when_a_viewer_sends_one_has_the_fields_of_the_rule_that_is_kept() -> None:
    wish = get_type_hints(messages.AlertWish)
    assert list(wish) == list(get_type_hints(messages.AlertRule)) == [field.name for field in fields(Rule)]
