"""Every kind of fault. Each function injects one and returns once its cause is over; the stack then has to recover alone."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import psutil

from chaos.rig import ROOT, ChaosError, Process, Rig, until

Fault = Callable[[Rig, random.Random], None]
SERVICES: Final = (
    "data-streamer",
    "processor",
    "tick-storage",
    "candle-storage",
    "plotter",
    "kafka",
    "zookeeper",
    "namenode",
    "datanode1",
    "datanode2",
    "spark-master",
    "spark-worker",
)
DRIVERS: Final = ("processor", "tick-storage", "candle-storage")
AWAY_SECONDS: Final = float(os.environ.get("CHAOS_AWAY_SECONDS", "120"))
FROZEN_SECONDS: Final = float(os.environ.get("CHAOS_FROZEN_SECONDS", "90"))
REFUSED_SECONDS: Final = float(os.environ.get("CHAOS_REFUSED_SECONDS", "60"))
CLOCK_SECONDS: Final = 30.0


def end(process: Process, number: int) -> None:
    """Send a signal and wait until the process is gone."""
    process.send_signal(number)
    process.wait(60)


def ended(name: str, number: int) -> Fault:
    """Return the fault that ends a service's own process."""

    def inject(rig: Rig, _rng: random.Random) -> None:
        end(rig.service(name), number)

    return inject


def driver_killed(name: str) -> Fault:
    """Return the fault that kills a Spark application's JVM and leaves its Python."""

    def inject(rig: Rig, _rng: random.Random) -> None:
        end(rig.driver(name), signal.SIGKILL)

    return inject


def application_killed(name: str) -> Fault:
    """Return the fault that kills a Spark application's Python and JVM together."""

    def inject(rig: Rig, _rng: random.Random) -> None:
        jvm = rig.driver(name)
        end(rig.service(name), signal.SIGKILL)
        with contextlib.suppress(psutil.NoSuchProcess):
            end(jvm, signal.SIGKILL)

    return inject


def executor_ended(number: int) -> Fault:
    """Return the fault that ends one executor, whichever chance picks."""

    def inject(rig: Rig, rng: random.Random) -> None:
        end(rng.choice(sorted(rig.executors(), key=lambda executor: executor.pid)), number)

    return inject


def away(name: str, seconds: float) -> Fault:
    """Return the fault that takes a service away for a while."""

    def inject(rig: Rig, _rng: random.Random) -> None:
        with rig.away(name):
            time.sleep(seconds * rig.length)

    return inject


def frozen(name: str) -> Fault:
    """Return the fault that stops a service by SIGSTOP for a while."""

    def inject(rig: Rig, _rng: random.Random) -> None:
        with rig.frozen(rig.service(name)):
            time.sleep(FROZEN_SECONDS * rig.length)

    return inject


def executor_frozen(rig: Rig, rng: random.Random) -> None:
    """Stop one executor by SIGSTOP for a while."""
    with rig.frozen(rng.choice(sorted(rig.executors(), key=lambda executor: executor.pid))):
        time.sleep(FROZEN_SECONDS * rig.length)


def safe_mode(rig: Rig, _rng: random.Random) -> None:
    """Restart the NameNode while no DataNode reports, so that it comes up in safe mode and stays there for a while."""
    with rig.frozen(rig.service("datanode1"), rig.service("datanode2")):
        end(rig.service("namenode"), signal.SIGKILL)

        def complaint() -> str:
            try:
                bean = rig.get("NAMENODE_HTTP_PORT", "/jmx?qry=Hadoop:service=NameNode,name=NameNodeInfo")["beans"]
            except (OSError, ValueError, KeyError) as error:
                return repr(error)
            return "" if bean and bean[0]["Safemode"] else "not in safe mode"

        until("safe mode", complaint, 120)
        time.sleep(REFUSED_SECONDS * rig.length)


def hdfs_full(rig: Rig, _rng: random.Random) -> None:
    """Let HDFS take no more bytes below /trading for a while (a space quota below what is used)."""
    refused(rig, ("-setSpaceQuota", "1m"), "-clrSpaceQuota", "/trading")


def checkpoints_refused(rig: Rig, _rng: random.Random) -> None:
    """Let no checkpoint be written for a while (a name quota below what is used)."""
    refused(rig, ("-setQuota", "1"), "-clrQuota", "/trading/checkpoints")


def checkpoint_lost(service: str, query: str) -> Fault:
    """Return the fault that deletes a storage query's checkpoint, so that it reads its topic from the beginning again."""

    def inject(rig: Rig, _rng: random.Random) -> None:
        with rig.away(service):
            rig.hdfs("dfs", "-rm", "-r", "-skipTrash", f"/trading/checkpoints/{query}")

    return inject


def compaction_killed(rig: Rig, rng: random.Random) -> None:
    """Kill `orderflow lake compact` of today at any moment, also between the renames of its swap."""
    today = (datetime.now(UTC) + timedelta(hours=5, minutes=30)).date().isoformat()
    command = [str(ROOT / "bin" / "python3"), "-m", "orderflow", "lake", "compact", "--date", today]
    log = Path(rig.environ["DATA_DIR"]) / "compaction.log"
    with log.open("ab") as file:
        process = subprocess.Popen(
            command, cwd=ROOT, env=dict(rig.environ), stdin=subprocess.DEVNULL, stdout=file, stderr=file, start_new_session=True
        )
        try:
            process.wait(rng.uniform(8, 40))
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(60)


def refused(rig: Rig, quota: tuple[str, ...], clear: str, directory: str) -> None:
    """Set a quota for a while, then clear it."""
    rig.hdfs("dfsadmin", *quota, directory)
    try:
        time.sleep(REFUSED_SECONDS * rig.length)
    finally:
        rig.hdfs("dfsadmin", clear, directory)


def clock_stepped(seconds: int) -> Fault:
    """Return the fault that steps the streamer's clock, by the file that libfaketime reads, for half a minute."""

    def inject(rig: Rig, _rng: random.Random) -> None:
        file = clock_file(rig)
        if not file.is_file():
            raise ChaosError("the stack was started without libfaketime")
        file.write_text(f"{seconds:+d}s\n")
        time.sleep(CLOCK_SECONDS)
        file.write_text("+0s\n")
        time.sleep(2)

    return inject


def clock_file(rig: Rig) -> Path:
    """Return the file that holds the step of the streamer's clock."""
    return Path(rig.environ["DATA_DIR"]) / "streamer-clock"


FAULTS: Final[dict[str, Fault]] = {
    **{f"kill -9 {name}": ended(name, signal.SIGKILL) for name in SERVICES},
    **{f"SIGTERM {name}": ended(name, signal.SIGTERM) for name in SERVICES},
    **{f"kill -9 {name}'s JVM": driver_killed(name) for name in DRIVERS},
    "kill -9 processor with its JVM": application_killed("processor"),
    "kill -9 an executor": executor_ended(signal.SIGKILL),
    "SIGTERM an executor": executor_ended(signal.SIGTERM),
    f"Kafka away for up to {AWAY_SECONDS:.0f} s": away("kafka", AWAY_SECONDS),
    f"a DataNode away for up to {AWAY_SECONDS:.0f} s": away("datanode2", AWAY_SECONDS),
    f"NameNode restarted into safe mode for up to {REFUSED_SECONDS:.0f} s": safe_mode,
    f"HDFS full for up to {REFUSED_SECONDS:.0f} s": hdfs_full,
    f"checkpoints refused for up to {REFUSED_SECONDS:.0f} s": checkpoints_refused,
    "tick storage's checkpoint deleted": checkpoint_lost("tick-storage", "ticks"),
    "candle storage's checkpoint deleted": checkpoint_lost("candle-storage", "candles"),
    "kill -9 lake compact": compaction_killed,
    "streamer's clock a minute ahead": clock_stepped(60),
    "streamer's clock a minute behind": clock_stepped(-60),
    f"SIGSTOP simulator for up to {FROZEN_SECONDS:.0f} s": frozen("simulator"),
    f"SIGSTOP data-streamer for up to {FROZEN_SECONDS:.0f} s": frozen("data-streamer"),
    f"SIGSTOP kafka for up to {FROZEN_SECONDS:.0f} s": frozen("kafka"),
    f"SIGSTOP an executor for up to {FROZEN_SECONDS:.0f} s": executor_frozen,
}
