"""Whether listing, verifying one day and querying one share's day slow down with the number of stored days: 21 against 252.

    python benchmarks/lake_listing.py [--days 21 252] [--instruments 50] [--offset 9000]

Starts HDFS of its own in a temporary directory and stores synthetic days of one file a table, as compaction leaves them.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime as dt
import io
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

from storage import servers  # noqa: E402

from deploy.local.stack import open_stack  # noqa: E402
from orderflow import settings  # noqa: E402
from orderflow.lake import day_commands  # noqa: E402
from orderflow.lake.history import History  # noqa: E402
from orderflow.lake.layout import CANDLES, FOOTPRINT, TICKS, arrow_schema  # noqa: E402
from orderflow.lake.maintenance import LakeFiles  # noqa: E402
from orderflow.simulator.catalogue import Instrument, choose  # noqa: E402
from orderflow.simulator.history import day_columns, weekdays  # noqa: E402

LAST_DAY = dt.date(2025, 12, 15)
RATE = 0.02
RUNS = 5


def day_of_ticks(stocks: list[Instrument], day: dt.date) -> bytes:
    """Return a day's ticks as one Parquet file."""
    schema, out = arrow_schema(TICKS.fields), io.BytesIO()
    with pq.ParquetWriter(out, schema, compression="zstd") as writer:
        for number, stock in enumerate(stocks):
            columns, _ = day_columns(np.random.default_rng((day.toordinal(), number)), stock, day, RATE, 40_000.0)
            rows = {name: columns.get(name) for name in schema.names}
            count = len(rows["sequence"])
            arrays = [
                pa.nulls(count, schema.field(name).type)
                if values is None
                else (values if isinstance(values, pa.Array) else pa.array(values)).cast(schema.field(name).type)
                for name, values in rows.items()
            ]
            writer.write_table(pa.table(arrays, schema=schema))
    return out.getvalue()


def timed(what: str, act: Callable[[], object]) -> None:
    """Print the first and the median time of a call, and its CPU."""
    seconds, began = [], time.process_time()
    for _ in range(RUNS):
        started = time.perf_counter()
        with contextlib.redirect_stdout(io.StringIO()):
            act()
        seconds.append(time.perf_counter() - started)
    cpu = (time.process_time() - began) / RUNS
    print(f"  {what}: first {seconds[0]:.2f} s, median {sorted(seconds)[RUNS // 2]:.2f} s, CPU {cpu:.2f} s", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--days", type=int, nargs="+", default=[21, 252])
    parser.add_argument("--instruments", type=int, default=50)
    parser.add_argument("--offset", type=int, default=9_000, help="added to every port")
    arguments = parser.parse_args()
    stocks = [model for model in choose(str(arguments.instruments + 1)) if not model.is_index]
    date, key = LAST_DAY.isoformat(), stocks[0].key
    with tempfile.TemporaryDirectory() as directory:
        environment = {**os.environ, "DATA_DIR": directory, "PORT_OFFSET": str(arguments.offset), "PYTHON": sys.executable}
        env = dict(open_stack({**environment, "ENV_FILE": os.devnull}).env)
        config = settings.load(env)
        with servers(env, Path(directory)):
            files, stored = LakeFiles(config.hdfs), 0
            empty = {table: io.BytesIO() for table in (CANDLES, FOOTPRINT)}
            for table, out in empty.items():
                pq.write_table(arrow_schema(table.fields).empty_table(), out)
            for count in sorted(arguments.days):
                for day in weekdays(LAST_DAY, count)[: count - stored]:
                    files.add(TICKS, day.isoformat(), "synthetic", day_of_ticks(stocks, day))
                    for table, out in empty.items():
                        files.add(table, day.isoformat(), "synthetic", out.getvalue())
                stored = count
                print(f"{count} days of {len(stocks)} instruments", flush=True)
                timed("python -m orderflow lake", lambda: day_commands.catalogue(config))
                timed("lake verify of one day", lambda: day_commands.verify(config, date))
                timed("one share's day, a new connection", lambda: History.connect(config.hdfs).ticks(key, date))
    return 0


if __name__ == "__main__":
    sys.exit(main())
