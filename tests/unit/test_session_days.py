"""The hours of every segment and group, on ordinary and special days: what docs/SESSIONS.md says, as the calendar has it."""

from __future__ import annotations

from pathlib import Path

import pytest
from session_days import shown

from orderflow.market.calendar import EquityCalendar, SessionCalendar
from orderflow.market.contract import Contract, Terms, contracts
from orderflow.market.special_days import special_days
from orderflow.market.timetable import SEGMENTS, Group, groups_of

EQUITY = EquityCalendar(
    "2006-11-27", "2026-12-31", frozenset({"2025-12-25", "2026-01-26", "2026-03-26"}), frozenset({"2025-02-01"})
)
CALENDAR = SessionCalendar(EQUITY)
OPENING = ["09:00 pre_open 09:08", "09:08 opening_auction 09:15"]


@pytest.mark.parametrize(
    ("segment", "group", "date", "expected"),
    [
        pytest.param(
            "NSE_EQ", None, "2025-12-16", [*OPENING, "09:15 continuous 15:30", "15:40 post_close 16:00"], id="ordinary NSE day"
        ),
        pytest.param(
            "NSE_EQ",
            "stock_with_derivatives",
            "2026-07-31",
            [*OPENING, "09:15 continuous 15:30", "15:40 post_close 16:00"],
            id="stock with derivatives before the closing auction",
        ),
        pytest.param(
            "NSE_EQ",
            "stock_with_derivatives",
            "2026-08-03",
            [*OPENING, "09:15 continuous 15:15", "15:15 closing_auction 15:35", "15:50 post_close 16:00"],
            id="stock with derivatives from 2026-08-03",
        ),
        pytest.param(
            "BSE_EQ",
            None,
            "2026-08-03",
            [*OPENING, "09:15 continuous 15:30", "15:40 post_close 16:00"],
            id="stock without derivatives keeps its hours",
        ),
        pytest.param(
            "NSE_EQ",
            "listing",
            "2026-08-03",
            ["09:00 pre_open 09:45", "09:45 opening_auction 10:00", "10:00 continuous 15:30", "15:40 post_close 16:00"],
            id="listing day",
        ),
        pytest.param("NSE_INDEX", None, "2026-08-03", [*OPENING, "09:15 continuous 15:30", "15:40 post_close 16:00"], id="index"),
        pytest.param("NSE_FO", "option", "2025-12-16", ["09:15 continuous 15:30"], id="index options"),
        pytest.param("NSE_FO", "option", "2026-08-03", ["09:15 continuous 15:40"], id="index options from 2026-08-03"),
        pytest.param("NSE_FO", "future", "2025-12-05", ["09:15 continuous 15:30"], id="future before its auction"),
        pytest.param("NSE_FO", "future", "2025-12-08", [*OPENING, "09:15 continuous 15:30"], id="future from 2025-12-08"),
        pytest.param("BSE_FO", "future", "2026-08-03", [*OPENING, "09:15 continuous 15:40"], id="future from 2026-08-03"),
        pytest.param("NCD_FO", None, "2026-08-03", ["09:00 continuous 17:00"], id="currency"),
        pytest.param("NCD_FO", "cross_currency", "2026-08-03", ["09:00 continuous 19:30"], id="cross currency"),
        pytest.param("MCX_FO", None, "2026-03-06", ["09:00 continuous 23:55"], id="MCX in US winter time"),
        pytest.param("MCX_FO", None, "2026-03-09", ["09:00 continuous 23:30"], id="MCX in US summer time"),
        pytest.param("MCX_FO", None, "2024-11-04", ["09:00 continuous 23:55"], id="MCX on 4 November 2024"),
        pytest.param("MCX_FO", None, "2024-03-11", ["09:00 continuous 23:30"], id="MCX on 11 March 2024"),
        pytest.param("MCX_FO", "commodity_international", "2026-03-06", ["09:00 continuous 21:00"], id="cotton"),
        pytest.param("MCX_FO", "commodity_agricultural", "2026-03-06", ["09:00 continuous 17:00"], id="other agricultural"),
        pytest.param("MCX_FO", None, "2026-01-01", ["09:00 continuous 17:00"], id="MCX holiday in the evening"),
        pytest.param("MCX_FO", None, "2026-01-26", [], id="MCX closed all day"),
        pytest.param("MCX_FO", None, "2026-03-03", ["17:00 continuous 23:55"], id="MCX holiday in the morning, winter"),
        pytest.param("MCX_INDEX", None, "2026-05-01", ["17:00 continuous 23:30"], id="MCX holiday in the morning, summer"),
        pytest.param(
            "MCX_FO", "commodity_international", "2026-05-01", ["17:00 continuous 21:00"], id="cotton, evening session only"
        ),
        pytest.param("MCX_FO", "commodity_agricultural", "2026-05-01", [], id="agricultural, evening session only"),
        pytest.param(
            "MCX_FO", "commodity_agricultural", "2026-01-01", ["09:00 continuous 17:00"], id="agricultural, morning only"
        ),
        pytest.param(
            "NSE_EQ",
            None,
            "2020-03-13",
            [
                "09:00 pre_open 09:15",
                "09:15 continuous 09:21",
                "09:21 halt 10:05",
                "10:05 pre_open 10:20",
                "10:20 continuous 15:30",
                "15:40 post_close 16:00",
            ],
            id="circuit breaker",
        ),
        pytest.param(
            "NSE_FO",
            None,
            "2020-03-13",
            ["09:15 continuous 09:21", "09:21 halt 10:20", "10:20 continuous 15:30"],
            id="circuit breaker, derivatives",
        ),
        pytest.param(
            "NSE_EQ",
            None,
            "2021-02-24",
            [
                "09:00 pre_open 09:15",
                "09:15 continuous 11:40",
                "11:40 halt 15:30",
                "15:30 pre_open 15:45",
                "15:45 continuous 17:00",
            ],
            id="NSE outage",
        ),
        pytest.param(
            "BSE_EQ", None, "2021-02-24", [*OPENING, "09:15 continuous 15:30", "15:40 post_close 16:00"], id="NSE outage on BSE"
        ),
        pytest.param(
            "NSE_EQ",
            None,
            "2024-03-02",
            ["09:00 pre_open 09:15", "09:15 continuous 10:00", "11:15 pre_open 11:30 #2", "11:30 continuous 12:30 #2"],
            id="Saturday with two sessions",
        ),
        pytest.param("NSE_EQ", None, "2024-11-01", ["17:45 pre_open 18:00", "18:00 continuous 19:00"], id="Muhurat 2024"),
        pytest.param("NSE_FO", None, "2024-11-01", ["18:00 continuous 19:00"], id="Muhurat 2024, derivatives"),
        pytest.param(
            "NSE_EQ",
            "stock_with_derivatives",
            "2025-02-01",
            [*OPENING, "09:15 continuous 15:30", "15:40 post_close 16:00"],
            id="Budget Saturday",
        ),
        pytest.param(
            "NSE_EQ",
            None,
            "2025-10-21",
            ["13:30 pre_open 13:45", "13:45 continuous 14:45", "14:55 post_close 15:05"],
            id="Muhurat 2025",
        ),
        pytest.param("MCX_FO", None, "2025-10-21", ["13:45 continuous 14:45"], id="Muhurat 2025, MCX"),
        pytest.param("NSE_EQ", None, "2025-10-22", [], id="Balipratipada"),
        pytest.param("MCX_FO", None, "2025-10-22", ["17:00 continuous 23:30"], id="Balipratipada, MCX"),
        pytest.param(
            "NSE_EQ", None, "2026-02-01", [*OPENING, "09:15 continuous 15:30", "15:40 post_close 16:00"], id="Budget Sunday"
        ),
        pytest.param("MCX_FO", None, "2026-02-01", ["09:00 continuous 23:55"], id="Budget Sunday, MCX"),
        pytest.param("NSE_EQ", None, "2027-01-26", [], id="Republic Day 2027"),
        pytest.param("MCX_FO", None, "2027-01-26", [], id="Republic Day 2027, MCX"),
        pytest.param("NSE_EQ", None, "2027-01-16", [], id="a Saturday of 2027"),
        pytest.param("NSE_EQ", None, "2025-12-25", [], id="a holiday that exchange_calendars knows"),
    ],
)
def test_day_when_a_source_covers_it_then_its_phases(segment: str, group: Group | None, date: str, expected: list[str]) -> None:
    day = CALENDAR.day(segment, date, group)
    assert (shown(day.spans), day.known) == (expected, True)


@pytest.mark.parametrize(
    ("segment", "date"),
    [
        ("NSE_EQ", "2026-11-08"),
        ("MCX_FO", "2026-11-08"),
        ("NSE_EQ", "2027-01-01"),
        ("NSE_EQ", "2027-03-31"),
        ("NCD_FO", "2027-02-10"),
        ("MCX_FO", "2027-02-10"),
        ("NCD_FO", "2026-02-01"),
        ("MCX_FO", "2024-11-01"),
        ("MCX_FO", "2025-02-01"),
        ("MCX_FO", "2026-03-26"),
        ("NSE_COM", "2026-03-06"),
    ],
)
def test_day_when_no_source_covers_it_then_unknown(segment: str, date: str) -> None:
    day = CALENDAR.day(segment, date)
    assert (day.known, day.note != "") == (False, True)
    assert not CALENDAR.is_trading_day(segment, date)


def test_first_quarter_of_2027_when_nothing_is_published_then_weekdays_are_unknown_but_for_republic_day() -> None:
    days = [f"2027-{month:02}-{number:02}" for month, last in ((1, 31), (2, 28), (3, 31)) for number in range(1, last + 1)]
    known = [day for day in days if CALENDAR.day("NSE_EQ", day).known]
    weekends = [day for day in days if day in known and day != "2027-01-26"]
    assert "2027-01-26" in known
    assert (len(days), len(weekends)) == (90, 26)
    assert not any(CALENDAR.is_trading_day("NSE_EQ", day) for day in days)


def test_day_when_any_segment_and_group_is_asked_then_it_answers() -> None:
    for segment in SEGMENTS:
        for group in groups_of(segment):
            for date in ("2020-03-13", "2021-02-24", "2024-03-02", "2025-10-21", "2026-11-08", "2027-02-10"):
                day = CALENDAR.day(segment, date, group)
                assert all(span.start_ms < span.end_ms for span in day.spans)
                assert day.session(day.midnight_ms).trading_date == date


NIFTY = [
    Terms("NSE_FO|1", "FUT", "NIFTY", "2025-12-30"),
    Terms("NSE_FO|2", "FUT", "NIFTY", "2026-01-27"),
    Terms("NSE_FO|3", "FUT", "NIFTY", "2026-02-24"),
    Terms("MCX_FO|4", "FUT", "COTTON", "2026-01-30"),
    Terms("MCX_FO|5", "FUT", "MENTHAOIL", "2026-01-30"),
    Terms("MCX_FO|6", "FUT", "GOLDM", "2026-02-05"),
    Terms("NCD_FO|7", "FUT", "EURUSD", "2026-01-27"),
    Terms("NCD_FO|8", "FUT", "USDINR", "2026-01-27"),
]
KEYS = ("NSE_FO|1", "NSE_FO|2", "NSE_FO|3", "NSE_FO|9", "MCX_FO|4", "MCX_FO|5", "MCX_FO|6", "NCD_FO|7", "NCD_FO|8", "NSE_EQ|X")


def test_contracts_when_the_master_is_known_then_each_has_its_hours_group() -> None:
    by_key = contracts(KEYS, NIFTY, special_days(), lambda day: CALENDAR.is_trading_day("NSE_EQ", day))
    assert by_key == {
        "NSE_FO|1": Contract("future"),
        "NSE_FO|2": Contract("future", "2025-12-22"),
        "NSE_FO|3": Contract("future", "2026-01-19"),
        "NSE_FO|9": Contract("option"),
        "MCX_FO|4": Contract("commodity_international"),
        "MCX_FO|5": Contract("commodity_agricultural"),
        "NCD_FO|7": Contract("cross_currency"),
    }


def test_next_months_future_when_the_last_days_before_expiry_begin_then_it_has_an_auction() -> None:
    future = Contract("future", "2025-12-22")
    assert [future.group_on(day) for day in ("2025-12-19", "2025-12-22", "2025-12-31")] == ["option", "future", "future"]


def test_page_when_the_file_names_a_date_or_commodity_pair_then_the_page_does_too() -> None:
    page = (Path(__file__).parents[2] / "docs" / "SESSIONS.md").read_text(encoding="utf-8")
    special = special_days()
    missing = [name for name in {day for day, _ in special.days} | special.cross_pairs if name not in page]
    assert missing == []
    assert len(special.days) > 50
