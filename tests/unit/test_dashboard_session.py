"""What a viewer is sent: everything once, then only what changed since the last message."""

from __future__ import annotations

from typing import Any

from orderflow.dashboard.sources.directory import Directory
from orderflow.dashboard.state.store import Store
from orderflow.dashboard.views.viewer import View, Viewer
from orderflow.market import topics
from tests.unit.test_dashboard_store import KEY, OPEN_MS, final, store_with, trade

NOW = OPEN_MS + 90_000


def viewer_of(store: Store, **view: Any) -> Viewer:
    viewer = Viewer(store, Directory((KEY,), {KEY: ("TCS", "Tata Consultancy Services")}))
    viewer.look_at(View(KEY, **view), store)
    return viewer


def tick(**more: Any) -> tuple[str, dict[str, Any]]:
    record = {
        "instrument_key": KEY,
        "kind": "update",
        "feed_time_ms": NOW,
        "received_time_ms": NOW,
        "trading_date": "2025-12-15",
        "ltp": 101.0,
        "ltt_ms": NOW,
        "close_price": 100.0,
        "bid": [{"price": 100.9, "quantity": 5}, {"price": None, "quantity": 7}],
        "ask": [{"price": 101.1, "quantity": 6}],
        **more,
    }
    return topics.TICKS, record


def test_view_when_wishes_are_not_valid_takes_the_defaults() -> None:
    wish = {
        "instrument": KEY,
        "minutes": "7",
        "buffer": "1e9",
        "mode": "<script>",
        "date": "yesterday",
        "ticks": -4,
    }
    assert View.parse(wish, "X", 100) == View(KEY, 1, 100, "chart", None)
    assert View.parse({}, "X", 100).instrument == "X"


def test_view_when_wishes_are_valid_keeps_them() -> None:
    wish = {
        "instrument": KEY,
        "minutes": "15",
        "buffer": 50,
        "mode": "footprint",
        "date": "2025-12-12",
        "replay": "1",
        "ticks": "25",
    }
    assert View.parse(wish, "X", 100) == View(KEY, 15, 50, "footprint", "2025-12-12", True, 25)
    assert View.parse({**wish, "ticks": "99999"}, "X", 100).ticks == 1000


def test_view_when_a_past_day_is_asked_for_shows_it_whole_unless_a_buffer_is_chosen_or_it_is_replayed() -> None:
    past = {"instrument": KEY, "date": "2025-12-12"}
    wishes: list[dict[str, Any]] = [past, {**past, "buffer": 50}, {**past, "replay": "1"}, {"instrument": KEY}]
    assert [View.parse(wish, "X", 100).buffer for wish in wishes] == [2000, 50, 100, 100]


def test_viewer_when_it_looks_first_is_sent_candles_statistics_tape_and_watch_list() -> None:
    message = viewer_of(store_with(trade(0, 100.0, 3, 1, 4), tick())).message(NOW)
    assert message is not None
    assert message["type"] == "whole"
    assert (message["stats"]["last"], message["stats"]["change"], message["stats"]["buy"]) == (101.0, 1.0, 3)
    assert message["tape"] == [[1, OPEN_MS, 100.0, 4, 3, 1, "buy", False, False]]
    assert message["depth"]["bid"] == [[100.9, 5]]
    assert [(row["symbol"], row["last"], row["spark"]) for row in message["watch"]] == [("TCS", 101.0, [100.0])]


def test_viewer_when_nothing_changed_is_sent_nothing() -> None:
    viewer = viewer_of(store_with(trade(0, 100.0, 3, 1, 4)))
    viewer.message(NOW)
    assert viewer.message(NOW + 50) is None


def test_viewer_when_a_trade_comes_is_sent_the_changed_candle_alone() -> None:
    store = store_with(final(0, 100, 101, 99, 100, 5, 5), trade(60_000, 100.0, 3, 0, 13))
    viewer = viewer_of(store)
    viewer.message(NOW)
    store.report_source(None, caught_up=True)
    store.apply([trade(70_000, 100.5, 0, 2, 15)])
    message = viewer.message(NOW + 50)
    assert message is not None
    assert message.get("type") is None
    assert message["from"] == "2025-12-15 09:16:00"
    assert (message["facts"]["delta"], message["facts"]["close"]) == ([1], [100.5])
    assert message["rx"] == [OPEN_MS + 70_040]
    assert [entry[0] for entry in message["tape"]] == [2]


def test_viewer_when_the_day_is_still_being_read_is_not_sent_receipt_times() -> None:
    store = store_with(trade(0, 100.0, 3, 0, 3))
    viewer = viewer_of(store)
    viewer.message(NOW)
    store.apply([trade(1, 100.0, 1, 0, 4)])
    message = viewer.message(NOW + 50)
    assert message is not None
    assert "rx" not in message


def test_viewer_when_it_skipped_messages_is_sent_all_that_changed_at_once() -> None:
    store = store_with(trade(0, 100.0, 3, 0, 3))
    viewer = viewer_of(store)
    viewer.message(NOW)
    store.report_source(None, caught_up=True)
    for number in range(5):
        store.apply([trade(60_000 * number + 10, 100.0 + number, 1, 0, 10 + number)])
    message = viewer.message(NOW + 5_000)
    assert message is not None
    assert message["facts"]["x"][0] == "2025-12-15 09:15:00"
    assert len(message["facts"]["x"]) == 5
    assert len(message["rx"]) == 5


def test_viewer_when_the_window_is_longer_patches_from_the_windows_start() -> None:
    store = store_with(final(0, 100, 101, 99, 100, 5, 5), final(6, 100, 101, 99, 100, 5, 5), trade(7 * 60_000, 100.0, 3, 0, 23))
    viewer = viewer_of(store, minutes=5)
    viewer.message(NOW)
    store.apply([trade(7 * 60_000 + 1, 102.0, 1, 0, 24)])
    message = viewer.message(NOW + 50)
    assert message is not None
    assert message["from"] == "2025-12-15 09:20:00"
    assert message["facts"]["high"] == [102.0]


def test_viewer_when_the_buffer_is_short_is_sent_that_many_candles() -> None:
    store = store_with(*[final(minute, 100, 101, 99, 100, 5, 5) for minute in range(30)])
    message = viewer_of(store, buffer=10).message(NOW)
    assert message is not None
    assert len(message["facts"]["x"]) == 10


def test_viewer_when_it_looks_at_the_footprint_is_sent_the_forming_cells_in_patches() -> None:
    store = store_with(final(0, 100, 101, 99, 100, 5, 5), trade(60_000, 100.0, 3, 0, 13))
    viewer = viewer_of(store, mode="footprint")
    first = viewer.message(NOW)
    assert first is not None
    assert (first["type"], first["mode"], [cell["x"][11:16] for cell in first["cells"]]) == (
        "whole",
        "footprint",
        ["09:15", "09:16"],
    )
    store.apply([trade(70_000, 100.05, 0, 2, 15)])
    second = viewer.message(NOW + 50)
    assert second is not None
    assert "type" not in second
    assert [cell["x"][11:16] for cell in second["cells"]] == ["09:16"]
    assert [level[:3] for level in second["cells"][0]["levels"]] == [[100.0, 0, 3], [100.05, 2, 0]]


def test_viewer_when_only_the_quote_moves_is_sent_statistics_and_depth_without_candles() -> None:
    store = store_with(trade(0, 100.0, 3, 1, 4), tick())
    viewer = viewer_of(store)
    viewer.message(NOW)
    store.apply([tick(tbq=900)])
    message = viewer.message(NOW + 50)
    assert message is not None
    assert message["stats"]["tbq"] == 900
    assert "facts" not in message


def test_viewer_when_the_instrument_is_unknown_is_sent_nothing_of_it() -> None:
    store = store_with(trade(0, 100.0, 3, 1, 4))
    viewer = viewer_of(store)
    viewer.look_at(View("NSE_EQ|NOTHING"), store)
    message = viewer.message(NOW)
    assert message is not None
    assert message["facts"]["x"] == []
    assert message["stats"]["last"] is None


def gap(from_ms: int, to_ms: int) -> tuple[str, dict[str, Any]]:
    return topics.FEED_EVENTS, {"event": "gap", "at_ms": to_ms, "from_ms": from_ms, "to_ms": to_ms}


def test_viewer_when_outages_were_on_other_days_or_before_the_first_candle_is_sent_bands_of_the_days_candles_alone() -> None:
    minute, day = 60_000, 86_400_000
    store = store_with(*[final(number, 100, 101, 99, 100, 5, 5) for number in range(5, 9)])
    store.apply(
        [
            gap(OPEN_MS - 3 * day, OPEN_MS - 3 * day + minute),
            gap(OPEN_MS, OPEN_MS + minute),
            gap(OPEN_MS - day, OPEN_MS + 6 * minute),
            gap(OPEN_MS + 7 * minute, OPEN_MS + 8 * minute),
            gap(OPEN_MS + day, OPEN_MS + day + minute),
        ]
    )
    message = viewer_of(store).message(NOW)
    assert message is not None
    assert message["gaps"] == [
        ("2025-12-15 09:20:00", "2025-12-15 09:21:00"),
        ("2025-12-15 09:22:00", "2025-12-15 09:23:00"),
    ]


def test_viewer_when_a_past_day_has_an_outage_is_sent_the_band_of_its_minutes_and_a_banner() -> None:
    spans = {3: True, 4: True}
    day = store_with(*[final(number, 100, 101, 99, 100, 5, 5, gap=spans.get(number, False)) for number in range(6)])
    day.report_source(None, caught_up=True)
    live = store_with(tick())
    viewer = Viewer(live, Directory((KEY,)))
    viewer.look_at(View(KEY, date="2025-12-15"), day)
    message = viewer.message(NOW)
    assert message is not None
    assert message["gaps"] == [("2025-12-15 09:18:00", "2025-12-15 09:20:00")]
    assert [banner["code"] for banner in message["banners"]] == ["past", "gap"]


def test_viewer_when_the_day_is_still_being_read_learns_that_its_watch_list_is_no_news() -> None:
    store = store_with(trade(0, 100.0, 1, 0, 1))
    viewer = viewer_of(store)
    first = viewer.message(NOW)
    store.report_source(None, caught_up=True)
    store.apply([trade(1, 100.0, 1, 0, 2)])
    second = viewer.message(NOW + 2_000)
    assert first is not None
    assert second is not None
    assert [[row.get("reading", False) for row in message["watch"]] for message in (first, second)] == [[True], [False]]


def test_viewer_when_the_days_first_candle_or_an_outage_comes_is_sent_the_bands_again() -> None:
    store = store_with(tick())
    store.apply([gap(OPEN_MS - 120_000, OPEN_MS + 30_000)])
    viewer = viewer_of(store)
    first = viewer.message(NOW)
    assert first is not None
    store.apply([trade(1, 100.0, 3, 0, 13)])
    second = viewer.message(NOW + 50)
    store.apply([gap(OPEN_MS + 60_000, OPEN_MS + 90_000), trade(2, 100.0, 3, 0, 16)])
    third = viewer.message(NOW + 100)
    assert second is not None
    assert third is not None
    gaps = [message["gaps"] for message in (first, second, third)]
    assert gaps == [
        [("2025-12-15 09:13:00", "2025-12-15 09:15:30")],
        [("2025-12-15 09:15:00", "2025-12-15 09:15:30")],
        [("2025-12-15 09:15:00", "2025-12-15 09:15:30"), ("2025-12-15 09:16:00", "2025-12-15 09:16:30")],
    ]
