"""Make certificates and passwords of the secure profile: `credentials.py DIRECTORY [SERVICE…]`.

Each service has a directory of its own, which is all that it must be able to read; files are the owner's alone (0600):

    ca/           certificate.pem key.pem           the authority, needed here only
    kafka/        scram_users                       the users with which the broker is formatted
    SERVICE/      ca.pem                            whom to trust
                  certificate.pem key.pem           who it is, as server and as client
                  server.pem                        both, as Java's servers want them
                  kafka_password spark_secret       where it has a Kafka user, or runs Spark

What is there stays, but a certificate that ends within 30 days is issued anew. With services named, theirs are made anew.
"""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import secrets
import sys
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Final

from orderflow.certificates import Authority, is_valid_for, write_private

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
    "simulator",
    *dict.fromkeys((*KAFKA_USERS, *SPARK_SERVICES)),
)
"""`admin` stands for the people who type commands; the others are those of docker-compose.yml."""


def ensure(directory: Path, renewed: Collection[str] = ()) -> None:
    """Make what is missing below `directory`, and everything of the services in `renewed`. Raises OSError or ValueError."""
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    directory.chmod(0o700)
    authority = _authority(directory / "ca")
    spark_secret = _first(directory, "spark_secret")
    for service in SERVICES:
        own = directory / service
        own.mkdir(exist_ok=True, mode=0o700)
        if service in renewed or not _is_current(own / "certificate.pem"):
            certificate, key = authority.issue(service, (service, f"{service}.localhost", *_EVERYWHERE))
            write_private(own / "key.pem", key)
            write_private(own / "server.pem", certificate + key)
            write_private(own / "certificate.pem", certificate)
        _keep(own / "ca.pem", authority.certificate_pem)
        if service in KAFKA_USERS and (service in renewed or not (own / "kafka_password").is_file()):
            write_private(own / "kafka_password", _secret())
        if service in SPARK_SERVICES:
            _keep(own / "spark_secret", spark_secret)
    users = directory / "kafka" / "scram_users"
    if renewed or not users.is_file():
        passwords = {user: (directory / user / "kafka_password").read_bytes() for user in KAFKA_USERS}
        write_private(users, "\n".join(scram_arguments(passwords)).encode())


def scram_arguments(passwords: Mapping[str, bytes]) -> Iterator[str]:
    """Yield arguments with which `kafka-storage format` makes these users; it is not told the passwords themselves."""
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
    if unknown := set(sys.argv[2:]) - set(SERVICES):
        sys.exit(f"ERROR no such service: {', '.join(sorted(unknown))}; choose of {', '.join(SERVICES)}")
    try:
        ensure(Path(sys.argv[1]), sys.argv[2:])
    except (OSError, ValueError) as error:
        sys.exit(f"ERROR no credentials can be made in {sys.argv[1]}: {error}")
