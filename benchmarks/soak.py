"""Memory, HDFS files, checkpoints and Kafka's disk under load: simulated sessions at 20× with many instruments, sampled.

A session lasts 21 minutes at 20×; the next weekday's follows it on the running stack. At the end storage may catch up,
and `lake verify` judges every day that has ended.
"""

from __future__ import annotations

import argparse
import csv
import datetime as dt
import json
import os
import ssl
import statistics
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from deploy.local import supervision  # noqa: E402
from deploy.local.condition import memory_bytes  # noqa: E402
from deploy.local.stack import Stack, open_stack  # noqa: E402
from orderflow.simulator import catalogue  # noqa: E402

MIB = 1 << 20
CATCH_UP_SECONDS = 900


def answer(url: str) -> dict[str, Any]:
    """Return the JSON object at an address of this machine; the simulator's certificate is its own."""
    with urllib.request.urlopen(
        url, timeout=10, context=ssl._create_unverified_context() if "https" in url else None
    ) as response:
        return dict(json.load(response))


def dated_python(directory: Path) -> Path:
    """Write a Python whose simulator plays the session that the file `session` names, so that the next one needs no new stack."""
    directory.mkdir(parents=True, exist_ok=True)
    python = directory / "python"
    dated = f'case "$*" in *orderflow.simulator*) SIM_SESSION=$(cat {directory / "session"}); export SIM_SESSION ;; esac'
    python.write_text(f'#!/bin/sh\n{dated}\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    return python


def following(session: str) -> str:
    """Return the next weekday."""
    day = dt.date.fromisoformat(session) + dt.timedelta(days=1)
    while day.weekday() > 4:
        day += dt.timedelta(days=1)
    return day.isoformat()


def play(stack: Stack, session: str) -> None:
    """Let the simulator play another session."""
    (stack.data_dir / "session").write_text(session)
    with supervision.control(stack) as supervisor:
        supervisor.stopProcess("simulator")
        supervisor.startProcess("simulator")


def ended(stack: Stack) -> bool:
    """Return whether the simulator has no more messages."""
    try:
        return bool(answer(f"https://127.0.0.1:{stack.env['SIM_PORT']}/healthz")["ended"])
    except OSError:
        return False


def behind(stack: Stack) -> str:
    """Return what storage has not stored yet; empty when nothing."""
    lines = []
    for service, query in (("TICK_STORAGE", "ticks"), ("CANDLE_STORAGE", "candles"), ("CANDLE_STORAGE", "footprint")):
        with urllib.request.urlopen(f"http://127.0.0.1:{stack.env[service + '_HEALTH_PORT']}/metrics", timeout=10) as response:
            text = response.read().decode()
        name = f'orderflow_query_offsets_behind_latest{{query="{query}"}} '
        values = [float(line.removeprefix(name)) for line in text.splitlines() if line.startswith(name)]
        if not values or values[0] > 100:
            lines.append(f"{query} {values[0] if values else '?'}")
    return ", ".join(lines)


def directory_bytes(directory: Path) -> int:
    total = 0
    for base, _, names in os.walk(directory):
        for name in names:
            try:
                total += (Path(base) / name).stat().st_size
            except OSError:
                continue
    return total


def sample(stack: Stack, began: float) -> dict[str, float]:
    """Return one row: minutes since the start, MiB of each service, and the sizes of what is stored."""
    row = {"minutes": round((time.monotonic() - began) / 60, 2)}
    for name, process in supervision.processes(stack).items():
        if process["pid"]:
            row[f"{name} MiB"] = round(memory_bytes(process["pid"]) / MIB, 1)
    row["all services MiB"] = round(sum(value for name, value in row.items() if name.endswith("MiB")), 1)
    web = f"{stack.env['NAMENODE_HTTP_URL']}/webhdfs/v1/trading"
    for part in ("ticks", "candles", "footprint", "checkpoints"):
        try:
            summary = answer(f"{web}/{part}?op=GETCONTENTSUMMARY")["ContentSummary"]
        except OSError:
            continue
        row[f"{part} files"] = summary["fileCount"]
        row[f"{part} HDFS MiB"] = round(summary["length"] / MIB, 2)
    row["Kafka disk MiB"] = round(directory_bytes(stack.data_dir / "kafka") / MIB, 1)
    row["data directory GiB"] = round(directory_bytes(stack.data_dir) / (1 << 30), 3)
    try:
        row["ticks stored in Kafka"] = float(
            answer(f"http://127.0.0.1:{stack.env['DATA_STREAMER_HEALTH_PORT']}/healthz")["ticks_stored"]
        )
    except (OSError, KeyError):
        row["ticks stored in Kafka"] = float("nan")
    return row


def slope_an_hour(rows: list[dict[str, float]], name: str) -> float:
    """Return how much a column grows in an hour, by a line through the second half of the run."""
    half = [row for row in rows[len(rows) // 2 :] if name in row]
    if len(half) < 3:
        return float("nan")
    return statistics.linear_regression([row["minutes"] for row in half], [row[name] for row in half]).slope * 60


def report(rows: list[dict[str, float]]) -> str:
    lines = ["| measure | start | middle | end | most | growth an hour, second half |", "|---|---|---|---|---|---|"]
    names = list(dict.fromkeys(name for row in rows for name in row if name != "minutes"))
    for name in names:
        values = [row[name] for row in rows if name in row]
        middle = values[len(values) // 2]
        lines.append(
            f"| {name} | {values[0]:g} | {middle:g} | {values[-1]:g} | {max(values):g} | {slope_an_hour(rows, name):+.1f} |"
        )
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=float(os.environ.get("MINUTES") or 60))
    parser.add_argument("--instruments", type=int, default=int(os.environ.get("INSTRUMENTS") or 200))
    parser.add_argument("--rate", type=float, default=1.0, help="updates a second and instrument, of the market's time")
    parser.add_argument("--speed", type=float, default=20.0)
    parser.add_argument("--session", default="2025-12-15", help="the first session; the next weekdays' follow")
    parser.add_argument("--every", type=float, default=15.0, help="seconds between samples")
    parser.add_argument("--data-dir", type=Path, default=Path(os.environ.get("DATA_DIR") or "/tmp/soak"))
    options = parser.parse_args()
    env = {
        **os.environ,
        "PYTHON": str(dated_python(options.data_dir)),
        # pyspark is not found beside such a Python
        "SPARK_HOME": str(next((Path(sys.prefix) / "lib").glob("python3*/site-packages/pyspark"))),
        "DATA_DIR": str(options.data_dir),
        "PORT_OFFSET": os.environ.get("PORT_OFFSET") or "14000",
        "ENV_FILE": str(options.data_dir / "no.env"),
        "FEED_SESSION": options.session,
        "FEED_SPEED": str(options.speed),
        "SIM_RATE": str(options.rate),
        "INSTRUMENT": ",".join(model.key for model in catalogue.choose(str(options.instruments))),
        "TIMEOUT": "600",
    }

    def local(command: str) -> None:
        subprocess.run([sys.executable, "-m", "deploy.local", command], cwd=ROOT, env=env, stdin=subprocess.DEVNULL, check=True)

    rows: list[dict[str, float]] = []
    sessions = [str(options.session)]
    (options.data_dir / "session").write_text(sessions[0])
    local("demo")
    try:
        stack, began = open_stack(env), time.monotonic()
        while time.monotonic() - began < options.minutes * 60:
            rows.append(sample(stack, began))
            print(json.dumps(rows[-1]), flush=True)
            time.sleep(options.every)
            if ended(stack):
                sessions.append(following(sessions[-1]))
                play(stack, sessions[-1])
                print(f"{sessions[-1]} begins", flush=True)
        load = f"{options.instruments} instruments, {options.rate:g} updates/s each at {options.speed:g}×"
        print(f"\n{load}, {options.minutes:g} minutes\n")
        print(report(rows), flush=True)
        with supervision.control(stack) as supervisor:
            supervisor.stopProcess("simulator")
        finished = time.monotonic()
        while (left := behind(stack)) and time.monotonic() - finished < CATCH_UP_SECONDS:
            time.sleep(5)
        seconds = time.monotonic() - finished
        print(f"\nnot stored after {seconds:.0f} s: {left}" if left else f"\nstorage had caught up after {seconds:.0f} s")
        for session in sessions[:-1]:
            command = [str(ROOT / "bin" / "python3"), "-m", "orderflow", "lake", "verify", "--date", session]
            verdict = subprocess.run(command, cwd=ROOT, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True)
            print(*verdict.stdout.strip().splitlines()[-1:], verdict.stderr[-2000:])
        with (options.data_dir / "soak.csv").open("w", newline="") as file:
            writer = csv.DictWriter(file, list(dict.fromkeys(name for row in rows for name in row)))
            writer.writeheader()
            writer.writerows(rows)
    finally:
        local("stop")
    return 0


if __name__ == "__main__":
    sys.exit(main())
