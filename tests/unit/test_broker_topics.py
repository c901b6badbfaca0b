"""Topics: what is created, and that existing ones are compared, reported and left unless changes are asked for."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from orderflow.broker.setup import compare, setup_topics, topic_settings
from orderflow.market import topics
from orderflow.settings import load


def test_topics_when_set_up_then_retention_by_time_and_bytes_and_states_compacted(tmp_path: Path) -> None:
    settings = load(
        {"KAFKA_PARTITIONS": "3", "KAFKA_RETENTION_HOURS": "10", "KAFKA_RETENTION_BYTES": "100000000"}, tmp_path / "none"
    )
    wanted = topic_settings(settings)
    assert set(wanted) == set(topics.ALL)
    partitions, config = wanted[topics.TICKS]
    assert (partitions, config["retention.ms"], config["retention.bytes"]) == (3, "36000000", "100000000")
    assert wanted[topics.TRADES][1]["retention.bytes"] == "12500000"
    assert wanted[topics.INSTRUMENT_STATE][1]["cleanup.policy"] == "compact,delete"
    assert (wanted[topics.CANDLE_STATE][0], wanted[topics.CANDLE_STATE][1]["cleanup.policy"]) == (3, "compact")
    assert "retention.ms" not in wanted[topics.CANDLE_STATE][1]
    assert wanted[topics.REJECTS][0] == 1


def test_topics_when_set_up_by_default_then_kafka_takes_less_than_four_gigabytes(tmp_path: Path) -> None:
    wanted = topic_settings(load({}, tmp_path / "none"))
    sizes = [
        partitions * (int(config["retention.bytes"]) + int(config["segment.bytes"]))
        for name, (partitions, config) in wanted.items()
        if name not in (topics.INSTRUMENT_STATE, topics.CANDLE_STATE)
    ]
    assert sum(sizes) == int(3.375 * (1 << 30))


class FakeAdmin:
    """Holds one topic in the shapes in which a KafkaAdminClient describes it, and keeps what it is asked to change."""

    def __init__(self, partitions: int, replicas: int, **present: str) -> None:
        self.present = present
        self.partitions = [{"partition_index": n, "replica_nodes": list(range(replicas))} for n in range(partitions)]
        self.altered: list[tuple[str, Any]] = []

    def describe_configs(self, resources: list[Any]) -> dict[str, Any]:
        settings = {setting.replace("_", "."): {"value": value} for setting, value in self.present.items()}
        return {"topic": {resource.name: settings for resource in resources}}

    def describe_topics(self, names: list[str]) -> list[dict[str, Any]]:
        return [{"name": name, "partitions": self.partitions} for name in names]

    def alter_configs(self, resources: list[Any], incremental: bool) -> None:
        self.altered += [(resource.name, resource.configs) for resource in resources if incremental]

    def create_partitions(self, wanted: dict[str, Any]) -> None:
        self.altered += [(name, new.total_count) for name, new in wanted.items()]


WANTED = {"upstox_ticks": (2, {"retention.ms": "9", "retention.bytes": "2"})}


def test_topics_when_one_exists_with_other_settings_then_it_is_reported_and_left(caplog: pytest.LogCaptureFixture) -> None:
    admin = FakeAdmin(1, 1, retention_ms="1", retention_bytes="2", flush_ms="3")
    compare(admin, WANTED, 3, alter=False)
    assert admin.altered == []
    assert caplog.messages == [
        "topic upstox_ticks has 1 replicas, not 3: kafka-reassign-partitions.sh changes that",
        "topic upstox_ticks exists and stays unchanged: 1 partitions, not 2; retention.ms is 1, not 9; to change it: "
        "python -m orderflow setup topics --alter",
    ]


def test_topics_when_changes_are_asked_for_then_only_what_differs_is_altered() -> None:
    admin = FakeAdmin(1, 1, retention_ms="1", retention_bytes="2", flush_ms="3")
    compare(admin, WANTED, 1, alter=True)
    assert admin.altered == [("upstox_ticks", 2), ("upstox_ticks", {"retention.ms": "9"})]


def test_topics_when_one_has_what_is_wanted_or_more_partitions_then_nothing_is_said_or_altered(
    caplog: pytest.LogCaptureFixture,
) -> None:
    admin = FakeAdmin(4, 1, retention_ms="9", retention_bytes="2")
    compare(admin, WANTED, 1, alter=True)
    compare(admin, WANTED, 1, alter=False)
    assert (admin.altered, caplog.messages) == ([], [])


def test_topics_when_created_then_replicas_and_minimum_are_as_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = load({"KAFKA_REPLICATION_FACTOR": "3", "KAFKA_MIN_INSYNC_REPLICAS": "2"}, tmp_path / "none")
    made: list[Any] = []
    admin = SimpleNamespace(list_topics=list, create_topics=made.extend, close=lambda: None)
    monkeypatch.setattr("orderflow.broker.setup.KafkaAdminClient", lambda **_: admin)
    setup_topics(settings)
    assert {topic.name for topic in made} == set(topics.ALL)
    assert {topic.replication_factor for topic in made} == {3}
    assert {topic.topic_configs["min.insync.replicas"] for topic in made} == {"2"}
