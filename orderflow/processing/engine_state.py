"""The candle engine inside Spark: one group a Kafka partition, its state in Spark's state store.

Spark calls `EngineProcessor` once a batch and partition, in a Python worker on an executor. The engine of the batch before is
usually still in that worker's memory; it is taken up only when its token is that of the stored state, so what a failed attempt
left behind is never used.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import pandas as pd
from pyspark.sql import types as T
from pyspark.sql.streaming.stateful_processor import MapState, StatefulProcessor, StatefulProcessorHandle

from orderflow.market.engine.messages import fold
from orderflow.market.engine.partition import EngineSettings
from orderflow.market.engine.store import EngineStore, Stored

MESSAGES: Final = T.StructType(
    [T.StructField("topic", T.StringType()), T.StructField("key", T.StringType()), T.StructField("value", T.BinaryType())]
)
_NAME: Final = T.StructType([T.StructField("name", T.StringType())])
_PART: Final = T.StructType([T.StructField("part", T.BinaryType())])

_in_memory: dict[tuple[str, str], Stored] = {}


class SparkStateMap:
    """A partition's parts in Spark's state store."""

    def __init__(self, state: MapState) -> None:
        self._state = state

    def get(self, name: str) -> bytes | None:
        """Return a part, or None."""
        value = self._state.getValue((name,))
        return None if value is None else bytes(value[0])

    def put(self, name: str, value: bytes) -> None:
        """Write a part."""
        self._state.updateValue((name,), (value,))

    def remove(self, name: str) -> None:
        """Remove a part."""
        self._state.removeKey((name,))


class EngineProcessor(StatefulProcessor):  # type: ignore[misc]  # pyspark's class is untyped here
    """Folds a batch of one partition's messages, columns `offset`, `key`, `value`, `sent_ms`, into the messages of MESSAGES.

    `name` tells queries of one application apart.
    """

    def __init__(self, settings: EngineSettings, name: str) -> None:
        self._settings = settings
        self._name = name

    def init(self, handle: StatefulProcessorHandle) -> None:
        """Open the state."""
        self._parts = SparkStateMap(handle.getMapState("engine", _NAME, _PART))

    def handleInputRows(  # noqa: N802  # Spark's name
        self,
        key: Any,
        rows: Iterator[pd.DataFrame],
        timerValues: Any,  # noqa: ARG002
    ) -> Iterator[pd.DataFrame]:
        """Fold the rows of one partition in the order of offsets, which Spark does not promise, and save the state."""
        place = (self._name, str(key[0]))
        store = EngineStore(self._parts, self._settings)
        stored = store.load(_in_memory.pop(place, None))
        frames = list(rows)
        frame = frames[0] if len(frames) == 1 else pd.concat(frames, ignore_index=True)
        if not frame["offset"].is_monotonic_increasing:
            frame = frame.sort_values("offset", kind="stable")
        records = zip(frame["key"].tolist(), frame["value"].tolist(), frame["sent_ms"].tolist(), strict=True)
        messages = list(fold(stored.engine, records))
        _in_memory[place] = store.save(stored)
        yield pd.DataFrame(messages, columns=MESSAGES.names)

    def close(self) -> None:
        """Nothing to close."""
