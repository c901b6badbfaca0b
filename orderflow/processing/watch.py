"""Runs an application's queries: health and metrics from progress reports, a restart after an outage, else a clear end."""

from __future__ import annotations

import contextlib
import logging
import signal
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from prometheus_client import Gauge
from py4j.protocol import Py4JError, Py4JNetworkError
from pyspark.errors import PySparkException
from pyspark.sql import SparkSession
from pyspark.sql.streaming import StreamingQuery

from orderflow.health import Health
from orderflow.market.errors import OrderflowError
from orderflow.watchdog import Watchdog

log = logging.getLogger(__name__)

_POLL_SECONDS: Final = 2.0
_LOG_SECONDS: Final = 60.0
_UPKEEP_SECONDS: Final = 300.0
_LOOK_SECONDS: Final = 10.0
_SILENT_SECONDS: Final = 180.0
_RETRY_SECONDS: Final = (1.0, 2.0, 4.0, 8.0)
_GIVE_UP_SECONDS: Final = 300.0
_SETTLED_SECONDS: Final = 60.0
# A real-time query reports once for each batch, which lasts its trigger's interval.
_REAL_TIME_BATCHES: Final = 2
# A query that has been silent for this many times its limit counts as hung, and the process ends.
_HUNG_LIMITS: Final = 3
# A real-time query that reads no row in this many consecutive batches, while others do, has stopped reading. One batch
# is not # enough evidence: rows that the others read near its start may belong to the previous batch.
_EMPTY_BATCHES: Final = 2
# A call to Spark may take this long; after that the process counts as hung.
_CALL_SECONDS: Final = 300.0
# How long a batch that is running at SIGTERM may take to finish; otherwise it would be repeated at the next start.
_LAST_BATCH_SECONDS: Final = 8.0
_OVERTOOK: Final = (
    "Kafka no longer has the messages at the checkpoint's offset; the next start says how many are lost, and what to run: see "
    "docs/TROUBLESHOOTING.md, 'Kafka deleted unread messages'"
)
_HINTS: Final = (
    ("OffsetOutOfRange", _OVERTOOK),
    ("KAFKA_DATA_LOSS", _OVERTOOK),
    ("Some data may have been lost", _OVERTOOK),
    ("SafeMode", "HDFS is in safe mode, which it leaves once the DataNodes have reported: hdfs dfsadmin -safemode get"),
    ("could only be written to 0", "no DataNode takes blocks: see hdfs dfsadmin -report for free space and live nodes"),
    ("NameSpace quota", "an HDFS quota is full: hdfs dfs -count -q /trading"),
    ("DiskSpace quota", "an HDFS quota is full: hdfs dfs -count -q /trading"),
    ("Connection refused", "a service is unreachable; the query restarts when it is back"),
)
# Failures that end when a server is back or an operator has freed space. The query starts again from its checkpoint, in
# this # process: a new Spark application would take half a minute longer.
_PASSING: Final = (
    "Connection refused",
    "Connection reset",
    "ConnectException",
    "NoRouteToHostException",
    "SocketTimeoutException",
    "EOFException",
    "SafeMode",
    "does not accept files yet",
    "StandbyException",
    "could only be written to 0",
    "NameSpace quota",
    "DiskSpace quota",
    "CANNOT_WRITE_STATE_STORE.CANNOT_COMMIT",
    "All datanodes",
    "BlockMissingException",
    # A storage looked for duplicates in files that a compaction has just replaced.
    "FAILED_READ_FILE.FILE_NOT_EXIST",
    "Timed out waiting for a node assignment",
    "org.apache.kafka.common.errors.TimeoutException",
    "cannot look up topic",
    "stopped answering",
    # Spark waits ten seconds for a Python worker; on a machine that starts everything at once, that may be too short.
    "Python worker failed to connect back",
)

_INPUT = Gauge("orderflow_query_input_rows_per_second", "Rows read a second in the last batch", ["query"])
_SECONDS = Gauge("orderflow_query_batch_seconds", "Duration of the last batch", ["query"])
_AGE = Gauge("orderflow_query_progress_age_seconds", "Time since the last progress report", ["query"])
_BEHIND = Gauge("orderflow_query_offsets_behind_latest", "Messages in Kafka that are not yet read", ["query"])


Start = Callable[[], StreamingQuery]


@dataclass(slots=True)
class _Failure:
    """A query that has ended: since when (monotonic seconds), how often it was restarted, and when it will be next."""

    since: float
    tries: int
    next_at: float


class QueryWatch:
    """Runs queries until SIGTERM. Each is started by its function in `starts`, and again after a temporary failure.

    Keys of `starts` are the queries' names. Each start creates the query's objects anew, so nothing of a failed batch is left.
    `real_time` names the queries in real-time mode, with their trigger's interval in seconds.
    """

    def __init__(self, spark: SparkSession, starts: Mapping[str, Start], real_time: Mapping[str, float] | None = None) -> None:
        self._spark = spark
        self._starts = dict(starts)
        self._real_time = dict(real_time or {})
        self._stop = threading.Event()
        self._empty_batches: dict[str, int] = {}
        self._read_elsewhere: dict[str, float] = {}
        self._progress: dict[str, dict[str, Any]] = {}
        self._failed: dict[str, _Failure] = {}
        self._queries = {name: start() for name, start in self._starts.items()}
        self._active = dict.fromkeys(self._queries, True)
        self._seen = {name: (-1, time.monotonic()) for name in self._queries}

    def health(self) -> Health:
        """Healthy while every query is active, reports progress and reads what others read; never calls Spark."""
        detail = {
            name: {
                "active": active,
                "batch": self._progress.get(name, {}).get("batchId"),
                "rows_per_second": self._progress.get(name, {}).get("processedRowsPerSecond"),
            }
            for name, active in self._active.items()
        }
        silent = [name for name in self._seen if self._silent_seconds(name) > self._limit_seconds(name)]
        empty = [name for name, batches in self._empty_batches.items() if batches >= _EMPTY_BATCHES]
        ended = [name for name, active in self._active.items() if not active]
        if ended:
            return Health(False, f"ended, and being restarted: {', '.join(ended)}", detail)
        if silent:
            longest = max(map(self._silent_seconds, silent))
            return Health(False, f"no progress for {longest:.0f} s: {', '.join(silent)}", detail)
        if empty:
            return Health(False, f"reads nothing, while other queries read ticks: {', '.join(empty)}", detail)
        return Health(True, "running", detail)

    def wait(self, upkeep: Callable[[], None] | None = None, look: Callable[[], None] | None = None) -> int:
        """Block until SIGTERM or SIGINT, then stop the queries and return 0.

        `upkeep` is called every five minutes and `look`, which must be cheap, every ten seconds, each on a thread of
        its own. A failure is logged, and the function is called again. The process does not wait for it at its end, so
        the function must tolerate being killed. A query that ends because a server is unreachable or HDFS is full is
        restarted, first after a second, then less often. Raises OrderflowError with the cause and what to do if a query
        ends for another reason, does not work again within five minutes, hangs or reads nothing, or if Spark's JVM has
        ended. If Spark itself does not answer, a watchdog ends the process.
        """
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self._stop.set())
        for name, task, seconds in (("upkeep", upkeep, _UPKEEP_SECONDS), ("look", look, _LOOK_SECONDS)):
            if task is not None:
                threading.Thread(target=self._keep_up, args=(name, task, seconds), name=name, daemon=True).start()
        try:
            with Watchdog(_CALL_SECONDS, "Spark has not answered") as watchdog:
                self._watch_until_stopped(watchdog)
        except Py4JNetworkError as error:
            if not self._stop.is_set():
                raise OrderflowError(
                    "Spark's JVM is gone: killed, or out of memory; this process ends and is restarted"
                ) from error
        log.info("stopping: %s", ", ".join(self._active))
        # The process manager also ends the JVM, possibly before this process.
        with contextlib.suppress(Py4JError, ConnectionError):
            self._finish_batches()
            for query in self._queries.values():
                query.stop()
            self._spark.stop()
        return 0

    def _watch_until_stopped(self, watchdog: Watchdog) -> None:
        next_log = time.monotonic() + _LOG_SECONDS
        while not self._stop.wait(_POLL_SECONDS):
            watchdog.beat()
            for name, query in list(self._queries.items()):
                self._observe(name, query)
                self._end_if_hung(name)
            if time.monotonic() >= next_log:
                next_log += _LOG_SECONDS
                log.info("queries: %s", "; ".join(map(self._line, self._queries)))

    def _finish_batches(self) -> None:
        """Let running batches finish, for a while; a real-time batch does not end on its own."""
        until = time.monotonic() + _LAST_BATCH_SECONDS
        for query in [query for name, query in self._queries.items() if name not in self._real_time]:
            while time.monotonic() < until and query.isActive and query.status["isTriggerActive"]:
                time.sleep(0.05)

    def _end_if_hung(self, name: str) -> None:
        silent, limit = self._silent_seconds(name), self._limit_seconds(name)
        if self._active[name] and silent > _HUNG_LIMITS * limit:
            raise OrderflowError(f"query {name} hangs: no progress for {silent:.0f} s; this process ends and is restarted")
        if self._empty_batches.get(name, 0) >= 2 * _EMPTY_BATCHES:
            raise OrderflowError(
                f"query {name} has read nothing in {self._empty_batches[name]} batches, while other queries read ticks; "
                "this process ends and is restarted"
            )

    def _silent_seconds(self, name: str) -> float:
        return time.monotonic() - self._seen[name][1]

    def _limit_seconds(self, name: str) -> float:
        return _SILENT_SECONDS + _REAL_TIME_BATCHES * self._real_time.get(name, 0.0)

    def _keep_up(self, name: str, task: Callable[[], None], seconds: float) -> None:
        # A separate pool, with FAIR scheduling: a batch need not wait for all tasks of a job that began before it.
        self._spark.sparkContext.setLocalProperty("spark.scheduler.pool", name)
        failed = False
        while not self._stop.wait(seconds):
            try:
                task()
                failed = False
            except Exception as error:
                # While HDFS is unreachable each call fails.
                if not failed and not self._stop.is_set():
                    text = str(error)
                    why = f": {_reason(text)}" if any(sign in text for sign in _PASSING) else ""
                    words = "%s failed; it is tried again every %.0f s, and storing continues%s"
                    log.warning(words, name, seconds, why, exc_info=not why)
                failed = True

    def _observe(self, name: str, query: StreamingQuery) -> None:
        if not query.isActive:
            self._ended(name, _text(query))
            return
        if name in self._failed and time.monotonic() > self._failed[name].next_at + _SETTLED_SECONDS:
            del self._failed[name]
        progress = query.lastProgress
        now = time.monotonic()
        if progress is None:
            return
        self._failed.pop(name, None)
        values = _values(progress)
        batch = int(values["batchId"])
        if self._seen[name][0] != batch or values != self._progress.get(name):
            self._count_rows(name, values.get("numInputRows") or 0, new=self._seen[name][0] != batch)
            self._seen[name] = (batch, now)
            self._record(name, values)
        self._progress[name] = values
        _AGE.labels(name).set(now - self._seen[name][1])

    def _count_rows(self, name: str, rows: int, *, new: bool) -> None:
        """Evaluate a progress report: find real-time queries whose batches read no rows while other queries read some."""
        if name not in self._real_time:
            for other in self._real_time:
                self._read_elsewhere[other] = self._read_elsewhere.get(other, 0) + rows
        elif new:
            others = self._read_elsewhere.pop(name, 0)
            if rows:
                self._empty_batches[name] = 0
            elif others:
                self._empty_batches[name] = self._empty_batches.get(name, 0) + 1

    def _ended(self, name: str, text: str) -> None:
        """Start an ended query again when it is due; raise when that cannot help."""
        now = time.monotonic()
        failure = self._failed.get(name)
        if self._active[name]:
            self._active[name] = False
            if not any(sign in text for sign in _PASSING):
                raise OrderflowError(f"query {name} has ended: {_reason(text)}")
            failure = failure or _Failure(now, 0, 0.0)
            if now - failure.since > _GIVE_UP_SECONDS:
                raise OrderflowError(f"query {name} has not worked for {now - failure.since:.0f} s: {_reason(text)}")
            wait = _RETRY_SECONDS[min(failure.tries, len(_RETRY_SECONDS) - 1)]
            log.error("query %s has ended, and starts again in %.0f s: %s", name, wait, _reason(text))
            failure.tries, failure.next_at = failure.tries + 1, now + wait
            self._failed[name] = failure
        elif failure is not None and now >= failure.next_at:
            self._active[name] = True
            try:
                self._queries[name] = self._starts[name]()
                self._seen[name] = (-1, time.monotonic())
                self._empty_batches.pop(name, None)
            except (Py4JError, PySparkException, OrderflowError) as error:
                self._ended(name, str(error))
            else:
                log.info("query %s was restarted", name)

    def _record(self, name: str, values: dict[str, Any]) -> None:
        _INPUT.labels(name).set(values.get("inputRowsPerSecond") or 0.0)
        _SECONDS.labels(name).set((values.get("durationMs") or {}).get("triggerExecution", 0) / 1000)
        behind = sum(int((source.get("metrics") or {}).get("maxOffsetsBehindLatest", 0)) for source in values.get("sources", []))
        _BEHIND.labels(name).set(behind)

    def _line(self, name: str) -> str:
        values = self._progress.get(name, {})
        milliseconds = (values.get("durationMs") or {}).get("triggerExecution", 0)
        return (
            f"{name} batch {values.get('batchId', '-')} {values.get('processedRowsPerSecond') or 0:.0f} rows/s {milliseconds} ms"
        )


def _values(progress: Any) -> dict[str, Any]:
    return progress if isinstance(progress, dict) else progress.jsonDict


def _text(query: StreamingQuery) -> str:
    error = query.exception()
    return "it was stopped from outside" if error is None else str(error)


def _reason(text: str) -> str:
    hints = [hint for sign, hint in _HINTS if sign in text]
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    causes = [line for line in lines if line.startswith("Caused by")] or lines[:1]
    return " — ".join([causes[-1][:600], *hints[:1]])
