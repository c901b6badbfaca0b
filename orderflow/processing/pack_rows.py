"""Pack the valid rows of a batch for the writer that is handed in, in Spark's Python workers where they are certainly valid."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from orderflow.market.records import Field
from orderflow.processing.arrow_parse import KEY, OFFSET, PARTITION, SENT_MS, Sound, parse
from orderflow.processing.lake_table import Packing

PACKS: Final = "packs"
DOUBTFUL: Final = "doubtful"
_HEARTBEAT: Final = "heartbeat"


def packed(
    batches: Iterator[pa.RecordBatch], *, fields: tuple[Field, ...], sound: Sound, packing: Packing
) -> Iterator[pa.RecordBatch]:
    """Parse, check and pack the messages of one Spark task; runs in a Python worker.

    Yields one row with all packs, pickled, and one with the messages that remain to be checked, as an Arrow stream.
    """
    pa.set_cpu_count(1)
    parsed = [parse(pa.Table.from_batches([batch]), fields, sound) for batch in batches if batch.num_rows]
    if not parsed:
        return
    rows, doubtful = (pa.concat_tables(parts) for parts in zip(*parsed, strict=True))
    packs = packing(_stored_rows(rows.drop_columns([KEY, SENT_MS])), doubtful)
    results = [(PACKS, pickle.dumps(packs))]
    if doubtful.num_rows:
        out = pa.BufferOutputStream()
        with pa.ipc.new_stream(out, doubtful.schema) as stream:
            stream.write_table(doubtful)
        results.append((DOUBTFUL, out.getvalue().to_pybytes()))
    kinds, contents = zip(*results, strict=True)
    yield pa.RecordBatch.from_arrays([pa.array(kinds), pa.array(contents, pa.binary())], ["kind", "content"])


def valid_rows(judged: DataFrame, fields: tuple[Field, ...]) -> pa.Table:
    """Return the valid records of `schemas.parse`'s result, with PARTITION and OFFSET behind them, without heartbeats."""
    columns = [F.col(f"record.{field.name}") for field in fields]
    places = [F.col("partition").alias(PARTITION), F.col("offset").alias(OFFSET)]
    return _stored_rows(judged.where(F.col("reason").isNull()).select(*columns, *places).toArrow())


def _stored_rows(rows: pa.Table) -> pa.Table:
    return rows.filter(pc.not_equal(rows.column("kind"), _HEARTBEAT)) if "kind" in rows.column_names else rows
