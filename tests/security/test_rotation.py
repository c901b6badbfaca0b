"""A streamer's password is changed while it publishes, and no tick is lost."""

from __future__ import annotations

import time
from functools import partial
from pathlib import Path

import orjson
import pytest
from confluent_kafka import Consumer, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient

from deploy import credentials
from orderflow.broker.access import set_password
from orderflow.broker.publisher import KafkaTickPublisher
from orderflow.broker.spool import Spool
from orderflow.clusters import KafkaCluster
from orderflow.market import topics
from orderflow.market.tick import Tick
from tests.security.conftest import SecureStack

KEY = "NSE_EQ|ROTATED"


def publish(kafka: KafkaCluster, spool: Path, sequences: range) -> KafkaTickPublisher:
    publisher = KafkaTickPublisher(kafka, Spool(spool, 1 << 20), "rotation")
    go_on(publisher, sequences)
    return publisher


def go_on(publisher: KafkaTickPublisher, sequences: range) -> None:
    for number in sequences:
        assert publisher.tick(Tick(1, KEY, "update", number, 1000 + number, 0, 1000 + number, "2025-12-15", vtt=number))
    until = time.monotonic() + 30
    while publisher.oldest_unacknowledged_seconds() and time.monotonic() < until:
        publisher.poll()
        time.sleep(0.01)


def stored(kafka: KafkaCluster) -> list[int]:
    """Return the sequences of this test's instrument, in order."""
    options = {"group.id": "x", "enable.auto.commit": False, "enable.partition.eof": True, "log_level": 0}
    consumer = Consumer({**kafka.librdkafka(), **options})
    consumer.assign([TopicPartition(topics.TICKS, number, 0) for number in (0, 1)])
    messages, ends = [], 0
    while ends < 2:
        message = consumer.poll(20)
        assert message is not None
        if message.error():
            ends += 1
        elif message.key() == KEY.encode():
            messages.append(orjson.loads(message.value())["sequence"])
    consumer.close()
    return messages


def test_password_when_changed_while_the_streamer_publishes_then_no_tick_is_lost_and_the_old_one_is_refused(
    secure_stack: SecureStack, tmp_path: Path
) -> None:
    streamer, admin = secure_stack.settings("data-streamer").kafka, secure_stack.settings("admin").kafka
    password = secure_stack.security_dir / "data-streamer" / "kafka_password"
    old = tmp_path / "old"
    old.write_text(password.read_text())
    before = publish(streamer, tmp_path / "spool", range(1, 51))
    credentials.renew(secure_stack.security_dir, "data-streamer", partial(set_password, admin))
    go_on(before, range(51, 101))
    before.close(20)
    after = publish(streamer, tmp_path / "spool", range(101, 151))
    after.close(20)
    assert stored(admin) == list(range(1, 151))
    assert password.read_text() != old.read_text()
    former = KafkaCluster(streamer.brokers, "SASL_SSL", "SCRAM-SHA-512", "data-streamer", old, streamer.tls)
    with pytest.raises(KafkaException):
        AdminClient({**former.librdkafka(), "log_level": 0}).list_topics(timeout=3.0)
