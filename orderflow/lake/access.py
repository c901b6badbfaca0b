"""Rights to read and write directories on an HDFS with authenticated users (Kerberos).

`python -m orderflow setup directories` applies the table, as a superuser, on the stack's HDFS or on an existing cluster. Users
are named after the services. Group `trading` has all users that may read below /trading. Group `storage` has the two storages:
each finishes swaps that the other did not complete, so they share the directories they write.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Final

from hdfs import Client
from hdfs.util import HdfsError
from requests import RequestException

from orderflow.clusters import HdfsCluster
from orderflow.lake.layout import CANDLES, FOOTPRINT, ROOT, TICKS, LakeError
from orderflow.lake.session import http_session

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Access:
    """A directory's owner, group and mode (octal), and one further user who may write to it."""

    owner: str
    group: str
    mode: str
    writer: str = ""


ACCESS: Final = {
    ROOT: Access("admin", "trading", "750"),
    TICKS.directory: Access("tick-storage", "storage", "775"),
    CANDLES.directory: Access("candle-storage", "storage", "775"),
    FOOTPRINT.directory: Access("candle-storage", "storage", "775"),
    f"{ROOT}/_staging": Access("admin", "storage", "770"),
    # Creating an encryption zone creates this directory, open to all.
    f"{ROOT}/.Trash": Access("admin", "storage", "1770"),
    # Only its owner moves or deletes a checkpoint (1…).
    f"{ROOT}/checkpoints": Access("admin", "storage", "1770", writer="processor"),
    f"{ROOT}/checkpoints/set-aside": Access("admin", "storage", "1770", writer="processor"),
}


def setup_directories(hdfs: HdfsCluster) -> None:
    """Create the directories and give each its owner, group and mode. Raises LakeError when HDFS refuses."""
    client = Client(hdfs.http_url, session=http_session(hdfs), timeout=30)
    for path, access in ACCESS.items():
        try:
            client.makedirs(path)
            client.set_owner(path, access.owner, access.group)
            client.set_permission(path, access.mode)
            if access.writer:
                client.set_acl(path, f"user:{access.writer}:rwx", clear=False)
        except (HdfsError, RequestException) as error:
            raise LakeError(f"cannot set up {path} on {hdfs}: {error}") from error
    log.info("%s belong to their applications", ", ".join(ACCESS))
