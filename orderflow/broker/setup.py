"""Creates the topics with explicit settings; differences of existing topics are reported, and changed only on request."""

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
_ALTER: Final = "python -m orderflow setup topics --alter"
_LESS_THAN_TICKS: Final = 8
"""A trade has a sixth of a tick's bytes, and not every tick has one; the other topics are smaller still."""


def topic_settings(settings: Settings) -> dict[str, tuple[int, dict[str, str]]]:
    """Return topic -> (partitions, settings). Retention is by time and bytes, an eighth of the ticks' for the other topics.

    States are compacted; those of instruments also expire. A partition takes its bytes and one open segment, an eighth of them.
    """
    by_size = _by_size(settings, settings.kafka_retention_bytes // _LESS_THAN_TICKS)
    compacted = {
        "cleanup.policy": "compact",
        "segment.ms": str(_HOUR_MS),
        "segment.bytes": str(16 << 20),
        "min.cleanable.dirty.ratio": "0.2",
        **_durable(settings),
    }
    single_partition = {topics.FEED_EVENTS, topics.REJECTS}
    wanted = {name: (1 if name in single_partition else settings.kafka_partitions, by_size) for name in topics.ALL}
    wanted[topics.TICKS] = (settings.kafka_partitions, _by_size(settings, settings.kafka_retention_bytes))
    wanted[topics.REJECTS] = (1, {**by_size, "max.message.bytes": str(2 << 20)})
    expiring = {"cleanup.policy": "compact,delete", "retention.ms": str(_STATE_RETENTION_MS)}
    wanted[topics.INSTRUMENT_STATE] = (1, {**compacted, **expiring})
    wanted[topics.CANDLE_STATE] = (settings.kafka_partitions, {**compacted, "max.message.bytes": str(8 << 20)})
    return wanted


def _by_size(settings: Settings, most_bytes: int) -> dict[str, str]:
    return {
        "cleanup.policy": "delete",
        "retention.ms": str(settings.kafka_retention_hours * _HOUR_MS),
        "retention.bytes": str(most_bytes),
        "segment.bytes": str(max(1 << 20, min(128 << 20, most_bytes // 8))),
        "message.timestamp.type": "CreateTime",
        **_durable(settings),
    }


def _durable(settings: Settings) -> dict[str, str]:
    return {"min.insync.replicas": str(settings.kafka_min_insync_replicas)}


def setup_topics(
    settings: Settings,
    *,
    alter: bool = False,
    wait_seconds: float = _WAIT_SECONDS,
    stopped: Callable[[], bool] = lambda: False,
) -> None:
    """Create missing topics, waiting up to `wait_seconds` for the broker, and report how existing ones differ.

    With `alter`, existing topics get missing partitions and differing settings; their replication factor stays. Raises
    OrderflowError when no broker answers in that time, saying where it was sought.
    """
    deadline = time.monotonic() + wait_seconds
    reported = False
    while True:
        try:
            _create(settings, alter=alter)
            return
        except (KafkaError, OSError, TimeoutError) as error:
            if stopped() or time.monotonic() > deadline:
                raise OrderflowError(
                    f"Kafka at {settings.kafka} did not answer within {wait_seconds:.0f} s ({type(error).__name__}); "
                    "start it or set KAFKA_BROKERS"
                ) from error
            if not reported:
                log.warning("Kafka at %s is not reachable (%s); trying again until it is", settings.kafka, type(error).__name__)
                reported = True
            time.sleep(1.0)


def _create(settings: Settings, *, alter: bool) -> None:
    admin = KafkaAdminClient(**settings.kafka.kafka_python(), request_timeout_ms=15_000, bootstrap_timeout_ms=5_000)
    try:
        wanted = topic_settings(settings)
        present = set(admin.list_topics())
        for name, (partitions, config) in wanted.items():
            if name in present:
                continue
            try:
                new = NewTopic(
                    name, num_partitions=partitions, replication_factor=settings.kafka_replication_factor, topic_configs=config
                )
                admin.create_topics([new])
                log.info("created topic %s with %d partitions", name, partitions)
            except TopicAlreadyExistsError:
                log.debug("topic %s was created by another process", name)
        compare(admin, {name: wanted[name] for name in wanted if name in present}, settings.kafka_replication_factor, alter=alter)
    finally:
        admin.close()


def compare(admin: Any, wanted: Mapping[str, tuple[int, Mapping[str, str]]], replicas: int, *, alter: bool) -> None:
    """Report how existing topics differ from `wanted` (topic -> (partitions, settings)); change them with `alter` only.

    A topic with more partitions does not count as different. Settings that are not among the wanted ones stay unchanged.
    """
    if not wanted:
        return
    settings_by_topic: dict[str, dict[str, Any]] = {}
    for by_name in admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, name) for name in wanted]).values():
        settings_by_topic.update(by_name)
    changed = []
    for description in admin.describe_topics(list(wanted)):
        name, partitions = description["name"], description["partitions"]
        count, config = wanted[name]
        present = {setting: settings_by_topic.get(name, {}).get(setting, {}).get("value") for setting in config}
        differs = {setting: value for setting, value in config.items() if present[setting] != value}
        words = [f"{setting} is {present[setting]}, not {value}" for setting, value in differs.items()]
        if len(partitions) < count:
            words.insert(0, f"{len(partitions)} partitions, not {count}")
        copies = min((len(partition["replica_nodes"]) for partition in partitions), default=replicas)
        if copies != replicas:
            log.warning("topic %s has %d replicas, not %d: kafka-reassign-partitions.sh changes that", name, copies, replicas)
        if words and not alter:
            log.warning("topic %s exists and stays unchanged: %s; to change it: %s", name, "; ".join(words), _ALTER)
        elif words:
            log.info("topic %s is changed: %s", name, "; ".join(words))
            if len(partitions) < count:
                admin.create_partitions({name: NewPartitions(count)})
            if differs:
                changed.append(ConfigResource(ConfigResourceType.TOPIC, name, differs))
    if changed:
        admin.alter_configs(changed, incremental=True)
