"""Log in to HDFS over HTTP with a keytab; needs the libraries of requirements-kerberos.txt."""

from __future__ import annotations

import threading
from typing import Any

import gssapi
import requests
from requests_gssapi import HTTPSPNEGOAuth

from orderflow.clusters import HdfsCluster


def ticket(hdfs: HdfsCluster) -> Any:
    """Return gssapi credentials of the cluster's principal, from its keytab; they live in this process only.

    A ticket that was obtained before serves until it expires. Raises requests.ConnectionError when no KDC gives one.
    """
    name = gssapi.Name(hdfs.kerberos_principal, gssapi.NameType.kerberos_principal)
    store = {"client_keytab": f"FILE:{hdfs.kerberos_keytab}", "ccache": f"MEMORY:{hdfs.kerberos_principal}"}
    try:
        return gssapi.Credentials(name=name, usage="initiate", store=store)
    except gssapi.exceptions.GSSError as error:
        raise requests.ConnectionError(f"no ticket for {hdfs.kerberos_principal} by {hdfs.kerberos_keytab}: {error}") from error


class KeytabAuth(HTTPSPNEGOAuth):  # type: ignore[misc]
    """Negotiate when a server asks for it; its cookie then serves for hours, and threads share the session."""

    def __init__(self, hdfs: HdfsCluster) -> None:
        super().__init__()
        self._hdfs = hdfs
        self._lock = threading.Lock()

    def generate_request_header(self, *arguments: Any, **options: Any) -> str:
        """Return the header of one login. The context of a host is kept in this object, so one thread at a time."""
        with self._lock:
            self.creds = ticket(self._hdfs)
            return str(super().generate_request_header(*arguments, **options))
