"""A running local stack under faults: its processes, whether each part works and moves on, and what is stored.

What is stored is read by WebHDFS and pyarrow, and Kafka by its own client: nothing of the product's readers.
"""

from __future__ import annotations

import contextlib
import json
import re
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pyarrow as pa
import pyarrow.parquet as pq
from confluent_kafka import Consumer, KafkaError, TopicPartition
from hdfs import InsecureClient
from hdfs.util import HdfsError

from deploy import probe
from deploy.local import supervision
from deploy.local.stack import ROOT, Stack, open_stack

TICKS = "upstox_ticks"
Process = psutil.Process


class ChaosError(Exception):
    """Something did not come back by itself; the text names it."""


def until(what: str, check: Callable[[], str], timeout: float, every: float = 1.0) -> float:
    """Poll until `check` has no complaint; return the seconds it took. Raises ChaosError with the last complaint."""
    began = time.monotonic()
    while True:
        complaint = check()
        seconds = time.monotonic() - began
        if not complaint:
            return seconds
        if seconds > timeout:
            raise ChaosError(f"{what}: not within {timeout:.0f} s: {complaint}")
        time.sleep(every)


@dataclass
class Rig:
    """One stack, addressed as its own commands address it: by the environment that deploy/env.sh makes of `environ`.

    `length` is the share of its full time that a fault with a duration lasts.
    """

    environ: Mapping[str, str]
    stack: Stack = field(init=False)
    executors_wanted: int = 0
    without: str = ""
    length: float = 1.0

    def __post_init__(self) -> None:
        self.stack = open_stack(dict(self.environ))

    def command(self, *words: str, timeout: float = 600, **variables: str) -> str:
        """Run a command of the repository against the stack; return its output. Raises ChaosError when it fails."""
        answer = subprocess.run(
            words,
            cwd=ROOT,
            env={**self.environ, **variables},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
        )
        if answer.returncode:
            raise ChaosError(f"{' '.join(words)}: {answer.stdout[-2000:]}{answer.stderr[-2000:]}")
        return answer.stdout

    def local(self, command: str, **variables: str) -> str:
        """Run `python -m deploy.local COMMAND`."""
        return self.command(self.environ["PYTHON"], "-m", "deploy.local", command, **variables)

    def hdfs(self, *words: str) -> str:
        """Run `bin/hdfs …`."""
        return self.command(str(ROOT / "bin" / "hdfs"), *words, timeout=120)

    def pid(self, service: str) -> int:
        """Return the process id that the process manager knows; 0 when it runs none."""
        return int(supervision.processes(self.stack).get(service, {}).get("pid", 0))

    def service(self, name: str) -> Process:
        """Return a service's process."""
        return Process(self.pid(name))

    def driver(self, name: str) -> Process:
        """Return the JVM below a Spark application's Python."""
        return next(child for child in self.service(name).children(recursive=True) if child.name() == "java")

    def executors(self) -> list[Process]:
        """Return the JVMs that the Spark worker has started for applications."""
        executors = []
        with contextlib.suppress(psutil.Error):
            for child in self.service("spark-worker").children(recursive=True):
                with contextlib.suppress(psutil.Error):
                    if child.name() == "java" and any("CoarseGrainedExecutorBackend" in word for word in child.cmdline()):
                        executors.append(child)
        return executors

    @contextlib.contextmanager
    def away(self, service: str) -> Iterator[None]:
        """Stop a service by the process manager for as long as the block runs."""
        with supervision.control(self.stack) as supervisor:
            supervisor.stopProcess(service)
        try:
            yield
        finally:
            with supervision.control(self.stack) as supervisor:
                supervisor.startProcess(service, False)

    @contextlib.contextmanager
    def frozen(self, *processes: Process) -> Iterator[None]:
        """Stop processes by SIGSTOP for as long as the block runs."""
        for process in processes:
            process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            for process in processes:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.send_signal(signal.SIGCONT)

    def get(self, port: str, path: str) -> Any:
        """Return the JSON that a service answers on the port that the variable `port` names, also with an error status."""
        address = f"http://127.0.0.1:{self.stack.env[port]}{path}"
        try:
            with urllib.request.urlopen(address, timeout=10) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            return json.loads(error.read())

    def complaint(self) -> str:
        """Return what is not healthy by the services' own health checks; empty when all are."""
        env, running = self.stack.env, supervision.processes(self.stack)
        checks: dict[str, Callable[[], None]] = {
            "zookeeper": lambda: probe.zookeeper(env["ZOOKEEPER_HOSTS"]),
            "namenode": lambda: probe.namenode(env["NAMENODE_HTTP_URL"], "1" if self.without else env["EXPECTED_DATANODES"]),
            "datanode1": lambda: probe.datanode(f"http://127.0.0.1:{env['DATANODE1_HTTP_PORT']}"),
            "datanode2": lambda: probe.datanode(f"http://127.0.0.1:{env['DATANODE2_HTTP_PORT']}"),
            "spark-master": lambda: probe.spark_master(f"http://127.0.0.1:{env['SPARK_MASTER_UI_PORT']}"),
            "spark-worker": lambda: probe.spark_worker(f"http://127.0.0.1:{env['SPARK_WORKER_UI_PORT']}"),
            "data-streamer": lambda: probe.healthz(f"http://127.0.0.1:{env['DATA_STREAMER_HEALTH_PORT']}"),
            "processor": lambda: probe.healthz(f"http://127.0.0.1:{env['PROCESSOR_HEALTH_PORT']}"),
            "tick-storage": lambda: probe.healthz(f"http://127.0.0.1:{env['TICK_STORAGE_HEALTH_PORT']}"),
            "candle-storage": lambda: probe.healthz(f"http://127.0.0.1:{env['CANDLE_STORAGE_HEALTH_PORT']}"),
            "plotter": lambda: probe.healthz(f"http://127.0.0.1:{env['DASHBOARD_PORT']}"),
            "kafka": lambda: probe.kafka(env["KAFKA_BROKERS"]),
        }
        for name, check in checks.items():
            if name == self.without:
                continue
            if running.get(name, {}).get("statename") != "RUNNING":
                return f"{name} is {running.get(name, {}).get('statename', 'absent')}"
            try:
                check()
            except (probe.UnhealthyError, OSError, ValueError, KeyError) as error:
                return f"{name}: {str(error)[:300]}"
        if len(self.executors()) < self.executors_wanted:
            return f"{len(self.executors())} of {self.executors_wanted} executors"
        return ""

    def progress(self) -> dict[str, int]:
        """Return how far the candle query, tick storage and the dashboard are; each rises while all works."""
        processor, storage = self.get("PROCESSOR_HEALTH_PORT", "/healthz"), self.get("TICK_STORAGE_HEALTH_PORT", "/healthz")
        dashboard, streamer = self.get("DASHBOARD_PORT", "/healthz"), self.get("DATA_STREAMER_HEALTH_PORT", "/healthz")
        shown = self.get("DASHBOARD_PORT", "/api/trades?limit=1")
        return {
            "candle query's batch": int(processor["orderflow"]["batch"] or 0),
            "tick storage's batch": int(storage["ticks"]["batch"] or 0),
            "newest update on the dashboard": int(dashboard["last_update_ms"] or 0),
            "newest trade on the dashboard": int(shown[-1]["received_time_ms"]) if shown else 0,
            "messages of the feed": int(streamer["messages"]),
        }

    def standstill(self, before: Mapping[str, int], since_ms: int) -> str:
        """Return what has not moved on since `before` (batches) and `since_ms` (times); empty when all has.

        A batch of another number is a new one: numbers begin anew where a checkpoint was deleted. Without a report it is 0.
        """
        try:
            now = self.progress()
        except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
            return f"no progress can be read: {error!r}"[:300]
        for name, value in now.items():
            floor = 0 if "batch" in name or "messages" in name else since_ms
            if value <= floor or ("batch" in name and value == before.get(name)):
                return f"{name} stands at {value}, was {before.get(name, floor)}"
        return ""

    def recovered(self, before: Mapping[str, int], timeout: float) -> float:
        """Wait until everything is healthy and moves on; return the seconds. Raises ChaosError naming what does not."""
        since_ms = int(time.time() * 1000)
        return until("recovery", lambda: self.complaint() or self.standstill(before, since_ms), timeout)

    def short_of_replicas(self) -> str:
        """Return a complaint while a block has fewer replicas than it should; empty when none has."""
        bean = self.get("NAMENODE_HTTP_PORT", "/jmx?qry=Hadoop:service=NameNode,name=FSNamesystem")["beans"][0]
        count = int(bean["UnderReplicatedBlocks"])
        return f"{count} blocks are short of replicas" if count else ""

    def settle(self, timeout: float) -> None:
        """Wait until the whole stack works, and learn how many executors that takes."""
        self.executors_wanted = 0
        until("the start", lambda: self.complaint() or self.standstill({}, int(time.time() * 1000) - 60_000), timeout)
        until("three executors", lambda: "" if len(self.executors()) >= 3 else f"{len(self.executors())} executors", 120)
        self.executors_wanted = 3

    def stored(self, table: str, date: str, columns: list[str]) -> list[dict[str, Any]]:
        """Return the rows of one stored day; hidden files left out, [] when there is none."""
        client = InsecureClient(self.stack.env["NAMENODE_HTTP_URL"])
        directory = f"/trading/{table}/date={date}"
        rows: list[dict[str, Any]] = []
        try:
            names = [name for name in client.list(directory) if name.endswith(".parquet") and name[0] not in "._"]
        except HdfsError:
            return rows
        for name in names:
            with client.read(f"{directory}/{name}") as reader:
                rows += pq.read_table(pa.BufferReader(reader.read()), columns=columns).to_pylist()
        return rows

    def kafka(self) -> dict[str, str]:
        """Return how Kafka's clients reach the broker, and as whom."""
        return {"bootstrap.servers": self.stack.env["KAFKA_BROKERS"]}

    def topic(self, name: str) -> Iterator[tuple[bytes | None, bytes | None, str]]:
        """Yield (key, value, topic[partition]@offset) of everything that a topic holds now."""
        consumer = Consumer(
            {
                **self.kafka(),
                "group.id": "chaos-reader",
                "enable.auto.commit": False,
                "enable.partition.eof": True,
                "auto.offset.reset": "earliest",
            }
        )
        try:
            partitions = consumer.list_topics(name, timeout=20).topics[name].partitions
            consumer.assign([TopicPartition(name, number, 0) for number in partitions])
            open_ends = set(partitions)
            while open_ends:
                message = consumer.poll(20.0)
                if message is None:
                    raise ChaosError(f"{name} cannot be read to its end")
                error = message.error()
                if error is not None:
                    if error.code() != KafkaError._PARTITION_EOF:
                        raise ChaosError(f"{name}: {error}")
                    open_ends.discard(message.partition())
                    continue
                yield message.key(), message.value(), f"{name}[{message.partition()}]@{message.offset()}"
        finally:
            consumer.close()

    def log(self, service: str) -> str:
        """Return a service's log."""
        return (self.stack.logs / f"{service}.log").read_text(errors="replace")


def truth(path: Path, since_ms: int = 0) -> dict[str, list[tuple[int, int, float, int]]]:
    """Return the simulator's true trades by instrument: (time_ms, cumulative volume, price, quantity)."""
    pattern = re.compile(
        r'\{"instrument_key":"([^"]+)","time_ms":(\d+),"price":([\d.]+),"quantity":(\d+),"side":"(?:buy|sell)","vtt":(\d+)\}'
    )
    trades: dict[str, list[tuple[int, int, float, int]]] = {}
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            match = pattern.match(line)
            if match is not None and line.endswith("\n") and int(match[2]) >= since_ms:
                trades.setdefault(match[1], []).append((int(match[2]), int(match[5]), float(match[3]), int(match[4])))
    return trades
