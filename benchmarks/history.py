"""How fast people get at stored days: a month of 50 instruments in HDFS, queried from fresh Python processes.

    python -m orderflow.simulator history --out DIR      makes the month, about 24 million ticks
    python benchmarks/history.py --store DIR           stores it as compaction does, and queries it
    python benchmarks/history.py                     only queries what is stored

Needs a running HDFS (NAMENODE_URL, NAMENODE_HTTP_URL). Candles are made up. Dates that are stored already are left alone.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from orderflow.lake.history import History
from orderflow.lake.layout import CANDLES, TICKS, arrow_schema
from orderflow.market.candle import Candle
from orderflow.market.times import ms_from_iso
from orderflow.settings import Settings, load

ROOT = Path(__file__).resolve().parent.parent
QUERY = """
import json, time
started = time.perf_counter()
from orderflow.settings import Settings, load
from orderflow.lake.history import History
imported, used = time.perf_counter(), time.process_time()
history = History.connect({url!r})
rows = history.{call}.num_rows
done = time.perf_counter()
print(json.dumps([imported - started, done - imported, rows, history.bytes_read, time.process_time() - used]))
"""


def candles(key: str, day: str, random: np.random.Generator) -> Iterator[dict[str, object]]:
    open_ms = ms_from_iso(f"{day}T09:15:00+05:30")
    for minute in range(375):
        price = 2000.0 + float(random.integers(-200, 201)) * 0.05
        buy, sell = (int(volume) for volume in random.integers(0, 50_000, 2))
        yield Candle(
            start_ms=open_ms + minute * 60_000, end_ms=open_ms + (minute + 1) * 60_000, instrument=key, open=price,
            high=price + 2, low=price - 2, close=price + 1, buy_volume=buy, sell_volume=sell, total_volume=buy + sell,
            delta=buy - sell, tick_volume=buy + sell, tick_count=60, tbq=500_000, tsq=400_000, vwap=price + 0.37,
            imbalance=(buy - sell) / max(buy + sell, 1), delta_band=buy / 3, confidence="high", exchange_bar=True,
        ).to_record()  # fmt: skip


def store(settings: Settings, month: Path) -> None:
    from orderflow.clusters import SparkCluster
    from orderflow.lake.compaction import DayRewriter
    from orderflow.processing.spark_session import spark_session

    spark = spark_session(replace(settings, spark=SparkCluster("local[2]")), "benchmark-history", 2)
    rewriter = DayRewriter(spark, settings.namenode_url)
    stored_before = History.connect(settings.hdfs).dates(CANDLES)
    with tempfile.TemporaryDirectory() as directory:
        made = Path(directory) / "candles.parquet"
        for number, path in enumerate(sorted(month.iterdir())):
            day, random = path.name.removeprefix("date="), np.random.default_rng(number)
            if day in stored_before:
                continue
            started = time.perf_counter()
            stored = rewriter.replace(TICKS, day, spark.read.parquet(f"file://{path.resolve()}"))
            seconds = time.perf_counter() - started
            each = stored.bytes_after / stored.rows
            print(f"{day}: {stored.rows} ticks sorted and stored in {seconds:.1f} s, {each:.1f} bytes a tick", flush=True)
            keys = pc.unique(pq.read_table(path, columns=["instrument_key"]).column(0)).to_pylist()
            bars = [candle for key in keys for candle in candles(key, day, random)]
            pq.write_table(pa.Table.from_pylist(bars, schema=arrow_schema(CANDLES.fields)), made)
            rewriter.replace(CANDLES, day, spark.read.parquet(f"file://{made}"))
    spark.stop()


def query(url: str, call: str, runs: int = 5) -> None:
    code = QUERY.format(url=url, call=call)
    timings = [json.loads(subprocess.check_output([sys.executable, "-c", code], cwd=ROOT)) for _ in range(runs)]
    seconds = [run[1] for run in timings]
    importing, computing = (statistics.median(run[column] for run in timings) for column in (0, 4))
    print(
        f"{call}: {timings[0][2]} rows, {timings[0][3]} bytes read; first {seconds[0]:.2f} s, median of {runs} processes "
        f"{statistics.median(seconds):.2f} s with {computing:.2f} s of CPU, slowest {max(seconds):.2f} s, import {importing:.2f}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--store", type=Path, metavar="DIR", help="store the simulator's month in DIR first")
    parser.add_argument("--days", type=int, default=21, help="query so many of the newest dates")
    arguments = parser.parse_args()
    settings = load()
    if arguments.store:
        store(settings, arguments.store)
    history = History.connect(settings.hdfs)
    days = history.dates(TICKS)[-arguments.days :]
    files = history.files(TICKS, days[0], days[-1])
    footers = history.metadata(path for path, _ in files)
    rows, size = sum(footer.num_rows for footer in footers), sum(size for _, size in files)
    groups = sum(footer.num_row_groups for footer in footers)
    print(f"{rows} ticks of {len(days)} days, {len(files)} files, {groups} row groups: {size} bytes, {size / rows:.1f} a tick")
    keys = pc.unique(history.table(TICKS, days[0], columns=["instrument_key"]).column(0)).to_pylist()
    key, middle = keys[len(keys) // 3], days[len(days) // 2]
    url, month = settings.hdfs.http_url, f"{key!r}, {days[0]!r}, {days[-1]!r}"
    query(url, f"ticks({key!r}, {middle!r})")
    query(url, f"trades({key!r}, {middle!r})")
    query(url, f"candles({month})")
    query(url, f"candles({month}, n=15)")
    query(url, f"ticks({month}, columns=['event_time_ms', 'ltp', 'traded_volume'])")


if __name__ == "__main__":
    main()
