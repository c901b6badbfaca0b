"""Implements `python -m orderflow lake` and `export`: reads or changes the lake and prints the result."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from orderflow.lake import catalogue as catalogues
from orderflow.lake import facts
from orderflow.lake.export import export
from orderflow.lake.facts import CATALOGUE, DayFacts
from orderflow.lake.history import History, check_period
from orderflow.lake.layout import TABLES, LakeError
from orderflow.lake.maintenance import LakeFiles
from orderflow.lake.retention import expired
from orderflow.market.times import IST, iso_from_ms
from orderflow.settings import Settings

log = logging.getLogger(__name__)


def catalogue(settings: Settings) -> int:
    """Print a line for each stored date and the state of the replicas; 1 when a date is known to have defects.

    Rows are not read: figures that need them come from the last `verify`, and are unknown if the date has changed
    since.
    """
    history = History.connect(settings.hdfs)
    known = facts.catalogue(history)
    days = facts.all_facts(history, known)
    if days != known:
        _keep(settings, days)
    print("date        instruments       ticks  first     last      gaps  candles  files        bytes  bytes/tick  state")
    for day in days.values():
        print(_line(day))
    state = catalogues.replicas(settings.hdfs)
    print(
        f"{len(days)} dates; {state.live_data_nodes} DataNodes live, {state.under_replicated_blocks} blocks with too few "
        f"replicas, {state.missing_blocks} missing, {state.corrupt_blocks} corrupt, {state.free_bytes / 1e9:.1f} GB free"
    )
    sound = all(day.verdict is None or day.verdict.sound for day in days.values())
    return 0 if sound and state.missing_blocks == state.corrupt_blocks == 0 else 1


def verify(settings: Settings, date: str) -> int:
    """Print a line for each instrument of a date and every fault; 1 when anything is missing, doubled or wrong."""
    history = History.connect(settings.hdfs)
    tables = facts.changed(history).get(date, {})
    day = catalogues.report(history, date)
    known = facts.catalogue(history)
    unchanged = date in known and known[date].changed == tables
    of_date = known[date] if unchanged else facts.day_facts(history, date, tables)
    _keep(settings, {**known, date: facts.judged(of_date, day)})
    print(
        "instrument                      ticks  missing  doubled       volume  unaccounted  in gaps  "
        "late for candles  minutes without  in no tick  unbalanced"
    )
    for row in day.instruments:
        print(
            f"{row.instrument:<28} {row.rows:>8}  {row.missing:>7}  {row.doubled:>7}  {row.traded_volume:>11}  "
            f"{row.unaccounted_volume:>11}  {row.gap_volume:>7}  {row.late_volume:>16}  {row.without_candle:>15}  "
            f"{row.surplus_volume:>10}  {row.unbalanced_volume:>10}"
        )
    for fault in day.faults[:20]:
        print(fault)
    if len(day.faults) > 20:
        print(f"… and {len(day.faults) - 20} more candles or footprints that are wrong")
    if any(row.repairable for row in day.instruments):
        print(f"candles do not add up to the traded volume: python -m orderflow reprocess --date {date}")
    print(f"{date}: {day.rows} ticks and {day.candles} candles, {'all sound' if day.sound else 'NOT SOUND'}")
    return 0 if day.sound else 1


def compact(settings: Settings, date: str, spark: Any) -> int:
    """Merge a date's files of every table."""
    from orderflow.lake.compaction import DayRewriter

    rewriter = DayRewriter(spark, settings.namenode_url)
    for table in TABLES.values():
        done = rewriter.compact(table, date)
        if done is None:
            print(f"{table.name} {date}: nothing to merge")
        else:
            print(
                f"{table.name} {date}: {done.files_before} files, {done.bytes_before} bytes became {done.files_after} files, "
                f"{done.bytes_after} bytes; {done.rows} rows, {done.bytes_after / max(done.rows, 1):.1f} bytes a row"
            )
    return 0


def retain(settings: Settings, keep_days: int | None, keep_bytes: int | None, *, dry_run: bool) -> int:
    """Delete the dates that are too old or too many."""
    history, files = History.connect(settings.hdfs), LakeFiles(settings.hdfs)
    sizes: dict[str, int] = {}
    for table in TABLES.values():
        for date in history.dates(table):
            sizes[date] = sizes.get(date, 0) + sum(size for _, size in history.files(table, date))
    today = datetime.now(UTC).astimezone(IST).date().isoformat()
    gone = expired(sizes, today, keep_days, keep_bytes)
    for date in gone:
        print(f"{'would delete' if dry_run else 'deleting'} {date}, {sizes[date]} bytes")
        for table in () if dry_run else TABLES.values():
            files.delete_day(table, date)
    kept = [date for date in sizes if date not in gone]
    print(f"{len(kept)} dates kept, {sum(sizes[date] for date in kept)} bytes")
    return 0


def export_period(
    settings: Settings,
    kind: str,
    instruments: Sequence[str] | None,
    first: str,
    last: str,
    target: Path,
    n: int,
    lot_sizes: Callable[[Sequence[str]], dict[str, int]] | None = None,
) -> int:
    """Write a period of the named instruments, or of all that are stored; with a progress bar when a person watches.

    With `lot_sizes`, which returns those of some keys, volumes are in lots.
    """
    history = History.connect(settings.hdfs)
    check_period(first, last)
    keys = instruments or catalogues.stored_instruments(history, first, last)
    rows = export(
        history,
        kind,
        keys,
        first,
        last,
        target,
        n=n,
        rule=settings.aggressor_rule,
        lot_sizes=None if lot_sizes is None else lot_sizes(keys),
        progress=sys.stderr.isatty(),
    )
    print(f"{target}: {rows} rows, {target.stat().st_size} bytes; {history.bytes_read} bytes read from HDFS")
    return 0


def _keep(settings: Settings, days: Mapping[str, DayFacts]) -> None:
    """Write the catalogue; without the right to write to the lake, the listing works nevertheless."""
    try:
        LakeFiles(settings.hdfs).write_text(CATALOGUE, facts.to_json(days))
    except LakeError as error:
        log.warning("the next listing reads the same footers again: %s", error)


def _line(day: DayFacts) -> str:
    instruments, gaps = ("-", "-") if day.verdict is None else (day.verdict.instruments, day.verdict.gaps)
    closed = "" if day.closed is None else f", closed {iso_from_ms(day.closed.at_ms)[:16].replace('T', ' ')}"
    state = f"sound{closed}" if day.verdict and day.verdict.sound else f"NOT SOUND{closed}: lake verify --date {day.date}"
    if day.verdict is None:
        state = f"not verified: lake verify --date {day.date}"
    return (
        f"{day.date}  {instruments:>11}  {day.ticks:>10}  {_clock(day.first_ms)}  {_clock(day.last_ms)}  {gaps:>4}  "
        f"{day.candles:>7}  {day.files:>5}  {day.size_bytes:>11}  {day.tick_bytes / max(day.ticks, 1):>10.1f}  {state}"
    )


def _clock(time_ms: int | None) -> str:
    return "--:--:--" if time_ms is None else iso_from_ms(time_ms)[11:19]
