"""The day so far: which of the exchange's own minutes stand in for minutes of which no update was seen.

A start at 13:00 finds no ticks of 09:15–13:00, but the exchange's minutes can be fetched. They become candles of source
`exchange`, all of whose volume is unclassified. The rules hold however often, and from however many streamers, they are fetched:

1. A minute counts once it is complete: two minutes after its start. The running one is left to the ticks.
2. A minute without volume is no candle, as with ticks; an index has no volume, so all of its minutes count.
3. One candle per instrument, window start and window length. A minute that has a candle already, of whatever source, is not made
   again: what was stored first stays, so a second fetch adds nothing.
4. Where two arrive all the same (two streamers at once, or ticks that were still on their way), `preferred` decides, the same way
   in whatever order they come: a candle from ticks before one from the exchange's minutes; among equals, the first.
5. Volume counts once. The candle after an outage carries the outage's volume, marked `gap`; minutes that are filled there hold it
   as well. `orderflow.lake.reconciliation.without_outages` gives the candles that put that right, and knows both sources.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from orderflow.market.candle import Candle

EXCHANGE: Final = "exchange"
# Sources whose candles rest on the exchange's minutes instead of ticks.
WITHOUT_TICKS: Final = frozenset({EXCHANGE, "backfill"})
# The exchange's minute is complete so long after its start.
COMPLETE_MS: Final = 2 * 60 * 1000

CandleKey = tuple[str, int, int]


def candle_key(candle: Candle) -> CandleKey:
    """Return what there is one candle of: instrument, start in epoch milliseconds, length in minutes."""
    return candle.instrument, candle.start_ms, candle.window_minutes


def missing_minutes(fetched: Iterable[Candle], known: Iterable[CandleKey], now_ms: int) -> list[Candle]:
    """Return the fetched minutes to publish, by instrument and time: complete, traded, and not known already (rules 1 to 3)."""
    seen = set(known)
    missing: list[Candle] = []
    for candle in sorted(fetched, key=candle_key):
        is_complete = candle.start_ms + COMPLETE_MS <= now_ms
        is_traded = candle.total_volume > 0 or is_index(candle.instrument)
        if is_complete and is_traded and candle_key(candle) not in seen:
            seen.add(candle_key(candle))
            missing.append(candle)
    return missing


def preferred(first: Candle, second: Candle) -> Candle:
    """Return which of two candles of one key holds, `first` having come first (rule 4)."""
    return second if first.source in WITHOUT_TICKS and second.source not in WITHOUT_TICKS else first


def once_each(candles: Iterable[Candle]) -> list[Candle]:
    """Return one candle of each key, by instrument and time, from candles in the order in which they came (rule 4)."""
    held: dict[CandleKey, Candle] = {}
    for candle in candles:
        before = held.get(candle_key(candle))
        held[candle_key(candle)] = candle if before is None else preferred(before, candle)
    return [held[key] for key in sorted(held)]


def is_index(instrument_key: str) -> bool:
    """Tell whether the key is an index's, which has prices but no volume."""
    return instrument_key.partition("|")[0].endswith("_INDEX")
