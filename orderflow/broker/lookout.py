"""Detects a producer whose records wait although Kafka answers other clients.

A client that asks a broker that is shutting down may get an empty list of brokers, and then never look for one again
(confluentinc/librdkafka#5301; seen with the dashboard's consumer after `docker restart kafka`).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Final

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from orderflow.clusters import KafkaCluster
from orderflow.market import topics

_LOOK_AFTER_SECONDS: Final = 20.0
_LOOK_EVERY_SECONDS: Final = 10.0
_PATIENCE_SECONDS: Final = 60.0


def leaders_answer(kafka: KafkaCluster) -> bool:
    """Return whether a client of its own finds a leader for every partition of the tick topic."""
    try:
        metadata = AdminClient({**kafka.librdkafka(), "log_level": 0}).list_topics(topics.TICKS, timeout=5.0)
    except KafkaException:
        return False
    partitions = metadata.topics[topics.TICKS].partitions
    return bool(partitions) and all(partition.leader >= 0 for partition in partitions.values())


def _in_thread(call: Callable[[], None]) -> None:
    threading.Thread(target=call, name="kafka-lookout", daemon=True).start()


class Lookout:
    """Asks Kafka by another client, in a thread of its own, while records wait; `clock` and `run` are for tests."""

    def __init__(
        self,
        answers: Callable[[], bool],
        *,
        clock: Callable[[], float] = time.monotonic,
        run: Callable[[Callable[[], None]], None] = _in_thread,
    ) -> None:
        self._answers = answers
        self._clock = clock
        self._run = run
        self._answered_since: float | None = None
        self._looking = False
        self._next = 0.0

    def is_stranded(self, waiting_seconds: float) -> bool:
        """Return whether nothing was confirmed for a minute although Kafka answered another client; call it often.

        `waiting_seconds` is for how long records have waited and none was confirmed.
        """
        now = self._clock()
        if waiting_seconds < _LOOK_AFTER_SECONDS:
            self._answered_since = None
            return False
        if not self._looking and now >= self._next:
            self._looking, self._next = True, now + _LOOK_EVERY_SECONDS
            self._run(self._look)
        since = self._answered_since
        return since is not None and min(now - since, waiting_seconds) >= _PATIENCE_SECONDS

    def _look(self) -> None:
        try:
            if not self._answers():
                self._answered_since = None
            elif self._answered_since is None:
                self._answered_since = self._clock()
        finally:
            self._looking = False
