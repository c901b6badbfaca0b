"""`python -m orderflow login`: Upstox's OAuth flow, from the address to open to the token file that the streamer reads.

    browser            Upstox                    this process                     streamer
       │ ◀── address with a random state ───────── prints and opens it
       │ ── logs in ───▶ │
       │ ◀─ redirect ─── │
       │ ── code and state ─────────────────────▶ local port (or pasted)
                         │ ◀── code, secret ────── SDK's LoginApi
                         │ ─── access token ─────▶ token file, mode 0600 ────────▶ reads it at its next attempt

Source: Upstox's developer documentation, Authorize and Get Token. A code is good for one exchange.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import tempfile
import time
import webbrowser
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs, urlencode, urlsplit

import upstox_client
import urllib3.exceptions
from upstox_client.rest import ApiException

from orderflow.logs import hide
from orderflow.market.errors import SettingsError
from orderflow.settings import Settings
from orderflow.upstox.redirect import ForeignAnswerError, LoginError, RedirectListener
from orderflow.upstox.rest import checked_rest_url, rest_client
from orderflow.upstox.token import Token, expiry_ms

WAIT_SECONDS: Final = 300.0
_TIMEOUT_SECONDS: Final = (5.0, 30.0)
_API_VERSION: Final = "2.0"
_CURES: Final = {
    "UDAPI100057": "it is wrong, used or too old; run the command again and log in again",
    "UDAPI100016": "check UPSTOX_CLIENT_ID and UPSTOX_CLIENT_SECRET",
    "UDAPI100068": "UPSTOX_CLIENT_ID and UPSTOX_REDIRECT_URI must be the app's own, letter by letter",
    "UDAPI100069": "check UPSTOX_CLIENT_ID and UPSTOX_CLIENT_SECRET",
    "UDAPI100073": "the app is not active: look at it on Upstox's developer page",
}


@dataclass(frozen=True, slots=True)
class UpstoxApp:
    """An app of Upstox's developer page: its key, its secret, and where it sends the browser after a login."""

    client_id: str
    client_secret: str = field(repr=False)
    redirect_uri: str


def login(
    settings: Settings,
    *,
    paste: Callable[[], str] | None = None,
    open_browser: Callable[[str], object] = webbrowser.open,
    say: Callable[[str], None] = print,
    wait_seconds: float = WAIT_SECONDS,
    now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
) -> int:
    """Log in and write the token file; return 0.

    `paste` replaces the local port and the browser: it returns the address to which Upstox sent a browser elsewhere. Raises
    SettingsError for a setting that is missing, LoginError when no token was given.
    """
    app, file = app_of(settings), token_file_of(settings)
    state = secrets.token_urlsafe(24)
    address = authorization_url(settings.rest_url, app, state)
    try:
        if paste is not None:
            say(f"Open this address in any browser and log in:\n\n  {address}\n")
            say(f"Then paste the address to which it sends you, {app.redirect_uri}…, and press Enter. The page need not load.")
            code = code_in(paste(), app.redirect_uri, state)
        else:
            with RedirectListener(app.redirect_uri) as listener:
                say(f"Opening this address; if no browser opens, open it yourself on this machine:\n\n  {address}\n")
                open_browser(address)
                say(f"Waiting for Upstox at {app.redirect_uri} for {wait_seconds / 60:.0f} minutes (Ctrl+C cancels).")
                code = listener.received(lambda target: code_in(target, app.redirect_uri, state), wait_seconds)
    except (KeyboardInterrupt, EOFError):
        raise LoginError("the login was cancelled; nothing has changed") from None
    token = exchanged(settings.rest_url, settings.ca_file, app, code)
    if token.is_expired(now_ms()):
        raise LoginError(
            f"Upstox returned a token that has already expired, {token.end()}: set this machine's clock and try again"
        )
    write_token(file, token)
    say(f"The token is in {file}, and valid until {token.end()}. A running streamer picks it up.")
    return 0


def app_of(settings: Settings) -> UpstoxApp:
    """Return the settings' app. Raises SettingsError naming what is missing; the secret's file comes before the setting."""
    secret = settings.client_secret
    if settings.client_secret_file is not None:
        try:
            secret = settings.client_secret_file.read_text(encoding="utf-8").strip() or None
        except (OSError, UnicodeDecodeError) as error:
            raise SettingsError(f"UPSTOX_CLIENT_SECRET_FILE={settings.client_secret_file} cannot be read: {error}") from error
    missing = [
        name for name, value in (("UPSTOX_CLIENT_ID", settings.client_id), ("UPSTOX_CLIENT_SECRET", secret)) if value is None
    ]
    if settings.client_id is None or secret is None:
        raise SettingsError(
            f"{' and '.join(missing)} must be set for a login: the API key and secret of an app on Upstox's developer page. "
            "An Analytics Token, also made there, needs no login and lasts a year"
        )
    hide(secret)
    return UpstoxApp(settings.client_id, secret, settings.redirect_uri)


def token_file_of(settings: Settings) -> Path:
    """Return where the token goes. Raises SettingsError when that is not set or cannot be written, before anybody logs in."""
    path = settings.access_token_file
    if path is None:
        raise SettingsError(
            "UPSTOX_ACCESS_TOKEN_FILE is not set, so the streamer would not find the token; "
            "for example UPSTOX_ACCESS_TOKEN_FILE=secrets/upstox_access_token in .env, then restart the streamer once"
        )
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent):
            pass
    except OSError as error:
        raise SettingsError(f"UPSTOX_ACCESS_TOKEN_FILE={path} cannot be written: {error.strerror or error}") from error
    return path


def authorization_url(rest_url: str, app: UpstoxApp, state: str) -> str:
    """Return the address of Upstox's authorization dialog. Raises SettingsError for one without TLS that is not loopback."""
    query = {"response_type": "code", "client_id": app.client_id, "redirect_uri": app.redirect_uri, "state": state}
    return f"{checked_rest_url(rest_url)}/v2/login/authorization/dialog?{urlencode(query)}"


def code_in(address: str, redirect_uri: str, state: str) -> str:
    """Return the code that Upstox put into the redirect address (or its path and query).

    Raises ForeignAnswerError when it is another address or belongs to another login (so that nobody can slip in a code of their
    own account), LoginError when it says that the login was refused or carries no code.
    """
    got = urlsplit(address.strip())
    if (got.path or "/") != (urlsplit(redirect_uri).path or "/"):
        raise ForeignAnswerError(f"that is not an address under {redirect_uri}: copy the whole line of the browser's address bar")
    answer = {name: values[-1] for name, values in parse_qs(got.query).items()}
    if not secrets.compare_digest(answer.get("state", "").encode(), state.encode()):
        raise ForeignAnswerError(
            "the answer belongs to another login (its state is not the one sent): use the address that this command printed last"
        )
    if "error" in answer:
        detail = answer.get("error_description", answer["error"])
        raise LoginError(f"the login was cancelled or refused ({detail}); nothing has changed. Run the command again to retry")
    if not answer.get("code"):
        raise LoginError("Upstox's answer carries no code; run the command again and log in again")
    hide(answer["code"])
    return answer["code"]


def exchanged(rest_url: str, ca_file: Path | None, app: UpstoxApp, code: str) -> Token:
    """Return the token for a code, by the SDK. Raises LoginError with Upstox's own words and a cure."""
    try:
        with rest_client(rest_url, ca_file) as client:
            answer = upstox_client.LoginApi(client).token(
                _API_VERSION,
                code=code,
                client_id=app.client_id,
                client_secret=app.client_secret,
                redirect_uri=app.redirect_uri,
                grant_type="authorization_code",
                _request_timeout=_TIMEOUT_SECONDS,
            )
    except ApiException as error:
        raise LoginError(_refusal(error)) from error
    except (urllib3.exceptions.HTTPError, OSError) as error:
        raise LoginError(
            f"Upstox does not answer at {rest_url} ({type(error).__name__}); try again, or check the network"
        ) from error
    if not answer.access_token:
        raise LoginError("Upstox's answer carries no access token; run the command again and log in again")
    hide(answer.access_token)
    return Token(answer.access_token, expiry_ms(answer.access_token))


def write_token(path: Path, token: Token) -> None:
    """Put the token into its file at once and whole, readable by its owner only. Raises LoginError when it cannot be written."""
    try:
        descriptor, name = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(f"{token.value}\n")
                file.flush()
                os.fsync(file.fileno())
            Path(name).replace(path)
        except OSError:
            with contextlib.suppress(OSError):
                Path(name).unlink()
            raise
    except OSError as error:
        raise LoginError(f"the token cannot be written to {path}: {error.strerror or error}") from error


def _refusal(error: Any) -> str:
    try:
        first = json.loads(error.body)["errors"][0]
        code, message = str(first.get("errorCode") or first.get("error_code")), str(first["message"])
    except (ValueError, KeyError, IndexError, TypeError, AttributeError):
        return f"Upstox refused the code (HTTP {error.status} {error.reason}); run the command again"
    return f"Upstox refused the code ({code} {message.rstrip('.')}): {_CURES.get(code, 'run the command again')}"
