"""One supervised connection through the real SDK: own URL, verified TLS, daemon thread, ping and time-outs, no reconnect.

The SDK's own reconnect is off, because it gives up after seconds, and reconnects hundreds of times a second to a server
that accepts and closes; `supervisor` decides instead. The socket thread only passes messages on.
"""

from __future__ import annotations

import logging
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Final, Protocol
from urllib.parse import urlsplit

import upstox_client
import websocket
from upstox_client.feeder.market_data_feeder_v3 import MarketDataFeederV3
from upstox_client.feeder.market_data_streamer_v3 import MarketDataStreamerV3

from orderflow.market.errors import SettingsError
from orderflow.upstox.clock import SYSTEM
from orderflow.upstox.subscription import by_mode

log = logging.getLogger(__name__)

HANDSHAKE_SECONDS: Final = 10.0
PING_EVERY_SECONDS: Final = 10.0
PONG_WITHIN_SECONDS: Final = 6.0
KEYS_PER_REQUEST: Final = 250
_NORMAL_CLOSE: Final = struct.pack("!H", 1000)
_LOOPBACK: Final = ("127.0.0.1", "localhost", "::1")


class Listener(Protocol):
    """Receives the events of a connection. It is called on the socket thread, so it must not block."""

    def opened(self) -> None:
        """Note that the handshake succeeded."""
        ...

    def message(self, payload: bytes | str, received_time_ms: int) -> None:
        """Take one message."""
        ...

    def closed(self, code: int | None, reason: str | None, error: BaseException | None) -> None:
        """Handle the end of the connection, or the failure to open it; called once."""
        ...


class UpstoxConnection:
    """One attempt at a connection; make a new one for the next. Thread-safe. `modes` gives the mode of each key."""

    def __init__(
        self,
        url: str,
        ca_file: Path | None,
        token: str,
        modes: Mapping[str, str],
        listener: Listener,
        *,
        now_ms: Callable[[], int] = SYSTEM.now_ms,
    ) -> None:
        configuration = upstox_client.Configuration()
        configuration.access_token = token
        self._streamer = _Streamer(_Credentials(configuration), modes, url, ca_file, listener, now_ms)

    def connect(self) -> None:
        """Begin to connect; the result goes to the listener."""
        self._streamer.connect()

    def subscribe(self, modes: Mapping[str, str]) -> None:
        """Subscribe more instruments. Raises OSError or WebSocketException when the connection just ended."""
        for mode, keys in by_mode(modes).items():
            for batch in _batches(keys):
                self._streamer.subscribe(batch, mode)

    def change_mode(self, modes: Mapping[str, str]) -> None:
        """Give subscribed instruments another mode. Raises like `subscribe`."""
        for mode, keys in by_mode(modes).items():
            for batch in _batches(keys):
                self._streamer.change_mode(batch, mode)

    def unsubscribe(self, keys: Iterable[str]) -> None:
        """Unsubscribe instruments. Raises like `subscribe`."""
        for batch in _batches(list(keys)):
            self._streamer.unsubscribe(batch)

    def close(self, wait_seconds: float = 5.0) -> bool:
        """Close the connection and wait for its thread; return whether that has ended."""
        return self._streamer.end(wait_seconds)


class _Credentials:
    """Replaces the SDK's ApiClient, which opens a thread pool; the feeder needs only its configuration."""

    def __init__(self, configuration: Any) -> None:
        self.configuration = configuration


class _Streamer(MarketDataStreamerV3):  # type: ignore[misc]
    """The SDK's streamer with our feeder; raw payloads go to the listener instead of MessageToDict."""

    def __init__(
        self,
        api_client: Any,
        modes: Mapping[str, str],
        url: str,
        ca_file: Path | None,
        listener: Listener,
        now_ms: Callable[[], int],
    ) -> None:
        super().__init__(api_client)
        for mode, keys in by_mode(modes).items():
            self.subscriptions[mode].update(keys)
        self.enable_auto_reconnect = False
        self._url, self._ca_file, self._listener, self._now_ms = url, ca_file, listener, now_ms
        self._error: BaseException | None = None
        self._ended = threading.Lock()

    def connect(self) -> None:
        self.feeder = _Feeder(
            self._url,
            self._ca_file,
            api_client=self.api_client,
            instrumentKeys=self.instrumentKeys,
            mode=self.mode,
            on_open=self.handle_open,
            on_message=self.handle_message,
            on_error=self.handle_error,
            on_close=self.handle_close,
        )
        self.feeder.connect()

    def subscribe_to_initial_keys(self) -> None:
        for mode, keys in self.subscriptions.items():
            for batch in _batches(sorted(keys)):
                self.feeder.subscribe(batch, mode)

    def handle_open(self, ws: Any) -> None:
        self.feeder.note_socket()
        if self.disconnect_valid:
            ws.close()
            return
        self._listener.opened()
        super().handle_open(ws)

    def handle_message(self, ws: Any, message: bytes | str) -> None:  # noqa: ARG002 the SDK's signature
        self._listener.message(message, self._now_ms())

    def handle_error(self, ws: Any, error: Any) -> None:  # noqa: ARG002 the SDK's signature
        if self._error is None and isinstance(error, BaseException):
            self._error = error

    def handle_close(self, ws: Any, close_status_code: int | None, close_msg: str | None) -> None:  # noqa: ARG002
        if self._ended.acquire(blocking=False):
            self._listener.closed(close_status_code, close_msg, self._error)

    def end(self, wait_seconds: float) -> bool:
        self.disconnect_valid = True
        return self.feeder is None or bool(self.feeder.end(wait_seconds))


class _Feeder(MarketDataFeederV3):  # type: ignore[misc]
    """The SDK's feeder with its own URL, verified certificates, a daemon thread, pings and time-outs."""

    def __init__(self, url: str, ca_file: Path | None, **known: Any) -> None:
        super().__init__(**known)
        self._url = url
        self._ca_file = ca_file
        self._thread: threading.Thread | None = None
        self._socket: socket.socket | None = None

    def connect(self) -> None:
        websocket.setdefaulttimeout(HANDSHAKE_SECONDS)
        authorization = self.api_client.configuration.auth_settings()["OAUTH2"]["value"]
        self.ws = websocket.WebSocketApp(
            self._url,
            header={"Authorization": authorization},
            on_open=self.on_open,
            on_message=self.on_message,
            on_error=self.on_error,
            on_close=self.on_close,
        )
        self._thread = threading.Thread(
            target=self._run, args=(self.ws, tls_options(self._ca_file)), name="upstox-socket", daemon=True
        )
        self._thread.start()

    def note_socket(self) -> None:
        """Keep the open socket: websocket-client drops it when the server closes, and a close on our side wakes no thread."""
        if self.ws is not None and self.ws.sock is not None:
            self._socket = self.ws.sock.sock

    def _run(self, ws: Any, sslopt: dict[str, Any]) -> None:
        try:
            ws.run_forever(sslopt=sslopt, ping_interval=PING_EVERY_SECONDS, ping_timeout=PONG_WITHIN_SECONDS)
        finally:
            if self._socket is not None:
                self._socket.close()

    def end(self, wait_seconds: float) -> bool:
        if self.ws is None or self._thread is None:
            return True
        ws = self.ws.sock
        self.ws.keep_running = False
        try:
            if ws is not None and ws.connected:
                ws.send(_NORMAL_CLOSE, websocket.ABNF.OPCODE_CLOSE)
            if self._socket is not None:
                self._socket.shutdown(socket.SHUT_RDWR)
        except (OSError, websocket.WebSocketException) as error:
            log.debug("closing: %s", type(error).__name__)
        if self._thread is not threading.current_thread():
            self._thread.join(wait_seconds)
        return not self._thread.is_alive()


def tls_options(ca_file: Path | None) -> dict[str, Any]:
    """Return websocket-client's TLS options: certificates and host names are always verified, TLS 1.2 at least.

    `ca_file` is a bundle to trust instead of the system's. Raises SettingsError when it cannot be read.
    """
    try:
        context = ssl.create_default_context(cafile=str(ca_file) if ca_file else None)
    except (OSError, ssl.SSLError) as error:
        raise SettingsError(f"UPSTOX_CA_FILE={ca_file} is not a readable bundle of certificates (PEM)") from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return {"context": context}


def checked_url(url: str) -> str:
    """Return the feed URL if it is wss://, or ws:// on loopback. Raises SettingsError otherwise."""
    parts = urlsplit(url)
    if parts.scheme == "wss" and parts.hostname:
        return url
    if parts.scheme == "ws" and parts.hostname in _LOOPBACK:
        return url
    raise SettingsError(
        f"UPSTOX_FEED_URL={url!r} is neither wss:// nor ws:// on loopback; without TLS the token could be intercepted. "
        "For example UPSTOX_FEED_URL=wss://api.upstox.com/v3/feed/market-data-feed"
    )


class InsecureRedirectError(websocket.WebSocketException):  # type: ignore[misc]
    """The handshake was redirected to an address without TLS, where the token could be intercepted."""


_follow: Final = websocket._core.connect


def _connect(url: str, *arguments: Any) -> Any:
    """Open the socket for a handshake, the first or one that a redirect asks for, if its URL is safe."""
    try:
        checked_url(url)
    except SettingsError:
        raise InsecureRedirectError(f"redirected to {urlsplit(url).scheme}://{urlsplit(url).hostname}, without TLS") from None
    return _follow(url, *arguments)


# websocket-client follows redirects by itself and sends the token with them; only here can an unsafe one be stopped.
websocket._core.connect = _connect


def _batches(keys: list[str]) -> list[list[str]]:
    return [keys[start : start + KEYS_PER_REQUEST] for start in range(0, len(keys), KEYS_PER_REQUEST)]
