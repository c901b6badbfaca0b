"""One frozen, validated settings object from the environment and `.env`; the only module that reads either.

The environment takes precedence over `.env`. Empty values count as absent. Secrets never appear in `repr`.
"""

from __future__ import annotations

import ipaddress
import os
import re
import socket
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from dotenv import dotenv_values

from orderflow.clusters import (
    SASL_MECHANISMS,
    SECURITY_PROTOCOLS,
    HdfsCluster,
    KafkaCluster,
    SparkCluster,
    TlsFiles,
    ZooKeeperCluster,
)
from orderflow.market import aggressor
from orderflow.market.errors import SettingsError

WINDOW_MINUTES: Final = (1, 2, 3, 5, 10, 15, 30, 60, 75, 125)
FEED_MODES: Final = ("full", "full_d30", "ltpc", "option_greeks")


@dataclass(frozen=True, slots=True)
class Settings:
    """Every setting of a service; build it with `load`."""

    access_token: str | None = field(repr=False)
    access_token_file: Path | None
    client_id: str | None
    client_secret: str | None = field(repr=False)
    client_secret_file: Path | None
    redirect_uri: str
    feed_url: str
    rest_url: str
    ca_file: Path | None
    feed_mode: str
    connections: int
    instruments: tuple[str, ...]
    instrument_modes: Mapping[str, str]
    instrument_file: Path | None
    instrument_master: str
    kafka: KafkaCluster
    kafka_partitions: int
    kafka_retention_hours: int
    kafka_retention_bytes: int
    kafka_replication_factor: int
    kafka_min_insync_replicas: int
    zookeeper: ZooKeeperCluster
    namenode_url: str
    hdfs: HdfsCluster
    spark: SparkCluster
    executor_python_archive: Path | None
    processor_cores: int
    tick_storage_cores: int
    candle_storage_cores: int
    session_cores: int
    windows: tuple[int, ...]
    watermark_seconds: int
    aggressor_rule: str
    exchange_bars: bool
    trades_trigger_seconds: int
    candles_trigger_seconds: float
    tick_storage_trigger_seconds: int
    candle_storage_trigger_seconds: int
    lake_keep_days: int | None
    lake_keep_bytes: int | None
    lake_trash_hours: int
    dashboard_host: str
    dashboard_port: int
    dashboard_buffer: int
    dashboard_prefix: str
    dashboard_trusted_hosts: tuple[str, ...]
    dashboard_users_file: Path | None
    dashboard_session_hours: float
    dashboard_proxies: tuple[str, ...]
    dashboard_user_header: str | None
    dashboard_tls: TlsFiles
    dashboard_requests_per_minute: int
    dashboard_sockets: int
    dashboard_sockets_per_user: int
    dashboard_messages_per_second: int
    alert_webhook: str | None = field(repr=False)
    imbalance_ratio: float
    imbalance_floor: float
    imbalance_ignore_zero: bool
    health_host: str
    health_port: int
    spool_dir: Path
    spool_max_bytes: int
    record_dir: Path | None
    standby: bool
    streamer_name: str
    log_level: str

    def __post_init__(self) -> None:
        """Raise SettingsError for inconsistent settings."""
        if self.dashboard_user_header and not (self.dashboard_proxies and self.dashboard_users_file):
            raise SettingsError(
                "DASHBOARD_USER_HEADER needs DASHBOARD_PROXIES, the proxies that may send it, and DASHBOARD_USERS_FILE with "
                "the roles"
            )


def load(environ: Mapping[str, str] | None = None, env_file: Path | None = None) -> Settings:
    """Build the settings from `env_file` (default `.env` or ENV_FILE) under the explicit environment.

    Raises SettingsError naming the variable, the value given (unless secret) and a valid example.
    """
    explicit = {key: value for key, value in (os.environ if environ is None else environ).items() if value.strip()}
    path = env_file or Path(explicit.get("ENV_FILE", ".env"))
    return settings_of(Reader({**_from_file(path), **explicit}))


def settings_of(read: Reader) -> Settings:
    """Build the settings from the look-ups of `read`; each setting is looked up once, whatever the values of others."""
    health_port = read.integer("HEALTH_PORT", 9100, least=0, most=65535)
    token = read.text("UPSTOX_ACCESS_TOKEN", "")
    feed_mode = read.choice("UPSTOX_FEED_MODE", "full", FEED_MODES)
    modes = modes_of(read.names("INSTRUMENT", "NSE_EQ|INE467B01029"), feed_mode, "INSTRUMENT")
    return Settings(
        access_token=None if token in ("", "your_access_token_here") else token,
        access_token_file=read.path("UPSTOX_ACCESS_TOKEN_FILE"),
        client_id=read.text("UPSTOX_CLIENT_ID", "") or None,
        client_secret=read.text("UPSTOX_CLIENT_SECRET", "") or None,
        client_secret_file=read.path("UPSTOX_CLIENT_SECRET_FILE"),
        redirect_uri=read.text("UPSTOX_REDIRECT_URI", "http://127.0.0.1:8766/"),
        feed_url=read.text("UPSTOX_FEED_URL", "wss://api.upstox.com/v3/feed/market-data-feed"),
        rest_url=read.text("UPSTOX_REST_URL", "https://api.upstox.com"),
        ca_file=read.path("UPSTOX_CA_FILE"),
        feed_mode=feed_mode,
        connections=read.integer("UPSTOX_CONNECTIONS", 1, least=1, most=5),
        instruments=tuple(modes),
        instrument_modes=modes,
        instrument_file=read.path("INSTRUMENT_FILE"),
        instrument_master=read.text(
            "INSTRUMENT_MASTER", "https://assets.upstox.com/market-quote/instruments/exchange/complete.json.gz"
        ),
        kafka=KafkaCluster(
            brokers=read.text("KAFKA_BROKERS", "kafka:29092"),
            security_protocol=read.choice("KAFKA_SECURITY_PROTOCOL", "PLAINTEXT", SECURITY_PROTOCOLS),
            sasl_mechanism=read.choice("KAFKA_SASL_MECHANISM", "SCRAM-SHA-512", SASL_MECHANISMS),
            sasl_username=read.text("KAFKA_SASL_USERNAME", ""),
            sasl_password_file=read.path("KAFKA_SASL_PASSWORD_FILE"),
            tls=read.tls("KAFKA_SSL"),
        ),
        kafka_partitions=read.integer("KAFKA_PARTITIONS", 2, least=1),
        kafka_retention_hours=read.integer("KAFKA_RETENTION_HOURS", 168, least=1),
        kafka_retention_bytes=read.integer("KAFKA_RETENTION_BYTES", 1 << 30, least=1 << 20),
        kafka_replication_factor=read.integer("KAFKA_REPLICATION_FACTOR", 1, least=1),
        kafka_min_insync_replicas=read.integer("KAFKA_MIN_INSYNC_REPLICAS", 1, least=1),
        zookeeper=ZooKeeperCluster(
            hosts=read.text("ZOOKEEPER_HOSTS", "zookeeper:2181"),
            username=read.text("ZOOKEEPER_USERNAME", ""),
            password_file=read.path("ZOOKEEPER_PASSWORD_FILE"),
            tls=read.tls("ZOOKEEPER_SSL"),
        ),
        namenode_url=read.text("NAMENODE_URL", "hdfs://namenode:9000").rstrip("/"),
        hdfs=HdfsCluster(
            http_url=read.text("NAMENODE_HTTP_URL", "http://namenode:50070").rstrip("/"),
            user=read.text("HDFS_USER", ""),
            kerberos_principal=read.text("HDFS_KERBEROS_PRINCIPAL", ""),
            kerberos_keytab=read.path("HDFS_KERBEROS_KEYTAB"),
            ca_file=read.path("HDFS_CA_FILE"),
            replication=read.integer("HDFS_REPLICATION", 2, least=1),
        ),
        spark=SparkCluster(
            master_url=read.text("SPARK_MASTER_URL", "spark://spark-master:7077"),
            auth_secret_file=read.path("SPARK_AUTH_SECRET_FILE"),
        ),
        executor_python_archive=read.path("EXECUTOR_PYTHON_ARCHIVE"),
        processor_cores=read.integer("PROCESSOR_CORES", 4, least=1),
        tick_storage_cores=read.integer("TICK_STORAGE_CORES", 1, least=1),
        candle_storage_cores=read.integer("CANDLE_STORAGE_CORES", 1, least=1),
        session_cores=read.integer("SESSION_CORES", 1, least=1),
        windows=read.choices("WINDOW_MINUTES", "1", WINDOW_MINUTES),
        watermark_seconds=read.integer("WATERMARK_SECONDS", 120, least=60),
        aggressor_rule=read.choice("AGGRESSOR_RULE", "split", aggressor.RULES),
        exchange_bars=read.choice("EXCHANGE_BARS", "true", ("true", "false")) == "true",
        trades_trigger_seconds=read.integer("TRADES_TRIGGER_SECONDS", 300, least=5),
        candles_trigger_seconds=read.number("CANDLES_TRIGGER_SECONDS", 1.0, least=0.0),
        tick_storage_trigger_seconds=read.integer("TICK_STORAGE_TRIGGER_SECONDS", 30, least=1),
        candle_storage_trigger_seconds=read.integer("CANDLE_STORAGE_TRIGGER_SECONDS", 30, least=1),
        lake_keep_days=read.integer("LAKE_KEEP_DAYS", 0, least=0) or None,
        lake_keep_bytes=int(read.number("LAKE_KEEP_GIGABYTES", 0.0, least=0.0) * 1e9) or None,
        lake_trash_hours=read.integer("LAKE_TRASH_HOURS", 24, least=0),
        dashboard_host=read.text("DASHBOARD_HOST", "0.0.0.0"),
        dashboard_port=read.integer("DASHBOARD_PORT", 8050, least=1, most=65535),
        dashboard_buffer=read.integer("DASHBOARD_BUFFER", 100, least=10, most=5000),
        dashboard_prefix=read.prefix("DASHBOARD_PREFIX"),
        dashboard_trusted_hosts=read.optional_names("DASHBOARD_TRUSTED_HOSTS"),
        dashboard_users_file=read.path("DASHBOARD_USERS_FILE"),
        dashboard_session_hours=read.number("DASHBOARD_SESSION_HOURS", 12.0, least=0.1),
        dashboard_proxies=read.networks("DASHBOARD_PROXIES"),
        dashboard_user_header=read.text("DASHBOARD_USER_HEADER", "") or None,
        dashboard_tls=TlsFiles(
            "DASHBOARD_SSL", None, read.path("DASHBOARD_SSL_CERTIFICATE_FILE"), read.path("DASHBOARD_SSL_KEY_FILE")
        ),
        dashboard_requests_per_minute=read.integer("DASHBOARD_REQUESTS_PER_MINUTE", 3000, least=0),
        dashboard_sockets=read.integer("DASHBOARD_SOCKETS", 500, least=0),
        dashboard_sockets_per_user=read.integer("DASHBOARD_SOCKETS_PER_USER", 50, least=0),
        dashboard_messages_per_second=read.integer("DASHBOARD_MESSAGES_PER_SECOND", 200, least=0),
        alert_webhook=read.address("ALERT_WEBHOOK"),
        imbalance_ratio=read.number("IMBALANCE_RATIO", 3.0, least=1.0),
        imbalance_floor=read.number("IMBALANCE_FLOOR_PERCENT", 2.0, least=0.0) / 100,
        imbalance_ignore_zero=read.choice("IMBALANCE_IGNORE_ZERO", "false", ("true", "false")) == "true",
        health_host=read.text("HEALTH_HOST", "127.0.0.1"),
        health_port=health_port,
        spool_dir=read.path("SPOOL_DIR") or Path("/var/lib/orderflow/spool"),
        spool_max_bytes=read.integer("SPOOL_MAX_BYTES", 2 << 30, least=1 << 20),
        record_dir=read.path("RECORD_DIR"),
        # The port distinguishes two streamers on one host, and stays the same after a restart.
        streamer_name=read.text("STREAMER_NAME", f"{socket.gethostname()}:{health_port}"),
        standby=read.choice("STANDBY", "false", ("true", "false")) == "true",
        log_level=read.choice("LOG_LEVEL", "INFO", ("DEBUG", "INFO", "WARNING", "ERROR")),
    )


def modes_of(entries: Iterable[str], feed_mode: str, source: str) -> dict[str, str]:
    """Return the mode of each name in a list of `NAME` (then it is `feed_mode`) and `NAME:MODE`, in order.

    Raises SettingsError naming `source` for a mode that does not exist, or a name with two modes.
    """
    modes: dict[str, str] = {}
    for entry in entries:
        name, colon, mode = (part.strip() for part in entry.rpartition(":"))
        if not colon:
            name, mode = entry, feed_mode
        if not name or mode not in FEED_MODES:
            raise SettingsError(f"{source}: {entry!r} has no mode out of {', '.join(FEED_MODES)}; for example TCS:full_d30")
        if modes.setdefault(name, mode) != mode:
            raise SettingsError(f"{source} lists {name} in mode {modes[name]} and in mode {mode}; keep one of them")
    return modes


def _from_file(path: Path) -> dict[str, str]:
    """Return what the file sets. Raises SettingsError when it is no UTF-8 text; a byte-order mark does no harm."""
    try:
        there = path.is_file()
    except PermissionError:  # a directory that this account cannot enter, as a private clone is for a container's
        there = False
    if not there:
        return {}
    try:
        values = dotenv_values(path, encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        cure = 'save it as UTF-8 (PowerShell 5 and Notepad\'s "Unicode" write UTF-16)'
        raise SettingsError(f"{path} is not UTF-8 text; {cure}") from error
    return {key: value for key, value in values.items() if value and value.strip()}


class Reader:
    """Typed look-ups whose errors name the variable and a cure; docs/reference.py records them for the page of settings."""

    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = values

    def text(self, name: str, default: str) -> str:
        return self._values.get(name, default).strip()

    def path(self, name: str) -> Path | None:
        value = self._values.get(name, "").strip()
        return Path(value).expanduser() if value else None

    def tls(self, prefix: str) -> TlsFiles:
        return TlsFiles(prefix, *(self.path(f"{prefix}_{name}_FILE") for name in ("CA", "CERTIFICATE", "KEY")))

    def names(self, name: str, default: str) -> tuple[str, ...]:
        names = tuple(dict.fromkeys(part.strip() for part in self.text(name, default).split(",") if part.strip()))
        if not names:
            raise SettingsError(f"{name} names no instrument; for example {name}={default}")
        return names

    def optional_names(self, name: str) -> tuple[str, ...]:
        return tuple(dict.fromkeys(part.strip() for part in self.text(name, "").split(",") if part.strip()))

    def networks(self, name: str) -> tuple[str, ...]:
        found = self.optional_names(name)
        for network in found:
            try:
                ipaddress.ip_network(network)
            except ValueError:
                raise SettingsError(
                    f"{name}: {network!r} is not an address or network; for example {name}=10.0.0.5,172.18.0.0/16"
                ) from None
        return found

    def address(self, name: str) -> str | None:
        value = self.text(name, "")
        if value and not re.fullmatch(r"https?://\S+", value):
            raise SettingsError(f"{name} is not an address; for example {name}=https://chat.example.com/hooks/abc")
        return value or None

    def prefix(self, name: str) -> str:
        value = self.text(name, "/")
        if not re.fullmatch(r"/?([\w.~-]+/)*[\w.~-]*/?", value):
            raise SettingsError(f"{name}={value!r} is not a path; for example {name}=/orderflow/")
        inner = value.strip("/")
        return f"/{inner}/" if inner else "/"

    def choice(self, name: str, default: str, valid: tuple[str, ...]) -> str:
        value = self.text(name, default)
        if value not in valid:
            raise SettingsError(f"{name}={value!r} is not one of {', '.join(valid)}; for example {name}={default}")
        return value

    def choices(self, name: str, default: str, valid: tuple[int, ...]) -> tuple[int, ...]:
        value = self.text(name, default)
        parts = sorted({part.strip() for part in value.split(",") if part.strip()}, key=lambda part: (len(part), part))
        if not parts or any(part not in map(str, valid) for part in parts):
            shown = ", ".join(map(str, valid))
            raise SettingsError(f"{name}={value!r} must be one or more of {shown}; for example {name}=1,5,15")
        return tuple(map(int, parts))

    def integer(self, name: str, default: int, *, least: int, most: int | None = None) -> int:
        value = self.text(name, str(default))
        try:
            number = int(value)
        except ValueError:
            raise SettingsError(f"{name}={value!r} is not a whole number; for example {name}={default}") from None
        if number < least or (most is not None and number > most):
            raise SettingsError(
                f"{name}={number} is outside {least}..{'' if most is None else most}; for example {name}={default}"
            )
        return number

    def number(self, name: str, default: float, *, least: float) -> float:
        value = self.text(name, str(default))
        try:
            number = float(value)
        except ValueError:
            raise SettingsError(f"{name}={value!r} is not a number; for example {name}={default}") from None
        if not number >= least:
            raise SettingsError(f"{name}={number} is below {least}; for example {name}={default}")
        return number
