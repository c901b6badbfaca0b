"""One real stack for all end-to-end tests of a run: Kafka, HDFS, ZooKeeper, Spark and every application as local processes.

It first replays the shared recording (where ../shared is there), then, after a stop and a second start on the same data, runs
the simulated market. KEEP_STACK=yes leaves its data directory behind for a look.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
INSTRUMENTS = ("NSE_EQ|INE467B01029", "NSE_EQ|INE040A01034", "NSE_EQ|INE009A01021")
PORT_OFFSET = int(os.environ.get("E2E_PORT_OFFSET", "13000"))


@dataclass
class LocalStack:
    """Drives a stack the way a user does: by the commands behind `make`, and the tools in bin/."""

    env: dict[str, str]

    def run(self, command: str, **variables: str) -> None:
        """Run `python -m deploy.local COMMAND`; fail with its output when it fails."""
        answer = subprocess.run(
            [sys.executable, "-m", "deploy.local", command],
            cwd=ROOT,
            env={**self.env, **variables},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=600,
        )
        print(answer.stdout[-6000:])
        assert answer.returncode == 0, answer.stdout[-3000:] + answer.stderr[-3000:]

    def tool(self, *command: str, stdin: str = "", timeout: float = 240) -> str:
        """Run a command of bin/ and return what it prints; fail with what it complained about."""
        answer = subprocess.run(
            [str(ROOT / "bin" / command[0]), *command[1:]],
            cwd=ROOT,
            env=self.env,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=timeout,
        )
        assert answer.returncode == 0, f"{command}: {answer.stdout[-2000:]}{answer.stderr[-3000:]}"
        return answer.stdout

    def spark(self, script: str) -> Any:
        """Run a PySpark script as a user would (`bin/python3 < script`); its last line is JSON and comes back parsed."""
        return json.loads(self.tool("python3", "-", stdin=script).strip().splitlines()[-1])

    def command_line(self, *arguments: str, timeout: float = 300) -> subprocess.CompletedProcess[str]:
        """Run `bin/python3 -m orderflow …` against this stack."""
        return subprocess.run(
            [str(ROOT / "bin" / "python3"), "-m", "orderflow", *arguments],
            cwd=ROOT,
            env=self.env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
        )

    def get(self, port: int, path: str) -> Any:
        """Return the JSON that a service answers on its own (unshifted) port."""
        with urllib.request.urlopen(f"http://127.0.0.1:{port + PORT_OFFSET}{path}", timeout=20) as answer:
            return json.load(answer)

    def log(self, service: str) -> str:
        """Return a service's log."""
        return (Path(self.env["DATA_DIR"]) / "logs" / f"{service}.log").read_text(errors="replace")


def until(what: str, probe: Callable[[], Any], timeout: float, every: float = 2.0) -> Any:
    """Poll `probe` until it returns something true; fail naming `what` and the last answer after `timeout` seconds."""
    deadline = time.monotonic() + timeout
    last: Any = None
    while time.monotonic() < deadline:
        try:
            last = probe()
        except (urllib.error.URLError, OSError, ValueError) as error:
            last = error
        else:
            if last:
                return last
        time.sleep(every)
    raise AssertionError(f"not within {timeout:.0f} s: {what}; last seen: {str(last)[:2000]}")


@pytest.fixture(scope="session")
def local_stack() -> Iterator[LocalStack]:
    """A stack that is not started yet; it is stopped and deleted when the run ends."""
    directory = Path(tempfile.mkdtemp(prefix="orderflow-e2e-"))
    env = {
        **os.environ,
        "PYTHON": sys.executable,
        "DATA_DIR": str(directory),
        "PORT_OFFSET": str(PORT_OFFSET),
        "ENV_FILE": str(directory / "no.env"),
        "TIMEOUT": "420",
        "AGGRESSOR_RULE": "lee_ready",
        "TICK_STORAGE_TRIGGER_SECONDS": "10",
        "CANDLE_STORAGE_TRIGGER_SECONDS": "10",
        "SIM_TRUTH": str(directory / "truth.jsonl"),
    }
    stack = LocalStack(env)
    yield stack
    subprocess.run([sys.executable, "-m", "deploy.local", "stop"], cwd=ROOT, env=env, stdin=subprocess.DEVNULL, check=False)
    if os.environ.get("KEEP_STACK") != "yes":
        shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture(scope="session")
def market_began_ms(local_stack: LocalStack) -> int:
    """Start the stack on the market model, on existing data as on the next morning; returns when it had started.

    Returns once candles of today are stored, so that every command has something to read.
    """
    local_stack.run("stop")
    began = time.time()
    local_stack.run("demo", FEED_RECORDING="", INSTRUMENT=",".join(INSTRUMENTS))
    print(f"start on existing data: {time.time() - began:.0f} s")
    began_ms = int(time.time() * 1000)
    today = time.strftime("%Y-%m-%d", time.gmtime(time.time() + 19_800))
    until(
        "candles of today are in HDFS", lambda: f"date={today}" in local_stack.tool("hdfs", "dfs", "-ls", "/trading/candles"), 180
    )
    return began_ms
