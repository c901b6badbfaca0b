"""The streamer as a whole: settings in, ticks out, until it is told to stop."""

from __future__ import annotations

import functools
import logging
import os
import signal
import socket
import threading
import time
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from prometheus_client import REGISTRY

from orderflow.health import Health, HealthServer
from orderflow.market.errors import OrderflowError
from orderflow.market.inference import InstrumentState
from orderflow.market.session import SessionBook
from orderflow.market.stored_state import SEGMENT
from orderflow.settings import Settings
from orderflow.upstox.client import KEY_LIMITS, Listener, UpstoxConnection, checked_url, tls_options
from orderflow.upstox.engine import FeedEngine, restored_segments
from orderflow.upstox.instruments import Resolution, resolve_apart, watch_list
from orderflow.upstox.lease import InstrumentLeases
from orderflow.upstox.metrics import FigureCollector, PublishLag
from orderflow.upstox.recording import RawRecorder
from orderflow.upstox.resume import continue_spool, restored_state
from orderflow.upstox.storage import Storage, Stored, TickPublisher
from orderflow.upstox.supervisor import FeedStatus, FeedSupervisor
from orderflow.upstox.token import Token, TokenSource
from orderflow.upstox.worker import Inbox, Worker

log = logging.getLogger(__name__)

_REFUSE_AFTER_SECONDS: Final = 12.0
_WATCH_EVERY_SECONDS: Final = 2.0
_REPORT_EVERY_SECONDS: Final = 60.0
_UNHEALTHY_AFTER_SECONDS: Final = 30.0
_UNCONFIRMED_SECONDS: Final = 10.0
NO_ZOOKEEPER: Final = "none"


@dataclass(slots=True)
class _Running:
    """The parts of a streamer that is past its start."""

    engine: FeedEngine
    publisher: TickPublisher
    inbox: Inbox
    worker: Worker
    supervisor: FeedSupervisor


class UpstoxStreamer:
    """Stream the settings' instruments into `storage` until SIGTERM or SIGINT."""

    def __init__(self, settings: Settings, storage: Storage) -> None:
        self._settings, self._storage = settings, storage
        self._url = checked_url(settings.feed_url)
        tls_options(settings.ca_file)
        self._tokens = TokenSource(settings.access_token, settings.access_token_file)
        self._recorder = RawRecorder(settings.record_dir) if settings.record_dir else None
        self._owner = f"{socket.gethostname()}-{os.getpid()}-{int(time.time()):x}"
        self._stop = threading.Event()
        self._starting = FeedStatus()
        self._running: _Running | None = None
        self._leases = (
            None if settings.zookeeper_hosts == NO_ZOOKEEPER else InstrumentLeases(settings.zookeeper_hosts, self._owner)
        )
        self._lag = PublishLag(REGISTRY)
        self._names: tuple[str, ...] = ()
        self._keys: tuple[str, ...] = ()
        self._watched_at = self._reported_at = time.monotonic()
        self._reported = (0, 0, 0)

    def stop(self, *_: object) -> None:
        """Have `run` return soon; also the handler of SIGTERM and SIGINT."""
        self._stop.set()
        if self._running is not None:
            self._running.supervisor.stop()

    def run(self) -> int:
        """Stream until told to stop; return the exit code 0. Raises OrderflowError with what the user can do."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self.stop)
        REGISTRY.register(FigureCollector(self._figures()))
        with HealthServer(self._settings.health_host, self._settings.health_port, self.health):
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
        status = running.supervisor.status
        unconfirmed = running.publisher.oldest_unacknowledged_seconds()
        now = time.monotonic()
        detail: dict[str, object] = {
            "cause": status.cause,
            "instruments": len(self._keys),
            "messages": status.messages,
            "ticks_stored": running.publisher.ticks_acknowledged,
            "last_message_seconds_ago": None if status.last_message_at is None else round(now - status.last_message_at, 1),
            "publish_lag_seconds": round(self._lag.last_seconds, 3),
            "spool_bytes": running.publisher.spool_bytes,
            "market_open": running.worker.continuous,
        }
        if max(unconfirmed, running.publisher.spooling_seconds()) > _UNCONFIRMED_SECONDS:
            return Health(False, "Kafka does not confirm", {**detail, "oldest_unconfirmed_seconds": round(unconfirmed, 1)})
        if status.state == "connected":
            return Health(True, "connected" if running.worker.continuous else "connected, market closed", detail)
        patient = status.state in ("connecting", "retrying") and now - status.since < _UNHEALTHY_AFTER_SECONDS
        return Health(patient and status.connections > 0, status.state, detail)

    def _stream(self) -> None:
        settings = self._settings
        self._names = self._wanted_names()
        resolution = self._resolve(self._names)
        self._keys = resolution.keys
        log.info(
            "instruments: %s", ", ".join(self._keys[:20]) + (f" and {len(self._keys) - 20} more" if len(self._keys) > 20 else "")
        )
        if not self._acquire() or self._stop.is_set():
            return
        self._say("waiting for Kafka")
        self._storage.prepare(self._stop.is_set)
        self._say("reading back what is stored")
        wanted = frozenset(self._keys)
        stored = self._storage.read(lambda name: name in wanted or name.startswith(SEGMENT), wanted, self._stop.is_set)
        engine = FeedEngine(
            self._storage.publisher(self._owner, self._lag.observe),
            SessionBook(resolution.calendar, resolution.with_derivatives, restored_segments(stored.states), resolution.contracts),
            watermark_ms=settings.watermark_seconds * 1000,
        )
        engine.refused(stored.rejects, stored.rejected)
        self._restore(engine, self._keys, stored)
        self._say("publishing what an earlier run left on disk")
        if not continue_spool(self._storage, engine, self._keys, self._stop):
            return
        engine.own(self._keys)
        resumed = sum(1 for state in engine.states.values() if state.sequence)
        engine.event("restart", _now_ms(), f"{resumed} of {len(self._keys)} instruments continue from what is stored")
        inbox = Inbox()
        publisher: TickPublisher = engine.sink  # type: ignore[assignment]
        worker = Worker(engine, publisher, inbox, self._recorder)
        supervisor = FeedSupervisor(
            self._connect,
            self._tokens,
            inbox,
            self._keys,
            settings.feed_mode,
            lambda: worker.continuous,
            housekeeping=self._housekeep,
        )
        self._running = _Running(engine, publisher, inbox, worker, supervisor)
        if self._stop.is_set():
            supervisor.stop()
        worker.start()
        supervisor.run()

    def _end(self) -> None:
        if self._running is not None:
            self._running.worker.stop()
        if self._leases is not None:
            self._leases.close()

    def _connect(self, token: Token, keys: tuple[str, ...], listener: Listener) -> UpstoxConnection:
        return UpstoxConnection(self._url, self._settings.ca_file, token.value, keys, self._settings.feed_mode, listener)

    def _resolve(self, names: tuple[str, ...]) -> Resolution:
        settings, source = self._settings, self._settings.instrument_master
        cache = settings.spool_dir / f"instrument-master-{zlib.crc32(source.encode()):08x}.json.gz"
        limit = KEY_LIMITS[settings.feed_mode]
        resolution = resolve_apart(names, source, cache, settings.ca_file, limit, settings.rest_url)
        for warning in resolution.warnings:
            log.warning("%s", warning)
        return resolution

    def _wanted_names(self) -> tuple[str, ...]:
        path = self._settings.instrument_file
        return watch_list(path) if path is not None else self._settings.instruments

    def _acquire(self) -> bool:
        """Take the leases: wait for ZooKeeper, wait for the owner in standby, else refuse; False when told to stop."""
        leases = self._leases
        if leases is None:
            return True
        told = ""
        began = time.monotonic()
        while not self._stop.is_set():
            if not leases.connect(2.0):
                problem = f"ZooKeeper at {self._settings.zookeeper_hosts} is not reachable; trying again until it is"
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
            if problem != told:
                told = problem
                log.warning("%s%s", problem, "; standing by" if self._settings.standby else "")
            self._say("standby" if self._settings.standby else "waiting for ZooKeeper", problem)
            self._stop.wait(0.5)
        return False

    def _restore(self, engine: FeedEngine, keys: Iterable[str], stored: Stored) -> None:
        for key in keys:
            engine.states[key] = restored_state(key, stored.states.get(key), stored.ticks.get(key, ()))

    def _housekeep(self) -> None:
        """Do what must be looked after several times a second, on the main thread."""
        running = self._running
        if running is None:
            return
        if self._stop.is_set():
            running.supervisor.stop()
        if running.worker.error is not None:
            raise running.worker.error
        now = time.monotonic()
        if self._leases is not None and self._leases.lost.is_set():
            self._reclaim(self._leases)
        if self._settings.instrument_file is not None and now - self._watched_at >= _WATCH_EVERY_SECONDS:
            self._watched_at = now
            self._reread(running)
        if now - self._reported_at >= _REPORT_EVERY_SECONDS:
            self._report(running, now)

    def _reclaim(self, leases: InstrumentLeases) -> None:
        """Take the leases again after the session expired; end the process if another streamer has them."""
        leases.renew()
        taken = leases.acquire(self._keys)
        if taken:
            key, holder = next(iter(taken.items()))
            raise OrderflowError(
                f"the lease of {key} was lost to {holder}; this streamer ends so that no tick is published twice"
            )
        log.info("the leases are held again")

    def _reread(self, running: _Running) -> None:
        """Follow the watch-list file without a restart; a list that cannot be used is told and ignored."""
        try:
            names = self._wanted_names()
            if names == self._names:
                return
            self._names = names
            keys = self._resolve(names).keys
            added = tuple(key for key in keys if key not in self._keys)
            taken = self._leases.acquire(added) if self._leases is not None and added else {}
            if taken:
                raise OrderflowError(f"{next(iter(taken))} is streamed already by {next(iter(taken.values()))}")
            stored = self._storage.read(added.__contains__, added, self._stop.is_set)
        except OrderflowError as error:
            log.error("the watch list stays as it was: %s", error)
            return
        removed = tuple(key for key in self._keys if key not in keys)
        states = {key: restored_state(key, stored.states.get(key), stored.ticks.get(key, ())) for key in added}
        running.inbox.call(functools.partial(_change, added=added, removed=removed, states=states, stored=stored))
        self._keys = keys
        running.supervisor.watch(keys)
        if self._leases is not None:
            self._leases.release(removed)
        log.info("watch list: %d instruments, %d added, %d removed", len(keys), len(added), len(removed))

    def _report(self, running: _Running, now: float) -> None:
        figures, status = running.engine.figures, running.supervisor.status
        seen = (figures.messages, figures.ticks, figures.trades)
        rates = [(new - old) / (now - self._reported_at) for new, old in zip(seen, self._reported, strict=True)]
        silent = "never" if status.last_message_at is None else f"{now - status.last_message_at:.1f} s ago"
        log.info(
            "%s: %.1f messages/s, %.1f ticks/s, %.1f trades/s; lag %.0f ms; last message %s; "
            "%d rejects, %d gaps, %d connections; spool %d bytes",
            status.state,
            *rates,
            self._lag.last_seconds * 1000,
            silent,
            figures.rejects,
            figures.gaps,
            status.connections,
            running.publisher.spool_bytes,
        )
        self._reported_at, self._reported = now, seen

    def _say(self, state: str, cause: str = "") -> None:
        self._starting.state, self._starting.cause = state, cause

    def _figures(self) -> dict[str, tuple[str, bool, Callable[[], float]]]:
        def read(of: Callable[[_Running], float]) -> Callable[[], float]:
            return lambda: 0.0 if self._running is None else float(of(self._running))

        def age(running: _Running) -> float:
            last = running.supervisor.status.last_message_at
            return -1.0 if last is None else time.monotonic() - last

        return {
            "orderflow_feed_connected": (
                "1 while connected",
                False,
                read(lambda run: run.supervisor.status.state == "connected"),
            ),
            "orderflow_feed_messages": ("Messages received", True, read(lambda run: run.supervisor.status.messages)),
            "orderflow_feed_connections": ("Connections opened", True, read(lambda run: run.supervisor.status.connections)),
            "orderflow_feed_attempts": ("Connections tried", True, read(lambda run: run.supervisor.status.attempts)),
            "orderflow_feed_last_message_age_seconds": ("Age of the last message, -1 for none", False, read(age)),
            "orderflow_feed_dropped_messages": ("Messages dropped by a full inbox", True, read(lambda run: run.inbox.dropped)),
            "orderflow_feed_inbox_messages": ("Messages waiting for the worker", False, read(lambda run: len(run.inbox))),
            "orderflow_ticks": ("Ticks inferred", True, read(lambda run: run.engine.figures.ticks)),
            "orderflow_ticks_stored": ("Ticks acknowledged by Kafka", True, read(lambda run: run.publisher.ticks_acknowledged)),
            "orderflow_rejects": ("Messages or fields rejected", True, read(lambda run: run.engine.figures.rejects)),
            "orderflow_gaps": ("Trades that span an outage", True, read(lambda run: run.engine.figures.gaps)),
            "orderflow_duplicates": ("Updates that repeat the one before", True, read(lambda run: run.engine.figures.duplicates)),
            "orderflow_out_of_order": (
                "Updates whose vtt went backwards",
                True,
                read(lambda run: run.engine.figures.out_of_order),
            ),
            "orderflow_heartbeats": ("Heartbeats sent", True, read(lambda run: run.engine.figures.heartbeats)),
            "orderflow_spool_bytes": ("Size of the spool on disk", False, read(lambda run: run.publisher.spool_bytes)),
        }


def _change(
    engine: FeedEngine,
    *,
    added: tuple[str, ...],
    removed: tuple[str, ...],
    states: dict[str, InstrumentState],
    stored: Stored,
) -> None:
    """Apply a changed watch list to the engine, on the worker's thread."""
    engine.refused(stored.rejects, stored.rejected)
    engine.disown(removed)
    engine.states.update(states)
    engine.own(added, "the instrument was not watched")


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
