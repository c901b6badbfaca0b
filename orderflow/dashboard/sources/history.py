"""What the archive of past days must offer; the lake's in the product."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

from orderflow.market.candle import Candle
from orderflow.market.closed_day import ClosedDay
from orderflow.market.trade import Trade


class History(Protocol):
    """The archive of past days; every call may block and may raise OrderflowError."""

    def dates(self) -> Sequence[str]:
        """Return the trading dates it holds, YYYY-MM-DD, oldest first."""

    def candles(self, instrument_key: str, date: str, n: int) -> Sequence[Candle]:
        """Return the final candles of n minutes of one day, oldest first."""

    def trades(self, instrument_key: str, date: str) -> Iterable[Trade]:
        """Return the trades of one day in order, preferably one by one: there may be hundreds of thousands."""

    def previous_close(self, instrument_key: str, date: str) -> float | None:
        """Return the close of the session before a date; None when it is not known."""

    def footprint(self, instrument_key: str, date: str) -> Sequence[Mapping[str, Any]]:
        """Return the footprint rows of one day, as mappings of `records.FOOTPRINT`."""

    def closed_days(self) -> Mapping[str, ClosedDay]:
        """Return how stored days were closed, by date."""
