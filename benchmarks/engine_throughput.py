"""The candle engine on one core, from JSON bytes to final candles with footprint: `make bench B=engine_throughput`.

    python benchmarks/engine_throughput.py --recording FILE.jsonl.gz [--clones 4] [--passes 5]

The ticks that the product makes of a recording, cloned over instruments, go through `messages.fold` in one process, as in Spark's
worker. Times are the process's CPU time, the least of all passes for each slice of 250 records, so that other work on the
machine shows as little as possible; shares of it are measured by running each step by itself.
"""

from __future__ import annotations

import argparse
import gc
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from parts.recorded import cloned_messages, recorded_ticks

from orderflow.market import topics
from orderflow.market.engine.messages import fold, messages_of
from orderflow.market.engine.partition import EngineSettings, PartitionEngine
from orderflow.market.engine.sides import sides_of
from orderflow.market.tick import Tick, decode_tick
from orderflow.market.validation import decode_sound
from orderflow.settings import load

SLICE = 250
SENT_AFTER_MS = 5


class Record(NamedTuple):
    """A message as the engine gets it, and its tick."""

    key: bytes
    value: bytes
    sent_ms: int
    tick: Tick


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recording", type=Path, required=True, help="decoded FeedResponses as JSON lines, plain or .gz")
    parser.add_argument("--clones", type=int, default=4, help="instruments for each one of the recording")
    parser.add_argument("--passes", type=int, default=10)
    options = parser.parse_args()
    settings = load({"ENV_FILE": os.devnull})
    engine_settings = EngineSettings(settings.aggressor_rule, settings.watermark_seconds * 1000, settings.exchange_bars)
    records = []
    for key, value in cloned_messages(recorded_ticks(options.recording, settings), options.clones):
        tick = decode_tick(value)
        records.append(Record((key or "*").encode(), value, tick.received_time_ms + SENT_AFTER_MS, tick))
    slices = [records[begin : begin + SLICE] for begin in range(0, len(records), SLICE)]
    kinds = [message.topic for message in fold(PartitionEngine(engine_settings), ((r.key, r.value, r.sent_ms) for r in records))]
    print(
        f"{len(records):,} records of {sum(len(r.value) for r in records) / len(records):.0f} bytes, "
        f"{kinds.count(topics.ORDERFLOW):,} candles, {kinds.count(topics.FOOTPRINT):,} footprint levels; "
        f"load {os.getloadavg()[0]:.1f}"
    )
    gc.collect()
    gc.freeze()  # a worker does not hold the whole recording: its collector must not walk it here either
    report(steps(slices, engine_settings, options.passes), len(records))
    return 0


def steps(slices: list[list[Record]], engine_settings: EngineSettings, passes: int) -> dict[str, float]:
    """Return the CPU seconds of each step over all slices, and of them all together."""

    def whole() -> Iterator[Callable[[], object]]:
        engine = PartitionEngine(engine_settings)
        for part in slices:
            messages = [(record.key, record.value, record.sent_ms) for record in part]
            yield lambda messages=messages: list(fold(engine, messages))

    def decoded() -> Iterator[Callable[[], object]]:
        for part in slices:
            yield lambda part=part: [decode_tick(record.value) for record in part]

    def validated() -> Iterator[Callable[[], object]]:
        for part in slices:
            yield lambda part=part: [decode_sound(each.value, each.key.decode(), each.sent_ms) for each in part]

    def split() -> Iterator[Callable[[], object]]:
        for part in slices:
            yield lambda part=part: [sides_of(record.tick, engine_settings.rule) for record in part]

    def taken() -> Iterator[Callable[[], object]]:
        engine = PartitionEngine(engine_settings)
        for part in slices:
            yield lambda part=part: [engine.take(record.tick) for record in part]

    def written() -> Iterator[Callable[[], object]]:
        engine = PartitionEngine(engine_settings)
        for part in slices:
            outputs = [output for record in part for output in engine.take(record.tick)]
            yield lambda outputs=outputs: [message for output in outputs for message in messages_of(output)]

    runs = {
        "all": whole, "decode": decoded, "validate": validated, "sides": split, "take": taken, "encode": written,
    }  # fmt: skip
    least = {name: [float("inf")] * len(slices) for name in runs}
    closing = [float("inf")] * len(slices)
    for _ in range(passes):
        for name, run in runs.items():
            for number, step in enumerate(run()):
                least[name][number] = min(least[name][number], timed(step))
        clocked = ClosingClock(engine_settings)
        for number, part in enumerate(slices):
            for record in part:
                clocked.take(record.tick)
            closing[number] = min(closing[number], clocked.take_seconds())
    return {name: sum(seconds) for name, seconds in least.items()} | {"closing": sum(closing)}


class ClosingClock(PartitionEngine):
    """An engine that measures how long it closes minutes."""

    seconds = 0.0

    def take_seconds(self) -> float:
        """Return the CPU seconds spent since the last call."""
        seconds, self.seconds = self.seconds, 0.0
        return seconds

    def _settle(self, *arguments: object) -> None:
        began = time.process_time()
        super()._settle(*arguments)  # type: ignore[arg-type]
        self.seconds += time.process_time() - began


def timed(step: Callable[[], object]) -> float:
    """Return the CPU seconds of one call."""
    began = time.process_time()
    step()
    return time.process_time() - began


def report(seconds: dict[str, float], count: int) -> None:
    """Print microseconds a record for each step, and what that makes of a core."""
    of = {name: value / count * 1e6 for name, value in seconds.items()}
    fold_us = of["take"] - of["sides"] - of["closing"]
    rows = [
        ("decode (msgspec, JSON to a typed tick)", of["decode"]),
        ("validate", of["validate"] - of["decode"]),
        ("sides", of["sides"]),
        ("fold", fold_us),
        ("closing (final minutes with footprint)", of["closing"]),
        ("encode what is final", of["encode"]),
    ]
    print("| step | µs a record |\n|---|---|")
    for name, value in rows:
        print(f"| {name} | {value:.2f} |")
    print(f"| all, measured in one piece | {of['all']:.2f} |")
    print(f"{1e6 / of['all']:,.0f} ticks/s on one core; {of['all'] / of['decode']:.2f} times msgspec's decoding alone")


if __name__ == "__main__":
    sys.exit(main())
