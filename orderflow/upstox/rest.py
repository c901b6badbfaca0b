"""The SDK's client for REST calls: one place for address, certificates, and the rule that no credential travels in the clear."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import upstox_client

from orderflow.market.errors import SettingsError

_LOOPBACK: Final = ("127.0.0.1", "localhost", "::1")


@contextmanager
def rest_client(rest_url: str, ca_file: Path | None, access_token: str | None = None) -> Iterator[upstox_client.ApiClient]:
    """Give an ApiClient for `rest_url`, whose threads end with the block; certificates are always verified.

    `ca_file` is a bundle to trust instead of the usual one. Raises SettingsError for an address without TLS that is not loopback.
    """
    configuration = upstox_client.Configuration()
    configuration.host = checked_rest_url(rest_url)
    configuration.access_token = access_token
    if ca_file is not None:
        configuration.ssl_ca_cert = str(ca_file)
    client = upstox_client.ApiClient(configuration)
    try:
        yield client
    finally:
        client.pool.close()


def checked_rest_url(rest_url: str) -> str:
    """Return the address, no slash at its end, if it is https:// or http:// on loopback. Raises SettingsError otherwise."""
    parts = urlsplit(rest_url)
    if (parts.scheme == "https" and parts.hostname) or (parts.scheme == "http" and parts.hostname in _LOOPBACK):
        return rest_url.rstrip("/")
    raise SettingsError(
        f"UPSTOX_REST_URL={rest_url!r} is neither https:// nor http:// on loopback; without TLS the token and the secret "
        "could be intercepted. For example UPSTOX_REST_URL=https://api.upstox.com"
    )
