"""Logs one line at the start: the subscriptions with their modes, how long the token lasts, and the status of each market.

The status is fetched by REST, so that it is known before the feed's first message. The call never delays the feed and never
makes the start fail: a status that cannot be fetched is reported as unknown, with the cause.
"""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import upstox_client
import urllib3.exceptions
from upstox_client.rest import ApiException

from orderflow.market.errors import SettingsError
from orderflow.upstox.rest import rest_client
from orderflow.upstox.token import Token

log = logging.getLogger(__name__)

_TIMEOUT_SECONDS: Final = (3.0, 5.0)
_SHOWN_KEYS: Final = 20
_EXCHANGES: Final = {"NSE_FO": "NFO", "NCD_FO": "CDS", "BSE_FO": "BFO", "BCD_FO": "BCD"}


def announce(modes: Mapping[str, str], token: Token | None, rest_url: str, ca_file: Path | None) -> threading.Thread:
    """Log the start line from a thread of its own, since the status may take seconds; return the thread.

    `modes` gives the mode of each instrument key.
    """

    def say() -> None:
        log.info("%s", start_line(modes, token, market_statuses(modes, token, rest_url, ca_file)))

    thread = threading.Thread(target=say, name="startup", daemon=True)
    thread.start()
    return thread


def start_line(modes: Mapping[str, str], token: Token | None, statuses: Mapping[str, str]) -> str:
    """Return the line for the log; `statuses` gives each exchange's status in words."""
    parts = []
    for mode, count in Counter(modes.values()).most_common():
        keys = [key for key, own in modes.items() if own == mode]
        rest = f" and {count - _SHOWN_KEYS} more" if count > _SHOWN_KEYS else ""
        parts.append(f"{count} instrument{'s' if count > 1 else ''} in mode {mode} ({', '.join(keys[:_SHOWN_KEYS])}{rest})")
    subscribed = "; ".join(parts) or "nothing"
    token_text = "there is no access token" if token is None else f"the access token lasts until {token.end()}"
    market_text = ", ".join(f"{exchange} {status}" for exchange, status in statuses.items()) or "not asked for"
    return f"subscribing to {subscribed}; {token_text}; market status by REST: {market_text}"


def exchange_of(instrument_key: str) -> str:
    """Return the exchange name under which Upstox reports the market's status, for example NFO for an option on NSE."""
    segment = instrument_key.partition("|")[0]
    return _EXCHANGES.get(segment, segment.partition("_")[0])


def market_statuses(modes: Mapping[str, str], token: Token | None, rest_url: str, ca_file: Path | None) -> dict[str, str]:
    """Return the status of each exchange of the keys, for example NORMAL_OPEN, or `unknown (cause)`; without a token, none."""
    if token is None:
        return {}
    exchanges = sorted(set(map(exchange_of, modes)))
    try:
        with rest_client(rest_url, ca_file, token.value) as client:
            api = upstox_client.MarketHolidaysAndTimingsApi(client)
            return {exchange: _status(api, exchange) for exchange in exchanges}
    except SettingsError as error:
        return dict.fromkeys(exchanges, f"unknown ({error})")


def _status(api: upstox_client.MarketHolidaysAndTimingsApi, exchange: str) -> str:
    try:
        return str(api.get_market_status(exchange, _request_timeout=_TIMEOUT_SECONDS).data.status)
    except ApiException as error:
        return f"unknown (HTTP {error.status})"
    except (urllib3.exceptions.HTTPError, OSError, AttributeError) as error:
        return f"unknown ({type(error).__name__})"
