"""Trading sessions: the calendar's forecast and the feed's announcements."""

from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orderflow.market.session import Hours, SegmentState, Session, SessionBook, SessionCalendar
from orderflow.market.tick import IST

TCS = "NSE_EQ|INE467B01029"


def ist(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=IST).timestamp() * 1000)


def edges(session: Session) -> tuple[str, ...]:
    return tuple(
        datetime.fromtimestamp(edge / 1000, IST).strftime("%H:%M")
        for edge in (
            session.pre_open_start_ms,
            session.start_ms,
            session.end_ms,
            session.closing_auction_end_ms,
            session.post_close_end_ms,
        )
    )


@pytest.mark.parametrize(
    ("key", "date", "with_derivatives", "expected"),
    [
        (TCS, "2026-07-31", True, ("09:00", "09:15", "15:30", "15:30", "16:00")),
        (TCS, "2026-08-03", True, ("09:00", "09:15", "15:15", "15:35", "16:00")),
        (TCS, "2026-08-03", False, ("09:00", "09:15", "15:30", "15:30", "16:00")),
        ("NSE_INDEX|Nifty 50", "2026-08-03", False, ("09:00", "09:15", "15:30", "15:30", "16:00")),
        ("NSE_FO|51414", "2025-12-15", False, ("09:00", "09:15", "15:30", "15:30", "15:30")),
        ("NSE_FO|51414", "2026-08-03", False, ("09:00", "09:15", "15:40", "15:40", "15:40")),
        ("NCD_FO|1", "2026-08-03", False, ("09:00", "09:00", "17:00", "17:00", "17:00")),
        ("MCX_FO|1", "2026-03-06", False, ("09:00", "09:00", "23:55", "23:55", "23:55")),
        ("MCX_FO|1", "2026-03-09", False, ("09:00", "09:00", "23:30", "23:30", "23:30")),
        ("MCX_FO|1", "2026-11-02", False, ("09:00", "09:00", "23:55", "23:55", "23:55")),
    ],
)
def test_forecast_when_segment_and_date_then_hours(key, date, with_derivatives, expected):
    assert edges(SessionCalendar().session(key, date, closing_auction=with_derivatives)) == expected


def test_forecast_when_weekend_or_holiday_then_closed_and_special_session_wins():
    calendar = SessionCalendar(frozenset({"2026-01-26"}), {"2026-11-08": Hours(1065, 1080, 1140, 1140, 1140)})
    saturday = calendar.session(TCS, "2026-01-24")
    holiday = calendar.session(TCS, "2026-01-26")
    muhurat = calendar.session(TCS, "2026-11-08")
    assert {saturday.phase(ist(f"2026-01-24T{hour:02}:30")) for hour in range(24)} == {"closed"}
    assert {holiday.phase(ist(f"2026-01-26T{hour:02}:30")) for hour in range(24)} == {"closed"}
    assert calendar.session("MCX_FO|1", "2026-01-26").phase(ist("2026-01-26T18:00")) == "continuous"
    assert [muhurat.phase(ist(f"2026-11-08T{at}")) for at in ("10:00", "17:50", "18:30", "19:00")] == [
        "closed",
        "pre_open",
        "continuous",
        "closed",
    ]


def test_phase_when_the_day_passes_then_each_begins_where_the_one_before_ends():
    session = SessionCalendar().session(TCS, "2026-08-03", closing_auction=True)
    assert [
        session.phase(ist(f"2026-08-03T{at}"))
        for at in ("08:59:59", "09:00", "09:14:59", "09:15", "15:14:59", "15:15", "15:34:59", "15:35", "15:59:59", "16:00")
    ] == [
        "closed",
        "pre_open",
        "pre_open",
        "continuous",
        "continuous",
        "closing_auction",
        "closing_auction",
        "post_close",
        "post_close",
        "closed",
    ]


def book_after(*announcements: tuple[str, str], holidays: frozenset[str] = frozenset()) -> SessionBook:
    book = SessionBook(SessionCalendar(holidays))
    for at, status in announcements:
        book.announce({"NSE_EQ": status}, ist(at))
    return book


def in_force(book: SessionBook, at: str) -> tuple[str, str, str]:
    session = book.session(TCS, ist(at))
    return (
        *(datetime.fromtimestamp(edge / 1000, IST).strftime("%d %H:%M") for edge in (session.start_ms, session.end_ms)),
        session.phase(ist(at)),
    )


def test_session_when_announced_inside_the_hours_then_the_calendar_stands():
    book = book_after(("2026-01-27T09:14:58", "NORMAL_OPEN"), ("2026-01-27T15:29:59.900", "NORMAL_CLOSE"))
    assert in_force(book, "2026-01-27T09:20") == ("27 09:15", "27 15:30", "continuous")
    assert in_force(book, "2026-01-27T15:45") == ("27 09:15", "27 15:30", "post_close")


def test_session_when_open_on_a_sunday_then_believed_from_that_minute_to_the_end_of_the_day():
    book = book_after(("2026-01-25T11:22:33", "NORMAL_OPEN"))
    assert in_force(book, "2026-01-25T11:23") == ("25 11:22", "26 00:00", "continuous")


def test_session_when_open_at_night_of_a_trading_day_then_starts_at_the_calendars_start():
    book = book_after(("2026-01-27T22:10:05", "NORMAL_OPEN"))
    assert in_force(book, "2026-01-27T22:11") == ("27 09:15", "28 00:00", "continuous")


def test_session_when_open_before_dawn_then_starts_at_the_announcement_and_announcing_again_changes_nothing():
    book = book_after(("2026-01-27T06:52:10", "NORMAL_OPEN"), ("2026-01-27T07:40:00", "NORMAL_OPEN"))
    assert in_force(book, "2026-01-27T07:41") == ("27 06:52", "28 00:00", "continuous")


def test_session_when_open_merely_stands_past_the_forecasts_end_then_the_calendar_holds():
    book = book_after(("2026-01-27T09:40", "NORMAL_OPEN"), ("2026-01-27T15:36", "NORMAL_OPEN"))
    for at in ("15:30:30", "15:31:30", "15:44:00"):
        assert in_force(book, f"2026-01-27T{at}") == ("27 09:15", "27 15:30", "post_close")


def test_session_when_it_closes_and_opens_at_the_forecasts_end_then_goes_on():
    book = book_after(
        ("2026-01-27T10:00", "NORMAL_OPEN"), ("2026-01-27T15:30", "NORMAL_CLOSE"), ("2026-01-27T15:30", "NORMAL_OPEN")
    )
    assert in_force(book, "2026-01-27T15:30:00") == ("27 09:15", "28 00:00", "continuous")


def test_session_when_open_is_first_heard_in_the_pre_open_then_the_calendar_stands_unless_a_close_went_before():
    made_up = book_after(("2026-01-27T09:03", "NORMAL_OPEN"))
    assert in_force(made_up, "2026-01-27T09:08:20") == ("27 09:15", "27 15:30", "pre_open")
    told = book_after(("2026-01-27T09:03", "NORMAL_CLOSE"), ("2026-01-27T09:03", "NORMAL_OPEN"))
    assert in_force(told, "2026-01-27T09:08:20") == ("27 09:03", "28 00:00", "continuous")


def test_session_when_left_open_days_ago_then_todays_forecast_stands():
    book = book_after(("2026-01-23T14:00", "NORMAL_OPEN"), ("2026-01-27T10:00", "NORMAL_OPEN"))
    assert in_force(book, "2026-01-27T10:01") == ("27 09:15", "27 15:30", "continuous")
    yesterday = book_after(("2026-01-27T14:00", "NORMAL_OPEN"))
    assert in_force(yesterday, "2026-01-28T10:00") == ("28 09:15", "28 15:30", "continuous")
    yesterday.announce({"NSE_EQ": "NORMAL_OPEN"}, ist("2026-01-28T10:00"))
    assert in_force(yesterday, "2026-01-28T15:45") == ("28 09:15", "28 15:30", "post_close")


def test_session_when_the_pre_opens_status_is_told_again_at_a_reconnect_then_trading_goes_on():
    book = book_after(("2026-01-27T09:05", "PRE_OPEN_START"), ("2026-01-27T11:00", "PRE_OPEN_START"))
    assert in_force(book, "2026-01-27T11:00") == ("27 09:15", "27 15:30", "continuous")


def test_session_when_open_over_midnight_then_the_next_starts_there():
    book = book_after(("2026-01-27T22:10:05", "NORMAL_OPEN"))
    assert in_force(book, "2026-01-28T00:00:01") == ("28 00:00", "29 00:00", "continuous")
    book.announce({"NSE_EQ": "NORMAL_OPEN"}, ist("2026-01-28T01:30"))
    assert in_force(book, "2026-01-28T01:31") == ("28 00:00", "29 00:00", "continuous")


def test_session_when_closed_early_then_ends_at_that_minute_and_reopening_restores_it():
    book = book_after(("2026-01-27T11:00:20", "NORMAL_CLOSE"))
    assert in_force(book, "2026-01-27T11:30") == ("27 09:15", "27 11:01", "post_close")
    book.announce({"NSE_EQ": "NORMAL_OPEN"}, ist("2026-01-27T12:00"))
    assert in_force(book, "2026-01-27T12:00:01") == ("27 09:15", "27 15:30", "continuous")


def test_session_when_an_unforeseen_one_closes_then_late_trades_of_it_stay_continuous():
    book = book_after(("2026-01-25T11:22:33", "NORMAL_OPEN"), ("2026-01-25T12:00:00.500", "NORMAL_CLOSE"))
    session = book.session(TCS, ist("2026-01-25T12:00:05"))
    assert session.phase(ist("2026-01-25T11:59:59")) == "continuous"
    assert session.phase(ist("2026-01-25T12:01")) == "post_close"


def test_session_when_an_early_one_closed_before_the_regular_open_then_the_forecast_stands():
    book = book_after(
        ("2026-01-27T06:52", "NORMAL_OPEN"), ("2026-01-27T08:10", "NORMAL_CLOSE"), ("2026-01-27T09:15:01", "NORMAL_OPEN")
    )
    assert in_force(book, "2026-01-27T09:20") == ("27 09:15", "27 15:30", "continuous")


def test_session_when_the_open_is_delayed_then_nothing_is_continuous_before_it():
    book = book_after(("2026-01-27T09:00", "PRE_OPEN_START"), ("2026-01-27T09:16:30", "PRE_OPEN_END"))
    assert book.session(TCS, ist("2026-01-27T09:30")).phase(ist("2026-01-27T09:30")) == "pre_open"
    book.announce({"NSE_EQ": "NORMAL_OPEN"}, ist("2026-01-27T09:45:12"))
    assert in_force(book, "2026-01-27T09:46") == ("27 09:45", "27 15:30", "continuous")


def test_session_when_status_of_last_night_says_closed_then_the_next_days_forecast_stands():
    book = book_after(("2026-01-26T15:30:01", "NORMAL_CLOSE"), ("2026-01-27T08:00", "NORMAL_CLOSE"))
    assert in_force(book, "2026-01-27T09:20") == ("27 09:15", "27 15:30", "continuous")


def test_announce_when_status_changes_then_only_changes_are_told():
    book = SessionBook(SessionCalendar())
    assert book.announce({"NSE_EQ": "PRE_OPEN_START", "NSE_FO": "NORMAL_CLOSE"}, ist("2026-01-27T09:00")) == (
        ("NSE_EQ", None, "PRE_OPEN_START"),
        ("NSE_FO", None, "NORMAL_CLOSE"),
    )
    assert book.announce({"NSE_EQ": "PRE_OPEN_END", "NSE_FO": "NORMAL_CLOSE"}, ist("2026-01-27T09:08")) == (
        ("NSE_EQ", "PRE_OPEN_START", "PRE_OPEN_END"),
    )
    assert book.status(TCS) == "PRE_OPEN_END"


STATUSES = ("PRE_OPEN_START", "PRE_OPEN_END", "NORMAL_OPEN", "NORMAL_CLOSE", "CLOSING_START", "CLOSING_END")


@given(st.lists(st.tuples(st.integers(0, 2 * 86_400_000), st.sampled_from(STATUSES)), max_size=12), st.integers(0, 86_400_000))
def test_session_when_anything_is_announced_then_edges_are_in_order_and_state_survives_its_record(steps, later_ms):
    book = SessionBook(SessionCalendar())
    at_ms = ist("2026-01-25T00:00")
    for wait_ms, status in steps:
        at_ms += wait_ms
        book.announce({"NSE_EQ": status}, at_ms)
    at_ms += later_ms
    session = book.session(TCS, at_ms)
    assert session.pre_open_start_ms <= session.start_ms
    assert session.start_ms <= session.end_ms <= session.closing_auction_end_ms <= session.post_close_end_ms
    restored = {name: SegmentState.from_record(state.to_record()) for name, state in book.segments.items()}
    assert SessionBook(SessionCalendar(), segments=restored).session(TCS, at_ms) == session
