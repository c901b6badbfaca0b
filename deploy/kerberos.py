"""The realm of the secure profile's HDFS: its users, and a keytab for each service that uses HDFS.

All files are below the directory of deploy/credentials.py, and only their owner can read them (0600):

    kdc/          kdc.conf principal* stash         the KDC's users and their keys
    SERVICE/      keytab                            the service's own keys

Existing files are kept. The KDC need not run: its database is changed in place, and a running KDC sees the change at
once.
"""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from orderflow.certificates import write_private

REALM: Final = "ORDERFLOW"
_HTTP_HOSTS: Final = ("localhost", "127.0.0.1")

USERS: Final = ("kdc", "setup-hdfs", "processor", "tick-storage", "candle-storage", "plotter", "admin")
"""Services that are users of the same name; `kdc` only checks its own health and may do nothing in HDFS."""

SERVERS: Final = {"namenode": "namenode/hdfs", "datanode1": "datanode/hdfs", "datanode2": "datanode/hdfs"}
"""HDFS's own servers; both DataNodes are one principal, because the NameNode knows one."""

SERVICES: Final = (*SERVERS, *USERS)


class KerberosError(Exception):
    """The realm cannot be made or changed; the text says why."""


def principals(service: str) -> tuple[str, ...]:
    """Return the principals in a service's keytab, without the realm: the first is its own, the others those of its pages."""
    if service in USERS:
        return (service,)
    return (SERVERS[service], *(f"HTTP/{host}" for host in (service, f"{service}.localhost", *_HTTP_HOSTS)))


def ensure(directory: Path) -> None:
    """Make the realm and the keytabs that are missing below `directory`. Raises KerberosError or OSError."""
    kdc = directory / "kdc"
    kdc.mkdir(parents=True, exist_ok=True, mode=0o700)
    settings = f"""[realms]
  {REALM} = {{
    database_name = {kdc}/principal
    key_stash_file = {kdc}/stash
    supported_enctypes = aes256-cts-hmac-sha384-192:normal
    max_life = 24h
  }}
[logging]
  kdc = STDERR
"""
    write_private(kdc / "kdc.conf", settings.encode())
    if not (kdc / "stash").is_file():
        for half_made in kdc.glob("principal*"):
            half_made.unlink()
        _run(kdc, ["kdb5_util", "-r", REALM, "create", "-s", "-W"], f"{(password := secrets.token_urlsafe(32))}\n{password}\n")
    missing = [service for service in SERVICES if not (directory / service / "keytab").is_file()]
    if missing:
        known = set(_admin(kdc, "list_principals").split())
        wanted = dict.fromkeys(name for service in SERVICES for name in principals(service))
        _admin(kdc, *(f"add_principal -randkey {name}" for name in wanted if f"{name}@{REALM}" not in known))
    for service in missing:
        _write_keytab(kdc, directory / service, principals(service))


def renew(directory: Path, service: str) -> tuple[str, ...]:
    """Give a service's own principal a new key, in its keytab and that of each service which shares it; return their names.

    A server's previous key stays beside it, so that tickets for it remain valid; one more renewal removes that. Keys of pages
    stay, because services share them.
    """
    kdc, own = directory / "kdc", principals(service)[0]
    _admin(kdc, f"purgekeys {own}", f"change_password -randkey -keepold {own}")
    sharing = tuple(name for name in SERVICES if principals(name)[0] == own)
    for name in sharing:
        _write_keytab(kdc, directory / name, principals(name))
    return sharing


def _write_keytab(kdc: Path, own: Path, names: Sequence[str]) -> None:
    own.mkdir(exist_ok=True, mode=0o700)
    part = own / ".keytab"
    part.unlink(missing_ok=True)
    _admin(kdc, *(f"ktadd -norandkey -k {part} {name}" for name in names))
    part.chmod(0o600)
    part.replace(own / "keytab")


def _admin(kdc: Path, *queries: str) -> str:
    return _run(kdc, ["kadmin.local", "-r", REALM], "".join(f"{query}\n" for query in queries))


def _run(kdc: Path, command: Sequence[str], text: str) -> str:
    # Debian keeps servers' programs where only root's PATH leads. The realm is in kdc.conf; nothing of the machine's own counts.
    env = {
        "PATH": f"{os.environ.get('PATH', '')}:/usr/sbin",
        "KRB5_CONFIG": f"{kdc}/kdc.conf",
        "KRB5_KDC_PROFILE": f"{kdc}/kdc.conf",
    }
    try:
        answer = subprocess.run(command, input=text, env=env, capture_output=True, text=True, umask=0o077, check=False)
    except FileNotFoundError as error:
        raise KerberosError(f"{command[0]} is not installed: apt-get install -y krb5-kdc krb5-admin-server") from error
    if answer.returncode or "kadmin.local: " in answer.stderr.replace("kadmin.local:  ", ""):
        raise KerberosError(f"{command[0]} failed: {answer.stderr.strip()}")
    return answer.stdout


if __name__ == "__main__":
    try:
        ensure(Path(sys.argv[1]))
    except (OSError, KerberosError) as error:
        sys.exit(f"ERROR no keytabs can be made in {sys.argv[1]}: {error}")
