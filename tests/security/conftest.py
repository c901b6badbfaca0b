"""The secure profile's servers, started by their launchers on ports of their own: Kafka and ZooKeeper, and HDFS with its KDC."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import pytest

from deploy import credentials, kerberos
from orderflow.settings import Settings, load

ROOT = Path(__file__).parents[2]
START_SECONDS = 120
PORTS = (
    "KDC_PORT",
    "ZOOKEEPER_PORT",
    "KAFKA_EXTERNAL_PORT",
    "KAFKA_PORT",
    "KAFKA_CONTROLLER_PORT",
    "NAMENODE_PORT",
    "NAMENODE_HTTP_PORT",
    "DATANODE1_PORT",
    "DATANODE1_HTTP_PORT",
    "DATANODE1_IPC_PORT",
    "DATANODE2_PORT",
    "DATANODE2_HTTP_PORT",
    "DATANODE2_IPC_PORT",
    "SPARK_MASTER_PORT",
    "SPARK_MASTER_UI_PORT",
    "SPARK_WORKER_UI_PORT",
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
def secure_start(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[SecureStack, Callable[..., None]]]:
    """Give a stack of which nothing runs yet, and the function that starts a server: its launcher's name, and an argument."""
    artifacts = Path(os.environ.get("ARTIFACTS_DIR", ROOT / ".cache" / "artifacts"))
    if shutil.which("java") is None or not (artifacts / "complete").is_file():
        pytest.skip("Java or the artifacts are not on this machine: make setup")
    directory = tmp_path_factory.mktemp("secure")
    ports = {name: str(free_port()) for name in PORTS}
    env = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "JAVA_HOME", "PYTHON")}
    sizes = {"NAMENODE_CHECKPOINT_SECONDS": "20", "NAMENODE_CHECKPOINT_EDITS": "1", "SPARK_WORKER_MEMORY": "1g"}
    stack = SecureStack({**env, **ports, **sizes, "SECURE": "yes", "DATA_DIR": str(directory), "ENV_FILE": "/dev/null"})
    credentials.ensure(stack.security_dir)
    with ExitStack() as running:

        def start(launcher: str, argument: str = "") -> None:
            log = running.enter_context((directory / f"{launcher}{argument}.log").open("wb"))
            command = [f"deploy/launch/{launcher}", *([argument] if argument else [])]
            server = subprocess.Popen(command, cwd=ROOT, env=stack.env, stdout=log, stderr=log, process_group=0)
            running.callback(server.wait, 30)
            running.callback(os.killpg, server.pid, signal.SIGTERM)

        yield stack, start


def healthy(stack: SecureStack, *services: str) -> None:
    """Wait until the services are healthy."""
    for service in services:
        until = time.monotonic() + START_SECONDS
        while (answer := stack.run(f"deploy/health/{service}", service=service)).returncode:
            assert time.monotonic() < until, answer.stderr + (stack.security_dir.parent / f"{service}.log").read_text()[-5000:]
            time.sleep(1)


def set_up(stack: SecureStack, setup: str) -> None:
    """Run one of the launchers that end."""
    done = stack.run(f"deploy/launch/{setup}", service=setup)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="session")
def secure_stack(secure_start: tuple[SecureStack, Callable[..., None]]) -> SecureStack:
    """Give the stack with Kafka and ZooKeeper."""
    stack, start = secure_start
    start("zookeeper")
    start("kafka")
    healthy(stack, "zookeeper", "kafka")
    set_up(stack, "setup-topics")
    return stack


@pytest.fixture(scope="session")
def secure_hdfs(secure_start: tuple[SecureStack, Callable[..., None]]) -> Iterator[SecureStack]:
    """Give the stack with a KDC, NameNode and two DataNodes."""
    stack, start = secure_start
    if shutil.which("krb5kdc", path="/usr/sbin") is None or find_spec("requests_gssapi") is None:
        pytest.skip("Kerberos is not on this machine: make kerberos")
    kerberos.ensure(stack.security_dir)
    start("kdc")
    start("namenode")
    start("datanode", "1")
    start("datanode", "2")
    healthy(stack, "kdc", "namenode", "datanode1", "datanode2")
    set_up(stack, "setup-hdfs")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KRB5_CONFIG", f"{stack.env['DATA_DIR']}/conf/krb5.conf")
        yield stack
