"""Closes each trading date automatically after trading: recomputes, compacts and verifies it, and saves the result.

    last trade    end + 1 h    nothing stored for 15 min
        |------------|---------------|
                                     '- reprocess -> compact -> verify -> _catalogue.json

A date that changes afterwards, as by late ticks or replayed rejects, is closed again. What a killed process left undone
is not in the catalogue and is done at the next start.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, Protocol

from prometheus_client import Counter, Gauge

from orderflow.lake import catalogue, facts
from orderflow.lake.facts import CATALOGUE, Closed, DayFacts
from orderflow.lake.history import History
from orderflow.lake.layout import TICKS
from orderflow.market.calendar import SessionCalendar
from orderflow.market.times import DAY_MS, MINUTE_MS

OVER_AFTER_MS: Final = 60 * MINUTE_MS
"""How long after continuous trading the date's last volume has arrived, from post-close sessions and late updates."""
IDLE_MS: Final = 10 * MINUTE_MS
"""After this time without a new file of the date, storage has caught up and the last candles are final.

It is shorter than compaction's waiting time: otherwise compaction's new files would delay the close, which rewrites them.
"""
RETRY_MS: Final = 15 * MINUTE_MS
MOST_AGE_MS: Final = 7 * DAY_MS
"""Dates that last changed earlier are not closed, so that an upgrade does not rewrite years of data."""
_FAULTS_LOGGED: Final = 3

_SOUND: Final = Gauge("orderflow_day_sound", "1 if the newest closed date is sound", ["date"])
_CLOSED_AT: Final = Gauge("orderflow_day_closed_timestamp_seconds", "When the newest closed date was closed")
_CORRECTED: Final = Counter("orderflow_day_corrected_rows", "Rows that the close of a day corrected", ["table"])
_FAILURES: Final = Counter("orderflow_day_close_failures", "Attempts to close a day that failed")

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class LastSeen:
    """The last stored tick of an instrument on a date; `session_end_ms` includes changes that the feed announced."""

    instrument_key: str
    event_time_ms: int
    session_end_ms: int | None


class Steps(Protocol):
    """What a close does with Spark."""

    def last_seen(self, date: str) -> Sequence[LastSeen]:
        """Return the last stored tick of each instrument."""
        ...

    def reprocess(self, date: str) -> Mapping[str, int]:
        """Recompute the date and apply the difference; return the rows corrected by table."""
        ...

    def compact(self, date: str) -> None:
        """Merge the date's files of every table."""
        ...


class Catalogue(Protocol):
    """Stores the result; `maintenance.LakeFiles` in the product."""

    def write_text(self, name: str, text: str) -> None:
        """Write a small file at the lake's root."""
        ...


class DayClose:
    """Call it every few minutes: it closes the dates that are due, the newest first.

    A date that fails is logged and tried again a quarter of an hour later; the other dates are closed nevertheless.
    """

    def __init__(
        self,
        history: History,
        kept: Catalogue,
        steps: Steps,
        calendar: SessionCalendar | None = None,
        now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        self._history, self._kept, self._steps, self._now_ms = history, kept, steps, now_ms
        self._calendar = calendar or SessionCalendar()
        self._failed: dict[str, int] = {}
        self._over: dict[str, tuple[Mapping[str, int], int]] = {}

    def __call__(self) -> None:
        """Close what is due. Raises when the catalogue or the listing cannot be read."""
        known = facts.catalogue(self._history)
        _show(known)
        for date, tables in sorted(facts.changed(self._history).items(), reverse=True):
            if not self._may_be_due(date, tables, known.get(date)):
                continue
            try:
                if self._now_ms() >= self._over_ms(date, tables):
                    self._close(date)
            except Exception:  # whatever the cause, storing must continue
                self._failed[date] = self._now_ms()
                _FAILURES.inc()
                log.exception("%s could not be closed and is tried again in %d minutes", date, RETRY_MS // MINUTE_MS)

    def _may_be_due(self, date: str, tables: Mapping[str, int], known: DayFacts | None) -> bool:
        """Return whether a date is idle and has changed since its last close; checks its ticks for the end of trading."""
        if known is not None and known.closed is not None and known.changed == tables:
            return False
        now_ms = self._now_ms()
        failed_ms = self._failed.get(date)
        if TICKS.name not in tables or (failed_ms is not None and now_ms - failed_ms < RETRY_MS):
            return False
        return IDLE_MS <= now_ms - max(tables.values()) <= MOST_AGE_MS

    def _over_ms(self, date: str, tables: Mapping[str, int]) -> int:
        over = self._over.get(date)
        if over is None or over[0] != tables:
            over = self._over[date] = (tables, over_ms(self._calendar, date, self._steps.last_seen(date)))
        return over[1]

    def _close(self, date: str) -> None:
        log.info("closing %s", date)
        corrected = self._steps.reprocess(date)
        for table, rows in corrected.items():
            _CORRECTED.labels(table).inc(rows)
        # Before the verification, so that the verdict applies to the final files.
        self._steps.compact(date)
        tables = facts.changed(self._history)[date]
        report = catalogue.report(self._history, date, self._now_ms())
        day = facts.judged(facts.day_facts(self._history, date, tables), report)
        day = replace(day, closed=Closed(self._now_ms(), dict(corrected)))
        known = {**facts.catalogue(self._history), date: day}
        self._kept.write_text(CATALOGUE, facts.to_json(known))
        self._failed.pop(date, None)
        self._over.pop(date, None)
        _show(known)
        counts = ", ".join(f"{rows} rows of {table}" for table, rows in corrected.items() if rows) or "nothing"
        said = f"{date} is closed: {report.rows} ticks of {len(report.instruments)} instruments; corrected: {counts}"
        if report.sound:
            log.info("%s; sound", said)
        else:
            faulty = [*(each.instrument for each in report.instruments if not each.sound), *report.faults]
            more = f" and {len(faulty) - _FAULTS_LOGGED} more" if len(faulty) > _FAULTS_LOGGED else ""
            listed = "; ".join(faulty[:_FAULTS_LOGGED])
            log.error("%s; NOT SOUND (%s%s): python -m orderflow lake verify --date %s", said, listed, more, date)


def over_ms(calendar: SessionCalendar, date: str, seen: Sequence[LastSeen]) -> int:
    """Return when trading of a date is over for all its instruments, in epoch milliseconds; 0 without any.

    The calendar forecasts it by segment, and a later end of session that the feed announced counts. Without a forecast,
    the time of the last tick is used.
    """
    ends = [0]
    for last in seen:
        sessions = calendar.day(last.instrument_key.partition("|")[0], date).sessions()
        forecast_ms = sessions[-1].end_ms if sessions else last.event_time_ms
        ends.append(max(forecast_ms, last.session_end_ms or 0) + OVER_AFTER_MS)
    return max(ends)


def _show(known: Mapping[str, DayFacts]) -> None:
    """Set the metrics to the newest closed date, even if an earlier process closed it."""
    closed_days = {date: closed for date, day in known.items() if (closed := day.closed_day) is not None}
    if closed_days:
        newest = max(closed_days)
        _SOUND.clear()
        _SOUND.labels(newest).set(closed_days[newest].sound)
        _CLOSED_AT.set(closed_days[newest].at_ms / 1000)
