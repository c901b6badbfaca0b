"""What the page says about its own data."""

from __future__ import annotations

from typing import Any

import pytest

from orderflow.dashboard.sources.closed_days import ClosedDays
from orderflow.dashboard.sources.directory import Directory, Fetched, contract_name, fetch
from orderflow.dashboard.state.instrument import Instrument
from orderflow.dashboard.state.numbers import grouped
from orderflow.dashboard.state.store import Gap, Store
from orderflow.dashboard.views import banners
from orderflow.dashboard.views.viewer import View, Viewer
from orderflow.market import topics
from orderflow.market.closed_day import ClosedDay
from orderflow.market.errors import SettingsError
from orderflow.market.session import EquityCalendar, SessionCalendar
from tests.unit.test_dashboard_store import KEY, OPEN_MS

NOW = OPEN_MS + 3_600_000


def status_tick(segment_status: str, age_ms: int, **more: Any) -> tuple[str, dict[str, Any]]:
    """A tick of KEY without market data, received `age_ms` before NOW."""
    tick = {
        "instrument_key": KEY,
        "kind": "update",
        "feed_time_ms": NOW - age_ms,
        "received_time_ms": NOW - age_ms,
        "trading_date": "2025-12-15",
        "segment_status": segment_status,
    }
    return topics.TICKS, {**tick, **more}


def live_store(*records: tuple[str, dict[str, Any]], segment: str = "NORMAL_OPEN", age_ms: int = 100) -> Store:
    store = Store(lambda: NOW)
    tick = status_tick(segment, age_ms)
    assert store.apply([tick, *records]) == 0
    store.report_source(None, caught_up=True)
    return store


def event(name: str, at_ms: int, **more: Any) -> tuple[str, dict[str, Any]]:
    return topics.FEED_EVENTS, {"event": name, "at_ms": at_ms, **more}


def codes(store: Store, **more: Any) -> list[str]:
    return [banner.code for banner in banners.banners(store, KEY, NOW, **more)]


def test_banners_when_all_is_well_are_none() -> None:
    assert codes(live_store()) == []


def test_banners_when_the_market_is_closed_name_the_next_session() -> None:
    (banner,) = banners.banners(live_store(segment="NORMAL_CLOSE", age_ms=900_000), KEY, NOW, OPEN_MS + 86_400_000)
    assert (banner.level, banner.code, banner.text) == ("info", "closed", "Market closed. Next session Tue 16 Dec 09:15 IST.")


CLOSED_AT = OPEN_MS + 452 * 60_000


@pytest.mark.parametrize(
    ("closed", "level", "text"),
    [
        (ClosedDay(CLOSED_AT, True, {"candles": 0}), "info", "is sound (checked Mon 15 Dec 16:47 IST)."),
        (
            ClosedDay(CLOSED_AT, True, {"candles": 2, "footprint": 1_250}),
            "info",
            "is sound (checked Mon 15 Dec 16:47 IST; corrected: 2 rows of candles, 1,250 rows of footprint).",
        ),
        (
            ClosedDay(CLOSED_AT, False, {"candles": 2}),
            "warning",
            "is not sound (checked Mon 15 Dec 16:47 IST). For details: python -m orderflow lake verify --date 2025-12-15",
        ),
    ],
)
def test_banners_when_the_day_was_closed_say_whether_it_is_sound(closed: ClosedDay, level: str, text: str) -> None:
    store = live_store(segment="NORMAL_CLOSE", age_ms=900_000)
    assert codes(store) == ["closed"]
    store.report_closed({"2025-12-15": closed})
    _, banner = banners.banners(store, KEY, NOW)
    assert (banner.level, banner.text) == (level, f"The stored day 2025-12-15 {text}")


def test_banners_when_trading_goes_on_after_a_close_do_not_repeat_it() -> None:
    store = live_store()
    store.report_closed({"2025-12-15": ClosedDay(CLOSED_AT, True, {})})
    assert codes(store) == []


def test_viewer_when_a_past_day_is_shown_then_its_close_is_too() -> None:
    live = live_store()
    live.report_closed({"2025-12-12": ClosedDay(CLOSED_AT, False, {})})
    past = Store(lambda: NOW)
    past.instruments[KEY] = Instrument(KEY)
    past.report_source(None, caught_up=True)
    viewer = Viewer(live, Directory((KEY,)))
    viewer.look_at(View(KEY, date="2025-12-12"), past)
    message = viewer.message(NOW)
    assert message is not None
    assert [banner["code"] for banner in message["banners"]] == ["empty", "unsound"]


def test_closed_days_when_hdfs_does_not_answer_then_what_was_read_stays() -> None:
    day = ClosedDay(CLOSED_AT, True, {"candles": 0})
    answers: list[Any] = [{"2025-12-15": day}, SettingsError("the NameNode does not answer"), OSError("reset")]

    def read() -> dict[str, ClosedDay]:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return dict(answer)

    store = live_store()
    days = ClosedDays(read, store)
    for _ in range(3):
        days.look()
    assert store.closed_days == {"2025-12-15": day}


AUCTION = {"indicative_price": 1_541.5, "indicative_quantity": 150_000, "indicative_imbalance": 1_200}


def auction_tick(phase: str, status: str, age_ms: int = 100, **more: Any) -> tuple[str, dict[str, Any]]:
    return status_tick(status, age_ms, session_phase=phase, **more)


@pytest.mark.parametrize(
    ("phase", "status", "said"),
    [
        ("pre_open", "PRE_OPEN_START", ["Pre-open auction."]),
        ("opening_auction", "PRE_OPEN_END", ["Pre-open auction over."]),
        ("closing_auction", "NORMAL_OPEN", []),
        ("closing_auction", "NORMAL_CLOSE", ["Closing auction."]),
    ],
)
def test_banners_when_an_auction_runs_name_what_it_would_match(phase: str, status: str, said: list[str]) -> None:
    store = live_store(auction_tick(phase, status, **AUCTION))
    shown = banners.banners(store, KEY, NOW)
    words = "Auction: indicative price 1,541.50, quantity 1,50,000, imbalance +1,200."
    assert [banner.text for banner in shown] == [*said, words]
    assert (shown[-1].level, shown[-1].code) == ("info", "auction")
    assert banners.live_trouble(shown) == []


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"indicative_price": 99.55}, "Auction: indicative price 99.55."),
        ({"indicative_quantity": 500, "indicative_imbalance": -1_200}, "Auction: quantity 500, imbalance −1,200."),
    ],
)
def test_auction_banner_when_the_feed_gives_part_of_it_names_that_part(given: dict[str, Any], words: str) -> None:
    store = live_store(auction_tick("closing_auction", "NORMAL_OPEN", **given))
    assert [banner.text for banner in banners.banners(store, KEY, NOW)] == [words]


def test_auction_banner_when_trading_is_continuous_or_its_figures_are_old_is_none() -> None:
    running = auction_tick("pre_open", "PRE_OPEN_START", 1_000, **AUCTION)
    assert codes(live_store(running, auction_tick("continuous", "NORMAL_OPEN"))) == []
    assert codes(live_store(auction_tick("continuous", "NORMAL_OPEN", **AUCTION))) == []
    old = auction_tick("pre_open", "PRE_OPEN_START", 30_001, **AUCTION)
    assert codes(live_store(old, auction_tick("pre_open", "PRE_OPEN_START"))) == ["closed"]
    assert codes(live_store(auction_tick("pre_open", "PRE_OPEN_START"))) == ["closed"]


def test_auction_banner_when_a_new_day_begins_is_none() -> None:
    store = live_store(auction_tick("pre_open", "PRE_OPEN_START", **AUCTION))
    assert codes(store) == ["closed", "auction"]
    store.instruments[KEY].reset("2025-12-15", None, None)
    assert store.apply([auction_tick("pre_open", "PRE_OPEN_START")]) == 0
    assert codes(store) == ["closed"]


def test_banners_when_a_session_is_on_and_the_feed_silent_do_not_repeat_yesterdays_close() -> None:
    closed = live_store(segment="NORMAL_CLOSE", age_ms=900_000)
    assert codes(closed, in_session=True) == ["stalled"]
    lost = live_store(event("disconnected", NOW - 5_000), segment="NORMAL_CLOSE", age_ms=900_000)
    assert codes(lost, in_session=True) == ["disconnected"]
    assert codes(live_store(segment="NORMAL_CLOSE", age_ms=1_000), in_session=True) == ["closed"]


def test_live_trouble_when_another_day_is_looked_at_keeps_what_ends_alerts() -> None:
    shown = banners.banners(live_store(event("disconnected", NOW - 5_000)), KEY, NOW)
    (banner,) = banners.live_trouble(shown)
    assert banner.text.startswith("Live: The feed has been disconnected since ")
    assert banners.live_trouble(banners.banners(live_store(segment="NORMAL_CLOSE"), KEY, NOW)) == []


def test_directory_when_asked_for_a_session_knows_open_hours_of_trading_days() -> None:
    directory = Directory((KEY,))
    directory.take(Fetched(calendar=calendar()))
    day = 86_400_000
    assert [directory.in_session(KEY, at) for at in (OPEN_MS - 1, OPEN_MS, OPEN_MS - day)] == [False, True, False]


def test_span_when_it_is_long_is_said_in_hours_and_minutes() -> None:
    assert [banners.span(seconds) for seconds in (45, 119, 120, 3_599, 3_600, 33_367)] == [
        "45 s",
        "119 s",
        "2 min",
        "59 min",
        "1 h 0 min",
        "9 h 16 min",
    ]


def test_banners_when_updates_stop_in_an_open_market_say_stalled() -> None:
    assert codes(live_store(age_ms=30_000)) == []
    (banner,) = banners.banners(live_store(age_ms=45_000), KEY, NOW)
    assert (banner.code, banner.text) == ("stalled", "Feed stalled: no update for 45 s. Prices shown are old.")


def test_banners_when_the_feed_was_lost_say_since_when_until_it_connects() -> None:
    lost = event("disconnected", NOW - 5_000)
    assert codes(live_store(event("connected", NOW - 9_000), lost)) == ["disconnected"]
    assert codes(live_store(lost, event("connected", NOW - 1_000))) == []


def test_banners_when_the_token_was_refused_say_so_until_a_connection_opens() -> None:
    refused = event("token", NOW - 5_000, cause="Upstox refused the token")
    assert codes(live_store(refused)) == ["token"]
    assert codes(live_store(refused, event("connected", NOW - 1_000))) == []


def test_banners_when_the_token_is_about_to_expire_warn_while_connected() -> None:
    warning = event("token", NOW - 60_000, cause="the access token expires in 29 minutes: UPSTOX_ACCESS_TOKEN")
    assert codes(live_store(event("connected", NOW - 30_000), warning)) == ["token_expiring"]


def test_banners_when_upstox_refuses_a_connection_say_so_until_it_opens_or_the_streamer_restarts() -> None:
    cause = "connection 2 of 2: refused (403); instruments moved to other connections: 3; not streamed: 0"
    refused = event("refused", NOW - 5_000, streamer="mumbai/2", cause=cause)
    (banner,) = banners.banners(live_store(refused), KEY, NOW)
    assert (banner.level, banner.code, banner.text) == ("warning", "refused", f"Upstox refuses a connection: {cause}.")
    assert codes(live_store(refused, event("connected", NOW, streamer="mumbai/2"))) == []
    assert codes(live_store(refused, event("restart", NOW, streamer="mumbai"))) == []
    assert codes(live_store(refused, event("restart", NOW, streamer="delhi"))) == ["refused"]


def test_banners_when_kafka_is_away_come_first() -> None:
    store = live_store(age_ms=60_000)
    store.report_source("no broker answers", caught_up=True)
    assert codes(store) == ["kafka", "stalled"]


def test_banners_when_the_day_is_being_read_say_so() -> None:
    assert codes(Store(lambda: NOW)) == ["catching_up"]


def test_market_status_event_when_it_comes_closes_the_segment() -> None:
    assert codes(live_store(event("market_status", NOW, detail='{"NSE_EQ": "NORMAL_CLOSE"}'))) == ["closed"]


def test_gap_banner_when_a_gap_is_in_view_names_its_time_and_volume() -> None:
    gaps = [Gap(OPEN_MS, OPEN_MS + 20_000, None, 1_200), Gap(OPEN_MS + 60_000, OPEN_MS + 75_000, KEY, None)]
    banner = banners.gap_banner(gaps, OPEN_MS, NOW)
    assert banner is not None
    assert banner.text == "Updates missed 09:16:00–09:16:15 IST and 1 more; shaded on the chart."
    assert banners.gap_banner(gaps, OPEN_MS + 80_000, NOW) is None


@pytest.mark.parametrize(
    ("value", "decimals", "text"),
    [
        (999, 0, "999"),
        (12_345, 0, "12,345"),
        (1_234_567, 0, "12,34,567"),
        (-123_456_789, 0, "−12,34,56,789"),
        (126_500.5, 2, "1,26,500.50"),
        (0.0, 2, "0.00"),
        (-0.001, 2, "0.00"),
    ],
)
def test_numbers_when_large_are_grouped_in_lakh_and_crore(value: float, decimals: int, text: str) -> None:
    assert grouped(value, decimals) == text


def test_gap_event_when_repeated_is_kept_once() -> None:
    gap = event("gap", NOW, instrument_key=KEY, from_ms=OPEN_MS, to_ms=OPEN_MS + 9_000, volume=10)
    assert live_store(gap, gap).gaps_of(KEY) == [Gap(OPEN_MS, OPEN_MS + 9_000, KEY, 10)]
    assert live_store(gap).gaps_of("NSE_EQ|OTHER") == []


def test_gap_events_when_many_instruments_have_them_are_all_kept() -> None:
    gaps = [
        event("gap", NOW, instrument_key=f"NSE_EQ|{n}", from_ms=OPEN_MS + at, to_ms=OPEN_MS + at + 9_000)
        for at in (0, 60_000)
        for n in range(201)
    ]
    assert [gap.from_ms for gap in live_store(*gaps).gaps_of("NSE_EQ|5")] == [OPEN_MS, OPEN_MS + 60_000]


def test_past_banners_when_the_archive_fails_is_empty_or_replays_say_which() -> None:
    store = Store(lambda: NOW)
    assert [banner.code for banner in banners.past_banners(store, "2025-12-12", 0)] == ["loading"]
    store.report_source(None, caught_up=True)
    assert [banner.code for banner in banners.past_banners(store, "2025-12-12", 0)] == ["empty"]
    assert [banner.code for banner in banners.past_banners(store, "2025-12-12", 9)] == ["past"]
    store.report_source("no NameNode", caught_up=True)
    assert [banner.code for banner in banners.past_banners(store, "2025-12-12", 9)] == ["archive"]


class Listed:
    trading_symbol = "TCS"
    name = "Tata Consultancy Services"


class TwoStocks:
    def __init__(self) -> None:
        self.by_key = {KEY: Listed(), "NSE_FO|51414": Listed()}
        self.with_derivatives = frozenset({KEY})

    def resolve(self, name: str) -> str:
        if name in ("TCS", KEY):
            return KEY
        raise SettingsError(f"{name} is unknown")


def test_directory_when_the_master_is_loaded_resolves_symbols_and_names_keys() -> None:
    directory = Directory(("TCS", "NOPE"))
    assert directory.instruments == ()
    fetched = fetch(("TCS", "NOPE"), lambda: (TwoStocks(), ""), lambda: (calendar("2025-12-16"), ""))
    directory.take(fetched)
    assert fetched.warnings == ("NOPE is unknown",)
    assert directory.instruments == (KEY,)
    assert directory.symbol(KEY) == ("TCS", "Tata Consultancy Services")
    assert directory.symbol("NSE_FO|51414") == ("51414", "NSE_FO|51414")


def calendar(*holidays: str) -> SessionCalendar:
    return SessionCalendar(EquityCalendar("2025-12-01", "2025-12-31", frozenset(holidays)))


def test_directory_when_tomorrow_is_a_holiday_names_the_day_after() -> None:
    directory = Directory((KEY,))
    directory.take(fetch((KEY,), lambda: (None, "no master"), lambda: (calendar("2025-12-16"), "")))
    assert directory.next_open_ms(KEY, OPEN_MS) == OPEN_MS + 2 * 86_400_000


@pytest.mark.parametrize(
    ("symbol", "name"),
    [
        ("NIFTY 26000 CE 25 DEC 25", "NIFTY 25 DEC 26000 CE"),
        ("NIFTY 26000 PE 24 DEC 26", "NIFTY 24 DEC 26 26000 PE"),
        ("BAJAJ-AUTO 9250.5 PE 30 DEC 25", "BAJAJ-AUTO 30 DEC 9250.5 PE"),
        ("NIFTY FUT 30 DEC 25", "NIFTY 30 DEC FUT"),
        ("Nifty 50", "Nifty 50"),
        ("TCS", "TCS"),
    ],
)
def test_contract_name_when_the_master_writes_it_its_own_way_is_said_as_traders_do(symbol: str, name: str) -> None:
    assert contract_name(symbol, 2025) == name


class AnOption(Listed):
    trading_symbol = "NIFTY 26000 CE 25 DEC 25"


def test_directory_when_the_feed_tells_of_a_contract_nobody_configured_names_it() -> None:
    master = TwoStocks()
    master.by_key["NSE_FO|51460"] = AnOption()
    fetched = fetch(("TCS",), lambda: (master, ""), lambda: (SessionCalendar(), ""), ("NSE_FO|51460",), 2025)
    directory = Directory(("TCS",))
    directory.take(fetched)
    assert directory.symbol("NSE_FO|51460")[0] == "NIFTY 25 DEC 26000 CE"
    assert directory.instruments == (KEY,)


@pytest.mark.parametrize("ahead_ms", [1, 3_600_000])
def test_directory_when_it_is_before_the_open_names_today(ahead_ms: int) -> None:
    directory = Directory((KEY,))
    directory.take(Fetched(calendar=calendar()))
    assert directory.next_open_ms(KEY, OPEN_MS - ahead_ms) == OPEN_MS
    assert (directory.in_session(KEY, OPEN_MS - ahead_ms), directory.in_session(KEY, OPEN_MS)) == (False, True)


def test_directory_when_no_source_covers_the_date_then_forecasts_nothing() -> None:
    directory = Directory((KEY,))
    directory.take(Fetched(calendar=SessionCalendar()))
    assert (directory.next_open_ms(KEY, OPEN_MS - 1), directory.in_session(KEY, OPEN_MS)) == (None, False)
