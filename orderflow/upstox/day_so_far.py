"""Fetches the exchange's earlier minutes of today when updates begin in mid-session: see `orderflow.market.day_so_far`."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final

import upstox_client
import urllib3.exceptions
from upstox_client.rest import ApiException

from orderflow.market.day_so_far import is_index
from orderflow.market.errors import DecodeError, SettingsError
from orderflow.market.tick import Bar
from orderflow.market.times import MINUTE_MS, ms_from_iso
from orderflow.upstox.rest import rest_client

log = logging.getLogger(__name__)

HandOver = Callable[[str, list[Bar]], None]

_TIMEOUT_SECONDS: Final = (5.0, 30.0)
_SECONDS_A_CALL: Final = 0.15
"""Upstox allows 500 calls a minute, and 2,000 in half an hour."""
_AFTER_MINUTE_MS: Final = 10_000
_AGAIN_SECONDS: Final = 75.0
_TOO_MANY: Final = 429


class DaySoFar:
    """Hands over the minutes of each instrument, oldest first, from a thread of its own.

    It begins once the feed's clock is known (`feed_ms`), and ten seconds into a minute, so that the minute before is
    complete. If the last minute is missing nevertheless, it asks a second time. If Upstox refuses an instrument, the
    cause is logged.
    """

    def __init__(
        self, rest_url: str, ca_file: Path | None, feed_ms: Callable[[], int | None], hand_over: HandOver, stop: threading.Event
    ) -> None:
        self._rest_url, self._ca_file = rest_url, ca_file
        self._feed_ms, self._hand_over, self._stop = feed_ms, hand_over, stop

    def fetch(self, keys: Iterable[str], access_token: str | None) -> threading.Thread:
        """Begin to fetch the minutes of `keys`; return the thread."""
        thread = threading.Thread(target=self._run, args=(list(keys), access_token), name="day-so-far", daemon=True)
        thread.start()
        return thread

    def _run(self, keys: list[str], access_token: str | None) -> None:
        while (now_ms := self._feed_ms()) is None:
            if self._stop.wait(0.2):
                return
        early_ms = _AFTER_MINUTE_MS - now_ms % MINUTE_MS
        if early_ms > 0 and self._stop.wait(early_ms / 1000):
            return
        try:
            with rest_client(self._rest_url, self._ca_file, access_token) as client:
                api = upstox_client.HistoryV3Api(client)
                first_ms = now_ms - now_ms % MINUTE_MS
                short = self._pass(api, keys, first_ms)
                if short and not self._stop.wait(_AGAIN_SECONDS):
                    self._pass(api, short, first_ms)
        except SettingsError as error:
            log.warning("today's earlier minutes are not fetched: %s", error)

    def _pass(self, api: upstox_client.HistoryV3Api, keys: list[str], before_ms: int) -> list[str]:
        """Fetch each instrument's minutes that ended by `before_ms`; return those whose last one is still missing."""
        fetched = 0
        short: list[str] = []
        for number, key in enumerate(keys):
            if self._stop.wait(_SECONDS_A_CALL if number else 0.0):
                return []
            try:
                bars = minutes_of(api, key, before_ms)
            except ApiException as error:
                if error.status == _TOO_MANY:
                    log.warning(
                        "today's earlier minutes of %d instruments are not fetched: Upstox allows no more calls",
                        len(keys) - number,
                    )
                    return []
                log.warning("today's earlier minutes of %s are not fetched: HTTP %s", key, error.status)
                continue
            except (urllib3.exceptions.HTTPError, OSError, DecodeError) as error:
                log.warning("today's earlier minutes of %s are not fetched: %s", key, error)
                continue
            if bars:
                self._hand_over(key, bars)
                fetched += len(bars)
            if not bars or bars[-1].end_ms < before_ms:
                short.append(key)
        log.info("fetched today's earlier minutes: %d minutes of %d instruments", fetched, len(keys))
        return short


def minutes_of(api: upstox_client.HistoryV3Api, key: str, before_ms: int) -> list[Bar]:
    """Return an instrument's minutes of today that ended by `before_ms`, oldest first.

    Raises ApiException where Upstox refuses, DecodeError on anything but candles.
    """
    answer = api.get_intra_day_candle_data(key, "minutes", "1", _request_timeout=_TIMEOUT_SECONDS)
    try:
        bars = [_bar(row, without_volume=is_index(key)) for row in answer.data.candles]
    except (AttributeError, TypeError, ValueError, IndexError) as error:
        raise DecodeError("bad_candles", f"Upstox's candles do not match its documentation: {error}") from error
    return sorted((bar for bar in bars if bar.end_ms <= before_ms), key=lambda bar: bar.start_ms)


def _bar(row: list[Any], *, without_volume: bool) -> Bar:
    start, opened, high, low, closed, volume = row[:6]
    traded = None if without_volume else int(volume or 0)
    return Bar(ms_from_iso(str(start)), float(opened), float(high), float(low), float(closed), traded)
