"""`make chaos FAULTS=200 SEED=1 MINUTES=240`: a stack of its own on the simulated market, under faults at random moments.

At the end the invariants are recomputed from what is stored, what Kafka holds and what really traded; a table tells, for every
kind of fault, how often it was injected and how long everything took to work again. Exit code 1 when something did not recover
by itself within RECOVERY seconds, or an invariant does not hold. KEEP=yes leaves the data directory behind.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import statistics
import sys
import time
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from chaos import invariants
from chaos.faults import FAULTS, clock_file
from chaos.rig import ROOT, TICKS, ChaosError, Rig, truth

FAKETIME = Path("/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1")
RECOVERY = float(os.environ.get("RECOVERY", "240"))


@dataclass(frozen=True)
class Injected:
    """One fault: when it began, how long its cause lasted, and how long the recovery took (None: it did not)."""

    fault: str
    at: str
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
    at, began = datetime.now(UTC).strftime("%H:%M:%S"), time.monotonic()
    FAULTS[name](rig, rng)
    lasted = time.monotonic() - began
    try:
        took = rig.recovered(before, RECOVERY)
    except ChaosError as error:
        return Injected(name, at, lasted, None, str(error))
    return Injected(name, at, lasted, took)


def table(done: list[Injected], verdict: invariants.Verdict) -> str:
    """Return the report: one line a kind of fault, then the run's totals; a loss could not be told to one fault."""
    kinds: dict[str, list[Injected]] = defaultdict(list)
    for one in done:
        kinds[one.fault].append(one)
    lines = ["| fault | times | recovery s, p50 | max | not recovered |", "|---|---|---|---|---|"]
    for name, all_of_it in sorted(kinds.items()):
        times = [one.recovery_seconds for one in all_of_it if one.recovery_seconds is not None]
        shown = f"{statistics.median(times):.0f} | {max(times):.0f}" if times else "– | –"
        lines.append(f"| {name} | {len(all_of_it)} | {shown} | {len(all_of_it) - len(times)} |")
    every = [one.recovery_seconds for one in done if one.recovery_seconds is not None]
    if every:
        lines.append(f"| **all** | {len(done)} | {statistics.median(every):.0f} | {max(every):.0f} | {len(done) - len(every)} |")
    lines += [
        "",
        f"ticks stored {verdict.ticks}, lost {verdict.ticks_lost}, doubled {verdict.ticks_doubled}; candles {verdict.candles}, "
        f"doubled {verdict.candles_doubled}, wrong {verdict.candles_wrong} of {verdict.candles_checked} with the exchange's bar",
    ]
    return "\n".join(lines)


def published(rig: Rig, date: str, before_ms: int) -> tuple[set[tuple[str, int]], int]:
    """Return (instrument, sequence) of the day's ticks that Kafka holds, received before `before_ms`, and how many repeat one."""
    found: set[tuple[str, int]] = set()
    repeats = 0
    for key, value, _ in rig.topic(TICKS):
        try:
            tick = json.loads(value or b"")
            place = (tick["instrument_key"], tick["sequence"])
            of_the_day = tick["trading_date"] == date and tick["kind"] in ("snapshot", "update") and tick["schema_version"] == 1
            early = tick["received_time_ms"] < before_ms
        except (ValueError, KeyError, TypeError):
            continue
        if of_the_day and early and key == place[0].encode():
            repeats += place in found
            found.add(place)
    return found, repeats


def judge(rig: Rig, date: str, from_ms: int, to_ms: int, *, sums: bool) -> invariants.Verdict:
    """Read everything and check every invariant of the minutes within [from_ms, to_ms)."""
    verdict = invariants.Verdict()
    told, repeats = published(rig, date, to_ms)
    real = truth(Path(rig.environ["SIM_TRUTH"]))
    invariants.check_ticks(verdict, rig.stored("ticks", date, invariants.TICK_COLUMNS), told, real)
    if repeats:
        verdict.ticks_doubled += repeats
        verdict.faults.append(f"{repeats} ticks are in Kafka twice")
    invariants.check_candles(verdict, rig.stored("candles", date, invariants.CANDLE_COLUMNS), real, from_ms, to_ms, sums=sums)
    return verdict


def minutes_until_final(rig: Rig) -> None:
    """Wait until reprocess takes the present minute of today: it takes those older than twice the watermark of two minutes."""
    end = (int(time.time()) // 60 + 1) * 60 + 4 * 60 + 30
    while time.time() < end:
        time.sleep(5)
    rig.recovered({}, RECOVERY)


def run(directory: Path, count: int, seed: int, minutes: float, wanted: Mapping[str, str]) -> int:
    """Run the campaign; return the exit code."""
    rig = Rig(environment(directory))
    names = [name for name in FAULTS if all(word in name for word in wanted.get("ONLY", "").split(",") if word)]
    if not clock_file(rig).is_file():
        names = [name for name in names if "clock" not in name]
        print(f"no {FAKETIME}: faults of the clock are left out (apt-get install libfaketime)")
    done: list[Injected] = []
    began, rng = time.monotonic(), random.Random(seed)
    try:
        rig.local("demo", FEED="simulator")
        rig.settle(300)
        from_ms = (int(time.time()) // 60 + 1) * 60_000
        date = (datetime.now(UTC) + timedelta(hours=5, minutes=30)).date().isoformat()
        for name in plan(names, count, seed):
            if time.monotonic() - began > minutes * 60:
                break
            done.append(inject(rig, name, rng))
            one = done[-1]
            took = "NOT RECOVERED" if one.recovery_seconds is None else f"recovered in {one.recovery_seconds:.0f} s"
            print(f"{one.at} {name} (lasted {one.lasted_seconds:.0f} s): {took} {one.trouble}", flush=True)
            with (directory / "injected.jsonl").open("a") as file:
                file.write(json.dumps(asdict(one)) + "\n")
        to_ms = int(time.time()) // 60 * 60_000
        minutes_until_final(rig)
        verdict = judge(rig, date, from_ms, to_ms, sums=False)
        print("as streamed:", verdict, flush=True)
        reprocess = [str(ROOT / "bin" / "python3"), "-m", "orderflow", "reprocess", "--date", date]
        print(rig.command(*reprocess, "--dry-run", timeout=400), flush=True)
        print(rig.command(*reprocess, timeout=400), flush=True)
        after = judge(rig, date, from_ms, to_ms, sums=True)
        print("after reprocess:", after)
        print(f"\nseed {seed}, {(time.monotonic() - began) / 60:.0f} minutes\n\n{table(done, verdict)}")
        return 0 if verdict.sound and after.sound and all(one.recovery_seconds is not None for one in done) else 1
    finally:
        rig.local("stop")
        if wanted.get("KEEP") != "yes":
            shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    told = os.environ
    sys.exit(
        run(
            Path(told.get("DATA_DIR") or "/tmp/chaos/campaign"),
            int(told.get("FAULTS") or 200),
            int(told.get("SEED") or 1),
            float(told.get("MINUTES") or 240),
            told,
        )
    )
