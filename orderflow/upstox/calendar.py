"""The calendar from Upstox's REST calls and exchange_calendars, as plain data for `orderflow.market.calendar`."""

from __future__ import annotations

import contextlib
import json
import os
import zlib
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, Final, Protocol

from orderflow.market.calendar import EquityCalendar, SessionCalendar, UpstoxCalendar
from orderflow.market.times import IST, MINUTE_MS, ist_date

DAYS_AHEAD: Final = 7
"""Timings are fetched for today and this many further days, because special sessions are announced days before."""

_TIMEOUT_SECONDS: Final = 3
_DAY_MINUTES: Final = 24 * 60
_DAYS_BACK: Final = 400
_DECEMBER: Final = 12
_SATURDAY: Final = 5


class Calls(Protocol):
    """Upstox's calls for holidays and timings. Both return the `data` of the answer and raise OSError or ValueError."""

    def holidays(self) -> Any:
        """Return the current year's holidays."""

    def timings(self, trading_date: str) -> Any:
        """Return the exchanges' timings on a date."""


class UpstoxCalls:
    """The SDK's calls at `rest_url`; they need no token."""

    def __init__(self, rest_url: str, ca_file: Path | None = None) -> None:
        import upstox_client

        configuration = upstox_client.Configuration()
        configuration.host = rest_url.rstrip("/")
        configuration.ssl_ca_cert = str(ca_file) if ca_file is not None else None
        client = upstox_client.ApiClient(configuration)
        client.rest_client.pool_manager.connection_pool_kw["retries"] = False  # the next start asks again
        self._api = upstox_client.MarketHolidaysAndTimingsApi(client)

    def holidays(self) -> Any:
        """Return the current year's holidays."""
        return self._data(lambda **options: self._api.get_holidays(**options))

    def timings(self, trading_date: str) -> Any:
        """Return the exchanges' timings on a date."""
        return self._data(lambda **options: self._api.get_exchange_timings(trading_date, **options))

    def _data(self, call: Any) -> Any:
        from upstox_client.rest import ApiException
        from urllib3.exceptions import HTTPError

        try:
            answer = call(_preload_content=False, _request_timeout=_TIMEOUT_SECONDS)
        except (ApiException, HTTPError) as error:
            raise OSError(f"{type(error).__name__} {getattr(error, 'status', '')}".strip()) from error
        body = json.loads(answer.data)
        if not isinstance(body, dict) or "data" not in body:
            raise ValueError("the answer has no data")
        return body["data"]


def load_calendar(
    rest_url: str | None, spool_dir: Path, ca_file: Path | None = None, since: date | None = None
) -> tuple[SessionCalendar, str]:
    """Return the calendar from every source, and a warning, empty when all is well.

    Upstox is asked at most once a day; its answers are stored in `spool_dir` and used while it cannot be reached.
    Without `rest_url` it is not asked. Dates before `since`, and those more than a year ago, may be unknown.
    """
    upstox, warning = UpstoxCalendar(), ""
    if rest_url is not None:
        cache = spool_dir / f"exchange-calendar-{zlib.crc32(rest_url.encode()):08x}.json"
        today = datetime.now(UTC).astimezone(IST).date()
        upstox, warning = upstox_calendar(lambda: UpstoxCalls(rest_url, ca_file), cache, today)
    return SessionCalendar(equity_calendar(since), upstox), warning


def upstox_calendar(connect: Any, cache: Path, today: date) -> tuple[UpstoxCalendar, str]:
    """Return the calendar from Upstox's answers, fetched unless `cache` holds those of `today` (IST), and a warning.

    `connect` returns the `Calls`; it is called only when needed. Earlier answers are kept, because they cover earlier years.
    """
    kept = _cached(cache)
    if kept.get("asked") == today.isoformat():
        return parsed(kept), ""
    try:
        calls: Calls = connect()
        holidays = {str(entry["date"])[:10]: entry for entry in calls.holidays()}
        year = str(today.year)
        if not any(day.startswith(year) for day in holidays):
            raise ValueError(f"no holidays of {year}")
        days = [(today + timedelta(days=ahead)).isoformat() for ahead in range(DAYS_AHEAD + 1)]
        timings = {day: calls.timings(day) for day in days}
        old = {day: entry for day, entry in kept.get("holidays", {}).items() if not day.startswith(year)}
        answers = {
            "asked": today.isoformat(),
            "years": sorted({*kept.get("years", ()), year}),
            "holidays": {**old, **{day: entry for day, entry in holidays.items() if day.startswith(year)}},
            "timings": {**kept.get("timings", {}), **timings},
        }
        calendar = parsed(answers)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        using = f"using its answer of {kept['asked']}" if kept.get("asked") else "using exchange_calendars and the file"
        return parsed(kept), f"Upstox's calendar cannot be fetched ({type(error).__name__}: {error}): {using}"
    with contextlib.suppress(OSError):
        _keep(cache, answers)
    return calendar, ""


def parsed(answers: Mapping[str, Any]) -> UpstoxCalendar:
    """Return the calendar for `holidays` by date, `timings` by date and `years`, each as Upstox answers.

    If a list of timings lacks an exchange, nothing follows: the exchange may be closed, or the call may not cover it.
    Raises KeyError, TypeError or ValueError when an answer is not what Upstox's documentation says.
    """
    hours: dict[tuple[str, str], tuple[tuple[int, int], ...]] = {}
    why: dict[str, str] = {}
    for day, rows in answers.get("timings", {}).items():
        hours.update(_hours(day, rows))
    for day, entry in answers.get("holidays", {}).items():
        hours.update({(day, exchange): () for exchange in entry.get("closed_exchanges") or ()})
        hours.update(_hours(day, entry.get("open_exchanges") or ()))
        why[day] = str(entry.get("description") or "")
    return UpstoxCalendar(frozenset(answers.get("years", ())), hours, why)


def equity_calendar(since: date | None = None) -> EquityCalendar:
    """Return exchange_calendars' sessions of the Bombay exchange, whose holidays equal NSE's, from `since` on.

    The package computes every session from the start date on, which takes 3 s for its 20 years and 0.4 s for one.
    """
    import exchange_calendars

    year_ago = datetime.now(UTC).date() - timedelta(days=_DAYS_BACK)
    first = year_ago if since is None else min(since, year_ago)
    try:
        calendar = exchange_calendars.get_calendar("XBOM", start=first.isoformat())
    except ValueError:  # the package does not reach `first`
        return EquityCalendar()
    last = calendar.last_session.date()
    if last.month == _DECEMBER:  # the package covers whole years, though the last session need not be on the 31st
        last = date(last.year, 12, 31)
    sessions = frozenset(session.date() for session in calendar.sessions)
    weekends = frozenset(session.isoformat() for session in sessions if session.weekday() >= _SATURDAY)
    return EquityCalendar(first.isoformat(), last.isoformat(), _weekdays_without(sessions, first, last), weekends)


def _weekdays_without(sessions: frozenset[date], first: date, last: date) -> frozenset[str]:
    days = (first + timedelta(days=number) for number in range((last - first).days + 1))
    return frozenset(day.isoformat() for day in days if day.weekday() < _SATURDAY and day not in sessions)


def _hours(day: str, rows: Iterable[Mapping[str, Any]]) -> dict[tuple[str, str], tuple[tuple[int, int], ...]]:
    """Return the trading hours of a date by exchange, in minutes since its IST midnight, in order."""
    midnight_ms = int(datetime.fromisoformat(day).replace(tzinfo=IST).timestamp() * 1000)
    by_exchange: dict[tuple[str, str], list[tuple[int, int]]] = {}
    for row in rows:
        start, end = ((int(row[name]) - midnight_ms) // MINUTE_MS for name in ("start_time", "end_time"))
        if ist_date(int(row["start_time"])) != day or not 0 <= start < end <= _DAY_MINUTES:
            raise ValueError(f"hours of {row['exchange']} on {day} are not of that date")
        by_exchange.setdefault((day, str(row["exchange"])), []).append((start, end))
    return {place: tuple(sorted(hours)) for place, hours in by_exchange.items()}


def _cached(cache: Path) -> dict[str, Any]:
    try:
        kept = json.loads(cache.read_bytes())
        parsed(kept)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}
    return kept if isinstance(kept, dict) else {}


def _keep(cache: Path, answers: Mapping[str, Any]) -> None:
    cache.parent.mkdir(parents=True, exist_ok=True)
    part = cache.with_suffix(f".{os.getpid()}.part")
    part.write_text(json.dumps(answers, default=str), encoding="utf-8")
    part.replace(cache)
