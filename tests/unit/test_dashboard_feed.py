"""Where the Kafka feed starts to read, and what it does with records and failures; the consumer is a hand-written fake."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import orjson
import pytest
from confluent_kafka import KafkaError, KafkaException, TopicPartition

from orderflow.clusters import KafkaCluster
from orderflow.dashboard.sources import kafka
from orderflow.dashboard.state.store import Store
from orderflow.market import topics
from tests.unit.test_dashboard_store import KEY, OPEN_MS, final, trade

DAY_MS = 86_400_000
Log = dict[str, list[tuple[int, bytes | None]]]


class FakeMessage:
    def __init__(self, topic: str, offset: int, entry: tuple[int, bytes | None]) -> None:
        self._topic, self._offset, self._entry = topic, offset, entry

    def error(self) -> None:
        return None

    def topic(self) -> str:
        return self._topic

    def partition(self) -> int:
        return 0

    def value(self) -> bytes | None:
        return self._entry[1]

    def timestamp(self) -> tuple[int, int]:
        return 1, self._entry[0]


class FakeConsumer:
    """One partition a topic, held in memory as (timestamp, value)."""

    def __init__(self, log: Log, failures: list[KafkaException]) -> None:
        self._log, self._failures = log, failures
        self._positions: dict[str, int] = {}
        self.assigned: list[dict[str, int]] = []

    def list_topics(self, timeout: float) -> Any:
        if self._failures:
            raise self._failures.pop(0)
        return SimpleNamespace(topics={name: SimpleNamespace(partitions={0: None}) for name in self._log})

    def get_watermark_offsets(self, place: TopicPartition, timeout: float = 0, cached: bool = False) -> tuple[int, int]:
        return 0, len(self._log[place.topic])

    def offsets_for_times(self, wanted: list[TopicPartition], timeout: float) -> list[TopicPartition]:
        offsets = []
        for place in wanted:
            later = [index for index, (moment, _) in enumerate(self._log[place.topic]) if moment >= place.offset]
            offsets.append(TopicPartition(place.topic, 0, later[0] if later else -1))
        return offsets

    def assign(self, wanted: list[TopicPartition]) -> None:
        self._positions = {place.topic: place.offset for place in wanted}
        self.assigned.append(dict(self._positions))

    def incremental_assign(self, wanted: list[TopicPartition]) -> None:
        self._positions |= {place.topic: place.offset for place in wanted}

    def unassign(self) -> None:
        self._positions = {}

    def position(self, wanted: list[TopicPartition]) -> list[TopicPartition]:
        return [TopicPartition(place.topic, 0, self._positions.get(place.topic, -1001)) for place in wanted]

    def consume(self, count: int, timeout: float) -> list[FakeMessage]:
        batch: list[FakeMessage] = []
        for name, position in self._positions.items():
            new = self._log[name][position : position + count]
            batch += [FakeMessage(name, position + index, entry) for index, entry in enumerate(new)]
            self._positions[name] = position + len(new)
        return batch

    def poll(self, timeout: float) -> FakeMessage | None:
        for name, position in self._positions.items():
            if position < len(self._log[name]):
                self._positions[name] += 1
                return FakeMessage(name, position, self._log[name][position])
        threading.Event().wait(0.002)
        return None

    def close(self) -> None:
        self._positions = {}


def entry(record: tuple[str, dict[str, Any]], sent_ms: int) -> tuple[int, bytes]:
    return sent_ms, orjson.dumps(record[1])


def until(condition: Callable[[], Any]) -> None:
    deadline = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.002)


def day_before_and_day(now_ms: int) -> Log:
    """Two candles of the day before, three of the day, trades of the day's first and last minutes, and ticks."""
    return {
        topics.ORDERFLOW: [
            *[entry(final(minute, 90, 91, 89, 90, 1, 1), OPEN_MS - DAY_MS) for minute in (-1440, -1439)],
            *[entry(final(minute, 100, 101, 99, 100, 5, 5), OPEN_MS + minute * 60_000) for minute in (0, 1, 30)],
        ],
        topics.TRADES: [
            entry(trade(0, 100.0, 1, 0, 1), OPEN_MS),
            entry(trade(31 * 60_000, 100.5, 2, 0, 3), OPEN_MS + 31 * 60_000),
        ],
        topics.TICKS: [(OPEN_MS, b"{not json"), (OPEN_MS, b"[]"), (OPEN_MS, None)],
    }


def run(
    monkeypatch: pytest.MonkeyPatch, log: Log, failures: list[KafkaException], check: Callable[[Store], Any]
) -> tuple[Store, FakeConsumer]:
    made: list[FakeConsumer] = []

    def consumer(_configuration: dict[str, Any], logger: Any) -> FakeConsumer:
        made.append(FakeConsumer(log, failures))
        return made[-1]

    return run_with(monkeypatch, consumer, check), made[-1]


def run_with(monkeypatch: pytest.MonkeyPatch, consumer: Callable[..., FakeConsumer], check: Callable[[Store], Any]) -> Store:
    monkeypatch.setattr(kafka, "Consumer", consumer)
    monkeypatch.setattr(kafka, "RETRY_SECONDS", 0.01)
    store = Store(lambda: OPEN_MS + 32 * 60_000)
    reader = kafka.KafkaFeed(KafkaCluster("broker:9092"), store)
    reader.start()
    try:
        until(lambda: check(store))
    finally:
        reader.stop()
    assert not reader.broken
    return store


def test_feed_when_it_starts_reads_the_last_day_and_only_the_newest_trades(monkeypatch: pytest.MonkeyPatch) -> None:
    store, consumer = run(monkeypatch, day_before_and_day(OPEN_MS), [], lambda store: store.caught_up)
    assert consumer.assigned[-1] == {topics.ORDERFLOW: 2, topics.TRADES: 1, topics.TICKS: 0}
    instrument = store.instruments[KEY]
    assert [instrument.minutes[start].final for start in instrument.starts] == [True, True, True, False]
    assert dict(store.rejected) == {topics.TICKS: 2}


def test_feed_when_nothing_is_there_waits_and_takes_what_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    log: Log = {topics.TRADES: []}

    def check(store: Store) -> bool:
        if store.caught_up and not log[topics.TRADES]:
            log[topics.TRADES].append(entry(trade(0, 100.0, 1, 0, 1), OPEN_MS))
        return KEY in store.instruments

    store, _ = run(monkeypatch, log, [], check)
    assert store.source_error is None


def test_feed_when_kafka_is_away_says_so_and_starts_once_it_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str | None] = []

    def check(store: Store) -> bool:
        seen.append(store.source_error)
        return store.caught_up and KEY in store.instruments

    failure = KafkaException(KafkaError(KafkaError._TRANSPORT, "no broker"))
    store, _ = run(monkeypatch, day_before_and_day(OPEN_MS), [failure] * 3, check)
    assert any(words is not None and "broker:9092" in words for words in seen)
    assert store.source_error is None


class StrandedConsumer(FakeConsumer):
    """Lists the topics once and finds no broker afterwards, as after a restart of the only broker."""

    def list_topics(self, timeout: float) -> Any:
        if self.assigned:
            raise KafkaException(KafkaError(KafkaError._TRANSPORT, "Failed to get metadata"))
        return super().list_topics(timeout)


def test_feed_when_its_consumer_finds_no_broker_any_more_then_another_goes_on_where_it_stopped(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(kafka, "CHECK_SECONDS", 0.01)
    log = day_before_and_day(OPEN_MS)
    made: list[FakeConsumer] = []

    def consumer(_configuration: dict[str, Any], logger: Any) -> FakeConsumer:
        made.append(FakeConsumer(log, []) if made else StrandedConsumer(log, []))
        return made[-1]

    store = run_with(monkeypatch, consumer, lambda store: len(made) == 2 and made[1].assigned and store.source_error is None)
    assert made[1].assigned == [{topics.ORDERFLOW: 5, topics.TRADES: 2, topics.TICKS: 3}]
    assert store.caught_up


class BrokenConsumer(FakeConsumer):
    """One that Kafka ends with an error once it reads more than the one topic that a time is looked up in."""

    def consume(self, count: int, timeout: float) -> list[FakeMessage]:
        if len(self._positions) == 1:
            return super().consume(count, timeout)
        raise KafkaException(KafkaError(KafkaError._TRANSPORT, "broken"))


def test_feed_when_reading_ends_by_an_error_then_the_next_consumer_finds_its_place_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    log = day_before_and_day(OPEN_MS)
    made: list[FakeConsumer] = []

    def consumer(_configuration: dict[str, Any], logger: Any) -> FakeConsumer:
        if made:
            log[topics.ORDERFLOW].append(entry(final(1440, 100, 101, 99, 100, 5, 5), OPEN_MS + DAY_MS))
        made.append(FakeConsumer(log, []) if made else BrokenConsumer(log, []))
        return made[-1]

    run_with(monkeypatch, consumer, lambda _store: len(made) == 2 and made[1].assigned and len(made[1].assigned[-1]) == 3)
    assert [consumer.assigned[-1][topics.ORDERFLOW] for consumer in made] == [2, 5]
