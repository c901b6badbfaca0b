"""The dashboard's users: a file with their roles and the hashes of their passwords, and the key that signs sessions.

    {"asha": {"role": "operator", "password": "$argon2id$v=19$m=65536,t=3,p=4$…"}, "ravi@example.com": {"role": "viewer"}}

A user without a password logs in through a proxy. Both files must be readable by their owner only (0600), and a running
dashboard reads them again when they change.
"""

from __future__ import annotations

import functools
import hashlib
import logging
import re
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Literal

import msgspec
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from orderflow.certificates import write_private
from orderflow.market.errors import OrderflowError

Role = Literal["viewer", "operator"]
LONGEST_NAME: Final = 64
SHORTEST_PASSWORD: Final = 12
LONGEST_PASSWORD: Final = 1024
"""A longer password is refused without hashing it, because hashing takes time in proportion to its length."""

_NAME: Final = re.compile(rf"[A-Za-z0-9_.@+-]{{1,{LONGEST_NAME}}}")
_KEY_BYTES: Final = 32
_HASHER: Final = PasswordHasher()

log = logging.getLogger(__name__)


class User(msgspec.Struct, frozen=True, omit_defaults=True):
    """A user as the file has it; without a `password` (its Argon2id hash) it logs in through a proxy."""

    role: Role
    password: str | None = None

    @property
    def stamp(self) -> str:
        """Return a stamp that changes with the password, also when the same password is set again."""
        return hashlib.sha256((self.password or "").encode()).hexdigest()[:24]


class PrivateFile:
    """A file that only its owner may read; read again when it has changed."""

    def __init__(self, path: Path, remedy: str) -> None:
        self.path = path
        self._remedy = remedy
        self._seen: tuple[int, int, int] | None = None
        self._content = b""

    def read(self) -> bytes:
        """Return the content. Raises OrderflowError when it cannot be read, or others may."""
        try:
            state = self.path.stat()
            if state.st_mode & 0o077:
                raise OrderflowError(f"{self.path} can be read by others: chmod 600 {self.path}")
            seen = (state.st_mtime_ns, state.st_ino, state.st_size)
            if seen != self._seen:
                self._content, self._seen = self.path.read_bytes(), seen
        except OSError as error:
            raise OrderflowError(f"{self.path} cannot be read ({error.strerror}); {self._remedy}") from error
        return self._content


class Accounts:
    """The users in a file, as they are now."""

    def __init__(self, path: Path) -> None:
        self._file = PrivateFile(path, "create it with: python -m orderflow users add NAME --role operator")
        self._decoded: tuple[bytes, Mapping[str, User]] = (b"", {})
        self._complaint = ""

    @property
    def path(self) -> Path:
        """Return where the users are kept."""
        return self._file.path

    def load(self) -> Mapping[str, User]:
        """Return all users by name. Raises OrderflowError when the file is absent, invalid, or not private."""
        content = self._file.read()
        if content != self._decoded[0]:
            try:
                self._decoded = (content, msgspec.json.decode(content, type=dict[str, User]))
            except msgspec.MsgspecError as error:
                raise OrderflowError(f"{self.path} is not a valid users' file ({error}); see docs/SECURITY.md") from error
        return self._decoded[1]

    def find(self, name: str) -> User | None:
        """Return a user, or None. Without a valid file there are no users; the reason is logged once."""
        try:
            users = self.load()
        except OrderflowError as error:
            if str(error) != self._complaint:
                log.error("nobody can log in: %s", error)
            self._complaint = str(error)
            return None
        self._complaint = ""
        return users.get(name)

    def put(self, name: str, user: User) -> None:
        """Add a user, or replace one. Raises OrderflowError for a name that is none, or an invalid file."""
        if not _NAME.fullmatch(name):
            raise OrderflowError(f"{name!r} is not a valid user name: letters, digits and _.@+- only, at most {LONGEST_NAME}")
        self._write({**(self.load() if self.path.exists() else {}), name: user})

    def remove(self, name: str) -> None:
        """Remove a user. Raises OrderflowError when there is none of that name, or the file is invalid."""
        users = dict(self.load())
        if users.pop(name, None) is None:
            raise OrderflowError(f"{self.path} has no user {name!r}; it has {', '.join(sorted(users)) or 'none'}")
        self._write(users)

    def _write(self, users: Mapping[str, User]) -> None:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            write_private(self.path, msgspec.json.format(msgspec.json.encode(users)) + b"\n")
        except OSError as error:
            raise OrderflowError(f"{self.path} cannot be written ({error.strerror}); set DASHBOARD_USERS_FILE") from error


def hash_password(password: str) -> str:
    """Return the Argon2id hash of a password. Raises OrderflowError when it is too short or too long."""
    if not SHORTEST_PASSWORD <= len(password) <= LONGEST_PASSWORD:
        raise OrderflowError(f"a password has {SHORTEST_PASSWORD} to {LONGEST_PASSWORD} characters; this one has {len(password)}")
    return _HASHER.hash(password)


def is_password(user: User | None, password: str) -> bool:
    """Return whether this is the user's password. It takes as long for a user that does not exist; blocks for some 0.1 s."""
    known = user.password if user is not None else None
    if len(password) > LONGEST_PASSWORD:
        return False
    try:
        return _HASHER.verify(known or _nobodys_hash(), password) and known is not None
    except (VerificationError, InvalidHashError):
        return False


@functools.cache
def _nobodys_hash() -> str:
    return _HASHER.hash(secrets.token_urlsafe())


def key_file(users: Path) -> Path:
    """Return the file of the key that signs sessions, beside that of the users."""
    return users.with_name("session.key")


def ensure_key(path: Path) -> None:
    """Create the key of sessions unless there is one. Raises OrderflowError."""
    if not path.exists():
        renew_key(path)


def renew_key(path: Path) -> None:
    """Write another key, which ends every session. Raises OrderflowError."""
    try:
        write_private(path, secrets.token_hex(_KEY_BYTES).encode())
    except OSError as error:
        raise OrderflowError(f"{path} cannot be written ({error.strerror}); set DASHBOARD_USERS_FILE") from error
