"""The healer: what it takes for a killed container in Docker's events, and what it asks of an engine on a Unix socket."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Sequence
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import ThreadingUnixStreamServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from deploy.healer import Casualties, Engine, Healer

KAFKA = "4f66ad9a0b2e"


def event(action: str, identity: str = KAFKA, **attributes: str) -> dict[str, Any]:
    """One message of GET /events, as Docker 28 writes it."""
    named = {"com.docker.compose.project": "orderflow", "com.docker.compose.oneoff": "False", "name": "kafka", **attributes}
    return {
        "Type": "container",
        "Action": action,
        "Actor": {"ID": identity, "Attributes": named},
        "scope": "local",
        "time": 1764043200,
        "timeNano": 1764043200123456789,
    }


KILL, TERM = event("kill", signal="9"), event("kill", signal="15")
DIE = event("die", exitCode="137")


@pytest.mark.parametrize(
    ("events", "dead"),
    [
        pytest.param([KILL, DIE], True, id="docker kill"),
        pytest.param([event("kill", signal="1"), KILL, DIE], True, id="docker kill -s HUP, later docker kill"),
        pytest.param([KILL, DIE, event("start"), KILL, DIE], True, id="docker kill twice"),
        pytest.param([TERM, DIE, event("stop"), event("start"), KILL, DIE], True, id="docker restart, docker kill"),
        pytest.param([TERM, DIE, event("stop")], False, id="docker stop"),
        pytest.param([TERM, KILL, DIE, event("stop")], False, id="docker stop of one that does not listen"),
        pytest.param([TERM, DIE, event("stop"), event("start"), event("restart")], False, id="docker restart"),
        pytest.param([TERM, DIE, event("stop"), event("destroy")], False, id="docker compose down"),
        pytest.param([KILL, DIE, event("destroy")], False, id="docker rm -f"),
        pytest.param([KILL, DIE, event("start")], False, id="docker kill, docker start"),
        pytest.param([event("kill", signal="2"), DIE], False, id="docker kill -s INT"),
        pytest.param([DIE], False, id="crash, which Docker restarts"),
        pytest.param([event("oom"), DIE], False, id="out of memory, which Docker restarts"),
        pytest.param(
            [event("kill", signal="9"), event("die", **{"com.docker.compose.oneoff": "True"})], False, id="docker compose run"
        ),
        pytest.param([event("kill", "another", signal="9"), DIE], False, id="another one was killed"),
    ],
)
def test_container_when_docker_tells_of_its_end_then_lies_dead_only_if_it_was_killed(
    events: Sequence[dict[str, Any]], dead: bool
) -> None:
    casualties = Casualties()
    for one in events:
        casualties.saw(one)
    assert casualties.lies_dead(KAFKA) is dead


def test_death_when_nobody_stopped_it_then_names_the_container_once() -> None:
    casualties = Casualties()
    assert [casualties.saw(one) for one in (KILL, DIE, DIE, event("start"))] == [None, KAFKA, None, None]


class FakeEngine(ThreadingUnixStreamServer):
    """Docker's API on a Unix socket: streams of events by connection, and an answer to each start in turn."""

    daemon_threads = True

    def __init__(self, path: Path) -> None:
        self.streams: list[list[dict[str, Any]]] = []
        self.asked_since: list[str] = []
        self.filters: dict[str, list[str]] = {}
        self.answers: list[int] = []
        self.started: list[str] = []
        self.satisfied = threading.Event()
        super().__init__(str(path), _Api)


class _Api(BaseHTTPRequestHandler):
    server: FakeEngine
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        path, query = urlsplit(self.path).path, parse_qs(urlsplit(self.path).query)
        if path == "/events":
            self.server.asked_since.append(query["since"][0])
            self.server.filters = json.loads(query["filters"][0])
            self.send_response(200)
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            for one in self.server.streams.pop(0):
                line = json.dumps(one).encode() + b"\n"
                for part in (line[:7], line[7:]):
                    self.wfile.write(b"%x\r\n%s\r\n" % (len(part), part))
            self.server.satisfied.wait(5)
            self.wfile.write(b"0\r\n\r\n")
        elif path == "/containers/me/json":
            self._answer(200, {"Id": "me", "Config": {"Labels": {"com.docker.compose.project": "orderflow"}}})
        elif path == "/containers/stray/json":
            self._answer(200, {"Id": "stray", "Config": {"Labels": {}}})
        else:
            self._answer(200, "OK")

    def do_POST(self) -> None:
        self.server.started.append(self.path)
        status = self.server.answers.pop(0)
        self._answer(status, {"message": "port is already allocated"} if status == 500 else None)
        if not self.server.answers:
            self.server.satisfied.set()

    def _answer(self, status: int, body: object) -> None:
        content = b"" if status in (204, 304) else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_arguments: object) -> None:
        """Say nothing."""


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[FakeEngine]:
    with FakeEngine(tmp_path / "docker.sock") as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield server
        server.shutdown()


def healer(engine: FakeEngine) -> Healer:
    return Healer(Engine(str(engine.server_address)), "orderflow", patience_seconds=0)


def test_healer_when_one_of_its_project_is_killed_then_starts_that_one(engine: FakeEngine) -> None:
    stopped = [event("kill", "stopped", signal="15"), event("die", "stopped"), event("stop", "stopped")]
    engine.streams = [[event("die", "crashed"), *stopped, KILL, DIE]]
    engine.answers = [204]
    healer(engine).watch()
    assert engine.started == [f"/containers/{KAFKA}/start"]
    assert engine.filters["label"] == ["com.docker.compose.project=orderflow"]
    assert {"kill", "die", "start", "stop", "destroy"} == set(engine.filters["event"])


def test_healer_when_the_other_one_was_first_or_the_start_fails_then_it_tries_until_it_runs(engine: FakeEngine) -> None:
    engine.streams = [[KILL, DIE]]
    engine.answers = [500, 409, 304]
    healer(engine).watch()
    assert engine.started == [f"/containers/{KAFKA}/start"] * 3


def test_healer_when_the_stream_ends_between_kill_and_death_then_the_next_one_goes_on_from_there(engine: FakeEngine) -> None:
    engine.streams = [[KILL], [KILL, DIE]]
    engine.answers = [204]
    watcher = healer(engine)
    engine.satisfied.set()
    watcher.watch()
    engine.satisfied.clear()
    watcher.watch()
    assert engine.asked_since[1] == "1764043200.123456789"
    assert engine.started == [f"/containers/{KAFKA}/start"]


def test_project_when_asked_for_is_that_of_the_healers_own_container(engine: FakeEngine) -> None:
    api = Engine(str(engine.server_address))
    api.ping()
    assert api.project_of("me") == "orderflow"
    with pytest.raises(OSError, match="stray belongs to no Compose project"):
        api.project_of("stray")


def test_engine_when_its_socket_is_not_there_then_says_so(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        Engine(str(tmp_path / "none.sock")).ping()
