"""The candle query far behind, and killed on the way: `make bench B=candle_catch_up ARGS="--recording FILE"`.

    python benchmarks/candle_catch_up.py --recording FILE.jsonl.gz [--ticks 2200000] [--kills 3] [--heap 600m] [--seed 1]

It fills a topic as candle_engine.py does and runs the query as deployed over it twice, with so much heap: once without a break,
and once killed (SIGKILL, all of its processes) so many times and started again. Exit code 1 unless both publish the same
messages, repeats left out, and no batch is larger than its bound.
"""

from __future__ import annotations

import argparse
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from candle_engine import PARTITIONS, ROOT, SCRIPTS, ends_of, fill, machine, read
from parts.broker import Broker

from orderflow.market import topics
from orderflow.processing.queries import CANDLE_BATCH_ROWS

RESULTS = (topics.ORDERFLOW, topics.FOOTPRINT, topics.FEED_EVENTS)
Published = tuple[set[tuple[str, bytes]], ...]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recording", type=Path, required=True, help="decoded FeedResponses as JSON lines, plain or .gz")
    parser.add_argument("--ticks", type=int, default=2_200_000, help="about how many ticks the topic gets")
    parser.add_argument("--kills", type=int, default=3)
    parser.add_argument("--heap", default="600m", help="of the JVM that is driver and executor in one")
    parser.add_argument("--seed", type=int, default=1, help="of the moments of the kills")
    parser.add_argument("--artifacts", type=Path, default=Path(os.environ.get("ARTIFACTS_DIR") or ROOT / ".cache/artifacts"))
    options = parser.parse_args()
    options.artifacts = options.artifacts.resolve()
    print(machine())
    with tempfile.TemporaryDirectory() as made:
        directory = Path(made)
        broker = Broker(options.artifacts / "kafka", directory, heap="512m")
        broker.start()
        try:
            count, size, instruments = fill(options, broker.address)
            print(f"{count:,} ticks of {size / count:.0f} bytes, {instruments} instruments, heap {options.heap}", flush=True)
            whole, seconds = run(options, broker.address, directory / "whole", [])
            print(f"without a break: {seconds:.0f} s, {count / seconds:,.0f} ticks/s; {counts(whole)}", flush=True)
            rng = random.Random(options.seed)
            after = [rng.uniform(0.3, 0.9) * seconds / (options.kills + 1) + 20 for _ in range(options.kills)]
            killed, seconds = run(options, broker.address, directory / "killed", after)
            print(f"killed after {', '.join(f'{each:.0f}' for each in after)} s: {seconds:.0f} s; {counts(killed)}", flush=True)
        finally:
            broker.kill()
    if whole != killed:
        for topic, one, other in zip(RESULTS, whole, killed, strict=True):
            print(f"{topic}: {len(one - other)} only without a break, {len(other - one)} only when killed")
        return 1
    print("both published the same")
    return 0


def run(options: argparse.Namespace, brokers: str, state: Path, kill_after: list[float]) -> tuple[Published, float]:
    """Run the query to the topic's end, killing it after so many seconds each; returns what it published, and the seconds."""
    state.mkdir()
    before = [ends_of(brokers, topic) for topic in RESULTS]
    command = [sys.executable, str(SCRIPTS / "ours.py"), "--brokers", brokers, "--heap", options.heap, "--state", str(state)]
    command += ["--partitions", str(PARTITIONS), "--jars", str(options.artifacts / "spark")]
    began = time.monotonic()
    for seconds in [*kill_after, None]:
        with (state / "errors.log").open("ab") as errors:
            process = subprocess.Popen(command, stdout=errors, stderr=errors, start_new_session=True)
        try:
            ended = process.wait(seconds)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            continue
        if ended:
            raise RuntimeError(f"the query ended with {ended}:\n{(state / 'errors.log').read_text()[-3_000:]}")
        if seconds is not None:
            raise RuntimeError(f"the query was through before it could be killed after {seconds:.0f} s: give more ticks")
    took = time.monotonic() - began
    batches = [int(size) for size in re.findall(r"batch \d+: (\d+) messages", (state / "errors.log").read_text())]
    if max(batches) > CANDLE_BATCH_ROWS:
        raise RuntimeError(f"a batch had {max(batches)} messages")
    return tuple(set(read(brokers, topic, begin)) for topic, begin in zip(RESULTS, before, strict=True)), took


def counts(published: Published) -> str:
    """Say how many different messages each topic got."""
    return ", ".join(f"{len(messages):,} of {topic}" for topic, messages in zip(RESULTS, published, strict=True))


if __name__ == "__main__":
    sys.exit(main())
