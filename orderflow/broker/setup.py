"""Create the topics with explicit settings; safe to repeat: it grows partitions and applies settings that changed."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

from kafka import KafkaAdminClient
from kafka.admin import ConfigResource, ConfigResourceType, NewPartitions, NewTopic
from kafka.errors import KafkaError, TopicAlreadyExistsError

from orderflow.market import topics
from orderflow.market.errors import OrderflowError
from orderflow.settings import Settings

log = logging.getLogger(__name__)

_HOUR_MS: Final = 3_600_000
_STATE_RETENTION_MS: Final = 7 * 24 * _HOUR_MS
_WAIT_SECONDS: Final = 120.0
_LESS_THAN_TICKS: Final = 8
"""A trade has a sixth of a tick's bytes, and not every tick has one; the other topics are smaller still."""


def topic_settings(settings: Settings) -> dict[str, tuple[int, dict[str, str]]]:
    """Return topic -> (partitions, settings). Retention is by time and bytes, an eighth of the ticks' for the other topics.

    Instrument states are compacted. A partition takes its bytes and one open segment, an eighth of them.
    """
    by_size = _by_size(settings, settings.kafka_retention_bytes // _LESS_THAN_TICKS)
    compacted = {
        "cleanup.policy": "compact,delete",
        "retention.ms": str(_STATE_RETENTION_MS),
        "segment.ms": str(_HOUR_MS),
        "segment.bytes": str(16 << 20),
        "min.cleanable.dirty.ratio": "0.2",
    }
    one = {topics.FEED_EVENTS, topics.REJECTS}
    wanted = {name: (1 if name in one else settings.kafka_partitions, by_size) for name in topics.ALL}
    wanted[topics.TICKS] = (settings.kafka_partitions, _by_size(settings, settings.kafka_retention_bytes))
    wanted[topics.REJECTS] = (1, {**by_size, "max.message.bytes": str(2 << 20)})
    wanted[topics.INSTRUMENT_STATE] = (1, compacted)
    return wanted


def _by_size(settings: Settings, most_bytes: int) -> dict[str, str]:
    return {
        "cleanup.policy": "delete",
        "retention.ms": str(settings.kafka_retention_hours * _HOUR_MS),
        "retention.bytes": str(most_bytes),
        "segment.bytes": str(max(1 << 20, min(128 << 20, most_bytes // 8))),
        "message.timestamp.type": "CreateTime",
    }


def setup_topics(settings: Settings, *, wait_seconds: float = _WAIT_SECONDS, stopped: Callable[[], bool] = lambda: False) -> None:
    """Create missing topics, add missing partitions and apply changed settings, waiting up to `wait_seconds` for the broker.

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
        _apply(admin, {name: config for name, (_, config) in wanted.items() if name in present})
    finally:
        admin.close()


def _apply(admin: KafkaAdminClient, wanted: Mapping[str, Mapping[str, str]]) -> None:
    """Set what differs from `wanted` (topic -> settings); all other settings of a topic stay as they are."""
    if not wanted:
        return
    found: dict[str, dict[str, Any]] = {}
    for by_name in admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, name) for name in wanted]).values():
        found.update(by_name)
    changed = []
    for name, config in wanted.items():
        present = {setting: found.get(name, {}).get(setting, {}).get("value") for setting in config}
        differs = {setting: value for setting, value in config.items() if present[setting] != value}
        if differs:
            changed.append(ConfigResource(ConfigResourceType.TOPIC, name, differs))
            log.info("topic %s: %s", name, ", ".join(f"{key} {present[key]} -> {value}" for key, value in differs.items()))
    if changed:
        admin.alter_configs(changed, incremental=True)
