"""Keeps one connection to the feed alive: decides when to connect, with which token, when to close, and when to try again.

It never gives up for good. The reason why a connection ended decides how soon the next attempt comes (`judged`). The delays
start over only after a connection has lived for half a minute, so that a server that accepts and closes is not flooded.
"""

from __future__ import annotations

import logging
import queue
import random
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, Protocol

from orderflow.upstox.client import HANDSHAKE_SECONDS, Listener
from orderflow.upstox.liveness import Liveness
from orderflow.upstox.retry import STEADY_SECONDS, Backoff, Verdict, judged
from orderflow.upstox.subscription import by_mode, named
from orderflow.upstox.token import Token, TokenSource
from orderflow.upstox.worker import Inbox

log = logging.getLogger(__name__)

_REFUSED_TOKEN_SECONDS: Final = 300.0
_ANNOUNCE_MS: Final = (3_600_000, 600_000)
_TICK_SECONDS: Final = 0.25


class Connection(Protocol):
    """One attempt at a connection; `client.UpstoxConnection` in the product."""

    def connect(self) -> None:
        """Begin to connect."""
        ...

    def subscribe(self, modes: Mapping[str, str]) -> None:
        """Subscribe more."""
        ...

    def change_mode(self, modes: Mapping[str, str]) -> None:
        """Give what is subscribed another mode."""
        ...

    def unsubscribe(self, keys: Iterable[str]) -> None:
        """Unsubscribe."""
        ...

    def close(self, wait_seconds: float = 5.0) -> bool:
        """Close and wait."""
        ...


@dataclass(slots=True)
class FeedStatus:
    """What the supervisor is doing, for /healthz and metrics."""

    state: str = "starting"
    cause: str = ""
    # Since when it has been connected, or has not.
    since: float = field(default_factory=time.monotonic)
    attempts: int = 0
    connections: int = 0
    last_message_at: float | None = None
    messages: int = 0
    # Why the server refused the last attempt for a limit or a right; empty once a connection is open.
    refused: str = ""
    # How many instruments have no open connection.
    unconnected: int = 0


class _Attempt(Listener):
    """Listens to one connection; messages after the connection was abandoned are ignored."""

    def __init__(self, inbox: Inbox, status: FeedStatus, now_ms: Callable[[], int]) -> None:
        self._inbox, self._status, self._now_ms = inbox, status, now_ms
        self.happened: queue.SimpleQueue[tuple[str, int | None, str | None, BaseException | None]] = queue.SimpleQueue()
        self.active = True
        self.messages = 0

    def opened(self) -> None:
        if self.active:
            opened_ms = self._now_ms()
            self._status.last_message_at = None  # here, since a message may come before the supervisor looks
            self._inbox.call(lambda engine: engine.opened(opened_ms))
            self.happened.put(("opened", None, None, None))

    def message(self, payload: bytes | str, received_time_ms: int) -> None:
        if self.active:
            self.messages += 1
            self._status.messages += 1
            self._status.last_message_at = time.monotonic()
            self._inbox.put(payload, received_time_ms)

    def closed(self, code: int | None, reason: str | None, error: BaseException | None) -> None:
        self.happened.put(("closed", code, reason, error))


class FeedSupervisor:
    """Run `run` on a thread of its own (the main one); `stop` and `watch` may be called from any thread.

    `modes` gives the mode of each key to subscribe; without any there is no connection. `name` distinguishes several
    connections.
    """

    def __init__(
        self,
        connect: Callable[[Token, Mapping[str, str], Listener], Connection],
        tokens: TokenSource,
        inbox: Inbox,
        modes: Mapping[str, str],
        is_continuous: Callable[[], bool],
        live_messages: Callable[[], int],
        now_ms: Callable[[], int],
        *,
        housekeeping: Callable[[], None] = lambda: None,
        backoff: Backoff | None = None,
        liveness: Liveness | None = None,
        name: str = "",
    ) -> None:
        self._connect, self._tokens, self._inbox = connect, tokens, inbox
        self._modes = self._subscribed = modes
        self._is_continuous, self._live_messages = is_continuous, live_messages
        self._now_ms = now_ms
        self._housekeeping = housekeeping
        self._backoff = backoff or Backoff(random.random)
        self._liveness = liveness or Liveness()
        self._stop = threading.Event()
        self._refused: tuple[str, float] | None = None
        self._announced: set[tuple[str, int]] = set()
        self._given_up = ""
        self._limited = ""
        self._prefix = f"{name}: " if name else ""
        self.status = FeedStatus()

    def stop(self) -> None:
        """Have `run` return soon."""
        self._stop.set()

    def interrupt(self, cause: str) -> None:
        """Give up the present connection, for example because the leases are lost."""
        self._given_up = cause

    def watch(self, modes: Mapping[str, str]) -> None:
        """Change the subscribed instruments or their modes; takes effect on the open connection within a second."""
        self._modes = modes

    def tell(self, name: str, cause: str) -> None:
        """Put an event of this connection into the ledger."""
        at_ms = self._now_ms()
        self._inbox.call(lambda engine: engine.event(name, at_ms, cause))

    def run(self) -> None:
        """Keep connected until `stop`. An exception in `housekeeping` ends it."""
        while not self._stop.is_set():
            if not self._modes:
                self._say("nothing to subscribe")
                self._housekeeping()
                self._stop.wait(_TICK_SECONDS)
                continue
            token = self._await_token()
            if token is None:
                break
            self.status.attempts += 1
            verdict = self._attempt(token)
            if self._stop.is_set():
                break
            self._after(token, verdict)
        self._say("stopped")

    def _subscribe(self, connection: Connection) -> None:
        """Update the subscriptions of an open connection to the present watch list."""
        before, now = self._subscribed, self._modes
        if now is before:
            return
        self._subscribed = now
        added = {key: mode for key, mode in now.items() if key not in before}
        moved = {key: mode for key, mode in now.items() if before.get(key, mode) != mode}
        removed = [key for key in before if key not in now]
        try:
            connection.subscribe(added)
            connection.change_mode(moved)
            connection.unsubscribe(removed)
        except Exception as error:  # noqa: BLE001 the SDK raises a bare Exception; the next connection subscribes all
            log.info("the connection ended while instruments changed (%s)", type(error).__name__)

    def _await_token(self) -> Token | None:
        """Return a token worth trying, waiting for it in a visible state; None when asked to stop."""
        reported = ""
        while not self._stop.is_set():
            token = self._tokens.current()
            now_ms = self._now_ms()
            if token is None:
                problem = f"there is no access token: {self._tokens.where()}"
            elif token.is_expired(now_ms):
                problem = f"the access token has expired: {self._tokens.where()}; the feed then resumes by itself"
            elif self._refused is not None and self._refused[0] == token.value and time.monotonic() < self._refused[1]:
                problem = f"Upstox refused the access token (401): {self._tokens.where()}; the feed then resumes by itself"
            else:
                self._announce_expiry(token, now_ms)
                return token
            if problem != reported:
                reported = problem
                self._say("waiting for a token", problem)
                log.error("%s", problem)
                self.tell("token", problem)
            self._housekeeping()
            self._stop.wait(_TICK_SECONDS)
        return None

    def _attempt(self, token: Token) -> Verdict:
        """Make one connection and stay with it to its end."""
        attempt = _Attempt(self._inbox, self.status, self._now_ms)
        self._given_up = ""
        self._say("connecting")
        self._subscribed = self._modes
        connection = self._connect(token, self._subscribed, attempt)
        try:
            connection.connect()
            return self._attend(connection, attempt, token)
        finally:
            attempt.active = False
            if not connection.close():
                log.warning("the socket thread has not ended yet; it is ignored and will end by its own time-outs")

    def _attend(self, connection: Connection, attempt: _Attempt, token: Token) -> Verdict:
        began = opened_at = time.monotonic()
        is_open = False
        while not self._stop.is_set():
            try:
                what, code, reason, error = attempt.happened.get(timeout=_TICK_SECONDS)
            except queue.Empty:
                what = ""
            if what == "closed":
                verdict = judged(code, reason, error)
                if is_open:
                    self._lose(verdict.cause)
                return verdict
            now = time.monotonic()
            if what == "opened":
                is_open, opened_at = True, now
                self.status.connections += 1
                self._liveness.opened(now, self._live_messages())
                self._say("connected")
                modes = ", ".join(f"{len(keys)} in mode {mode}" for mode, keys in by_mode(self._subscribed).items())
                log.info("%sconnected: %d instruments (%s)", self._prefix, len(self._subscribed), modes)
                self._limited = self.status.refused = ""
            self._housekeeping()
            if is_open:
                self._subscribe(connection)
            if self._given_up:
                if is_open:
                    self._lose(self._given_up)
                return Verdict(self._given_up)
            if not is_open:
                if now - began > 3 * HANDSHAKE_SECONDS:
                    return Verdict(f"no connection within {3 * HANDSHAKE_SECONDS:.0f} s")
                continue
            last_at, live = self.status.last_message_at, self._live_messages()
            silent = self._liveness.silence(now, last_at, live, trading=self._is_continuous())
            if silent is not None:
                self._liveness.stalled()
                at_ms, silent_ms = self._now_ms(), int(silent * 1000)
                self._stall(at_ms, silent_ms)
                cause = f"open but silent for {silent:.0f} s"
                self._lose(cause)
                return Verdict(cause)
            if now - opened_at >= STEADY_SECONDS and attempt.messages > 1:
                self._backoff.steady()
            self._announce_expiry(token, self._now_ms())
        if is_open:
            self._lose("asked to stop")
        return Verdict("asked to stop")

    def _after(self, token: Token, verdict: Verdict) -> None:
        """Wait for the time given by the verdict and the back-off."""
        if verdict.token_refused:
            self._refused = (token.value, time.monotonic() + _REFUSED_TOKEN_SECONDS)
            return
        delay = self._backoff.next_delay(verdict.least_seconds)
        self._say("retrying", verdict.cause)
        cure = f": {verdict.cure}" if verdict.cure else ""
        log.warning("%s%s%s; trying again in %.1f s", self._prefix, verdict.cause, cure, delay)
        if verdict.limited:
            self.status.refused = verdict.cause
        if verdict.limited and verdict.cause != self._limited:
            self._limited = verdict.cause
            self.tell("refused", f"{self._prefix}{verdict.cause}{cure}; instruments not streamed: {named(self._modes)}")
        until = time.monotonic() + delay
        while not self._stop.is_set() and time.monotonic() < until:
            self._housekeeping()
            self._stop.wait(min(_TICK_SECONDS, max(0.0, until - time.monotonic())))

    def _stall(self, at_ms: int, silent_ms: int) -> None:
        self._inbox.call(lambda engine: engine.stalled(at_ms, silent_ms))

    def _lose(self, cause: str) -> None:
        at_ms = self._now_ms()
        self._inbox.call(lambda engine: engine.lost(at_ms, cause))

    def _announce_expiry(self, token: Token, now_ms: int) -> None:
        if token.expires_ms is None:
            return
        for ahead_ms in sorted(_ANNOUNCE_MS):
            if 0 < token.expires_ms - now_ms <= ahead_ms:
                if (token.value, ahead_ms) not in self._announced:
                    self._announced.update((token.value, wider) for wider in _ANNOUNCE_MS if wider >= ahead_ms)
                    text = f"the access token expires in {(token.expires_ms - now_ms) // 60_000} minutes: {self._tokens.where()}"
                    log.warning("%s", text)
                    self.tell("token", text)
                return

    def _say(self, state: str, cause: str = "") -> None:
        if (state == "connected") != (self.status.state == "connected"):
            self.status.since = time.monotonic()
        self.status.state, self.status.cause = state, cause
