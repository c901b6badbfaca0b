"""Frames as a storage query hands them to a sink, and what the sink left on disk."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.sql import DataFrame, SparkSession

from orderflow.lake.layout import TICKS, Table, spark_schema
from orderflow.lake.packing import packs
from orderflow.lake.writer import HdfsParquetSink

TCS, INFY = "NSE_EQ|INE467B01029", "NSE_EQ|INE009A01021"
TOPIC_ID = "0a1b2c3d"


def batch(spark: SparkSession, table: Table, *rows: dict[str, object]) -> DataFrame:
    defaults = {"topic": table.topic, "partition": 0}
    schema = spark_schema(table.fields) + ", topic STRING, `partition` INT, offset BIGINT"
    lines = [json.dumps(defaults | row) for row in rows]
    return spark.createDataFrame([(line,) for line in lines], "value STRING").selectExpr(
        f"inline(array(from_json(value, '{schema.replace(chr(39), chr(92) + chr(39))}')))"
    )


def tick(offset: int, sequence: int, instrument: str = TCS, date: str = "2025-12-15", **more: object) -> dict[str, object]:
    time_ms = 1_765_771_200_000 + sequence
    row = {"offset": offset, "instrument_key": instrument, "sequence": sequence, "trading_date": date}
    return row | {"feed_time_ms": time_ms, "event_time_ms": time_ms} | more


class Storing:
    """A sink that packs the frames it is given, as a storage query's workers do; `aside` are offsets yet to be judged."""

    def __init__(self, sink: HdfsParquetSink, table: Table) -> None:
        self.sink = sink
        self._table = table

    def __call__(self, frame: DataFrame, batch_id: int, aside: tuple[tuple[int, int], ...] | None = ()) -> None:
        rows = frame.toArrow()
        rows = rows.rename_columns({"partition": "_partition", "offset": "_offset"})
        left = None
        if aside is not None:
            left = pa.table(
                {"partition": pa.array([p for p, _ in aside], pa.int32()), "offset": pa.array([o for _, o in aside], pa.int64())}
            )
        self.sink(packs(self._table, rows, left), batch_id)


def sink(spark: SparkSession, root: Path, table: Table = TICKS, topic_id: str = TOPIC_ID) -> Storing:
    return Storing(HdfsParquetSink(spark, f"file://{root}", table, topic_id, sleep=lambda _: None), table)


def stored(root: Path, table: Table = TICKS, date: str = "2025-12-15") -> list[tuple[object, ...]]:
    files = sorted((root / table.day(date)[1:]).glob("*.parquet"))
    rows = [row for file in files for row in pq.read_table(file, partitioning=None).to_pylist()]
    return sorted(tuple(row[column] for column in table.identity[:2]) for row in rows)


def file_names(root: Path, date: str = "2025-12-15") -> list[str]:
    return sorted(path.name for path in (root / TICKS.day(date)[1:]).iterdir() if not path.name.startswith("."))
