"""A dashboard on a port of its own, and its visitors: real HTTP and WebSockets."""

from __future__ import annotations

import functools
import json
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import requests
import uvicorn
from argon2 import PasswordHasher
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from orderflow.clusters import TlsFiles
from orderflow.dashboard.sources.directory import Directory
from orderflow.dashboard.state.store import Store
from orderflow.dashboard.web.accounts import Accounts, User
from orderflow.dashboard.web.app import Parts, create_app
from orderflow.dashboard.web.serving import server_options
from orderflow.dashboard.web.sessions import Sessions
from tests.unit.test_dashboard_store import KEY, store_with, trade

PASSWORDS = {"asha": "a long password of asha", "ravi": "a long password of ravi"}
PLAIN = TlsFiles("DASHBOARD_SSL")


def users_in(directory: Path) -> Accounts:
    """Write a file of two users: asha is operator, ravi viewer."""
    accounts = Accounts(directory / "users.json")
    accounts.put("asha", User("operator", _hashed("asha")))
    accounts.put("ravi", User("viewer", _hashed("ravi")))
    return accounts


@functools.cache
def _hashed(name: str) -> str:
    return PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(PASSWORDS[name])  # the product's own take 0.1 s each


class Clock:
    """The time by which sessions end."""

    def __init__(self) -> None:
        self.seconds = time.time()

    def __call__(self) -> float:
        return self.seconds


class Visit:
    """One browser: a jar of cookies for HTTP and sockets."""

    def __init__(self, address: str, ca_file: Path | None = None) -> None:
        self.address = address
        self.http = requests.Session()
        self.http.trust_env = False
        self.http.verify = str(ca_file) if ca_file else True
        self._ca_file = ca_file

    def get(self, path: str, **more: Any) -> requests.Response:
        return self.http.get(self.address + path, allow_redirects=False, timeout=10, **more)

    def post(self, path: str, **more: Any) -> requests.Response:
        return self.http.post(self.address + path, allow_redirects=False, timeout=10, **more)

    def log_in(self, name: str, password: str | None = None, **more: Any) -> requests.Response:
        return self.post("/login", data={"name": name, "password": password or PASSWORDS[name]}, **more)

    def socket(self, **headers: str) -> ClientConnection:
        cookies = "; ".join(f"{one.name}={one.value}" for one in self.http.cookies)
        sent = {**({"Cookie": cookies} if cookies else {}), **headers}
        context = ssl.create_default_context(cafile=self._ca_file) if self._ca_file else None
        address = self.address.replace("http", "ws", 1) + "/ws"
        return connect(address, additional_headers=sent, ssl=context, proxy=None, open_timeout=10)


def ask(socket: ClientConnection, wanted: str, **message: Any) -> dict[str, Any]:
    """Send a message and return the next of the wanted type."""
    socket.send(json.dumps(message))
    while (answer := json.loads(socket.recv(10)))["type"] != wanted:
        pass
    return dict(answer)


def closed(socket: ClientConnection) -> tuple[int, str]:
    """Read until the server closes; return code and reason."""
    with suppress(ConnectionClosed):
        for _ in socket:
            pass
    assert socket.close_code is not None
    return socket.close_code, socket.close_reason or ""


@contextmanager
def served(sessions: Sessions | None = None, tls: TlsFiles = PLAIN, store: Store | None = None, **parts: Any) -> Iterator[str]:
    """Serve a dashboard, by default with one trade; give its address."""
    made = Parts(store or live_store(), parts.pop("directory", Directory((KEY,))), sessions=sessions, **parts)
    config = uvicorn.Config(create_app(made), host="127.0.0.1", port=0, **server_options(tls))
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    wait_until(lambda: server.started)
    try:
        port = server.servers[0].sockets[0].getsockname()[1]
        yield f"{'http' if tls.certificate is None else 'https'}://localhost:{port}"
    finally:
        server.should_exit = True
        thread.join(10)
        assert not thread.is_alive()


def wait_until(condition: Callable[[], bool], seconds: float = 20) -> None:
    """Poll a condition of another thread or process."""
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.01)


def live_store() -> Store:
    """Return a store with one trade at 100 whose source has been read to its end."""
    store = store_with(trade(0, 100.0, 1, 0, 1))
    store.report_source(None, caught_up=True)
    return store
