"""Health checks: Bash answers for what is plainly healthy, and leaves the rest to deploy/probe.py."""

from __future__ import annotations

import os
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from orderflow.certificates import Authority

ROOT = Path(__file__).resolve().parents[2]
JMX = "jmx?get=Hadoop:service=DataNode,name=DataNodeInfo::BPServiceActorInfo"
ACTOR = r'{"BPServiceActorInfo" : "[{\"ActorState\":\"%s\",\"LastHeartbeat\":\"%d\"}]"}'
STATUS, STATE = "qry=Hadoop:service=NameNode,name=NameNodeStatus", "qry=Hadoop:service=NameNode,name=FSNamesystemState"
ACTIVE, STANDBY = {f"jmx?{STATUS}": (200, '"State" : "active"')}, '"State" : "standby"'
NAMENODE = '"FSState" : "%s", "NumLiveDataNodes" : %d,'


class Server(ThreadingHTTPServer):
    """Answers by path and query with a status and a body."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers: dict[str, tuple[int, str]] = {}


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        status, body = self.server.answers.get(self.path.lstrip("/"), (404, ""))
        self.send_response(status)
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_: object) -> None:
        return


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as serving:
        thread = threading.Thread(target=serving.serve_forever, args=(0.05,))
        thread.start()
        yield serving
        serving.shutdown()
        thread.join()


ASKED = bytes.fromhex("0000000e0003000100000007ffff00000000")
BROKER, NO_BROKER = bytes.fromhex("000000200000000700000001000000010009"), bytes.fromhex("0000000c00000007000000000000")


def checked(kind: str, *addresses: str) -> str:
    """Return `quick` when Bash found it healthy, `probe` when it was left to probe.py."""
    script = 'PYTHON=echo; . deploy/quick.sh; probe "$@" && echo quick'
    command = ["bash", "-c", f"set -euo pipefail; trap 'echo quick' EXIT; {script}", "bash", kind, *addresses]
    answer = subprocess.run(
        command,
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "ORDERFLOW_HOME": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=20,
    )
    assert answer.returncode == 0, answer.stderr
    return "probe" if "probe.py" in answer.stdout else "quick"


@pytest.mark.parametrize(
    ("kind", "answers", "checked_by"),
    [
        ("healthz", {"healthz": (200, "{}")}, "quick"),
        ("healthz", {"healthz": (503, "{}")}, "probe"),
        ("healthz", {}, "probe"),
        ("dashboard", {"healthz": (200, "{}")}, "quick"),
        ("spark-master", {"json/": (200, '"aliveworkers" : 1, "status" : "ALIVE"')}, "quick"),
        ("spark-master", {"json/": (200, '"aliveworkers" : 0, "status" : "ALIVE"')}, "probe"),
        ("spark-master", {"json/": (200, '"aliveworkers" : 1, "status" : "RECOVERING"')}, "probe"),
        ("spark-worker", {"json/": (200, '"masterurl" : "spark://127.0.0.1:7077"')}, "quick"),
        ("spark-worker", {"json/": (200, '"masterurl" : ""')}, "probe"),
        ("datanode", {JMX: (200, ACTOR % ("RUNNING", 1))}, "quick"),
        ("datanode", {JMX: (200, ACTOR % ("RUNNING", 31))}, "probe"),
        ("datanode", {JMX: (200, ACTOR % ("EXITED", 1))}, "probe"),
        ("namenode", {**ACTIVE, f"jmx?{STATE}": (200, NAMENODE % ("Operational", 2))}, "quick"),
        ("namenode", {f"jmx?{STATUS}": (200, STANDBY), f"jmx?{STATE}": (200, NAMENODE % ("Operational", 2))}, "probe"),
        ("namenode", {**ACTIVE, f"jmx?{STATE}": (200, NAMENODE % ("safeMode", 2))}, "probe"),
        ("namenode", {**ACTIVE, f"jmx?{STATE}": (200, NAMENODE % ("Operational", 1))}, "probe"),
        ("unheard-of", {}, "probe"),
    ],
)  # fmt: skip
def test_check_when_the_answer_is_plain_then_bash_gives_it_and_else_the_probe(server: Server, kind, answers, checked_by) -> None:
    server.answers = answers
    address = f"http://127.0.0.1:{server.server_address[1]}"
    assert checked(kind, address, *(["2"] if kind == "namenode" else [])) == checked_by


@pytest.mark.parametrize(
    ("kind", "sent", "answer", "checked_by"),
    [
        ("zookeeper", b"ruok", b"imok", "quick"),
        ("zookeeper", b"ruok", b"", "probe"),
        ("kafka", ASKED, BROKER, "quick"),
        ("kafka", ASKED, NO_BROKER, "probe"),
        ("kafka", ASKED, b"", "probe"),
    ],
)  # fmt: skip
def test_check_when_a_server_speaks_its_own_protocol_then_bash_asks_in_it(kind, sent, answer, checked_by) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        heard: list[bytes] = []

        def serve() -> None:
            connection, _ = listening.accept()
            with connection:
                heard.append(connection.recv(64))
                connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        assert checked(kind, f"127.0.0.1:{listening.getsockname()[1]}") == checked_by
        thread.join()
    assert heard == [sent]


@pytest.mark.parametrize(
    ("tls", "status", "reason"), [(False, 200, ""), (True, 200, ""), (True, 503, "healthz answers 503: {}"), (False, 503, "503")]
)
def test_dashboards_check_when_it_speaks_http_or_https_finds_it(
    server: Server, tmp_path: Path, tls: bool, status: int, reason: str
) -> None:
    server.answers = {"healthz": (status, "{}")}
    if tls:
        certificate, key = Authority.create("test").issue("plotter", ("dashboard.example.com",))
        (tmp_path / "server.pem").write_bytes(certificate + key)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(tmp_path / "server.pem")
        server.socket = context.wrap_socket(server.socket, server_side=True)
    answer = subprocess.run(
        [sys.executable, ROOT / "deploy" / "probe.py", "dashboard", f"http://127.0.0.1:{server.server_address[1]}"],
        capture_output=True,
        text=True,
        timeout=20,
    )
    assert (answer.returncode == 0) is (status == 200)
    assert reason in answer.stderr


@pytest.mark.parametrize("kind", ["healthz", "zookeeper", "kafka"])
def test_check_when_nothing_listens_then_it_is_the_probes(kind: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    assert checked(kind, f"http://{address}" if kind == "healthz" else address) == "probe"


@pytest.mark.parametrize("kind", ["zookeeper", "kafka", "healthz"])
def test_check_when_a_server_takes_the_connection_and_never_answers_then_the_probe_decides(kind: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        assert checked(kind, f"http://{address}" if kind == "healthz" else address) == "probe"
