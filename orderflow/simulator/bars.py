"""Minute candles before the simulated session: a random walk that ends at a given price."""

from __future__ import annotations

import datetime as dt
import random
from collections.abc import Sequence

from orderflow.market.times import IST, MINUTE_MS
from orderflow.simulator.catalogue import Instrument
from orderflow.simulator.source import Candle


def walk_back(rng: random.Random, instrument: Instrument, last_paise: int, starts_ms: Sequence[int]) -> list[Candle]:
    """Return one candle per start whose last close is `last_paise`; prices are on the tick, volumes zero for an index."""
    tick_paise, lot = instrument.tick_paise, instrument.lot_size
    minute_lots = instrument.typical_order * 150 / lot
    closes = [last_paise]
    sigma = 0.0006 * last_paise
    for _ in starts_ms:
        step = rng.gauss(0.0, sigma) + 0.002 * (last_paise - closes[-1])
        closes.append(_on_tick(closes[-1] + step, tick_paise))
    closes.reverse()
    candles: list[Candle] = []
    for start, opened, closed in zip(starts_ms, closes, closes[1:], strict=False):
        reach = abs(rng.gauss(0.0, sigma * 0.6))
        high = max(opened, closed, _on_tick(max(opened, closed) + reach, tick_paise))
        low = min(opened, closed, _on_tick(min(opened, closed) - reach, tick_paise))
        volume = 0 if instrument.is_index else lot * (1 + int(minute_lots * rng.lognormvariate(-0.3, 0.75)))
        candles.append((start, opened / 100, high / 100, low / 100, closed / 100, volume))
    return candles


def _on_tick(paise: float, tick_paise: int) -> int:
    return max(tick_paise, round(paise / tick_paise) * tick_paise)


def history(instrument: Instrument, seed: int, before_ms: int, days: int, last_paise: int) -> list[Candle]:
    """Return `days` weekdays (09:15–15:30 IST) before the IST midnight `before_ms`; the last close is `last_paise`."""
    starts: list[int] = []
    day = dt.datetime.fromtimestamp(before_ms / 1000, IST).date()
    while len(starts) < days * 375:
        day -= dt.timedelta(days=1)
        if day.weekday() < 5:
            opened = int(dt.datetime.combine(day, dt.time(9, 15), IST).timestamp()) * 1000
            starts[:0] = range(opened, opened + 375 * MINUTE_MS, MINUTE_MS)
    rng = random.Random(f"{seed}:{instrument.key}:history")
    return walk_back(rng, instrument, last_paise, starts)
