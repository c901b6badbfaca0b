"""The few file operations that checkpoints need at start, through a Spark session's JVM."""

from __future__ import annotations

from typing import Any

from py4j.protocol import Py4JJavaError
from pyspark.sql import SparkSession

_MISSING = "java.io.FileNotFoundException"


class CheckpointFiles:
    """Files below the checkpoints' directory, by their path from there."""

    def __init__(self, spark: SparkSession, root: str) -> None:
        self._jvm: Any = spark.sparkContext._jvm
        self._root = root
        self._fs = self._path("").getFileSystem(spark.sparkContext._jsc.hadoopConfiguration())

    def names(self, directory: str) -> tuple[str, ...]:
        """Return the names in a directory; none when it is absent."""
        try:
            statuses = self._fs.listStatus(self._path(directory))
        except Py4JJavaError as error:
            if str(error.java_exception.getClass().getName()) == _MISSING:
                return ()
            raise
        return tuple(status.getPath().getName() for status in statuses)

    def modified_ms(self, path: str) -> int:
        """Return when a file was last changed."""
        return int(self._fs.getFileStatus(self._path(path)).getModificationTime())

    def read_text(self, path: str) -> str | None:
        """Return a small file's text, or None when it is absent."""
        if not self._fs.exists(self._path(path)):
            return None
        stream = self._fs.open(self._path(path))
        try:
            return bytes(stream.readAllBytes()).decode(errors="replace")
        finally:
            stream.close()

    def write_text(self, path: str, text: str) -> None:
        """Write a small file whole: killed at any moment, it has the old text, the new one, or is absent."""
        part = self._path(f"{path}.part")
        out = self._fs.create(part, True)
        try:
            out.write(text.encode())
        finally:
            out.close()
        self._fs.delete(self._path(path), False)
        self._fs.rename(part, self._path(path))

    def move(self, source: str, target: str) -> None:
        """Move a directory, in the place of one that may be there."""
        goal = self._path(target)
        self._fs.delete(goal, True)
        self._fs.mkdirs(goal.getParent())
        self._fs.rename(self._path(source), goal)

    def _path(self, path: str) -> Any:
        return self._jvm.org.apache.hadoop.fs.Path(f"{self._root}/{path}" if path else self._root)
