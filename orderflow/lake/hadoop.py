"""The few Hadoop file operations the lake needs, through a Spark session's JVM: each is one or two calls to the NameNode."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from py4j.protocol import Py4JJavaError

from orderflow.lake.layout import LakeError

REPLICATION = 2
MISSING = "java.io.FileNotFoundException"
EXISTS = "org.apache.hadoop.fs.FileAlreadyExistsException"
# The local file system, which tests use, raises the plain class.
NOT_EMPTY = ("org.apache.hadoop.fs.PathIsNotEmptyDirectoryException", "java.io.IOException")


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file or directory: its name, length in bytes and time of last change in epoch milliseconds."""

    name: str
    size_bytes: int
    modified_ms: int
    is_directory: bool


class HadoopFiles:
    """Files below one Hadoop URL (`hdfs://namenode:9000`, in tests `file:///some/directory`), addressed from its root."""

    def __init__(self, spark: Any, url: str) -> None:
        self._url = url.rstrip("/")
        self._jvm = spark.sparkContext._jvm
        configuration = spark.sparkContext._jsc.hadoopConfiguration()
        self._fs = self._path("/").getFileSystem(configuration)
        # FileSystem.rename moves a directory *into* an existing target; FileContext.rename refuses.
        context = self._jvm.org.apache.hadoop.fs.FileContext
        self._context = context.getFileContext(self._fs.getUri(), configuration)
        self._no_options = spark.sparkContext._gateway.new_array(self._jvm.org.apache.hadoop.fs.Options.Rename, 0)

    def url(self, path: str) -> str:
        """Return the full URL of `path`, as Spark needs it."""
        return self._url + path

    def names(self, directory: str) -> tuple[str, ...] | None:
        """Return the sorted names in a directory, or None when there is no such directory."""
        statuses = self._statuses(directory)
        if statuses is None:
            return None
        # One call for the whole listing: a call for each file would take a tenth of a second for 300 files.
        paths = self._jvm.org.apache.hadoop.fs.FileUtil.stat2Paths(statuses)
        text: str = self._jvm.org.apache.commons.lang3.ArrayUtils.toString(paths)
        return tuple(sorted(path.rpartition("/")[2] for path in text[1:-1].split(",") if path))

    def files(self, directory: str) -> tuple[StoredFile, ...]:
        """Return what a directory holds, sorted by name; empty when there is no such directory."""
        files = (
            StoredFile(status.getPath().getName(), status.getLen(), status.getModificationTime(), status.isDirectory())
            for status in self._statuses(directory) or ()
        )
        return tuple(sorted(files, key=lambda file: file.name))

    def size_bytes(self, path: str) -> int:
        """Return the bytes of all files below an existing directory, replicas not counted."""
        return int(self._fs.getContentSummary(self._path(path)).getLength())

    def exists(self, path: str) -> bool:
        """Return whether a file or directory is there."""
        return bool(self._fs.exists(self._path(path)))

    def make_directory(self, path: str) -> None:
        """Create a directory and its parents; an existing directory is left unchanged."""
        if not self._fs.mkdirs(self._path(path)):
            raise LakeError(f"cannot create {self.url(path)}: does something else have that name?")

    def rename(self, source: str, target: str) -> bool:
        """Move a file or directory atomically; False, and nothing moved, if the target exists or source or parent do not."""
        try:
            self._context.rename(self._path(source), self._path(target), self._no_options)
        except Py4JJavaError as error:
            if _class_of(error) in (MISSING, EXISTS):
                return False
            raise
        return True

    def delete(self, path: str) -> None:
        """Delete a file or a whole directory; a missing one is not an error."""
        self._fs.delete(self._path(path), True)

    def delete_empty(self, directory: str) -> None:
        """Delete a directory that holds nothing, atomically; one that holds something, or is absent, is left."""
        try:
            self._fs.delete(self._path(directory), False)
        except Py4JJavaError as error:
            if _class_of(error) not in NOT_EMPTY:
                raise

    def keep_copies(self, path: str) -> None:
        """Ask for two replicas of a file, regardless of the client's default."""
        self._fs.setReplication(self._path(path), REPLICATION)

    def read_text(self, path: str) -> str | None:
        """Return a small file's text, or None when it is absent."""
        try:
            stream = self._fs.open(self._path(path))
        except Py4JJavaError as error:
            if _class_of(error) == MISSING:
                return None
            raise
        try:
            return bytes(self._jvm.org.apache.commons.io.IOUtils.toByteArray(stream)).decode()
        finally:
            stream.close()

    def create_text(self, path: str, text: str) -> bool:
        """Write a small file; False if one of that name exists: of several who try, one succeeds."""
        return self.create(path, text.encode())

    def create(self, path: str, content: bytes) -> bool:
        """Write a file of some megabytes, which goes through this process; False if one of that name exists."""
        try:
            stream = self._fs.create(self._path(path), False)
        except Py4JJavaError as error:
            if _class_of(error) == EXISTS:
                return False
            raise
        try:
            stream.write(bytearray(content))
        finally:
            stream.close()
        self.keep_copies(path)
        return True

    def _statuses(self, directory: str) -> Any:
        try:
            return self._fs.listStatus(self._path(directory))
        except Py4JJavaError as error:
            if _class_of(error) == MISSING:
                return None
            raise

    def _path(self, path: str) -> Any:
        return self._jvm.org.apache.hadoop.fs.Path(self._url + path)


def _class_of(error: Py4JJavaError) -> str:
    return str(error.java_exception.getClass().getName())
