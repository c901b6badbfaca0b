"""Create the topics with explicit settings; safe to repeat, and it grows partitions where more are asked for."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Final

from kafka import KafkaAdminClient
from kafka.admin import NewPartitions, NewTopic
from kafka.errors import KafkaError, TopicAlreadyExistsError

from orderflow.market import topics
from orderflow.market.errors import OrderflowError
from orderflow.settings import Settings

log = logging.getLogger(__name__)

_HOUR_MS: Final = 3_600_000
_STATE_RETENTION_MS: Final = 7 * 24 * _HOUR_MS
_WAIT_SECONDS: Final = 120.0


def topic_settings(settings: Settings) -> dict[str, tuple[int, dict[str, str]]]:
    """Return topic -> (partitions, settings). Retention is by time and bytes; instrument states are compacted."""
    by_size = {
        "cleanup.policy": "delete",
        "retention.ms": str(settings.kafka_retention_hours * _HOUR_MS),
        "retention.bytes": str(settings.kafka_retention_bytes),
        "segment.bytes": str(max(1 << 20, min(128 << 20, settings.kafka_retention_bytes // 4))),
        "message.timestamp.type": "CreateTime",
    }
    compacted = {
        "cleanup.policy": "compact,delete",
        "retention.ms": str(_STATE_RETENTION_MS),
        "segment.ms": str(_HOUR_MS),
        "segment.bytes": str(16 << 20),
        "min.cleanable.dirty.ratio": "0.2",
    }
    one = {topics.FEED_EVENTS, topics.REJECTS}
    wanted = {name: (1 if name in one else settings.kafka_partitions, by_size) for name in topics.ALL}
    wanted[topics.REJECTS] = (1, {**by_size, "max.message.bytes": str(2 << 20)})
    wanted[topics.INSTRUMENT_STATE] = (1, compacted)
    return wanted


def setup_topics(settings: Settings, *, wait_seconds: float = _WAIT_SECONDS, stopped: Callable[[], bool] = lambda: False) -> None:
    """Create missing topics and add missing partitions, waiting up to `wait_seconds` for the broker.

    Raises OrderflowError when no broker answers in that time, saying where it was sought.
    """
    deadline = time.monotonic() + wait_seconds
    told = False
    while True:
        try:
            _create(settings)
            return
        except (KafkaError, OSError, TimeoutError) as error:
            if stopped() or time.monotonic() > deadline:
                raise OrderflowError(
                    f"Kafka at {settings.kafka_brokers} did not answer within {wait_seconds:.0f} s ({type(error).__name__}); "
                    "start it or set KAFKA_BROKERS"
                ) from error
            if not told:
                log.warning(
                    "Kafka at %s is not reachable (%s); trying again until it is", settings.kafka_brokers, type(error).__name__
                )
                told = True
            time.sleep(1.0)


def _create(settings: Settings) -> None:
    admin = KafkaAdminClient(
        bootstrap_servers=settings.kafka_brokers.split(","), request_timeout_ms=15_000, bootstrap_timeout_ms=5_000
    )
    try:
        wanted = topic_settings(settings)
        present = set(admin.list_topics())
        for name, (partitions, config) in wanted.items():
            if name in present:
                continue
            try:
                admin.create_topics([NewTopic(name, num_partitions=partitions, replication_factor=1, topic_configs=config)])
                log.info("created topic %s with %d partitions", name, partitions)
            except TopicAlreadyExistsError:
                log.debug("topic %s was created by another process", name)
        for description in admin.describe_topics([name for name in wanted if name in present]):
            name, count = description["name"], len(description["partitions"])
            if count < wanted[name][0]:
                admin.create_partitions({name: NewPartitions(wanted[name][0])})
                log.info("topic %s grew from %d to %d partitions", name, count, wanted[name][0])
    finally:
        admin.close()
