"""Read HDFS over HTTP, without Java: fsspec's WebHDFS with ranged reads, known sizes, time-outs and a count of bytes."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from typing import Any, Final
from urllib.parse import urlsplit

import requests
from fsspec.implementations.webhdfs import WebHDFile, WebHDFS
from fsspec.spec import AbstractFileSystem
from pyarrow.fs import FSSpecHandler, PyFileSystem

from orderflow.clusters import HdfsCluster
from orderflow.lake.layout import LakeError
from orderflow.lake.session import http_session

READ_TRIES: Final = 3
WHOLE_BYTES: Final = 128 << 10


def web_hdfs(namenode: HdfsCluster | str) -> WebHdfs:
    """Return the file system of a NameNode, given by its HTTP address (http://namenode:50070) or by `settings.load().hdfs`.

    Raises LakeError when the address has no host, SettingsError when a library for Kerberos is missing. Nothing is contacted yet.
    """
    hdfs = namenode if isinstance(namenode, HdfsCluster) else HdfsCluster(namenode)
    parts = urlsplit(hdfs.http_url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise LakeError(f"NAMENODE_HTTP_URL={hdfs.http_url!r} is not an HTTP address; for example http://namenode:50070")
    port = parts.port or (443 if parts.scheme == "https" else 80)
    return WebHdfs(
        parts.hostname,
        port,
        user=hdfs.user or None,
        use_https=parts.scheme == "https",
        session=http_session(hdfs),
        skip_instance_cache=True,
    )


def arrow_files(files: AbstractFileSystem) -> PyFileSystem:
    """Wrap an fsspec file system for pyarrow."""
    return PyFileSystem(FSSpecHandler(files))


class WebHdfs(WebHDFS):  # type: ignore[misc]
    """WebHDFS that reads exactly the bytes asked for and counts them in `bytes_read`.

    The size of a file that was given to `remember` is not asked for again: HDFS files here never change, they only vanish.
    """

    cachable = False

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self._sizes: dict[str, int] = {}
        self._lock = threading.Lock()
        self._session = options.pop("session")
        self.bytes_read = 0
        super().__init__(*arguments, **options)

    def remember(self, sizes: Iterable[tuple[str, int]]) -> None:
        """Remember files and their sizes in bytes from a listing."""
        with self._lock:
            self._sizes.update(sizes)

    def info(self, path: str) -> dict[str, Any]:
        """Return a file's properties, from memory if it was listed before."""
        path = self._strip_protocol(path)
        size = self._sizes.get(path)
        if size is not None:
            return {"name": path, "size": size, "type": "file"}
        entry: dict[str, Any] = super().info(path)
        return entry

    def count(self, size_bytes: int) -> None:
        """Add to `bytes_read`; reads run on several threads."""
        with self._lock:
            self.bytes_read += size_bytes

    def _connect(self) -> None:
        self.session = self._session

    def _call(self, op: str, method: str = "get", path: str | None = None, **options: Any) -> Any:
        try:
            return super()._call(op, method, path, **options)
        except requests.ConnectionError as error:
            raise LakeError(
                f"no NameNode answers at {self.url} ({error}); is HDFS running, and is NAMENODE_HTTP_URL correct?"
            ) from error

    def _open(self, path: str, mode: str = "rb", **options: Any) -> Any:
        if mode != "rb":
            return super()._open(path, mode, **options)
        size = self.info(path)["size"]
        # A small file in one read: its footer and its rows would take two.
        cache = "all" if size <= WHOLE_BYTES else "none"
        return _RangedFile(self, path, mode="rb", cache_type=cache, tempdir="", autocommit=True, size=size)


class _RangedFile(WebHDFile):  # type: ignore[misc]
    def _fetch_range(self, start: int, end: int) -> bytes:
        start, end = max(start, 0), min(end, self.size)
        if start >= end:
            return b""
        for attempt in range(READ_TRIES):
            response = self.fs._call("OPEN", path=self.path, offset=start, length=end - start, redirect=False)
            location = response.headers.get("Location")
            try:
                answer = self.fs.session.get(self.fs._apply_proxy(location)) if location else response
                answer.raise_for_status()
                content = bytes(answer.content)
                if len(content) == end - start:
                    self.fs.count(len(content))
                    return content
                problem = f"{len(content)} bytes came instead of {end - start}"
            except requests.RequestException as error:
                if error.response is not None and error.response.status_code == 404:
                    raise FileNotFoundError(self.path) from error
                # The NameNode may name another DataNode next time.
                problem = str(error)
            if attempt == READ_TRIES - 1:
                raise LakeError(f"cannot read {self.path} at {start} from a DataNode: {problem}")
        raise AssertionError("unreachable")
