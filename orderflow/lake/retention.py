"""Selects the stored dates to delete under a limit; pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date as calendar_date
from datetime import timedelta


def expired(sizes: Mapping[str, int], today: str, keep_days: int | None = None, keep_bytes: int | None = None) -> list[str]:
    """Return the dates to delete, oldest first, from bytes by date.

    First the dates `keep_days` or more days before `today`, then the oldest until the rest fits into `keep_bytes`. The
    newest date is always kept. None means no limit of that kind.
    """
    dates: Sequence[str] = sorted(sizes)
    gone: list[str] = []
    if keep_days is not None:
        oldest_kept = (calendar_date.fromisoformat(today) - timedelta(days=keep_days)).isoformat()
        gone += [date for date in dates[:-1] if date <= oldest_kept]
    if keep_bytes is not None:
        total = sum(sizes[date] for date in dates if date not in gone)
        for date in dates[len(gone) : -1]:
            if total <= keep_bytes:
                break
            gone.append(date)
            total -= sizes[date]
    return gone
