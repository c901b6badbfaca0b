"""Security settings: what each one becomes in each client, and that no client is made without them."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from deploy import probe
from deploy.client_options import properties, spark_options
from deploy.local.stack import open_stack
from orderflow import settings
from orderflow.broker import lookout, publisher, rejects, resume, setup, topic_identity
from orderflow.broker.spool import Spool
from orderflow.clusters import KafkaCluster, ZooKeeperCluster
from orderflow.dashboard.sources import kafka as dashboard
from orderflow.dashboard.state.store import Store
from orderflow.lake import session, webhdfs
from orderflow.market import topics
from orderflow.market.errors import SettingsError
from orderflow.processing import queries
from orderflow.settings import Settings
from orderflow.upstox import lease

ROOT = Path(__file__).resolve().parents[2]


class Caught(Exception):
    """Carries the options of the client that would have been made."""

    def __init__(self, options: dict[str, Any]) -> None:
        super().__init__()
        self.options = options


def caught(*given: dict[str, Any], **options: Any) -> Any:
    raise Caught({**(given[0] if given else {}), **options})


@pytest.fixture
def secure(tmp_path: Path) -> Settings:
    for name, text in {"password": "s3cr3t\n", "ca": "CA\n", "certificate": "CERTIFICATE\n", "key": "KEY\n"}.items():
        (tmp_path / name).write_text(text)
    environ = {
        "KAFKA_BROKERS": "b1:9093,b2:9093",
        "KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
        "KAFKA_SASL_MECHANISM": "SCRAM-SHA-256",
        "KAFKA_SASL_USERNAME": "me",
        "KAFKA_SASL_PASSWORD_FILE": str(tmp_path / "password"),
        "KAFKA_SSL_CA_FILE": str(tmp_path / "ca"),
        "KAFKA_SSL_CERTIFICATE_FILE": str(tmp_path / "certificate"),
        "KAFKA_SSL_KEY_FILE": str(tmp_path / "key"),
        "SPOOL_DIR": str(tmp_path / "spool"),
    }
    return settings.load(environ, tmp_path / "none")


def librdkafka(directory: Path) -> dict[str, Any]:
    return {
        "bootstrap.servers": "b1:9093,b2:9093",
        "security.protocol": "SASL_SSL",
        "sasl.mechanism": "SCRAM-SHA-256",
        "sasl.username": "me",
        "sasl.password": "s3cr3t",
        "ssl.ca.pem": (directory / "ca").read_text(),
        "ssl.certificate.pem": (directory / "certificate").read_text(),
        "ssl.key.pem": (directory / "key").read_text(),
    }


def kafka_python(directory: Path) -> dict[str, Any]:
    return {
        "bootstrap_servers": ["b1:9093", "b2:9093"],
        "security_protocol": "SASL_SSL",
        "sasl_mechanism": "SCRAM-SHA-256",
        "sasl_plain_username": "me",
        "sasl_plain_password": "s3cr3t",
        "ssl_cafile": str(directory / "ca"),
        "ssl_certfile": str(directory / "certificate"),
        "ssl_keyfile": str(directory / "key"),
    }


SPARK = {
    "kafka.bootstrap.servers": "b1:9093,b2:9093",
    "kafka.security.protocol": "SASL_SSL",
    "kafka.sasl.mechanism": "SCRAM-SHA-256",
    "kafka.sasl.jaas.config": 'org.apache.kafka.common.security.scram.ScramLoginModule required username="me" password="s3cr3t";',
    "kafka.ssl.truststore.type": "PEM",
    "kafka.ssl.truststore.certificates": "CA\n",
    "kafka.ssl.keystore.type": "PEM",
    "kafka.ssl.keystore.certificate.chain": "CERTIFICATE\n",
    "kafka.ssl.keystore.key": "KEY\n",
}


def topic_extent(config: Settings) -> None:
    topic_identity.topic_extent(config.kafka, topics.TICKS)


LIBRDKAFKA: list[tuple[Any, str, Callable[[Settings], Any]]] = [
    (publisher, "Producer", lambda config: publisher.KafkaTickPublisher(config.kafka, Spool(config.spool_dir, 1 << 20), "me")),
    (lookout, "AdminClient", lambda config: lookout.leaders_answer(config.kafka)),
    (rejects, "Consumer", lambda config: next(rejects.read_rejects(config.kafka))),
    (resume, "Consumer", lambda config: resume.read_stored(config.kafka, lambda _: True, ())),
    (topic_identity, "Consumer", topic_extent),
    (dashboard, "Consumer", lambda config: dashboard.KafkaFeed(config.kafka, Store(lambda: 0))._read()),
]


@pytest.mark.parametrize(("module", "client", "call"), LIBRDKAFKA)
def test_librdkafka_client_when_made_then_has_each_kafka_setting(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, secure: Settings, module: Any, client: str, call: Callable[[Settings], Any]
) -> None:
    monkeypatch.setattr(module, client, caught)
    monkeypatch.setattr(topic_identity, "topic_id", lambda *_: "0a1b2c3d")
    with pytest.raises(Caught) as made:
        call(secure)
    assert made.value.options.items() >= librdkafka(tmp_path).items()


@pytest.mark.parametrize(
    ("module", "call"),
    [
        (setup, lambda config: setup.setup_topics(config, wait_seconds=0)),
        (topic_identity, lambda config: topic_identity.topic_id(config.kafka, topics.TICKS)),
    ],
)
def test_kafka_python_client_when_made_then_has_each_kafka_setting(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, secure: Settings, module: Any, call: Callable[[Settings], Any]
) -> None:
    monkeypatch.setattr(module, "KafkaAdminClient", caught)
    with pytest.raises(Caught) as made:
        call(secure)
    assert made.value.options.items() >= kafka_python(tmp_path).items()


def test_health_check_of_kafka_when_it_asks_then_has_each_kafka_setting(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, secure: Settings
) -> None:
    monkeypatch.setattr("kafka.KafkaAdminClient", caught)
    monkeypatch.setattr(settings, "load", lambda: secure)
    monkeypatch.setattr(probe.socket, "create_connection", lambda *_: Connection())
    with pytest.raises(Caught) as made:
        probe.existing_topics("b1:9093,b2:9093")
    assert made.value.options.items() >= kafka_python(tmp_path).items()


class Connection:
    """Stands in for a socket."""

    def close(self) -> None:
        return


class Reader:
    """Stands in for `spark.readStream`: keeps the options it is given."""

    def __init__(self) -> None:
        self.given: dict[str, Any] = {}
        self.readStream = self

    def format(self, _: str) -> Reader:
        return self

    def option(self, name: str, value: Any) -> Reader:
        self.given[name] = value
        return self

    def options(self, **options: Any) -> Reader:
        self.given |= options
        return self

    def load(self) -> dict[str, Any]:
        return self.given


def test_sparks_kafka_source_and_sink_when_made_then_have_each_kafka_setting(secure: Settings) -> None:
    assert queries.read_messages(Reader(), secure, topics.TICKS).items() >= SPARK.items()
    assert queries.sink_options(secure).items() >= SPARK.items()


def test_clients_when_made_then_only_by_the_cluster_objects() -> None:
    for path in (*ROOT.glob("*.py"), *(ROOT / "orderflow").rglob("*.py"), *(ROOT / "deploy").rglob("*.py")):
        text = path.read_text()
        if path.name != "clusters.py":
            assert "bootstrap.servers" not in text, path
            assert "bootstrap_servers" not in text, path
            assert "KazooClient(hosts" not in text, path
            assert "requests.get(" not in text or "upstox" in path.parts, path


@pytest.mark.parametrize(
    ("environ", "message"),
    [
        ({"KAFKA_SECURITY_PROTOCOL": "SASL_SSL"}, "needs KAFKA_SASL_USERNAME and KAFKA_SASL_PASSWORD_FILE"),
        ({"KAFKA_SECURITY_PROTOCOL": "TLS"}, "is not one of PLAINTEXT, SSL, SASL_PLAINTEXT, SASL_SSL"),
        ({"KAFKA_SASL_MECHANISM": "GSSAPI"}, "is not one of SCRAM-SHA-512, SCRAM-SHA-256, PLAIN"),
        ({"KAFKA_SSL_KEY_FILE": "/k"}, "KAFKA_SSL_CERTIFICATE_FILE and KAFKA_SSL_KEY_FILE go together"),
        ({"ZOOKEEPER_USERNAME": "me"}, "ZOOKEEPER_USERNAME and ZOOKEEPER_PASSWORD_FILE go together"),
        ({"HDFS_KERBEROS_PRINCIPAL": "me@REALM"}, "HDFS_KERBEROS_PRINCIPAL and HDFS_KERBEROS_KEYTAB go together"),
        (
            {"HDFS_KERBEROS_PRINCIPAL": "me@R", "HDFS_KERBEROS_KEYTAB": "/k", "HDFS_USER": "me"},
            "HDFS_USER is for a cluster without",
        ),
    ],
)
def test_security_settings_when_they_do_not_go_together_then_refused(
    tmp_path: Path, environ: dict[str, str], message: str
) -> None:
    with pytest.raises(SettingsError, match=message):
        settings.load(environ, tmp_path / "none")


@pytest.mark.parametrize(("text", "message"), [(None, "cannot be read"), (" \n", "is empty")])
def test_password_file_when_there_is_no_password_in_it_then_the_setting_is_named(
    tmp_path: Path, text: str | None, message: str
) -> None:
    file = tmp_path / "password"
    if text is not None:
        file.write_text(text)
    with pytest.raises(SettingsError, match=rf"KAFKA_SASL_PASSWORD_FILE=\S+ {message}"):
        KafkaCluster("b:1", "SASL_PLAINTEXT", "PLAIN", "me", file).librdkafka()


def test_password_when_it_has_quotes_then_javas_login_has_it_escaped(tmp_path: Path) -> None:
    (tmp_path / "password").write_text('a"b\\c')
    login = KafkaCluster("b:1", "SASL_PLAINTEXT", "PLAIN", "me", tmp_path / "password").java()["sasl.jaas.config"]
    assert login == (r'org.apache.kafka.common.security.plain.PlainLoginModule required username="me" password="a\"b\\c";')


def test_zookeeper_client_when_made_then_has_each_setting(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "password").write_text("s3cr3t")
    environ = {
        "ZOOKEEPER_HOSTS": "z1:2281",
        "ZOOKEEPER_USERNAME": "me",
        "ZOOKEEPER_PASSWORD_FILE": str(tmp_path / "password"),
        "ZOOKEEPER_SSL_CA_FILE": "/ca",
        "ZOOKEEPER_SSL_CERTIFICATE_FILE": "/certificate",
        "ZOOKEEPER_SSL_KEY_FILE": "/key",
    }
    monkeypatch.setattr(lease, "KazooClient", caught)
    with pytest.raises(Caught) as made:
        lease.InstrumentLeases(settings.load(environ, tmp_path / "none").zookeeper, "owner")
    options = made.value.options
    (acl,) = options.pop("default_acl")
    assert (acl.id.scheme, acl.id.id, acl.acl_list) == ("auth", "", ["ALL"])
    expected = {
        "hosts": "z1:2281",
        "auth_data": [("digest", "me:s3cr3t")],
        "use_ssl": True,
        "verify_certs": True,
        "check_hostname": True,
        "ca": "/ca",
        "certfile": "/certificate",
        "keyfile": "/key",
    }
    assert options.items() >= expected.items()


def test_zookeeper_client_when_nothing_is_set_then_plain_and_its_nodes_are_open() -> None:
    assert ZooKeeperCluster("z1:2181").kazoo() == {"hosts": "z1:2181"}


def test_hdfs_over_http_when_made_then_it_has_each_setting(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    environ = {"NAMENODE_HTTP_URL": "https://n:9871", "HDFS_USER": "me", "HDFS_CA_FILE": "/ca"}
    files = webhdfs.web_hdfs(settings.load(environ, tmp_path / "none").hdfs)
    assert (files.url, files.pars["user.name"], files.session.verify) == ("https://n:9871/webhdfs/v1", "me", "/ca")
    monkeypatch.setattr(session, "_kerberos", lambda hdfs: (hdfs.kerberos_principal, str(hdfs.kerberos_keytab)))
    environ = {"HDFS_KERBEROS_PRINCIPAL": "me@REALM", "HDFS_KERBEROS_KEYTAB": "/keytab"}
    assert session.http_session(settings.load(environ, tmp_path / "none").hdfs).auth == ("me@REALM", "/keytab")


def test_spark_when_its_cluster_authenticates_then_so_do_daemons_and_executors(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("s3cr3t\n")
    environ = {
        "SPARK_AUTH_SECRET_FILE": str(tmp_path / "secret"),
        "HDFS_KERBEROS_PRINCIPAL": "me@R",
        "HDFS_KERBEROS_KEYTAB": "/k",
    }
    assert spark_options(settings.load(environ, tmp_path / "none")) == {
        "spark.authenticate": "true",
        "spark.authenticate.secret": "s3cr3t",
        "spark.network.crypto.enabled": "true",
        "spark.network.crypto.saslFallback": "false",
        "spark.network.crypto.authEngineVersion": "2",
        "spark.io.encryption.enabled": "true",
        "spark.kerberos.principal": "me@R",
        "spark.kerberos.keytab": "/k",
    }
    assert spark_options(settings.load({"HDFS_USER": "me"}, tmp_path / "none")) == {"spark.executorEnv.HADOOP_USER_NAME": "me"}
    assert spark_options(settings.load({}, tmp_path / "none")) == {}


def test_launched_spark_when_its_cluster_authenticates_then_the_secret_is_in_a_private_file_only(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("s3cr3t")
    environ = {"PATH": "/usr/bin:/bin", "PYTHON": sys.executable, "ENV_FILE": "/dev/null", "DATA_DIR": str(tmp_path)}
    environ |= {"SPARK_AUTH_SECRET_FILE": str(tmp_path / "secret")}
    script = ". deploy/env.sh; spark_conf daemon 1g 1g -Dx=y; env"
    shown = subprocess.run(
        ["bash", "-c", script, "deploy/env.sh"], cwd=ROOT, env=environ, capture_output=True, text=True, check=True
    )
    file = tmp_path / "conf" / "spark-daemon" / "spark-defaults.conf"
    assert "\nspark.authenticate.secret=s3cr3t\n" in file.read_text()
    assert file.stat().st_mode & 0o777 == 0o600
    assert "s3cr3t" not in shown.stdout


def test_hadoop_commands_when_hdfs_wants_a_login_then_their_environment_has_it() -> None:
    bare = {"PATH": "/usr/bin:/bin", "HOME": "/nowhere", "ENV_FILE": "/dev/null", "DATA_DIR": "/nowhere"}
    env = open_stack({**bare, "HDFS_KERBEROS_PRINCIPAL": "me@R", "HDFS_KERBEROS_KEYTAB": "/k"}).env
    assert (env["KRB5PRINCIPAL"], env["KRB5KEYTAB"]) == ("me@R", "/k")
    assert open_stack({**bare, "HDFS_USER": "trader"}).env["HADOOP_USER_NAME"] == "trader"


def test_kafka_tools_when_the_cluster_wants_a_login_then_it_comes_through_a_pipe(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("s3cr3t")
    java = tmp_path / "bin" / "java"
    java.parent.mkdir()
    java.write_text('#!/bin/bash\necho "${@: -2}"\ncat "${@: -1}"\n')
    java.chmod(0o755)
    environ = {"PATH": "/usr/bin:/bin", "PYTHON": sys.executable, "ENV_FILE": "/dev/null", "DATA_DIR": str(tmp_path)}
    environ |= {"JAVA_HOME": str(tmp_path), "KAFKA_SECURITY_PROTOCOL": "SASL_PLAINTEXT", "KAFKA_SASL_USERNAME": "me"}
    environ |= {"KAFKA_SASL_PASSWORD_FILE": str(tmp_path / "password")}
    shown = subprocess.run(["bin/kafka-topics.sh", "--list"], cwd=ROOT, env=environ, capture_output=True, text=True, check=True)
    first, *rest = shown.stdout.splitlines()
    assert first.startswith("--command-config /dev/fd/")
    assert "security.protocol=SASL_PLAINTEXT" in rest
    assert 'password\\="s3cr3t";' in "".join(rest)


def test_properties_when_a_value_has_lines_and_special_characters_then_javas_reader_gets_it_back() -> None:
    assert list(properties({"a": 'x="1";\n#y\\'})) == ['a=x\\="1";\\n\\#y\\\\']
