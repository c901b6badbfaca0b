"""The simulator inside a test's process: a server on a thread of its own, with hooks to make things go wrong."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from google.protobuf import json_format
from upstox_client.feeder.proto import MarketDataFeedV3_pb2 as pb

from orderflow.simulator import certificates
from orderflow.simulator.faults import HandshakeFault, Outcome, reset
from orderflow.simulator.login import LoginDesk
from orderflow.simulator.replay import Recording
from orderflow.simulator.server import FEED_PATH, FeedServer
from orderflow.simulator.source import Source

_T = TypeVar("_T")
_TIMEOUT_SECONDS = 20.0


class SimulatorServer:
    """Run a FeedServer in a background thread; a context manager.

    Every method blocks until done and may be called from any thread. `port` 0 takes a free one. `tls_dir` switches TLS
    on and makes the certificates if need be; `wall_ms` replaces the wall clock at which the source starts. Fault hooks act
    on all connections open at the moment of the call, or on the next handshakes.
    """

    def __init__(
        self,
        source: Source,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        token: str | None = None,
        tls_dir: Path | None = None,
        wall_ms: int | None = None,
        login: LoginDesk | None = None,
    ) -> None:
        self.source = source
        self.ca_file = certificates.ensure(tls_dir) if tls_dir else None
        self._tls = certificates.server_context(tls_dir) if tls_dir else None
        self._host, self._wanted_port, self._token, self._wall_ms = host, port, token, wall_ms
        self._login = login
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._server: FeedServer | None = None

    def __enter__(self) -> SimulatorServer:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Bind the port and begin to serve. Raises SettingsError when the port is taken."""
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="simulator", daemon=True)
        self._thread.start()
        try:
            self._call(self._open())
        except BaseException:
            self._end_loop()
            raise

    def stop(self) -> None:
        """Close every connection and end the thread; safe to call twice."""
        if self._thread is not None:
            self._call(self.server.close())
            self._end_loop()

    @property
    def server(self) -> FeedServer:
        """Return the running server, for reading its counters."""
        if self._server is None:
            raise RuntimeError("start() first")
        return self._server

    @property
    def port(self) -> int:
        """Return the port in use."""
        return self.server.port

    @property
    def rest_url(self) -> str:
        """Return the value for UPSTOX_REST_URL."""
        return self.server.base_url

    @property
    def feed_url(self) -> str:
        """Return the value for UPSTOX_FEED_URL."""
        return "ws" + self.server.base_url.removeprefix("http") + FEED_PATH

    @property
    def handshakes(self) -> int:
        """Count the handshakes tried on the feed's path so far."""
        return self.server.handshakes

    @property
    def connections(self) -> int:
        """Count the open WebSocket connections."""
        return len(self.server.subscribers)

    @property
    def requests(self) -> list[dict[str, object]]:
        """Return the sub, unsub and change_mode requests received so far."""
        return list(self.server.requests)

    def wait_until_ended(self, timeout_seconds: float) -> None:
        """Wait for a source that ends. Raises TimeoutError."""
        self._call(self.server.finish(), timeout_seconds)

    def close_all(self, code: int = 1001, reason: str = "going away") -> None:
        """Close every connection with a close frame."""
        self._call(self._each_close(code, reason))

    def reset_all(self) -> None:
        """End every connection with a TCP reset."""
        self._call(self._each(lambda subscriber: reset(subscriber.connection)))

    def mute(self, muted: bool = True) -> None:
        """Stop (or resume) sending messages on every open connection; pings are still answered."""
        self._call(self._each(lambda subscriber: setattr(subscriber, "muted", muted)))

    def freeze(self) -> None:
        """Make every open connection half-open: nothing is read or sent any more, pings stay unanswered."""

        def halt(subscriber: Any) -> None:
            subscriber.muted = True
            subscriber.connection.transport.pause_reading()

        self._call(self._each(halt))

    def send_binary(self, payload: bytes) -> None:
        """Send a binary frame with any content on every connection."""
        self._call(self._each_send(payload))

    def send_text(self, text: str) -> None:
        """Send a text frame, which the real feed never does."""
        self._call(self._each_send(text))

    def send_message(self, message: dict[str, Any]) -> None:
        """Send one decoded FeedResponse (the format of recordings) on every connection, whatever its subscriptions."""
        self.send_binary(json_format.ParseDict(message, pb.FeedResponse()).SerializeToString())

    def push(self, message: dict[str, Any]) -> None:
        """Continue a Recording with one more decoded message: subscribers get it, snapshots after it show its state."""

        async def publish() -> None:
            if not isinstance(self.source, Recording):
                raise TypeError("push needs a Recording as the source")
            self.server.publish(self.source.inject(message))

        self._call(publish())

    def send_garbage(self, payload: bytes = b"\xff\x0bnot a frame") -> None:
        """Write bytes that are no WebSocket frame."""
        self._call(self._each(lambda subscriber: subscriber.connection.transport.write(payload)))

    def fail_handshakes(self, status: int, count: int = 1) -> None:
        """Answer the next handshakes with an HTTP status such as 401, 403, 429 or 503."""
        self._add_faults(HandshakeFault(Outcome.STATUS, status), count)

    def reset_handshakes(self, count: int = 1) -> None:
        """Reset the connection of the next handshakes."""
        self._add_faults(HandshakeFault(Outcome.RESET), count)

    def ignore_handshakes(self, count: int = 1) -> None:
        """Leave the next handshakes without an answer for a minute."""
        self._add_faults(HandshakeFault(Outcome.SILENCE), count)

    def accept_then_close(self, code: int = 1006, count: int = 1) -> None:
        """Accept the next handshakes and close at once; 1006 closes without a close frame."""
        self._add_faults(HandshakeFault(Outcome.CLOSE, code), count)

    def stop_listening(self) -> None:
        """Close the port and every connection, as a server that is down; the market continues."""
        self._call(self.server.refuse())

    def listen_again(self) -> None:
        """Open the same port again."""
        self._call(self.server.listen())

    def _add_faults(self, fault: HandshakeFault, count: int) -> None:
        async def add() -> None:
            self.server.faults.extend([fault] * count)

        self._call(add())

    async def _open(self) -> None:
        clock = {} if self._wall_ms is None else {"wall_ms": partial(int, self._wall_ms)}
        server = FeedServer(
            self.source,
            host=self._host,
            port=self._wanted_port,
            token=self._token,
            tls=self._tls,
            login=self._login,
            **clock,
        )
        await server.open()
        self._server = server

    async def _each(self, act: Any) -> None:
        for subscriber in tuple(self.server.subscribers):
            act(subscriber)

    async def _each_close(self, code: int, reason: str) -> None:
        await asyncio.gather(*(subscriber.connection.close(code, reason) for subscriber in tuple(self.server.subscribers)))

    async def _each_send(self, payload: bytes | str) -> None:
        await asyncio.gather(*(subscriber.connection.send(payload) for subscriber in tuple(self.server.subscribers)))

    def _call(self, work: Coroutine[Any, Any, _T], timeout_seconds: float = _TIMEOUT_SECONDS) -> _T:
        if self._loop is None:
            work.close()
            raise RuntimeError("start() first")
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout_seconds)

    def _end_loop(self) -> None:
        loop, thread, self._loop, self._thread = self._loop, self._thread, None, None
        if loop is not None and thread is not None:
            loop.call_soon_threadsafe(loop.stop)
            thread.join(_TIMEOUT_SECONDS)
            loop.close()
