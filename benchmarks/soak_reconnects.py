"""Soak the feed client: reconnects at random moments over a replayed hour, with exact volume, flat memory and flat threads.

    python benchmarks/soak_reconnects.py --recording ../shared/data/upstox/2025-12-15_open_3eq.jsonl.gz [--reconnects 200]

The recording is replayed faster than real time by the simulator, on a thread of this process; the real SDK, supervisor, worker
and engine receive it. Connections end in every way the simulator knows: close frames, TCP resets, a server that goes away.
Without a recording the market model runs instead. Exit code 1 when a volume is wrong, a sequence has a hole, or memory or
threads grow.
"""

from __future__ import annotations

import argparse
import random
import sys
import threading
import time
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from orderflow.market.tick import Tick
from orderflow.simulator.catalogue import choose
from orderflow.simulator.in_process import SimulatorServer
from orderflow.simulator.market_model import MarketModel
from orderflow.simulator.replay import Recording
from orderflow.simulator.source import Source
from tests.feed.rig import AlwaysSoon, ListSink, Rig

MOST_GROWTH_KIB = 8 * 1024


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--recording", type=Path)
    parser.add_argument("--reconnects", type=int, default=200)
    parser.add_argument("--speed", type=float, default=16.0)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    source: Source = (
        Recording.open(options.recording, speed=options.speed)
        if options.recording
        else MarketModel(choose("5"), updates_per_second=20, seed=options.seed)
    )
    rng = random.Random(options.seed)
    memory: list[int] = []
    threads: list[int] = []
    began = time.monotonic()
    sink = FoldingSink()
    with SimulatorServer(source, token="right") as server:
        cuts = (server.reset_all, server.close_all, lambda: server.close_all(1000), lambda: server.close_all(1011))
        with Rig(server.feed_url, keys=tuple(source.keys), backoff=AlwaysSoon(lambda: 0.0), sink=sink) as rig:
            for number in range(options.reconnects):
                opened = rig.supervisor.status.connections
                rig.wait_for(lambda: rig.state == "connected" and server.connections == 1, "a connection", 30)
                time.sleep(rng.uniform(0.0, 2.0) if number % 10 else 0.0)
                rng.choice(cuts)()
                rig.wait_for(lambda before=opened: rig.supervisor.status.connections > before, "a reconnect", 30)
                server.server.requests.clear()
                if number % 10 == 9:
                    rig.wait_for(lambda: rig.state == "connected" and server.connections == 1, "a connection", 30)
                    time.sleep(0.3)
                    memory.append(resident_kib())
                    threads.append(threading.active_count())
                    print(f"{number + 1} reconnects, {sink.number} ticks, {memory[-1]} KiB, {threads[-1]} threads", flush=True)
    wrong = [key for key, volume in sink.volumes.items() if not volume.is_exact()]
    growth = memory[-1] - memory[len(memory) // 4]
    flat = growth < MOST_GROWTH_KIB and max(threads) - min(threads) <= 1
    print(
        f"{options.reconnects} reconnects in {time.monotonic() - began:.0f} s, {sink.number} ticks, {sink.gaps} gaps; volume "
        f"{f'exact for {len(sink.volumes)} instruments' if not wrong else f'WRONG for {wrong}'}; resident {memory[0]} to "
        f"{memory[-1]} KiB, simulator included; threads {min(threads)} to {max(threads)}"
    )
    return 0 if not wrong and flat else 1


@dataclass
class Volume:
    """What must hold of one instrument."""

    first: int | None = None
    most: int = 0
    summed: int = 0
    sequence: int = 0
    in_order: bool = True

    def is_exact(self) -> bool:
        return self.in_order and (self.first is None or self.summed == self.most - self.first)


class FoldingSink(ListSink):
    """Folds ticks into volumes and keeps none, so that memory is the product's own."""

    def __init__(self) -> None:
        super().__init__()
        self.volumes: defaultdict[str, Volume] = defaultdict(Volume)
        self.gaps = 0

    def tick(self, tick: Tick) -> bool:
        self.number += 1
        volume = self.volumes[tick.instrument_key]
        volume.in_order &= tick.sequence == volume.sequence + 1
        volume.sequence = tick.sequence
        volume.summed += tick.traded_volume or 0
        if tick.vtt is not None:
            volume.first = tick.vtt if volume.first is None else volume.first
            volume.most = max(volume.most, tick.vtt)
        return True

    def heartbeat(self, tick: Tick) -> None:
        """Drop it."""

    def event(self, record: dict[str, Any]) -> None:
        self.gaps += record["event"] == "gap"


def resident_kib() -> int:
    """Return this process's resident memory."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1])
    raise RuntimeError("no VmRSS in /proc/self/status")


if __name__ == "__main__":
    sys.exit(main())
