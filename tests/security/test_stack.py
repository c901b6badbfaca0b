"""The secure profile's whole stack: `make demo SECURE=yes`, seen by its user, and six kills after which nothing is missing."""

from __future__ import annotations

import base64
import json
import os
import random
import shutil
import ssl
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psutil
import pyarrow.parquet as pq
import pytest
from chaos.campaign import judge
from chaos.faults import FAULTS
from chaos.rig import ChaosError, Rig, until

from deploy.local.condition import survey
from orderflow.settings import load

ROOT = Path(__file__).parents[2]
KEY = "NSE_EQ|INE467B01029"
KILLED = (
    "kill -9 data-streamer",
    "kill -9 processor with its JVM",
    "kill -9 an executor",
    "kill -9 kafka",
    "kill -9 namenode",
    "kill -9 datanode1",
)
RECOVERY_SECONDS = 400.0
SECRETS = ("kafka_password", "spark_secret", "operator_password")


@dataclass
class SecureRig(Rig):
    """A stack in the secure profile, reached as its administrator reaches it."""

    def kafka(self) -> dict[str, str]:
        """Return the settings of the user `admin`."""
        return {name: str(value) for name, value in load(self.stack.env).kafka.librdkafka().items()}

    def get(self, port: str, path: str) -> Any:
        """Return the JSON of a service; the dashboard asks for TLS and a login."""
        if port != "DASHBOARD_PORT":
            return super().get(port, path)
        security = self.stack.data_dir / "security"
        password = (security / "plotter" / "operator_password").read_text().strip()
        login = base64.b64encode(f"operator:{password}".encode()).decode()
        address = f"https://127.0.0.1:{self.stack.env[port]}{path}"
        request = urllib.request.Request(address, headers={"Authorization": f"Basic {login}"})
        trusted = ssl.create_default_context(cafile=str(security / "admin" / "ca.pem"))
        with urllib.request.urlopen(request, timeout=10, context=trusted) as answer:
            return json.load(answer)

    def complaint(self) -> str:
        """Return what `make status` finds unhealthy; empty when nothing is."""
        unhealthy = [f"{each.service.name}: {each.reason}" for each in survey(self.stack) if not each.healthy]
        if not unhealthy and len(self.executors()) < self.executors_wanted:
            return f"{len(self.executors())} of {self.executors_wanted} executors"
        return "; ".join(unhealthy)[:500]

    def stored(self, table: str, date: str, columns: list[str]) -> list[dict[str, Any]]:
        """Return the rows of one stored day, by `hdfs dfs -get`; hidden files left out, [] when there is none."""
        with tempfile.TemporaryDirectory() as copied:
            try:
                self.hdfs("dfs", "-get", f"/trading/{table}/date={date}", copied)
            except ChaosError:
                return []
            names = [path for path in Path(copied).rglob("*.parquet") if path.name[0] not in "._"]
            return [row for path in names for row in pq.read_table(path, columns=columns).to_pylist()]


@pytest.fixture(scope="module")
def rig() -> Iterator[SecureRig]:
    """Start the stack; it is stopped and deleted at the end."""
    if shutil.which("krb5kdc", path="/usr/sbin") is None or find_spec("requests_gssapi") is None:
        pytest.skip("Kerberos is not on this machine: make kerberos")
    directory = Path(tempfile.mkdtemp(prefix="orderflow-secure-"))
    env = {
        **os.environ,
        "PYTHON": sys.executable,
        "SECURE": "yes",
        "DATA_DIR": str(directory),
        "PORT_OFFSET": "15000",
        "ENV_FILE": str(directory / "no.env"),
        "TIMEOUT": "570",
        "INSTRUMENT": f"{KEY},NSE_EQ|INE040A01034,NSE_EQ|INE009A01021",
        "TICK_STORAGE_TRIGGER_SECONDS": "10",
        "CANDLE_STORAGE_TRIGGER_SECONDS": "10",
        "SIM_TRUTH": str(directory / "truth.jsonl"),
    }
    command = [sys.executable, "-m", "deploy.local"]
    try:
        started = subprocess.run([*command, "demo"], cwd=ROOT, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True)
        assert started.returncode == 0, started.stdout[-3000:] + started.stderr[-3000:]
        rig = SecureRig(env)
        rig.settle(420)
        yield rig
    finally:
        subprocess.run([*command, "stop"], cwd=ROOT, env=env, stdin=subprocess.DEVNULL, check=False)
        shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture(scope="module")
def began_ms(rig: SecureRig) -> int:
    return (int(time.time()) // 60 + 1) * 60_000


def today() -> str:
    return (datetime.now(UTC) + timedelta(hours=5, minutes=30)).date().isoformat()


def test_dashboard_when_logged_in_then_it_shows_candles_and_nothing_to_anybody_else(rig: SecureRig, began_ms: int) -> None:
    def shown() -> str:
        candles = rig.get("DASHBOARD_PORT", f"/api/candles?instrument={KEY.replace('|', '%7C')}")
        return "" if any(candle["source"] == "stream" and not candle["forming"] for candle in candles) else "no final candle"

    until("a final candle", shown, 240, every=5)
    address = f"https://127.0.0.1:{rig.stack.env['DASHBOARD_PORT']}/api/candles"
    trusted = ssl.create_default_context(cafile=str(rig.stack.data_dir / "security" / "admin" / "ca.pem"))
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(address, timeout=10, context=trusted)
    refused.value.close()
    assert refused.value.code == 401


def test_spark_when_run_as_a_user_would_then_it_reads_the_candles_of_today(rig: SecureRig, began_ms: int) -> None:
    path = f"{rig.stack.env['NAMENODE_URL']}/trading/candles/date={today()}"
    script = (
        "from pyspark.sql import SparkSession\n"
        f"rows = SparkSession.builder.getOrCreate().read.parquet('{path}')\n"
        "print('instruments:', rows.select('instrument').distinct().count())\n"
    )
    answer = subprocess.run(
        [str(ROOT / "bin" / "python3"), "-"], cwd=ROOT, env=rig.environ, input=script, capture_output=True, text=True, timeout=240
    )
    assert answer.stdout.splitlines()[-1:] == ["instruments: 3"], answer.stderr[-3000:]


def test_secrets_when_the_stack_runs_then_logs_command_lines_and_environments_have_none(rig: SecureRig, began_ms: int) -> None:
    """Spark itself hands its secret to executors, and so to their workers, in the environment (docs/SECURITY.md)."""
    security = rig.stack.data_dir / "security"
    found = {name: {path.read_text().strip() for path in security.glob(f"*/{name}")} for name in SECRETS}
    assert all(found.values())
    everything = set().union(*found.values())
    for log in rig.stack.logs.iterdir():
        text = log.read_text(errors="replace")
        assert not any(secret in text for secret in everything), log
    for process in psutil.process_iter():
        try:
            command, environment = " ".join(process.cmdline()), " ".join(process.environ().values())
            above = " ".join(word for parent in process.parents() for word in parent.cmdline())
        except psutil.Error:
            continue
        allowed = found["spark_secret"] if "CoarseGrainedExecutorBackend" in command + above else set()
        assert not any(secret in command for secret in everything), process
        assert not any(secret in environment for secret in everything - allowed), process


def test_faults_when_processes_are_killed_then_all_works_again_and_nothing_is_lost(rig: SecureRig, began_ms: int) -> None:
    rng = random.Random(began_ms)
    for name in KILLED:
        before = rig.progress()
        FAULTS[name](rig, rng)
        took = rig.recovered(before, RECOVERY_SECONDS)
        print(f"{name}: everything works again after {took:.0f} s")
    end_ms = max(int(time.time()) // 60 * 60_000, began_ms + 3 * 60_000)
    last = (datetime.fromtimestamp(end_ms / 1000 - 60, UTC) + timedelta(hours=5, minutes=30)).strftime("%Y-%m-%dT%H:%M")

    def stored() -> str:
        newest = max((row["window_start"] for row in rig.stored("candles", today(), ["window_start"])), default="")
        return "" if newest[:16] >= last else f"the newest stored candle is of {newest or 'no minute'}, {last} is awaited"

    until("the minute before is stored", stored, 420, every=10)
    verdict = judge(rig, today(), began_ms, end_ms, sums=False, footprint=False)
    print(verdict)
    assert verdict.sound, str(verdict)
    assert verdict.candles_checked > 0
