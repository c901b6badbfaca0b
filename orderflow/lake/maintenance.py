"""Add and delete stored files over WebHDFS, without Java: retention, and files made elsewhere."""

from __future__ import annotations

import getpass
import uuid
from collections.abc import Mapping, Sequence
from datetime import date as calendar_date
from datetime import timedelta

from hdfs import InsecureClient
from hdfs.util import HdfsError
from requests import RequestException

from orderflow.lake.layout import ROOT, LakeError, Table


class LakeFiles:
    """Change files of the lake as the user this process runs as. Every call raises LakeError when HDFS refuses."""

    def __init__(self, namenode_http_url: str, user: str | None = None) -> None:
        self._client = InsecureClient(namenode_http_url, user=user or getpass.getuser(), timeout=30)

    def add(self, table: Table, date: str, kind: str, content: bytes) -> str:
        """Put a Parquet file into a date's directory, whole or not at all; returns its name, which starts with `kind`."""
        name = f"{kind}-{uuid.uuid4().hex[:8]}.parquet"
        written = f"{ROOT}/_staging/{kind}/{name}"
        try:
            self._client.write(written, content, replication=2)
            self._client.makedirs(table.day(date))
            self._client.rename(written, f"{table.day(date)}/{name}")
        except (HdfsError, RequestException) as error:
            raise LakeError(f"cannot store {table.day(date)}/{name}: {error}") from error
        return name

    def delete_day(self, table: Table, date: str) -> None:
        """Delete a table's date; a reader sees all of it or none."""
        try:
            self._client.delete(table.day(date), recursive=True, skip_trash=True)
        except (HdfsError, RequestException) as error:
            raise LakeError(f"cannot delete {table.day(date)}: {error}") from error


def expired(sizes: Mapping[str, int], today: str, keep_days: int | None = None, keep_bytes: int | None = None) -> list[str]:
    """Return the dates to delete, oldest first, from bytes by date.

    Dates `keep_days` or more days before `today` go; then the oldest until the rest fits `keep_bytes`. The newest date
    always stays. None keeps everything by that measure.
    """
    dates: Sequence[str] = sorted(sizes)
    gone: list[str] = []
    if keep_days is not None:
        oldest_kept = (calendar_date.fromisoformat(today) - timedelta(days=keep_days)).isoformat()
        gone += [date for date in dates[:-1] if date <= oldest_kept]
    if keep_bytes is not None:
        total = sum(sizes[date] for date in dates if date not in gone)
        for date in dates[len(gone) : -1]:
            if total <= keep_bytes:
                break
            gone.append(date)
            total -= sizes[date]
    return gone
