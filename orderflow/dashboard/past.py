"""Past days: what the archive must offer, and a day built from it into the same form as the running one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from orderflow.dashboard.minutes import Instrument
from orderflow.dashboard.store import trading_date
from orderflow.market.candle import Candle, ms_from_iso
from orderflow.market.trade import Trade


class History(Protocol):
    """The archive of past days; every call may block and may raise OrderflowError."""

    def dates(self) -> Sequence[str]:
        """Return the trading dates it holds, YYYY-MM-DD, oldest first."""

    def candles(self, instrument_key: str, date: str, n: int) -> Sequence[Candle]:
        """Return the final candles of n minutes of one day, oldest first."""

    def trades(self, instrument_key: str, date: str) -> Sequence[Trade]:
        """Return the trades of one day in order."""

    def footprint(self, instrument_key: str, date: str) -> Sequence[Any]:
        """Return the footprint rows of one day, as mappings of `records.FOOTPRINT`."""


def build_day(key: str, date: str, candles: Sequence[Candle], footprint: Sequence[Any], trades: Sequence[Trade]) -> Instrument:
    """Return a day's state: final candles with their footprint, and the tape of its trades."""
    day = Instrument(key)
    day.reset(date, None, None)
    for trade in trades[:1]:
        day.session_start_ms, day.session_end_ms = trade.session_start_ms, trade.session_end_ms
    for candle in candles:
        if trading_date(candle.start_ms) == date:
            day.add_final(candle)
    levels: dict[int, list[tuple[int, int, int, int]]] = {}
    for row in footprint:
        entry = (int(row["price"]), row["buy_volume"], row["sell_volume"], row["unclassified_volume"])
        levels.setdefault(ms_from_iso(row["window_start"]), []).append(entry)
    for start_ms, rows in levels.items():
        day.add_levels(start_ms, rows)
    for trade in trades:
        day.add_trade(trade)
    return day
