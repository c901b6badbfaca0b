"""Publishes ticks, events, rejects and instrument states to Kafka, in order, each once, without ever blocking.

The producer is idempotent with acks=all and its messages never expire, since an expired one may be stored already and
sending it again would double it. It is given no more feed time at once than a part of the watermark: the partitions are sent
independently, and would otherwise differ by all that had waited. Past that span, or when its bounded memory is full, records
go to the spool on disk, and only those: they were never handed over. They follow in order, span by span, as Kafka confirms.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import orjson
from confluent_kafka import KafkaError, KafkaException, Message, Producer

from orderflow.broker.lookout import Lookout, leaders_answer
from orderflow.broker.spool import Spool, Spooled
from orderflow.market import topics
from orderflow.market.errors import OrderflowError
from orderflow.market.tick import HEARTBEAT_KEY, Tick, tick_record

log = logging.getLogger(__name__)

_DRAIN_BATCH: Final = 2_000
_MOST_IN_PRODUCER: Final = 20_000
_FEED_TIME: Final = b'"feed_time_ms":'
_TELL_EVERY_SECONDS: Final = 10.0
_STATE_EVERY_SECONDS: Final = 1.5
_REFUSED: Final = (KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.INVALID_MSG, KafkaError.UNKNOWN_TOPIC_OR_PART)


@dataclass(slots=True)
class PublisherFigures:
    """Counters since the start."""

    ticks_acknowledged: int = 0
    records_acknowledged: int = 0
    records_refused: int = 0
    ticks_refused_by_spool: int = 0
    records_spooled: int = 0


class _Pending:
    """One record handed to the producer; its number orders acknowledgements."""

    __slots__ = ("done", "feed_time_ms", "is_tick", "owner")

    def __init__(self, owner: KafkaTickPublisher, is_tick: bool, feed_time_ms: int) -> None:
        self.owner = owner
        self.is_tick = is_tick
        self.feed_time_ms = feed_time_ms
        self.done = False

    def __call__(self, error: KafkaError | None, message: Message) -> None:
        self.done = True
        self.owner._delivered(self, error, message)


class KafkaTickPublisher:
    """One idempotent producer and its spool; use it from one thread, and call `poll` often (it serves the callbacks).

    `on_tick_acknowledged(feed_time_ms)` is called for every tick that Kafka has stored. Unconfirmed ticks are at most `span_ms`
    of feed time apart, so that no partition of the topic is further behind another.
    """

    def __init__(
        self,
        brokers: str,
        spool: Spool,
        owner: str,
        *,
        on_tick_acknowledged: Callable[[int], None] | None = None,
        memory_bytes: int = 64 << 20,
        span_ms: int = 30_000,
        options: dict[str, Any] | None = None,
        lookout: Lookout | None = None,
    ) -> None:
        self._lookout = lookout or Lookout(partial(leaders_answer, brokers))
        self._producer = Producer(
            {
                "bootstrap.servers": brokers,
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
                "error_cb": self._on_error,
                "log_level": 2,
                **(options or {}),
            }
        )
        self._brokers = brokers
        self._spool = spool
        self._owner = owner
        self._on_tick_acknowledged = on_tick_acknowledged
        self._span_ms = span_ms
        self._pending: deque[tuple[int, float, _Pending]] = deque()
        self._ticks_pending: deque[_Pending] = deque()
        self._spooling_since: float | None = None
        self._handed_over = 0
        self._acknowledged = 0
        self._draining_until = -1
        self._held: deque[Spooled] = deque()
        self._never_sent: list[Spooled] = []
        self._positions: dict[str, int] = {}
        self._changed: dict[str, Callable[[], dict[str, Any]]] = {}
        self._flushing: tuple[int, list[tuple[str, bytes]]] | None = None
        self._flushed_at = 0.0
        self._told: dict[str, float] = {}
        self._fatal: str | None = None
        self._confirmed_at = time.monotonic()
        self._partitions = 0
        self._unreachable_since: float | None = None
        self.figures = PublisherFigures()

    def tick(self, tick: Tick) -> bool:
        """Publish a tick keyed by its instrument; return False when neither the producer nor the spool could take it."""
        key, value = tick.instrument_key.encode(), orjson.dumps(tick_record(tick))
        taken = self._publish(topics.TICKS, key, value, is_tick=True, feed_time_ms=tick.feed_time_ms)
        if not taken:
            self.figures.ticks_refused_by_spool += 1
            self._tell("spool full", logging.ERROR, "the spool is full: a tick could not be kept; its volume joins the next one")
        return taken

    def heartbeat(self, tick: Tick) -> None:
        """Publish a heartbeat to every partition of the tick topic; it is never spooled, and left out ahead of the span."""
        if not self._is_in_span(tick.feed_time_ms):
            return
        value = orjson.dumps(tick_record(tick))
        for partition in range(self._partition_count()):
            self._hand_over(topics.TICKS, HEARTBEAT_KEY.encode(), value, partition=partition)

    def event(self, record: dict[str, Any]) -> None:
        """Publish one record of the gap ledger."""
        self._publish(topics.FEED_EVENTS, (record.get("instrument_key") or "").encode(), orjson.dumps(record))

    def reject(self, record: dict[str, Any]) -> None:
        """Publish something that could not be used."""
        self._publish(topics.REJECTS, record["source"].encode(), orjson.dumps(record))

    def state(self, key: str, record: Callable[[], dict[str, Any]]) -> None:
        """Remember that the state under `key` changed; it is published once all before it is acknowledged."""
        self._changed[key] = record

    def backlog_number(self) -> int:
        """Return the number of the last record handed over or spooled, for `is_acknowledged`."""
        return self._handed_over

    def is_acknowledged(self, number: int) -> bool:
        """Say whether every record up to `number` is stored and nothing waits in the spool."""
        return self._acknowledged >= number and not self.is_spooling

    @property
    def is_spooling(self) -> bool:
        """Say whether records wait in the spool."""
        return self._spool.waiting > 0 or bool(self._held)

    def spooling_seconds(self) -> float:
        """Return for how long records have waited in the spool without a break; 0 when none do. Safe from any thread."""
        since = self._spooling_since
        return 0.0 if since is None else time.monotonic() - since

    def has_room(self, feed_time_ms: int) -> bool:
        """Say whether a tick of this feed time would go straight to Kafka rather than to the spool."""
        return not self.is_spooling and len(self._producer) < _MOST_IN_PRODUCER and self._is_in_span(feed_time_ms)

    @property
    def spool_bytes(self) -> int:
        """Return the size of the spool on disk."""
        return self._spool.size_bytes

    @property
    def ticks_acknowledged(self) -> int:
        """Return the number of ticks that Kafka has stored."""
        return self.figures.ticks_acknowledged

    def oldest_unacknowledged_seconds(self) -> float:
        """Return the age of the oldest record that Kafka has not confirmed; 0 when all are. Safe from any thread."""
        try:
            return time.monotonic() - self._pending[0][1]
        except IndexError:
            return 0.0

    def poll(self) -> None:
        """Serve acknowledgements, drain the spool and flush states. Raises OrderflowError after a fatal producer error."""
        self._producer.poll(0)
        while self._pending and self._pending[0][2].done:
            self._acknowledged = self._pending.popleft()[0]
        if self._lookout.is_stranded(min(self.oldest_unacknowledged_seconds(), time.monotonic() - self._confirmed_at)):
            self._keep_unsent()
            self._fatal = "nothing was confirmed for a minute in which Kafka answered others"
        if self._fatal:
            raise OrderflowError(
                f"the Kafka producer cannot go on ({self._fatal}); the process ends and resumes from what is stored"
            )
        if self.is_spooling:
            self._spool.flush()
            self._drain()
        elif self._draining_until >= 0 and self._acknowledged >= self._draining_until:
            self._spool.release()
            self._draining_until = -1
            self._spooling_since = None
            self._tell("drained", logging.INFO, "the spool is drained: everything in it is stored in Kafka")
        self._flush_states()

    def close(self, timeout_seconds: float) -> None:
        """Wait for acknowledgements up to `timeout_seconds`, flush the states, keep on disk what was never sent."""
        deadline = time.monotonic() + timeout_seconds
        while time.monotonic() < deadline:
            self._flushed_at = 0.0
            self.poll()
            if not self._pending and not self._changed and self._flushing is None and not self.is_spooling:
                break
            self._producer.poll(0.05)
        left = len(self._pending)
        if left or self.is_spooling:
            log.warning(
                "Kafka at %s did not confirm %d records in %.0f s; %d more wait on disk. The next start continues from what is "
                "stored: volume is not lost",
                self._brokers,
                left,
                timeout_seconds,
                self._spool.waiting,
            )
        self._keep_unsent()
        self._spool.close()

    def _keep_unsent(self) -> None:
        """Move what the producer holds and never sent to the head of the spool."""
        self._producer.purge()
        self._producer.poll(0)
        self._spool.put_first(self._never_sent)
        self._never_sent = []
        self._spool.flush()

    def _publish(self, topic: str, key: bytes, value: bytes, *, is_tick: bool = False, feed_time_ms: int = 0) -> bool:
        if (
            not self.is_spooling
            and (not is_tick or self._is_in_span(feed_time_ms))
            and self._hand_over(topic, key, value, is_tick=is_tick, feed_time_ms=feed_time_ms)
        ):
            return True
        if not self._spool.append(Spooled(topic, key, value)):
            return False
        self.figures.records_spooled += 1
        if self._spooling_since is None:
            self._spooling_since = time.monotonic()
        return True

    def _is_in_span(self, feed_time_ms: int) -> bool:
        """Say whether a tick is near enough in feed time to the oldest one that Kafka has not confirmed."""
        oldest_ms = self._oldest_tick_ms()
        if oldest_ms is None or feed_time_ms - oldest_ms <= self._span_ms:
            return True
        self._producer.poll(0)
        oldest_ms = self._oldest_tick_ms()
        return oldest_ms is None or feed_time_ms - oldest_ms <= self._span_ms

    def _oldest_tick_ms(self) -> int | None:
        while self._ticks_pending and self._ticks_pending[0].done:
            self._ticks_pending.popleft()
        return self._ticks_pending[0].feed_time_ms if self._ticks_pending else None

    def _hand_over(
        self, topic: str, key: bytes, value: bytes, *, partition: int = -1, is_tick: bool = False, feed_time_ms: int = 0
    ) -> bool:
        pending = _Pending(self, is_tick, feed_time_ms)
        try:
            if partition >= 0:
                self._producer.produce(topic, value, key, partition, on_delivery=pending)
            else:
                self._producer.produce(topic, value, key, on_delivery=pending)
        except BufferError:
            self._tell("full", logging.WARNING, f"Kafka at {self._brokers} takes no records: they go to the spool on disk")
            return False
        self._handed_over += 1
        self._pending.append((self._handed_over, time.monotonic(), pending))
        if is_tick:
            self._ticks_pending.append(pending)
        return True

    def _drain(self) -> None:
        """Hand over from the spool while the span and the producer have room; order is kept, since new records join its end."""
        if len(self._producer) > _MOST_IN_PRODUCER or self.oldest_unacknowledged_seconds() > 10.0:
            return
        self._held.extend(self._spool.take(_DRAIN_BATCH - len(self._held)))
        while self._held:
            record = self._held[0]
            is_tick = record.topic == topics.TICKS
            feed_time_ms = _feed_time_ms(record.value) if is_tick else 0
            if is_tick and not self._is_in_span(feed_time_ms):
                break
            if not self._hand_over(record.topic, record.key, record.value, is_tick=is_tick, feed_time_ms=feed_time_ms):
                break
            self._held.popleft()
        self._draining_until = self._handed_over

    def _delivered(self, pending: _Pending, error: KafkaError | None, message: Message) -> None:
        if error is None:
            self._confirmed_at = time.monotonic()
            if self._unreachable_since is not None:
                log.info("Kafka at %s answers again after %.0f s", self._brokers, time.monotonic() - self._unreachable_since)
                self._unreachable_since = None
            self.figures.records_acknowledged += 1
            if message.topic() == topics.TICKS:
                partition, offset = message.partition(), message.offset()
                if partition is not None and offset is not None:
                    self._positions[str(partition)] = offset + 1
            if pending.is_tick:
                self.figures.ticks_acknowledged += 1
                if pending.feed_time_ms and self._on_tick_acknowledged is not None:
                    self._on_tick_acknowledged(pending.feed_time_ms)
        elif error.fatal():
            self._fatal = error.str()
        elif error.code() == KafkaError._PURGE_QUEUE:
            topic, key, value = message.topic(), message.key(), message.value()
            if topic == topics.TICKS and key != HEARTBEAT_KEY.encode() and key is not None and value is not None:
                self._never_sent.append(Spooled(topic, key, value))
        elif error.code() != KafkaError._PURGE_INFLIGHT:
            self.figures.records_refused += 1
            cure = "; run `python -m orderflow setup topics`" if error.code() == KafkaError.UNKNOWN_TOPIC_OR_PART else ""
            text = f"Kafka refused a record of {message.topic()}: {error.str()}{cure}"
            self._tell("refused", logging.ERROR, text)
            if pending.is_tick:
                self._fatal = text

    def _flush_states(self) -> None:
        """Publish changed states, each flush only after every record that it includes is stored, and where ticks then ended."""
        if self._flushing is not None:
            number, records = self._flushing
            if self._acknowledged < number:
                return
            self._flushing = None
            for key, value in records:
                self._hand_over(topics.INSTRUMENT_STATE, key.encode(), value)
        if self._changed and not self.is_spooling and time.monotonic() - self._flushed_at >= _STATE_EVERY_SECONDS:
            self._flushed_at = time.monotonic()
            records = [(key, orjson.dumps({**record(), "owner": self._owner})) for key, record in self._changed.items()]
            records.append((f"positions|{self._owner}", orjson.dumps({"positions": self._positions})))
            self._changed.clear()
            self._flushing = (self._handed_over, records)

    def _partition_count(self) -> int:
        if self._partitions == 0:
            try:
                found = self._producer.list_topics(topics.TICKS, timeout=2.0).topics[topics.TICKS]
            except KafkaException:
                return 0
            self._partitions = len(found.partitions)
        return self._partitions

    def _on_error(self, error: KafkaError) -> None:
        if error.fatal():
            self._fatal = error.str()
        elif error.code() == KafkaError._ALL_BROKERS_DOWN:
            if self._unreachable_since is None:
                self._unreachable_since = time.monotonic()
            away = time.monotonic() - self._unreachable_since
            self._tell(
                "down", logging.WARNING, f"Kafka at {self._brokers} is not reachable for {away:.0f} s; ticks are kept until it is"
            )

    def _tell(self, subject: str, level: int, text: str) -> None:
        now = time.monotonic()
        if now - self._told.get(subject, -_TELL_EVERY_SECONDS) >= _TELL_EVERY_SECONDS:
            self._told[subject] = now
            log.log(level, "%s", text)


def _feed_time_ms(value: bytes) -> int:
    """Return the feed time of a tick's JSON without parsing all of it."""
    at = value.index(_FEED_TIME) + len(_FEED_TIME)
    end = at
    while value[end : end + 1].isdigit():
        end += 1
    return int(value[at:end])
