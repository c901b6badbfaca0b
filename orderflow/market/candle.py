"""The candle: one instrument's order flow in one window of event time, and its roll-up into longer windows.

The fields are those of `records.CANDLE`, except that the window's edges are epoch milliseconds inside the program and
ISO 8601 in the record.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, Final

from orderflow.market.errors import DecodeError

IST: Final = timezone(timedelta(hours=5, minutes=30))


def iso_from_ms(time_ms: int) -> str:
    """Write epoch milliseconds as ISO 8601 in Indian time, for example 2025-12-15T09:15:00+05:30."""
    moment = datetime.fromtimestamp(time_ms // 1000, UTC).astimezone(IST).replace(microsecond=time_ms % 1000 * 1000)
    return moment.isoformat(timespec="milliseconds" if time_ms % 1000 else "seconds")


def ms_from_iso(text: str) -> int:
    """Read ISO 8601 with an offset as epoch milliseconds; raise DecodeError when it is no such time."""
    try:
        moment = datetime.fromisoformat(text)
    except (TypeError, ValueError):
        raise DecodeError("bad_time", f"{text!r} is not ISO 8601, for example 2025-12-15T09:15:00+05:30") from None
    if moment.tzinfo is None:
        raise DecodeError("bad_time", f"{text!r} has no offset, for example 2025-12-15T09:15:00+05:30")
    return (moment - datetime.fromtimestamp(0, UTC)) // timedelta(milliseconds=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Candle:
    """One window of one instrument; `records.CANDLE` says what each field means."""

    start_ms: int
    end_ms: int
    instrument: str
    open: float | None
    high: float | None
    low: float | None
    close: float | None
    buy_volume: int
    sell_volume: int
    total_volume: int
    delta: int
    tbq: int | None = None
    tsq: int | None = None
    window_minutes: int = 1
    unclassified_volume: int = 0
    tick_volume: int = 0
    vwap: float | None = None
    tick_count: int = 0
    min_delta: int = 0
    max_delta: int = 0
    imbalance: float | None = None
    delta_band: float | None = None
    confidence: str | None = None
    exchange_bar: bool = False
    gap: bool = False
    tick_open: float | None = None
    tick_high: float | None = None
    tick_low: float | None = None
    tick_close: float | None = None
    tick_buy_volume: int | None = None
    tick_sell_volume: int | None = None
    source: str = "stream"

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Candle:
        """Build a candle from a `records.CANDLE` mapping; fields it does not know are ignored.

        Raises DecodeError when a window edge is no ISO time or a field without a default is missing.
        """
        missing = [name for name in _NEEDED if record.get(name) is None]
        if missing:
            raise DecodeError("missing_field", f"candle without {', '.join(missing)}")
        values = {name: record[name] for name in _SHARED if name in record and record[name] is not None}
        return cls(
            start_ms=ms_from_iso(record["window_start"]),
            end_ms=ms_from_iso(record["window_end"]),
            **{"open": None, "high": None, "low": None, "close": None, **values},
        )

    def to_record(self) -> dict[str, Any]:
        """Return the candle as a `records.CANDLE` mapping, in that order of fields."""
        edges = {"window_start": iso_from_ms(self.start_ms), "window_end": iso_from_ms(self.end_ms)}
        return {**edges, **{name: getattr(self, name) for name in _SHARED}}


_SHARED: Final = tuple(field.name for field in fields(Candle) if field.name not in ("start_ms", "end_ms"))
_NEEDED: Final = ("window_start", "window_end", "instrument", "buy_volume", "sell_volume", "total_volume", "delta")
