"""The exchange's figures of a day and those computed here, and how much of the day the latter cover."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from orderflow.dashboard.state.instrument import Instrument, Unseen
from orderflow.dashboard.state.row import Row

LEAST_SHARE: Final = 0.001
TOLERANCE: Final = 0.0001
LEAST_TOLERANCE: Final = 0.02


class DayFigures(NamedTuple):
    """A day's prices, VWAP and volume; the exchange's where it gave them, else those of the minutes held."""

    open: float | None
    high: float | None
    low: float | None
    vwap: float | None
    volume: int


def day_figures(instrument: Instrument, last: Row | None) -> DayFigures:
    """Return the day's figures; `last` is the newest row of the day.

    The exchange's day bar lags its last price, so a high or low that was seen since counts too.
    """
    quote = instrument.quote
    bar: Mapping[str, Any] = quote.get("day_bar") or {}
    seen = (last.open, last.high, last.low, last.vwap, last.volume) if last else (None, None, None, None, 0)
    highs = [price for price in (bar.get("high"), seen[1]) if price is not None]
    lows = [price for price in (bar.get("low"), seen[2]) if price is not None]
    return DayFigures(
        open=bar.get("open", seen[0]),
        high=max(highs, default=None),
        low=min(lows, default=None),
        vwap=quote.get("atp", seen[3]),
        volume=max(quote.get("vtt") or 0, seen[4]),
    )


def coverage(instrument: Instrument, last: Row | None) -> dict[str, Any] | None:
    """Return what part of the day's volume was seen trade by trade, and from when; None where the exchange's is not known."""
    volume = instrument.quote.get("vtt")
    if not volume or last is None:
        return None
    before = instrument.unseen_minutes
    seen = last.volume - sum(before.values())
    from_ms = next((start for start in instrument.starts if start not in before), None)
    return None if from_ms is None else {"share": round(min(seen / volume, 1.0), 4), "from_ms": from_ms}


def unseen(instrument: Instrument, last: Row | None) -> Unseen | None:
    """Return what traded outside the minutes held, when the VWAP computed with it so far has left the exchange's; else None.

    The exchange's average price times its volume is the day's turnover; what is not in our minutes traded before the
    first of them, in an auction or in an outage. An average price outside the day's range is ignored.
    """
    quote = instrument.quote
    atp, vtt = quote.get("atp"), quote.get("vtt")
    if last is None or not last.priced or not atp or not vtt or last.vwap is None:
        return None
    if abs(last.vwap - atp) <= max(LEAST_TOLERANCE, atp * TOLERANCE):
        return None
    volume = vtt - last.priced
    missed = Unseen(volume, atp * vtt - last.turnover)
    day = day_figures(instrument, last)
    if volume < vtt * LEAST_SHARE or day.low is None or day.high is None:
        missed = Unseen(0, 0.0)
    elif not day.low <= missed.turnover / volume <= day.high:
        return None
    return None if missed == last.unseen else missed
