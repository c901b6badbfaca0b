"""The HTTP session for requests to Hadoop's servers, with trusted authorities and login."""

from __future__ import annotations

from typing import Any, Final

import requests
from requests.adapters import HTTPAdapter

from orderflow.clusters import HdfsCluster
from orderflow.market.errors import SettingsError

TIMEOUT_SECONDS: Final = (3.05, 30.0)
CONNECTIONS: Final = 16


def http_session(hdfs: HdfsCluster) -> requests.Session:
    """Return a session that trusts the cluster's authority and logs in as the cluster requires.

    Raises SettingsError when a library for Kerberos is missing.
    """
    session = _Session()
    if hdfs.ca_file is not None:
        session.verify = str(hdfs.ca_file)
    if hdfs.kerberos_principal:
        session.auth = _kerberos(hdfs)
    return session


def _kerberos(hdfs: HdfsCluster) -> Any:
    try:
        from orderflow.lake.kerberos import KeytabAuth
    except ImportError as error:
        raise SettingsError(
            "HDFS_KERBEROS_PRINCIPAL is set, and HDFS over HTTP needs a library for it: apt-get install gcc libkrb5-dev "
            "python3-dev, and pip install -r requirements-kerberos.txt"
        ) from error
    return KeytabAuth(hdfs)


class _Session(requests.Session):
    """Keep connections for parallel reads; ignore proxy settings and netrc, which cost a millisecond per request."""

    def __init__(self) -> None:
        super().__init__()
        self.trust_env = False
        for prefix in ("http://", "https://"):
            self.mount(prefix, HTTPAdapter(pool_maxsize=CONNECTIONS))

    def request(self, *arguments: Any, **options: Any) -> requests.Response:
        options.setdefault("timeout", TIMEOUT_SECONDS)
        return super().request(*arguments, **options)
