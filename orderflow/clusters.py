"""How to reach and log in to Kafka, ZooKeeper, HDFS and Spark: one value object each, made by `settings.load`.

Each translates itself into the options of its clients; no other module uses those names. Passwords are read from their
files when a client is created, so a changed file takes effect with the next new client.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from orderflow import logs
from orderflow.market.errors import SettingsError

SASL_MECHANISMS: Final = ("SCRAM-SHA-512", "SCRAM-SHA-256", "PLAIN")
SECURITY_PROTOCOLS: Final = ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")
_LOGIN_MODULES: Final = {
    "PLAIN": "org.apache.kafka.common.security.plain.PlainLoginModule",
    "SCRAM-SHA-256": "org.apache.kafka.common.security.scram.ScramLoginModule",
    "SCRAM-SHA-512": "org.apache.kafka.common.security.scram.ScramLoginModule",
}


def read_secret(variable: str, path: Path | None) -> str:
    """Return the secret in a file, without white space around it, and keep it out of the log from now on.

    Raises SettingsError, naming the setting, when the file is not set, cannot be read or is empty.
    """
    if path is None:
        raise SettingsError(f"{variable} is not set: name a file that holds the secret")
    try:
        secret = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{variable}={path} cannot be read: {error}") from error
    if not secret:
        raise SettingsError(f"{variable}={path} is empty")
    logs.hide(secret)
    return secret


def _pem(variable: str, path: Path) -> str:
    try:
        return path.read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{variable}={path} cannot be read as PEM: {error}") from error


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """PEM files of one end of TLS: the authority it trusts, and its own certificate and key, if it has one.

    Without an authority it trusts the system's. `prefix` is that of the settings which name the files, for messages.
    """

    prefix: str
    ca: Path | None = None
    certificate: Path | None = None
    key: Path | None = None

    def __post_init__(self) -> None:
        if (self.certificate is None) != (self.key is None):
            raise SettingsError(f"{self.prefix}_CERTIFICATE_FILE and {self.prefix}_KEY_FILE go together: set both or neither")


@dataclass(frozen=True, slots=True)
class KafkaCluster:
    """Brokers (`host:port,…`) and how to log in to them."""

    brokers: str
    security_protocol: str = "PLAINTEXT"
    sasl_mechanism: str = "SCRAM-SHA-512"
    sasl_username: str = ""
    sasl_password_file: Path | None = None
    tls: TlsFiles = TlsFiles("KAFKA_SSL")

    def __post_init__(self) -> None:
        if self._uses_sasl and not (self.sasl_username and self.sasl_password_file):
            raise SettingsError(
                f"KAFKA_SECURITY_PROTOCOL={self.security_protocol} needs KAFKA_SASL_USERNAME and KAFKA_SASL_PASSWORD_FILE"
            )

    def __str__(self) -> str:
        return self.brokers

    @property
    def _uses_sasl(self) -> bool:
        return self.security_protocol.startswith("SASL_")

    @property
    def _uses_tls(self) -> bool:
        return self.security_protocol.endswith("SSL")

    def librdkafka(self) -> dict[str, Any]:
        """Return the options of a confluent-kafka client, with certificates and password in them: executors need no files.

        Raises SettingsError when a secret or certificate cannot be read.
        """
        options: dict[str, Any] = {"bootstrap.servers": self.brokers, "security.protocol": self.security_protocol}
        if self._uses_sasl:
            options["sasl.mechanism"] = self.sasl_mechanism
            options["sasl.username"] = self.sasl_username
            options["sasl.password"] = self._password()
        if self._uses_tls:
            files = {
                "CA": ("ca", self.tls.ca),
                "CERTIFICATE": ("certificate", self.tls.certificate),
                "KEY": ("key", self.tls.key),
            }
            for setting, (name, path) in files.items():
                if path is not None:
                    options[f"ssl.{name}.pem"] = _pem(f"KAFKA_SSL_{setting}_FILE", path)
        return options

    def kafka_python(self) -> dict[str, Any]:
        """Return the arguments of a kafka-python client. Raises SettingsError when a secret cannot be read."""
        options: dict[str, Any] = {
            "bootstrap_servers": self.brokers.split(","),
            "security_protocol": self.security_protocol,
        }
        if self._uses_sasl:
            options["sasl_mechanism"] = self.sasl_mechanism
            options["sasl_plain_username"] = self.sasl_username
            options["sasl_plain_password"] = self._password()
        if self._uses_tls:
            files = {"ssl_cafile": self.tls.ca, "ssl_certfile": self.tls.certificate, "ssl_keyfile": self.tls.key}
            options.update({name: str(path) for name, path in files.items() if path is not None})
        return options

    def java(self) -> dict[str, str]:
        """Return the properties of a Java client, with certificates and password in them: nobody else needs the files.

        Raises SettingsError when a secret or certificate cannot be read.
        """
        options = {"bootstrap.servers": self.brokers, "security.protocol": self.security_protocol}
        if self._uses_sasl:
            login = (_LOGIN_MODULES[self.sasl_mechanism], _quoted(self.sasl_username), _quoted(self._password()))
            options["sasl.mechanism"] = self.sasl_mechanism
            options["sasl.jaas.config"] = "{} required username={} password={};".format(*login)
        if self._uses_tls and self.tls.ca is not None:
            options["ssl.truststore.type"] = "PEM"
            options["ssl.truststore.certificates"] = _pem("KAFKA_SSL_CA_FILE", self.tls.ca)
        if self._uses_tls and self.tls.certificate is not None and self.tls.key is not None:
            options["ssl.keystore.type"] = "PEM"
            options["ssl.keystore.certificate.chain"] = _pem("KAFKA_SSL_CERTIFICATE_FILE", self.tls.certificate)
            options["ssl.keystore.key"] = _pem("KAFKA_SSL_KEY_FILE", self.tls.key)
        return options

    def spark(self) -> dict[str, str]:
        """Return the options of Spark's Kafka source and sink, which also reach the executors."""
        return {f"kafka.{name}": value for name, value in self.java().items()}

    def _password(self) -> str:
        return read_secret("KAFKA_SASL_PASSWORD_FILE", self.sasl_password_file)


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


@dataclass(frozen=True, slots=True)
class ZooKeeperCluster:
    """Hosts (`host:port,…`, perhaps with a path), and how to log in: by a client certificate, by user and password, or not.

    Nodes made by a client that logs in are that login's own: nobody else reads or changes them.
    """

    hosts: str
    username: str = ""
    password_file: Path | None = None
    tls: TlsFiles = TlsFiles("ZOOKEEPER_SSL")

    def __post_init__(self) -> None:
        if bool(self.username) != bool(self.password_file):
            raise SettingsError("ZOOKEEPER_USERNAME and ZOOKEEPER_PASSWORD_FILE go together: set both or neither")

    def __str__(self) -> str:
        return self.hosts

    @property
    def uses_tls(self) -> bool:
        """Return whether connections are encrypted: as soon as any of the TLS files is set."""
        return self.tls.ca is not None or self.tls.certificate is not None

    def kazoo(self) -> dict[str, Any]:
        """Return the arguments of a KazooClient. Raises SettingsError when a secret cannot be read."""
        options: dict[str, Any] = {"hosts": self.hosts}
        if self.uses_tls:
            options |= {"use_ssl": True, "verify_certs": True, "check_hostname": True}
            files = {"ca": self.tls.ca, "certfile": self.tls.certificate, "keyfile": self.tls.key}
            options.update({name: str(path) for name, path in files.items() if path is not None})
        if self.username:
            password = read_secret("ZOOKEEPER_PASSWORD_FILE", self.password_file)
            options["auth_data"] = [("digest", f"{self.username}:{password}")]
        if self.username or self.tls.certificate is not None:
            from kazoo.security import CREATOR_ALL_ACL  # here, since executors load this module and have no kazoo

            options["default_acl"] = CREATOR_ALL_ACL
        return options


@dataclass(frozen=True, slots=True)
class HdfsCluster:
    """A NameNode over HTTP, and the user in HDFS: a Kerberos principal with its keytab, or a name that HDFS accepts unchecked.

    Without a principal `user` is that name; empty, it is the account that the process runs under. `replication` is how many
    DataNodes hold each block of a file that is written.
    """

    http_url: str
    user: str = ""
    kerberos_principal: str = ""
    kerberos_keytab: Path | None = None
    ca_file: Path | None = None
    replication: int = 2

    def __post_init__(self) -> None:
        if bool(self.kerberos_principal) != bool(self.kerberos_keytab):
            raise SettingsError("HDFS_KERBEROS_PRINCIPAL and HDFS_KERBEROS_KEYTAB go together: set both or neither")
        if self.kerberos_principal and self.user:
            raise SettingsError("HDFS_USER is for a cluster without Kerberos: leave it empty with HDFS_KERBEROS_PRINCIPAL")

    def __str__(self) -> str:
        return self.http_url

    def spark(self) -> dict[str, str]:
        """Return the Spark options with which driver and executors are this user.

        From the keytab the driver fetches tokens for its executors, which need no keytab of their own.
        """
        if self.kerberos_principal:
            return {"spark.kerberos.principal": self.kerberos_principal, "spark.kerberos.keytab": str(self.kerberos_keytab)}
        return {"spark.executorEnv.HADOOP_USER_NAME": self.user} if self.user else {}


@dataclass(frozen=True, slots=True)
class SparkCluster:
    """A Spark master and, if it requires one, the secret that its whole cluster shares."""

    master_url: str
    auth_secret_file: Path | None = None

    def __str__(self) -> str:
        return self.master_url

    def options(self) -> dict[str, str]:
        """Return the Spark options of a cluster that authenticates: RPC, shuffle and spilled files are also encrypted.

        They belong into a file, not into a session's builder, whose options become a command line that everybody on the machine
        can read. Raises SettingsError when the secret cannot be read.
        """
        if self.auth_secret_file is None:
            return {}
        return {
            "spark.authenticate": "true",
            "spark.authenticate.secret": read_secret("SPARK_AUTH_SECRET_FILE", self.auth_secret_file),
            "spark.network.crypto.enabled": "true",
            "spark.network.crypto.saslFallback": "false",
            "spark.network.crypto.authEngineVersion": "2",
            "spark.io.encryption.enabled": "true",
        }
