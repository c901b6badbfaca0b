"""Publishes ticks, events, rejects and instrument states to Kafka, in order, each once, without ever blocking.

The producer holds ticks of at most a part of the watermark in feed time: the partitions are sent independently, and
could otherwise be far apart after an outage. Beyond that span, or when the producer's memory is full, records go to the
spool on disk. Only records that were never passed to the producer go there. They are sent in order, span by span, as
Kafka confirms.
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
from confluent_kafka import KafkaError, Producer

from orderflow.broker.lookout import Lookout, leaders_answer
from orderflow.broker.notices import Notices
from orderflow.broker.producer import Client, RecordProducer, options
from orderflow.broker.spool import Spool, Spooled
from orderflow.broker.state_flush import StateFlush
from orderflow.clusters import KafkaCluster
from orderflow.market import topics
from orderflow.market.errors import OrderflowError
from orderflow.market.tick import HEARTBEAT_KEY, Tick, tick_record

log = logging.getLogger(__name__)

_DRAIN_BATCH: Final = 2_000
_MOST_IN_PRODUCER: Final = 20_000
_STUCK_SECONDS: Final = 10.0
_FEED_TIME: Final = b'"feed_time_ms":'

MakeClient = Callable[[Callable[[KafkaError], None]], Client]


@dataclass(slots=True)
class PublisherFigures:
    """Counters since the start."""

    ticks_refused_by_spool: int = 0
    records_spooled: int = 0


class KafkaTickPublisher:
    """One idempotent producer and its spool; use it from one thread, and call `poll` often (it serves the callbacks).

    `on_tick_acknowledged(feed_time_ms)` is called for every tick that Kafka has stored. Unconfirmed ticks are at most `span_ms`
    of feed time apart, so that no partition of the topic is further behind another. `make_client` and the clocks are for tests.
    """

    def __init__(
        self,
        kafka: KafkaCluster,
        spool: Spool,
        owner: str,
        *,
        on_tick_acknowledged: Callable[[int], None] | None = None,
        memory_bytes: int = 64 << 20,
        span_ms: int = 30_000,
        extra: dict[str, Any] | None = None,
        lookout: Lookout | None = None,
        make_client: MakeClient | None = None,
        clock: Callable[[], float] = time.monotonic,
        now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        self._brokers, self._spool, self._clock = kafka.brokers, spool, clock
        self._lookout = lookout or Lookout(partial(leaders_answer, kafka))

        def make(on_error: Callable[[KafkaError], None]) -> Client:
            client: Client = Producer({**options(kafka, owner, memory_bytes, on_error), **(extra or {})})
            return client

        self._producer = RecordProducer(
            kafka.brokers,
            make_client or make,
            span_ms=span_ms,
            now_ms=now_ms,
            clock=clock,
            on_tick_stored=on_tick_acknowledged,
        )
        self._states = StateFlush(owner)
        self._notices = Notices(log, clock)
        self._spooling_since: float | None = None
        self._draining_until = -1
        self._held: deque[Spooled] = deque()
        self.figures = PublisherFigures()

    def tick(self, tick: Tick) -> bool:
        """Publish a tick keyed by its instrument; return False when neither the producer nor the spool could take it."""
        key, value = tick.instrument_key.encode(), orjson.dumps(tick_record(tick))
        taken = self._publish(Spooled(topics.TICKS, key, value), tick.feed_time_ms)
        if not taken:
            self.figures.ticks_refused_by_spool += 1
            text = "the spool is full: a tick could not be kept; its volume is added to the next one"
            self._notices.tell("spool full", logging.ERROR, text)
        return taken

    def heartbeat(self, tick: Tick) -> None:
        """Publish a heartbeat to every partition of the tick topic; it is never spooled, and left out ahead of the span."""
        if not self._producer.is_in_span(tick.feed_time_ms):
            return
        value = orjson.dumps(tick_record(tick))
        for partition in range(self._producer.partitions()):
            self._producer.hand_over(topics.TICKS, HEARTBEAT_KEY.encode(), value, partition=partition)

    def event(self, record: dict[str, Any]) -> None:
        """Publish one record of the gap ledger."""
        self._publish(Spooled(topics.FEED_EVENTS, (record.get("instrument_key") or "").encode(), orjson.dumps(record)))

    def reject(self, record: dict[str, Any]) -> None:
        """Publish something that could not be used."""
        self._publish(Spooled(topics.REJECTS, record["source"].encode(), orjson.dumps(record)))

    def state(self, key: str, record: Callable[[], dict[str, Any]]) -> None:
        """Record that the state under `key` changed; it is published once all earlier records are acknowledged."""
        self._states.changed(key, record)

    def backlog_number(self) -> int:
        """Return the number of the last record handed over or spooled, for `is_acknowledged`."""
        return self._producer.handed_over

    def is_acknowledged(self, number: int) -> bool:
        """Return whether every record up to `number` is stored and nothing waits in the spool."""
        return self._producer.acknowledged >= number and not self.is_spooling

    @property
    def is_spooling(self) -> bool:
        """Return whether records wait in the spool."""
        return self._spool.waiting > 0 or bool(self._held)

    def spooling_seconds(self) -> float:
        """Return for how long records have waited in the spool without a break; 0 when none do. Safe from any thread."""
        since = self._spooling_since
        return 0.0 if since is None else self._clock() - since

    def has_room(self, feed_time_ms: int) -> bool:
        """Return whether a tick of this feed time would go straight to Kafka rather than to the spool."""
        return not self.is_spooling and len(self._producer) < _MOST_IN_PRODUCER and self._producer.is_in_span(feed_time_ms)

    @property
    def spool_bytes(self) -> int:
        """Return the size of the spool on disk."""
        return self._spool.size_bytes

    @property
    def ticks_acknowledged(self) -> int:
        """Return the number of ticks that Kafka has stored."""
        return self._producer.ticks_stored

    @property
    def records_refused(self) -> int:
        """Return the number of records that Kafka refused."""
        return self._producer.records_refused

    def oldest_unacknowledged_seconds(self) -> float:
        """Return the age of the oldest record that Kafka has not confirmed; 0 when all are. Safe from any thread."""
        return self._producer.oldest_unacknowledged_seconds()

    def poll(self) -> None:
        """Serve acknowledgements, drain the spool and flush states. Raises OrderflowError after a fatal producer error."""
        self._poll(flush_states=False)

    def close(self, timeout_seconds: float) -> None:
        """Wait for acknowledgements up to `timeout_seconds`, flush the states, keep on disk what was never sent."""
        deadline = self._clock() + timeout_seconds
        while self._clock() < deadline:
            self._poll(flush_states=True)
            if not self._producer.unconfirmed and self._states.is_empty and not self.is_spooling:
                break
            self._producer.poll(0.05)
        left = self._producer.unconfirmed
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

    def _poll(self, *, flush_states: bool) -> None:
        producer = self._producer
        producer.poll()
        if self._lookout.is_stranded(producer.unconfirmed_seconds()):
            self._keep_unsent()
            producer.fatal = "nothing was confirmed for a minute although Kafka answered another client"
        if producer.fatal:
            raise OrderflowError(
                f"the Kafka producer cannot continue ({producer.fatal}); the process ends and resumes from what is stored"
            )
        if self.is_spooling:
            self._spool.flush()
            self._drain()
        elif self._draining_until >= 0 and producer.acknowledged >= self._draining_until:
            self._spool.release()
            self._draining_until = -1
            self._spooling_since = None
            self._notices.tell("drained", logging.INFO, "the spool is drained: everything in it is stored in Kafka")
        self._states.publish(
            producer.acknowledged, lambda key, value: producer.hand_over(topics.INSTRUMENT_STATE, key.encode(), value)
        )
        if not self.is_spooling:
            self._states.begin(self._clock(), producer.handed_over, producer.positions, at_once=flush_states)

    def _keep_unsent(self) -> None:
        """Move records that the producer holds and Kafka may not have to the front of the spool."""
        self._spool.put_first(self._producer.give_up())
        self._spool.flush()

    def _publish(self, record: Spooled, feed_time_ms: int | None = None) -> bool:
        """Pass a record to the producer, or spool it; a tick has a feed time, to which the span applies."""
        producer = self._producer
        if (
            not self.is_spooling
            and (feed_time_ms is None or producer.is_in_span(feed_time_ms))
            and producer.hand_over(*record, feed_time_ms=feed_time_ms)
        ):
            return True
        if not self._spool.append(record):
            return False
        self.figures.records_spooled += 1
        if self._spooling_since is None:
            self._spooling_since = self._clock()
        return True

    def _drain(self) -> None:
        """Hand over from the spool while the span and the producer have room; order is kept, since new records join its end."""
        producer = self._producer
        if len(producer) > _MOST_IN_PRODUCER or producer.oldest_unacknowledged_seconds() > _STUCK_SECONDS:
            return
        self._held.extend(self._spool.take(_DRAIN_BATCH - len(self._held)))
        while self._held:
            record = self._held[0]
            feed_time_ms = _feed_time_ms(record.value) if record.topic == topics.TICKS else None
            if feed_time_ms is not None and not producer.is_in_span(feed_time_ms):
                break
            if not producer.hand_over(*record, feed_time_ms=feed_time_ms):
                break
            self._held.popleft()
        self._draining_until = producer.handed_over


def _feed_time_ms(value: bytes) -> int:
    """Return the feed time of a tick's JSON without parsing all of it."""
    at = value.index(_FEED_TIME) + len(_FEED_TIME)
    end = at
    while value[end : end + 1].isdigit():
        end += 1
    return int(value[at:end])
