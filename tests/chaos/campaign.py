"""`make chaos FAULTS=200 SEED=1 MINUTES=240`: a stack of its own on the simulated market, under faults at random moments.

At the end the invariants are recomputed from what is stored, what Kafka holds and what really traded; a table tells, for every
kind of fault, how often it was injected, how long everything took to work again, and what was lost, doubled or wrong between its
beginning and that of the next fault. Exit code 1 when something did not recover by itself within RECOVERY seconds, or an
invariant does not hold. WITHOUT=datanode2 keeps that service away for the whole run. KEEP=yes leaves the data directory behind.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import statistics
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from chaos import invariants
from chaos.faults import FAULTS, clock_file
from chaos.rig import ROOT, TICKS, ChaosError, Rig, truth, until
from deploy.local import supervision
from orderflow.market.tick import SCHEMA_VERSION

FAKETIME = Path("/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1")
RECOVERY = float(os.environ.get("RECOVERY", "120"))


@dataclass(frozen=True)
class Injected:
    """One fault: when it began (epoch ms), how long its cause lasted, and how long the recovery took (None: it did not)."""

    fault: str
    began_ms: int
    lasted_seconds: float
    recovery_seconds: float | None
    trouble: str = ""


def environment(directory: Path) -> dict[str, str]:
    """Return the environment of the campaign's stack; libfaketime, where installed, is between its streamer and the clock."""
    python = directory / "python"
    directory.mkdir(parents=True, exist_ok=True)
    site = next((Path(sys.prefix) / "lib").glob("python3*/site-packages/pyspark"))
    lines = ["#!/bin/sh"]
    if FAKETIME.is_file():
        (directory / "streamer-clock").write_text("+0s\n")
        lines += [
            'case "$1" in *data_streamer.py)',
            f"  export LD_PRELOAD={FAKETIME} FAKETIME_TIMESTAMP_FILE={directory / 'streamer-clock'}",
            "  export FAKETIME_CACHE_DURATION=1 FAKETIME_DONT_FAKE_MONOTONIC=1 ;;",
            "esac",
        ]
    python.write_text("\n".join([*lines, f'exec {sys.executable} "$@"']) + "\n")
    python.chmod(0o755)
    return {
        **os.environ,
        "PYTHON": str(python),
        "SPARK_HOME": str(site),
        "DATA_DIR": str(directory),
        "PORT_OFFSET": os.environ.get("PORT_OFFSET", "14000"),
        "ENV_FILE": str(directory / "no.env"),
        "TIMEOUT": "600",
        "TICK_STORAGE_TRIGGER_SECONDS": "10",
        "CANDLE_STORAGE_TRIGGER_SECONDS": "10",
        "SIM_TRUTH": str(directory / "truth.jsonl"),
        "SIM_SEED": os.environ.get("SEED", "1"),
        "FEED_RECORDING": "",
    }


def plan(names: list[str], count: int, seed: int) -> list[str]:
    """Return `count` faults: every kind once before any comes again, in a random order each time."""
    rng = random.Random(seed)
    planned: list[str] = []
    while len(planned) < count:
        planned += rng.sample(names, len(names))
    return planned[:count]


def inject(rig: Rig, name: str, rng: random.Random) -> Injected:
    """Inject one fault and wait for the recovery."""
    time.sleep(rng.uniform(0, 10))
    before = rig.progress()
    began_ms, began = int(time.time() * 1000), time.monotonic()
    FAULTS[name](rig, rng)
    lasted = time.monotonic() - began
    try:
        took = rig.recovered(before, RECOVERY)
    except ChaosError as error:
        return Injected(name, began_ms, lasted, None, str(error))
    return Injected(name, began_ms, lasted, took)


def table(done: list[Injected], verdict: invariants.Verdict) -> str:
    """Return the report, a line for each kind of fault; a harm counts against the fault that began last before it."""
    kinds: dict[str, list[Injected]] = defaultdict(list)
    for fault in done:
        kinds[fault.fault].append(fault)
    harms: Counter[tuple[str, str]] = Counter()
    for at_ms, harm in verdict.harms:
        before = [fault for fault in done if fault.began_ms <= at_ms]
        harms[before[-1].fault if before else "", harm] += 1
    lines = [
        "| fault | times | recovery s, p50 | max | not recovered | ticks lost | ticks doubled | candles wrong |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, all_of_it in [*sorted(kinds.items()), *([("**all**", done)] if done else [])]:
        times = [fault.recovery_seconds for fault in all_of_it if fault.recovery_seconds is not None]
        shown = f"{statistics.median(times):.0f} | {max(times):.0f}" if times else "– | –"
        counted = [
            sum(n for (fault, harm), n in harms.items() if harm == kind and name in (fault, "**all**"))
            for kind in ("lost", "doubled", "wrong")
        ]
        lines.append(
            f"| {name} | {len(all_of_it)} | {shown} | {len(all_of_it) - len(times)} | {' | '.join(str(n) for n in counted)} |"
        )
    lines += [
        "",
        f"ticks stored {verdict.ticks}, lost {verdict.ticks_lost}, doubled {verdict.ticks_doubled}; candles {verdict.candles}, "
        f"doubled {verdict.candles_doubled}, wrong {verdict.candles_wrong} of {verdict.candles_checked} with the exchange's bar",
    ]
    return "\n".join(lines)


def published(rig: Rig, date: str, before_ms: int, poison: str = "") -> tuple[dict[tuple[str, int], int], int]:
    """Map (instrument, sequence) of the day's ticks in Kafka to the receive time, if before `before_ms`; and count repeats."""
    volumes: dict[tuple[str, int], int] = {}
    repeats = 0
    for key, value, _ in rig.topic(TICKS):
        try:
            tick = json.loads(value or b"")
            place = (tick["instrument_key"], tick["sequence"])
            of_the_day = tick["trading_date"] == date and tick["kind"] in ("snapshot", "update")
            early = tick["received_time_ms"] < before_ms and tick["schema_version"] == SCHEMA_VERSION
        except (ValueError, KeyError, TypeError):
            continue
        if of_the_day and early and key == place[0].encode() != poison.encode():
            repeats += place in volumes
            volumes[place] = tick["received_time_ms"]
    return volumes, repeats


def judge(
    rig: Rig, date: str, from_ms: int, to_ms: int, *, sums: bool, poison: str = "", footprint: bool = True
) -> invariants.Verdict:
    """Read everything and check every invariant of the minutes within [from_ms, to_ms); `poison` is no instrument."""
    verdict = invariants.Verdict()
    volumes, repeats = published(rig, date, to_ms, poison)
    ticks = rig.stored("ticks", date, invariants.TICK_COLUMNS)
    real = truth(Path(rig.environ["SIM_TRUTH"]))  # after the ticks, whose trades it must hold
    invariants.check_ticks(verdict, ticks, volumes, real)
    if repeats:
        verdict.ticks_doubled += repeats
        verdict.faults.append(f"{repeats} ticks are in Kafka twice")
    candles = rig.stored("candles", date, invariants.CANDLE_COLUMNS)
    invariants.check_candles(verdict, candles, real, from_ms, to_ms, sums=sums)
    if footprint:
        levels = rig.stored("footprint", date, invariants.LEVEL_COLUMNS)
        invariants.check_footprint(verdict, levels, candles, from_ms, to_ms)
    return verdict


def minutes_until_final(rig: Rig) -> None:
    """Wait until reprocess takes the present minute of today: it takes those older than twice the watermark of two minutes."""
    end = (int(time.time()) // 60 + 1) * 60 + 4 * 60 + 30
    while time.time() < end:
        time.sleep(5)
    rig.recovered({}, RECOVERY)


def supervise(rig: Rig, call: str, service: str) -> None:
    """Have the process manager stop or start a service."""
    with supervision.control(rig.stack) as supervisor:
        getattr(supervisor, call)(service)


def own(directory: Path) -> None:
    """Make the campaign's directory. It will be deleted: one that holds anything but a campaign's is refused."""
    marker = directory / "chaos-campaign"
    if directory.is_dir() and any(directory.iterdir()) and not marker.is_file():
        raise SystemExit(
            f"DATA_DIR={directory} is no campaign's, and a campaign deletes its own: name a directory that is not there"
        )
    directory.mkdir(parents=True, exist_ok=True)
    marker.touch()


def run(directory: Path, count: int, seed: int, minutes: float, wanted: Mapping[str, str]) -> int:
    """Run the campaign; return the exit code."""
    own(directory)
    rig = Rig(environment(directory), without=wanted.get("WITHOUT", ""))
    barred = (rig.without, "a DataNode", "safe mode") if rig.without else ()
    words = [word for word in wanted.get("ONLY", "").split(",") if word]
    names = [name for name in FAULTS if not any(word in name for word in barred) and all(word in name for word in words)]
    if not clock_file(rig).is_file():
        names = [name for name in names if "clock" not in name]
        print(f"no {FAKETIME}: faults of the clock are left out (apt-get install libfaketime)")
    done: list[Injected] = []
    began, rng = time.monotonic(), random.Random(seed)
    try:
        rig.local("demo", FEED="simulator")
        rig.settle(300)
        if rig.without:
            supervise(rig, "stopProcess", rig.without)
            print(f"{rig.without} is away from here on", flush=True)
        from_ms = (int(time.time()) // 60 + 1) * 60_000
        date = (datetime.now(UTC) + timedelta(hours=5, minutes=30)).date().isoformat()
        for number, name in enumerate(plan(names, count, seed)):
            if time.monotonic() - began > minutes * 60:
                break
            rig.length = 1.0 if number < len(names) else rng.uniform(0.05, 1.0)
            done.append(inject(rig, name, rng))
            fault = done[-1]
            took = "NOT RECOVERED" if fault.recovery_seconds is None else f"recovered in {fault.recovery_seconds:.0f} s"
            at = f"{datetime.fromtimestamp(fault.began_ms / 1000, UTC):%H:%M:%S}"
            print(f"{at} {name} (lasted {fault.lasted_seconds:.0f} s): {took} {fault.trouble}", flush=True)
            with (directory / "injected.jsonl").open("a") as file:
                file.write(json.dumps(asdict(fault)) + "\n")
        to_ms = int(time.time()) // 60 * 60_000
        if rig.without:
            supervise(rig, "startProcess", rig.without)
            rig.without = ""
        minutes_until_final(rig)
        until("two replicas of everything", rig.short_of_replicas, 300)
        verdict = judge(rig, date, from_ms, to_ms, sums=False)
        print("as streamed:", verdict, flush=True)
        reprocess = [str(ROOT / "bin" / "python3"), "-m", "orderflow", "reprocess", "--date", date]
        difference = rig.command(*reprocess, "--dry-run", timeout=400)
        print(difference, flush=True)
        recomputed = "nothing to apply" in difference
        print(rig.command(*reprocess, timeout=400), flush=True)
        after = judge(rig, date, from_ms, to_ms, sums=True)
        print("after reprocess:", after)
        print(rig.command(str(ROOT / "bin" / "python3"), "-m", "orderflow", "lake", "verify", "--date", date, timeout=400))
        print(f"\nseed {seed}, {(time.monotonic() - began) / 60:.0f} minutes\n\n{table(done, verdict)}")
        if not recomputed:
            print("streaming and batch differ: right only where a bar came while the feed was away")
        return (
            0 if recomputed and verdict.sound and after.sound and all(fault.recovery_seconds is not None for fault in done) else 1
        )
    finally:
        rig.local("stop")
        if wanted.get("KEEP") != "yes":
            shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    environ = os.environ
    sys.exit(
        run(
            Path(environ.get("DATA_DIR") or "/tmp/chaos/campaign"),
            int(environ.get("FAULTS") or 200),
            int(environ.get("SEED") or 1),
            float(environ.get("MINUTES") or 240),
            environ,
        )
    )
