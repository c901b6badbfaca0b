"""Read back what is stored: the instrument states, and the ticks that are newer than them."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import orjson
from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaError

from orderflow.market import topics
from orderflow.market.errors import OrderflowError

log = logging.getLogger(__name__)

_MARGIN_MS: Final = 60_000
_WITHOUT_STATE_MS: Final = 15 * 60_000
_PATIENCE_SECONDS: Final = 60.0


@dataclass(slots=True)
class Stored:
    """What Kafka holds of the wanted instruments: states by key, and newer ticks by key in the order of the topic."""

    states: dict[str, dict[str, Any]] = field(default_factory=dict)
    ticks: dict[str, list[dict[str, Any]]] = field(default_factory=dict)


def read_stored(brokers: str, wanted: Callable[[str], bool], instrument_keys: Iterable[str]) -> Stored:
    """Return states whose key is `wanted`, and ticks of `instrument_keys` from where those states were flushed.

    A flush tells where the tick topic stood when it was made (`positions|owner`), so only the ticks since then are read;
    without it, those of the last quarter of an hour. Raises OrderflowError when Kafka stops answering half-way.
    """
    keys = {key.encode() for key in instrument_keys}
    consumer = KafkaConsumer(
        bootstrap_servers=brokers.split(","),
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        fetch_max_wait_ms=50,
        max_partition_fetch_bytes=4 << 20,
    )
    stored = Stored()
    positions: dict[str, dict[str, int]] = {}
    owners: set[str] = set()
    try:
        newest_ms = 0
        for key, value, timestamp_ms in _records(consumer, topics.INSTRUMENT_STATE, {}):
            name = key.decode()
            if value is None:
                stored.states.pop(name, None)
                continue
            if name.startswith("positions|"):
                positions[name.partition("|")[2]] = orjson.loads(value)["positions"]
            elif wanted(name):
                stored.states[name] = orjson.loads(value)
                newest_ms = max(newest_ms, timestamp_ms)
        owners = {str(state.get("owner")) for state in stored.states.values()}
        starts = _starts(consumer, [positions[owner] for owner in owners if owner in positions], newest_ms)
        for key, value, _ in _records(consumer, topics.TICKS, starts):
            if key in keys and value is not None:
                stored.ticks.setdefault(key.decode(), []).append(orjson.loads(value))
    except KafkaError as error:
        raise OrderflowError(f"Kafka at {brokers} stopped answering while reading back states: {type(error).__name__}") from error
    finally:
        consumer.close()
    log.info(
        "read back %d states and %d newer ticks from Kafka",
        len(stored.states),
        sum(len(ticks) for ticks in stored.ticks.values()),
    )
    return stored


def _starts(consumer: KafkaConsumer, positions: list[dict[str, int]], newest_ms: int) -> dict[int, int]:
    """Return where to begin in each tick partition: the least position told, or what was stored since the newest state."""
    partitions = [TopicPartition(topics.TICKS, number) for number in consumer.partitions_for_topic(topics.TICKS) or ()]
    since_ms = newest_ms - _MARGIN_MS if newest_ms else int(time.time() * 1000) - _WITHOUT_STATE_MS
    by_time = consumer.offsets_for_times({partition: since_ms for partition in partitions}) if partitions else {}
    ends = consumer.end_offsets(partitions) if partitions else {}
    starts: dict[int, int] = {}
    for partition in partitions:
        told = [position[str(partition.partition)] for position in positions if str(partition.partition) in position]
        found = by_time.get(partition)
        starts[partition.partition] = min(told) if told else found.offset if found is not None else ends[partition]
    return starts


def _records(consumer: KafkaConsumer, topic: str, starts: dict[int, int]) -> Iterator[tuple[bytes, bytes | None, int]]:
    """Yield every record of a topic from `starts` (default: its beginning) to its end at the time of the call."""
    partitions = [TopicPartition(topic, number) for number in consumer.partitions_for_topic(topic) or ()]
    if not partitions:
        return
    consumer.assign(partitions)
    ends = consumer.end_offsets(partitions)
    beginnings = consumer.beginning_offsets(partitions)
    for partition in partitions:
        consumer.seek(partition, max(starts.get(partition.partition, 0), beginnings[partition]))
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while any(consumer.position(partition) < ends[partition] for partition in partitions):
        batches = consumer.poll(timeout_ms=200)
        if batches:
            deadline = time.monotonic() + _PATIENCE_SECONDS
        elif time.monotonic() > deadline:
            raise OrderflowError(f"Kafka gave nothing of {topic} for {_PATIENCE_SECONDS:.0f} s; look at the broker's log")
        for batch in batches.values():
            for record in batch:
                yield record.key or b"", record.value, record.timestamp
