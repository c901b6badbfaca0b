"""Upstox's REST calls that belong to the market's data: candles, status, holidays, timings, instrument master."""

from __future__ import annotations

import datetime as dt
import gzip
import json
from http import HTTPStatus
from typing import Final
from urllib.parse import unquote

from orderflow.market.times import DAY_MS, IST, midnight_ms
from orderflow.simulator.session_plan import of_date
from orderflow.simulator.source import Source

MASTER_PATH: Final = "/instruments/complete.json.gz"
_HOLIDAYS: Final = (
    ("2025-10-02", "Mahatma Gandhi Jayanti"),
    ("2025-12-25", "Christmas"),
    ("2026-01-26", "Republic Day"),
    ("2026-10-02", "Mahatma Gandhi Jayanti"),
    ("2026-12-25", "Christmas"),
)
_SEGMENTS: Final = {"NSE": "NSE_EQ", "BSE": "BSE_EQ", "NFO": "NSE_FO", "BFO": "BSE_FO", "CDS": "NCD_FO"}
Answer = tuple[HTTPStatus, object]


def failure(status: HTTPStatus, code: str, text: str) -> Answer:
    """Return an error in Upstox's shape."""
    return status, {
        "status": "error",
        "errors": [{"errorCode": code, "message": text, "propertyPath": None, "invalidValue": None}],
    }


class RestApi:
    """Answer the calls from a source; every path is decoded, so keys may hold `|` and spaces as %7C and %20."""

    def __init__(self, source: Source) -> None:
        self._source = source

    def public(self, path: str) -> bytes | None:
        """Return the instrument master, which needs no token, or None for any other path."""
        if path != MASTER_PATH:
            return None
        return gzip.compress(json.dumps(self._source.instrument_master()).encode(), 6, mtime=0)

    @staticmethod
    def needs_token(path: str) -> bool:
        """Return whether the call requires a bearer token: candles, holidays and timings are public, as the SDK calls them."""
        return not path.startswith(("/v3/historical-candle/", "/v2/market/holidays", "/v2/market/timings/"))

    def answer(self, path: str) -> Answer:
        """Return status and body for a path."""
        match [unquote(part) for part in path.strip("/").split("/")]:
            case ["v3", "historical-candle", "intraday", key, unit, interval]:
                today = midnight_ms(self._source.now_ms())
                return self._candles(key, unit, interval, today, today + DAY_MS)
            case ["v3", "historical-candle", key, unit, interval, to_date, *from_date] if len(from_date) <= 1:
                try:
                    last = _midnight(to_date)
                    first = _midnight(from_date[0]) if from_date else last - 27 * DAY_MS
                except ValueError:
                    return failure(HTTPStatus.BAD_REQUEST, "UDAPI1148", "Invalid date, expected YYYY-MM-DD")
                if first > last:
                    return failure(HTTPStatus.BAD_REQUEST, "UDAPI1149", "from_date is after to_date")
                if unit == "minutes" and last - first > 31 * DAY_MS:
                    return failure(HTTPStatus.BAD_REQUEST, "UDAPI1150", "Minute candles span at most one month a call")
                today = midnight_ms(self._source.now_ms())
                return self._candles(key, unit, interval, first, min(last + DAY_MS, today))
            case ["v2", "market", "status", exchange]:
                return self._status(exchange)
            case ["v2", "market", "holidays", *date]:
                days = [day for day in _HOLIDAYS if not date or day[0] == date[0]]
                return _success([_holiday(*day) for day in days])
            case ["v2", "market", "timings", date]:
                return self._timings(date)
        return failure(HTTPStatus.NOT_FOUND, "UDAPI100060", "Resource not Found.")

    def _candles(self, key: str, unit: str, interval: str, from_ms: int, to_ms: int) -> Answer:
        if key not in self._source.keys:
            return failure(HTTPStatus.BAD_REQUEST, "UDAPI100011", "Invalid Instrument key")
        if (unit, interval) != ("minutes", "1"):
            return failure(HTTPStatus.BAD_REQUEST, "UDAPI1147", "Invalid unit or interval: the simulator has minutes/1 only")
        bars = self._source.minute_candles(key, from_ms, to_ms)
        rows = [[_iso(start), *values, 0] for start, *values in reversed(bars)]
        return _success({"candles": rows})

    def _status(self, exchange: str) -> Answer:
        status = self._source.segment_status(_SEGMENTS.get(exchange, f"{exchange}_FO"))
        return _success({"exchange": exchange, "status": status, "last_updated": self._source.now_ms()})

    def _timings(self, date: str) -> Answer:
        try:
            day = dt.date.fromisoformat(date)
        except ValueError:
            return failure(HTTPStatus.BAD_REQUEST, "UDAPI1088", "Invalid date, expected YYYY-MM-DD")
        if day.weekday() > 4 or date in dict(_HOLIDAYS):
            return _success([])
        plan = of_date(day)
        hours = {
            "NSE": plan.without_derivatives,
            "BSE": plan.without_derivatives,
            "NFO": plan.derivatives,
            "BFO": plan.derivatives,
        }
        return _success(
            [{"exchange": name, "start_time": traded.open_ms, "end_time": traded.close_ms} for name, traded in hours.items()]
        )


def _success(body: object) -> Answer:
    return HTTPStatus.OK, {"status": "success", "data": body}


def _holiday(date: str, description: str) -> dict[str, object]:
    closed = ["NSE", "NFO", "BSE", "BFO"]
    return {
        "date": date,
        "description": description,
        "holiday_type": "TRADING_HOLIDAY",
        "closed_exchanges": closed,
        "open_exchanges": [],
    }


def _midnight(date: str) -> int:
    return int(dt.datetime.combine(dt.date.fromisoformat(date), dt.time(), IST).timestamp()) * 1000


def _iso(at_ms: int) -> str:
    return dt.datetime.fromtimestamp(at_ms / 1000, IST).isoformat(timespec="seconds")
