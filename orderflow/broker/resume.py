"""Reads the stored instrument states, and the ticks that are newer than them."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Final

import orjson
from confluent_kafka import Consumer, KafkaException, TopicPartition

from orderflow.broker.reading import CALL_SECONDS, TO_END, partitions_of, records_to_end
from orderflow.clusters import KafkaCluster
from orderflow.market import topics
from orderflow.market.errors import DecodeError, OrderflowError
from orderflow.market.rejects import reject_record
from orderflow.market.stored_state import POSITIONS, require_usable

log = logging.getLogger(__name__)

_MARGIN_MS: Final = 60_000
_WITHOUT_STATE_MS: Final = 15 * 60_000
_REJECTS_KEPT: Final = 20


@dataclass(slots=True)
class Stored:
    """Stored data of the wanted instruments: states by key, and newer ticks by key in the order of the topic.

    `rejects` are the first of the `rejected` records that were found where a state should be.
    """

    states: dict[str, dict[str, Any]] = field(default_factory=dict)
    ticks: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    rejects: list[dict[str, Any]] = field(default_factory=list)
    rejected: int = 0


@dataclass(slots=True)
class StateReader:
    """Collects the records of the state topic in their order: for each key, the last valid state counts.

    `positions` are by owner, `stored_ms` by key; `doubtful` are the keys with a broken record behind their last state.
    """

    wanted: Callable[[str], bool]
    stored: Stored = field(default_factory=Stored)
    positions: dict[str, dict[str, int]] = field(default_factory=dict)
    stored_ms: dict[str, int] = field(default_factory=dict)
    doubtful: set[str] = field(default_factory=set)

    def take(self, key: str, value: bytes | None, stored_ms: int, source: str) -> None:
        """Take one record; a record under a wanted key that is not a state is skipped, logged, and kept for the rejects topic."""
        is_position = key.startswith(POSITIONS)
        if not is_position and not self.wanted(key):
            return
        if value is None:
            self.stored.states.pop(key, None)
            self.positions.pop(key.removeprefix(POSITIONS), None)
            self.doubtful.discard(key)
            return
        try:
            record = _record(value)
            if record is None:
                raise DecodeError("bad_json", "no JSON object")
            require_usable(key, record, stored_ms)
        except DecodeError as error:
            self._refuse(key, value, stored_ms, source, error)
            return
        self.doubtful.discard(key)
        if is_position:
            self.positions[key.removeprefix(POSITIONS)] = record["positions"]
            return
        self.stored.states[key] = record
        self.stored_ms[key] = stored_ms

    def reported_positions(self) -> list[dict[str, int]]:
        """Return the tick topic's offsets at the last flush of each owner of a state."""
        owners = {str(state["owner"]) for state in self.stored.states.values()}
        return [self.positions[owner] for owner in owners if owner in self.positions]

    def newest_ms(self) -> int:
        """Return when the newest state was stored; 0 without any."""
        return max((self.stored_ms[key] for key in self.stored.states), default=0)

    def doubtful_ms(self, instrument_keys: Iterable[str]) -> int | None:
        """Return since when ticks must be read for the instruments whose last record is broken, or whose owner's positions are.

        None when there are none.
        """
        broken = {key.removeprefix(POSITIONS) for key in self.doubtful if key.startswith(POSITIONS)}
        before_ms = (self.newest_ms() or int(time.time() * 1000)) - _WITHOUT_STATE_MS
        since = [
            self.stored_ms[key] - _MARGIN_MS if key in self.stored.states else before_ms
            for key in instrument_keys
            if key in self.doubtful or str(self.stored.states.get(key, {}).get("owner")) in broken
        ]
        return min(since, default=None)

    def _refuse(self, key: str, value: bytes, stored_ms: int, source: str, error: DecodeError) -> None:
        self.doubtful.add(key)
        self.stored.rejected += 1
        if len(self.stored.rejects) >= _REJECTS_KEPT:
            return
        self.stored.rejects.append(reject_record(error.reason, source, stored_ms, value))
        log.warning("the record under %s at %s is ignored, and the one before it is used: %s", key[:80], source, error)


def read_stored(
    kafka: KafkaCluster,
    wanted: Callable[[str], bool],
    instrument_keys: Iterable[str],
    stopped: Callable[[], bool] = lambda: False,
) -> Stored:
    """Return states whose key is `wanted`, and ticks of `instrument_keys` from where those states were flushed.

    A flush contains the tick topic's offsets at that time (`positions|owner`), so only later ticks are read; without
    it, those of the last quarter of an hour. A record that is not a state is skipped, and ticks are read since the last
    state before it. Raises OrderflowError when Kafka stops answering half-way, or when asked to stop.
    """
    names = tuple(instrument_keys)
    keys = {key.encode() for key in names}
    consumer = Consumer(
        {
            **kafka.librdkafka(),
            **TO_END,
            "group.id": "orderflow-resume",
        }
    )
    reader = StateReader(wanted)
    stored = reader.stored
    began = time.monotonic()
    try:
        for message in records_to_end(consumer, topics.INSTRUMENT_STATE, stopped=stopped):
            name = (message.key() or b"").decode(errors="replace")
            source = f"{message.topic()}[{message.partition()}]@{message.offset()}"
            reader.take(name, message.value(), message.timestamp()[1], source)
        doubtful_ms = reader.doubtful_ms(names)
        starts = _starts(consumer, reader.reported_positions(), reader.newest_ms(), doubtful_ms) if keys else {}
        seen = 0
        for message in records_to_end(consumer, topics.TICKS, starts, stopped=stopped) if keys else ():
            seen += 1
            key = message.key()
            tick = _record(message.value()) if key in keys else None
            if key is not None and tick is not None:
                stored.ticks.setdefault(key.decode(), []).append(tick)
    except KafkaException as error:
        raise OrderflowError(f"Kafka at {kafka} stopped answering while states were read back: {error.args[0]}") from error
    finally:
        consumer.close()
    newer = sum(len(ticks) for ticks in stored.ticks.values())
    log.info(
        "read back %d states and %d newer ticks (of %d records) in %.1f s; %d records of %s rejected",
        len(stored.states),
        newer,
        seen,
        time.monotonic() - began,
        stored.rejected,
        topics.INSTRUMENT_STATE,
    )
    return stored


def _record(value: bytes | None) -> dict[str, Any] | None:
    """Return the JSON object that a message holds; None for anything else, which others report to the rejects."""
    try:
        record = orjson.loads(value or b"")
    except orjson.JSONDecodeError:
        return None
    return record if isinstance(record, dict) else None


def _starts(consumer: Consumer, positions: list[dict[str, int]], newest_ms: int, doubtful_ms: int | None) -> dict[int, int]:
    """Return where to begin in each tick partition: the least position reported, or what was stored since the newest state.

    With `doubtful_ms` no later than that. A position beyond the partition's end belongs to an earlier topic of the same
    name.
    """
    since_ms = newest_ms - _MARGIN_MS if newest_ms else int(time.time() * 1000) - _WITHOUT_STATE_MS
    since_ms = max(0, since_ms if doubtful_ms is None else min(since_ms, doubtful_ms))
    partitions = [TopicPartition(topics.TICKS, number, since_ms) for number in partitions_of(consumer, topics.TICKS)]
    starts: dict[int, int] = {}
    for place in consumer.offsets_for_times(partitions, timeout=CALL_SECONDS) if partitions else ():
        end = consumer.get_watermark_offsets(place, timeout=CALL_SECONDS)[1]
        offsets = [position[str(place.partition)] for position in positions if str(place.partition) in position]
        offsets = [offset for offset in offsets if offset <= end]
        by_time = place.offset if place.offset >= 0 else end
        if offsets and doubtful_ms is not None:
            offsets.append(by_time)
        starts[place.partition] = min(offsets, default=by_time)
    return starts
