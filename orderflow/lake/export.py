"""Write a period of the lake to one CSV or Parquet file, a day at a time, with a progress bar."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
from tqdm import tqdm

from orderflow.lake.catalogue import stored_instruments
from orderflow.lake.history import History
from orderflow.lake.layout import CANDLES, FOOTPRINT, TICKS, LakeError

KINDS: Final = {"ticks": TICKS, "trades": TICKS, "candles": CANDLES, "footprint": FOOTPRINT}
FORMATS: Final = ("csv", "parquet")
BOOK_LEVELS: Final = 5
_QUANTITIES: Final = frozenset({"delta", "min_delta", "max_delta", "delta_band", "tbq", "tsq"})


def export(
    history: History,
    kind: str,
    instruments: Sequence[str],
    first: str,
    last: str,
    target: Path,
    *,
    n: int = 1,
    rule: str = "split",
    lot_sizes: Mapping[str, int] | None = None,
    progress: bool = True,
) -> int:
    """Write ticks, trades, n-minute candles or footprint of a period to `target`; returns the rows written.

    The format follows the name: .csv or .parquet. In CSV, nested fields become columns: `bid_1_price`, `greeks_delta`. The
    file appears when it is complete. With `lot_sizes` (by key) volumes are in lots. Raises LakeError on another suffix, when
    nothing is stored of what was asked for, or when a lot size is not known.
    """
    if lot_sizes is not None:
        require_lots(kind, instruments, lot_sizes)
    file_format = target.suffix.removeprefix(".")
    if file_format not in FORMATS:
        raise LakeError(f"{target} is neither .csv nor .parquet")
    read = _reader(history, kind, n, rule)
    dates = [date for date in history.dates(KINDS[kind]) if first <= date <= last]
    if not dates:
        raise LakeError(f"no {kind} are stored from {first} to {last}; `python -m orderflow lake` lists what is")
    partial = target.with_name(f".{target.name}.part")
    rows = 0
    writer: Any = None
    try:
        with tqdm(total=len(dates) * len(instruments), unit="day", disable=not progress, file=sys.stderr) as bar:
            for date in dates:
                for instrument in instruments:
                    table = read(instrument, date)
                    table = table if lot_sizes is None else in_lots(table, lot_sizes[instrument])
                    table = flattened(table) if file_format == "csv" else table
                    if writer is None:
                        writer = _writer(file_format, partial, table.schema)
                    writer.write_table(table)
                    rows += table.num_rows
                    bar.set_postfix(rows=rows, refresh=False)
                    bar.update()
        if writer is not None:
            writer.close()
        if rows == 0:
            stored = ", ".join(stored_instruments(history, first, last))
            raise LakeError(f"no {kind} of {', '.join(instruments)} are stored from {first} to {last}; stored are {stored}")
        partial.rename(target)
    finally:
        partial.unlink(missing_ok=True)
    return rows


def require_lots(kind: str, instruments: Sequence[str], lot_sizes: Mapping[str, int]) -> None:
    """Raise LakeError when rows of a kind, or of an instrument, cannot be put in lots."""
    if kind == "ticks":
        raise LakeError("ticks are kept as the feed sent them: export trades, candles or footprint in lots")
    unknown = [key for key in instruments if key not in lot_sizes]
    if unknown:
        raise LakeError(f"the instrument master has no lot size of {', '.join(unknown)}; export them without --lots")


def in_lots(table: pa.Table, lot_size: int) -> pa.Table:
    """Return a table whose volumes, deltas and pending quantities are in lots, as fractions where they are not whole."""
    for at, name in enumerate(table.schema.names):
        if name in _QUANTITIES or name.endswith("volume"):
            lots = pc.divide(pc.cast(table.column(at), pa.float64()), float(lot_size))
            table = table.set_column(at, name, lots)
    return table


def flattened(table: pa.Table) -> pa.Table:
    """Return a table without nested columns: structs by field, books as their first five levels."""
    columns: dict[str, Any] = {}
    for name in table.schema.names:
        column = table.column(name)
        if pa.types.is_struct(column.type):
            for field in column.type:
                columns[f"{name}_{field.name}"] = pc.struct_field(column, field.name)
        elif pa.types.is_list(column.type):
            for level in range(BOOK_LEVELS):
                entry = _element(column, level)
                for field in column.type.value_type:
                    columns[f"{name}_{level + 1}_{field.name}"] = pc.struct_field(entry, field.name)
        else:
            columns[name] = column
    return pa.table(columns)


def _element(lists: pa.ChunkedArray, index: int) -> pa.ChunkedArray:
    """Return the `index`-th element of each list, null where the list is shorter."""
    long_enough = pc.fill_null(pc.greater(pc.list_value_length(lists), index), False)
    padded = pc.if_else(long_enough, lists, pa.scalar([None] * (index + 1), lists.type))
    return pc.list_element(padded, index)


def _reader(history: History, kind: str, n: int, rule: str) -> Callable[[str, str], pa.Table]:
    if kind == "ticks":
        return lambda instrument, date: history.ticks(instrument, date)
    if kind == "trades":
        return lambda instrument, date: history.trades(instrument, date, rule=rule)
    if kind == "candles":
        return lambda instrument, date: history.candles(instrument, date, n=n)
    return lambda instrument, date: history.footprint(instrument, date)


def _writer(file_format: str, path: Path, schema: pa.Schema) -> Any:
    if file_format == "csv":
        return pa_csv.CSVWriter(path, schema)
    return pq.ParquetWriter(path, schema, compression="zstd")
