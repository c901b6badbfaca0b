"""Reads the rejects topic: inputs that could not be used, with the original message."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, Message, TopicPartition

from orderflow.clusters import KafkaCluster
from orderflow.market import topics
from orderflow.market.errors import OrderflowError

_PAYLOAD_BYTES: Final = 512 << 10
_KEY_BYTES: Final = 1 << 10
_SOURCE: Final = re.compile(r"(?P<topic>[\w.]+)\[(?P<partition>\d+)\]@(?P<offset>\d+)")
_CALL_SECONDS: Final = 20.0


@dataclass(frozen=True, slots=True)
class Rejected:
    """One reject.

    `topic`, `partition` and `offset` locate the message in the topic with the id `topic_id`; they are empty and -1 for input from
    the feed or the spool. `whole`: key and payload are not truncated.
    """

    reason: str
    topic: str
    partition: int
    offset: int
    topic_id: str
    received_time_ms: int
    key: bytes | None
    payload: bytes
    whole: bool


def rejected(record: Mapping[str, Any]) -> Rejected:
    """Read a records.REJECT. Raises ValueError, KeyError or TypeError when it is none."""
    place = _SOURCE.fullmatch(record["source"])
    payload = base64.b64decode(record["payload"])
    key = None if record.get("key") is None else base64.b64decode(record["key"])
    return Rejected(
        reason=str(record["reason"]),
        topic=place["topic"] if place else "",
        partition=int(place["partition"]) if place else -1,
        offset=int(place["offset"]) if place else -1,
        topic_id=str(record.get("topic_id") or ""),
        received_time_ms=int(record["received_time_ms"]),
        key=key,
        payload=payload,
        whole=len(payload) < _PAYLOAD_BYTES and (key is None or len(key) < _KEY_BYTES),
    )


def read_rejects(kafka: KafkaCluster) -> Iterator[Rejected]:
    """Yield every reject that Kafka holds now, oldest first; messages that are not rejects are skipped.

    Raises OrderflowError when Kafka stops answering.
    """
    consumer = Consumer({**kafka.librdkafka(), "group.id": "orderflow-rejects", "enable.auto.commit": False, "log_level": 2})
    try:
        _, end = consumer.get_watermark_offsets(TopicPartition(topics.REJECTS, 0), timeout=_CALL_SECONDS)
        consumer.assign([TopicPartition(topics.REJECTS, 0, OFFSET_BEGINNING)])
        while consumer.position([TopicPartition(topics.REJECTS, 0)])[0].offset < end:
            message = consumer.poll(_CALL_SECONDS)
            if message is None:
                break
            yield from _read(message)
    except KafkaException as error:
        raise OrderflowError(f"Kafka at {kafka} does not give {topics.REJECTS}: {error.args[0]}") from error
    finally:
        consumer.close()


def _read(message: Message) -> Iterator[Rejected]:
    error = message.error()
    if error is not None:
        if error.code() != KafkaError._PARTITION_EOF:
            raise KafkaException(error)
        return
    try:
        yield rejected(orjson.loads(message.value() or b""))
    except (ValueError, KeyError, TypeError, binascii.Error):
        return
