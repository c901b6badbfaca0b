"""The secure profile's Kafka and ZooKeeper, tried as an outsider and as each application."""

from __future__ import annotations

import contextlib
import gc
import re
import socket
import ssl
import time
from dataclasses import replace

import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from kazoo.client import KazooClient
from kazoo.exceptions import NoAuthError
from kazoo.handlers.threading import KazooTimeoutError

from orderflow.clusters import KafkaCluster, TlsFiles, ZooKeeperCluster
from orderflow.market import topics
from orderflow.upstox.lease import ROOT as LEASES
from orderflow.upstox.lease import InstrumentLeases
from tests.security.conftest import ROOT, SecureStack

WRITES = {
    "data-streamer": {"upstox_ticks", "upstox_feed_events", "upstox_rejects", "upstox_instrument_state"},
    "processor": {"upstox_trades", "upstox_orderflow", "upstox_footprint", "upstox_feed_events", "upstox_candle_state"},
    "tick-storage": {"upstox_rejects"},
    "candle-storage": {"upstox_rejects"},
    "plotter": set(),
    "admin": set(topics.ALL),
}
READS = {
    "data-streamer": {"upstox_ticks", "upstox_instrument_state"},
    "processor": {"upstox_ticks", "upstox_candle_state"},
    "tick-storage": {"upstox_ticks"},
    "candle-storage": {"upstox_orderflow", "upstox_footprint"},
    "plotter": {"upstox_ticks", "upstox_trades", "upstox_orderflow", "upstox_footprint", "upstox_feed_events"},
    "admin": set(topics.ALL),
}
TCS = "NSE_EQ|INE467B01029"


def writable(kafka: KafkaCluster) -> set[str]:
    refused: dict[str, KafkaError | None] = {}
    producer = Producer({**kafka.librdkafka(), "message.timeout.ms": 20_000, "log_level": 0})
    for topic in topics.ALL:
        producer.produce(topic, b"{}", b"key", on_delivery=lambda error, message: refused.update({str(message.topic()): error}))
    producer.flush(30)
    assert set(refused) == set(topics.ALL)
    codes = {error.code() for error in refused.values() if error is not None}
    assert codes <= {KafkaError.TOPIC_AUTHORIZATION_FAILED}
    return {topic for topic, error in refused.items() if error is None}


def readable(kafka: KafkaCluster) -> set[str]:
    return {topic for topic in topics.ALL if _reads(kafka, topic)}


def _reads(kafka: KafkaCluster, topic: str) -> bool:
    options = {"group.id": "orderflow-resume", "enable.auto.commit": False, "enable.partition.eof": True, "log_level": 0}
    consumer = Consumer({**kafka.librdkafka(), **options})
    consumer.assign([TopicPartition(topic, 0, 0)])
    try:
        until = time.monotonic() + 20
        while time.monotonic() < until:
            message = consumer.poll(1.0)
            error = None if message is None else message.error()
            if message is not None and (error is None or error.code() == KafkaError._PARTITION_EOF):
                return True
            if error is not None and error.code() == KafkaError.TOPIC_AUTHORIZATION_FAILED:
                return False
    finally:
        consumer.close()
    raise AssertionError(f"{topic} neither gave a record nor refused one")


@pytest.mark.parametrize("service", WRITES)
def test_application_when_it_tries_every_topic_then_it_writes_and_reads_its_own_only(
    secure_stack: SecureStack, service: str
) -> None:
    kafka = secure_stack.settings(service).kafka
    assert (writable(kafka), readable(kafka)) == (WRITES[service], READS[service])


def test_outsider_when_he_reaches_kafka_then_he_lists_nothing(secure_stack: SecureStack) -> None:
    known = secure_stack.settings("plotter").kafka
    plain = KafkaCluster(known.brokers)
    without_login = KafkaCluster(known.brokers, "SSL", tls=known.tls)
    guess = secure_stack.security_dir / "guess"
    guess.write_text("orderflow")
    for outsider in (plain, without_login, replace(known, sasl_password_file=guess)):
        with pytest.raises(KafkaException):
            AdminClient({**outsider.librdkafka(), "log_level": 0}).list_topics(timeout=3.0)


def test_kafka_when_its_certificate_is_of_another_authority_then_clients_refuse_it(secure_stack: SecureStack) -> None:
    known = secure_stack.settings("plotter").kafka
    with pytest.raises(KafkaException):
        AdminClient({**replace(known, tls=TlsFiles("KAFKA_SSL")).librdkafka(), "log_level": 0}).list_topics(timeout=3.0)


def test_outsider_when_he_reaches_the_controller_then_he_needs_a_certificate(secure_stack: SecureStack) -> None:
    context = ssl.create_default_context(cafile=secure_stack.security_dir / "plotter" / "ca.pem")
    plain = socket.create_connection(("127.0.0.1", int(secure_stack.env["KAFKA_CONTROLLER_PORT"])), 10)
    with pytest.raises(ssl.SSLError, match="alert"), context.wrap_socket(plain, server_hostname="127.0.0.1") as connection:
        connection.recv(1)


def zookeeper_as(stack: SecureStack, service: str) -> KazooClient:
    client = KazooClient(**stack.settings(service).zookeeper.kazoo(), timeout=5)
    client.start(10)
    return client


def test_lease_when_another_application_looks_then_it_neither_sees_nor_takes_it(secure_stack: SecureStack) -> None:
    leases = InstrumentLeases(secure_stack.settings("data-streamer").zookeeper, "me")
    assert leases.connect(10.0)
    assert leases.acquire([TCS]) == {}
    other = zookeeper_as(secure_stack, "plotter")
    for attempt in (other.get, other.delete, lambda path: other.create(f"{path}-mine")):
        with pytest.raises(NoAuthError):
            attempt(f"{LEASES}/{TCS.replace('|', '%7C')}")
    other.stop()
    leases.close()


def test_spark_masters_nodes_when_another_application_adds_one_then_refused(secure_stack: SecureStack) -> None:
    made = secure_stack.run(*python(secure_stack), "deploy/release_leadership.py", "/spark", service="spark-master")
    assert made.returncode == 0, made.stderr
    other = zookeeper_as(secure_stack, "data-streamer")
    for path in ("/spark/leader_election/x", "/spark/master_status/app_x"):
        with pytest.raises(NoAuthError):
            other.create(path)
    other.stop()


def python(stack: SecureStack) -> list[str]:
    return ["bash", "-c", '. deploy/env.sh && exec "$PYTHON" "$@"', "deploy/env.sh"]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # kazoo leaves a socket that was refused unclosed
def test_outsider_when_he_reaches_zookeeper_without_a_certificate_then_refused(secure_stack: SecureStack) -> None:
    known = secure_stack.settings("plotter").zookeeper
    for outsider in (ZooKeeperCluster(known.hosts), replace(known, tls=replace(known.tls, certificate=None, key=None))):
        client = KazooClient(**outsider.kazoo(), connection_retry={"max_tries": 1})
        with pytest.raises(KazooTimeoutError):
            client.start(5)
        client.close()
    with socket.create_connection(("127.0.0.1", int(secure_stack.env["ZOOKEEPER_PORT"])), 5) as plain:
        plain.sendall(b"ruok")
        plain.settimeout(3)
        with contextlib.suppress(TimeoutError, ConnectionError):
            assert b"imok" not in plain.recv(8)
    gc.collect()


def test_readmes_kafka_commands_when_secure_then_they_work_as_written(secure_stack: SecureStack) -> None:
    listed = secure_stack.run("bin/kafka-topics.sh", "--list", "--bootstrap-server", "kafka:29092")
    assert set(listed.stdout.split()) >= set(topics.ALL), listed.stderr
    command = "--bootstrap-server kafka:29092 --topic upstox_rejects --from-beginning --timeout-ms 5000"
    read = secure_stack.run("bin/kafka-console-consumer.sh", *command.split())
    assert re.search(r"Processed a total of \d+ messages", read.stderr + read.stdout), read.stderr


def test_secrets_when_the_servers_run_then_logs_configuration_environments_and_command_lines_have_none(
    secure_stack: SecureStack,
) -> None:
    names = ("kafka_password", "spark_secret", "key.pem")
    secrets = {path.read_bytes() for name in names for path in secure_stack.security_dir.glob(f"*/{name}")}
    assert len(secrets) >= 20
    own = secure_stack.env["DATA_DIR"].encode()
    shown: dict[str, bytes] = {}
    for process in ROOT.joinpath("/proc").glob("[0-9]*"):
        try:
            environment, command = (process / "environ").read_bytes(), (process / "cmdline").read_bytes()
        except OSError:
            continue
        if own in environment:
            shown[f"{process.name} {command[:60]!r}"] = environment + command
    assert len(shown) >= 2
    for path in secure_stack.security_dir.parent.rglob("*"):
        if path.is_file() and secure_stack.security_dir not in path.parents and path.suffix in (".log", ".properties", ".cfg"):
            shown[str(path)] = path.read_bytes()
    assert len(shown) >= 6
    assert [place for place, text in shown.items() if any(secret in text for secret in secrets)] == []
