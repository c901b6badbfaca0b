"""Collects facts about each stored date without reading its rows.

They come from listings, Parquet footers, the last `lake verify` and the close of the day (`orderflow.lake.day_close`).

It is kept in `/trading/_catalogue.json`, so that a listing looks only at dates whose directories have changed since.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Final, TypeVar

import pyarrow.parquet as pq

from orderflow.lake.catalogue import DayReport
from orderflow.lake.history import History
from orderflow.lake.layout import CANDLES, FOOTPRINT, TICKS
from orderflow.market.closed_day import ClosedDay

CATALOGUE: Final = "_catalogue.json"
_TIME: Final = "event_time_ms"
_TABLES: Final = (TICKS, CANDLES, FOOTPRINT)

Fact = TypeVar("Fact", "Verdict", "Closed")


@dataclass(frozen=True, slots=True)
class Verdict:
    """What `lake verify` found of a date."""

    sound: bool
    instruments: int
    gaps: int


@dataclass(frozen=True, slots=True)
class Closed:
    """The close of a date: when it ended, in epoch milliseconds, and how many rows it corrected, by table."""

    at_ms: int
    corrected: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class DayFacts:
    """A stored date. `changed` is when each table's directory last changed, in epoch milliseconds; times are of ticks.

    `verdict` and `closed` apply to the date as it was at `changed`, and are None once it has changed.
    """

    date: str
    changed: Mapping[str, int]
    ticks: int
    candles: int
    files: int
    size_bytes: int
    tick_bytes: int
    first_ms: int | None
    last_ms: int | None
    verdict: Verdict | None
    closed: Closed | None = None

    @property
    def closed_day(self) -> ClosedDay | None:
        """Return how the date was closed; None when it was not."""
        if self.closed is None or self.verdict is None:
            return None
        return ClosedDay(self.closed.at_ms, self.verdict.sound, self.closed.corrected)


def all_facts(history: History, known: Mapping[str, DayFacts]) -> dict[str, DayFacts]:
    """Return the facts of every stored date, oldest first; those in `known` are reused while directories are unchanged."""
    changes = changed(history)
    return {
        date: known[date] if date in known and known[date].changed == tables else day_facts(history, date, tables)
        for date, tables in sorted(changes.items())
    }


def changed(history: History) -> dict[str, dict[str, int]]:
    """Return when the tables' directories of each date last changed: date -> table -> epoch milliseconds."""
    by_date: dict[str, dict[str, int]] = {}
    for table in _TABLES:
        for date, at_ms in history.changed(table).items():
            by_date.setdefault(date, {})[table.name] = at_ms
    return by_date


def day_facts(history: History, date: str, tables: Mapping[str, int]) -> DayFacts:
    """Read a date's listings and footers."""

    def read() -> tuple[dict[str, list[tuple[str, int]]], dict[str, list[pq.FileMetaData]]]:
        files = {table.name: history.files(table, date) for table in _TABLES if table.name in tables}
        return files, {name: history.metadata(path for path, _ in files.get(name, ())) for name in (TICKS.name, CANDLES.name)}

    files, footers = history.retried(read)
    sizes = {name: sum(size for _, size in listed) for name, listed in files.items()}
    spans = [span for footer in footers[TICKS.name] for span in _spans(footer)]
    return DayFacts(
        date=date,
        changed=dict(tables),
        ticks=sum(footer.num_rows for footer in footers[TICKS.name]),
        candles=sum(footer.num_rows for footer in footers[CANDLES.name]),
        files=sum(map(len, files.values())),
        size_bytes=sum(sizes.values()),
        tick_bytes=sizes.get(TICKS.name, 0),
        first_ms=min((first for first, _ in spans), default=None),
        last_ms=max((last for _, last in spans), default=None),
        verdict=None,
    )


def judged(facts: DayFacts, day: DayReport) -> DayFacts:
    """Add what `lake verify` found."""
    return replace(facts, verdict=Verdict(day.sound, len(day.instruments), sum(row.gaps for row in day.instruments)))


def catalogue(history: History) -> dict[str, DayFacts]:
    """Return the saved facts by date; empty if they cannot be read."""
    return from_json(history.text(CATALOGUE) or "")


def to_json(days: Mapping[str, DayFacts]) -> str:
    """Return the text of the catalogue."""
    return json.dumps({"days": [asdict(day) for day in days.values()]})


def from_json(text: str) -> dict[str, DayFacts]:
    """Read the output of `to_json`; empty if it is anything else, for example of another version or incomplete."""
    try:
        days = [
            DayFacts(**{**day, "verdict": _made(Verdict, day["verdict"]), "closed": _made(Closed, day.get("closed"))})
            for day in json.loads(text)["days"]
        ]
    except (ValueError, KeyError, TypeError):
        return {}
    return {day.date: day for day in days}


def _made(kind: type[Fact], values: Mapping[str, Any] | None) -> Fact | None:
    return None if values is None else kind(**values)


def _spans(footer: pq.FileMetaData) -> list[tuple[int, int]]:
    """Return the least and the greatest event time of each row group that has statistics."""
    names = [footer.schema.column(number).path for number in range(footer.num_columns)]
    if _TIME not in names:
        return []
    statistics = [footer.row_group(number).column(names.index(_TIME)).statistics for number in range(footer.num_row_groups)]
    return [(int(group.min), int(group.max)) for group in statistics if group is not None and group.has_min_max]
