"""Rights on topics: each application has its own Kafka user, and Kafka refuses everything that is not granted.

`python -m orderflow setup acls` applies the table, on the stack's broker or on a cluster of one's own.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Final

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient, ScramCredentialInfo, ScramMechanism, UserScramCredentialUpsertion
from kafka import KafkaAdminClient
from kafka.admin import ACL, ACLOperation, ACLPermissionType, ACLResourcePatternType, ResourcePattern, ResourceType
from kafka.errors import KafkaError

from orderflow.clusters import KafkaCluster
from orderflow.market import topics
from orderflow.market.errors import OrderflowError

log = logging.getLogger(__name__)

_CALL_SECONDS: Final = 15.0


@dataclass(frozen=True, slots=True)
class Access:
    """What one application reads and writes, and the prefix of its consumer groups."""

    reads: tuple[str, ...]
    writes: tuple[str, ...]
    groups: str


ACCESS: Final = {
    "data-streamer": Access(
        reads=(topics.TICKS, topics.INSTRUMENT_STATE),
        writes=(topics.TICKS, topics.FEED_EVENTS, topics.REJECTS, topics.INSTRUMENT_STATE),
        groups="orderflow-resume",
    ),
    "processor": Access(
        reads=(topics.TICKS, topics.CANDLE_STATE),
        writes=(topics.TRADES, topics.ORDERFLOW, topics.FOOTPRINT, topics.FEED_EVENTS, topics.CANDLE_STATE),
        groups="spark-",
    ),
    "tick-storage": Access(reads=(topics.TICKS,), writes=(topics.REJECTS,), groups="spark-"),
    "candle-storage": Access(reads=(topics.ORDERFLOW, topics.FOOTPRINT), writes=(topics.REJECTS,), groups="spark-"),
    "plotter": Access(
        reads=(topics.ORDERFLOW, topics.FOOTPRINT, topics.TRADES, topics.TICKS, topics.FEED_EVENTS),
        writes=(),
        groups="orderflow-dashboard",
    ),
}
"""Every application also sees the names and settings of all topics, because it waits until all of them exist."""


def rules() -> list[ACL]:
    """Return the table as Kafka's access control lists."""
    acls = []
    for user, access in ACCESS.items():
        principal = f"User:{user}"
        for topic in topics.ALL:
            acls += [
                _allow(principal, ACLOperation.DESCRIBE, ResourceType.TOPIC, topic),
                _allow(principal, ACLOperation.DESCRIBE_CONFIGS, ResourceType.TOPIC, topic),
            ]
        acls += [_allow(principal, ACLOperation.READ, ResourceType.TOPIC, topic) for topic in access.reads]
        acls += [_allow(principal, ACLOperation.WRITE, ResourceType.TOPIC, topic) for topic in access.writes]
        groups = ResourcePattern(ResourceType.GROUP, access.groups, ACLResourcePatternType.PREFIXED)
        acls.append(ACL(principal, "*", ACLOperation.READ, ACLPermissionType.ALLOW, groups))
    return acls


def setup_acls(kafka: KafkaCluster) -> None:
    """Create the access control lists; those that exist stay. Raises OrderflowError when Kafka refuses."""
    try:
        admin = KafkaAdminClient(**kafka.kafka_python(), request_timeout_ms=round(_CALL_SECONDS * 1000))
        try:
            failed = admin.create_acls(rules())["failed"]
        finally:
            admin.close()
    except KafkaError as error:
        raise OrderflowError(f"Kafka at {kafka} accepts no access control lists: {error}") from error
    if failed:
        raise OrderflowError(f"Kafka at {kafka} refuses {len(failed)} access control lists, the first with {failed[0][1]!r}")
    log.info("access control lists of %s are set", ", ".join(ACCESS))


def set_password(kafka: KafkaCluster, user: str, password: str) -> None:
    """Give a user of the broker another password; open connections continue. Raises OrderflowError when Kafka refuses."""
    change = UserScramCredentialUpsertion(user, ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, 8192), password.encode())
    admin = AdminClient({**kafka.librdkafka(), "log_level": 0})
    try:
        admin.alter_user_scram_credentials([change], request_timeout=_CALL_SECONDS)[user].result()
    except KafkaException as error:
        raise OrderflowError(f"Kafka at {kafka} does not change the password of {user}: {error.args[0]}") from error


def _allow(principal: str, operation: ACLOperation, kind: ResourceType, name: str) -> ACL:
    return ACL(principal, "*", operation, ACLPermissionType.ALLOW, ResourcePattern(kind, name))
