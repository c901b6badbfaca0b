"""Tell one life of a topic from the next: offsets start again at 0 when a topic is created anew."""

from __future__ import annotations

import uuid

from kafka import KafkaAdminClient
from kafka.errors import KafkaError

from orderflow.market.errors import OrderflowError


def topic_id(brokers: str, topic: str) -> str:
    """Return eight hex digits of the id Kafka gave the topic when it was created.

    Raises OrderflowError when the broker cannot be reached or has no such topic.
    """
    try:
        admin = KafkaAdminClient(bootstrap_servers=brokers.split(","))
        try:
            found = admin.describe_topics([topic])
        finally:
            admin.close()
        identity = uuid.UUID(str(found[0]["topic_id"]))
    except (KafkaError, KeyError, IndexError, ValueError) as error:
        raise OrderflowError(
            f"cannot look up topic {topic} at {brokers} ({error}); is Kafka running, and did `python -m orderflow setup` run?"
        ) from error
    if identity.int == 0:
        raise OrderflowError(f"Kafka at {brokers} has no topic {topic}; create it with `python -m orderflow setup`")
    return identity.hex[:8]
