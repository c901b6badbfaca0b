"""One Kafka broker of a benchmark's own, from the project's jars, on free ports."""

from __future__ import annotations

import socket
import subprocess
import time
from pathlib import Path

HOST = "127.0.0.1"
START_SECONDS = 120
AS_DEPLOYED = ("-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")  # JAVA_SERVER in deploy/env.sh


class Broker:
    """A broker that keeps everything in `directory`; `artifacts` holds the jars that `make setup` fetched."""

    def __init__(self, artifacts: Path, directory: Path, heap: str = "256m") -> None:
        port, controller = free_port(), free_port()
        self.address = f"{HOST}:{port}"
        self._class_path, self._directory, self._heap = f"{artifacts.resolve()}/*", directory, heap
        self._process: subprocess.Popen[bytes] | None = None
        (directory / "server.properties").write_text(
            f"process.roles=broker,controller\nnode.id=1\ncontroller.quorum.voters=1@{HOST}:{controller}\n"
            f"listeners=PLAINTEXT://{HOST}:{port},CONTROLLER://{HOST}:{controller}\n"
            f"advertised.listeners=PLAINTEXT://{HOST}:{port}\ncontroller.listener.names=CONTROLLER\n"
            f"log.dirs={directory}/log\noffsets.topic.replication.factor=1\noffsets.topic.num.partitions=1\n"
            "transaction.state.log.replication.factor=1\ntransaction.state.log.min.isr=1\nauto.create.topics.enable=false\n"
        )
        self._java("kafka.tools.StorageTool", "format", "-t", "4L6g3nShT-eMCtK--X86sw", "-c", "server.properties").wait()

    def start(self) -> None:
        """Start the broker and wait until it listens. Raises RuntimeError when it ends, TimeoutError after two minutes."""
        self._process = self._java("kafka.Kafka", "server.properties")
        deadline = time.monotonic() + START_SECONDS
        host, port = self.address.split(":")
        while time.monotonic() < deadline:
            with socket.socket() as probe:
                if probe.connect_ex((host, int(port))) == 0:
                    return
            if self._process.poll() is not None:
                log = (self._directory / "kafka.out").read_text(errors="replace")
                raise RuntimeError(f"the broker ended with {self._process.returncode}:\n{log[-2_000:]}")
            time.sleep(0.2)
        raise TimeoutError(f"the broker at {self.address} did not start; see {self._directory}/kafka.out")

    def kill(self) -> None:
        """End the broker at once."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def _java(self, *arguments: str) -> subprocess.Popen[bytes]:
        with (self._directory / "kafka.out").open("ab") as out:
            command = ["java", f"-Xmx{self._heap}", *AS_DEPLOYED, "-cp", self._class_path, *arguments]
            return subprocess.Popen(command, cwd=self._directory, stdout=out, stderr=out)


def free_port() -> int:
    """Return a port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])
