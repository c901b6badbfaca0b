"""A raw recording of a connection, replayed, gives the identical ticks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from orderflow.market.tick import tick_record
from orderflow.simulator.catalogue import choose
from orderflow.simulator.in_process import SimulatorServer
from orderflow.simulator.market_model import MarketModel
from orderflow.simulator.replay import Recording
from orderflow.upstox.recording import RawRecorder
from tests.feed.rig import INFY, NIFTY, TCS, TEN, Rig, full, message, wire


def published(rig: Rig) -> dict[str, list[bytes]]:
    """Return each instrument's records in order, as bytes, without the receive time."""
    records: dict[str, list[bytes]] = {}
    for tick in rig.sink.ticks:
        record: dict[str, Any] = tick_record(tick)
        del record["received_time_ms"]
        records.setdefault(tick.instrument_key, []).append(json.dumps(record).encode())
    return records


def test_replay_when_of_our_own_recording_then_byte_equal_ticks(tmp_path: Path) -> None:
    keys = (TCS, INFY, NIFTY)
    recorder = RawRecorder(tmp_path)
    with SimulatorServer(MarketModel(choose(",".join(keys)), updates_per_second=20), token="right") as market:
        with Rig(market.feed_url, keys=keys, recorder=recorder) as rig:
            rig.wait_for(lambda: len(rig.sink.ticks) >= 150, "a few seconds of the market")
        first = published(rig)
    (file,) = tmp_path.glob("feed-*.jsonl")
    with SimulatorServer(Recording.open(file, speed=20), token="right") as replay, Rig(replay.feed_url, keys=keys) as again:
        again.wait_for(lambda: len(again.sink.ticks) >= len(rig.sink.ticks), "the whole recording")
    assert len(first[TCS]) > 20
    assert published(again) == first


def test_recording_when_days_change_then_a_file_each_and_the_older_is_packed(tmp_path: Path) -> None:
    recorder = RawRecorder(tmp_path)
    for day in range(2):
        at_ms = TEN + day * 86_400_000
        recorder.write(wire(message(at_ms, {TCS: full(1000 + day, at_ms)})), at_ms)
    recorder.close()
    recorder.join()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["feed-2025-12-15.jsonl.gz", "feed-2025-12-16.jsonl"]
    replayed = Recording.open(tmp_path / "feed-2025-12-15.jsonl.gz")
    assert replayed.keys == (TCS,)
