"""Reads a topic from given offsets to its present end."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from typing import Final

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from orderflow.market.errors import OrderflowError

CALL_SECONDS: Final = 20.0
"""How long a single question to Kafka may take."""
TO_END: Final = {
    "enable.auto.commit": False,
    "auto.offset.reset": "earliest",
    "enable.partition.eof": True,
    "fetch.wait.max.ms": 50,
    "log_level": 2,
}
"""The options of a consumer for `records_to_end`."""
_PATIENCE_SECONDS: Final = 60.0
_BATCH: Final = 2_000


def partitions_of(consumer: Consumer, topic: str) -> tuple[int, ...]:
    """Return the numbers of a topic's partitions; none where there is no such topic."""
    metadata = consumer.list_topics(topic, timeout=CALL_SECONDS).topics[topic]
    return () if metadata.error is not None else tuple(metadata.partitions)


def records_to_end(
    consumer: Consumer,
    topic: str,
    starts: Mapping[int, int] | None = None,
    *,
    only: int | None = None,
    stopped: Callable[[], bool] = lambda: False,
) -> Iterator[Message]:
    """Yield every record of a topic, or `only` of one partition, from `starts` (default: its beginning) to its present end.

    Raises OrderflowError when nothing comes for a minute or when asked to stop, KafkaException on an error of Kafka's.
    """
    assigned: list[TopicPartition] = []
    ends: dict[int, int] = {}
    for number in partitions_of(consumer, topic) if only is None else (only,):
        low, high = consumer.get_watermark_offsets(TopicPartition(topic, number), timeout=CALL_SECONDS)
        start = max((starts or {}).get(number, low), low)
        if start < high:
            assigned.append(TopicPartition(topic, number, start))
            ends[number] = high
    consumer.assign(assigned)
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while ends:
        if stopped():
            raise OrderflowError(f"stopped while {topic} was read")
        batch = consumer.consume(_BATCH, 0.2)
        if batch:
            deadline = time.monotonic() + _PATIENCE_SECONDS
        elif time.monotonic() > deadline:
            raise OrderflowError(f"Kafka sent nothing of {topic} for {_PATIENCE_SECONDS:.0f} s; check the broker's log")
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
            yield record
    consumer.unassign()
