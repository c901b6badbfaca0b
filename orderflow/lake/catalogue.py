"""Verifies stored days, lists the instruments of a period, and counts replicas."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc
import requests

from orderflow.clusters import HdfsCluster
from orderflow.lake.history import History
from orderflow.lake.layout import CANDLES, FOOTPRINT, TICKS, LakeError, Table
from orderflow.lake.session import http_session
from orderflow.lake.verification import (
    CANDLE_COLUMNS,
    FOOTPRINT_COLUMNS,
    TICK_COLUMNS,
    InstrumentDay,
    candle_faults,
    footprint_faults,
    instrument_days,
)
from orderflow.market.day_so_far import WITHOUT_TICKS

# A minute is final in the stream two minutes after its end and stored half a minute later.
SETTLED_MS: Final = 15 * 60 * 1000
PORTION_ROWS: Final = 500_000
"""Ticks and levels verified at a time: the close of a day runs in tick storage, which has little spare memory."""
_TICKS_OF_A_CANDLE: Final = 10
"""Number of ticks that take as much memory as one candle, which is a dict during the verification."""


@dataclass(frozen=True, slots=True)
class DayReport:
    """A stored date: its instruments, files and bytes by table, and candles that are wrong."""

    date: str
    instruments: tuple[InstrumentDay, ...]
    files: int
    size_bytes: int
    tick_bytes: int
    candles: int
    faults: tuple[str, ...]

    @property
    def rows(self) -> int:
        """Return the stored ticks."""
        return sum(day.rows for day in self.instruments)

    @property
    def sound(self) -> bool:
        """Return whether nothing is missing, duplicated or wrong."""
        return not self.faults and all(day.sound for day in self.instruments)


@dataclass(frozen=True, slots=True)
class Replicas:
    """The NameNode's count of blocks with problems, over all of HDFS, and the free space."""

    live_data_nodes: int
    under_replicated_blocks: int
    missing_blocks: int
    corrupt_blocks: int
    free_bytes: int


def report(history: History, date: str, now_ms: int | None = None) -> DayReport:
    """Read and verify one date. Raises LakeError if nothing is stored for it.

    Minutes that ended less than SETTLED_MS ago may still get their candle, and do not count as missing.
    """
    settled_ms = (time.time_ns() // 1_000_000 if now_ms is None else now_ms) - SETTLED_MS
    sizes = {table.name: [size for _, size in history.files(table, date)] for table in (TICKS, CANDLES, FOOTPRINT)}
    if not any(sizes.values()):
        raise LakeError(f"nothing is stored for {date}; `python -m orderflow lake` lists the dates that are")
    days: list[InstrumentDay] = []
    faults: list[str] = []
    candle_rows = 0
    for keys in _portions(history, date):
        ticks = history.table(TICKS, date, columns=TICK_COLUMNS, condition=_among("instrument_key", keys))
        candles = history.table(CANDLES, date, columns=CANDLE_COLUMNS, condition=_among("instrument", keys))
        footprint = history.table(FOOTPRINT, date, columns=FOOTPRINT_COLUMNS, condition=_among("instrument", keys))
        judged = instrument_days(ticks, candles, settled_ms)
        faults += _without_ticks(candles, judged)
        faults += candle_faults(candles, date)
        faults += footprint_faults(footprint, candles, settled_ms)
        days += judged
        candle_rows += candles.num_rows
    return DayReport(
        date=date,
        instruments=tuple(sorted(days, key=lambda day: day.instrument)),
        files=sum(map(len, sizes.values())),
        size_bytes=sum(map(sum, sizes.values())),
        tick_bytes=sum(sizes[TICKS.name]),
        candles=candle_rows,
        faults=tuple(faults),
    )


def stored_instruments(history: History, first: str, last: str) -> list[str]:
    """Return the keys of every instrument with a tick or candle in a period."""
    return sorted({*_keys(history, TICKS, first, last), *_keys(history, CANDLES, first, last)})


def replicas(hdfs: HdfsCluster) -> Replicas:
    """Ask the NameNode for the state of its blocks. Raises LakeError if it does not answer."""
    state = _bean(hdfs, "FSNamesystemState")
    system = _bean(hdfs, "FSNamesystem")
    return Replicas(
        live_data_nodes=int(state["NumLiveDataNodes"]),
        under_replicated_blocks=int(system["UnderReplicatedBlocks"]),
        missing_blocks=int(system["MissingBlocks"]),
        corrupt_blocks=int(system["CorruptBlocks"]),
        free_bytes=int(system["CapacityRemaining"]),
    )


def _portions(history: History, date: str) -> Iterator[list[str] | None]:
    """Yield portions of a date's instruments (None for all of them) whose rows fit in memory."""

    def rows(table: Table) -> int:
        footers = history.retried(lambda: history.metadata(path for path, _ in history.files(table, date)))
        return sum(footer.num_rows for footer in footers)

    count = math.ceil((rows(TICKS) + _TICKS_OF_A_CANDLE * rows(CANDLES) + rows(FOOTPRINT)) / PORTION_ROWS)
    if count <= 1:
        yield None
        return
    keys = sorted({key for table in (TICKS, CANDLES, FOOTPRINT) for key in _keys(history, table, date, date)})
    size = math.ceil(len(keys) / count)
    for start in range(0, len(keys), size):
        yield keys[start : start + size]


def _keys(history: History, table: Table, first: str, last: str) -> set[str]:
    """Return the instruments of a table in a period, read in batches."""
    column = "instrument_key" if table is TICKS else "instrument"

    def read() -> set[str]:
        batches = history.dataset(table, first, last).to_batches(columns=[column])
        return {key for batch in batches for key in pc.unique(batch.column(0)).to_pylist()}

    return history.retried(read)


def _among(column: str, keys: list[str] | None) -> Any:
    return None if keys is None else pc.field(column).isin(keys)


def _without_ticks(candles: pa.Table, days: list[InstrumentDay]) -> list[str]:
    """Return a line for every instrument that has candles computed from ticks, but no stored tick."""
    made = candles.filter(pc.invert(pc.is_in(candles.column("source"), value_set=pa.array(sorted(WITHOUT_TICKS)))))
    keys = {*pc.unique(made.column("instrument")).to_pylist()} - {day.instrument for day in days}
    return [f"{instrument}: candles without any tick" for instrument in sorted(keys)]


def _bean(hdfs: HdfsCluster, name: str) -> dict[str, Any]:
    try:
        asked = {"qry": f"Hadoop:service=NameNode,name={name}"}
        answer = http_session(hdfs).get(f"{hdfs.http_url}/jmx", params=asked, timeout=(3.05, 10.0))
        answer.raise_for_status()
        beans: list[dict[str, Any]] = answer.json()["beans"]
        return beans[0]
    except (requests.RequestException, ValueError, KeyError, IndexError) as error:
        raise LakeError(f"the NameNode at {hdfs} does not report its state ({error}); is HDFS running?") from error
