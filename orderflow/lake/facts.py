"""What is known of each stored date without reading its rows: from listings, Parquet footers and the last `lake verify`.

It is kept in `/trading/_catalogue.json`, so that a listing looks only at dates whose directories have changed since.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

import pyarrow.parquet as pq

from orderflow.lake.catalogue import DayReport
from orderflow.lake.history import History
from orderflow.lake.layout import CANDLES, FOOTPRINT, TICKS

CATALOGUE: Final = "_catalogue.json"
_TIME: Final = "event_time_ms"
_TABLES: Final = (TICKS, CANDLES, FOOTPRINT)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What `lake verify` found of a date."""

    sound: bool
    instruments: int
    gaps: int


@dataclass(frozen=True, slots=True)
class DayFacts:
    """A stored date. `changed` is when each table's directory last changed, in epoch milliseconds; times are of ticks."""

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


def all_facts(history: History, known: Mapping[str, DayFacts]) -> dict[str, DayFacts]:
    """Return the facts of every stored date, oldest first; those of `known` whose directories have not changed are taken over."""
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


def to_json(days: Mapping[str, DayFacts]) -> str:
    """Return the text of the catalogue."""
    return json.dumps({"days": [asdict(day) for day in days.values()]})


def from_json(text: str) -> dict[str, DayFacts]:
    """Read what `to_json` wrote; nothing is known when it is anything else, as of another version or half written."""
    try:
        days = [DayFacts(**{**day, "verdict": _verdict(day["verdict"])}) for day in json.loads(text)["days"]]
    except (ValueError, KeyError, TypeError):
        return {}
    return {day.date: day for day in days}


def _verdict(record: Mapping[str, Any] | None) -> Verdict | None:
    return None if record is None else Verdict(**record)


def _spans(footer: pq.FileMetaData) -> list[tuple[int, int]]:
    """Return the least and the greatest event time of each row group that says so."""
    names = [footer.schema.column(number).path for number in range(footer.num_columns)]
    if _TIME not in names:
        return []
    statistics = [footer.row_group(number).column(names.index(_TIME)).statistics for number in range(footer.num_row_groups)]
    return [(int(group.min), int(group.max)) for group in statistics if group is not None and group.has_min_max]
