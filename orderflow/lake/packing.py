"""Packs a storage batch's rows of one date into a Parquet file in memory, with the data for storing them once."""

from __future__ import annotations

import io
import logging
from dataclasses import dataclass
from functools import reduce
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from orderflow.lake.layout import Table, arrow_schema, is_date

PARTITION: Final = "_partition"
OFFSET: Final = "_offset"
_PLACES: Final = pa.schema([(PARTITION, pa.int32()), (OFFSET, pa.int64())])

log = logging.getLogger(__name__)

Series = tuple[Any, ...]
Runs = dict[int, tuple[tuple[int, int], ...]]
"""Offsets by Kafka partition, as (first, last) pairs, both included."""


@dataclass(frozen=True, slots=True)
class Pack:
    """Rows of one date. `places` is Parquet as well: each row's Kafka partition and offset, in the order of `content`.

    `covered` are the offsets that need no further check once the rows are stored: those of the rows and, between them, of what is
    never stored; not those of messages that were set aside. `least` and `greatest` are the orders by series.
    """

    date: str
    rows: int
    content: bytes
    places: bytes
    covered: Runs
    least: dict[Series, Any]
    greatest: dict[Series, Any]
    repeats: bool

    def table(self) -> pa.Table:
        """Return the rows with PARTITION and OFFSET behind them."""
        rows, places = (pq.read_table(io.BytesIO(part)) for part in (self.content, self.places))
        for field in _PLACES:
            rows = rows.append_column(field, places.column(field.name))
        return rows


def packs(table: Table, rows: pa.Table, aside: pa.Table | None = None) -> list[Pack]:
    """Pack rows, which have the table's columns, PARTITION and OFFSET, by date.

    With `aside`, the messages that remain to be checked, `covered` has every offset between the first and last row
    except theirs. Without it, `covered` has the rows' own offsets only. Rows without a date or an identity, which every
    valid record has, are left out.
    """
    date = pc.utf8_slice_codeunits(rows.column(table.date_column), 0, 10)
    whole = [pc.is_valid(rows.column(column)) for column in table.identity]
    dated = pc.is_in(date, value_set=pa.array(filter(is_date, pc.unique(date.drop_null()).to_pylist()), pa.string()))
    complete = reduce(pc.and_, whole, dated)
    if left_out := rows.num_rows - (pc.sum(complete).as_py() or 0):
        log.warning("%s: %d rows without a date or an identity are not stored", table.name, left_out)
    rows, date = rows.filter(complete), date.filter(complete)
    return [pack(table, day, rows.filter(pc.equal(date, day)), aside) for day in sorted(pc.unique(date).to_pylist())]


def pack(table: Table, date: str, rows: pa.Table, aside: pa.Table | None = None) -> Pack:
    """Pack the rows of one date, sorted as the table's files are."""
    rows = rows.sort_by([(column, "ascending") for column in table.sorting])
    series = rows.group_by(list(table.series)).aggregate([(table.order, "min"), (table.order, "max")])
    keys = list(zip(*(series.column(column).to_pylist() for column in table.series), strict=True))
    distinct = rows.group_by(list(table.identity)).aggregate([]).num_rows
    return Pack(
        date=date,
        rows=rows.num_rows,
        content=_parquet(rows.select([field.name for field in table.fields]).cast(arrow_schema(table.fields))),
        places=_parquet(rows.select(_PLACES.names)),
        covered=_covered(rows, aside),
        least=dict(zip(keys, series.column(f"{table.order}_min").to_pylist(), strict=True)),
        greatest=dict(zip(keys, series.column(f"{table.order}_max").to_pylist(), strict=True)),
        repeats=distinct != rows.num_rows,
    )


def without_offsets(rows: pa.Table, covered: Runs) -> pa.Table:
    """Leave out the rows whose offsets are covered."""
    partitions, offsets = (rows.column(name).to_numpy() for name in _PLACES.names)
    open_ = np.ones(rows.num_rows, dtype=bool)
    for partition, runs in covered.items():
        for first, last in runs:
            open_ &= ~((partitions == partition) & (offsets >= first) & (offsets <= last))
    return rows.filter(pa.array(open_))


def without_repeats(table: Table, rows: pa.Table, stored: pa.Table) -> pa.Table:
    """Keep the first of equal rows, and no row whose identity is in `stored`."""
    identity = list(table.identity)
    numbered = rows.select(identity).append_column("_number", pa.array(range(rows.num_rows), pa.int64()))
    first = numbered.group_by(identity).aggregate([("_number", "min")])
    fresh = first.join(stored.select(identity).cast(first.select(identity).schema), identity, join_type="left anti")
    return rows.take(fresh.column("_number_min").combine_chunks().sort())


def _covered(rows: pa.Table, aside: pa.Table | None) -> Runs:
    partitions, offsets = (rows.column(name).to_numpy() for name in _PLACES.names)
    runs = {}
    for partition in np.unique(partitions).tolist():
        own = np.sort(offsets[partitions == partition])
        if aside is None:
            edges = np.flatnonzero(np.diff(own) > 1)
            firsts, lasts = own[np.append(0, edges + 1)], own[np.append(edges, len(own) - 1)]
        else:
            holes = aside.column("offset").to_numpy()[aside.column("partition").to_numpy() == partition]
            holes = np.sort(holes[(holes > own[0]) & (holes < own[-1])])
            firsts, lasts = np.append(own[0], holes + 1), np.append(holes - 1, own[-1])
        runs[partition] = tuple((a, b) for a, b in zip(firsts.tolist(), lasts.tolist(), strict=True) if a <= b)
    return runs


def _parquet(rows: pa.Table) -> bytes:
    out = io.BytesIO()
    pq.write_table(rows, out, compression="zstd")
    return out.getvalue()
