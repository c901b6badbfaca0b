"""Puts the streamer together from its parts, by its settings, and runs it until it is asked to stop."""

from __future__ import annotations

import functools
import logging
import os
import signal
import socket
import threading
import time
from collections.abc import Iterable, Mapping
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
from orderflow.upstox import list_change
from orderflow.upstox.client import Listener, UpstoxConnection, checked_url, tls_options
from orderflow.upstox.clock import SYSTEM
from orderflow.upstox.connections import FeedConnections, streamer_names
from orderflow.upstox.day_so_far import DaySoFar
from orderflow.upstox.earlier_spool import continue_spool
from orderflow.upstox.engine import FeedEngine
from orderflow.upstox.feed_health import with_dead
from orderflow.upstox.lookup import InstrumentLookup
from orderflow.upstox.metrics import FigureCollector, InstrumentCollector, PublishLag
from orderflow.upstox.ownership import Ownership
from orderflow.upstox.pace import InstrumentHealth
from orderflow.upstox.recording import RawRecorder
from orderflow.upstox.resume import restored_state
from orderflow.upstox.running import Running, figures
from orderflow.upstox.startup import announce
from orderflow.upstox.storage import Storage
from orderflow.upstox.subscription import spread
from orderflow.upstox.supervisor import FeedStatus
from orderflow.upstox.token import Token, TokenSource
from orderflow.upstox.watch_list import Change, WatchList
from orderflow.upstox.worker import Lane, Worker
from orderflow.watchdog import Watchdog

log = logging.getLogger(__name__)

_HUNG_SECONDS: Final = 180.0


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
        self._running: Running | None = None
        self._lookup = InstrumentLookup(settings, SYSTEM.now_ms)
        self._ownership = Ownership(settings.zookeeper, self._owner, standby=settings.standby)
        self._lag = PublishLag(registry)
        self._watchdog = Watchdog(_HUNG_SECONDS, "no update has been handled")

    def stop(self, *_: object) -> None:
        """Make `run` return soon; also the handler of SIGTERM and SIGINT."""
        self._stop.set()
        if self._running is not None:
            self._running.connections.stop()

    def run(self) -> int:
        """Stream until asked to stop; return the exit code 0. Raises OrderflowError, whose message says what the user can do."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self.stop)
        self._registry.register(FigureCollector(figures(lambda: self._running)))
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
        if self._running is None:
            state = self._starting.state
            return Health(state == "standby", state, {"cause": self._starting.cause})
        return self._running.health()

    def _stream(self) -> None:
        settings = self._settings
        names = self._lookup.names()
        resolution = self._lookup.resolve(names)
        selection = resolution.selection
        keys = selection.keys
        for name, cause in selection.skipped.items():
            log.warning("not streamed: %s: %s", name, cause)
        for key, cause in selection.replaced.items():
            log.warning("%s: %s", key, cause)
        more = f" and {len(keys) - 20} more" if len(keys) > 20 else ""
        log.info("instruments: %s", ", ".join(keys[:20]) + more)
        if not self._ownership.take(keys, self._stop, self._say) or self._stop.is_set():
            return
        self._say("waiting for Kafka")
        self._storage.prepare(self._stop.is_set)
        self._say("reading stored states and ticks")
        wanted = frozenset(keys)
        stored = self._storage.read(lambda name: name in wanted or name.startswith(SEGMENT), wanted, self._stop.is_set)
        publisher = self._storage.publisher(self._owner, self._lag.observe)
        segments = restored_segments(stored.states)
        book = SessionBook(resolution.calendar, resolution.with_derivatives, segments, resolution.contracts)
        states: dict[str, InstrumentState] = {}
        names_of_lanes = streamer_names(settings.streamer_name, settings.connections)
        lanes = tuple(Lane(FeedEngine(publisher, book, states, streamer=name)) for name in names_of_lanes)
        engine = lanes[0].engine
        engine.refused(stored.rejects, stored.rejected)
        for key in keys:
            states[key] = restored_state(key, stored.states.get(key), stored.ticks.get(key, ()))
        self._say("publishing the records that an earlier run left on disk")
        if not continue_spool(self._storage, publisher, engine, keys, self._stop):
            return
        parts = spread(selection.modes, settings.connections)
        for lane, part in zip(lanes, parts, strict=True):
            lane.engine.own(part)
            lane.engine.subscribed(part)
        list_change.begin(engine, selection=selection, at_ms=SYSTEM.now_ms())
        worker = Worker(lanes, publisher, self._recorder, on_beat=self._watchdog.beat)
        connections = FeedConnections(self._connect, self._tokens, lanes, parts, SYSTEM.now_ms, self._housekeep)
        watching = WatchList(
            self._lookup.names,
            self._lookup.select,
            lambda keys: self._storage.read(keys.__contains__, keys, self._stop.is_set),
            self._ownership.leases,
            SYSTEM.now_ms,
            selection,
            names,
        )
        running = Running(lanes, publisher, worker, connections, watching, lambda: self._lag.last_seconds)
        self._running = running
        if self._stop.is_set():
            connections.stop()
        worker.start()
        self._watchdog.start()
        watching.start()
        self._fetch_day_so_far(running, keys)
        announce(selection.modes, self._tokens.current(), settings.rest_url, settings.ca_file)
        connections.run()

    def _connect(self, token: Token, modes: Mapping[str, str], listener: Listener) -> UpstoxConnection:
        return UpstoxConnection(self._url, self._settings.ca_file, token.value, modes, listener)

    def _fetch_day_so_far(self, running: Running, keys: Iterable[str]) -> None:
        """Fetch today's earlier minutes of those of `keys` without stored ticks of today, once the feed's clock is known."""
        lanes, states, today = running.lanes, running.lanes[0].engine.states, ist_date(SYSTEM.now_ms())
        known = {key: states.get(key) for key in keys}
        keys = [key for key, state in known.items() if state is None or not state.sequence or state.trading_date < today]

        def hand_over(key: str, bars: list[Bar]) -> None:
            for lane in lanes:  # only the streamer that owns the instrument publishes them
                lane.inbox.call(lambda feed: feed.minutes_before(key, bars, SYSTEM.now_ms()))

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
        self._ownership.close()

    def _housekeep(self) -> None:
        """Do the periodic work of the main thread, several times a second."""
        running = self._running
        if running is None:
            return
        if self._stop.is_set():
            running.connections.stop()
        if running.worker.error is not None:
            raise running.worker.error
        self._ownership.keep(running.watch_list.current.keys)
        change = running.watch_list.take()
        if change is not None:
            self._apply(running, change)
        running.report()

    def _apply(self, running: Running, change: Change) -> None:
        """Apply a changed watch list to the open connection."""
        before = running.connections.parts
        parts = spread(change.selection.modes, len(running.lanes), before)
        changes = list_change.by_connection(change, before, parts)
        for number, (lane, own) in enumerate(zip(running.lanes, changes, strict=True)):
            resolution = self._lookup.latest if number == 0 else None
            action = functools.partial(list_change.follow, change=own, at_ms=SYSTEM.now_ms(), resolution=resolution)
            lane.inbox.call(action)
        running.connections.watch(parts)
        self._fetch_day_so_far(running, change.added)
        if change.removed:
            self._ownership.release(change.removed)
        if change.added or change.removed:
            keys = change.selection.keys
            log.info("watch list: %d instruments, %d added, %d removed", len(keys), len(change.added), len(change.removed))

    def _say(self, state: str, cause: str = "") -> None:
        self._starting.state, self._starting.cause = state, cause

    def _instruments(self) -> dict[str, InstrumentHealth]:
        running = self._running
        return {} if running is None else with_dead(running.worker.report.instruments, running.watch_list.current.skipped)
