"""Passes records to Kafka's client and tracks, in order, which are stored.

The client is idempotent with acks=all, and its messages never expire, because an expired message may already be stored, and
sending it again would duplicate it. Client and clock are injected, so that tests can simulate a failing broker.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Final, Protocol

from confluent_kafka import KafkaError, KafkaException, Message

from orderflow.broker.notices import Notices
from orderflow.broker.spool import Spooled
from orderflow.clusters import KafkaCluster
from orderflow.market import topics
from orderflow.market.tick import HEARTBEAT_KEY

log = logging.getLogger(__name__)

_KEPT: Final = (topics.FEED_EVENTS, topics.REJECTS)
_AHEAD: Final = "; this machine's clock may be more than an hour ahead of the broker's: set it"
_CURES: Final = {
    KafkaError.UNKNOWN_TOPIC_OR_PART: "; run `python -m orderflow setup topics`",
    KafkaError.INVALID_RECORD: _AHEAD,
    KafkaError.INVALID_TIMESTAMP: _AHEAD,
}


class Client(Protocol):
    """What is used of confluent_kafka.Producer."""

    def produce(self, topic: str, **record: Any) -> None:
        """Queue a record (value, key, on_delivery, timestamp, partition). Raises BufferError when there is no room."""
        ...

    def poll(self, timeout: float) -> Any:
        """Call the callbacks that are due."""
        ...

    def purge(self) -> None:
        """Give up everything that is queued or on its way."""
        ...

    def list_topics(self, topic: str, timeout: float) -> Any:
        """Return the cluster's metadata of a topic."""
        ...

    def __len__(self) -> int:
        """Return the number of records and callbacks that wait."""
        ...


class _Delivery:
    """One record passed to the client, which calls this object with the result."""

    __slots__ = ("done", "feed_time_ms", "owner")

    def __init__(self, owner: RecordProducer, feed_time_ms: int | None) -> None:
        self.owner = owner
        self.feed_time_ms = feed_time_ms
        self.done = False

    def __call__(self, error: KafkaError | None, message: Message) -> None:
        self.done = True
        self.owner._delivered(self, error, message)


def options(kafka: KafkaCluster, owner: str, memory_bytes: int, on_error: Callable[[KafkaError], None]) -> dict[str, Any]:
    """Return the client's configuration."""
    return {
        **kafka.librdkafka(),
        "client.id": f"orderflow-{owner}",
        "acks": "all",
        "enable.idempotence": True,
        "partitioner": "murmur2_random",
        "linger.ms": 2,
        "compression.type": "zstd",
        "message.timeout.ms": 0,
        "queue.buffering.max.kbytes": memory_bytes >> 10,
        "queue.buffering.max.messages": 200_000,
        "message.max.bytes": 2 << 20,
        "reconnect.backoff.ms": 100,
        "reconnect.backoff.max.ms": 2_000,
        "error_cb": on_error,
        "log_level": 2,
    }


class RecordProducer:
    """Use it from one thread. `on_tick_stored(feed_time_ms)` is called for every tick that Kafka has stored.

    Records are numbered from 1 in the order of `hand_over`; `acknowledged` is the number up to which all are stored.
    """

    def __init__(
        self,
        brokers: str,
        make_client: Callable[[Callable[[KafkaError], None]], Client],
        *,
        span_ms: int,
        now_ms: Callable[[], int],
        clock: Callable[[], float] = time.monotonic,
        on_tick_stored: Callable[[int], None] | None = None,
    ) -> None:
        self._brokers, self._span_ms, self._now_ms, self._clock = brokers, span_ms, now_ms, clock
        self._on_tick_stored = on_tick_stored
        self._client = make_client(self._on_error)
        self._pending: deque[tuple[int, float, _Delivery]] = deque()
        self._ticks: deque[_Delivery] = deque()
        self._left: list[Spooled] = []
        self._notices = Notices(log, clock)
        self._partitions = 0
        self._unreachable_since: float | None = None
        self._confirmed_at = clock()
        self.handed_over = self.acknowledged = 0
        self.positions: dict[str, int] = {}
        self.ticks_stored = self.records_stored = self.records_refused = 0
        self.fatal: str | None = None

    def __len__(self) -> int:
        return len(self._client)

    @property
    def unconfirmed(self) -> int:
        """Return the number of records that Kafka has not confirmed."""
        return len(self._pending)

    def hand_over(self, topic: str, key: bytes, value: bytes, *, partition: int = -1, feed_time_ms: int | None = None) -> bool:
        """Give the client a record (a tick has a `feed_time_ms`); return False when it has no room.

        The record is dated by the process's clock, which does not step back: Spark compares it with the receive time.
        """
        delivery = _Delivery(self, feed_time_ms)
        record: dict[str, Any] = {"value": value, "key": key, "on_delivery": delivery, "timestamp": self._now_ms()}
        if partition >= 0:
            record["partition"] = partition
        try:
            self._client.produce(topic, **record)
        except BufferError:
            text = f"Kafka at {self._brokers} accepts no records: they go to the spool on disk"
            self._notices.tell("full", logging.WARNING, text)
            return False
        self.handed_over += 1
        self._pending.append((self.handed_over, self._clock(), delivery))
        if feed_time_ms is not None:
            self._ticks.append(delivery)
        return True

    def poll(self, timeout_seconds: float = 0.0) -> None:
        """Serve acknowledgements."""
        self._client.poll(timeout_seconds)
        while self._pending and self._pending[0][2].done:
            self.acknowledged = self._pending.popleft()[0]

    def is_in_span(self, feed_time_ms: int) -> bool:
        """Return whether a tick is near enough in feed time to the oldest one that Kafka has not confirmed."""
        oldest_ms = self._oldest_tick_ms()
        if oldest_ms is None or feed_time_ms - oldest_ms <= self._span_ms:
            return True
        self._client.poll(0)
        oldest_ms = self._oldest_tick_ms()
        return oldest_ms is None or feed_time_ms - oldest_ms <= self._span_ms

    def oldest_unacknowledged_seconds(self) -> float:
        """Return the age of the oldest record that Kafka has not confirmed; 0 when all are. Safe from any thread."""
        try:
            return self._clock() - self._pending[0][1]
        except IndexError:
            return 0.0

    def unconfirmed_seconds(self) -> float:
        """Return for how long records have waited and none was confirmed."""
        return min(self.oldest_unacknowledged_seconds(), self._clock() - self._confirmed_at)

    def partitions(self) -> int:
        """Return the number of partitions of the tick topic; 0 while Kafka does not say."""
        if self._partitions == 0:
            try:
                topic = self._client.list_topics(topics.TICKS, timeout=2.0).topics[topics.TICKS]
            except KafkaException:
                return 0
            self._partitions = len(topic.partitions)
        return self._partitions

    def give_up(self) -> list[Spooled]:
        """Give up unstored records; return those that must be kept: ticks that were never sent, and events and rejects.

        A tick that is being sent may be stored; if it is not, the next tick includes its volume. A lost event cannot be
        recovered.
        """
        self._client.purge()
        self._client.poll(0)
        left, self._left = self._left, []
        return left

    def _oldest_tick_ms(self) -> int | None:
        while self._ticks and self._ticks[0].done:
            self._ticks.popleft()
        return self._ticks[0].feed_time_ms if self._ticks else None

    def _delivered(self, delivery: _Delivery, error: KafkaError | None, message: Message) -> None:
        if error is None:
            self._stored(delivery, message)
        elif error.fatal():
            self.fatal = error.str()
        elif error.code() in (KafkaError._PURGE_QUEUE, KafkaError._PURGE_INFLIGHT):
            self._purged(error.code() == KafkaError._PURGE_QUEUE, message)
        else:
            self.records_refused += 1
            text = f"Kafka refused a record of {message.topic()}: {error.str()}{_CURES.get(error.code(), '')}"
            self._notices.tell("refused", logging.ERROR, text)
            if delivery.feed_time_ms is not None:
                self.fatal = text

    def _stored(self, delivery: _Delivery, message: Message) -> None:
        self._confirmed_at = self._clock()
        if self._unreachable_since is not None:
            log.info("Kafka at %s answers again after %.0f s", self._brokers, self._clock() - self._unreachable_since)
            self._unreachable_since = None
        self.records_stored += 1
        if message.topic() == topics.TICKS:
            partition, offset = message.partition(), message.offset()
            if partition is not None and offset is not None:
                self.positions[str(partition)] = offset + 1
        if delivery.feed_time_ms is not None:
            self.ticks_stored += 1
            if delivery.feed_time_ms and self._on_tick_stored is not None:
                self._on_tick_stored(delivery.feed_time_ms)

    def _purged(self, never_sent: bool, message: Message) -> None:
        topic, key, value = message.topic(), message.key(), message.value()
        if topic is None or value is None:
            return
        is_tick = topic == topics.TICKS and key != HEARTBEAT_KEY.encode() and never_sent
        if is_tick or topic in _KEPT:
            self._left.append(Spooled(topic, key or b"", value))

    def _on_error(self, error: KafkaError) -> None:
        if error.fatal():
            self.fatal = error.str()
        elif error.code() == KafkaError._ALL_BROKERS_DOWN:
            if self._unreachable_since is None:
                self._unreachable_since = self._clock()
            unreachable_seconds = self._clock() - self._unreachable_since
            text = f"Kafka at {self._brokers} is not reachable for {unreachable_seconds:.0f} s; ticks are kept until it is"
            self._notices.tell("down", logging.WARNING, text)
