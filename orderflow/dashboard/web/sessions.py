"""Identifies visitors: sessions in signed cookies, HTTP Basic for scripts, and names sent by a trusted proxy.

A cookie holds the user's name, the stamp of its password and the end of the session. So a session ends when the user is removed
or its password changes, when somebody logs out, when the key is renewed, and after its time; an open socket ends with it.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from itsdangerous import BadSignature, URLSafeSerializer

from orderflow.dashboard.web.accounts import LONGEST_NAME, Accounts, PrivateFile, Role, ensure_key, is_password, key_file
from orderflow.dashboard.web.window import Window
from orderflow.market.errors import OrderflowError

FAILURES_OF_ADDRESS: Final = 10
FAILURES_OF_USER: Final = 20
FAILURES_SECONDS: Final = 300.0
SESSION_ID_BYTES: Final = 12
TOKEN_LEAST: Final = 16
TOKEN_MOST: Final = 64
_USER: Final = "user:"


class TooManyFailuresError(OrderflowError):
    """Passwords were wrong too often; `seconds` is the time until the next attempt."""

    def __init__(self, seconds: int) -> None:
        super().__init__(f"too many failed logins; try again in {seconds} s")
        self.seconds = seconds


@dataclass(frozen=True, slots=True)
class Visitor:
    """An authenticated user; `stamp` is that of the password at that time. `cookie` is empty without a session."""

    name: str
    accounts: Accounts
    stamp: str
    cookie: str = ""

    @property
    def role(self) -> Role | None:
        """Return the role that the user has now; None once it is removed."""
        user = self.accounts.find(self.name)
        return user.role if user is not None else None


def user_of(visitor: Visitor | None) -> dict[str, Any] | None:
    """Return what a page is told of who has logged in; None without."""
    return None if visitor is None else {"name": visitor.name, "role": visitor.role, "session": bool(visitor.cookie)}


def may_operate(visitor: Visitor | None) -> bool:
    """Return whether a user may do what affects others; None stands for a dashboard without logins, where everybody may."""
    return visitor is None or visitor.role == "operator"


def owner(name: str) -> str:
    """Return the name under which a user's alerts are kept; other names are tokens of browsers, used without logins."""
    return f"{_USER}{name}"


def owned_by(viewer: str) -> str:
    """Return the user whose alerts are kept by this name; empty for a browser's."""
    return viewer.removeprefix(_USER) if viewer.startswith(_USER) else ""


def browser_token(given: Any) -> str | None:
    """Return a browser's token, or None if it is invalid, such as one in the form of a user's name."""
    valid = isinstance(given, str) and TOKEN_LEAST <= len(given) <= TOKEN_MOST and not given.startswith(_USER)
    return given if valid else None


def may_post(accounts: Accounts, viewer: str) -> bool:
    """Return whether the alerts kept by a name are posted to the webhook: only those of users who are operators now."""
    user = accounts.find(owned_by(viewer))
    return user is not None and user.role == "operator"


class Sessions:
    """Opens, recognises and ends sessions; lives on the event loop."""

    def __init__(self, users: Path, lifetime_seconds: float, clock: Callable[[], float] = time.time) -> None:
        """Raises OrderflowError when the files of users and key are invalid or not private; a missing key is created."""
        self.accounts = Accounts(users)
        self.accounts.load()
        ensure_key(key_file(users))
        self._key = PrivateFile(key_file(users), "start the dashboard again, which creates it")
        self._key.read()
        self.lifetime_seconds = lifetime_seconds
        self._clock = clock
        self._ended: dict[str, float] = {}
        self._failures_of_address = Window(FAILURES_OF_ADDRESS, FAILURES_SECONDS, clock)
        self._failures_of_user = Window(FAILURES_OF_USER, FAILURES_SECONDS, clock)
        # A hash takes 64 MiB and 0.1 s of a core, so only one is computed at a time.
        self._hashing = asyncio.Lock()
        self._proved: dict[str, tuple[bytes, str]] = {}
        self._process_key = secrets.token_bytes(32)

    def open(self, visitor: Visitor) -> str:
        """Return the cookie of a new session."""
        return str(
            self._serializer().dumps(
                {
                    "user": visitor.name,
                    "stamp": visitor.stamp,
                    "id": secrets.token_urlsafe(SESSION_ID_BYTES),
                    "until": int(self._clock() + self.lifetime_seconds),
                }
            )
        )

    def of_cookie(self, cookie: str) -> Visitor | None:
        """Return the user of a session, or None if it is invalid or has ended."""
        held = self._read(cookie)
        if held is None or held["until"] <= self._clock() or held["id"] in self._ended:
            return None
        visitor = Visitor(held["user"], self.accounts, held["stamp"], cookie)
        return visitor if self._has_password(visitor) else None

    def of_proxy(self, name: str) -> Visitor | None:
        """Return the user whom a trusted proxy names, or None when it is not listed."""
        user = self.accounts.find(name)
        return Visitor(name, self.accounts, user.stamp) if user is not None else None

    def holds(self, visitor: Visitor) -> bool:
        """Return whether the visitor's login is still valid."""
        return self.of_cookie(visitor.cookie) is not None if visitor.cookie else self._has_password(visitor)

    def end(self, visitor: Visitor) -> None:
        """End a session: its cookie, and every copy of it, becomes invalid."""
        held, now = self._read(visitor.cookie), self._clock()
        self._ended = {session: until for session, until in self._ended.items() if until > now}
        if held is not None:
            self._ended[held["id"]] = held["until"]

    async def log_in(self, name: str, password: str, address: str) -> Visitor | None:
        """Return the user of this name and password, or None. Raises TooManyFailuresError."""
        name = name[:LONGEST_NAME]
        async with self._hashing:
            if wait := max(self._failures_of_address.wait_seconds(address), self._failures_of_user.wait_seconds(name)):
                raise TooManyFailuresError(wait)
            user = self.accounts.find(name)
            if not await asyncio.to_thread(is_password, user, password):
                self._failures_of_address.hit(address)
                self._failures_of_user.hit(name)
                return None
        assert user is not None
        return Visitor(name, self.accounts, user.stamp)

    async def of_basic(self, name: str, password: str, address: str) -> Visitor | None:
        """Return the user for a request's name and password, or None; a verified password is not hashed again.

        Raises TooManyFailuresError.
        """
        digest = hmac.digest(self._process_key, f"{name}\0{password}".encode(), hashlib.sha256)
        user = self.accounts.find(name)
        proved, stamp = self._proved.get(name, (b"", ""))
        if user is not None and hmac.compare_digest(proved, digest) and stamp == user.stamp:
            return Visitor(name, self.accounts, user.stamp)
        visitor = await self.log_in(name, password, address)
        if visitor is not None:
            self._proved[name] = (digest, visitor.stamp)
        return visitor

    def _has_password(self, visitor: Visitor) -> bool:
        user = self.accounts.find(visitor.name)
        return user is not None and user.stamp == visitor.stamp

    def _read(self, cookie: str) -> dict[str, Any] | None:
        try:
            return dict(self._serializer().loads(cookie))
        except (BadSignature, OrderflowError):
            return None

    def _serializer(self) -> URLSafeSerializer:
        return URLSafeSerializer(
            self._key.read(), salt="orderflow.session", signer_kwargs={"digest_method": hashlib.sha256, "key_derivation": "hmac"}
        )
