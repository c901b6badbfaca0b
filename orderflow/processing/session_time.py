"""An axis of time on which windows of any length align with the session's start every day.

Spark's windows align with the epoch; 75- or 125-minute windows would begin elsewhere each day. Each IST day is therefore
stretched to a whole number of windows and moved so that 09:15 falls on a window's edge. The mapping is strictly increasing,
so watermarks mean the same on it. For window_minutes that divide 15 it is the identity.
"""

from __future__ import annotations

from typing import Final

from pyspark.sql import Column
from pyspark.sql import functions as F

_MINUTE_MS: Final = 60_000
_DAY_MS: Final = 1440 * _MINUTE_MS
_IST_MS: Final = 330 * _MINUTE_MS
_OPEN_MS: Final = 555 * _MINUTE_MS


def _scale(window_minutes: int) -> tuple[int, int]:
    """Return (length of a stretched day, what is added so that 09:15 is a multiple of the window), in ms."""
    window_ms = window_minutes * _MINUTE_MS
    return -(-_DAY_MS // window_ms) * window_ms, -_OPEN_MS % window_ms


def _is_identity(window_minutes: int) -> bool:
    return 15 % window_minutes == 0


def session_time(at_ms: Column, window_minutes: int) -> Column:
    """Return the timestamp on the stretched axis of an epoch time in ms."""
    if _is_identity(window_minutes):
        return F.timestamp_millis(at_ms)
    day_length_ms, shift_ms = _scale(window_minutes)
    local_ms = at_ms + _IST_MS
    day = F.floor(local_ms / _DAY_MS)
    return F.timestamp_millis((day * day_length_ms + (local_ms - day * _DAY_MS) + shift_ms).cast("long"))


def epoch_ms(at: Column, window_minutes: int) -> Column:
    """Return the epoch time in ms of a timestamp on the stretched axis; inverse of `session_time` from 00:00 to 24:00 IST."""
    if _is_identity(window_minutes):
        return F.unix_millis(at)
    day_length_ms, shift_ms = _scale(window_minutes)
    stretched_ms = F.unix_millis(at) - shift_ms
    day = F.floor(stretched_ms / day_length_ms)
    return (day * _DAY_MS + (stretched_ms - day * day_length_ms) - _IST_MS).cast("long")
