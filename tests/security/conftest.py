"""Kafka, ZooKeeper, a NameNode and a DataNode of the secure profile, started by their launchers on ports of their own."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from deploy import credentials
from orderflow.settings import Settings, load

ROOT = Path(__file__).parents[2]
START_SECONDS = 120
PORTS = (
    "ZOOKEEPER_PORT",
    "KAFKA_EXTERNAL_PORT",
    "KAFKA_PORT",
    "KAFKA_CONTROLLER_PORT",
    "NAMENODE_PORT",
    "NAMENODE_HTTP_PORT",
    "DATANODE1_PORT",
    "DATANODE1_HTTP_PORT",
    "DATANODE1_IPC_PORT",
)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass(frozen=True)
class SecureStack:
    """The environment in which the secure profile's launchers, health checks and commands run."""

    env: dict[str, str]

    @property
    def security_dir(self) -> Path:
        return Path(self.env["DATA_DIR"]) / "security"

    def run(self, *command: str, service: str = "admin") -> subprocess.CompletedProcess[str]:
        """Run a command of the repository as one of the services."""
        env = {**self.env, "SERVICE": service}
        return subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=120, check=False)

    def settings(self, service: str) -> Settings:
        """Return the settings that a service's launcher gives to its application."""
        script = ". deploy/env.sh && exec env -0"
        answer = subprocess.run(
            ["bash", "-c", script], cwd=ROOT, env={**self.env, "SERVICE": service}, capture_output=True, text=True, check=True
        )
        return load(dict(pair.partition("=")[::2] for pair in answer.stdout.split("\0") if pair))


@pytest.fixture(scope="session")
def secure_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecureStack]:
    artifacts = Path(os.environ.get("ARTIFACTS_DIR", ROOT / ".cache" / "artifacts"))
    if shutil.which("java") is None or not (artifacts / "complete").is_file():
        pytest.skip("Java or the artifacts are not on this machine: make setup")
    directory = tmp_path_factory.mktemp("secure")
    ports = {name: str(free_port()) for name in PORTS}
    env = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "JAVA_HOME", "PYTHON")}
    sizes = {"EXPECTED_DATANODES": "1", "HDFS_REPLICATION": "1"}
    stack = SecureStack({**env, **ports, **sizes, "SECURE": "yes", "DATA_DIR": str(directory), "ENV_FILE": "/dev/null"})
    credentials.ensure(stack.security_dir)
    with ExitStack() as running:
        for command in (["zookeeper"], ["kafka"], ["namenode"], ["datanode", "1"]):
            log = running.enter_context((directory / f"{command[0]}.log").open("wb"))
            server = subprocess.Popen(
                [f"deploy/launch/{command[0]}", *command[1:]], cwd=ROOT, env=stack.env, stdout=log, stderr=log, process_group=0
            )
            running.callback(server.wait, 30)
            running.callback(os.killpg, server.pid, signal.SIGTERM)
        for check in ("zookeeper", "kafka", "namenode"):
            until = time.monotonic() + START_SECONDS
            while (answer := stack.run(f"deploy/health/{check}", service=check)).returncode:
                assert time.monotonic() < until, answer.stderr + (directory / f"{check}.log").read_text()
                time.sleep(1)
        for setup in ("setup-topics", "setup-hdfs"):
            done = stack.run(f"deploy/launch/{setup}")
            assert done.returncode == 0, done.stderr
        yield stack
