"""A certificate authority of the simulator's own, and a server certificate signed by it."""

from __future__ import annotations

import datetime as dt
import ssl
from pathlib import Path
from typing import Final

from orderflow.certificates import Authority, is_valid_for, write_private
from orderflow.market.errors import SettingsError

CA_FILE: Final = "ca.pem"
HOSTS: Final = ("localhost", "simulator", "127.0.0.1", "::1")


def ensure(directory: Path) -> Path:
    """Create CA and server certificate in `directory` unless they are there and valid for a day; return the CA's path.

    The certificate is for localhost, 127.0.0.1, ::1 and simulator. Only ca.pem needs to be given to clients.
    Raises SettingsError when the directory cannot be written.
    """
    ca_path, server_path = directory / CA_FILE, directory / "server.pem"
    try:
        if ca_path.is_file() and server_path.is_file() and is_valid_for(server_path, dt.timedelta(days=1)):
            return ca_path
        directory.mkdir(parents=True, exist_ok=True)
        authority = Authority.create("orderflow simulator CA")
        certificate, key = authority.issue("simulator", HOSTS)
        write_private(server_path.with_suffix(".key"), key)
        server_path.write_bytes(certificate)
        ca_path.write_bytes(authority.certificate_pem)
    except (OSError, ValueError) as error:
        raise SettingsError(f"SIM_TLS_DIR={directory} cannot hold certificates: {error}; name a writable directory") from error
    return ca_path


def server_context(directory: Path) -> ssl.SSLContext:
    """Return the server's TLS context from the certificates in `directory`."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(directory / "server.pem", directory / "server.key")
    return context
