"""The other side of `python -m orderflow login`: Upstox's authorization dialog, its one-time codes and its tokens."""

from __future__ import annotations

import base64
import datetime as dt
import html
import json
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final
from urllib.parse import parse_qs, urlencode, urlsplit

from orderflow.market.times import IST
from orderflow.simulator.rest import Answer, failure

DIALOG_PATH: Final = "/v2/login/authorization/dialog"
TOKEN_PATH: Final = "/v2/login/authorization/token"
CLIENT_ID: Final = "simulator"
CLIENT_SECRET: Final = "simulator-secret"
WRONG_APPLICATION: Final = ("UDAPI100068", "Check your 'client_id' and 'redirect_uri'; one or both are incorrect.")
WRONG_SECRET: Final = ("UDAPI100069", "Check your 'client_id' and 'client_secret'; one or both are incorrect.")
_CODE_LIFE_MS: Final = 600_000
_TOKENS_END: Final = dt.time(3, 30)


@dataclass(frozen=True, slots=True)
class _Grant:
    """What a code was given out for."""

    redirect_uri: str
    until_ms: int


class LoginDesk:
    """Shows the dialog, gives out codes and exchanges them. A code is good for one exchange, successful or not, as Upstox's are.

    `expiry_ms` tells when a token given out at a time ends: at the next 03:30 IST unless replaced.
    """

    def __init__(
        self,
        wall_ms: Callable[[], int],
        *,
        client_id: str = CLIENT_ID,
        client_secret: str = CLIENT_SECRET,
        expiry_ms: Callable[[int], int] | None = None,
    ) -> None:
        self._wall_ms = wall_ms
        self._client_id, self._client_secret = client_id, client_secret
        self._expiry_ms = expiry_ms or next_half_past_three_ms
        self._grants: dict[str, _Grant] = {}
        self._tokens: dict[str, int] = {}

    def dialog(self, query: str) -> str | None:
        """Return the dialog's page, whose two links answer at the redirect address; None when Upstox would refuse to show it."""
        asked = _fields(query)
        redirect_uri = asked.get("redirect_uri", "")
        if asked.get("response_type") != "code" or asked.get("client_id") != self._client_id or not urlsplit(redirect_uri).scheme:
            return None
        code = secrets.token_urlsafe(8)
        self._grants[code] = _Grant(redirect_uri, self._wall_ms() + _CODE_LIFE_MS)
        state = {"state": asked["state"]} if "state" in asked else {}
        allow, cancel = {"code": code, **state}, {"error": "access_denied", **state}
        return (
            "<!doctype html><title>Simulated Upstox</title><h1>Simulated Upstox</h1><p>An application asks to read market data."
            f'<p><a id="allow" href="{_address(redirect_uri, allow)}">Allow</a> '
            f'<a id="cancel" href="{_address(redirect_uri, cancel)}">Cancel</a>'
        )

    def exchange(self, form: str) -> Answer:
        """Return a token for a code, in Upstox's shape."""
        asked = _fields(form)
        grant = self._grants.pop(asked.get("code", ""), None)
        if asked.get("client_id") != self._client_id or asked.get("redirect_uri", "") == "":
            return failure(HTTPStatus.BAD_REQUEST, *WRONG_APPLICATION)
        if not secrets.compare_digest(asked.get("client_secret", "").encode(), self._client_secret.encode()):
            return failure(HTTPStatus.UNAUTHORIZED, *WRONG_SECRET)
        if grant is None or grant.until_ms < self._wall_ms() or asked.get("grant_type") != "authorization_code":
            return failure(HTTPStatus.UNAUTHORIZED, "UDAPI100057", "Invalid Auth code")
        if grant.redirect_uri != asked["redirect_uri"]:
            return failure(HTTPStatus.BAD_REQUEST, *WRONG_APPLICATION)
        now_ms = self._wall_ms()
        token = _jwt({"sub": "SIM001", "iat": now_ms // 1000, "exp": self._expiry_ms(now_ms) // 1000})
        self._tokens[token] = self._expiry_ms(now_ms)
        return HTTPStatus.OK, {
            "access_token": token,
            "user_id": "SIM001",
            "user_name": "Simulated User",
            "user_type": "individual",
            "broker": "UPSTOX",
            "exchanges": ["NSE", "BSE"],
            "is_active": True,
        }

    def accepts(self, token: str) -> bool:
        """Return whether a token was issued here and has not expired."""
        return self._tokens.get(token, 0) > self._wall_ms()


def next_half_past_three_ms(at_ms: int) -> int:
    """Return the first 03:30 IST after a time, when Upstox's access tokens end."""
    at = dt.datetime.fromtimestamp(at_ms / 1000, IST)
    end = dt.datetime.combine(at.date(), _TOKENS_END, IST)
    return int((end if end > at else end + dt.timedelta(days=1)).timestamp() * 1000)


def _fields(query: str) -> Mapping[str, str]:
    return {name: values[-1] for name, values in parse_qs(query).items()}


def _address(redirect_uri: str, answer: Mapping[str, str]) -> str:
    return html.escape(f"{redirect_uri}{'&' if urlsplit(redirect_uri).query else '?'}{urlencode(answer)}")


def _jwt(claims: Mapping[str, object]) -> str:
    parts = ({"typ": "JWT", "alg": "HS256"}, claims)
    encoded = [base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts]
    return ".".join((*encoded, secrets.token_urlsafe(32)))
