"""Read back what is stored: the instrument states, and the ticks that are newer than them."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import orjson
from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from orderflow.market import topics
from orderflow.market.errors import OrderflowError

log = logging.getLogger(__name__)

_MARGIN_MS: Final = 60_000
_WITHOUT_STATE_MS: Final = 15 * 60_000
_PATIENCE_SECONDS: Final = 60.0
_CALL_SECONDS: Final = 20.0
_BATCH: Final = 2_000


@dataclass(slots=True)
class Stored:
    """What Kafka holds of the wanted instruments: states by key, and newer ticks by key in the order of the topic."""

    states: dict[str, dict[str, Any]] = field(default_factory=dict)
    ticks: dict[str, list[dict[str, Any]]] = field(default_factory=dict)


def read_stored(
    brokers: str, wanted: Callable[[str], bool], instrument_keys: Iterable[str], stopped: Callable[[], bool] = lambda: False
) -> Stored:
    """Return states whose key is `wanted`, and ticks of `instrument_keys` from where those states were flushed.

    A flush tells where the tick topic stood when it was made (`positions|owner`), so only the ticks since then are read;
    without it, those of the last quarter of an hour. Raises OrderflowError when Kafka stops answering half-way, or when
    told to stop.
    """
    keys = {key.encode() for key in instrument_keys}
    consumer = Consumer(
        {
            "bootstrap.servers": brokers,
            "group.id": "orderflow-resume",
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            "enable.partition.eof": True,
            "fetch.wait.max.ms": 50,
            "log_level": 2,
        }
    )
    stored = Stored()
    positions: dict[str, dict[str, int]] = {}
    began = time.monotonic()
    try:
        newest_ms = 0
        for key, value, timestamp_ms in _records(consumer, topics.INSTRUMENT_STATE, {}, stopped):
            name = key.decode(errors="replace")
            if value is None:
                stored.states.pop(name, None)
                continue
            record = _record(value)
            if record is not None and name.startswith("positions|") and isinstance(record.get("positions"), dict):
                positions[name.partition("|")[2]] = record["positions"]
            elif record is not None and wanted(name) and "owner" in record:
                stored.states[name] = record
                newest_ms = max(newest_ms, timestamp_ms)
            elif wanted(name):
                log.warning("a record of %s under %s is no state: it is left out", topics.INSTRUMENT_STATE, name)
        owners = {str(state.get("owner")) for state in stored.states.values()}
        starts = _starts(consumer, [positions[owner] for owner in owners if owner in positions], newest_ms) if keys else {}
        seen = 0
        for key, value, _ in _records(consumer, topics.TICKS, starts, stopped) if keys else ():
            seen += 1
            tick = _record(value) if key in keys else None
            if tick is not None:
                stored.ticks.setdefault(key.decode(), []).append(tick)
    except KafkaException as error:
        raise OrderflowError(f"Kafka at {brokers} stopped answering while states were read back: {error.args[0]}") from error
    finally:
        consumer.close()
    newer = sum(len(ticks) for ticks in stored.ticks.values())
    log.info(
        "read back %d states and %d newer ticks (of %d records) in %.1f s",
        len(stored.states),
        newer,
        seen,
        time.monotonic() - began,
    )
    return stored


def _record(value: bytes | None) -> dict[str, Any] | None:
    """Return the JSON object that a message holds; None for anything else, which others report to the rejects."""
    try:
        record = orjson.loads(value or b"")
    except orjson.JSONDecodeError:
        return None
    return record if isinstance(record, dict) else None


def _starts(consumer: Consumer, positions: list[dict[str, int]], newest_ms: int) -> dict[int, int]:
    """Return where to begin in each tick partition: the least position told, or what was stored since the newest state."""
    since_ms = newest_ms - _MARGIN_MS if newest_ms else int(time.time() * 1000) - _WITHOUT_STATE_MS
    partitions = [TopicPartition(topics.TICKS, number, since_ms) for number in _partitions(consumer, topics.TICKS)]
    starts: dict[int, int] = {}
    for found in consumer.offsets_for_times(partitions, timeout=_CALL_SECONDS) if partitions else ():
        told = [position[str(found.partition)] for position in positions if str(found.partition) in position]
        if told:
            starts[found.partition] = min(told)
        elif found.offset >= 0:
            starts[found.partition] = found.offset
        else:
            starts[found.partition] = consumer.get_watermark_offsets(found, timeout=_CALL_SECONDS)[1]
    return starts


def _partitions(consumer: Consumer, topic: str) -> tuple[int, ...]:
    found = consumer.list_topics(topic, timeout=_CALL_SECONDS).topics[topic]
    return () if found.error is not None else tuple(found.partitions)


def _records(
    consumer: Consumer, topic: str, starts: dict[int, int], stopped: Callable[[], bool]
) -> Iterator[tuple[bytes, bytes | None, int]]:
    """Yield (key, value, timestamp) of every record of a topic from `starts` (default: its beginning) to its end now."""
    assigned: list[TopicPartition] = []
    ends: dict[int, int] = {}
    for number in _partitions(consumer, topic):
        low, high = consumer.get_watermark_offsets(TopicPartition(topic, number), timeout=_CALL_SECONDS)
        start = max(starts.get(number, low), low)
        if start < high:
            assigned.append(TopicPartition(topic, number, start))
            ends[number] = high
    consumer.assign(assigned)
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while ends:
        if stopped():
            raise OrderflowError("told to stop while states were read back")
        batch = consumer.consume(_BATCH, 0.2)
        if batch:
            deadline = time.monotonic() + _PATIENCE_SECONDS
        elif time.monotonic() > deadline:
            raise OrderflowError(f"Kafka gave nothing of {topic} for {_PATIENCE_SECONDS:.0f} s; look at the broker's log")
        for record in batch:
            error, partition, offset = record.error(), record.partition(), record.offset()
            if error is not None:
                if error.code() != KafkaError._PARTITION_EOF:
                    raise KafkaException(error)
                ends.pop(partition, None)
                continue
            if partition not in ends:
                continue
            if offset + 1 >= ends[partition]:
                ends.pop(partition)
            yield record.key() or b"", record.value(), record.timestamp()[1]
    consumer.unassign()
