"""A full Upstox subscription on this machine: 2,000 instruments, simulator and viewers included.

    python benchmarks/full_subscription.py [--instruments 2000] [--rate 1] [--minutes 10] [--viewers 5] [--offset 14000]

Starts a stack of its own (DATA_DIR, PORT_OFFSET) and lets it settle. Prints the time from the streamer's receipt to the screen,
how old the oldest unstored message is, and each service's CPU and memory; an executor counts as its application's.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Final

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import psutil  # noqa: E402

from deploy.local import supervision  # noqa: E402
from deploy.local.condition import memory_bytes  # noqa: E402
from deploy.local.stack import Stack, open_stack  # noqa: E402
from orderflow.simulator import catalogue  # noqa: E402

SAMPLE_SECONDS: Final = 5.0
EXECUTOR: Final = "CoarseGrainedExecutorBackend"
STORAGES: Final = (("ticks", "TICK_STORAGE"), ("candles", "CANDLE_STORAGE"), ("footprint", "CANDLE_STORAGE"))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--instruments", type=int, default=2000)
    parser.add_argument("--rate", type=float, default=1.0, help="updates a second of each instrument")
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--settle", type=float, default=3.0, help="minutes before the measurement")
    parser.add_argument("--viewers", type=int, default=5, help="one of them is Chromium")
    parser.add_argument("--data-dir", type=Path, default=Path(os.environ.get("DATA_DIR") or "/tmp/full-subscription"))
    parser.add_argument("--offset", type=int, default=14_000, help="of every port")
    options = parser.parse_args()
    env = {
        **os.environ,
        "DATA_DIR": str(options.data_dir),
        "PORT_OFFSET": str(options.offset),
        "ENV_FILE": str(options.data_dir / "no.env"),
        "SIM_RATE": str(options.rate),
        "SIM_INSTRUMENTS": str(options.instruments),
        "INSTRUMENT": ",".join(model.key for model in catalogue.choose(str(options.instruments))),
        "TIMEOUT": "900",
    }

    def local(command: str) -> None:
        subprocess.run([sys.executable, "-m", "deploy.local", command], cwd=ROOT, env=env, stdin=subprocess.DEVNULL, check=True)

    local("demo")
    try:
        stack = open_stack(env)
        time.sleep(options.settle * 60)
        seconds = options.minutes * 60
        url = f"http://127.0.0.1:{stack.env['DASHBOARD_PORT']}"
        command = [sys.executable, str(ROOT / "benchmarks" / "dashboard_latency.py"), "--url", url]
        command += ["--clients", str(options.viewers), "--seconds", str(seconds)]
        lags: dict[str, list[float]] = {name: [] for name, _ in STORAGES}
        usage, rates = Usage(stack), Rates()
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as viewing:
            while viewing.poll() is None:
                usage.look()
                for name, service in STORAGES:
                    lags[name].append(behind_seconds(stack, name, service, rates))
                time.sleep(SAMPLE_SECONDS)
            printed = viewing.stdout.read() if viewing.stdout else ""
        print(f"{options.instruments} instruments, {options.rate:g} updates/s each, {options.minutes:g} minutes\n")
        print(printed)
        for name, values in lags.items():
            known = sorted(value for value in values if value >= 0)
            if known:
                print(f"{name} behind: median {known[len(known) // 2]:.0f} s, most {known[-1]:.0f} s ({len(known)} samples)")
        print(f"ticks stored in Kafka: {rates.of('ticks'):,.0f} a second\n")
        print(usage.report())
    finally:
        local("stop")
    return 0


class Rates:
    """How fast each query's topic grows, from the offsets seen."""

    def __init__(self) -> None:
        self._first: dict[str, tuple[float, float]] = {}
        self._last: dict[str, tuple[float, float]] = {}

    def seen(self, query: str, offset: float) -> None:
        """Note the sum of a topic's latest offsets."""
        now = (time.monotonic(), offset)
        self._first.setdefault(query, now)
        self._last[query] = now

    def of(self, query: str) -> float:
        """Return messages a second; 0 before two looks."""
        first, last = self._first.get(query, (0.0, 0.0)), self._last.get(query, (0.0, 0.0))
        return (last[1] - first[1]) / (last[0] - first[0]) if last[0] > first[0] else 0.0


def behind_seconds(stack: Stack, query: str, service: str, rates: Rates) -> float:
    """Return how old the oldest message is that a storage query has not stored; -1 when it cannot be told.

    What its last progress report left over, the duration of that batch, and the time since the report.
    """
    try:
        metrics = text_of(stack, service, "metrics")
        ticks = json.loads(text_of(stack, "DATA_STREAMER", "healthz"))["ticks_stored"]
        behind, batch, age = (
            next(float(line.split()[-1]) for line in metrics.splitlines() if line.startswith(f'{name}{{query="{query}"}} '))
            for name in (
                "orderflow_query_offsets_behind_latest",
                "orderflow_query_batch_seconds",
                "orderflow_query_progress_age_seconds",
            )
        )
    except (OSError, KeyError, StopIteration):
        return -1.0
    rates.seen("ticks", ticks)
    rate = rates.of("ticks")
    left = behind / rate if query == "ticks" and rate else 0.0
    return left + batch + age


def text_of(stack: Stack, service: str, path: str) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{stack.env[service + '_HEALTH_PORT']}/{path}", timeout=10) as response:
        return str(response.read().decode())


class Usage:
    """CPU seconds of each service's processes, sampled so that short-lived ones count; an executor is its application's."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._began = time.monotonic()
        self._machine = machine_seconds()
        self._first: dict[int, float] = {}
        self._last: dict[int, float] = {}
        self._service: dict[int, str] = {}
        self._known = set(psutil.pids())

    def look(self) -> None:
        """Take one sample."""
        applications = self._applications()
        for name, each in supervision.processes(self._stack).items():
            if each["pid"]:
                try:
                    self._add(name, psutil.Process(each["pid"]), applications)
                except psutil.Error:
                    continue
        self._known = set()

    def _add(self, service: str, process: psutil.Process, applications: Mapping[str, str]) -> None:
        try:
            words = process.cmdline()
            if any(EXECUTOR in word for word in words):
                service = f"{applications.get(words[words.index('--app-id') + 1], '?')}: executor"
            times = process.cpu_times()
            children = process.children()
        except (psutil.Error, ValueError, IndexError):
            return
        seconds = times.user + times.system
        self._first.setdefault(process.pid, seconds if process.pid in self._known else 0.0)
        self._last[process.pid], self._service[process.pid] = seconds, service
        for child in children:
            self._add(service, child, applications)

    def _applications(self) -> dict[str, str]:
        url = f"http://127.0.0.1:{self._stack.env['SPARK_MASTER_UI_PORT']}/json/"
        with urllib.request.urlopen(url, timeout=10) as response:
            return {each["id"]: each["name"] for each in json.load(response)["activeapps"]}

    def report(self) -> str:
        """Return cores used by service, those of all, and memory, as a table."""
        took = time.monotonic() - self._began
        cores: dict[str, float] = {}
        for pid, seconds in self._last.items():
            service = self._service[pid]
            cores[service] = cores.get(service, 0.0) + (seconds - self._first[pid]) / took
        memory = sum(memory_bytes(each["pid"]) for each in supervision.processes(self._stack).values() if each["pid"])
        rows = [f"| {service} | {used:.2f} |" for service, used in sorted(cores.items(), key=lambda item: -item[1])]
        rows.append(f"| all services | {sum(cores.values()):.2f} |")
        rows.append(f"| the whole machine | {(machine_seconds() - self._machine) / took:.2f} |")
        return "\n".join(["| service | cores |", "|---|---|", *rows, f"\nmemory of all services: {memory >> 20} MiB"])


def machine_seconds() -> float:
    """Return the CPU seconds that everything on the machine has used."""
    times = psutil.cpu_times()
    return float(times.user + times.system + times.nice + times.irq + times.softirq)


if __name__ == "__main__":
    sys.exit(main())
