"""How the feed's announcements change a day: on time, halts, delays, unscheduled sessions, statuses that are made up."""

from __future__ import annotations

import itertools
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from session_days import TCS, clock, ist, shown

from orderflow.market.calendar import EquityCalendar, SessionCalendar
from orderflow.market.contract import Contract
from orderflow.market.errors import DecodeError
from orderflow.market.session import SegmentState, SessionBook
from orderflow.market.special_days import SpecialDays
from orderflow.market.times import ist_date
from orderflow.market.transitions import Change

GOLD, COTTON = "MCX_FO|472790", "MCX_FO|1"
NO_SPECIAL_DAYS = SpecialDays({})
ORDINARY = [
    "09:00 pre_open 09:08",
    "09:08 opening_auction 09:15",
    "09:15 continuous 15:30",
    "15:40 post_close 16:00",
]


def book_after(*announcements: tuple[str, str], segment: str = "NSE_EQ", calendar: SessionCalendar | None = None) -> SessionBook:
    book = SessionBook(calendar or SessionCalendar(special=NO_SPECIAL_DAYS))
    for at, status in announcements:
        book.announce({segment: status}, ist(at))
    return book


def in_force(book: SessionBook, at: str) -> tuple[str, str, str]:
    """Return start and end of the session in force, and the phase, at an instant."""
    session = book.session(TCS, ist(at))
    return clock(session.start_ms), clock(session.end_ms), session.phase(ist(at))


def test_session_when_announced_on_time_then_the_forecast_stands() -> None:
    book = book_after(
        ("2026-01-27T09:00:00.120", "PRE_OPEN_START"),
        ("2026-01-27T09:08:00.100", "PRE_OPEN_END"),
        ("2026-01-27T09:14:58", "NORMAL_OPEN"),
        ("2026-01-27T15:29:59.900", "NORMAL_CLOSE"),
        ("2026-01-27T15:40:00.100", "CLOSING_START"),
        ("2026-01-27T16:00:00.100", "CLOSING_END"),
    )
    day = book.day(TCS, "2026-01-27")
    assert shown(day.spans) == ORDINARY
    assert day.confirmed.startswith("PRE_OPEN_START 09:00:00, PRE_OPEN_END 09:08:00, NORMAL_OPEN 09:14:58, NORMAL_CLOSE 15:29:59")


def test_session_when_the_pre_open_comes_early_and_the_opening_minutes_late_then_the_start_stays() -> None:
    book = book_after(("2025-12-17T08:59:59.500", "PRE_OPEN_START"), ("2025-12-17T09:08:00.100", "PRE_OPEN_END"))
    assert in_force(book, "2025-12-17T09:17:00") == ("09:15", "15:30", "continuous")
    book.announce({"NSE_EQ": "NORMAL_OPEN"}, ist("2025-12-17T09:18:20"))
    assert shown(book.day(TCS, "2025-12-17").spans) == ORDINARY


def test_session_when_its_last_status_is_still_closed_at_the_start_then_it_is_no_halt() -> None:
    book = book_after(("2025-12-16T09:00:00.120", "NORMAL_CLOSE"), segment="NCD_FO")
    assert shown(book.day("NCD_FO|14366", "2025-12-16").spans) == ["09:00 continuous 17:00"]
    book.announce({"NCD_FO": "NORMAL_OPEN"}, ist("2025-12-16T09:15:00"))
    assert shown(book.day("NCD_FO|14366", "2025-12-16").spans) == ["09:00 continuous 17:00"]


def test_session_when_the_exchange_halts_and_reopens_after_the_scheduled_end_then_its_start_stays_and_the_morning_too() -> None:
    book = book_after(
        ("2021-02-24T09:00:00.100", "PRE_OPEN_START"),
        ("2021-02-24T09:08:00.100", "PRE_OPEN_END"),
        ("2021-02-24T09:15:00.200", "NORMAL_OPEN"),
        ("2021-02-24T11:40:00.400", "NORMAL_CLOSE"),
    )
    assert in_force(book, "2021-02-24T12:00") == ("09:15", "11:40", "halt")
    book.announce({"NSE_EQ": "PRE_OPEN_START"}, ist("2021-02-24T15:30:00.100"))
    book.announce({"NSE_EQ": "PRE_OPEN_END"}, ist("2021-02-24T15:38:00.100"))
    book.announce({"NSE_EQ": "NORMAL_OPEN"}, ist("2021-02-24T15:45:00.200"))
    assert in_force(book, "2021-02-24T15:46") == ("09:15", "00:00", "continuous")
    book.announce({"NSE_EQ": "NORMAL_CLOSE"}, ist("2021-02-24T17:00:00.300"))
    assert shown(book.day(TCS, "2021-02-24").spans) == [
        "09:00 pre_open 09:08",
        "09:08 opening_auction 09:15",
        "09:15 continuous 11:40",
        "11:40 halt 15:30",
        "15:30 pre_open 15:38",
        "15:38 opening_auction 15:45",
        "15:45 continuous 17:00",
    ]


def test_session_when_a_circuit_breaker_stops_it_within_its_hours_then_it_goes_on_to_the_scheduled_end() -> None:
    book = book_after(
        ("2020-03-13T09:15:00.100", "NORMAL_OPEN"),
        ("2020-03-13T09:21:03", "NORMAL_CLOSE"),
        ("2020-03-13T10:05:00.200", "PRE_OPEN_START"),
        ("2020-03-13T10:13:00.200", "PRE_OPEN_END"),
        ("2020-03-13T10:20:00.200", "NORMAL_OPEN"),
    )
    assert shown(book.day(TCS, "2020-03-13").spans) == [
        "09:00 pre_open 09:08",
        "09:08 opening_auction 09:15",
        "09:15 continuous 09:21",
        "09:21 halt 10:05",
        "10:05 pre_open 10:13",
        "10:13 opening_auction 10:20",
        "10:20 continuous 15:30",
        "15:40 post_close 16:00",
    ]
    assert in_force(book, "2020-03-13T10:30") == ("09:15", "15:30", "continuous")


def test_session_when_a_halted_one_reopens_without_an_auction_then_the_halt_is_an_interval() -> None:
    book = book_after(("2026-01-27T11:00:20", "NORMAL_CLOSE"))
    assert in_force(book, "2026-01-27T11:30") == ("09:15", "11:01", "halt")
    book.announce({"NSE_EQ": "NORMAL_OPEN"}, ist("2026-01-27T12:00"))
    assert in_force(book, "2026-01-27T12:00:01") == ("09:15", "15:30", "continuous")
    assert shown(book.day(TCS, "2026-01-27").spans)[2:5] == [
        "09:15 continuous 11:01",
        "11:01 halt 12:00",
        "12:00 continuous 15:30",
    ]


def test_session_when_a_halt_ends_then_groups_that_were_closed_by_then_stay_closed() -> None:
    book = book_after(("2025-12-16T16:00:00", "NORMAL_CLOSE"), ("2025-12-16T18:00:00", "NORMAL_OPEN"), segment="MCX_FO")
    book.contracts = {COTTON: Contract("commodity_agricultural")}
    assert shown(book.day(GOLD, "2025-12-16").spans) == ["09:00 continuous 16:00", "16:00 halt 18:00", "18:00 continuous 23:55"]
    assert shown(book.day(COTTON, "2025-12-16").spans) == ["09:00 continuous 16:00", "16:00 halt 17:00"]


def test_session_when_the_pre_open_is_announced_after_the_scheduled_start_then_it_is_delayed() -> None:
    book = book_after(("2026-01-27T09:00", "PRE_OPEN_START"), ("2026-01-27T09:16:30", "PRE_OPEN_END"))
    assert book.session(TCS, ist("2026-01-27T09:30")).phase(ist("2026-01-27T09:30")) == "opening_auction"
    assert book.session(TCS, ist("2026-01-27T09:30")).start_ms >= ist("2026-01-27T15:30")
    book.announce({"NSE_EQ": "NORMAL_OPEN"}, ist("2026-01-27T09:45:02"))
    assert in_force(book, "2026-01-27T09:46") == ("09:45", "15:30", "continuous")


def test_session_when_open_on_a_sunday_then_believed_from_that_minute_to_the_end_of_the_day() -> None:
    book = book_after(("2026-01-25T11:22:33", "NORMAL_OPEN"))
    assert in_force(book, "2026-01-25T11:23") == ("11:22", "00:00", "continuous")


def test_session_when_an_unscheduled_one_closes_then_late_trades_of_it_stay_continuous() -> None:
    book = book_after(("2026-01-25T11:22:33", "NORMAL_OPEN"), ("2026-01-25T12:00:00.500", "NORMAL_CLOSE"))
    assert shown(book.day(TCS, "2026-01-25").spans) == ["11:22 continuous 12:00"]


def test_session_when_two_unscheduled_ones_follow_then_the_break_is_a_halt() -> None:
    book = book_after(
        ("2024-05-18T09:00:00.100", "PRE_OPEN_START"),
        ("2024-05-18T09:15:00.100", "NORMAL_OPEN"),
        ("2024-05-18T10:00:00.100", "NORMAL_CLOSE"),
        ("2024-05-18T11:30:00.100", "PRE_OPEN_START"),
        ("2024-05-18T11:45:00.100", "NORMAL_OPEN"),
        ("2024-05-18T12:40:00.100", "NORMAL_CLOSE"),
    )
    assert shown(book.day(TCS, "2024-05-18").spans) == [
        "09:00 pre_open 09:15",
        "09:15 continuous 10:00",
        "10:00 halt 11:30",
        "11:30 pre_open 11:45",
        "11:45 continuous 12:40",
    ]


def test_session_when_two_are_scheduled_then_each_has_its_own_start_and_the_first_stays() -> None:
    book = book_after(
        ("2024-03-02T09:00:00.100", "PRE_OPEN_START"),
        ("2024-03-02T09:15:00.100", "NORMAL_OPEN"),
        ("2024-03-02T10:00:00.100", "NORMAL_CLOSE"),
        ("2024-03-02T11:15:00.100", "PRE_OPEN_START"),
        ("2024-03-02T11:30:00.100", "NORMAL_OPEN"),
        ("2024-03-02T12:30:00.100", "NORMAL_CLOSE"),
        calendar=SessionCalendar(),
    )
    assert in_force(book, "2024-03-02T09:50") == ("09:15", "10:00", "continuous")
    assert in_force(book, "2024-03-02T11:20") == ("11:30", "12:30", "pre_open")
    assert in_force(book, "2024-03-02T12:29:59") == ("11:30", "12:30", "continuous")
    assert book.session(TCS, ist("2024-03-02T12:00")).phase(ist("2024-03-02T09:20")) == "continuous"


def test_pre_open_when_no_time_of_matching_is_forecast_then_the_feed_gives_it() -> None:
    book = book_after(
        ("2024-03-02T09:00:00.100", "PRE_OPEN_START"), ("2024-03-02T09:08:00.100", "PRE_OPEN_END"), calendar=SessionCalendar()
    )
    assert shown(book.day(TCS, "2024-03-02").spans)[:3] == [
        "09:00 pre_open 09:08",
        "09:08 opening_auction 09:15",
        "09:15 continuous 10:00",
    ]


def test_session_when_an_evening_one_follows_an_ordinary_day_then_it_is_a_session_of_its_own() -> None:
    book = book_after(
        ("2026-01-27T15:30:00.100", "NORMAL_CLOSE"),
        ("2026-01-27T17:45:00.100", "PRE_OPEN_START"),
        ("2026-01-27T18:00:00.100", "NORMAL_OPEN"),
        ("2026-01-27T19:00:00.100", "NORMAL_CLOSE"),
    )
    assert shown(book.day(TCS, "2026-01-27").spans)[2:] == [
        "09:15 continuous 15:30",
        "15:40 post_close 16:00",
        "17:45 pre_open 18:00 #2",
        "18:00 continuous 19:00 #2",
    ]


def test_session_when_open_at_night_of_a_trading_day_then_the_scheduled_one_goes_on() -> None:
    book = book_after(("2026-01-27T22:10:05", "NORMAL_OPEN"))
    assert in_force(book, "2026-01-27T22:11") == ("09:15", "00:00", "continuous")


def test_session_when_open_before_dawn_then_starts_at_the_announcement_and_announcing_again_changes_nothing() -> None:
    book = book_after(("2026-01-27T06:52:10", "NORMAL_OPEN"), ("2026-01-27T07:40:00", "NORMAL_OPEN"))
    assert in_force(book, "2026-01-27T07:41") == ("06:52", "00:00", "continuous")


def test_session_when_open_merely_stands_past_the_forecasts_end_then_the_calendar_holds() -> None:
    book = book_after(("2026-01-27T09:40", "NORMAL_OPEN"), ("2026-01-27T15:36", "NORMAL_OPEN"))
    assert in_force(book, "2026-01-27T15:44") == ("09:15", "15:30", "post_close")


def test_session_when_its_close_is_withdrawn_within_a_minute_then_goes_on() -> None:
    book = book_after(
        ("2026-01-27T10:00", "NORMAL_OPEN"), ("2026-01-27T15:30", "NORMAL_CLOSE"), ("2026-01-27T15:30", "NORMAL_OPEN")
    )
    assert in_force(book, "2026-01-27T15:30:00") == ("09:15", "00:00", "continuous")


def test_session_when_a_stock_is_in_its_closing_auction_then_a_withdrawn_close_opens_it_again() -> None:
    book = book_after(("2026-11-27T15:17", "NORMAL_OPEN"))
    book.closing_auction_keys = frozenset({TCS})
    assert in_force(book, "2026-11-27T15:20") == ("09:15", "15:15", "closing_auction")
    book.announce({"NSE_EQ": "NORMAL_CLOSE"}, ist("2026-11-27T15:30"))
    book.announce({"NSE_EQ": "NORMAL_OPEN"}, ist("2026-11-27T15:30"))
    assert in_force(book, "2026-11-27T15:31") == ("09:15", "00:00", "continuous")


def test_session_when_open_is_the_first_status_in_the_pre_open_then_believed_only_after_a_change() -> None:
    first = book_after(("2026-01-27T09:03", "NORMAL_OPEN"))
    assert in_force(first, "2026-01-27T09:08:20") == ("09:15", "15:30", "opening_auction")
    changed = book_after(("2026-01-27T09:03", "NORMAL_CLOSE"), ("2026-01-27T09:03", "NORMAL_OPEN"))
    assert in_force(changed, "2026-01-27T09:08:20") == ("09:03", "00:00", "continuous")


@pytest.mark.parametrize(("at", "start"), [("06:52:10", "06:52"), ("08:20:00", "09:00")])
def test_session_without_pre_open_when_open_is_the_first_status_then_doubted_in_the_last_hour(at: str, start: str) -> None:
    book = book_after((f"2025-12-16T{at}", "NORMAL_OPEN"), segment="MCX_FO")
    assert clock(book.session(GOLD, ist("2025-12-16T09:01")).start_ms) == start


def test_session_when_left_open_days_ago_then_todays_forecast_stands() -> None:
    book = book_after(("2026-01-23T14:00", "NORMAL_OPEN"), ("2026-01-27T10:00", "NORMAL_OPEN"))
    assert in_force(book, "2026-01-27T10:01") == ("09:15", "15:30", "continuous")
    yesterday = book_after(("2026-01-27T14:00", "NORMAL_OPEN"))
    assert in_force(yesterday, "2026-01-28T10:00") == ("09:15", "15:30", "continuous")
    yesterday.announce({"NSE_EQ": "NORMAL_OPEN"}, ist("2026-01-28T10:00"))
    assert in_force(yesterday, "2026-01-28T15:45") == ("09:15", "15:30", "post_close")


def test_session_when_the_pre_opens_status_is_reported_again_at_a_reconnect_then_trading_goes_on() -> None:
    book = book_after(("2026-01-27T09:05", "PRE_OPEN_START"), ("2026-01-27T11:00", "PRE_OPEN_START"))
    assert in_force(book, "2026-01-27T11:00") == ("09:15", "15:30", "continuous")


def test_session_when_open_over_midnight_then_the_next_starts_there() -> None:
    book = book_after(("2026-01-27T22:10:05", "NORMAL_OPEN"))
    assert in_force(book, "2026-01-28T00:00:01") == ("00:00", "00:00", "continuous")
    book.announce({"NSE_EQ": "NORMAL_OPEN"}, ist("2026-01-28T01:30"))
    assert in_force(book, "2026-01-28T01:31") == ("00:00", "00:00", "continuous")


def test_session_when_one_over_midnight_ends_before_the_pre_open_then_the_forecast_stands() -> None:
    book = book_after(
        ("2026-01-27T22:10", "NORMAL_OPEN"), ("2026-01-28T02:00", "NORMAL_OPEN"), ("2026-01-28T08:10", "NORMAL_CLOSE")
    )
    assert in_force(book, "2026-01-28T09:20") == ("09:15", "15:30", "continuous")


def test_session_when_an_early_one_closed_before_the_regular_open_then_the_forecast_stands() -> None:
    book = book_after(
        ("2026-01-27T06:52", "NORMAL_OPEN"), ("2026-01-27T08:10", "NORMAL_CLOSE"), ("2026-01-27T09:15:01", "NORMAL_OPEN")
    )
    assert in_force(book, "2026-01-27T09:20") == ("09:15", "15:30", "continuous")


def test_session_when_status_of_last_night_says_closed_then_the_next_days_forecast_stands() -> None:
    book = book_after(("2026-01-26T15:30:01", "NORMAL_CLOSE"), ("2026-01-27T08:00", "NORMAL_CLOSE"))
    assert in_force(book, "2026-01-27T09:20") == ("09:15", "15:30", "continuous")


def test_day_when_no_source_covers_it_then_known_once_the_feed_opens_it() -> None:
    book = book_after(("2027-01-13T08:00", "NORMAL_CLOSE"), calendar=SessionCalendar())
    assert (book.day(TCS, "2027-01-13").known, shown(book.day(TCS, "2027-01-13").spans)) == (False, ORDINARY)
    book.announce({"NSE_EQ": "PRE_OPEN_START"}, ist("2027-01-13T09:00"))
    assert (book.day(TCS, "2027-01-13").known, shown(book.day(TCS, "2027-01-13").spans)) == (True, ORDINARY)


def test_muhurat_when_its_hours_were_unknown_then_the_feed_gives_them() -> None:
    book = book_after(("2026-11-08T10:00", "NORMAL_CLOSE"), calendar=SessionCalendar())
    assert (book.day(TCS, "2026-11-08").known, book.day(TCS, "2026-11-08").spans) == (False, ())
    for at, status in (
        ("17:45:00.100", "PRE_OPEN_START"),
        ("17:53:00.100", "PRE_OPEN_END"),
        ("18:00:00.200", "NORMAL_OPEN"),
        ("19:00:00.100", "NORMAL_CLOSE"),
    ):
        book.announce({"NSE_EQ": status}, ist(f"2026-11-08T{at}"))
    assert shown(book.day(TCS, "2026-11-08").spans) == [
        "17:45 pre_open 17:53",
        "17:53 opening_auction 18:00",
        "18:00 continuous 19:00",
    ]


def test_replay_when_its_status_is_made_up_then_it_is_kept_and_changes_no_session() -> None:
    book = SessionBook(SessionCalendar(EquityCalendar("2025-12-01", "2025-12-31")), status_made_up=True)
    book.announce({"NSE_EQ": "NORMAL_OPEN"}, ist("2025-12-15T06:30:00"))
    book.announce({"NSE_EQ": "NORMAL_CLOSE"}, ist("2025-12-15T11:00:00"))
    assert book.status(TCS) == "NORMAL_CLOSE"
    assert shown(book.day(TCS, "2025-12-15").spans) == ORDINARY


def test_listing_when_announced_then_the_share_trades_from_ten_and_others_do_not_change() -> None:
    book = book_after(("2026-01-27T09:15", "NORMAL_OPEN"))
    book.announce_listing("NSE_EQ|INE0NEW01010", "2026-01-27")
    assert shown(book.day("NSE_EQ|INE0NEW01010", "2026-01-27").spans)[:3] == [
        "09:00 pre_open 09:45",
        "09:45 opening_auction 10:00",
        "10:00 continuous 15:30",
    ]
    assert shown(book.day(TCS, "2026-01-27").spans) == ORDINARY
    assert shown(book.day("NSE_EQ|INE0NEW01010", "2026-01-28").spans) == ORDINARY


def test_announce_when_status_changes_then_only_changes_are_returned() -> None:
    book = SessionBook(SessionCalendar())
    assert book.announce({"NSE_EQ": "PRE_OPEN_START", "NSE_FO": "NORMAL_CLOSE"}, ist("2026-01-27T09:00")) == (
        ("NSE_EQ", None, "PRE_OPEN_START"),
        ("NSE_FO", None, "NORMAL_CLOSE"),
    )
    assert book.announce({"NSE_EQ": "PRE_OPEN_END", "NSE_FO": "NORMAL_CLOSE"}, ist("2026-01-27T09:08")) == (
        ("NSE_EQ", "PRE_OPEN_START", "PRE_OPEN_END"),
    )
    assert book.status(TCS) == "PRE_OPEN_END"


VERSION_1 = {
    "status": "NORMAL_CLOSE",
    "trading_date": "2026-01-25",
    "opened_ms": ist("2026-01-25T11:22"),
    "closed_ms": ist("2026-01-25T12:00"),
    "extended": False,
    "waiting": False,
}


def test_state_when_stored_by_an_earlier_version_then_its_moved_edges_hold() -> None:
    state = SegmentState.from_record(VERSION_1)
    book = SessionBook(SessionCalendar(), segments={"NSE_EQ": state})
    assert shown(book.day(TCS, "2026-01-25").spans) == ["11:22 continuous 12:00"]
    assert book.status(TCS) == "NORMAL_CLOSE"


def test_state_when_an_earlier_version_was_open_beyond_the_forecast_then_the_next_status_settles_it() -> None:
    state = SegmentState.from_record(
        VERSION_1 | {"status": "NORMAL_OPEN", "opened_ms": None, "closed_ms": None, "extended": True}
    )
    book = SessionBook(SessionCalendar(), segments={"NSE_EQ": state})
    book.announce({"NSE_EQ": "NORMAL_OPEN"}, ist("2026-01-25T13:10"))
    assert in_force(book, "2026-01-25T13:11") == ("13:10", "00:00", "continuous")


SOUND = SegmentState("NORMAL_OPEN", "2026-01-25", (Change(ist("2026-01-25T11:22"), "NORMAL_OPEN"),), unscheduled=True)


@pytest.mark.parametrize(
    "wrong",
    [
        {"version": 3},
        {"changes": None},
        {"changes": [{"at_ms": "x", "status": "NORMAL_OPEN"}]},
        {"changes": [{"at_ms": ist("2026-01-26T11:22"), "status": "NORMAL_OPEN"}]},
        {"carried": "no"},
        {"surprise": 1},
    ],
)
def test_state_when_its_record_is_broken_then_it_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(DecodeError):
        SegmentState.from_record(SOUND.to_record() | wrong)


STATUSES = ("PRE_OPEN_START", "PRE_OPEN_END", "NORMAL_OPEN", "NORMAL_CLOSE", "CLOSING_START", "CLOSING_END")


@given(
    st.lists(st.tuples(st.integers(0, 10 * 3_600_000), st.sampled_from(STATUSES)), max_size=14),
    st.integers(0, 86_400_000),
    st.sampled_from(("2024-03-01T00:00", "2026-01-25T00:00", "2021-02-24T00:00")),
    st.booleans(),
)
def test_day_when_anything_is_announced_then_its_phases_are_in_order_and_its_state_survives_its_record(
    steps: list[tuple[int, str]], later_ms: int, from_date: str, with_special_days: bool
) -> None:
    calendar = SessionCalendar() if with_special_days else SessionCalendar(special=NO_SPECIAL_DAYS)
    book = SessionBook(calendar)
    at_ms = ist(from_date)
    for wait_ms, status in steps:
        at_ms += wait_ms
        book.announce({"NSE_EQ": status}, at_ms)
    at_ms += later_ms
    spans = book.day(TCS, ist_date(at_ms)).spans
    assert all(span.start_ms < span.end_ms for span in spans)
    assert all(before.end_ms <= after.start_ms for before, after in itertools.pairwise(spans))
    session = book.session(TCS, at_ms)
    assert session.pre_open_start_ms <= session.start_ms
    assert session.start_ms <= session.end_ms <= session.closing_auction_end_ms <= session.post_close_end_ms
    records = {name: json.loads(json.dumps(state.to_record())) for name, state in book.segments.items()}
    restored = {name: SegmentState.from_record(record) for name, record in records.items()}
    assert SessionBook(calendar, segments=restored).session(TCS, at_ms) == session


@given(
    st.lists(st.tuples(st.integers(0, 23_000_000), st.sampled_from(("NORMAL_OPEN", "NORMAL_CLOSE"))), max_size=10),
)
def test_session_when_it_has_opened_then_no_later_announcement_moves_its_start(steps: list[tuple[int, str]]) -> None:
    book = book_after(("2026-01-27T09:15:00.100", "NORMAL_OPEN"))
    at_ms = ist("2026-01-27T09:16")
    for wait_ms, status in steps:
        at_ms = min(at_ms + wait_ms, ist("2026-01-27T23:59"))
        book.announce({"NSE_EQ": status}, at_ms)
        assert clock(book.day(TCS, "2026-01-27").session(0).start_ms) == "09:15"
