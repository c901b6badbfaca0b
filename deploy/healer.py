"""Start a container of this Compose project again after `docker kill`, which no restart policy of Docker undoes.

`docker stop`, `restart` and `compose down` send SIGTERM first, by which they are told apart and respected. Two run, and heal each
other. Whoever may use Docker's socket, also read-only, is root on the host: docs/DEPLOYMENT.md.
"""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from typing import Any, Final
from urllib.parse import quote, urlencode

SOCKET: Final = "/var/run/docker.sock"
PROJECT: Final = "com.docker.compose.project"
ONE_OFF: Final = "com.docker.compose.oneoff"
# `docker rm -f` kills, too: it has removed the container by then.
PATIENCE_SECONDS: Final = 1.0
TRIES: Final = 6
_ANSWER_SECONDS: Final = 30
_STARTED: Final = (204, 304)
_GONE: Final = 404
_ACTIONS: Final = ("kill", "die", "start", "stop", "destroy")
_KILL: Final = "9"
_TERM: Final = "15"


class Casualties:
    """Which containers lie killed, from Docker's events in the order in which they come."""

    def __init__(self) -> None:
        self._signals: dict[str, list[str]] = {}
        self._dead: set[str] = set()

    def saw(self, event: Mapping[str, Any]) -> str | None:
        """Take one event in; return the container's id when it is the death of one that was killed, and of nothing else."""
        actor = event.get("Actor") or {}
        identity, attributes = str(actor.get("ID", "")), actor.get("Attributes") or {}
        action = event.get("Action")
        if action == "kill":
            self._signals.setdefault(identity, []).append(str(attributes.get("signal", "")))
        elif action == "die":
            signals = self._signals.pop(identity, [])
            if signals[-1:] == [_KILL] and _TERM not in signals and attributes.get(ONE_OFF) != "True":
                self._dead.add(identity)
                return identity
        elif action in ("start", "stop", "destroy"):
            self._signals.pop(identity, None)
            self._dead.discard(identity)
        return None

    def lies_dead(self, identity: str) -> bool:
        """Tell whether nobody has started, stopped or removed it since."""
        return identity in self._dead

    def give_up(self, identity: str) -> None:
        """Forget it."""
        self._dead.discard(identity)


class _Connection(http.client.HTTPConnection):
    def __init__(self, path: str, timeout: float | None) -> None:
        super().__init__("docker", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class Engine:
    """The four calls of Docker's API that are needed."""

    def __init__(self, path: str) -> None:
        self._path = path

    def ping(self) -> None:
        """Ask whether it answers; raise OSError if not."""
        self._call("GET", "/_ping")

    def project_of(self, container: str) -> str:
        """Return the Compose project of a container; raise OSError when it cannot be told."""
        status, body = self._call("GET", f"/containers/{quote(container)}/json")
        try:
            return str(json.loads(body)["Config"]["Labels"][PROJECT])
        except (ValueError, KeyError, TypeError):
            raise OSError(f"container {container} belongs to no Compose project (status {status})") from None

    def start(self, container: str) -> tuple[int, str]:
        """Start a container; return the HTTP status and what the engine says."""
        status, body = self._call("POST", f"/containers/{quote(container)}/start")
        return status, body.decode(errors="replace").strip()

    def events(self, project: str, since: str) -> Iterator[dict[str, Any]]:
        """Yield the project's container events from `since` (seconds, with a fraction) until the engine closes the stream."""
        filters = json.dumps({"type": ["container"], "event": list(_ACTIONS), "label": [f"{PROJECT}={project}"]})
        connection = _Connection(self._path, None)
        try:
            connection.request("GET", "/events?" + urlencode({"since": since, "filters": filters}))
            answer = connection.getresponse()
            if answer.status != http.client.OK:
                raise OSError(f"the engine refuses its events ({answer.status})")
            while line := answer.readline():
                if line.strip():
                    yield json.loads(line)
        finally:
            connection.close()

    def _call(self, method: str, path: str) -> tuple[int, bytes]:
        connection = _Connection(self._path, _ANSWER_SECONDS)
        try:
            connection.request(method, path)
            answer = connection.getresponse()
            return answer.status, answer.read()
        except http.client.HTTPException as error:
            raise OSError(f"the engine's answer makes no sense ({error!r})") from error
        finally:
            connection.close()


class Healer:
    """Watch one project and start what was killed."""

    def __init__(self, engine: Engine, project: str, patience_seconds: float = PATIENCE_SECONDS) -> None:
        self._engine = engine
        self._project = project
        self._patience = patience_seconds
        self._casualties = Casualties()
        self.since = f"{time.time():.9f}"

    def watch(self) -> None:
        """Follow the engine's events until the stream ends; what it missed meanwhile comes with the next call."""
        for event in self._engine.events(self._project, self.since):
            nanoseconds = int(event.get("timeNano") or int(event.get("time", 0)) * 10**9)
            self.since = f"{nanoseconds // 10**9}.{nanoseconds % 10**9:09d}"
            killed = self._casualties.saw(event)
            if killed is not None:
                name = event["Actor"]["Attributes"].get("name", killed[:12])
                threading.Thread(target=self._heal, args=(killed, name), daemon=True).start()

    def _heal(self, container: str, name: str) -> None:
        for attempt in range(TRIES):
            time.sleep(self._patience * 2**attempt)
            if not self._casualties.lies_dead(container):
                return
            try:
                status, said = self._engine.start(container)
            except OSError as error:
                status, said = 0, str(error)
            if status in _STARTED:
                print(f"{name} was killed and is started again", flush=True)
                return
            if status == _GONE:
                return
            print(f"WARNING {name} was killed and cannot be started ({status}): {said}", flush=True)
        self._casualties.give_up(container)
        print(f"ERROR {name} was killed and stays down: docker compose up -d", flush=True)


def main(arguments: list[str]) -> int:
    """Run until SIGTERM; with `ping`, only ask whether the engine answers."""
    engine = Engine(SOCKET)
    if arguments == ["ping"]:
        try:
            engine.ping()
        except OSError as error:
            print(f"{SOCKET}: {error}", file=sys.stderr)
            return 1
        return 0
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    healer: Healer | None = None
    told = ""
    while True:
        try:
            if healer is None:
                project = engine.project_of(socket.gethostname())
                healer = Healer(engine, project)
                print(f"watching the containers of project {project}", flush=True)
            told = ""
            healer.watch()
            problem = "the engine has closed its events"
        except (OSError, ValueError, http.client.HTTPException) as error:
            problem = str(error)
        if problem != told:
            print(f"WARNING {SOCKET}: {problem}; trying again until it answers", flush=True)
        told = problem
        time.sleep(1)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
