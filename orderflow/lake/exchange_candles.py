"""Fetches the exchange's own minute candles from Upstox's REST calls, to compare a stored day with and to complete it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date as calendar_date
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import requests

from orderflow.lake.layout import LakeError
from orderflow.market.errors import DecodeError
from orderflow.market.times import iso_from_ms, ms_from_iso


class TooManyCallsError(LakeError):
    """Upstox accepts no more calls for now; candles fetched before remain valid."""


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

    def minutes(self, instrument_key: str, first: str, last: str, today: str) -> dict[str, list[ExchangeMinute]]:
        """Return the minutes of each date of a period, oldest first; dates without any are absent.

        One call covers up to 28 days; `today` has a call of its own. Raises LakeError when Upstox refuses or answers with
        anything but candles.
        """
        key = quote(instrument_key, safe="")
        paths = [f"{key}/minutes/1/{to}/{since}" for since, to in _months(first, min(last, _day_before(today)))]
        if first <= today <= last:
            paths.append(f"intraday/{key}/minutes/1")
        by_date: dict[str, list[ExchangeMinute]] = {}
        for path in paths:
            for minute in self._call(path, instrument_key):
                by_date.setdefault(iso_from_ms(minute.start_ms)[:10], []).append(minute)
        return {date: sorted(minutes, key=lambda minute: minute.start_ms) for date, minutes in sorted(by_date.items())}

    def _call(self, path: str, instrument_key: str) -> list[ExchangeMinute]:
        try:
            answer = self._session.get(f"{self._url}/v3/historical-candle/{path}", timeout=(5.0, 30.0))
        except requests.RequestException as error:
            raise LakeError(f"Upstox does not answer at {self._url} ({error}); try again, or check UPSTOX_REST_URL") from error
        if answer.status_code == 429:
            raise TooManyCallsError(
                "Upstox allows no more calls at the moment (429); wait half an hour, or ask for fewer instruments at once"
            )
        if answer.status_code != 200:
            raise LakeError(f"Upstox refused the candles of {instrument_key}: {answer.status_code} {_cause(answer)}")
        try:
            return [_minute(row) for row in answer.json()["data"]["candles"]]
        except (ValueError, KeyError, TypeError, IndexError, DecodeError) as error:
            raise LakeError(f"Upstox's candles of {instrument_key} do not match its documentation: {error}") from error


def _months(first: str, last: str) -> Iterator[tuple[str, str]]:
    """Yield periods of at most 28 days, the longest that one call for minutes can cover in every month."""
    start, end = calendar_date.fromisoformat(first), calendar_date.fromisoformat(last)
    while start <= end:
        stop = min(start + timedelta(days=27), end)
        yield start.isoformat(), stop.isoformat()
        start = stop + timedelta(days=1)


def _day_before(date: str) -> str:
    return (calendar_date.fromisoformat(date) - timedelta(days=1)).isoformat()


def _minute(row: list[Any]) -> ExchangeMinute:
    start, opened, high, low, closed, volume = row[:6]
    return ExchangeMinute(ms_from_iso(start), float(opened), float(high), float(low), float(closed), int(volume or 0))


def _cause(answer: requests.Response) -> str:
    try:
        error = answer.json()["errors"][0]
        return f"{error['errorCode']} {error['message']}"
    except (ValueError, KeyError, IndexError, TypeError):
        return answer.reason
