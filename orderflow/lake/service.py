"""Run storage queries until told to stop, with upkeep of the stored days in between."""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Callable, Sequence
from typing import Any, Final

from orderflow.health import Health, HealthServer
from orderflow.lake.layout import LakeError

POLL_SECONDS: Final = 2.0
UPKEEP_EVERY_POLLS: Final = 150

log = logging.getLogger(__name__)


def run_until_stopped(queries: Sequence[Any], upkeep: Callable[[], None], health_host: str, health_port: int) -> int:
    """Serve health until SIGTERM or SIGINT, then stop the queries and return 0.

    `upkeep` is called every five minutes between looks at the queries. Raises LakeError as soon as one of them has ended by
    itself: the process manager starts the application again, which stores nothing twice.
    """
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    with HealthServer(health_host, health_port, lambda: _health(queries)):
        polls = 0
        while not stopping.wait(POLL_SECONDS):
            for query in queries:
                if not query.isActive:
                    raise LakeError(f"storage query {query.name} ended: {_reason(query)}")
            polls += 1
            if polls % UPKEEP_EVERY_POLLS == 0:
                upkeep()
    log.info("stopping: what was committed is in HDFS, the rest is read again at the next start")
    for query in queries:
        query.stop()
    return 0


def _health(queries: Sequence[Any]) -> Health:
    progress = {query.name: query.lastProgress for query in queries}
    detail = {name: {"batch": last["batchId"], "rows": last["numInputRows"]} for name, last in progress.items() if last}
    active = all(query.isActive for query in queries)
    return Health(active, "storing" if active else "a query ended", detail)


def _reason(query: Any) -> str:
    error = query.exception()
    return str(error).strip().splitlines()[0] if error is not None and str(error).strip() else "no reason given"
