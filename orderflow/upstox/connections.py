"""Spreads one watch list over several connections, each with its own supervisor, inbox and engine.

Every instrument is on exactly one connection. If Upstox refuses a connection, its instruments move to open ones, as far as
their limits allow. The engines share the publisher, the session book and the states, because all of them run on the worker's
thread. Each publishes under a streamer name of its own, because its heartbeats carry its own clock.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial

from orderflow.upstox.client import Listener
from orderflow.upstox.engine import FeedEngine
from orderflow.upstox.subscription import moved, named
from orderflow.upstox.supervisor import Connection, FeedStatus, FeedSupervisor
from orderflow.upstox.token import Token, TokenSource
from orderflow.upstox.worker import Lane

log = logging.getLogger(__name__)


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
        now_ms: Callable[[], int],
        housekeeping: Callable[[], None] = lambda: None,
    ) -> None:
        self._parts = tuple(parts)
        self._lanes = tuple(lanes)
        # The connection from which each moved instrument came, and whether more may move.
        self._moved: dict[str, int] = {}
        self._may_move = True
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
                now_ms,
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

    @property
    def refused(self) -> int:
        """Return how many connections the server refuses."""
        return sum(1 for each in self._supervisors if each.status.refused)

    def stop(self) -> None:
        """Have `run` return soon."""
        for supervisor in self._supervisors:
            supervisor.stop()

    def watch(self, parts: Sequence[Mapping[str, str]]) -> None:
        """Change the instruments of the connections; those of one that is refused may then move again."""
        self._moved, self._may_move = {}, True
        self._carry(parts)

    def _carry(self, parts: Sequence[Mapping[str, str]]) -> None:
        self._parts = tuple(parts)
        for supervisor, part in zip(self._supervisors, parts, strict=True):
            supervisor.watch(part)

    def run(self) -> None:
        """Keep connected until `stop`. An exception in `housekeeping` or in a connection's thread ends all connections."""
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
        self._move_refused()
        self._housekeeping()

    def _move_refused(self) -> None:
        """Move the instruments of refused connections to open ones, as far as the limits allow.

        If a connection is refused after it took over instruments, it returns them, and none moves again until the list
        changes: the server's limit then differs from the documented one.
        """
        statuses = [each.status for each in self._supervisors]
        refused = [number for number, status in enumerate(statuses) if status.refused and self._parts[number]]
        if not refused or not self._may_move:
            return
        before = self._parts
        if any(key in before[number] for number in refused for key in self._moved):
            self._may_move = False
            after = _given_back(before, self._moved)
        else:
            after = moved(before, refused, [number for number, status in enumerate(statuses) if _is_served(status)])
        if after == before:
            return
        for number, (lane, was, now) in enumerate(zip(self._lanes, before, after, strict=True)):
            gone, came = tuple(was.keys() - now.keys()), tuple(now.keys() - was.keys())
            if self._may_move:
                self._moved |= dict.fromkeys(gone, number)
            lane.inbox.call(partial(_hand_over, gone=gone, came=came, part=now))
            if gone:
                cause = f"connection {number + 1} of {len(before)}: {statuses[number].refused}; instruments moved to other "
                cause += f"connections: {len(gone)}; not streamed: {named(now)}"
                log.warning("%s", cause)
                self._supervisors[number].tell("refused", cause)
        self._carry(after)


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
        "; ".join(f"{_number(at, every)}{status.refused}" for at, (status, _) in enumerate(every) if status.refused),
        unreachable,
    )


def _number(at: int, every: Sequence[object]) -> str:
    return f"connection {at + 1} of {len(every)}: " if len(every) > 1 else ""


def _given_back(parts: Sequence[Mapping[str, str]], origins: Mapping[str, int]) -> tuple[dict[str, str], ...]:
    """Return `parts` with each key of `origins` on its connection there."""
    places = [(origins.get(key, number), key, mode) for number, part in enumerate(parts) for key, mode in part.items()]
    return tuple({key: mode for place, key, mode in places if place == number} for number in range(len(parts)))


def _is_served(status: FeedStatus) -> bool:
    """Return whether a connection is open and has delivered a message; one that is closed at once may be one too many."""
    return status.state == "connected" and status.last_message_at is not None and not status.refused


def _hand_over(engine: FeedEngine, *, gone: Iterable[str], came: Iterable[str], part: Mapping[str, str]) -> None:
    """Update the engine of a connection after a move of instruments, on the worker's thread."""
    engine.disown(gone)
    engine.own(came, "the instrument moved to another connection")
    engine.subscribed(part)
