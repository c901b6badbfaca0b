"""Credentials of the secure profile: made once, private, one directory a service."""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import os
import re
import signal
import ssl
import stat
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import pkcs12

from deploy import credentials, kerberos
from deploy.local.services import SERVICES, services
from deploy.local.stack import StackError, open_stack, refuse_other_profile
from orderflow.broker.access import ACCESS
from orderflow.dashboard.web.accounts import Accounts, is_password
from orderflow.lake import access as lake_access
from orderflow.market.errors import OrderflowError

ROOT = Path(__file__).resolve().parents[2]
BARE = {"PATH": "/usr/bin:/bin", "HOME": "/nowhere", "ENV_FILE": "/dev/null"}


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("security")
    credentials.ensure(directory)
    return directory


def contents(directory: Path) -> dict[str, bytes]:
    return {str(path.relative_to(directory)): path.read_bytes() for path in directory.rglob("*") if path.is_file()}


def test_credentials_when_made_then_nobody_else_reads_them(directory: Path) -> None:
    modes = {stat.S_IMODE(path.stat().st_mode) for path in directory.rglob("*") if path.is_file()}
    assert modes == {0o600}
    assert {stat.S_IMODE(path.stat().st_mode) for path in (directory, *directory.iterdir())} == {0o700}


def test_credentials_when_made_then_each_service_has_its_own_and_each_kafka_user_a_password(directory: Path) -> None:
    assert {path.name for path in directory.iterdir()} == {"ca", "admin", *(service.name for service in SERVICES)} - {"simulator"}
    passwords = {path.parent.name: path.read_text() for path in directory.glob("*/kafka_password")}
    assert set(passwords) == {"kafka", "admin", "setup-topics", *ACCESS}
    assert len(set(passwords.values())) == len(passwords)
    assert min(map(len, passwords.values())) >= 43
    assert len({path.read_text() for path in directory.glob("*/spark_secret")}) == 1


def test_certificate_when_checked_then_it_is_the_authoritys_for_this_service_and_machine(directory: Path) -> None:
    own = directory / "kafka"
    context = ssl.create_default_context(cafile=own / "ca.pem")
    context.load_cert_chain(own / "server.pem")
    certificate = x509.load_pem_x509_certificate((own / "certificate.pem").read_bytes())
    assert certificate.subject.rfc4514_string() == "CN=kafka"
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["kafka", "kafka.localhost", "localhost"]
    assert "127.0.0.1" in map(str, names.get_values_for_type(x509.IPAddress))


def test_hdfs_servers_when_credentials_are_made_then_their_keys_and_the_authority_are_also_pkcs12(directory: Path) -> None:
    assert {path.parent.name for path in directory.glob("*/server.p12")} == {"namenode", "datanode1", "datanode2"}
    own = directory / "namenode"
    key, certificate, _ = pkcs12.load_key_and_certificates((own / "server.p12").read_bytes(), b"orderflow")
    assert key is not None
    assert certificate == x509.load_pem_x509_certificate((own / "certificate.pem").read_bytes())
    trusted = pkcs12.load_pkcs12((own / "ca.p12").read_bytes(), b"orderflow").additional_certs
    assert [one.certificate for one in trusted] == [x509.load_pem_x509_certificate((own / "ca.pem").read_bytes())]


def test_kerberos_when_principals_are_named_then_each_services_pages_are_those_of_its_hosts() -> None:
    assert kerberos.principals("plotter") == ("plotter",)
    pages = ("HTTP/datanode2", "HTTP/datanode2.localhost", "HTTP/localhost", "HTTP/127.0.0.1")
    assert kerberos.principals("datanode2") == ("datanode/hdfs", *pages)


def test_hdfs_when_secure_then_every_service_with_a_keytab_logs_in_with_it_to_the_stacks_realm(tmp_path: Path) -> None:
    for service, principal in {"datanode1": "datanode/hdfs", "tick-storage": "tick-storage"}.items():
        own = tmp_path / "security" / service
        own.mkdir(parents=True)
        (own / "keytab").touch()
        env = open_stack({**BARE, "DATA_DIR": str(tmp_path), "SECURE": "yes", "SERVICE": service, "PORT_OFFSET": "100"}).env
        assert (env["HDFS_KERBEROS_PRINCIPAL"], env["KRB5PRINCIPAL"]) == (f"{principal}@ORDERFLOW",) * 2
        assert (env["HDFS_KERBEROS_KEYTAB"], env["HDFS_CA_FILE"]) == (f"{own}/keytab", f"{own}/ca.pem")
        assert env["NAMENODE_HTTP_URL"] == "https://127.0.0.1:50170"
        assert f"-Djava.security.krb5.conf={env['KRB5_CONFIG']}" in env["DRIVER_JAVA_OPTIONS"]
        assert "    kdc = 127.0.0.1:10188\n    kdc_listen = 127.0.0.1:10188\n" in Path(env["KRB5_CONFIG"]).read_text()
    streamer = open_stack({**BARE, "DATA_DIR": str(tmp_path), "SECURE": "yes", "SERVICE": "data-streamer"}).env
    assert "HDFS_KERBEROS_PRINCIPAL" not in streamer


def test_kdc_when_secure_then_it_is_a_service_of_the_stack() -> None:
    assert [service.name for service in services("live", "yes") if service not in services("live")] == ["kdc"]


def test_users_when_hadoop_is_told_their_groups_then_they_are_those_of_the_realm() -> None:
    configuration = ET.parse(ROOT / "deploy/conf/hadoop/secure/core-site.xml")
    properties = {str(entry.findtext("name")): str(entry.findtext("value")) for entry in configuration.iter("property")}
    groups = dict(entry.split("=") for entry in properties["hadoop.user.group.static.mapping.overrides"].split(";"))
    assert set(groups) == {"namenode", *kerberos.USERS} - {"kdc"}
    members = {group: {user for user, of in groups.items() if group in of.split(",")} for group in ("trading", "storage")}
    assert members == {
        "trading": {"processor", "tick-storage", "candle-storage", "plotter"},
        "storage": {"tick-storage", "candle-storage"},
    }
    owners = {access.owner for access in lake_access.ACCESS.values()}
    assert owners <= set(kerberos.USERS)


def test_credentials_when_they_are_there_then_they_stay(directory: Path) -> None:
    before = contents(directory)
    credentials.ensure(directory)
    assert contents(directory) == before


def test_credentials_when_one_service_is_renewed_then_its_own_change_and_the_brokers_list(tmp_path: Path) -> None:
    credentials.ensure(tmp_path)
    before = contents(tmp_path)
    passwords: dict[str, str] = {}
    credentials.renew(tmp_path, "plotter", passwords.__setitem__)
    assert passwords == {"plotter": (tmp_path / "plotter" / "kafka_password").read_text()}
    changed = {name for name, content in contents(tmp_path).items() if content != before[name]}
    own = {f"plotter/{name}" for name in ("key.pem", "certificate.pem", "server.pem", "kafka_password")}
    assert changed == {*own, "kafka/scram_users"}


def test_credentials_when_kafka_refuses_the_new_password_then_the_old_ones_stay(tmp_path: Path) -> None:
    credentials.ensure(tmp_path)
    before = contents(tmp_path)

    def refuse(*_: str) -> None:
        raise OrderflowError("away")

    with pytest.raises(OrderflowError):
        credentials.renew(tmp_path, "plotter", refuse)
    assert contents(tmp_path) == before


def test_sparks_secret_when_renewed_then_all_of_spark_has_the_same_new_one(tmp_path: Path) -> None:
    credentials.ensure(tmp_path)
    before = (tmp_path / "processor" / "spark_secret").read_text()
    credentials.renew_spark(tmp_path)
    (after,) = {path.read_text() for path in tmp_path.glob("*/spark_secret")}
    assert after != before


def test_certificate_when_it_ends_within_a_month_then_it_is_issued_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("orderflow.certificates.VALIDITY", dt.timedelta(days=29))
        credentials.ensure(tmp_path)
    before = contents(tmp_path)
    credentials.ensure(tmp_path)
    after = contents(tmp_path)
    assert after["kafka/certificate.pem"] != before["kafka/certificate.pem"]
    assert after["kafka/kafka_password"] == before["kafka/kafka_password"]


def test_scram_users_when_listed_then_the_broker_can_check_a_password_it_does_not_know() -> None:
    option, value = credentials.scram_arguments({"me": b"s3cr3t"})
    assert option == "--add-scram"
    match = re.fullmatch(r'SCRAM-SHA-512=\[name=me,iterations=8192,salt="(.*)",saltedpassword="(.*)"\]', value)
    assert match is not None
    salt, salted = map(base64.b64decode, match.groups())
    assert salted == hashlib.pbkdf2_hmac("sha512", b"s3cr3t", salt, 8192)


def test_service_when_secure_then_it_gets_its_own_credentials(tmp_path: Path) -> None:
    env = open_stack({**BARE, "DATA_DIR": str(tmp_path), "SECURE": "yes", "SERVICE": "plotter"}).env
    own = f"{tmp_path}/security/plotter"
    assert (env["KAFKA_SECURITY_PROTOCOL"], env["KAFKA_SASL_USERNAME"]) == ("SASL_SSL", "plotter")
    assert (env["KAFKA_SASL_PASSWORD_FILE"], env["KAFKA_SSL_CA_FILE"]) == (f"{own}/kafka_password", f"{own}/ca.pem")
    assert env["ZOOKEEPER_SSL_CERTIFICATE_FILE"] == f"{own}/certificate.pem"
    assert "SPARK_AUTH_SECRET_FILE" not in env
    assert (env["DASHBOARD_USERS_FILE"], env["DASHBOARD_SSL_KEY_FILE"]) == (f"{tmp_path}/plotter/users.json", f"{own}/key.pem")


def test_dashboard_when_secure_and_new_then_its_operator_has_the_password_that_was_made(tmp_path: Path) -> None:
    credentials.ensure(tmp_path / "security")
    given = {**BARE, "DATA_DIR": str(tmp_path), "SECURE": "yes", "FEED": "simulator", "PYTHON": sys.executable, "KAFKA_PORT": "1"}
    with subprocess.Popen(
        [ROOT / "deploy" / "launch" / "plotter"], env=given, stdout=subprocess.PIPE, process_group=0
    ) as launcher:
        try:
            assert launcher.stdout is not None
            lines = [launcher.stdout.readline().decode() for _ in range(2)]
        finally:
            os.killpg(launcher.pid, signal.SIGTERM)
    assert lines == ["operator is operator\n", "waiting for setup-topics: nothing listens at 127.0.0.1:1 yet\n"]
    users = Accounts(tmp_path / "plotter" / "users.json").load()
    password = (tmp_path / "security" / "plotter" / "operator_password").read_text()
    assert {name: user.role for name, user in users.items()} == {"operator": "operator"}
    assert is_password(users["operator"], password)


def test_commands_when_the_directory_was_made_secure_then_they_are_too(tmp_path: Path) -> None:
    (tmp_path / "security" / "ca").mkdir(parents=True)
    (tmp_path / "security" / "ca" / "certificate.pem").touch()
    assert open_stack({**BARE, "DATA_DIR": str(tmp_path)}).env["KAFKA_SASL_USERNAME"] == "admin"
    with pytest.raises(StackError, match="SECURE=maybe is neither yes nor no"):
        open_stack({**BARE, "DATA_DIR": str(tmp_path), "SECURE": "maybe"})


def test_stack_when_its_directory_was_made_with_the_other_profile_then_refused() -> None:
    refuse_other_profile({}, "yes")
    refuse_other_profile({"secure": "yes"}, "yes")
    with pytest.raises(StackError, match="made with SECURE=no: start it with the same value, choose another DATA_DIR"):
        refuse_other_profile({"feed": "simulator"}, "yes")


def test_token_of_env_file_when_people_run_commands_then_these_do_not_inherit_it(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("UPSTOX_ACCESS_TOKEN=secret-token\n")
    env = {**BARE, "PYTHON": sys.executable, "ENV_FILE": str(tmp_path / ".env"), "DATA_DIR": str(tmp_path)}
    script = "import os; print('secret-token' in os.environ.values(), os.environ['SERVICE'])"
    answer = subprocess.run(["bin/python3", "-c", script], cwd=ROOT, env=env, capture_output=True, text=True, check=True)
    assert answer.stdout == "False admin\n"


@pytest.mark.parametrize(
    ("launcher", "inherited"),
    [
        ("data-streamer", {"UPSTOX_ACCESS_TOKEN"}),
        ("plotter", {"ALERT_WEBHOOK"}),
        ("processor", set()),
        ("kafka", set()),
    ],
)
def test_secrets_of_env_file_when_a_service_starts_then_only_the_one_that_needs_them_inherits_them(
    tmp_path: Path, launcher: str, inherited: set[str]
) -> None:
    secret = {name: f"secret-of-{name}" for name in ("UPSTOX_ACCESS_TOKEN", "UPSTOX_CLIENT_SECRET", "ALERT_WEBHOOK")}
    (tmp_path / ".env").write_text("".join(f"{name}={value}\n" for name, value in secret.items()))
    env = open_stack({**BARE, "ENV_FILE": str(tmp_path / ".env"), "SERVICE": launcher, "DATA_DIR": str(tmp_path)}).env
    assert {name for name in secret if name in env} == inherited
    assert env["HAS_TOKEN"] == "yes"
