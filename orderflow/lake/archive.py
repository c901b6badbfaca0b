"""Past days in the domain's own types, as the dashboard needs them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from orderflow.lake import facts
from orderflow.lake.history import History
from orderflow.lake.layout import CANDLES, TICKS
from orderflow.market.candle import Candle
from orderflow.market.closed_day import ClosedDay
from orderflow.market.trade import Trade

_BATCH: Final = 4096


class DayArchive:
    """Days of the lake, one instrument and date per call; every call may block and may raise OrderflowError."""

    def __init__(self, history: History, aggressor_rule: str) -> None:
        self._history = history
        self._rule = aggressor_rule

    def dates(self) -> list[str]:
        """Return the trading dates with ticks or candles, oldest first."""
        return sorted({*self._history.dates(TICKS), *self._history.dates(CANDLES)})

    def closed_days(self) -> dict[str, ClosedDay]:
        """Return how stored days were closed, by date."""
        days = facts.catalogue(self._history)
        return {date: closed for date, day in days.items() if (closed := day.closed_day) is not None}

    def candles(self, instrument_key: str, date: str, n: int) -> list[Candle]:
        """Return the final candles of n minutes of one day, oldest first."""
        return [Candle.from_record(row) for row in self._history.candles(instrument_key, date, n=n).to_pylist()]

    def trades(self, instrument_key: str, date: str) -> Iterator[Trade]:
        """Return the trades of one day in order; rows are read at once, objects are created one by one (a day may have many)."""
        trades = self._history.trades(instrument_key, date, rule=self._rule)
        rows = (row for batch in trades.to_batches(max_chunksize=_BATCH) for row in batch.to_pylist())
        return (Trade.from_record(row) for row in rows if row["price"] is not None)

    def previous_close(self, instrument_key: str, date: str) -> float | None:
        """Return the close before a date: the previous close in the date's first tick that has it, else the last stored price."""
        closes = self._history.ticks(instrument_key, date, columns=["close_price"]).column("close_price").drop_null()
        if len(closes):
            return float(closes[0].as_py())
        before = [stored for stored in self._history.dates(CANDLES) if stored < date]
        candles = self.candles(instrument_key, before[-1], 1) if before else []
        return next((candle.close for candle in reversed(candles) if candle.close is not None), None)

    def footprint(self, instrument_key: str, date: str) -> list[Mapping[str, Any]]:
        """Return the footprint rows of one day, as mappings of `records.FOOTPRINT`."""
        rows: list[Mapping[str, Any]] = self._history.footprint(instrument_key, date).to_pylist()
        return rows
