"""`python -m orderflow calendar`: what is forecast, what is confirmed, and by whom."""

from __future__ import annotations

from pathlib import Path

import pytest
from session_days import ist

from orderflow.__main__ import main
from orderflow.calendar_report import Heard, report
from orderflow.market.calendar import EquityCalendar, SessionCalendar
from orderflow.market.session import SegmentState
from orderflow.market.special_days import SpecialDays

CALENDAR = SessionCalendar(EquityCalendar("2025-12-01", "2026-12-31"), special=SpecialDays({}))


def heard(*announcements: tuple[str, str], segment: str = "NSE_EQ") -> dict[str, Heard]:
    state = SegmentState()
    for at, status in announcements:
        state = state.announce(status, ist(at), CALENDAR.day(segment, at[:10]))
    return {segment: Heard(state, "streamer-1")}


def test_report_when_groups_keep_the_same_hours_then_they_are_reported_together() -> None:
    assert list(report(CALENDAR, "2025-12-16", ["NSE_FO", "NCD_FO"], {})) == [
        "Tuesday 2025-12-16, times in IST",
        "",
        "NSE_FO future",
        "  forecast by   exchange_calendars",
        "  confirmed by  nobody",
        "  09:00-09:08  pre_open",
        "  09:08-09:15  opening_auction",
        "  09:15-15:30  continuous",
        "",
        "NSE_FO option",
        "  forecast by   exchange_calendars",
        "  confirmed by  nobody",
        "  09:15-15:30  continuous",
        "",
        "NCD_FO currency",
        "  forecast by   exchange_calendars",
        "  confirmed by  nobody",
        "  09:00-17:00  continuous",
        "",
        "NCD_FO cross_currency",
        "  forecast by   exchange_calendars",
        "  confirmed by  nobody",
        "  09:00-19:30  continuous",
    ]


def test_report_when_the_feed_changed_the_day_then_it_says_who_heard_what_and_which_phases_are_the_feeds() -> None:
    announced = heard(
        ("2025-12-16T09:15:00.100", "NORMAL_OPEN"),
        ("2025-12-16T11:40:00.100", "NORMAL_CLOSE"),
        ("2025-12-16T12:30:00.100", "NORMAL_OPEN"),
        segment="NSE_INDEX",
    )
    assert list(report(CALENDAR, "2025-12-16", ["NSE_INDEX"], announced))[2:] == [
        "NSE_INDEX index",
        "  forecast by   exchange_calendars",
        "  confirmed by  the feed, received by streamer-1: NORMAL_OPEN 09:15:00, NORMAL_CLOSE 11:40:00, NORMAL_OPEN 12:30:00",
        "  09:00-09:08  pre_open",
        "  09:08-09:15  opening_auction",
        "  09:15-11:40  continuous  (by the feed)",
        "  11:40-12:30  halt  (by the feed)",
        "  12:30-15:30  continuous  (by the feed)",
        "  15:40-16:00  post_close",
    ]


def test_report_when_no_source_covers_the_date_then_unknown_until_the_feed_opens_it() -> None:
    assert list(report(CALENDAR, "2027-02-10", ["NCD_FO"], {}))[3:7] == [
        "  forecast by   nobody: unknown (no source covers this date)",
        "  confirmed by  nobody",
        "  unknown; if the feed opens the market, its usual hours are:",
        "  09:00-17:00  continuous",
    ]
    opened = heard(("2027-02-10T09:00:00.100", "NORMAL_OPEN"), segment="NCD_FO")
    assert list(report(CALENDAR, "2027-02-10", ["NCD_FO"], opened))[3:6] == [
        "  forecast by   nobody: unknown (no source covers this date)",
        "  confirmed by  the feed, received by streamer-1: NORMAL_OPEN 09:00:00",
        "  09:00-17:00  continuous",
    ]


def test_report_when_the_announcements_are_of_another_date_then_they_confirm_nothing() -> None:
    announced = heard(("2025-12-15T09:15:00.100", "NORMAL_OPEN"))
    assert "  confirmed by  nobody" in list(report(CALENDAR, "2025-12-16", ["NSE_EQ"], announced))


def test_report_when_nothing_trades_then_closed_and_why() -> None:
    assert list(report(CALENDAR, "2025-12-20", ["MCX_INDEX"], {}))[2:] == [
        "MCX_INDEX commodity",
        "  forecast by   usual hours (weekend)",
        "  confirmed by  nobody",
        "  closed",
    ]


def test_command_when_offline_then_it_prints_the_day_and_asks_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SPOOL_DIR", str(tmp_path))
    assert main(["calendar", "--date", "2024-03-02", "--segment", "NSE_INDEX", "--offline"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "Saturday 2024-03-02, times in IST",
        "",
        "NSE_INDEX index",
        "  forecast by   sessions.toml (two sessions, the second on the disaster-recovery site)",
        "  confirmed by  nobody",
        "  09:00-09:15  pre_open  session 1",
        "  09:15-10:00  continuous  session 1",
        "  11:15-11:30  pre_open  session 2",
        "  11:30-12:30  continuous  session 2",
        "",
        "Neither Upstox nor Kafka was asked.",
    ]
