"""Why a connection ended, and when to try again: exponential back-off with jitter and a cap, or as the server asks."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import websocket

from orderflow.upstox.client import InsecureRedirectError

CAP_SECONDS: Final = 30.0
STEADY_SECONDS: Final = 30.0
"""After a connection has delivered messages for this long, the delays start over; a shorter one does not reset them."""

_LIMITS: Final = (
    "too many connections or keys for the account, which may have 2 connections, 5 with Plus: check UPSTOX_CONNECTIONS, and "
    "which other programs use the account"
)


@dataclass(slots=True)
class Backoff:
    """Delays 0.5, 1, 2 … 30 seconds, each cut by up to half at random; `random` returns a number in [0, 1)."""

    random: Callable[[], float]
    base_seconds: float = 0.5
    cap_seconds: float = CAP_SECONDS
    failures: int = 0

    def next_delay(self, least_seconds: float = 0.0) -> float:
        """Return the seconds to wait after one more failure, never less than `least_seconds`."""
        whole = min(self.cap_seconds, self.base_seconds * 2.0 ** min(self.failures, 20))
        self.failures += 1
        return max(least_seconds, whole * (1.0 - 0.5 * self.random()))

    def steady(self) -> None:
        """Reset the delays after a stable connection: the next failure starts from the shortest one."""
        self.failures = 0


class Verdict(NamedTuple):
    """Why a connection ended, in words, and how the next attempt is to be made."""

    cause: str
    cure: str = ""
    least_seconds: float = 0.0
    token_refused: bool = False
    limited: bool = False


def judged(code: int | None, reason: str | None, error: BaseException | None) -> Verdict:
    """Explain the end of a connection: close codes, HTTP refusals, redirects, TLS, DNS, resets and time-outs."""
    if isinstance(error, websocket.WebSocketBadStatusException):
        return _refusal(error)
    if code is not None:
        detail = f" ({reason})" if reason else ""
        if code == 1008:
            return Verdict(f"closed by policy, code 1008{detail}", _LIMITS, 10.0, limited=True)
        return Verdict(f"closed by the server, code {code}{detail}")
    if isinstance(error, ssl.SSLCertVerificationError):
        return Verdict(
            f"the server's certificate is not trusted ({error.verify_message})",
            "nothing was sent; set UPSTOX_CA_FILE to the authority's bundle if this server is yours",
            10.0,
        )
    if isinstance(error, (socket.gaierror, websocket.WebSocketAddressException)):
        return Verdict("the server's name cannot be resolved", "check UPSTOX_FEED_URL and the network")
    if isinstance(error, ConnectionRefusedError):
        return Verdict("connection refused", "nothing listens at UPSTOX_FEED_URL")
    if isinstance(error, websocket.WebSocketTimeoutException | TimeoutError):
        return Verdict(f"timed out ({error})" if str(error) else "timed out")
    if isinstance(error, InsecureRedirectError):
        return Verdict(str(error), "the token was not sent; check UPSTOX_FEED_URL", 10.0)
    if error is not None and "Redirect limit" in str(error):
        return Verdict("redirected in a circle", "check UPSTOX_FEED_URL", 10.0)
    if error is not None:
        return Verdict(f"connection lost ({type(error).__name__})")
    return Verdict("connection lost")


def _refusal(error: Any) -> Verdict:
    status = error.status_code
    if status == 401:
        return Verdict("Upstox refused the access token (401)", token_refused=True)
    if status == 403:
        return Verdict("refused (403)", f"no right to this feed, or {_LIMITS}", 10.0, limited=True)
    if status == 429:
        asked = str((error.resp_headers or {}).get("retry-after", ""))
        return Verdict("too many requests (429)", least_seconds=min(600.0, max(15.0, float(asked) if asked.isdigit() else 0.0)))
    return Verdict(f"refused (HTTP {status})", least_seconds=2.0)
