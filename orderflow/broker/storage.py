"""What the streamer needs of Kafka in one place: topics, what is stored already, the publisher and its spool."""

from __future__ import annotations

import logging
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

log = logging.getLogger(__name__)


class KafkaStorage:
    """Opens the spool at once (raises OrderflowError when it cannot be written) and Kafka when asked."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._spool = Spool(settings.spool_dir, settings.spool_max_bytes)

    def prepare(self, stopped: Callable[[], bool]) -> None:
        """Wait for Kafka, saying so, and create the topics. Raises OrderflowError when told to stop meanwhile."""
        setup_topics(self._settings, wait_seconds=math.inf, stopped=stopped)

    def read(self, wanted: Callable[[str], bool], instrument_keys: Iterable[str], stopped: Callable[[], bool]) -> Stored:
        """Return stored states and newer ticks; see `resume.read_stored`."""
        return read_stored(self._settings.kafka_brokers, wanted, instrument_keys, stopped)

    def publisher(self, owner: str, on_tick_acknowledged: Callable[[int], None]) -> KafkaTickPublisher:
        """Return the one publisher of this process."""
        return KafkaTickPublisher(self._settings.kafka_brokers, self._spool, owner, on_tick_acknowledged=on_tick_acknowledged)

    def spooled_ticks(self) -> Iterator[dict[str, Any]]:
        """Yield the tick records that an earlier process left on disk, in order."""
        for record in self._spool.leftovers():
            if record.topic == topics.TICKS:
                try:
                    yield orjson.loads(record.value)
                except orjson.JSONDecodeError:
                    log.warning("a spooled record of %s cannot be read and is left out", record.key.decode(errors="replace"))

    def discard_spooled(self) -> None:
        """Delete what an earlier process left on disk."""
        self._spool.discard_leftovers()
