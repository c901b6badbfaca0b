"""Runs the whole streamer from its settings, until it is asked to stop."""

from __future__ import annotations

import functools
import logging
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from prometheus_client import REGISTRY, CollectorRegistry

from orderflow.health import Health, HealthServer
from orderflow.market.errors import OrderflowError
from orderflow.market.inference import InstrumentState
from orderflow.market.session import SessionBook
from orderflow.market.stored_state import SEGMENT, restored_segments
from orderflow.market.tick import Bar
from orderflow.market.times import ist_date
from orderflow.settings import Settings
from orderflow.upstox.client import Listener, UpstoxConnection, checked_url, tls_options
from orderflow.upstox.clock import SYSTEM
from orderflow.upstox.connections import FeedConnections, streamer_names
from orderflow.upstox.day_so_far import DaySoFar
from orderflow.upstox.engine import FeedEngine
from orderflow.upstox.feed_health import Figures, feed_health, with_dead
from orderflow.upstox.instruments import Resolution, Selection, master_cache, resolve_apart, watch_list
from orderflow.upstox.lease import InstrumentLeases
from orderflow.upstox.metrics import FigureCollector, InstrumentCollector, PublishLag
from orderflow.upstox.pace import InstrumentHealth
from orderflow.upstox.recording import RawRecorder
from orderflow.upstox.resume import continue_spool, restored_state
from orderflow.upstox.startup import announce
from orderflow.upstox.storage import Storage, Stored, TickPublisher
from orderflow.upstox.subscription import spread, volume_warning
from orderflow.upstox.supervisor import FeedStatus
from orderflow.upstox.token import Token, TokenSource
from orderflow.upstox.watch_list import Change, WatchList
from orderflow.upstox.worker import Lane, Worker
from orderflow.watchdog import Watchdog

log = logging.getLogger(__name__)

_REFUSE_AFTER_SECONDS: Final = 12.0
_REPORT_EVERY_SECONDS: Final = 60.0
_HUNG_SECONDS: Final = 180.0
NO_ZOOKEEPER: Final = "none"


@dataclass(slots=True)
class _Running:
    """The parts of a streamer that is past its start."""

    lanes: tuple[Lane, ...]
    publisher: TickPublisher
    worker: Worker
    connections: FeedConnections
    watch_list: WatchList

    def sum(self, figure: str) -> int:
        """Return a counter of `EngineFigures` over all connections."""
        return sum(getattr(lane.engine.figures, figure) for lane in self.lanes)

    def clock_behind_seconds(self) -> float:
        """Return by how much this machine's clock is behind the feed."""
        return max(lane.engine.clock.behind_ms for lane in self.lanes) / 1000


class UpstoxStreamer:
    """Stream the settings' instruments into `storage` until SIGTERM or SIGINT; its metrics are `registry`'s."""

    def __init__(self, settings: Settings, storage: Storage, registry: CollectorRegistry = REGISTRY) -> None:
        self._settings, self._storage, self._registry = settings, storage, registry
        self._url = checked_url(settings.feed_url)
        tls_options(settings.ca_file)
        self._tokens = TokenSource(settings.access_token, settings.access_token_file)
        self._recorder = RawRecorder(settings.record_dir) if settings.record_dir else None
        self._owner = f"{socket.gethostname()}-{os.getpid()}-{int(time.time()):x}"
        self._stop = threading.Event()
        self._starting = FeedStatus()
        self._running: _Running | None = None
        self._resolution: Resolution | None = None
        self._leases = None if settings.zookeeper.hosts == NO_ZOOKEEPER else InstrumentLeases(settings.zookeeper, self._owner)
        self._lag = PublishLag(registry)
        self._watchdog = Watchdog(_HUNG_SECONDS, "no update has been handled")
        self._keys: tuple[str, ...] = ()
        self._reported_at = time.monotonic()
        self._reported = (0, 0, 0)

    def stop(self, *_: object) -> None:
        """Make `run` return soon; also the handler of SIGTERM and SIGINT."""
        self._stop.set()
        if self._running is not None:
            self._running.connections.stop()

    def run(self) -> int:
        """Stream until asked to stop; return the exit code 0. Raises OrderflowError, whose message says what the user can do."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self.stop)
        self._registry.register(FigureCollector(self._figures()))
        self._registry.register(InstrumentCollector(self._instruments))
        with HealthServer(self._settings.health_host, self._settings.health_port, self.health, self._registry):
            try:
                self._stream()
            except OrderflowError:
                if not self._stop.is_set():
                    raise
            finally:
                self._end()
        if self._running is not None and self._running.worker.error is not None:
            raise self._running.worker.error
        log.info("stopped")
        return 0

    def health(self) -> Health:
        """Return the state, for /healthz."""
        running = self._running
        if running is None:
            state = self._starting.state
            return Health(state == "standby", state, {"cause": self._starting.cause})
        figures = Figures(
            running.publisher.ticks_acknowledged,
            self._lag.last_seconds,
            running.publisher.spool_bytes,
            running.publisher.oldest_unacknowledged_seconds(),
            running.publisher.spooling_seconds(),
            running.clock_behind_seconds(),
        )
        watch = running.watch_list
        return feed_health(
            running.connections.status, running.worker.report, figures, watch.current.skipped, watch.failure, time.monotonic()
        )

    def _stream(self) -> None:
        settings = self._settings
        names = self._wanted_names()
        resolution = self._resolve(names)
        selection = resolution.selection
        self._keys = selection.keys
        for name, cause in selection.skipped.items():
            log.warning("not streamed: %s: %s", name, cause)
        for key, cause in selection.replaced.items():
            log.warning("%s: %s", key, cause)
        more = f" and {len(self._keys) - 20} more" if len(self._keys) > 20 else ""
        log.info("instruments: %s", ", ".join(self._keys[:20]) + more)
        if not self._acquire() or self._stop.is_set():
            return
        self._say("waiting for Kafka")
        self._storage.prepare(self._stop.is_set)
        self._say("reading stored states and ticks")
        wanted = frozenset(self._keys)
        stored = self._storage.read(lambda name: name in wanted or name.startswith(SEGMENT), wanted, self._stop.is_set)
        publisher = self._storage.publisher(self._owner, self._lag.observe)
        segments = restored_segments(stored.states)
        book = SessionBook(resolution.calendar, resolution.with_derivatives, segments, resolution.contracts)
        states: dict[str, InstrumentState] = {}
        names_of_lanes = streamer_names(settings.streamer_name, settings.connections)
        lanes = tuple(Lane(FeedEngine(publisher, book, states, streamer=name)) for name in names_of_lanes)
        engine = lanes[0].engine
        engine.refused(stored.rejects, stored.rejected)
        self._restore(engine, self._keys, stored)
        self._say("publishing the records that an earlier run left on disk")
        if not continue_spool(self._storage, engine, self._keys, self._stop):
            return
        parts = spread(selection.modes, settings.connections)
        for lane, part in zip(lanes, parts, strict=True):
            lane.engine.own(part)
            lane.engine.subscribed(part)
        resumed = sum(1 for state in engine.states.values() if state.sequence)
        engine.event("restart", _now_ms(), f"{resumed} of {len(self._keys)} instruments continue from their stored state")
        for name, cause in selection.skipped.items():
            engine.event("skipped", _now_ms(), cause, key=name)
        for key, cause in selection.replaced.items():
            engine.event("replaced", _now_ms(), cause, key=key)
        for name, key in selection.rolling.items():
            engine.event("rollover", _now_ms(), f"{name} is {key}", key=key)
        worker = Worker(lanes, publisher, self._recorder, on_beat=self._watchdog.beat)
        connections = FeedConnections(self._connect, self._tokens, lanes, parts, self._housekeep)
        watching = WatchList(
            self._wanted_names,
            self._select,
            lambda keys: self._storage.read(keys.__contains__, keys, self._stop.is_set),
            self._leases,
            _now_ms,
            selection,
            names,
        )
        self._running = _Running(lanes, publisher, worker, connections, watching)
        if self._stop.is_set():
            connections.stop()
        worker.start()
        self._watchdog.start()
        watching.start()
        self._fetch_day_so_far(self._running, self._keys)
        announce(selection.modes, self._tokens.current(), settings.rest_url, settings.ca_file)
        connections.run()

    def _fetch_day_so_far(self, running: _Running, keys: Iterable[str]) -> None:
        """Fetch today's earlier minutes of those of `keys` without stored ticks of today, once the feed's clock is known."""
        lanes, states, today = running.lanes, running.lanes[0].engine.states, ist_date(_now_ms())
        known = {key: states.get(key) for key in keys}
        keys = [key for key, state in known.items() if state is None or not state.sequence or state.trading_date < today]

        def hand_over(key: str, bars: list[Bar]) -> None:
            for lane in lanes:  # only the streamer that owns the instrument publishes them
                lane.inbox.call(lambda feed: feed.minutes_before(key, bars, _now_ms()))

        def feed_time_ms() -> int | None:
            return max((time_ms for lane in lanes if (time_ms := lane.engine.last_feed_time_ms) is not None), default=None)

        token = self._tokens.current()
        day = DaySoFar(self._settings.rest_url, self._settings.ca_file, feed_time_ms, hand_over, self._stop)
        day.fetch(keys, None if token is None else token.value)

    def _end(self) -> None:
        self._watchdog.stop()
        if self._running is not None:
            self._running.watch_list.stop()
            self._running.worker.stop()
        if self._leases is not None:
            self._leases.close()

    def _connect(self, token: Token, modes: Mapping[str, str], listener: Listener) -> UpstoxConnection:
        return UpstoxConnection(self._url, self._settings.ca_file, token.value, modes, listener)

    def _resolve(self, names: Mapping[str, str]) -> Resolution:
        settings, source = self._settings, self._settings.instrument_master
        cache = master_cache(settings.spool_dir, source)
        resolution = resolve_apart(names, source, cache, settings.ca_file, _now_ms(), settings.rest_url)
        spread(resolution.selection.modes, settings.connections)
        for warning in filter(None, (*resolution.warnings, volume_warning(resolution.selection.modes))):
            log.warning("%s", warning)
        return resolution

    def _select(self, names: Mapping[str, str]) -> Selection:
        """Look up names for the watch list; new trading hours from master and calendar take effect with the change."""
        self._resolution = self._resolve(names)
        return self._resolution.selection

    def _wanted_names(self) -> Mapping[str, str]:
        path = self._settings.instrument_file
        return self._settings.instrument_modes if path is None else watch_list(path, self._settings.feed_mode)

    def _acquire(self) -> bool:
        """Take the leases, waiting for ZooKeeper and, in standby, for the owner; otherwise raise. False when asked to stop."""
        leases = self._leases
        if leases is None:
            return True
        reported = ""
        began = time.monotonic()
        while not self._stop.is_set():
            if not leases.connect(2.0):
                problem = f"ZooKeeper at {self._settings.zookeeper} is not reachable; trying again until it is"
                began = time.monotonic()
            else:
                try:
                    taken = leases.acquire(self._keys)
                except OrderflowError as error:
                    log.warning("%s", error)
                    continue
                if not taken:
                    return True
                key, holder = next(iter(taken.items()))
                problem = f"{len(taken)} of {len(self._keys)} instruments are streamed already, for example {key} by {holder}"
                if not self._settings.standby and time.monotonic() - began > _REFUSE_AFTER_SECONDS:
                    raise OrderflowError(
                        f"{problem}; stop that streamer, change INSTRUMENT, or set STANDBY=true to take over after it"
                    )
            if problem != reported:
                reported = problem
                log.warning("%s%s", problem, "; standing by" if self._settings.standby else "")
            self._say("standby" if self._settings.standby else "waiting for ZooKeeper", problem)
            self._stop.wait(0.5)
        return False

    def _restore(self, engine: FeedEngine, keys: Iterable[str], stored: Stored) -> None:
        for key in keys:
            engine.states[key] = restored_state(key, stored.states.get(key), stored.ticks.get(key, ()))

    def _housekeep(self) -> None:
        """Do the periodic work of the main thread, several times a second."""
        running = self._running
        if running is None:
            return
        if self._stop.is_set():
            running.connections.stop()
        if running.worker.error is not None:
            raise running.worker.error
        now = time.monotonic()
        if self._leases is not None and self._leases.lost.is_set():
            self._reclaim(self._leases)
        change = running.watch_list.take()
        if change is not None:
            self._apply(running, change)
        if now - self._reported_at >= _REPORT_EVERY_SECONDS:
            self._report(running, now)

    def _reclaim(self, leases: InstrumentLeases) -> None:
        """Take the leases again after the session expired; end the process if another streamer has them."""
        leases.renew()
        keys = self._keys if self._running is None else self._running.watch_list.current.keys
        taken = leases.acquire(keys)
        if taken:
            key, holder = next(iter(taken.items()))
            raise OrderflowError(
                f"the lease of {key} was lost to {holder}; this streamer ends so that no tick is published twice"
            )
        log.info("the leases are held again")

    def _apply(self, running: _Running, change: Change) -> None:
        """Apply a changed watch list to the open connection."""
        keys = change.selection.keys
        before = running.connections.parts
        parts = spread(change.selection.modes, len(running.lanes), before)
        changes = _by_connection(change, before, parts)
        for number, (lane, own) in enumerate(zip(running.lanes, changes, strict=True)):
            resolution = self._resolution if number == 0 else None
            lane.inbox.call(functools.partial(_change, change=own, at_ms=_now_ms(), resolution=resolution))
        self._keys = keys
        running.connections.watch(parts)
        self._fetch_day_so_far(running, change.added)
        if self._leases is not None and change.removed:
            self._leases.release(change.removed)
        if change.added or change.removed:
            log.info("watch list: %d instruments, %d added, %d removed", len(keys), len(change.added), len(change.removed))

    def _report(self, running: _Running, now: float) -> None:
        status = running.connections.status
        seen = (running.sum("messages"), running.sum("ticks"), running.sum("trades"))
        rates = [(new - old) / (now - self._reported_at) for new, old in zip(seen, self._reported, strict=True)]
        silent = "never" if status.last_message_at is None else f"{now - status.last_message_at:.1f} s ago"
        log.info(
            "%s: %.1f messages/s, %.1f ticks/s, %.1f trades/s; lag %.0f ms; last message %s; "
            "%d rejects, %d gaps, %d connections; spool %d bytes",
            status.state,
            *rates,
            self._lag.last_seconds * 1000,
            silent,
            running.sum("rejects"),
            running.sum("gaps"),
            status.connections,
            running.publisher.spool_bytes,
        )
        self._reported_at, self._reported = now, seen

    def _say(self, state: str, cause: str = "") -> None:
        self._starting.state, self._starting.cause = state, cause

    def _instruments(self) -> dict[str, InstrumentHealth]:
        running = self._running
        return {} if running is None else with_dead(running.worker.report.instruments, running.watch_list.current.skipped)

    def _figures(self) -> dict[str, tuple[str, bool, Callable[[], float]]]:
        def read(of: Callable[[_Running], float]) -> Callable[[], float]:
            return lambda: 0.0 if self._running is None else float(of(self._running))

        def age(running: _Running) -> float:
            last = running.connections.status.last_message_at
            return -1.0 if last is None else time.monotonic() - last

        return {
            "orderflow_feed_connected": (
                "1 while every connection is open",
                False,
                read(lambda run: run.connections.status.state == "connected"),
            ),
            "orderflow_feed_messages": ("Messages received", True, read(lambda run: run.connections.status.messages)),
            "orderflow_feed_connections": ("Connections opened", True, read(lambda run: run.connections.status.connections)),
            "orderflow_feed_attempts": ("Connections tried", True, read(lambda run: run.connections.status.attempts)),
            "orderflow_feed_refused_connections": (
                "Connections that the server refuses because of a limit or a missing right",
                False,
                read(lambda run: run.connections.refused),
            ),
            "orderflow_feed_unconnected_instruments": (
                "Instruments without an open connection",
                False,
                read(lambda run: run.connections.status.unconnected),
            ),
            "orderflow_feed_last_message_age_seconds": ("Age of the last message, -1 for none", False, read(age)),
            "orderflow_feed_dropped_messages": (
                "Messages dropped because the inbox was full",
                True,
                read(lambda run: sum(lane.inbox.dropped for lane in run.lanes)),
            ),
            "orderflow_feed_inbox_messages": (
                "Messages waiting for the worker",
                False,
                read(lambda run: sum(len(lane.inbox) for lane in run.lanes)),
            ),
            "orderflow_ticks": ("Ticks inferred", True, read(lambda run: run.sum("ticks"))),
            "orderflow_ticks_stored": ("Ticks acknowledged by Kafka", True, read(lambda run: run.publisher.ticks_acknowledged)),
            "orderflow_rejects": ("Messages or fields rejected", True, read(lambda run: run.sum("rejects"))),
            "orderflow_gaps": ("Trades that span an outage", True, read(lambda run: run.sum("gaps"))),
            "orderflow_duplicates": ("Updates that repeat the one before", True, read(lambda run: run.sum("duplicates"))),
            "orderflow_out_of_order": (
                "Updates whose vtt went backwards",
                True,
                read(lambda run: run.sum("out_of_order")),
            ),
            "orderflow_feed_clock_behind_seconds": (
                "Seconds by which this machine's clock is behind the feed",
                False,
                read(_Running.clock_behind_seconds),
            ),
            "orderflow_heartbeats": ("Heartbeats sent", True, read(lambda run: run.sum("heartbeats"))),
            "orderflow_spool_bytes": ("Size of the spool on disk", False, read(lambda run: run.publisher.spool_bytes)),
        }


def _by_connection(change: Change, before: Sequence[Mapping[str, str]], after: Sequence[Mapping[str, str]]) -> Iterator[Change]:
    """Yield the part of a changed watch list for each connection; the first part also has the events for the ledger."""
    for number, (was, now) in enumerate(zip(before, after, strict=True)):
        added, removed = tuple(now.keys() - was.keys()), tuple(was.keys() - now.keys())
        own = change._replace(selection=change.selection._replace(modes=dict(now)), added=added, removed=removed)
        if number:
            own = own._replace(selection=Selection(dict(now), {}, {}, {}), rolled={}, replaced={}, stored=None)
        yield own


def _change(engine: FeedEngine, *, change: Change, at_ms: int, resolution: Resolution | None = None) -> None:
    """Apply a changed watch list, and the trading hours of `resolution`, to the engine, on the worker's thread."""
    if resolution is not None:
        engine.book.renew(resolution.calendar, resolution.with_derivatives, resolution.contracts)
    if change.stored is not None:
        engine.refused(change.stored.rejects, change.stored.rejected)
    engine.disown(change.removed)
    engine.restore(change.states)
    engine.own(change.added, "the instrument was not on the watch list")
    engine.subscribed(change.selection.modes)
    for name, cause in change.selection.skipped.items():
        engine.event("skipped", at_ms, cause, key=name)
    for key, cause in change.replaced.items():
        engine.event("replaced", at_ms, cause, key=key)
    for name, key in change.rolled.items():
        engine.event("rollover", at_ms, f"{name} is now {key}", key=key)


def _now_ms() -> int:
    return SYSTEM.now_ms()
