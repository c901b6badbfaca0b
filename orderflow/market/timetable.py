"""The usual hours of every group of instruments, and how shortened or special hours change them.

Hours are minutes since IST midnight. Sources: docs/SESSIONS.md.
"""

from __future__ import annotations

from datetime import date, timedelta
from typing import Final, Literal, NamedTuple

from orderflow.market.phases import BEFORE_TRADING, CONTINUOUS, Phase

Group = Literal[
    "stock",
    "stock_with_derivatives",
    "listing",
    "index",
    "option",
    "future",
    "currency",
    "cross_currency",
    "commodity",
    "commodity_international",
    "commodity_agricultural",
]

CLOSING_AUCTION_FROM: Final = "2026-08-03"
"""First date on which stocks with derivatives close by auction and equity derivatives trade to 15:40 (NSE)."""
FUTURE_AUCTION_FROM: Final = "2025-12-08"
"""First date on which futures have an opening auction (NSE/FAOP/71092, BSE 20251110-40)."""

EQUITY: Final = ("NSE_EQ", "BSE_EQ")
INDEX: Final = ("NSE_INDEX", "BSE_INDEX")
DERIVATIVES: Final = ("NSE_FO", "BSE_FO")
CURRENCY: Final = ("NCD_FO", "BCD_FO")
COMMODITY: Final = ("MCX_FO", "MCX_INDEX", "NSE_COM")
SEGMENTS: Final = (*EQUITY, *INDEX, *DERIVATIVES, *CURRENCY, *COMMODITY)

EVENING: Final = 17 * 60
"""MCX's morning session ends and its evening session begins."""

_OPEN: Final = 9 * 60 + 15
_CLOSE: Final = 15 * 60 + 30


class Hours(NamedTuple):
    """One phase in minutes since IST midnight; `session` numbers the day's sessions from 1."""

    phase: Phase
    start: int
    end: int
    session: int = 1


Plan = tuple[Hours, ...]
_OPENING: Final[Plan] = (Hours("pre_open", 540, 548), Hours("opening_auction", 548, _OPEN))
_LISTING: Final[Plan] = (Hours("pre_open", 540, 585), Hours("opening_auction", 585, 600))
_POST_CLOSE: Final = Hours("post_close", 15 * 60 + 40, 16 * 60)


def reference_group(segment: str) -> Group:
    """Return the group whose hours span all others of the segment; the feed's status of a segment is about these."""
    if segment in DERIVATIVES:
        return "future"
    if segment in CURRENCY:
        return "currency"
    if segment in COMMODITY:
        return "commodity"
    return "index" if segment in INDEX else "stock"


def groups_of(segment: str) -> tuple[Group, ...]:
    """Return every group of a segment, the reference group first."""
    if segment in EQUITY:
        return ("stock", "stock_with_derivatives", "listing")
    if segment in DERIVATIVES:
        return ("future", "option")
    if segment in CURRENCY:
        return ("currency", "cross_currency")
    if segment == "MCX_FO":
        return ("commodity", "commodity_international", "commodity_agricultural")
    return (reference_group(segment),)


def usual(group: str, trading_date: str) -> Plan:
    """Return the group's phases on an ordinary trading day of that date."""
    if group == "stock_with_derivatives" and trading_date >= CLOSING_AUCTION_FROM:
        closing = (Hours("closing_auction", 915, 935), Hours("post_close", 15 * 60 + 50, 16 * 60))
        return (*_OPENING, Hours(CONTINUOUS, _OPEN, 915), *closing)
    if group in ("stock", "stock_with_derivatives", "index"):
        return (*_OPENING, Hours(CONTINUOUS, _OPEN, _CLOSE), _POST_CLOSE)
    if group == "listing":
        return (*_LISTING, Hours(CONTINUOUS, 600, _CLOSE), _POST_CLOSE)
    if group in ("future", "option"):
        trading = Hours(CONTINUOUS, _OPEN, 940 if trading_date >= CLOSING_AUCTION_FROM else _CLOSE)
        return (*_OPENING, trading) if group == "future" and trading_date >= FUTURE_AUCTION_FROM else (trading,)
    if group == "currency":
        return (Hours(CONTINUOUS, 540, EVENING),)
    if group == "cross_currency":
        return (Hours(CONTINUOUS, 540, 19 * 60 + 30),)
    if group == "commodity_agricultural":
        return (Hours(CONTINUOUS, 540, EVENING),)
    if group == "commodity_international":
        return (Hours(CONTINUOUS, 540, 21 * 60),)
    return (Hours(CONTINUOUS, 540, 23 * 60 + (30 if us_summer_time(date.fromisoformat(trading_date)) else 55)),)


def trading_hours(plan: Plan) -> tuple[int, int] | None:
    """Return the start of the first and the end of the last continuous phase; None without one."""
    trading = [hours for hours in plan if hours.phase == CONTINUOUS]
    return (trading[0].start, trading[-1].end) if trading else None


def between(plan: Plan, reference: Plan, start: int, end: int) -> Plan:
    """Return a group's plan on a day on which its segment, usually as in `reference`, trades from `start` to `end`.

    If start or end is the usual one, the day is a shortened ordinary day, and each group trades in its part of it.
    Otherwise it is a special session, the same for every group. An auction is kept only if the edge next to it is the
    usual one.
    """
    usual_hours, own = trading_hours(reference), trading_hours(plan)
    if usual_hours is None or own is None:
        return ()
    if (start, end) == usual_hours:
        return plan
    if start != usual_hours[0] and end != usual_hours[1]:
        return (Hours(CONTINUOUS, start, end),)
    first = own[0] if start == usual_hours[0] else max(start, own[0])
    last = max(end, own[1]) if own[1] == usual_hours[1] and end > own[1] else min(end, own[1])
    if first >= last:
        return ()
    before = [hours for hours in plan if hours.phase in BEFORE_TRADING and first == own[0]]
    after = [hours for hours in plan if hours.start >= own[1] and last == own[1]]
    return (*before, Hours(CONTINUOUS, first, last), *after)


def fitted(plan: Plan, group: str, trading_date: str) -> Plan:
    """Return the phases of a special day as far as the group has such phases on that date.

    Options have no auctions, futures none before 2025-12-08: while others have a pre-open after a halt, these remain
    halted.
    """
    usual_phases = {hours.phase for hours in usual(group, trading_date)}
    fitted_hours: list[Hours] = []
    for hours in plan:
        if hours.phase == "post_close" and "post_close" not in usual_phases:
            continue
        if hours.phase in BEFORE_TRADING and "pre_open" not in usual_phases:
            if not fitted_hours or fitted_hours[-1].session != hours.session:
                continue
            hours = hours._replace(phase="halt")
            if fitted_hours[-1].phase == "halt":
                hours = hours._replace(start=fitted_hours.pop().start)
        fitted_hours.append(hours)
    return tuple(fitted_hours)


def us_summer_time(day: date) -> bool:
    """Return whether US summer time holds: second Sunday of March to first Sunday of November; MCX follows it."""
    march, november = date(day.year, 3, 8), date(day.year, 11, 1)
    begin = march + timedelta(days=(6 - march.weekday()) % 7)
    end = november + timedelta(days=(6 - november.weekday()) % 7)
    return begin <= day < end
