"""Compare stored minute candles with the exchange's own, and find the minutes that are not stored."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from orderflow.lake.exchange_candles import ExchangeMinute
from orderflow.market.calendar import sessions_of
from orderflow.market.candle import Candle
from orderflow.market.day_so_far import is_index
from orderflow.market.phases import CONTINUOUS
from orderflow.market.times import iso_from_ms

PRICE_TOLERANCE: Final = 1e-6
FIELDS: Final = ("open", "high", "low", "close", "volume")


@dataclass(frozen=True, slots=True)
class Difference:
    """One field of one minute that differs: the stored and the exchange's value."""

    instrument: str
    start_ms: int
    field: str
    stored: float | None
    exchange: float

    def __str__(self) -> str:
        return f"{self.instrument} {iso_from_ms(self.start_ms)[:16]} {self.field}: stored {self.stored}, exchange {self.exchange}"


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """Comparison with the exchange: its minutes, those not stored, those only stored, and fields that differ."""

    instrument: str
    date: str
    minutes: int
    missing: tuple[ExchangeMinute, ...]
    surplus: tuple[int, ...]
    differences: tuple[Difference, ...]
    stored_volume: int
    exchange_volume: int

    @property
    def equal(self) -> bool:
        """Return whether every stored minute equals the exchange's."""
        return not (self.missing or self.surplus or self.differences)


def reconcile(instrument: str, date: str, stored: Sequence[Candle], exchange: Iterable[ExchangeMinute]) -> Reconciliation:
    """Compare a date's stored minute candles with the exchange's; minutes without volume and price change need no candle.

    Volume traded after the close is not compared: it is in separate candles, whose minutes differ from the exchange's.
    """
    traded = {minute.start_ms: minute for minute in exchange if minute.volume > 0 or is_index(instrument)}
    if any(candle.session_phase != CONTINUOUS for candle in stored):
        end_ms = sessions_of(stored)[-1].end_ms
        traded = {start_ms: minute for start_ms, minute in traded.items() if start_ms < end_ms}
        stored = [candle for candle in stored if candle.session_phase == CONTINUOUS]
    ours = {candle.start_ms: candle for candle in stored}
    differences = [
        Difference(instrument, start_ms, field, value, expected)
        for start_ms, minute in sorted(traded.items())
        if start_ms in ours
        for field, value, expected in _pairs(ours[start_ms], minute)
        if value is None or abs(value - expected) > PRICE_TOLERANCE
    ]
    return Reconciliation(
        instrument=instrument,
        date=date,
        minutes=len(traded),
        missing=tuple(minute for start_ms, minute in sorted(traded.items()) if start_ms not in ours),
        surplus=tuple(start_ms for start_ms, candle in sorted(ours.items()) if start_ms not in traded and candle.total_volume),
        differences=tuple(differences),
        stored_volume=sum(candle.total_volume for candle in stored),
        exchange_volume=sum(minute.volume for minute in traded.values()),
    )


def _pairs(candle: Candle, minute: ExchangeMinute) -> list[tuple[str, float | None, float]]:
    ours = (candle.open, candle.high, candle.low, candle.close, candle.total_volume)
    theirs = (minute.open, minute.high, minute.low, minute.close, minute.volume)
    return list(zip(FIELDS, ours, theirs, strict=True))
