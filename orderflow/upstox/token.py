"""Access tokens: where they come from, when they end, and never in `repr`, a log line or an error."""

from __future__ import annotations

import base64
import binascii
import codecs
import json
import logging
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Final

from orderflow.logs import hide
from orderflow.market.errors import SettingsError
from orderflow.market.times import IST

log = logging.getLogger(__name__)

DOCKER_SECRET: Final = Path("/run/secrets/upstox_access_token")


@dataclass(frozen=True, slots=True)
class Token:
    """An access token; `expires_ms` is None if unknown (the token is not a JWT)."""

    value: str = field(repr=False)
    expires_ms: int | None = None

    def is_expired(self, at_ms: int) -> bool:
        """Return whether the token has expired by its own expiry time."""
        return self.expires_ms is not None and at_ms >= self.expires_ms

    def end(self) -> str:
        """Return in words when it expires."""
        if self.expires_ms is None:
            return "an unknown time (daily tokens end at 03:30 IST)"
        return f"{datetime.fromtimestamp(self.expires_ms / 1000, IST):%d %B %Y, %H:%M} IST"


def cleaned(text: str) -> str:
    """Return the token in pasted text, without quotes, byte-order mark, white space or the word `Bearer`.

    Raises SettingsError, without the text, for what cannot be a token.
    """
    token = text.strip().strip("\ufeff\u200b").strip().strip("\"'").strip()
    while token[:7].casefold() == "bearer ":
        token = token[7:].strip().strip("\"'")
    if any(character.isspace() or not 32 < ord(character) < 127 for character in token):
        raise SettingsError("the access token has characters that no token has (spaces or letters outside ASCII); copy it again")
    return token


class TokenSource:
    """The token file when it is set and has a token (re-read whenever it changes), else a Docker secret, else the setting."""

    def __init__(self, configured: str | None, file: Path | None, secret: Path = DOCKER_SECRET) -> None:
        self._configured = cleaned(configured) if configured else None
        self._files = tuple(path for path in (file, secret) if path is not None)
        self._seen: dict[Path, tuple[tuple[int, int, int], str]] = {}
        self._current: Token | None = None

    def current(self) -> Token | None:
        """Return the token to use now, or None when there is none."""
        value = next((token for path in self._files if (token := self._read(path))), None) or self._configured or None
        if value is None:
            self._current = None
        elif self._current is None or self._current.value != value:
            hide(value)
            self._current = Token(value, expiry_ms(value))
        return self._current

    def where(self) -> str:
        """Return where to put a new token, as text for messages."""
        places = [str(path) for path in self._files if path != DOCKER_SECRET]
        return f"put one into {places[0]}" if places else "set UPSTOX_ACCESS_TOKEN and restart, or use UPSTOX_ACCESS_TOKEN_FILE"

    def _read(self, path: Path) -> str | None:
        try:
            stat = path.stat()
            mark = (stat.st_mtime_ns, stat.st_size, stat.st_ino)
            if path not in self._seen or self._seen[path][0] != mark:
                self._seen[path] = (mark, self._token_in(path))
        except OSError:
            self._seen.pop(path, None)
            return None
        return self._seen[path][1] or None

    @staticmethod
    def _token_in(path: Path) -> str:
        """Return the file's token, "" when it holds none; content that is not a token is reported once."""
        content = path.read_bytes()
        encoding = "utf-16" if content[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE) else "utf-8-sig"
        try:
            return cleaned(content.decode(encoding))
        except UnicodeDecodeError:
            log.error("%s is not text: it holds no token; save it as UTF-8", path)
        except SettingsError as error:
            log.error("%s: %s", path, error)
        return ""


def expiry_ms(token: str) -> int | None:
    """Return the expiry time in a JWT, in epoch milliseconds; None for anything else. The signature is not checked."""
    parts = token.split(".")
    if len(parts) != 3:
        return None
    try:
        claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
        return int(claims["exp"]) * 1000
    except (binascii.Error, ValueError, KeyError, TypeError):
        return None
