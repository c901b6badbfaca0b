"""What Upstox's REST calls say of holidays and timings, kept on disk, and what holds when they cannot be asked."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from session_days import ist, shown

from orderflow.market.calendar import SessionCalendar, UpstoxCalendar
from orderflow.simulator.catalogue import choose
from orderflow.simulator.in_process import SimulatorServer
from orderflow.simulator.market_model import MarketModel
from orderflow.upstox.calendar import UpstoxCalls, parsed, upstox_calendar

TODAY = date(2027, 1, 11)


def open_from(exchange: str, day: str, start: str, end: str) -> dict[str, Any]:
    return {"exchange": exchange, "start_time": ist(f"{day}T{start}"), "end_time": ist(f"{day}T{end}")}


HOLIDAYS = [
    {
        "date": "2027-01-26",
        "description": "Republic Day",
        "holiday_type": "TRADING_HOLIDAY",
        "closed_exchanges": ["NSE", "NFO", "CDS", "BSE", "BCD", "BFO", "MCX"],
        "open_exchanges": [],
    },
    {
        "date": "2027-03-22",
        "description": "Holi",
        "holiday_type": "TRADING_HOLIDAY",
        "closed_exchanges": ["NSE", "NFO", "CDS", "BSE", "BCD", "BFO"],
        "open_exchanges": [open_from("MCX", "2027-03-22", "17:00", "23:30")],
    },
    {
        "date": "2027-10-29",
        "description": "Muhurat",
        "holiday_type": "SPECIAL_TIMING",
        "closed_exchanges": [],
        "open_exchanges": [open_from("NSE", "2027-10-29", "18:00", "19:00"), open_from("NFO", "2027-10-29", "18:00", "19:00")],
    },
    {
        "date": "2027-02-17",
        "description": "settlement only",
        "holiday_type": "SETTLEMENT_HOLIDAY",
        "closed_exchanges": [],
        "open_exchanges": [],
    },
]


class Answers:
    """Upstox as it answers on one day."""

    def __init__(self, holidays: Any = HOLIDAYS) -> None:
        self._holidays = holidays
        self.asked: list[str] = []

    def holidays(self) -> Any:
        self.asked.append("holidays")
        return self._holidays

    def timings(self, trading_date: str) -> Any:
        self.asked.append(trading_date)
        return [open_from("NSE", trading_date, "09:15", "15:30"), open_from("NFO", trading_date, "09:15", "15:40")]


def refused() -> Answers:
    raise OSError("timed out")


def upstox_sessions(tmp_path: Path) -> SessionCalendar:
    calendar, warning = upstox_calendar(Answers, tmp_path / "calendar.json", TODAY)
    assert warning == ""
    return SessionCalendar(upstox=calendar)


@pytest.mark.parametrize(
    ("segment", "group", "day", "expected"),
    [
        ("NSE_EQ", None, "2027-01-12", ["09:15 continuous 15:30"]),
        ("NSE_EQ", "stock_with_derivatives", "2027-01-12", ["09:15 continuous 15:15"]),
        ("NSE_FO", "option", "2027-01-12", ["09:15 continuous 15:40"]),
        ("NSE_EQ", None, "2027-01-26", []),
        ("MCX_FO", None, "2027-01-26", []),
        ("NSE_EQ", None, "2027-03-22", []),
        ("MCX_FO", None, "2027-03-22", ["17:00 continuous 23:30"]),
        ("MCX_FO", "commodity_international", "2027-03-22", ["17:00 continuous 21:00"]),
        ("MCX_FO", "commodity_agricultural", "2027-03-22", []),
        ("NSE_EQ", "stock_with_derivatives", "2027-10-29", ["18:00 continuous 19:00"]),
        ("NSE_FO", None, "2027-10-29", ["18:00 continuous 19:00"]),
        ("NSE_EQ", None, "2027-02-17", ["09:15 continuous 15:30"]),
        ("MCX_FO", None, "2027-02-17", ["09:00 continuous 23:55"]),
        ("NSE_EQ", None, "2027-02-20", []),
    ],
)
def test_day_when_upstox_says_when_it_trades_then_each_group_keeps_its_part(
    tmp_path: Path, segment: str, group: Any, day: str, expected: list[str]
) -> None:
    plan = upstox_sessions(tmp_path).day(segment, day, group)
    assert [span for span in shown(plan.spans) if "continuous" in span] == expected
    assert (plan.known, plan.source) == (True, "Upstox")


def test_day_when_upstox_moves_one_edge_then_only_that_one_moves() -> None:
    short = UpstoxCalendar(frozenset({"2027"}), {("2027-05-04", "NSE"): ((555, 780),)})
    calendar = SessionCalendar(upstox=short)
    opening = ["09:00 pre_open 09:08", "09:08 opening_auction 09:15"]
    for group in ("stock", "stock_with_derivatives"):
        assert shown(calendar.day("NSE_EQ", "2027-05-04", group).spans) == [*opening, "09:15 continuous 13:00"]


def test_day_when_upstox_and_the_file_agree_about_the_hours_then_the_files_phases_hold() -> None:
    hours = {("2021-02-24", "NSE"): ((555, 1020),), ("2024-03-02", "NSE"): ((555, 600), (690, 750))}
    calendar = SessionCalendar(upstox=UpstoxCalendar(frozenset(), hours))
    assert "11:40 halt 15:30" in shown(calendar.day("NSE_EQ", "2021-02-24").spans)
    assert "11:15 pre_open 11:30 #2" in shown(calendar.day("NSE_EQ", "2024-03-02").spans)


def test_day_when_upstox_names_two_sessions_that_nobody_else_knows_then_each_is_one() -> None:
    hours = {("2027-03-06", "NSE"): ((555, 600), (690, 750))}
    day = SessionCalendar(upstox=UpstoxCalendar(frozenset(), hours)).day("NSE_EQ", "2027-03-06")
    assert shown(day.spans) == ["09:15 continuous 10:00", "11:30 continuous 12:30 #2"]


def test_calendar_when_asked_twice_a_day_then_upstox_is_asked_once_and_the_next_day_again(tmp_path: Path) -> None:
    answers, cache = Answers(), tmp_path / "kept" / "calendar.json"
    first = upstox_calendar(lambda: answers, cache, TODAY)
    assert answers.asked == ["holidays", *(f"2027-01-{day}" for day in range(11, 19))]
    assert upstox_calendar(refused, cache, TODAY) == first
    upstox_calendar(lambda: answers, cache, date(2027, 1, 12))
    assert answers.asked.count("holidays") == 2


def test_calendar_when_upstox_cannot_be_asked_then_what_it_said_before_holds_and_it_is_said(tmp_path: Path) -> None:
    cache = tmp_path / "calendar.json"
    first, _ = upstox_calendar(Answers, cache, TODAY)
    later, warning = upstox_calendar(refused, cache, date(2027, 1, 20))
    assert later == first
    assert warning == "Upstox's calendar cannot be fetched (OSError: timed out): using its answer of 2027-01-11"


@pytest.mark.parametrize("kept", [None, "{", "[]", '{"holidays": 7}', '{"timings": {"2027-01-11": [{"exchange": "NSE"}]}}'])
def test_calendar_when_nothing_usable_is_kept_then_the_other_sources_hold(tmp_path: Path, kept: str | None) -> None:
    cache = tmp_path / "calendar.json"
    if kept is not None:
        cache.write_text(kept)
    calendar, warning = upstox_calendar(refused, cache, TODAY)
    assert (calendar, "using exchange_calendars and the file" in warning) == (UpstoxCalendar(), True)


@pytest.mark.parametrize(
    "holidays",
    [
        None,
        [],
        [{"date": "2026-01-26", "closed_exchanges": ["NSE"]}],
        [{"closed_exchanges": ["NSE"]}],
        [{"date": "2027-01-26", "open_exchanges": [{"exchange": "NSE", "start_time": "x", "end_time": 5}]}],
        [{"date": "2027-01-26", "open_exchanges": [open_from("NSE", "2027-01-25", "09:15", "15:30")]}],
    ],
)
def test_calendar_when_an_answer_is_not_as_documented_then_it_is_not_used(tmp_path: Path, holidays: Any) -> None:
    calendar, warning = upstox_calendar(lambda: Answers(holidays), tmp_path / "calendar.json", TODAY)
    assert (calendar, warning != "") == (UpstoxCalendar(), True)
    assert not (tmp_path / "calendar.json").exists()


def test_answers_when_years_pass_then_earlier_years_stay_known(tmp_path: Path) -> None:
    cache = tmp_path / "calendar.json"
    upstox_calendar(Answers, cache, TODAY)
    next_year = [{"date": "2028-01-26", "closed_exchanges": ["NSE"], "open_exchanges": []}]
    calendar, _ = upstox_calendar(lambda: Answers(next_year), cache, date(2028, 1, 3))
    assert calendar.years == {"2027", "2028"}
    assert calendar.hours["2027-01-26", "NSE"] == calendar.hours["2028-01-26", "NSE"] == ()
    assert parsed(json.loads(cache.read_text())) == calendar


def test_sdk_when_it_asks_a_server_then_both_calls_answer() -> None:
    with SimulatorServer(MarketModel(choose("NSE_EQ|INE467B01029"))) as simulator:
        calls = UpstoxCalls(simulator.rest_url)
        assert any(entry["date"] == "2026-12-25" for entry in calls.holidays())
        timings = {row["exchange"]: row["end_time"] for row in calls.timings("2026-12-15")}
    assert timings["NSE"] == ist("2026-12-15T15:30")
    assert timings["NFO"] == ist("2026-12-15T15:40")


def test_sdk_when_the_server_is_away_then_a_plain_error() -> None:
    with pytest.raises(OSError, match="NewConnectionError"):
        UpstoxCalls("http://127.0.0.1:9").holidays()
