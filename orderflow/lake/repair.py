"""Replaces stored candles of an outage, and those around it, with the exchange's minutes."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby
from typing import Any

from msgspec.structs import replace

from orderflow.lake.exchange_candles import ExchangeMinute
from orderflow.market.candle import Candle
from orderflow.market.confidence import grade
from orderflow.market.day_so_far import WITHOUT_TICKS, exchange_candle
from orderflow.market.phases import CONTINUOUS
from orderflow.market.tick import Bar


def backfill_candle(instrument_key: str, minute: ExchangeMinute) -> Candle:
    """Return the candle of a minute without updates."""
    bar = Bar(minute.start_ms, minute.open, minute.high, minute.low, minute.close, minute.volume)
    return exchange_candle(instrument_key, bar, "backfill")


def replaced_candle(candle: Candle, minute: ExchangeMinute | None) -> Candle:
    """Return a stored candle with the exchange's prices and volume (0 if it has no such minute); buys and sells are kept."""
    classified = candle.buy_volume + candle.sell_volume
    volume = 0 if minute is None else minute.volume
    total = max(volume, classified)
    changed = replace(
        candle,
        total_volume=total,
        unclassified_volume=total - classified,
        confidence=None if candle.delta_band is None else grade(candle.delta_band, total, classified),
        exchange_bar=minute is not None and total == volume,
        gap=candle.gap or total > candle.total_volume,
        source="backfill",
    )
    if minute is None:
        return changed
    return replace(changed, open=minute.open, high=minute.high, low=minute.low, close=minute.close)


def without_outages(stored: Iterable[Candle], exchange: Iterable[ExchangeMinute]) -> list[Candle]:
    """Return the candles that replace stored ones of an instrument and date, once minutes of an outage are backfilled.

    The volume of an outage is in a candle after it, marked `gap`, and would count twice. Only a bar determines at which
    cumulative volume a minute begins. So the sum of the candles between two minutes with a bar is correct, and all of them are
    replaced by the exchange's. If no minute of the date has a bar, those from just before each outage to the `gap` that ends
    it are replaced.
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
    """Return a minute's footprint with no more unclassified volume than its candle; the largest levels lose the excess."""
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
