"""The exchange's own minute candles from Upstox's REST calls: what a stored day is compared with and completed from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import requests

from orderflow.lake.layout import LakeError
from orderflow.market.candle import Candle, ms_from_iso
from orderflow.market.errors import DecodeError

MINUTE_MS: Final = 60_000


@dataclass(frozen=True, slots=True)
class ExchangeMinute:
    """One minute as the exchange reports it; volume in shares or contracts."""

    start_ms: int
    open: float
    high: float
    low: float
    close: float
    volume: int


class ExchangeCandles:
    """Upstox's historical and intraday minute candles; see docs.upstox.com, Historical Candle Data V3."""

    def __init__(self, rest_url: str, access_token: str | None, ca_file: Path | None = None) -> None:
        self._url = rest_url.rstrip("/")
        self._session = requests.Session()
        self._session.headers["Accept"] = "application/json"
        if access_token is not None:
            self._session.headers["Authorization"] = f"Bearer {access_token}"
        if ca_file is not None:
            self._session.verify = str(ca_file)

    def minutes(self, instrument_key: str, date: str, today: str) -> list[ExchangeMinute]:
        """Return the minutes of a date that traded, oldest first; `today` tells which of the two calls has them.

        Raises LakeError when Upstox refuses or answers with anything but candles.
        """
        key = quote(instrument_key, safe="")
        path = f"intraday/{key}/minutes/1" if date == today else f"{key}/minutes/1/{date}/{date}"
        url = f"{self._url}/v3/historical-candle/{path}"
        try:
            answer = self._session.get(url, timeout=(5.0, 30.0))
        except requests.RequestException as error:
            raise LakeError(f"Upstox does not answer at {self._url} ({error}); try again, or check UPSTOX_REST_URL") from error
        if answer.status_code != 200:
            raise LakeError(f"Upstox refused the candles of {instrument_key} on {date}: {answer.status_code} {_cause(answer)}")
        try:
            return sorted((_minute(row) for row in answer.json()["data"]["candles"]), key=lambda minute: minute.start_ms)
        except (ValueError, KeyError, TypeError, IndexError, DecodeError) as error:
            raise LakeError(
                f"Upstox's candles of {instrument_key} on {date} are not what its documentation says: {error}"
            ) from error


def backfill_candle(instrument_key: str, minute: ExchangeMinute) -> Candle:
    """Return the candle of a minute of which no update was seen: the exchange's prices and volume, no known aggressor."""
    return Candle(
        start_ms=minute.start_ms,
        end_ms=minute.start_ms + MINUTE_MS,
        instrument=instrument_key,
        open=minute.open,
        high=minute.high,
        low=minute.low,
        close=minute.close,
        buy_volume=0,
        sell_volume=0,
        total_volume=minute.volume,
        delta=0,
        unclassified_volume=minute.volume,
        confidence="none",
        exchange_bar=True,
        source="backfill",
    )


def _minute(row: list[Any]) -> ExchangeMinute:
    start, opened, high, low, closed, volume = row[:6]
    return ExchangeMinute(ms_from_iso(start), float(opened), float(high), float(low), float(closed), int(volume or 0))


def _cause(answer: requests.Response) -> str:
    try:
        error = answer.json()["errors"][0]
        return f"{error['errorCode']} {error['message']}"
    except (ValueError, KeyError, IndexError, TypeError):
        return answer.reason
