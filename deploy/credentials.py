"""Make certificates and passwords of the secure profile: `python -m deploy.credentials DIRECTORY`.

Each service has its own directory, the only one that it must be able to read; only the owner can read the files (0600):

    ca/           certificate.pem key.pem           the authority, needed here only
    kafka/        scram_users                       the users with which the broker is formatted
    SERVICE/      ca.pem                            whom to trust
                  certificate.pem key.pem           who it is, as server and as client
                  server.pem                        both, as Java's servers want them
                  server.p12 ca.p12                 the same and the authority, as HDFS wants them
                  kafka_password spark_secret       where it has a Kafka user, or runs Spark
    plotter/      operator_password                 of the dashboard's first user, `operator`

Existing files are kept, but a certificate that expires within 30 days is renewed.
"""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import secrets
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final

from deploy import kerberos
from orderflow.certificates import Authority, is_valid_for, key_store, trust_store, write_private

_RENEW_BEFORE: Final = dt.timedelta(days=30)
_AUTHORITY_VALIDITY: Final = dt.timedelta(days=3650)
SCRAM_ITERATIONS: Final = 8192
_EVERYWHERE: Final = ("localhost", "127.0.0.1", "::1")

KAFKA_USERS: Final = (
    "kafka",
    "setup-topics",
    "data-streamer",
    "processor",
    "tick-storage",
    "candle-storage",
    "plotter",
    "admin",
)
SPARK_SERVICES: Final = ("spark-master", "spark-worker", "processor", "tick-storage", "candle-storage", "admin")
SERVICES: Final = (
    "zookeeper",
    "namenode",
    "datanode1",
    "datanode2",
    "setup-hdfs",
    *dict.fromkeys((*KAFKA_USERS, *SPARK_SERVICES)),
)
"""`admin` is for people who run commands; the others are the services of docker-compose.yml."""


def ensure(directory: Path) -> None:
    """Create the missing files below `directory`. Raises OSError or ValueError."""
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    authority = _authority(directory / "ca")
    spark_secret = _first(directory, "spark_secret")
    for service in SERVICES:
        own = directory / service
        own.mkdir(exist_ok=True, mode=0o700)
        if not _is_current(own / "certificate.pem"):
            _issue(authority, own)
        _keep(own / "ca.pem", authority.certificate_pem)
        if service in kerberos.SERVICES and not (own / "ca.p12").is_file():
            write_private(own / "ca.p12", trust_store(authority.certificate_pem))
        if service in KAFKA_USERS and not (own / "kafka_password").is_file():
            write_private(own / "kafka_password", _secret())
        if service in SPARK_SERVICES:
            _keep(own / "spark_secret", spark_secret)
    if not (operator := directory / "plotter" / "operator_password").is_file():
        write_private(operator, _secret())
    if not (directory / "kafka" / "scram_users").is_file():
        _list_users(directory)


def renew(directory: Path, service: str, set_password: Callable[[str, str], None]) -> None:
    """Renew a service's certificate and password; `set_password(user, password)` changes it in Kafka first.

    When that raises, everything stays as it is.
    """
    own = directory / service
    if service in KAFKA_USERS:
        password = _secret()
        set_password(service, password.decode())
        write_private(own / "kafka_password", password)
        _list_users(directory)
    _issue(_authority(directory / "ca"), own)


def renew_spark(directory: Path) -> None:
    """Renew the secret that Spark's processes share."""
    secret = _secret()
    for service in SPARK_SERVICES:
        write_private(directory / service / "spark_secret", secret)


def _issue(authority: Authority, own: Path) -> None:
    certificate, key = authority.issue(own.name, (own.name, f"{own.name}.localhost", *_EVERYWHERE))
    write_private(own / "key.pem", key)
    write_private(own / "server.pem", certificate + key)
    if own.name in kerberos.SERVERS:
        write_private(own / "server.p12", key_store(certificate, key))
    write_private(own / "certificate.pem", certificate)


def _list_users(directory: Path) -> None:
    passwords = {user: (directory / user / "kafka_password").read_bytes() for user in KAFKA_USERS}
    write_private(directory / "kafka" / "scram_users", "\n".join(scram_arguments(passwords)).encode())


def scram_arguments(passwords: Mapping[str, bytes]) -> Iterator[str]:
    """Yield arguments with which `kafka-storage format` makes these users; it does not receive the passwords themselves."""
    for user, password in passwords.items():
        salt = secrets.token_bytes(32)
        salted = hashlib.pbkdf2_hmac("sha512", password, salt, SCRAM_ITERATIONS)
        fields = {
            "name": user,
            "iterations": str(SCRAM_ITERATIONS),
            "salt": f'"{base64.b64encode(salt).decode()}"',
            "saltedpassword": f'"{base64.b64encode(salted).decode()}"',
        }
        yield "--add-scram"
        yield f"SCRAM-SHA-512=[{','.join(f'{name}={value}' for name, value in fields.items())}]"


def _authority(directory: Path) -> Authority:
    certificate, key = directory / "certificate.pem", directory / "key.pem"
    if certificate.is_file() and key.is_file():
        return Authority.load(certificate.read_bytes(), key.read_bytes())
    directory.mkdir(exist_ok=True, mode=0o700)
    authority = Authority.create("orderflow CA", _AUTHORITY_VALIDITY)
    write_private(key, authority.key_pem)
    write_private(certificate, authority.certificate_pem)
    return authority


def _is_current(certificate: Path) -> bool:
    return certificate.is_file() and is_valid_for(certificate, _RENEW_BEFORE)


def _first(directory: Path, name: str) -> bytes:
    """Return the content of the first service's file of that name, or a new secret."""
    return next((path.read_bytes() for path in sorted(directory.glob(f"*/{name}"))), None) or _secret()


def _keep(path: Path, content: bytes) -> None:
    if not path.is_file() or path.read_bytes() != content:
        write_private(path, content)


def _secret() -> bytes:
    return secrets.token_urlsafe(32).encode()


if __name__ == "__main__":
    try:
        ensure(Path(sys.argv[1]))
    except (OSError, ValueError) as error:
        sys.exit(f"ERROR no credentials can be made in {sys.argv[1]}: {error}")
