"""Distinguishes a topic from one created again under its name, whose offsets start at 0, and returns its present offsets."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from confluent_kafka import Consumer, KafkaException, TopicPartition
from kafka import KafkaAdminClient
from kafka.errors import KafkaError

from orderflow.clusters import KafkaCluster
from orderflow.market.errors import OrderflowError

_CALL_SECONDS: Final = 20.0


@dataclass(frozen=True, slots=True)
class TopicExtent:
    """A topic's id, and per partition the first offset that Kafka keeps and the one after the last."""

    topic: str
    identity: str
    starts: Mapping[int, int]
    ends: Mapping[int, int]


def topic_extent(kafka: KafkaCluster, topic: str) -> TopicExtent:
    """Return what Kafka holds of a topic. Raises OrderflowError when the broker cannot be reached or has no such topic."""
    identity = topic_id(kafka, topic)
    consumer = Consumer({**kafka.librdkafka(), "group.id": "orderflow-extent", "log_level": 2})
    try:
        numbers = consumer.list_topics(topic, timeout=_CALL_SECONDS).topics[topic].partitions
        edges_by_partition = {
            number: consumer.get_watermark_offsets(TopicPartition(topic, number), timeout=_CALL_SECONDS) for number in numbers
        }
    except KafkaException as error:
        raise OrderflowError(f"Kafka at {kafka} stopped answering while {topic} was looked up: {error.args[0]}") from error
    finally:
        consumer.close()
    starts, ends = ({number: edges[side] for number, edges in edges_by_partition.items()} for side in (0, 1))
    return TopicExtent(topic, identity, starts, ends)


def topic_id(kafka: KafkaCluster, topic: str) -> str:
    """Return eight hex digits of the id Kafka gave the topic when it was created.

    Raises OrderflowError when the broker cannot be reached or has no such topic.
    """
    try:
        admin = KafkaAdminClient(**kafka.kafka_python())
        try:
            descriptions = admin.describe_topics([topic])
        finally:
            admin.close()
        identity = uuid.UUID(str(descriptions[0]["topic_id"]))
    except (KafkaError, KeyError, IndexError, ValueError) as error:
        raise OrderflowError(
            f"cannot look up topic {topic} at {kafka} ({error}); is Kafka running, and did `python -m orderflow setup topics` "
            "run?"
        ) from error
    if identity.int == 0:
        raise OrderflowError(f"Kafka at {kafka} has no topic {topic}; create it with `python -m orderflow setup topics`")
    return identity.hex[:8]
