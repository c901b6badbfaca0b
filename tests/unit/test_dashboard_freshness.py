"""Freshness per instrument and per streamer: one may stop while others go on."""

from __future__ import annotations

from typing import Any

from orderflow.dashboard.sources.directory import Directory
from orderflow.dashboard.state.store import Store
from orderflow.dashboard.views import banners
from orderflow.dashboard.views.viewer import View, Viewer
from orderflow.market import topics
from tests.unit.test_dashboard_status import event
from tests.unit.test_dashboard_store import CLOSE_MS, KEY, OPEN_MS

INFY = "NSE_EQ|INE009A01021"
NOW = OPEN_MS + 3_600_000


def update(key: str, age_ms: int, **more: Any) -> tuple[str, dict[str, Any]]:
    at = NOW - age_ms
    record = {"instrument_key": key, "kind": "update", "feed_time_ms": at, "received_time_ms": at, "trading_date": "2025-12-15"}
    session = {"session_start_ms": OPEN_MS, "session_end_ms": CLOSE_MS, "segment_status": "NORMAL_OPEN"}
    return topics.TICKS, {**record, **session, **more}


def heartbeat(age_ms: int, streamer: str) -> tuple[str, dict[str, Any]]:
    at = NOW - age_ms
    beat = {"instrument_key": "*", "kind": "heartbeat", "feed_time_ms": at, "received_time_ms": at}
    return topics.TICKS, {**beat, "streamer": streamer}


def store_of(*records: tuple[str, dict[str, Any]]) -> Store:
    store = Store(lambda: NOW)
    assert store.apply(records) == 0
    store.report_source(None, caught_up=True)
    return store


def said(store: Store, key: str) -> list[tuple[str, str]]:
    return [(banner.code, banner.text) for banner in banners.banners(store, key, NOW)]


def test_banners_when_one_instrument_stops_say_so_to_its_viewers_alone() -> None:
    store = store_of(update(KEY, 45_000), update(INFY, 100))
    words = "No update of this instrument for 45 s; its price is as of 10:14:15 IST. Others are updated."
    assert said(store, KEY) == [("quiet", words)]
    assert said(store, INFY) == []
    assert store.stale_keys(NOW) == {KEY}


def test_banners_when_one_of_two_streamers_disconnects_tell_its_viewers_and_the_others() -> None:
    lost = event("disconnected", NOW - 5_000, streamer="one")
    store = store_of(update(KEY, 6_000, streamer="one"), update(INFY, 100, streamer="two"), lost)
    assert said(store, KEY) == [("disconnected", "The feed has been disconnected since 10:14:55 IST; it reconnects by itself.")]
    words = "Streamer one sends nothing: prices of 1 of 2 instruments are old, and grey in the list."
    assert said(store, INFY) == [("streamer", words)]


def test_banners_when_another_streamer_connects_do_not_take_the_lost_one_for_connected() -> None:
    lost, other = event("disconnected", NOW - 5_000, streamer="one"), event("connected", NOW - 1_000, streamer="two")
    store = store_of(update(KEY, 6_000, streamer="one"), update(INFY, 100, streamer="two"), lost, other)
    assert [code for code, _ in said(store, KEY)] == ["disconnected"]
    store.apply([event("connected", NOW - 500, streamer="one")])
    assert said(store, KEY) == []


def test_banners_when_a_streamer_was_replaced_forget_it() -> None:
    lost = event("stopped", NOW - 9_000, streamer="one")
    store = store_of(
        update(KEY, 10_000, streamer="one"), lost, update(KEY, 100, streamer="two"), update(INFY, 50, streamer="two")
    )
    assert said(store, KEY) == said(store, INFY) == []


def test_banners_when_a_streamer_is_silent_name_whether_it_still_has_a_heartbeat() -> None:
    idle = store_of(update(KEY, 45_000, streamer="one"), heartbeat(1_000, "one"))
    assert said(idle, KEY) == [("stalled", "Feed stalled: no update for 45 s. Prices shown are old.")]
    dead = store_of(update(KEY, 45_000, streamer="one"), heartbeat(45_000, "one"))
    assert said(dead, KEY)[0][1].endswith("The streamer sends no heartbeat either: see its log.")


def test_freshness_when_the_market_is_closed_calls_nothing_old() -> None:
    closed = store_of(update(KEY, 900_000, segment_status="NORMAL_CLOSE"), update(INFY, 100, segment_status="NORMAL_CLOSE"))
    assert closed.stale_keys(NOW) == frozenset()
    over = store_of(update(KEY, 45_000, session_end_ms=NOW - 50), update(INFY, 10))
    assert over.stale_keys(NOW) == frozenset()


def test_viewer_when_an_instrument_becomes_old_and_comes_back_is_sent_both() -> None:
    store = store_of(update(KEY, 45_000), update(INFY, 100))
    viewer = Viewer(store, Directory((KEY,)))
    viewer.look_at(View(INFY), store)
    first = viewer.message(NOW)
    store.apply([update(KEY, 0)])
    second = viewer.message(NOW + 1_000)
    third = viewer.message(NOW + 2_000)
    assert first is not None
    assert second is not None
    assert (first["stale"], second["stale"]) == ([KEY], [])
    assert third is None or "stale" not in third
