"""Read and judge a stored day with its volume checked, name the instruments of a period, count replicas."""

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
from orderflow.lake.layout import CANDLES, FOOTPRINT, TICKS, LakeError
from orderflow.lake.verification import (
    CANDLE_COLUMNS,
    FOOTPRINT_COLUMNS,
    TICK_COLUMNS,
    InstrumentDay,
    candle_faults,
    footprint_faults,
    instrument_days,
)
from orderflow.lake.webhdfs import http_session
from orderflow.market.day_so_far import WITHOUT_TICKS

# A minute is final in the stream two minutes after its end and stored half a minute later.
SETTLED_MS: Final = 15 * 60 * 1000
PORTION_ROWS: Final = 3_000_000


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
        """Tell whether nothing is missing, doubled or wrong."""
        return not self.faults and all(day.sound for day in self.instruments)


@dataclass(frozen=True, slots=True)
class Replicas:
    """The NameNode's own count of blocks in trouble, over all of HDFS, and the space that is left."""

    live_data_nodes: int
    under_replicated_blocks: int
    missing_blocks: int
    corrupt_blocks: int
    free_bytes: int


def report(history: History, date: str, now_ms: int | None = None) -> DayReport:
    """Read and judge one date. Raises LakeError when nothing is stored of it.

    Minutes that ended less than SETTLED_MS ago may still get their candle and are not held against it.
    """
    settled_ms = (time.time_ns() // 1_000_000 if now_ms is None else now_ms) - SETTLED_MS
    sizes = {table.name: [size for _, size in history.files(table, date)] for table in (TICKS, CANDLES, FOOTPRINT)}
    if not any(sizes.values()):
        raise LakeError(f"nothing is stored of {date}; `python -m orderflow lake` lists the dates that are")
    candles = history.table(CANDLES, date, columns=CANDLE_COLUMNS)
    footprint = history.table(FOOTPRINT, date, columns=FOOTPRINT_COLUMNS)
    days = [day for ticks in _portions(history, date) for day in instrument_days(ticks, candles, settled_ms)]
    seen = candles.filter(pc.invert(pc.is_in(candles.column("source"), value_set=pa.array(sorted(WITHOUT_TICKS)))))
    without_ticks = sorted({*pc.unique(seen.column("instrument")).to_pylist()} - {day.instrument for day in days})
    return DayReport(
        date=date,
        instruments=tuple(sorted(days, key=lambda day: day.instrument)),
        files=sum(map(len, sizes.values())),
        size_bytes=sum(map(sum, sizes.values())),
        tick_bytes=sum(sizes[TICKS.name]),
        candles=candles.num_rows,
        faults=(
            *(f"{instrument}: candles without any tick" for instrument in without_ticks),
            *candle_faults(candles, date),
            *footprint_faults(footprint, candles, settled_ms),
        ),
    )


def stored_instruments(history: History, first: str, last: str) -> list[str]:
    """Return the keys of every instrument with a tick or candle in a period."""
    keys: set[str] = set()
    for table, column in ((TICKS, "instrument_key"), (CANDLES, "instrument")):
        for date in (date for date in history.dates(table) if first <= date <= last):
            keys |= set(pc.unique(history.table(table, date, columns=[column]).column(0)).to_pylist())
    return sorted(keys)


def replicas(hdfs: HdfsCluster) -> Replicas:
    """Ask the NameNode how its blocks fare. Raises LakeError when it does not answer."""
    state = _bean(hdfs, "FSNamesystemState")
    system = _bean(hdfs, "FSNamesystem")
    return Replicas(
        live_data_nodes=int(state["NumLiveDataNodes"]),
        under_replicated_blocks=int(system["UnderReplicatedBlocks"]),
        missing_blocks=int(system["MissingBlocks"]),
        corrupt_blocks=int(system["CorruptBlocks"]),
        free_bytes=int(system["CapacityRemaining"]),
    )


def _portions(history: History, date: str) -> Iterator[pa.Table]:
    """Yield a date's ticks, whole instruments at a time, so that each portion fits in memory."""
    footers = history.retried(lambda: history.metadata(path for path, _ in history.files(TICKS, date)))
    count = math.ceil(sum(footer.num_rows for footer in footers) / PORTION_ROWS)
    if count <= 1:
        yield history.table(TICKS, date, columns=TICK_COLUMNS)
        return
    keys = sorted(pc.unique(history.table(TICKS, date, columns=["instrument_key"]).column(0)).to_pylist())
    size = math.ceil(len(keys) / count)
    for start in range(0, len(keys), size):
        wanted = pc.field("instrument_key").isin(keys[start : start + size])
        yield history.table(TICKS, date, columns=TICK_COLUMNS, condition=wanted)


def _bean(hdfs: HdfsCluster, name: str) -> dict[str, Any]:
    try:
        asked = {"qry": f"Hadoop:service=NameNode,name={name}"}
        answer = http_session(hdfs).get(f"{hdfs.http_url}/jmx", params=asked, timeout=(3.05, 10.0))
        answer.raise_for_status()
        beans: list[dict[str, Any]] = answer.json()["beans"]
        return beans[0]
    except (requests.RequestException, ValueError, KeyError, IndexError) as error:
        raise LakeError(f"the NameNode at {hdfs} does not report its state ({error}); is HDFS running?") from error
