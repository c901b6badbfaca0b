"""One watch list over the connections that an account may hold: each has its own supervisor, inbox and engine.

Every instrument is on exactly one connection. The engines share the publisher, the session book and the states, since all of
them run on the worker's thread; each publishes under a streamer name of its own, for its heartbeats tell its own clock.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence

from orderflow.upstox.client import Listener
from orderflow.upstox.supervisor import Connection, FeedStatus, FeedSupervisor
from orderflow.upstox.token import Token, TokenSource
from orderflow.upstox.worker import Lane


def streamer_names(name: str, count: int) -> list[str]:
    """Return a name for each connection: the streamer's own for the first, `name/2` for the second, and so on."""
    return [name if number == 1 else f"{name}/{number}" for number in range(1, count + 1)]


class FeedConnections:
    """Keep all connections alive: run `run` on the main thread; `stop` and `watch` may be called from any thread.

    `parts` gives the mode of each key by connection, in the order of `lanes`. `housekeeping` is called on the main thread only.
    """

    def __init__(
        self,
        connect: Callable[[Token, Mapping[str, str], Listener], Connection],
        tokens: TokenSource,
        lanes: Sequence[Lane],
        parts: Sequence[Mapping[str, str]],
        housekeeping: Callable[[], None] = lambda: None,
    ) -> None:
        self._parts = tuple(parts)
        self._error: BaseException | None = None
        self._housekeeping = housekeeping
        count = len(lanes)
        self._supervisors = [
            FeedSupervisor(
                connect,
                tokens,
                lane.inbox,
                part,
                lane.is_continuous,
                lane.live_messages,
                housekeeping=self._housekeep if number == 1 else lambda: None,
                name=f"connection {number} of {count}" if count > 1 else "",
            )
            for number, (lane, part) in enumerate(zip(lanes, parts, strict=True), start=1)
        ]

    @property
    def parts(self) -> tuple[Mapping[str, str], ...]:
        """Return the mode of each key by connection."""
        return self._parts

    @property
    def status(self) -> FeedStatus:
        """Return what all connections do together."""
        return merged([(each.status, len(part)) for each, part in zip(self._supervisors, self._parts, strict=True)])

    def stop(self) -> None:
        """Have `run` return soon."""
        for supervisor in self._supervisors:
            supervisor.stop()

    def watch(self, parts: Sequence[Mapping[str, str]]) -> None:
        """Change the instruments of the connections."""
        self._parts = tuple(parts)
        for supervisor, part in zip(self._supervisors, parts, strict=True):
            supervisor.watch(part)

    def run(self) -> None:
        """Keep connected until `stop`. What `housekeeping` raises, or what ends a connection's thread, ends all."""
        first, *others = self._supervisors
        threads = [threading.Thread(target=self._run_other, args=(each,), name="supervisor", daemon=True) for each in others]
        for thread in threads:
            thread.start()
        try:
            first.run()
        finally:
            self.stop()
            for thread in threads:
                thread.join()

    def _run_other(self, supervisor: FeedSupervisor) -> None:
        try:
            supervisor.run()
        except BaseException as error:  # noqa: BLE001 carried to the main thread, which ends the process with it
            self._error = error

    def _housekeep(self) -> None:
        if self._error is not None:
            raise self._error
        self._housekeeping()


def merged(statuses: Iterable[tuple[FeedStatus, int]]) -> FeedStatus:
    """Return one status for several connections, each with its number of instruments: the worst state, counters summed.

    A connection without instruments counts only while there is no other.
    """
    every = list(statuses)
    used = [(status, keys) for status, keys in every if keys] or every[:1]
    worst, _ = min(used, key=lambda each: (each[0].state == "connected", each[0].since))
    heard = [status.last_message_at for status, _ in used if status.last_message_at is not None]
    unreachable = sum(keys for status, keys in used if status.state != "connected")
    cause = worst.cause
    if unreachable and len(used) > 1:
        number = 1 + next(number for number, (status, _) in enumerate(every) if status is worst)
        cause = f"connection {number} of {len(every)}: {cause or worst.state}; instruments without a connection: {unreachable}"
    return FeedStatus(
        worst.state,
        cause,
        worst.since,
        sum(status.attempts for status, _ in every),
        sum(status.connections for status, _ in every),
        max(heard, default=None),
        sum(status.messages for status, _ in every),
    )
