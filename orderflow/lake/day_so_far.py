"""Fetch today's minutes from the exchange's intraday call, as candles of source `exchange`: see `orderflow.market.day_so_far`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple, Protocol

from msgspec.structs import replace

from orderflow.lake.exchange_candles import ExchangeMinute, TooManyCallsError, backfill_candle
from orderflow.lake.layout import LakeError
from orderflow.market.candle import Candle, iso_from_ms
from orderflow.market.day_so_far import EXCHANGE, CandleKey, missing_minutes


class IntradayCandles(Protocol):
    """Gives an instrument's minutes by date; `ExchangeCandles` in the product."""

    def minutes(self, instrument_key: str, first: str, last: str, today: str) -> dict[str, list[ExchangeMinute]]:
        """Return the minutes of each date of a period."""
        ...


class DaySoFar(NamedTuple):
    """The minutes to publish, and for each instrument that could not be asked for, why."""

    candles: list[Candle]
    failed: dict[str, str]


def exchange_candle(instrument_key: str, minute: ExchangeMinute) -> Candle:
    """Return the exchange's minute as a candle: its prices and volume, all of it unclassified, no known aggressor."""
    return replace(backfill_candle(instrument_key, minute), source=EXCHANGE)


def day_so_far(
    exchange: IntradayCandles,
    instrument_keys: Sequence[str],
    known: Iterable[CandleKey],
    now_ms: int,
    *,
    stopped: Callable[[], bool] = lambda: False,
) -> DaySoFar:
    """Return today's missing minutes (in Indian time) of the instruments; one call each, until `stopped`.

    An instrument that Upstox refuses is named with the cause, and the others are fetched all the same. After a refusal for too
    many calls (429) no more are made.
    """
    today = iso_from_ms(now_ms)[:10]
    fetched: list[Candle] = []
    failed: dict[str, str] = {}
    for position, key in enumerate(instrument_keys):
        if stopped():
            break
        try:
            minutes = exchange.minutes(key, today, today, today).get(today, [])
        except TooManyCallsError as error:
            failed |= dict.fromkeys(instrument_keys[position:], str(error))
            break
        except LakeError as error:
            failed[key] = str(error)
            continue
        fetched += [exchange_candle(key, minute) for minute in minutes]
    return DaySoFar(missing_minutes(fetched, known, now_ms), failed)
