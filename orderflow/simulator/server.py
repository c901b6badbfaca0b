"""A stand-in for Upstox's market-data services on one port: V3 WebSocket feed and the REST calls beside it."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import json
import logging
import secrets
import ssl
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from http import HTTPStatus
from typing import Final, cast
from urllib.parse import parse_qs, urlsplit

from websockets.asyncio.server import Server, ServerConnection, broadcast, serve
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.frames import CloseCode
from websockets.http11 import Request, Response

from orderflow.market.errors import SettingsError
from orderflow.market.times import MINUTE_MS
from orderflow.simulator import feed_message
from orderflow.simulator.faults import HandshakeFault, Outcome, reset
from orderflow.simulator.form_post import FormPostConnection
from orderflow.simulator.login import DIALOG_PATH, TOKEN_PATH, WRONG_APPLICATION, LoginDesk
from orderflow.simulator.rest import RestApi, failure
from orderflow.simulator.source import MODES, Message, Source

log = logging.getLogger(__name__)

FEED_PATH: Final = "/v3/feed/market-data-feed"
AUTHORIZE_PATH: Final = f"{FEED_PATH}/authorize"
STREAM_PATH: Final = "/market-data-feeder/v3/upstox-developer-api/feeds"
_CODE_LIFE_SECONDS: Final = 30.0
_LONGEST_PAUSE_SECONDS: Final = 3600.0
_SLOW_BYTES: Final = 1 << 20
_SLOW_SECONDS: Final = 15.0
_SILENCE_SECONDS: Final = 60.0
_CLOSE_SECONDS: Final = 0.5


def _wall_ms() -> int:
    return int(time.time() * 1000)


@dataclass(frozen=True, slots=True)
class _Ticket:
    """A one-time code: its end of life, and the close code that awaits its bearer (0: none)."""

    until: float
    close_code: int


@dataclass(eq=False)
class Subscriber:
    """One connection and what it asked for."""

    connection: ServerConnection
    modes: dict[str, str] = field(default_factory=dict)
    muted: bool = False

    def backlog_bytes(self) -> int:
        """Return how much has been written and not yet taken by the network."""
        return self.connection.transport.get_write_buffer_size()


class FeedServer:
    """Serve one source to any number of connections; runs inside one event loop.

    Messages keep their order per connection and are never repeated; a connection that lags behind a source which is not
    `lossless` misses messages, as on the conflated real feed. A lossless source waits for its subscribers.
    """

    def __init__(
        self,
        source: Source,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        token: str | None = None,
        tls: ssl.SSLContext | None = None,
        wall_ms: Callable[[], int] = _wall_ms,
        login: LoginDesk | None = None,
    ) -> None:
        if tls is None and not _is_loopback(host):
            raise SettingsError(f"SIM_HOST={host} is not loopback, so SIM_TLS_DIR is needed; for example SIM_TLS_DIR=/data/tls")
        self.source = source
        self._wall_ms = wall_ms
        self.subscribers: set[Subscriber] = set()
        self.handshakes = 0
        self.faults: list[HandshakeFault] = []
        self.requests: list[dict[str, object]] = []
        self.on_flush: Callable[[], None] = lambda: None
        self.messages_sent = 0
        self._host, self._port, self._token, self._tls = host, port, token, tls
        self._tickets: dict[str, _Ticket] = {}
        self._closing: dict[ServerConnection, int] = {}
        self._subscribed = asyncio.Event()
        self._rest = RestApi(source)
        self._login = login or LoginDesk(_wall_ms)
        self._server: Server | None = None
        self._opened = 0.0
        self._pump: asyncio.Task[None] | None = None

    @property
    def port(self) -> int:
        """Return the port in use."""
        return self._port

    @property
    def base_url(self) -> str:
        """Return the URL of the REST side, without a slash at the end."""
        return f"http{'s' if self._tls else ''}://{self._host}:{self._port}"

    async def open(self) -> None:
        """Bind the port and begin to run the source. Raises SettingsError naming the port when it is taken."""
        self._opened = time.monotonic()
        if not self.source.waits_for_subscriber:
            self.source.start(self._wall_ms())
        await self.listen()
        self._pump = asyncio.create_task(self._run())

    async def listen(self) -> None:
        """Accept connections (again, after `refuse`)."""
        try:
            self._server = await serve(
                self._converse,
                self._host,
                self._port,
                ssl=self._tls,
                process_request=self._answer,
                compression=None,
                ping_interval=None,
                close_timeout=_CLOSE_SECONDS,
                open_timeout=2 * _SILENCE_SECONDS,
                max_size=1 << 20,
                create_connection=cast(type[ServerConnection], partial(FormPostConnection, answer_form=self._answer_form)),
                logger=logging.getLogger("orderflow.simulator.websocket"),
            )
        except OSError as error:
            raise SettingsError(f"SIM_PORT={self._port} on {self._host} cannot be used: {error.strerror or error}") from error
        self._port = next(iter(self._server.sockets)).getsockname()[1]

    async def refuse(self) -> None:
        """Stop listening and drop every connection; the source keeps running."""
        if self._server is not None:
            self._server.close(code=1001, reason="going away")
            await self._server.wait_closed()
            self._server = None

    async def finish(self) -> None:
        """Wait until the source has no more messages; a market that does not close never ends."""
        if self._pump is not None:
            await self._pump

    async def close(self) -> None:
        """Stop the source and close every connection."""
        if self._pump is not None:
            self._pump.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._pump
        await self.refuse()
        self.on_flush()

    def publish(self, message: Message) -> None:
        """Send a message to its subscribers, each in the mode it asked for."""
        cache: dict[tuple[str, str], bytes | None] = {}
        whole_keys = set(message.keys) if message.whole is not None else None
        frames: dict[tuple[tuple[str, str], ...], bytes] = {}
        for subscriber in tuple(self.subscribers):
            if subscriber.muted:
                continue
            if message.announcement is not None:
                self._send(subscriber, message.announcement)
                continue
            modes = subscriber.modes
            shown = tuple((key, modes[key]) for key in message.keys if key in modes)
            if not shown or (not self.source.lossless and subscriber.backlog_bytes() > _SLOW_BYTES):
                continue
            if message.whole is not None and whole_keys is not None and len(shown) == len(whole_keys) and _all_full(shown):
                self._send(subscriber, message.whole)
                continue
            payload = frames.get(shown)
            if payload is None:
                entries = [entry for entry in (self._entry(cache, *pair) for pair in shown) if entry is not None]
                payload = frames[shown] = feed_message.frame(entries, message.feed_time_ms)
            self._send(subscriber, payload)

    def _entry(self, cache: dict[tuple[str, str], bytes | None], key: str, mode: str) -> bytes | None:
        entry = cache.get((key, mode))
        if entry is None:
            entry = cache[key, mode] = self.source.entry(key, mode)
        return entry

    def _send(self, subscriber: Subscriber, payload: bytes) -> None:
        broadcast([subscriber.connection], payload)
        self.messages_sent += 1

    async def _run(self) -> None:
        """Send each message when it is due: the source's first message now, the others by feed time divided by speed.

        A source less than a minute in the past at speed 1 was moved to now by whole minutes: what is due already comes at once,
        and the others when the wall clock reaches their feed time.
        """
        source = self.source
        if source.waits_for_subscriber:
            await self._subscribed.wait()
            await asyncio.sleep(0.2)
        turn = 0
        first_ms = previous_ms = source.now_ms()
        began = time.monotonic() if source.waits_for_subscriber else self._opened
        behind_ms = self._wall_ms() - first_ms
        if source.speed == 1 and 0 < behind_ms < MINUTE_MS:
            first_ms += behind_ms
        while (due_ms := source.due_ms()) is not None:
            pause = (due_ms - previous_ms) / 1000 / source.speed
            if pause > _LONGEST_PAUSE_SECONDS:
                first_ms += due_ms - previous_ms
            previous_ms = due_ms
            wait = (due_ms - first_ms) / 1000 / source.speed - (time.monotonic() - began)
            if wait > 0.0005:
                await asyncio.sleep(wait)
            message = source.next()
            self.on_flush()
            self.publish(message)
            if source.lossless:
                await self._wait_for_slow()
            if (turn := turn + 1) % 16 == 0:
                await asyncio.sleep(0)
        self.on_flush()
        log.info("the source has ended after %d messages; the last state stays available", self.messages_sent)

    async def _wait_for_slow(self) -> None:
        deadline = time.monotonic() + _SLOW_SECONDS
        for subscriber in tuple(self.subscribers):
            while subscriber.backlog_bytes() > _SLOW_BYTES and not subscriber.muted:
                if time.monotonic() > deadline:
                    log.warning("dropped a subscriber that read nothing for %.0f s", _SLOW_SECONDS)
                    subscriber.connection.transport.abort()
                    break
                await asyncio.sleep(0.005)

    async def _answer(self, connection: ServerConnection, request: Request) -> Response | None:
        """Answer HTTP requests; None lets the WebSocket handshake continue."""
        parts = urlsplit(request.path)
        if parts.path == STREAM_PATH:
            ticket = self._tickets.pop(parse_qs(parts.query).get("code", [""])[0], None)
            if ticket is None or ticket.until < time.monotonic():
                return _json(*failure(HTTPStatus.UNAUTHORIZED, "UDAPI100050", "Invalid or used code"))
            if ticket.close_code:
                self._closing[connection] = ticket.close_code
            return None
        if parts.path == "/healthz":
            return _json(HTTPStatus.OK, self._health())
        if parts.path == DIALOG_PATH:
            return self._dialog(parts.query)
        public = self._rest.public(parts.path)
        if public is not None:
            return _response(HTTPStatus.OK, public, "application/gzip")
        fault: HandshakeFault | None = None
        if parts.path == FEED_PATH:
            self.handshakes += 1
            fault = self.faults.pop(0) if self.faults else None
            if fault is not None and fault.outcome is Outcome.STATUS:
                return _json(*failure(HTTPStatus(fault.code), "UDAPI100000", "as the test asks"))
            if fault is not None and fault.outcome is Outcome.RESET:
                reset(connection)
            if fault is not None and fault.outcome is Outcome.SILENCE:
                await asyncio.sleep(_SILENCE_SECONDS)
        if self._rest.needs_token(parts.path) and not self._authorized(request.headers):
            return _json(*failure(HTTPStatus.UNAUTHORIZED, "UDAPI100050", "Invalid token used to access API"))
        if parts.path in (FEED_PATH, AUTHORIZE_PATH):
            close_code = fault.code if fault is not None and fault.outcome is Outcome.CLOSE else 0
            uri = self._redirect_uri(request.headers.get("Host", f"{self._host}:{self._port}"), close_code)
            if parts.path == AUTHORIZE_PATH:
                body = {"status": "success", "data": {"authorizedRedirectUri": uri, "authorized_redirect_uri": uri}}
                return _json(HTTPStatus.OK, body)
            return Response(HTTPStatus.FOUND, "Found", Headers({"Location": uri, "Content-Length": "0", "Connection": "close"}))
        return _json(*self._rest.answer(parts.path))

    def _dialog(self, query: str) -> Response:
        page = self._login.dialog(query)
        if page is None:
            return _json(*failure(HTTPStatus.BAD_REQUEST, *WRONG_APPLICATION))
        return _response(HTTPStatus.OK, page.encode(), "text/html; charset=utf-8")

    def _answer_form(self, path: str, body: str) -> Response:
        if path == TOKEN_PATH:
            return _json(*self._login.exchange(body))
        return _json(*failure(HTTPStatus.NOT_FOUND, "UDAPI100060", "Resource not Found."))

    def _health(self) -> dict[str, object]:
        return {
            "status": "ok",
            "subscribers": len(self.subscribers),
            "messages": self.messages_sent,
            "feed_time_ms": self.source.now_ms(),
            "ended": self._pump is not None and self._pump.done(),
        }

    def _authorized(self, headers: Headers) -> bool:
        scheme, _, given = headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not given.strip():
            return False
        token = given.strip()
        return self._token is None or secrets.compare_digest(token.encode(), self._token.encode()) or self._login.accepts(token)

    def _redirect_uri(self, authority: str, close_code: int) -> str:
        now = time.monotonic()
        self._tickets = {code: ticket for code, ticket in self._tickets.items() if ticket.until > now}
        code = secrets.token_urlsafe(24)
        self._tickets[code] = _Ticket(now + _CODE_LIFE_SECONDS, close_code)
        return f"ws{'s' if self._tls else ''}://{authority}{STREAM_PATH}?requestId={secrets.token_hex(8)}&code={code}"

    async def _converse(self, connection: ServerConnection) -> None:
        """Greet a connection with the market's status and follow its requests until it goes."""
        if connection in self._closing:
            code = self._closing.pop(connection)
            if code == CloseCode.ABNORMAL_CLOSURE:
                connection.transport.close()
            else:
                await connection.close(code, "as the test asks")
            return
        subscriber = Subscriber(connection)
        self._start_waiting_source()
        self.subscribers.add(subscriber)
        for message in self.source.greeting():
            self._send(subscriber, message)
        try:
            async for text in connection:
                self._obey(subscriber, text)
        except ConnectionClosed:
            log.debug("a connection ended without a close frame")
        finally:
            self.subscribers.discard(subscriber)

    def _obey(self, subscriber: Subscriber, text: str | bytes) -> None:
        """Follow one request; what is not understood is ignored, as the real feed does."""
        try:
            request = json.loads(text)
            method, wanted = request["method"], request["data"]
            keys = [key for key in wanted["instrumentKeys"] if isinstance(key, str)]
        except (ValueError, KeyError, TypeError):
            log.warning("ignored a request that is not JSON with method and data.instrumentKeys")
            return
        self.requests.append(request)
        mode = wanted.get("mode") or "ltpc"
        if method in ("sub", "change_mode") and mode in MODES:
            unknown = [key for key in keys if key not in self.source.keys]
            if unknown:
                log.warning("no such instrument here, no messages will come for it: %s", ", ".join(unknown[:5]))
            known = [key for key in keys if key in self.source.keys and (method == "sub" or key in subscriber.modes)]
            subscriber.modes.update(dict.fromkeys(known, mode))
            if known:
                self._start_waiting_source()
                self._subscribed.set()
            self._snapshot(subscriber, known)
        elif method == "unsub":
            for key in keys:
                subscriber.modes.pop(key, None)

    def _start_waiting_source(self) -> None:
        """Bring a source that has not begun to the present, so that the first messages carry its times already."""
        if self.source.waits_for_subscriber and not self._subscribed.is_set():
            self.source.start(self._wall_ms())

    def _snapshot(self, subscriber: Subscriber, keys: Iterable[str]) -> None:
        entries = [self.source.entry(key, subscriber.modes[key]) for key in keys]
        known = [entry for entry in entries if entry is not None]
        if known:
            self._send(subscriber, feed_message.frame(known, self.source.now_ms(), snapshot=True))


def _all_full(shown: tuple[tuple[str, str], ...]) -> bool:
    return all(mode == "full" for _, mode in shown)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _json(status: HTTPStatus, body: object) -> Response:
    return _response(status, json.dumps(body).encode(), "application/json")


def _response(status: HTTPStatus, body: bytes, content_type: str) -> Response:
    headers = Headers({"Content-Type": content_type, "Content-Length": str(len(body)), "Connection": "close"})
    return Response(status, status.phrase, headers, body)
