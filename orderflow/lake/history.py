"""Query the lake from Python without Java: ticks, trades, candles, footprint and profile of an instrument and period."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import date as calendar_date
from datetime import timedelta
from typing import Any, Final, TypeVar

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq
from fsspec.spec import AbstractFileSystem

from orderflow.clusters import HdfsCluster
from orderflow.lake import ticks_to_trades, volume_by_price
from orderflow.lake.layout import CANDLES, FOOTPRINT, ROOT, TICKS, LakeError, Table, arrow_schema, is_date
from orderflow.lake.longer_candles import rolled_up
from orderflow.lake.webhdfs import WebHdfs, arrow_files, web_hdfs

THREADS: Final = 16
# A day is absent for a few milliseconds while it is swapped for its compacted form.
RETRIES: Final = 20
RETRY_SECONDS: Final = 0.1
_HOLE_BYTES: Final = 64 << 10

T = TypeVar("T")


class History:
    """Read the lake through any fsspec file system; `connect` for WebHDFS.

    Periods are trading dates, YYYY-MM-DD, both included; `last` defaults to `first`. Results are Arrow tables:
    `.to_pandas()` and `polars.from_arrow(…)` turn them into frames. Only the row groups and columns that are needed are
    fetched; `bytes_read` counts the fetched bytes.
    """

    def __init__(self, files: AbstractFileSystem, root: str = ROOT, *, sleep: Callable[[float], None] = time.sleep) -> None:
        self._fs = files
        self._arrow = arrow_files(files)
        self._root = root.rstrip("/")
        self._sleep = sleep

    @classmethod
    def connect(cls, namenode: HdfsCluster | str) -> History:
        """Read from a NameNode, given by its HTTP address (http://namenode:50070) or by `settings.load().hdfs`."""
        return cls(web_hdfs(namenode))

    @property
    def bytes_read(self) -> int:
        """Return the bytes fetched from DataNodes so far; 0 on a file system that does not count."""
        return self._fs.bytes_read if isinstance(self._fs, WebHdfs) else 0

    def dates(self, table: Table = TICKS) -> list[str]:
        """Return the trading dates a table holds, oldest first."""
        names = (path.rpartition("/")[2].removeprefix("date=") for path, _ in self._list_if_there(f"{self._root}/{table.name}"))
        return sorted(filter(is_date, names))

    def changed(self, table: Table) -> dict[str, int]:
        """Return when each trading date's directory last got or lost a file, in epoch milliseconds."""
        try:
            entries = self._fs.ls(f"{self._root}/{table.name}", detail=True)
        except FileNotFoundError:
            return {}
        dated = ((str(entry["name"]).rpartition("/")[2].removeprefix("date="), entry) for entry in entries)
        return {date: _modified_ms(entry) for date, entry in dated if is_date(date)}

    def text(self, name: str) -> str | None:
        """Return a small file at the lake's root, None when it is absent."""
        try:
            content: bytes = self._fs.cat_file(f"{self._root}/{name}")
        except FileNotFoundError:
            return None
        return content.decode(errors="replace")

    def ticks(self, instrument_key: str, first: str, last: str | None = None, columns: Sequence[str] | None = None) -> pa.Table:
        """Return an instrument's ticks by event time; `columns` limits them to those named, see records.TICK."""
        order = ["event_time_ms", "sequence"]
        wanted = list(dict.fromkeys([*columns, *order])) if columns is not None else None
        ticks = self._rows(TICKS, first, last, pc.field("instrument_key") == instrument_key, wanted)
        ticks = _sorted(ticks, order)
        return ticks.select(columns) if columns is not None else ticks

    def trades(self, instrument_key: str, first: str, last: str | None = None, rule: str = "split") -> pa.Table:
        """Return an instrument's trades with their buy/sell split by `rule` (`market.aggressor.RULES`), see records.TRADE."""
        condition = (
            (pc.field("instrument_key") == instrument_key)
            & (pc.field("traded_volume") > 0)
            & (pc.field("session_phase") == "continuous")
        )
        ticks = self._rows(TICKS, first, last, condition, ticks_to_trades.TRADE_COLUMNS)
        return ticks_to_trades.trades(_sorted(ticks, ["event_time_ms", "sequence"]), rule)

    def candles(self, instrument_key: str, first: str, last: str | None = None, n: int = 1) -> pa.Table:
        """Return an instrument's n-minute candles, oldest first, rolled up from stored minutes; see records.CANDLE."""
        condition = (pc.field("instrument") == instrument_key) & (pc.field("window_minutes") == 1)
        minutes = _sorted(self._rows(CANDLES, first, last, condition, None), ["window_start"])
        return minutes if n == 1 else rolled_up(minutes, n)

    def footprint(self, instrument_key: str, first: str, last: str | None = None) -> pa.Table:
        """Return an instrument's volume by minute and price, see records.FOOTPRINT."""
        levels = self._rows(FOOTPRINT, first, last, pc.field("instrument") == instrument_key, None)
        return _sorted(volume_by_price.with_price_unit(levels), ["window_start", "price"])

    def profile(self, instrument_key: str, first: str, last: str | None = None) -> pa.Table:
        """Return the period's volume by price, lowest first, see `volume_by_price.profile`."""
        return volume_by_price.profile(self.footprint(instrument_key, first, last))

    def table(
        self,
        table: Table,
        first: str,
        last: str | None = None,
        columns: Sequence[str] | None = None,
        condition: Any = None,
        *,
        without: str | None = None,
    ) -> pa.Table:
        """Return the rows of all instruments in a period, in no order, but for those of a file named `without`.

        `condition` is a pyarrow expression.
        """
        return self._rows(table, first, last, condition, columns, without)

    def files(self, table: Table, first: str, last: str | None = None) -> list[tuple[str, int]]:
        """Return path and size in bytes of a period's Parquet files, which a swap may take away the next moment."""
        check_period(first, last)
        return self.retried(lambda: self._files(table, first, last))

    def _files(self, table: Table, first: str, last: str | None) -> list[tuple[str, int]]:
        wanted = self._stored_dates(table, first, last or first)
        if not wanted:
            return []
        with ThreadPoolExecutor(min(THREADS, len(wanted))) as pool:
            listings = pool.map(lambda date: self._list(f"{self._root}/{table.name}/date={date}"), wanted)
            return [file for listing in listings for file in listing if _is_stored(file[0])]

    def metadata(self, paths: Iterable[str]) -> list[pq.FileMetaData]:
        """Return the Parquet footers of files, read in parallel."""

        def footer(path: str) -> pq.FileMetaData:
            with self._fs.open(path, "rb") as file:
                return pq.read_metadata(file)

        with ThreadPoolExecutor(THREADS) as pool:
            return list(pool.map(footer, paths))

    def _rows(
        self,
        table: Table,
        first: str,
        last: str | None,
        condition: Any,
        columns: Sequence[str] | None,
        without: str | None = None,
    ) -> pa.Table:
        check_period(first, last)

        def read() -> pa.Table:
            files = [file for file in self._files(table, first, last) if file[0].rpartition("/")[2] != without]
            return self._dataset(table, files).to_table(
                columns=columns, filter=condition, fragment_scan_options=_OPTIONS, fragment_readahead=THREADS
            )

        return self.retried(read)

    def dataset(self, table: Table, first: str, last: str | None = None) -> ds.FileSystemDataset:
        """Return a period of a whole table as a pyarrow dataset, into which DuckDB and polars push down their filters."""
        return self._dataset(table, self.files(table, first, last))

    def _dataset(self, table: Table, files: list[tuple[str, int]]) -> ds.FileSystemDataset:
        paths = [path for path, _ in files]
        return ds.FileSystemDataset.from_paths(
            paths, schema=arrow_schema(table.fields), format=ds.ParquetFileFormat(), filesystem=self._arrow
        )

    def _stored_dates(self, table: Table, first: str, last: str) -> list[str]:
        stored = {date for date in self.dates(table) if first <= date <= last}
        if not set(_days(first, last)) <= stored:
            # The date may be missing, or in the middle of a swap. If the swap's marker has disappeared, the date is
            # back.
            swaps = (path.rpartition("/")[2] for path, _ in self._list_if_there(f"{self._root}/_staging/swaps"))
            dates = {name.removesuffix(".json").removeprefix(f"{table.name}-") for name in swaps}
            stored |= {date for date in self.dates(table) if first <= date <= last}
            hidden = {date for date in dates if is_date(date) and first <= date <= last} - stored
            if hidden:
                raise FileNotFoundError(f"{table.name} of {', '.join(sorted(hidden))}")
        return sorted(stored)

    def _list_if_there(self, directory: str) -> list[tuple[str, int]]:
        try:
            return self._list(directory)
        except FileNotFoundError:
            return []

    def _list(self, directory: str) -> list[tuple[str, int]]:
        entries = self._fs.ls(directory, detail=True)
        listed = [(str(entry["name"]), int(entry["size"] or 0)) for entry in entries]
        if isinstance(self._fs, WebHdfs):
            self._fs.remember((name, size) for name, size in listed if _is_stored(name))
        return sorted(listed)

    def retried(self, read: Callable[[], T]) -> T:
        """Call `read` until no day that it reads is being swapped; FileNotFoundError is raised only after that."""
        for _ in range(RETRIES):
            try:
                return read()
            except FileNotFoundError:
                self._sleep(RETRY_SECONDS)
        return read()


_OPTIONS: Final = ds.ParquetFragmentScanOptions(
    pre_buffer=True, cache_options=pa.CacheOptions(hole_size_limit=_HOLE_BYTES, range_size_limit=32 << 20, lazy=False)
)
_STORED: Final = re.compile(r"(^|/)[^_./][^/]*\.parquet$")


def _modified_ms(entry: Mapping[str, Any]) -> int:
    """Return a listed entry's time of change: WebHDFS gives milliseconds, fsspec's local files seconds."""
    return int(entry["modificationTime"]) if "modificationTime" in entry else round(entry["mtime"] * 1000)


def _is_stored(path: str) -> bool:
    return _STORED.search(path) is not None


def _sorted(table: pa.Table, columns: list[str]) -> pa.Table:
    return table.sort_by([(column, "ascending") for column in columns]) if table.num_rows else table


def _days(first: str, last: str) -> list[str]:
    """Return every calendar day of a period, because there are sessions on Saturdays and Sundays too."""
    start, end = calendar_date.fromisoformat(first), calendar_date.fromisoformat(last)
    return [(start + timedelta(days=number)).isoformat() for number in range((end - start).days + 1)]


def check_period(first: str, last: str | None) -> None:
    """Raise LakeError unless both are dates, YYYY-MM-DD, and in order."""
    for text in (first, last or first):
        try:
            calendar_date.fromisoformat(text)
        except ValueError:
            raise LakeError(f"{text!r} is not a date; write YYYY-MM-DD, for example 2025-12-15") from None
    if last is not None and last < first:
        raise LakeError(f"the period {first}…{last} ends before it begins")
