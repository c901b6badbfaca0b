"""Add and delete stored files over WebHDFS, without Java."""

from __future__ import annotations

import getpass
import uuid

from hdfs import Client
from hdfs.util import HdfsError
from requests import RequestException

from orderflow.clusters import HdfsCluster
from orderflow.lake.layout import ROOT, LakeError, Table
from orderflow.lake.session import http_session


class LakeFiles:
    """Change files of the lake, by default as the user this process runs as.

    Every call raises LakeError when HDFS refuses.
    """

    def __init__(self, hdfs: HdfsCluster) -> None:
        self._replication = hdfs.replication
        session = http_session(hdfs)
        if not hdfs.kerberos_principal:
            session.params = {"user.name": hdfs.user or getpass.getuser()}
        self._client = Client(hdfs.http_url, session=session, timeout=30)

    def add(self, table: Table, date: str, kind: str, content: bytes) -> str:
        """Put a Parquet file into a date's directory, whole or not at all; returns its name, which starts with `kind`."""
        name = f"{kind}-{uuid.uuid4().hex[:8]}.parquet"
        written = f"{ROOT}/_staging/{kind}/{name}"
        try:
            self._client.write(written, content, replication=self._replication)
            # Storage adds to days that a command began.
            self._client.makedirs(table.day(date), permission="775")
            self._client.rename(written, f"{table.day(date)}/{name}")
        except (HdfsError, RequestException) as error:
            raise LakeError(f"cannot store {table.day(date)}/{name}: {error}") from error
        return name

    def write_text(self, name: str, text: str) -> None:
        """Write a small file at the lake's root, in the place of one that may be there."""
        try:
            self._client.write(f"{ROOT}/{name}", text.encode(), overwrite=True, replication=self._replication)
        except (HdfsError, RequestException) as error:
            raise LakeError(f"cannot write {ROOT}/{name}: {error}") from error

    def delete(self, table: Table, date: str, name: str) -> None:
        """Delete one file of a date; a missing one is not an error."""
        self._delete(f"{table.day(date)}/{name}")

    def delete_day(self, table: Table, date: str) -> None:
        """Delete a table's date; a reader sees all of it or none."""
        self._delete(table.day(date))

    def _delete(self, path: str) -> None:
        try:
            self._client.delete(path, recursive=True, skip_trash=True)
        except (HdfsError, RequestException) as error:
            raise LakeError(f"cannot delete {path}: {error}") from error
