"""The candle query, Flink SQL and quixstreams over the same ticks: `make bench B=candle_engine ARGS="--recording FILE"`.

    python benchmarks/candle_engine.py --recording FILE.jsonl.gz [--ticks 1000000] [--rounds 5] [--only ours] [--work DIR]

It starts a Kafka broker of its own and fills a topic of two partitions with the ticks that the product makes of a recording,
cloned over instruments, with a streamer's heartbeats. Then it runs in turn, in alternating rounds, each on both cores:

ours    the candle query as deployed, which computes everything a candle of ours holds, and the footprint: output and the log
        of its state to Kafka, checkpoint on disk
flink   Flink SQL in a mini-cluster: open, high, low, close and volume of each minute
quix    quixstreams, a process a partition: the same

Times leave out the start of the Java or Python process, and for quixstreams also the joining of the group; CPU and memory are
those of the whole process tree, start included. Candles of flink and quix must equal our tick_open to tick_close and
tick_volume: exit code 1 where they do not. Peers are installed under --work by pip and Ivy, once.
"""

from __future__ import annotations

import argparse
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import msgspec
import psutil
import pyspark
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic
from parts.broker import Broker
from parts.process_tree import Usage, run_measured
from parts.recorded import cloned_messages, recorded_ticks

from orderflow import settings
from orderflow.market import topics
from orderflow.market.times import iso_from_ms

ROOT = Path(__file__).resolve().parents[1]
SCRIPTS = Path(__file__).resolve().parent / "candle_engines"
FLINK = "apache-flink==2.2.1"
FLINK_KAFKA = ("org.apache.flink", "flink-sql-connector-kafka", "5.0.0-2.2")
QUIX = "quixstreams==3.28.1"
PARTITIONS = 2
SHORTEST_RUN_SECONDS = 3_600
IST = "+05:30"

Candles = dict[tuple[str, str], tuple[Any, ...]]
"""(open, high, low, close, volume) of the ticks of a minute by (instrument, start of the window)."""


class Run(NamedTuple):
    """One run of one engine."""

    seconds: float
    usage: Usage
    candles: Candles


class Engine(NamedTuple):
    """How an engine is run: its command for a state directory, and the topic and fields of its candles."""

    command: Callable[[Path], list[str]]
    topic: str
    candle: Callable[[str, dict[str, Any]], tuple[tuple[str, str], tuple[Any, ...]] | None]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recording", type=Path, required=True, help="decoded FeedResponses as JSON lines, plain or .gz")
    parser.add_argument("--ticks", type=int, default=1_000_000, help="about how many ticks the topic gets")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", choices=("ours", "flink", "quix"), action="append", help="may be given several times")
    parser.add_argument("--work", type=Path, default=ROOT / ".cache/bench", help="keeps the peers' environments")
    parser.add_argument("--artifacts", type=Path, default=Path(os.environ.get("ARTIFACTS_DIR") or ROOT / ".cache/artifacts"))
    parser.add_argument("--heap", default="2g", help="of Spark's and of Flink's JVM")
    options = parser.parse_args()
    options.work, options.artifacts = options.work.resolve(), options.artifacts.resolve()
    names = options.only or ["ours", "flink", "quix"]
    options.work.mkdir(parents=True, exist_ok=True)
    print(machine())
    with tempfile.TemporaryDirectory(dir=options.work) as directory:
        broker = Broker(options.artifacts / "kafka", Path(directory), heap="512m")
        broker.start()
        try:
            return compare(options, names, broker.address, Path(directory))
        finally:
            broker.kill()


def compare(options: argparse.Namespace, names: list[str], brokers: str, directory: Path) -> int:
    """Fill the topic, run the engines in turn, print the table; returns the exit code."""
    by_name = {name: engines(options, brokers)[name]() for name in names}
    count, size, instruments = fill(options, brokers)
    print(f"{count:,} ticks of {size / count:.0f} bytes, {instruments} instruments, {PARTITIONS} partitions", flush=True)
    runs: dict[str, list[Run]] = {name: [] for name in names}
    wrong = ""
    for number in range(options.rounds):
        for name in names:
            run = run_engine(name, by_name[name], brokers, directory / f"{name}-{number}")
            rate = count / run.seconds
            print(
                f"round {number + 1}: {name} {run.seconds:.1f} s, {rate:,.0f} ticks/s, {len(run.candles):,} candles", flush=True
            )
            runs[name].append(run)
        wrong = wrong or difference({name: done[-1].candles for name, done in runs.items()})
    print(table(count, runs))
    print(wrong or "the engines' candles are equal" if len(names) > 1 else "no other engine to compare with")
    return 1 if wrong else 0


def engines(options: argparse.Namespace, brokers: str) -> dict[str, Callable[[], Engine]]:
    """Return the functions that install the engines and say how to run them."""
    ends = ["--source", topics.TICKS, "--sink"]
    group = f"candles-{os.getpid()}"

    def ours() -> Engine:
        command = [sys.executable, str(SCRIPTS / "ours.py"), "--brokers", brokers, "--heap", options.heap]
        command += ["--partitions", str(PARTITIONS), "--jars", str(options.artifacts / "spark")]
        return Engine(lambda state: [*command, "--state", str(state)], topics.ORDERFLOW, our_candle)

    def flink() -> Engine:
        python, jar = environment(options.work, "flink", FLINK), flink_connector(options.work)
        command = [str(python), str(SCRIPTS / "flink.py"), "--brokers", brokers, "--heap", options.heap, "--jar", str(jar)]
        return Engine(lambda state: [*command, "--state", str(state), *ends, "candles_flink"], "candles_flink", flink_candle)

    def quix() -> Engine:
        command = [str(environment(options.work, "quix", QUIX)), str(SCRIPTS / "quix.py"), "--brokers", brokers]

        def of(state: Path) -> list[str]:
            return [*command, "--state", str(state), "--group", f"{group}-{state.name}", *ends, "candles_quix"]

        return Engine(of, "candles_quix", quix_candle)

    return {"ours": ours, "flink": flink, "quix": quix}


def our_candle(_key: str, record: dict[str, Any]) -> tuple[tuple[str, str], tuple[Any, ...]] | None:
    if not record["tick_count"]:
        return None
    prices = record["tick_open"], record["tick_high"], record["tick_low"], record["tick_close"]
    return (record["instrument"], record["window_start"]), (*prices, record["tick_volume"])


def flink_candle(_key: str, record: dict[str, Any]) -> tuple[tuple[str, str], tuple[Any, ...]] | None:
    start_ms = round(datetime.fromisoformat(record["start_time"] + "+00:00").timestamp() * 1000)
    return (record["instrument"], iso_from_ms(start_ms)), tuple(
        record[each] for each in ("open", "high", "low", "close", "volume")
    )


def quix_candle(key: str, record: dict[str, Any]) -> tuple[tuple[str, str], tuple[Any, ...]] | None:
    if key == "*":
        return None
    return (key, iso_from_ms(record["start"])), tuple(record[each] for each in ("open", "high", "low", "close", "volume"))


def environment(work: Path, name: str, requirement: str) -> Path:
    """Make a virtual environment with one requirement, once; returns its Python."""
    place = work / name
    python, installed = place / "bin/python", place / "installed"
    if not installed.exists() or installed.read_text() != requirement:
        print(f"installing {requirement} into {place}", flush=True)
        shutil.rmtree(place, ignore_errors=True)
        subprocess.run([sys.executable, "-m", "venv", str(place)], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", requirement], check=True)
        installed.write_text(requirement)
    return python


def flink_connector(work: Path) -> Path:
    """Fetch Flink's Kafka connector by the Ivy inside pyspark, once; returns the jar."""
    _, name, version = FLINK_KAFKA
    jar = work / f"{name}-{version}.jar"
    if not jar.exists():
        ivy = ["java", "-cp", f"{Path(pyspark.__file__).parent}/jars/*", "org.apache.ivy.Main", "-dependency", *FLINK_KAFKA]
        pattern = f"{work}/[artifact]-[revision].[ext]"
        cache = ["-cache", str(work / "ivy-cache"), "-notransitive", "-types", "jar", "-retrieve", pattern]
        subprocess.run([*ivy, *cache], check=True, stdout=subprocess.DEVNULL)
        shutil.rmtree(work / "ivy-cache")
    return jar


def fill(options: argparse.Namespace, brokers: str) -> tuple[int, int, int]:
    """Make the topics and fill that of ticks; returns the number of ticks, their bytes, and the number of instruments."""
    admin = AdminClient({"bootstrap.servers": brokers})
    unlimited = {"retention.ms": "-1", "retention.bytes": "-1"}
    names = (
        topics.TICKS,
        topics.ORDERFLOW,
        topics.FOOTPRINT,
        topics.FEED_EVENTS,
        topics.CANDLE_STATE,
        "candles_flink",
        "candles_quix",
    )
    for made in admin.create_topics([NewTopic(name, PARTITIONS, 1, config=unlimited) for name in names]).values():
        made.result()
    producer = Producer({"bootstrap.servers": brokers, "linger.ms": 20, "partitioner": "murmur2_random"})
    ticks = recorded_ticks(options.recording, settings.load({"ENV_FILE": os.devnull}))
    clones = max(1, round(options.ticks / len(ticks)))
    count = size = 0
    for key, value in cloned_messages(ticks, clones):
        if key is None:
            for partition in range(PARTITIONS):
                put(producer, value, "*", partition)
        else:
            put(producer, value, key, None)
            count += 1
            size += len(value)
    producer.flush()
    return count, size, clones * len({tick.instrument_key for tick in ticks})


def put(producer: Producer, value: bytes, key: str, partition: int | None) -> None:
    """Hand over a message, waiting while the producer is full."""
    where = {} if partition is None else {"partition": partition}
    while True:
        try:
            producer.produce(topics.TICKS, value, key, **where)
            return
        except BufferError:
            producer.poll(0.1)


def run_engine(name: str, engine: Engine, brokers: str, state: Path) -> Run:
    """Run an engine over the whole topic and read the candles that it published."""
    state.mkdir(parents=True)
    before = ends_of(brokers, engine.topic)
    environment = dict(os.environ, PYTHONUNBUFFERED="1")
    printed, usage = run_measured(engine.command(state), environment, state / "errors.log", SHORTEST_RUN_SECONDS)
    times = re.search(r"BEGAN (\d+) ENDED (\d+)", printed)
    if times is None:
        raise RuntimeError(f"{name} did not say when it began and ended: {printed[-500:]}")
    candles: Candles = {}
    for key, value in read(brokers, engine.topic, before):
        candle = engine.candle(key, msgspec.json.decode(value))
        if candle is not None:
            candles[candle[0]] = candle[1]
    shutil.rmtree(state)
    return Run((int(times[2]) - int(times[1])) / 1000, usage, candles)


def ends_of(brokers: str, topic: str) -> list[int]:
    """Return where each partition of a topic ends."""
    consumer = Consumer({"bootstrap.servers": brokers, "group.id": "candle-engine-reader"})
    try:
        return [consumer.get_watermark_offsets(TopicPartition(topic, each), timeout=20)[1] for each in range(PARTITIONS)]
    finally:
        consumer.close()


def read(brokers: str, topic: str, begin: list[int]) -> Iterator[tuple[str, bytes]]:
    """Yield (key, value) of what a topic has got since `begin`."""
    end = ends_of(brokers, topic)
    consumer = Consumer({"bootstrap.servers": brokers, "group.id": "candle-engine-reader", "enable.auto.commit": False})
    for partition in range(PARTITIONS):
        at = begin[partition]
        consumer.assign([TopicPartition(topic, partition, at)])
        while at < end[partition]:
            for message in consumer.consume(5_000, 1.0):
                if message.error() is None:
                    at = message.offset() + 1
                    yield (message.key() or b"").decode(), message.value()
    consumer.close()


def difference(by_engine: dict[str, Candles]) -> str:
    """Return how the candles of the engines differ, or nothing."""
    names = list(by_engine)
    for name in names[1:]:
        first, other = by_engine[names[0]], by_engine[name]
        unequal = sorted(each for each in first.keys() | other.keys() if first.get(each) != other.get(each))
        if unequal:
            shown = "; ".join(f"{each}: {first.get(each)} and {other.get(each)}" for each in unequal[:3])
            return f"{len(unequal)} of {len(first)} candles differ between {names[0]} and {name}: {shown}"
    return ""


def table(count: int, runs: dict[str, list[Run]]) -> str:
    """Return the medians of all rounds as a Markdown table."""
    seconds = {name: median(run.seconds for run in done) for name, done in runs.items()}
    lines = [
        "| engine | s (median; least – most) | ticks/s | × flink | × quix | CPU s | peak MiB |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, done in runs.items():
        took = [run.seconds for run in done]
        ratios = [f"{seconds[other] / seconds[name]:.2f}" if other in seconds else "–" for other in ("flink", "quix")]
        cpu, peak = median(run.usage.cpu_seconds for run in done), median(run.usage.peak_bytes for run in done)
        lines.append(
            f"| {name} | {seconds[name]:.1f}; {min(took):.1f} – {max(took):.1f} | {count / seconds[name]:,.0f} | "
            f"{ratios[0]} | {ratios[1]} | {cpu:.0f} | {peak / (1 << 20):,.0f} |"
        )
    return "\n".join(lines)


def machine() -> str:
    """Return which machine this is, and how busy."""
    names = re.findall(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    load = ", ".join(f"{each:.1f}" for each in os.getloadavg())
    memory = psutil.virtual_memory().total / (1 << 30)
    return (
        f"{time.strftime('%Y-%m-%d %H:%M')}, {names[0] if names else platform.machine()}, {os.cpu_count()} cores, "
        f"{memory:.0f} GiB, Linux {platform.release()}, Python {platform.python_version()}, Spark {pyspark.__version__}, "
        f"{FLINK}, {QUIX}; load {load}"
    )


if __name__ == "__main__":
    sys.exit(main())
