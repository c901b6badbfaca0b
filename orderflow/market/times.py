"""Epoch milliseconds and Indian time. India keeps no summer time, so IST is always five and a half hours ahead of UTC."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from functools import lru_cache
from typing import Final

from orderflow.market.errors import DecodeError

IST: Final = timezone(timedelta(hours=5, minutes=30), "IST")
MINUTE_MS: Final = 60_000
DAY_MS: Final = 86_400_000
IST_OFFSET_MS: Final = 330 * MINUTE_MS
_EPOCH: Final = date(1970, 1, 1)


def ist_date(at_ms: int) -> str:
    """Return the IST calendar date of an epoch time as YYYY-MM-DD."""
    return _date_of((at_ms + IST_OFFSET_MS) // DAY_MS)


@lru_cache(maxsize=64)
def _date_of(day: int) -> str:
    return (_EPOCH + timedelta(days=day)).isoformat()


def ist_clock(at_ms: int) -> str:
    """Return the IST time of day of an epoch time as HH:MM:SS."""
    return datetime.fromtimestamp(at_ms / 1000, IST).strftime("%H:%M:%S")


def midnight_ms(at_ms: int) -> int:
    """Return the start of the IST day that holds `at_ms`, in epoch milliseconds."""
    return at_ms - (at_ms + IST_OFFSET_MS) % DAY_MS


def date_start_ms(ist_date: str) -> int:
    """Return midnight IST at which a date (YYYY-MM-DD) starts, in epoch milliseconds."""
    return int(datetime.fromisoformat(ist_date).replace(tzinfo=IST).timestamp() * 1000)


@lru_cache(maxsize=1_024)
def iso_from_ms(time_ms: int) -> str:
    """Write epoch milliseconds as ISO 8601 in Indian time, for example 2025-12-15T09:15:00+05:30."""
    moment = datetime.fromtimestamp(time_ms // 1000, IST).replace(microsecond=time_ms % 1000 * 1000)
    return moment.isoformat(timespec="milliseconds" if time_ms % 1000 else "seconds")


def ms_from_iso(text: str) -> int:
    """Read ISO 8601 with an offset as epoch milliseconds; raise DecodeError when it is not such a time."""
    try:
        moment = datetime.fromisoformat(text)
    except (TypeError, ValueError):
        raise DecodeError("bad_time", f"{text!r} is not ISO 8601, for example 2025-12-15T09:15:00+05:30") from None
    if moment.tzinfo is None:
        raise DecodeError("bad_time", f"{text!r} has no offset, for example 2025-12-15T09:15:00+05:30")
    return (moment - datetime.fromtimestamp(0, UTC)) // timedelta(milliseconds=1)
