"""Compare stored minute candles with the exchange's own, and find the minutes that are not stored."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Final

from orderflow.lake.exchange_candles import ExchangeMinute, replaced_candle
from orderflow.market.calendar import sessions_of
from orderflow.market.candle import Candle
from orderflow.market.day_so_far import WITHOUT_TICKS, is_index
from orderflow.market.phases import CONTINUOUS
from orderflow.market.times import iso_from_ms

PRICE_TOLERANCE: Final = 1e-6
FIELDS: Final = ("open", "high", "low", "close", "volume")


@dataclass(frozen=True, slots=True)
class Difference:
    """One field of one minute that differs: what is stored, and what the exchange says."""

    instrument: str
    start_ms: int
    field: str
    stored: float | None
    exchange: float

    def __str__(self) -> str:
        return f"{self.instrument} {iso_from_ms(self.start_ms)[:16]} {self.field}: stored {self.stored}, exchange {self.exchange}"


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """An instrument and date against the exchange: minutes it has, those not stored, those only stored, fields that differ."""

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
        """Tell whether every minute is stored as the exchange has it."""
        return not (self.missing or self.surplus or self.differences)


def reconcile(instrument: str, date: str, stored: Sequence[Candle], exchange: Iterable[ExchangeMinute]) -> Reconciliation:
    """Compare a date's stored minute candles with the exchange's; minutes without volume and price change need no candle.

    What traded after the close has candles of its own, at minutes that are not the exchange's: it is not compared.
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


def without_outages(stored: Iterable[Candle], exchange: Iterable[ExchangeMinute]) -> list[Candle]:
    """Return the candles that take the place of stored ones of an instrument and date, once minutes of an outage are backfilled.

    What an outage missed is in a candle after it, marked `gap`, and would count twice. Only a bar fixes where a minute begins in
    the volume, so from one such minute to the next the candles hold together what traded: all of them become the exchange's.
    Where no minute of the date has a bar, those from just before each outage to the `gap` that ends it do.
    """
    minutes = {minute.start_ms: minute for minute in exchange}
    trading = (c for c in stored if c.session_phase == CONTINUOUS and c.start_ms <= max(minutes, default=-1))
    candles = sorted(trading, key=lambda candle: candle.start_ms)
    bars = any(map(_is_fixed, candles))
    replaced: list[Candle] = []
    for fixed, group in groupby(candles, _is_fixed):
        stretch = list(group)
        filled = next((at for at, candle in enumerate(stretch) if _is_filled(candle)), len(stretch))
        last_gap = max((at for at, candle in enumerate(stretch) if candle.gap), default=-1)
        if not fixed and filled < last_gap:
            wanted = stretch if bars else _around_outages(stretch)
            replaced += [replaced_candle(candle, minutes.get(candle.start_ms)) for candle in wanted if not _is_filled(candle)]
    return [candle for candle in replaced if candle not in candles]


def levels_within(levels: Iterable[dict[str, Any]], candle: Candle) -> list[dict[str, Any]]:
    """Return a minute's footprint with no more unclassified volume than its candle has: the largest levels lose it first."""
    largest_first = sorted(levels, key=lambda level: (-level["unclassified_volume"], level["price"]))
    surplus = max(0, sum(level["unclassified_volume"] for level in largest_first) - candle.unclassified_volume)
    kept: list[dict[str, Any]] = []
    for level in largest_first:
        taken = min(surplus, level["unclassified_volume"])
        surplus -= taken
        rest = level | {"unclassified_volume": level["unclassified_volume"] - taken}
        if any(rest[f"{side}_volume"] for side in ("buy", "sell", "unclassified")):
            kept.append(rest)
    return sorted(kept, key=lambda level: level["price"])


def _around_outages(candles: list[Candle]) -> list[Candle]:
    """Return, for each run of filled minutes that a `gap` follows, the candle before it, the run, and the `gap`."""
    around: list[Candle] = []
    at = 0
    for filled, group in groupby(candles, _is_filled):
        begin, at = at, at + len(list(group))
        end = next((after for after in range(at, len(candles)) if not candles[after].gap), len(candles))
        if filled and end > at:
            around += candles[max(begin - 1, 0) : end]
    return list(dict.fromkeys(around))


def _is_fixed(candle: Candle) -> bool:
    return candle.exchange_bar and candle.source not in WITHOUT_TICKS


def _is_filled(candle: Candle) -> bool:
    return candle.source in WITHOUT_TICKS and not candle.tick_count and not candle.gap


def _pairs(candle: Candle, minute: ExchangeMinute) -> list[tuple[str, float | None, float]]:
    ours = (candle.open, candle.high, candle.low, candle.close, candle.total_volume)
    theirs = (minute.open, minute.high, minute.low, minute.close, minute.volume)
    return list(zip(FIELDS, ours, theirs, strict=True))
