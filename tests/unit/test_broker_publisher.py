"""The publisher, whose producer is a hand-written one that can be full, slow or dead."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from confluent_kafka import KafkaError

from orderflow.broker import publisher as publishing
from orderflow.broker.lookout import Lookout
from orderflow.broker.publisher import KafkaTickPublisher
from orderflow.broker.spool import Spool
from orderflow.clusters import KafkaCluster
from orderflow.market import topics
from orderflow.market.errors import OrderflowError
from orderflow.market.tick import Tick, heartbeat_tick


class Stored:
    def __init__(self, topic: str, key: bytes, value: bytes, partition: int, offset: int) -> None:
        self._topic, self._key, self._value, self._partition, self._offset = topic, key, value, partition, offset

    def topic(self) -> str:
        return self._topic

    def key(self) -> bytes:
        return self._key

    def value(self) -> bytes:
        return self._value

    def partition(self) -> int:
        return self._partition

    def offset(self) -> int:
        return self._offset


class FakeProducer:
    """Keeps records until `acknowledge`; has room for `room` of them."""

    latest: FakeProducer
    purged_as = KafkaError._PURGE_QUEUE

    def __init__(self, options: dict[str, Any]) -> None:
        self.options = options
        self.room = 1_000_000
        self.waiting: list[tuple[str, bytes, bytes, int | None, Callable[[Any, Any], None]]] = []
        self.stored: list[tuple[str, bytes, bytes]] = []
        self.timestamps: list[int] = []
        FakeProducer.latest = self

    def produce(
        self,
        topic: str,
        *,
        value: bytes,
        key: bytes,
        partition: int | None = None,
        timestamp: int,
        on_delivery: Callable[[Any, Any], None],
    ) -> None:
        if len(self.waiting) >= self.room:
            raise BufferError
        self.timestamps.append(timestamp)
        self.waiting.append((topic, value, key, partition, on_delivery))

    def acknowledge(self, count: int = 10**9) -> None:
        for topic, value, key, partition, on_delivery in self.waiting[:count]:
            self.stored.append((topic, key, value))
            on_delivery(None, Stored(topic, key, value, partition or 0, len(self.stored) - 1))
        del self.waiting[:count]

    def fail(self, code: int, fatal: bool = False) -> None:
        for topic, value, key, _, on_delivery in self.waiting:
            on_delivery(KafkaError(code, "made up", fatal), Stored(topic, key, value, 0, -1))
        self.waiting.clear()

    def poll(self, timeout: float) -> None:
        pass

    def purge(self) -> None:
        self.fail(self.purged_as)

    def __len__(self) -> int:
        return len(self.waiting)


@pytest.fixture
def publisher(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[KafkaTickPublisher]:
    monkeypatch.setattr(publishing, "Producer", FakeProducer)
    spool = Spool(tmp_path, 1 << 20)
    made = KafkaTickPublisher(KafkaCluster("nowhere:1"), spool, "me", now_ms=lambda: 1_765_773_000_000)
    made._producer._partitions = 2
    yield made
    spool.close()


def tick(sequence: int, key: str = "NSE_EQ|X") -> Tick:
    return Tick(1, key, "update", sequence, 1000 + sequence, 2000, 1000 + sequence, "2025-12-15", vtt=sequence)


def tick_at(seconds: int) -> Tick:
    return Tick(1, "NSE_EQ|X", "update", seconds + 1, seconds * 1000, 0, seconds * 1000, "2025-12-15", vtt=seconds)


def handed_over(producer: FakeProducer) -> list[int]:
    return [orjson.loads(value)["feed_time_ms"] // 1000 for _, value, *_ in producer.waiting]


def sequences(records: list[tuple[str, bytes, bytes]]) -> list[int]:
    return [orjson.loads(value)["sequence"] for topic, _, value in records if topic == topics.TICKS]


def test_publisher_when_made_then_idempotent_with_all_acknowledgements_and_no_expiry(publisher: KafkaTickPublisher) -> None:
    options = FakeProducer.latest.options
    assert (options["enable.idempotence"], options["acks"], options["message.timeout.ms"]) == (True, "all", 0)


def test_ticks_when_the_producer_is_full_then_spooled_and_stored_in_order_each_once(publisher: KafkaTickPublisher) -> None:
    producer = FakeProducer.latest
    producer.room = 3
    assert all(publisher.tick(tick(number)) for number in range(1, 8))
    assert publisher.is_spooling
    assert publisher.figures.records_spooled == 4
    number = publisher.backlog_number()
    for _ in range(6):
        producer.acknowledge()
        publisher.poll()
        assert publisher.tick(tick(publisher.ticks_acknowledged + 100))
    producer.room = 100
    for _ in range(6):
        producer.acknowledge()
        publisher.poll()
    stored = sequences(producer.stored)
    assert stored[:7] == [1, 2, 3, 4, 5, 6, 7]
    assert len(stored) == len(set(stored)) == 13
    assert not publisher.is_spooling
    assert publisher.is_acknowledged(number)
    assert publisher.spool_bytes == 0


def test_ticks_when_kafka_confirms_nothing_then_the_producer_holds_no_more_than_the_span_of_feed_time(
    publisher: KafkaTickPublisher,
) -> None:
    producer = FakeProducer.latest
    assert all(publisher.tick(tick_at(seconds)) for seconds in (0, 10, 30, 31, 45, 100, 400))
    assert handed_over(producer) == [0, 10, 30]
    assert publisher.figures.records_spooled == 4
    publisher.heartbeat(heartbeat_tick(32_000, 32_000))
    assert handed_over(producer) == [0, 10, 30]


def test_spool_when_drained_then_each_span_waits_for_the_oldest_tick_to_be_confirmed(publisher: KafkaTickPublisher) -> None:
    producer = FakeProducer.latest
    for seconds in (0, 30, 31, 45, 60, 100, 400):
        publisher.tick(tick_at(seconds))
    producer.acknowledge(1)
    publisher.poll()
    assert handed_over(producer) == [30, 31, 45, 60]
    producer.acknowledge(3)
    publisher.poll()
    assert handed_over(producer) == [60]
    producer.acknowledge()
    publisher.poll()
    assert handed_over(producer) == [100]
    producer.acknowledge()
    publisher.poll()
    assert handed_over(producer) == [400]
    assert publisher.spooling_seconds() > 0
    producer.acknowledge()
    publisher.poll()
    assert (publisher.is_spooling, publisher.spool_bytes, publisher.spooling_seconds()) == (False, 0, 0.0)
    assert [orjson.loads(value)["feed_time_ms"] // 1000 for _, _, value in producer.stored] == [0, 30, 31, 45, 60, 100, 400]


def test_room_when_a_tick_is_beyond_the_span_or_others_wait_then_there_is_none(publisher: KafkaTickPublisher) -> None:
    assert publisher.has_room(10**9)
    publisher.tick(tick_at(0))
    assert (publisher.has_room(30_000), publisher.has_room(30_001)) == (True, False)
    publisher.tick(tick_at(31))
    assert not publisher.has_room(1_000)


def test_tick_when_the_spool_is_full_too_then_refused_and_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publishing, "Producer", FakeProducer)
    spool = Spool(tmp_path, 300)
    publisher = KafkaTickPublisher(KafkaCluster("nowhere:1"), spool, "me")
    FakeProducer.latest.room = 0
    assert [publisher.tick(tick(number)) for number in range(1, 5)] == [True, False, False, False]
    assert publisher.figures.ticks_refused_by_spool == 3
    spool.close()


def test_heartbeat_when_sent_then_one_record_in_each_partition_and_never_spooled(publisher: KafkaTickPublisher) -> None:
    publisher.heartbeat(heartbeat_tick(5000, 5001))
    producer = FakeProducer.latest
    assert [(topic, key, partition) for topic, _, key, partition, _ in producer.waiting] == [
        (topics.TICKS, b"*", 0),
        (topics.TICKS, b"*", 1),
    ]
    producer.room = 0
    publisher.heartbeat(heartbeat_tick(6000, 6001))
    assert not publisher.is_spooling


def test_states_when_changed_then_stored_only_after_the_ticks_they_include_with_the_position(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publishing, "Producer", FakeProducer)
    spool, now = Spool(tmp_path, 1 << 20), [1_000.0]
    publisher = KafkaTickPublisher(KafkaCluster("nowhere:1"), spool, "me", clock=lambda: now[0])
    producer = FakeProducer.latest
    publisher.tick(tick(1))
    publisher.state("NSE_EQ|X", lambda: {"state": {"sequence": 1}})
    publisher.poll()
    assert [topic for topic, *_ in producer.waiting] == [topics.TICKS]
    producer.acknowledge()
    publisher.poll()
    states = {key: orjson.loads(value) for topic, value, key, *_ in producer.waiting if topic == topics.INSTRUMENT_STATE}
    assert states == {b"NSE_EQ|X": {"state": {"sequence": 1}, "owner": "me"}, b"positions|me": {"positions": {}}}
    producer.acknowledge()
    publisher.state("NSE_EQ|X", lambda: {"state": {"sequence": 2}})
    publisher.poll()
    assert producer.waiting == []
    now[0] += 1.5
    publisher.poll()
    publisher.poll()
    assert orjson.loads(producer.waiting[-1][1]) == {"positions": {"0": 1}}
    spool.close()


def test_publisher_when_the_producer_meets_a_fatal_error_then_the_process_is_asked_to_end(publisher: KafkaTickPublisher) -> None:
    publisher.tick(tick(1))
    FakeProducer.latest.fail(KafkaError.OUT_OF_ORDER_SEQUENCE_NUMBER, fatal=True)
    with pytest.raises(OrderflowError, match="resumes from what is stored"):
        publisher.poll()


class Kafka:
    """Answers other clients or not; looks are made at once."""

    def __init__(self) -> None:
        self.now = 1_000.0
        self.answers = True
        self.looks = 0

    def look(self) -> bool:
        self.looks += 1
        return self.answers

    def lookout(self) -> Lookout:
        return Lookout(self.look, clock=lambda: self.now, run=lambda call: call())


def test_lookout_when_kafka_answers_others_for_a_minute_then_the_producer_is_stranded() -> None:
    kafka = Kafka()
    lookout = kafka.lookout()
    answers = []
    for waited in range(0, 100, 5):
        kafka.now = 1_000.0 + waited
        answers.append((waited, lookout.is_stranded(waited)))
    assert [waited for waited, stranded in answers if stranded] == [80, 85, 90, 95]
    assert kafka.looks == 8


def test_lookout_when_kafka_is_away_or_confirms_then_it_counts_anew() -> None:
    kafka = Kafka()
    lookout = kafka.lookout()
    assert not lookout.is_stranded(30.0)
    kafka.now, kafka.answers = 1_050.0, False
    assert not lookout.is_stranded(80.0)
    kafka.now, kafka.answers = 1_070.0, True
    assert not lookout.is_stranded(100.0)
    kafka.now = 1_129.0
    assert not lookout.is_stranded(159.0)
    kafka.now = 1_131.0
    assert not lookout.is_stranded(3.0)
    kafka.now = 1_160.0
    assert not lookout.is_stranded(32.0)


def test_publisher_when_only_its_own_producer_finds_no_broker_then_it_keeps_its_ticks_and_the_process_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publishing, "Producer", FakeProducer)
    kafka = Kafka()
    spool = Spool(tmp_path, 1 << 20)
    publisher = KafkaTickPublisher(KafkaCluster("nowhere:1"), spool, "me", lookout=kafka.lookout())
    waits = iter([30.0, 91.0])
    monkeypatch.setattr(publisher._producer, "unconfirmed_seconds", lambda: next(waits))
    publisher.tick(tick(1))
    publisher.poll()
    kafka.now += 61.0
    with pytest.raises(OrderflowError, match="Kafka answered another client"):
        publisher.poll()
    spool.close()
    after = Spool(tmp_path, 1 << 20)
    assert [orjson.loads(item.value)["sequence"] for item in after.leftovers()] == [1]
    after.close()


def test_publisher_when_others_are_confirmed_then_one_old_record_does_not_end_the_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publishing, "Producer", FakeProducer)
    kafka = Kafka()
    publisher = KafkaTickPublisher(KafkaCluster("nowhere:1"), Spool(tmp_path, 1 << 20), "me", lookout=kafka.lookout())
    monkeypatch.setattr(publisher._producer, "oldest_unacknowledged_seconds", lambda: 500.0)
    publisher._producer._confirmed_at -= 1_000.0
    publisher.tick(tick(1))
    publisher.poll()
    FakeProducer.latest.acknowledge()
    kafka.now += 61.0
    publisher.poll()
    publisher.close(0.01)


def test_publisher_when_kafka_refuses_a_tick_then_the_process_ends_and_a_refused_event_is_only_counted(
    publisher: KafkaTickPublisher,
) -> None:
    publisher.event({"event": "connected", "at_ms": 1})
    FakeProducer.latest.fail(KafkaError.UNKNOWN_TOPIC_OR_PART)
    publisher.poll()
    assert publisher.records_refused == 1
    publisher.tick(tick(1))
    FakeProducer.latest.fail(KafkaError.UNKNOWN_TOPIC_OR_PART)
    with pytest.raises(OrderflowError, match="setup topics"):
        publisher.poll()


@pytest.mark.parametrize("code", [KafkaError.INVALID_RECORD, KafkaError.INVALID_TIMESTAMP])
def test_publisher_when_kafka_refuses_a_ticks_time_then_the_message_names_the_clock(
    publisher: KafkaTickPublisher, code: int
) -> None:
    publisher.tick(tick(1))
    FakeProducer.latest.fail(code)
    with pytest.raises(OrderflowError, match="this machine's clock may be more than an hour ahead of the broker's: set it"):
        publisher.poll()


@pytest.mark.parametrize("purged_as", [KafkaError._PURGE_QUEUE, KafkaError._PURGE_INFLIGHT])
def test_close_when_kafka_is_away_then_events_and_rejects_are_spooled_like_ticks(
    publisher: KafkaTickPublisher, tmp_path: Path, purged_as: int
) -> None:
    FakeProducer.latest.purged_as = purged_as
    publisher.event({"event": "disconnected", "at_ms": 1})
    publisher.reject({"reason": "bad_json", "source": "feed"})
    publisher.tick(tick(1))
    publisher.heartbeat(heartbeat_tick(5000, 5001))
    publisher.close(0.01)
    next_spool = Spool(tmp_path, 1 << 20)
    left = [item.topic for item in next_spool.leftovers()]
    next_spool.close()
    never_sent = [topics.TICKS] if purged_as == KafkaError._PURGE_QUEUE else []
    assert left == [topics.FEED_EVENTS, topics.REJECTS, *never_sent]


def test_records_when_handed_over_then_dated_by_the_clock_that_is_passed_in(publisher: KafkaTickPublisher) -> None:
    publisher.tick(tick(1))
    assert FakeProducer.latest.timestamps == [1_765_773_000_000]


def test_close_when_kafka_is_away_then_what_was_never_sent_is_first_in_the_spool(
    publisher: KafkaTickPublisher, tmp_path: Path
) -> None:
    FakeProducer.latest.room = 2
    for number in range(1, 5):
        publisher.tick(tick(number))
    publisher.close(0.01)
    next_spool = Spool(tmp_path, 1 << 20)
    left = list(next_spool.leftovers())
    next_spool.close()
    assert [orjson.loads(item.value)["sequence"] for item in left] == [1, 2, 3, 4]
