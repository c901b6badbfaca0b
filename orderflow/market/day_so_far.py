"""Candles of the day so far: the exchange's own minutes replace those before the first update.

A start at 13:00 finds no ticks of 09:15–13:00, but the exchange's minutes can be fetched. The streamer publishes each as a tick
of kind `minute`, and the candle engine makes it a candle of source `exchange`, all of whose volume is unclassified:

1. Only minutes before the first update count, and only those of the session. What an outage hides is not among them: its volume
   is in the candle after it, marked `gap`, and volume counts once.
2. They come in the order of time. One that is not later than the last of them was published already, by an earlier start or
   another streamer: so each is published once.
3. A minute without volume is no candle, as with ticks; an index has no volume, so all of its minutes count.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from orderflow.market.candle import Candle
from orderflow.market.tick import Bar

EXCHANGE: Final = "exchange"
# Sources whose candles are based on the exchange's minutes instead of ticks.
WITHOUT_TICKS: Final = frozenset({EXCHANGE, "backfill"})
# The exchange's minute is complete this long after its start.
COMPLETE_MS: Final = 2 * 60 * 1000


def exchange_candle(instrument_key: str, bar: Bar, source: str) -> Candle:
    """Return the exchange's minute as a candle: its prices and volume, all of it unclassified, no known aggressor."""
    volume = bar.volume or 0
    return Candle(
        start_ms=bar.start_ms,
        end_ms=bar.end_ms,
        instrument=instrument_key,
        open=bar.open,
        high=bar.high,
        low=bar.low,
        close=bar.close,
        buy_volume=0,
        sell_volume=0,
        total_volume=volume,
        delta=0,
        unclassified_volume=volume,
        confidence="none",
        exchange_bar=True,
        source=source,
    )


def candle_of_minute(record: Mapping[str, Any]) -> Candle | None:
    """Return the candle of a tick of kind `minute`, a `records.TICK` mapping; None when nothing traded in it."""
    bar = Bar(**record["bar"])
    return None if bar.volume == 0 else exchange_candle(record["instrument_key"], bar, EXCHANGE)


def is_index(instrument_key: str) -> bool:
    """Return whether the key is an index's, which has prices but no volume."""
    return instrument_key.partition("|")[0].endswith("_INDEX")
