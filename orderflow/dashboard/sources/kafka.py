"""Reads the dashboard's topics from Kafka into the store, from the start of the last trading day on.

One thread, no consumer group: every plotter reads everything. librdkafka reconnects by itself, or is replaced; the thread
reports its state and never gives up. confluent-kafka is used because its consumer delivers a record sooner than
kafka-python's.
"""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
from collections.abc import Iterable
from typing import Any, Final

import orjson
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from orderflow.clusters import KafkaCluster
from orderflow.dashboard.state.store import Record, Store
from orderflow.market import topics
from orderflow.market.times import ist_date, midnight_ms

TOPICS: Final = (topics.ORDERFLOW, topics.FOOTPRINT, topics.TRADES, topics.TICKS, topics.FEED_EVENTS)
TICK_TAIL: Final = 5_000
EVENT_TAIL: Final = 1_000
LOOKBACK_SLACK_MS: Final = 4 * 60_000
BATCH: Final = 400
RETRY_SECONDS: Final = 1.0
QUIET_POLLS: Final = 5
POLL_SECONDS: Final = 0.1
METADATA_SECONDS: Final = 5.0
CHECK_SECONDS: Final = 10.0
# A client that asks a broker that is shutting down may get an empty list of brokers, and never look for one again #
# (confluentinc/librdkafka#5301): after this many checks in a row without an answer, a new client continues at its
# position.
LOST_AFTER_CHECKS: Final = 2

log = logging.getLogger(__name__)
librdkafka = log.getChild("librdkafka")
librdkafka.setLevel(logging.CRITICAL)  # it logs each attempt to reconnect as an error; `_on_error` reports the state once


class KafkaFeed:
    """Consumes the topics on a daemon thread until `stop`.

    Of the day's trades, it reads only those whose minute may not be final yet, by the processor's watermark.
    """

    def __init__(self, kafka: KafkaCluster, store: Store, watermark_seconds: int = 120) -> None:
        self._kafka = kafka
        self._store = store
        self._lookback_ms = watermark_seconds * 1000 + LOOKBACK_SLACK_MS
        self._stop = threading.Event()
        self._failed: str | None = None
        self._unanswered = 0
        self._broken = False
        self._thread = threading.Thread(target=self._run, name="kafka-feed", daemon=True)

    def start(self) -> None:
        """Start reading; returns at once, whether Kafka is up or not."""
        self._thread.start()

    def stop(self) -> None:
        """Stop and wait for the thread, at most 5 s."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(5)

    @property
    def broken(self) -> bool:
        """Return whether the thread ended unexpectedly; the process has then been asked to end as well."""
        return self._broken

    def _run(self) -> None:
        try:
            self._read()
        except Exception:
            log.exception("the Kafka feed failed; the process ends and is restarted")
            self._broken = True
            os.kill(os.getpid(), signal.SIGTERM)

    def _read(self) -> None:
        start: list[TopicPartition] = []
        while not self._stop.is_set():
            consumer = Consumer(self._configuration(), logger=librdkafka)
            try:
                start = start or self._positions(consumer)
                consumer.assign(start)
                start = self._consume(consumer, {(place.topic, place.partition): place.offset for place in start})
            except KafkaException as error:
                start = []
                self._report(f"{error.args[0]} (brokers {self._kafka}); retrying every {RETRY_SECONDS:g} s")
            finally:
                consumer.close()
            self._stop.wait(RETRY_SECONDS)

    def _consume(self, consumer: Consumer, start: dict[tuple[str, int], int]) -> list[TopicPartition]:
        """Read until the feed stops or the consumer is lost; return where the next one continues."""
        waiting = {
            place
            for place, offset in start.items()
            if consumer.get_watermark_offsets(TopicPartition(*place), METADATA_SECONDS)[1] > max(offset, 0)
        }
        checked = time.monotonic()
        self._unanswered = 0
        while not self._stop.is_set() and self._unanswered < LOST_AFTER_CHECKS:
            messages = consumer.consume(BATCH, POLL_SECONDS) if waiting else _one_then_all(consumer)
            if messages:
                self._failed = None
                self._store.apply(_records(messages, self._store))
                if waiting:
                    waiting -= _at_end(consumer, waiting)
                self._store.report_source(None, caught_up=not waiting)
            elif self._failed is not None or not waiting:
                self._store.report_source(self._failed, caught_up=not waiting)
            elif waiting:
                waiting -= _at_end(consumer, waiting)
                self._store.report_source(None, caught_up=not waiting)
            if time.monotonic() - checked > (CHECK_SECONDS if start else RETRY_SECONDS):
                checked = time.monotonic()
                self._check(consumer, start)
        reached = consumer.position([TopicPartition(*place) for place in start])
        return [
            place if place.offset >= 0 else TopicPartition(place.topic, place.partition, start[place.topic, place.partition])
            for place in reached
        ]

    def _check(self, consumer: Consumer, start: dict[tuple[str, int], int]) -> None:
        """Notice new partitions or topics, and that the brokers answer again."""
        try:
            present = {(place.topic, place.partition) for place in self._partitions(consumer)}
        except KafkaException as error:
            self._failed = f"{error.args[0]} (brokers {self._kafka}); reconnecting"
            self._unanswered += 1
            return
        self._failed = None
        self._unanswered = 0
        new = [TopicPartition(topic, partition, 0) for topic, partition in present - set(start)]
        if new:
            consumer.incremental_assign(new)
            start.update({(place.topic, place.partition): 0 for place in new})

    def _configuration(self) -> dict[str, Any]:
        return {
            **self._kafka.librdkafka(),
            "group.id": "orderflow-dashboard",
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            "fetch.wait.max.ms": 100,
            "fetch.min.bytes": 1,
            "fetch.error.backoff.ms": 50,
            "reconnect.backoff.ms": 100,
            "reconnect.backoff.max.ms": 1000,
            "queued.max.messages.kbytes": 16_384,
            "socket.nagle.disable": True,
            "error_cb": self._on_error,
            "log_level": 3,
        }

    def _on_error(self, error: KafkaError) -> None:
        if error.code() == KafkaError._ALL_BROKERS_DOWN:
            self._report(f"no broker of {self._kafka} answers; reconnecting")

    def _report(self, words: str) -> None:
        if self._failed != words:
            log.warning("%s", words)
        self._failed = words
        self._store.report_source(words, caught_up=self._store.caught_up)

    def _partitions(self, consumer: Consumer) -> list[TopicPartition]:
        known = consumer.list_topics(timeout=METADATA_SECONDS).topics
        return [TopicPartition(name, number) for name in TOPICS if name in known for number in known[name].partitions]

    def _positions(self, consumer: Consumer) -> list[TopicPartition]:
        partitions = self._partitions(consumer)
        ends = {(place.topic, place.partition): consumer.get_watermark_offsets(place, METADATA_SECONDS) for place in partitions}
        lasts = {
            name: _last_times(consumer, [place for place in partitions if place.topic == name], ends)
            for name in (topics.ORDERFLOW, topics.TRADES)
        }
        newest = max((moment for moments in lasts.values() for moment in moments), default=self._store.clock_ms())
        day = midnight_ms(newest)
        trades_from = max(day, min(lasts[topics.ORDERFLOW]) - self._lookback_ms) if lasts[topics.ORDERFLOW] else day
        from_times = {topics.ORDERFLOW: day, topics.FOOTPRINT: day, topics.TRADES: trades_from}
        tails = {topics.TICKS: TICK_TAIL, topics.FEED_EVENTS: EVENT_TAIL}
        by_time = [
            TopicPartition(each.topic, each.partition, from_times[each.topic]) for each in partitions if each.topic in from_times
        ]
        by_offset = consumer.offsets_for_times(by_time, METADATA_SECONDS) if by_time else []
        placed = [
            TopicPartition(each.topic, each.partition, each.offset if each.offset >= 0 else ends[(each.topic, each.partition)][1])
            for each in by_offset
        ]
        for place in partitions:
            if place.topic in tails:
                low, high = ends[(place.topic, place.partition)]
                placed.append(TopicPartition(place.topic, place.partition, max(low, high - tails[place.topic])))
        log.info("reading the day of %s from %s", ist_date(newest), self._kafka)
        return placed


def _one_then_all(consumer: Consumer) -> list[Message]:
    """Wait for one record, then take all others that are there without waiting: `consume(n)` alone would wait to fill n."""
    first = consumer.poll(POLL_SECONDS)
    return [] if first is None else [first, *consumer.consume(BATCH, 0)]


def _records(messages: Iterable[Message], store: Store) -> Iterable[tuple[str, Record]]:
    for message in messages:
        value = None if message.error() else message.value()
        if value is None:
            continue
        try:
            record = orjson.loads(value)
        except orjson.JSONDecodeError:
            store.rejected[message.topic()] += 1
            continue
        if isinstance(record, dict):
            yield message.topic(), record
        else:
            store.rejected[message.topic()] += 1


def _at_end(consumer: Consumer, waiting: set[tuple[str, int]]) -> set[tuple[str, int]]:
    done = set()
    positions = consumer.position([TopicPartition(topic, partition) for topic, partition in waiting])
    for position in positions:
        high = consumer.get_watermark_offsets(position, cached=True)[1]
        if high >= 0 and position.offset >= high:
            done.add((position.topic, position.partition))
    return done


def _last_times(consumer: Consumer, partitions: list[TopicPartition], ends: dict[tuple[str, int], tuple[int, int]]) -> list[int]:
    """Return the timestamp of the last record of each partition that has one."""
    held = [
        TopicPartition(place.topic, place.partition, ends[(place.topic, place.partition)][1] - 1)
        for place in partitions
        if ends[(place.topic, place.partition)][1] > ends[(place.topic, place.partition)][0]
    ]
    if not held:
        return []
    consumer.assign(held)
    times: dict[tuple[str, int], int] = {}
    for _ in range(QUIET_POLLS * 10):
        for message in consumer.consume(len(held) * 4, POLL_SECONDS):
            if not message.error():
                times[(message.topic(), message.partition())] = message.timestamp()[1]
        if len(times) == len(held):
            break
    consumer.unassign()
    return list(times.values())
