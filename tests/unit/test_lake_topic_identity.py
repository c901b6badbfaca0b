"""A topic's identity, as files of the lake carry it."""

from __future__ import annotations

import pytest
from kafka.errors import KafkaTimeoutError

from orderflow.broker import topic_identity
from orderflow.broker.topic_identity import topic_id
from orderflow.clusters import KafkaCluster
from orderflow.market.errors import OrderflowError


def admin_with(answer: object) -> type:
    class Admin:
        def __init__(self, bootstrap_servers: list[str], **_: str) -> None:
            assert bootstrap_servers == ["kafka:29092", "other:29092"]

        def describe_topics(self, topics: list[str]) -> object:
            assert topics == ["upstox_ticks"]
            if isinstance(answer, Exception):
                raise answer
            return answer

        def close(self) -> None:
            return

    return Admin


def test_topic_id_when_kafka_knows_the_topic_then_its_first_eight_digits(monkeypatch) -> None:
    answer = [{"topic_id": "1f2e3d4c-5b6a-4798-8899-aabbccddeeff"}]
    monkeypatch.setattr(topic_identity, "KafkaAdminClient", admin_with(answer))

    assert topic_id(KafkaCluster("kafka:29092,other:29092"), "upstox_ticks") == "1f2e3d4c"


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ([{"topic_id": "00000000-0000-0000-0000-000000000000"}], "has no topic upstox_ticks.*orderflow setup topics`"),
        ([], "is Kafka running.*orderflow setup topics`"),
        (KafkaTimeoutError("no answer"), "is Kafka running"),
    ],
)
def test_topic_id_when_kafka_or_topic_is_absent_then_says_what_to_do(monkeypatch, answer, said) -> None:
    monkeypatch.setattr(topic_identity, "KafkaAdminClient", admin_with(answer))

    with pytest.raises(OrderflowError, match=said):
        topic_id(KafkaCluster("kafka:29092,other:29092"), "upstox_ticks")
