"""The candle engine's changelog in the Parquet files of a file sink, which stands for Kafka."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq
from pyspark import cloudpickle

from orderflow.market import topics

cloudpickle.register_pickle_by_value(sys.modules[__name__])  # Python workers do not have the tests


@dataclass(frozen=True)
class SinkFiles:
    """Reads back what a query wrote below `directory`."""

    directory: Path
    partitions: int

    def read(self, partition: int) -> Iterator[tuple[str, bytes]]:
        """Yield the records of a changelog partition, the oldest file's first."""
        whole = [path for path in self.directory.glob("*.parquet") if path.read_bytes()[-4:] == b"PAR1"]
        for path in sorted(whole, key=lambda path: path.stat().st_mtime_ns):
            for row in pq.read_table(path).to_pylist():
                if (row["topic"], row["partition"]) == (topics.CANDLE_STATE, partition):
                    yield row["key"], row["value"]
