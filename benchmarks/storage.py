"""Tick storage by itself: how many ticks a second one core stores in HDFS, each of them checked and stored once.

    python benchmarks/storage.py [--codec zstd] [--ticks 600000] [--instruments 2000] [--partitions 2] [--cores 1] [--offset 9000]

Starts Kafka and HDFS of its own in a temporary directory, fills the topic, and runs tick storage's query on it in local Spark
until all is stored. Prints CPU seconds of the query's processes, rows and bytes, and bytes in Kafka by codec. Exit code 1 unless
every tick is stored once.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np
import orjson
import psutil
import pyarrow.compute as pc
from confluent_kafka import Producer

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from deploy.local.stack import open_stack  # noqa: E402
from orderflow import settings  # noqa: E402
from orderflow.broker.topic_identity import topic_extent  # noqa: E402
from orderflow.lake.history import History  # noqa: E402
from orderflow.lake.layout import TICKS  # noqa: E402
from orderflow.lake.packing import packs  # noqa: E402
from orderflow.lake.writer import HdfsParquetSink  # noqa: E402
from orderflow.processing.storage import storage_query  # noqa: E402

DATE = "2025-12-15"
OPEN_MS = 1_765_770_300_000
SERVERS = (("kafka",), ("namenode",), ("datanode", "1"), ("datanode", "2"))


@contextmanager
def servers(env: dict[str, str], logs: Path) -> Iterator[None]:
    """Run Kafka and HDFS by the stack's own launchers, with topics and directories, and end them by their ids."""
    running = []
    try:
        for launcher in SERVERS:
            with (logs / f"{'-'.join(launcher)}.log").open("w") as log:
                command = [ROOT / "deploy" / "launch" / launcher[0], *launcher[1:]]
                running.append(subprocess.Popen(command, env=env, stdout=log, stderr=log, start_new_session=True))
        for step in ("setup-topics", "setup-hdfs"):
            subprocess.run([ROOT / "deploy" / "launch" / step], env=env, check=True, timeout=180, capture_output=True)
        yield
    finally:
        family = [child for process in running for child in psutil.Process(process.pid).children(recursive=True)]
        for process in [*family, *running]:
            process.kill()
        for process in running:
            process.wait()


def ticks(count: int, instruments: int) -> Iterator[tuple[bytes, bytes]]:
    """Yield keys and values of ticks with everything that an update of five levels carries, in the order of time."""
    rng = np.random.default_rng(7)
    volume = rng.integers(1, 500, count)
    moves = rng.integers(-3, 4, count)
    sizes = rng.integers(1, 5_000, (count, 10))
    vtt, price = [100_000] * instruments, [100_000 + 500 * number for number in range(instruments)]
    for number in range(count):
        who, turn = number % instruments, number // instruments
        key = f"NSE_EQ|INE{who:06d}A01"
        at = OPEN_MS + 1_000 * turn + who % 1_000
        vtt[who] += int(volume[number])
        price[who] += 5 * int(moves[number])
        last = price[who] / 100
        levels = [
            [
                {"price": round(last + side * 0.05 * (level + 1), 2), "quantity": int(sizes[number, base + level])}
                for level in range(5)
            ]
            for side, base in ((-1, 0), (1, 5))
        ]
        before = {name: levels[side][0]["price"] for side, name in enumerate(("prev_bid", "prev_ask"))}
        times = {"feed_time_ms": at, "received_time_ms": at + 37, "event_time_ms": at - 180, "ltt_ms": at - 180}
        session = {"session_start_ms": OPEN_MS, "session_end_ms": OPEN_MS + 22_500_000, "session_phase": "continuous"}
        day_bar = {"open": last, "high": last + 3, "low": last - 4, "close": last, "volume": vtt[who] - 7}
        pending = {"tbq": int(sizes[number, :5].sum()) * 40, "tsq": int(sizes[number, 5:].sum()) * 40}
        size = int(volume[number])
        record = {
            "schema_version": 1, "instrument_key": key, "kind": "update", "sequence": turn + 1, **times, "trading_date": DATE,
            "ltp": last, "ltq": size // 3 + 1, "close_price": 1_000.5, "vtt": vtt[who], "atp": round(last - 0.31, 2), "oi": None,
            "iv": None, **pending, "bid": levels[0], "ask": levels[1], "greeks": None, "bar": None, "day_bar": day_bar,
            "segment_status": "NORMAL_OPEN", **session, "traded_volume": size, **before, "prev_feed_time_ms": at - 1_000,
            "prev_ltt_ms": at - 1_180, "tick_direction": 1, "gap": False, "auction": False,
        }  # fmt: skip
        yield key.encode(), orjson.dumps(record)


def fill(brokers: str, count: int, instruments: int, codec: str) -> tuple[float, int]:
    """Produce the ticks; return seconds of CPU, of making them too, and their bytes."""
    producer = Producer(
        {"bootstrap.servers": brokers, "linger.ms": 2, "compression.type": codec, "queue.buffering.max.kbytes": 256 << 10}
    )
    began, size = time.process_time(), 0
    for number, (key, value) in enumerate(ticks(count, instruments)):
        while True:
            try:
                producer.produce(TICKS.topic, value, key)
                break
            except BufferError:
                producer.poll(0.1)
        size += len(value)
        if number % 1_000 == 0:
            producer.poll(0)
    producer.flush(120)
    return time.process_time() - began, size


def cpu_seconds() -> dict[str, float]:
    """Return CPU used by this process, its JVM and Python workers."""
    used: dict[str, float] = {"driver's Python": time.process_time()}
    for child in psutil.Process().children(recursive=True):
        try:
            times, name = child.cpu_times(), child.name()
            used[name] = (
                used.get(name, 0.0)
                + times.user
                + times.system
                + (times.children_user + times.children_system) * ("python" in name)
            )
        except psutil.Error:
            continue
    return used


def store(config: settings.Settings, arguments: argparse.Namespace, jars: Path) -> None:
    """Run the query over all that is there, and print what each batch took."""
    from pyspark.sql import SparkSession

    spark = (
        SparkSession.builder.master(f"local[{arguments.cores}]")
        .config("spark.driver.memory", "700m")
        .config("spark.driver.extraJavaOptions", "-XX:+UseSerialGC")
        .config("spark.jars", ",".join(str(jar) for jar in jars.glob("*.jar")))
        .config("spark.sql.session.timeZone", "UTC")
        .config("spark.sql.streaming.metricsEnabled", "false")
        .config("spark.hadoop.dfs.replication", 2)
        .config("spark.ui.enabled", "false")
        .getOrCreate()
    )
    spark.sparkContext.setLogLevel("ERROR")
    before, began = cpu_seconds(), time.monotonic()
    query = storage_query(
        spark,
        config,
        TICKS,
        extent=partial(topic_extent, config.kafka, TICKS.topic),
        writer=partial(HdfsParquetSink, spark, config.namenode_url, TICKS),
        packing=partial(packs, TICKS),
        trigger_seconds=1,
        cores=arguments.cores,
    )
    done, seen, wall = 0, -1, time.monotonic()
    while done < arguments.ticks:
        time.sleep(0.05)
        progress = query.lastProgress
        if query.exception() is not None:
            raise query.exception()
        if progress is not None and progress["batchId"] != seen and progress["numInputRows"]:
            seen, rows = progress["batchId"], progress["numInputRows"]
            done += rows
            now = cpu_seconds()
            used = sum(now.values()) - sum(before.values())
            print(
                f"batch {seen}: {rows} ticks, {progress['durationMs']['triggerExecution'] / 1000:.2f} s, {used:.2f} s of CPU, "
                f"{rows / used:.0f} ticks a second of CPU: "
                + ", ".join(f"{name} {now[name] - before.get(name, 0):.2f}" for name in now),
                flush=True,
            )
            before = now
    print(f"{done} ticks stored in {time.monotonic() - wall:.1f} s, {time.monotonic() - began:.1f} s with the query's start")
    query.stop()
    spark.stop()


def verified(config: settings.Settings, count: int, instruments: int, size: int) -> bool:
    """Print what is stored, and tell whether each tick is there once."""
    history = History.connect(config.hdfs)
    rows = history.table(TICKS, DATE, columns=["instrument_key", "sequence", "vtt"])
    distinct = rows.group_by(["instrument_key", "sequence"]).aggregate([]).num_rows
    files = history.files(TICKS, DATE)
    stored = sum(length for _, length in files)
    keys = len(pc.unique(rows.column("instrument_key")))
    each = f"{stored / rows.num_rows:.1f} bytes a tick in HDFS, {size / count:.0f} as JSON"
    print(f"{rows.num_rows} rows, {distinct} distinct, of {keys} instruments in {len(files)} files; {each}")
    return rows.num_rows == distinct == count and keys == instruments


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--ticks", type=int, default=600_000)
    parser.add_argument("--instruments", type=int, default=2_000)
    parser.add_argument("--partitions", type=int, default=2)
    parser.add_argument("--cores", type=int, default=1)
    parser.add_argument("--codec", default="zstd")
    parser.add_argument("--offset", type=int, default=9_000, help="added to every port")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        environ = {**os.environ, "DATA_DIR": directory, "PORT_OFFSET": str(arguments.offset), "ENV_FILE": os.devnull}
        environ |= {"KAFKA_PARTITIONS": str(arguments.partitions), "KAFKA_RETENTION_BYTES": str(16 << 30)}
        environ |= {"PYTHON": sys.executable}
        env = dict(open_stack(environ).env)
        os.environ |= {
            "HADOOP_USER_NAME": "root",
            "PYSPARK_PYTHON": sys.executable,
            "PYTHONPATH": str(ROOT),
            "SPARK_LOCAL_IP": "127.0.0.1",
        }
        config = settings.load(env)
        with servers(env, Path(directory)):
            used, size = fill(config.kafka.brokers, arguments.ticks, arguments.instruments, arguments.codec)
            log = sum(file.stat().st_size for file in Path(directory).glob("kafka/log/upstox_ticks-*/*.log"))
            each = f"{log / arguments.ticks:.0f} bytes a tick; made and produced in {used:.1f} s of CPU"
            print(f"{arguments.ticks} ticks in Kafka, {arguments.codec}: {each}")
            store(config, arguments, Path(env["ARTIFACTS_DIR"]) / "spark")
            return 0 if verified(config, arguments.ticks, arguments.instruments, size) else 1


if __name__ == "__main__":
    sys.exit(main())
