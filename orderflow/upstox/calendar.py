"""Exchange holidays from exchange_calendars, as plain data for market/session."""

from __future__ import annotations

import logging
from datetime import UTC, date, datetime, timedelta

log = logging.getLogger(__name__)


def equity_holidays(first: date, last: date) -> frozenset[str]:
    """Return the weekdays from `first` to `last` on which Indian equity does not trade, as YYYY-MM-DD.

    The package knows the Bombay exchange, whose holidays are NSE's; beyond the dates it covers nothing is returned.
    """
    import exchange_calendars

    calendar = exchange_calendars.get_calendar("XBOM", start=(first - timedelta(days=7)).isoformat())
    until = min(last, calendar.last_session.date())
    sessions = {session.date() for session in calendar.sessions_in_range(first.isoformat(), until.isoformat())}
    days = (first + timedelta(days=number) for number in range((until - first).days + 1))
    return frozenset(day.isoformat() for day in days if day.weekday() < 5 and day not in sessions)


def holidays_around_now() -> frozenset[str]:
    """Return equity holidays from a year ago to as far ahead as is known."""
    today = datetime.now(UTC).date()
    return equity_holidays(today - timedelta(days=400), today + timedelta(days=366))
