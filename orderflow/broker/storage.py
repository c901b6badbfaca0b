"""The streamer's interface to Kafka: topics, stored states and ticks, the publisher and its spool."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import orjson

from orderflow.broker.publisher import KafkaTickPublisher
from orderflow.broker.resume import Stored, read_stored
from orderflow.broker.setup import setup_topics
from orderflow.broker.spool import Spool
from orderflow.market import topics
from orderflow.settings import Settings

SPANS_IN_WATERMARK = 4
"""In real recordings trades are up to 89 s late; a quarter of the two minutes' watermark leaves time for that."""


class KafkaStorage:
    """Opens the spool at once (raises OrderflowError when it cannot be written) and Kafka when asked.

    `now_ms` dates the records.
    """

    def __init__(self, settings: Settings, now_ms: Callable[[], int]) -> None:
        self._settings, self._now_ms = settings, now_ms
        names = settings.instruments if settings.instrument_file is None else (f"file {settings.instrument_file}",)
        self._spool = Spool(settings.spool_dir, settings.spool_max_bytes, names)

    def prepare(self, stopped: Callable[[], bool]) -> None:
        """Wait for Kafka, saying so, and create the topics. Raises OrderflowError when asked to stop meanwhile."""
        setup_topics(self._settings, wait_seconds=math.inf, stopped=stopped)

    def read(self, wanted: Callable[[str], bool], instrument_keys: Iterable[str], stopped: Callable[[], bool]) -> Stored:
        """Return stored states and newer ticks; see `resume.read_stored`."""
        return read_stored(self._settings.kafka, wanted, instrument_keys, stopped)

    def publisher(self, owner: str, on_tick_acknowledged: Callable[[int], None]) -> KafkaTickPublisher:
        """Return the one publisher of this process."""
        return KafkaTickPublisher(
            self._settings.kafka,
            self._spool,
            owner,
            on_tick_acknowledged=on_tick_acknowledged,
            now_ms=self._now_ms,
            span_ms=self._settings.watermark_seconds * 1000 // SPANS_IN_WATERMARK,
        )

    def spooled(self) -> Iterator[tuple[str, Any]]:
        """Yield the topic and the record of all that an earlier process left on disk, in order; bytes for what is not JSON."""
        for record in self._spool.leftovers():
            try:
                yield record.topic, orjson.loads(record.value)
            except orjson.JSONDecodeError:
                yield record.topic, record.value

    def discard_spooled(self, keys: Iterable[str]) -> None:
        """Delete what an earlier process left on disk, except ticks of instruments that are not among `keys`."""
        own = {key.encode() for key in keys}
        self._spool.discard_leftovers(lambda record: record.topic == topics.TICKS and record.key not in own)
