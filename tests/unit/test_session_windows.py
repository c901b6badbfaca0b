"""Windows are counted from the start of the session they belong to."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from session_days import TCS, clock, ist

from orderflow.market.calendar import SessionCalendar
from orderflow.market.phases import CONTINUOUS, Span, Window, window, window_start, windows
from orderflow.market.session import SessionBook
from orderflow.market.times import MINUTE_MS
from orderflow.market.timetable import Group

LENGTHS = (1, 2, 3, 5, 10, 15, 30, 60, 75, 125)
DAYS: list[tuple[str, str, Group | None]] = [
    ("NSE_EQ", "2025-12-16", None),
    ("NSE_EQ", "2026-11-27", "stock_with_derivatives"),
    ("NSE_FO", "2026-11-27", None),
    ("MCX_FO", "2025-12-16", None),
    ("MCX_FO", "2026-03-03", "commodity_international"),
    ("NCD_FO", "2025-12-16", "cross_currency"),
    ("NSE_EQ", "2020-03-13", None),
    ("NSE_FO", "2021-02-24", "option"),
    ("NSE_EQ", "2024-03-02", None),
    ("NSE_EQ", "2025-10-21", None),
]


def shown(day_windows: tuple[Window, ...]) -> list[str]:
    return [f"{clock(around.start_ms)}-{clock(around.end_ms)}" for around in day_windows]


@pytest.mark.parametrize(
    ("segment", "date", "group", "minutes", "expected"),
    [
        ("MCX_FO", "2025-12-16", "commodity_agricultural", 125, ["09:00-11:05", "11:05-13:10", "13:10-15:15", "15:15-17:00"]),
        ("NSE_EQ", "2024-11-01", None, 60, ["18:00-19:00"]),
        (
            "NSE_EQ",
            "2025-12-16",
            None,
            60,
            ["09:15-10:15", "10:15-11:15", "11:15-12:15", "12:15-13:15", "13:15-14:15", "14:15-15:15", "15:15-15:30"],
        ),
        ("NSE_EQ", "2026-11-27", "stock_with_derivatives", 125, ["09:15-11:20", "11:20-13:25", "13:25-15:15", "15:15-15:35"]),
        ("NSE_EQ", "2021-02-24", None, 60, ["09:15-10:15", "10:15-11:15", "11:15-11:40", "15:15-16:15", "16:15-17:00"]),
        ("NSE_EQ", "2020-03-13", None, 125, ["09:15-11:20", "11:20-13:25", "13:25-15:30"]),
        (
            "NSE_EQ",
            "2020-03-13",
            None,
            60,
            ["09:15-09:21", "10:15-11:15", *(f"{h}:15-{h + 1}:15" for h in range(11, 15)), "15:15-15:30"],
        ),
        ("NSE_EQ", "2024-03-02", None, 60, ["09:15-10:00", "11:30-12:30"]),
        ("NSE_EQ", "2024-03-02", None, 30, ["09:15-09:45", "09:45-10:00", "11:30-12:00", "12:00-12:30"]),
        ("NSE_EQ", "2026-01-26", None, 60, []),
    ],
)
def test_windows_when_a_day_is_cut_then_they_begin_with_its_sessions(
    segment: str, date: str, group: Group | None, minutes: int, expected: list[str]
) -> None:
    assert shown(windows(SessionCalendar().day(segment, date, group).spans, minutes)) == expected


@pytest.mark.parametrize(
    ("at", "expected"),
    [
        ("08:59:59", None),
        ("09:07:30", "09:15"),
        ("09:15:00", "09:15"),
        ("10:14:59", "09:15"),
        ("11:39:59", "11:15"),
        ("12:00:00", None),
        ("15:38:00", "15:15"),
        ("15:45:00", "15:15"),
        ("16:20:00", "16:15"),
        ("17:00:00", None),
    ],
)
def test_window_when_the_exchange_halted_then_the_grid_stays_and_an_auction_belongs_to_what_follows_it(
    at: str, expected: str | None
) -> None:
    start_ms = window_start(SessionCalendar().day("NSE_EQ", "2021-02-24").spans, ist(f"2021-02-24T{at}"), 60)
    assert (None if start_ms is None else clock(start_ms)) == expected


def test_window_when_the_halt_was_announced_then_it_is_cut_as_if_it_had_been_forecast() -> None:
    book = SessionBook(SessionCalendar())
    book.announce({"NSE_EQ": "NORMAL_CLOSE"}, ist("2026-01-27T11:40:00.300"))
    book.announce({"NSE_EQ": "NORMAL_OPEN"}, ist("2026-01-27T12:20:00.300"))
    day_windows = windows(book.day(TCS, "2026-01-27").spans, 60)
    assert shown(day_windows)[2:4] == ["11:15-11:40", "12:15-13:15"]


def test_window_when_a_closing_auction_trades_then_it_is_a_window_of_its_own() -> None:
    spans = SessionCalendar().day("NSE_EQ", "2026-11-27", "stock_with_derivatives").spans
    assert window(spans, ist("2026-11-27T15:31:20"), 5) == (ist("2026-11-27T15:15"), ist("2026-11-27T15:35"))
    assert window(spans, ist("2026-11-27T15:14:59"), 30) == (ist("2026-11-27T14:45"), ist("2026-11-27T15:15"))


def spans_of(segment: str, date: str, group: Group | None) -> tuple[Span, ...]:
    return SessionCalendar().day(segment, date, group).spans


@given(st.sampled_from(DAYS), st.sampled_from(LENGTHS), st.integers(0, 86_399_999))
def test_window_when_an_instant_trades_then_it_lies_in_its_window_which_lies_on_the_sessions_grid(
    day: tuple[str, str, Group | None], minutes: int, of_day_ms: int
) -> None:
    spans, at_ms = spans_of(*day), ist(f"{day[1]}T00:00") + of_day_ms
    day_windows = next((span for span in spans if span.start_ms <= at_ms < span.end_ms), None)
    around = window(spans, at_ms, minutes)
    if day_windows is None or day_windows.phase in ("halt", "post_close"):
        assert around is None
    if day_windows is not None and day_windows.phase == CONTINUOUS:
        assert around is not None
        anchor_ms = min(span.start_ms for span in spans if span.phase == CONTINUOUS and span.session == day_windows.session)
        assert around.start_ms <= at_ms < around.end_ms
        assert (around.start_ms - anchor_ms) % (minutes * MINUTE_MS) == 0
        assert around.end_ms - around.start_ms <= minutes * MINUTE_MS


@given(st.sampled_from(DAYS), st.sampled_from(LENGTHS))
def test_windows_when_a_day_is_cut_then_they_do_not_overlap_and_hold_every_minute_that_trades_once(
    day: tuple[str, str, Group | None], minutes: int
) -> None:
    spans = spans_of(*day)
    day_windows = windows(spans, minutes)
    assert all(before.end_ms <= after.start_ms for before, after in itertools.pairwise(day_windows))
    for span in spans:
        if span.phase == CONTINUOUS:
            for at_ms in range(span.start_ms, span.end_ms, MINUTE_MS):
                assert [around for around in day_windows if around.start_ms <= at_ms < around.end_ms] == [
                    window(spans, at_ms, minutes)
                ]


@given(st.sampled_from(DAYS), st.sampled_from(LENGTHS[1:]))
def test_windows_when_minutes_are_rolled_up_then_each_minute_lies_in_one_longer_window(
    day: tuple[str, str, Group | None], minutes: int
) -> None:
    spans = spans_of(*day)
    longer = set(windows(spans, minutes))
    for around in windows(spans, 1):
        assert window(spans, around.start_ms, minutes) in longer
