"""The services of a local stack, in the order in which data flows; docker-compose.yml has the same ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

Kind = Literal["server", "setup", "application"]


@dataclass(frozen=True, slots=True)
class Service:
    """One launcher of deploy/launch with its arguments and the port variables (deploy/env.sh) it listens on."""

    name: str
    kind: Kind
    ports: tuple[str, ...] = ()
    launcher: str = ""
    argument: str = ""
    page: str = ""

    @property
    def command(self) -> str:
        """Return the launcher, relative to the repository, with its argument."""
        return f"deploy/launch/{self.launcher or self.name} {self.argument}".strip()


KDC: Final = Service("kdc", "server", ("KDC_PORT",))
"""In the secure profile only."""

SERVICES: Final = (
    Service("zookeeper", "server", ("ZOOKEEPER_PORT",)),
    Service("kafka", "server", ("KAFKA_EXTERNAL_PORT", "KAFKA_PORT", "KAFKA_CONTROLLER_PORT")),
    Service("namenode", "server", ("NAMENODE_PORT", "NAMENODE_HTTP_PORT"), page="NAMENODE_HTTP_PORT"),
    Service("datanode1", "server", ("DATANODE1_PORT", "DATANODE1_HTTP_PORT", "DATANODE1_IPC_PORT"), "datanode", "1"),
    Service("datanode2", "server", ("DATANODE2_PORT", "DATANODE2_HTTP_PORT", "DATANODE2_IPC_PORT"), "datanode", "2"),
    Service("spark-master", "server", ("SPARK_MASTER_PORT", "SPARK_MASTER_UI_PORT"), page="SPARK_MASTER_UI_PORT"),
    Service("spark-worker", "server", ("SPARK_WORKER_UI_PORT",), page="SPARK_WORKER_UI_PORT"),
    Service("setup-topics", "setup"),
    Service("setup-hdfs", "setup"),
    Service("simulator", "application", ("SIM_PORT",)),
    Service("data-streamer", "application", ("DATA_STREAMER_HEALTH_PORT",)),
    Service("processor", "application", ("PROCESSOR_HEALTH_PORT",)),
    Service("tick-storage", "application", ("TICK_STORAGE_HEALTH_PORT",)),
    Service("candle-storage", "application", ("CANDLE_STORAGE_HEALTH_PORT",)),
    Service("plotter", "application", ("DASHBOARD_PORT",), page="DASHBOARD_PORT"),
)


def services(feed: str, secure: str = "no") -> tuple[Service, ...]:
    """Return the services of a stack whose feed is `simulator` or `live`; `secure` is `yes` in the secure profile."""
    first = (KDC,) if secure == "yes" else ()
    return first + tuple(service for service in SERVICES if feed == "simulator" or service.name != "simulator")
