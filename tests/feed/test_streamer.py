"""The streamer as a whole, from its settings to ticks and metrics; only Kafka is a list."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from orderflow.settings import load
from orderflow.simulator.in_process import SimulatorServer
from orderflow.upstox.streamer import UpstoxStreamer
from tests.feed.rig import INFY, TCS, ListSink, eventually
from tests.feed.test_modes import asked


class StoredSink(ListSink):
    """A `ListSink` with what health asks of a publisher."""

    spool_bytes = 0

    @property
    def ticks_acknowledged(self) -> int:
        return self.number

    def oldest_unacknowledged_seconds(self) -> float:
        return 0.0

    def spooling_seconds(self) -> float:
        return 0.0

    def has_room(self, feed_time_ms: int) -> bool:
        return feed_time_ms > 0


@dataclass
class NothingStored:
    states: dict[str, dict[str, Any]] = field(default_factory=dict)
    ticks: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    rejects: list[dict[str, Any]] = field(default_factory=list)
    rejected: int = 0


class ListStorage:
    """Stands for Kafka and the spool: empty at the start."""

    def __init__(self) -> None:
        self.sink = StoredSink()

    def prepare(self, stopped: Callable[[], bool]) -> None:
        assert not stopped()

    def read(self, wanted: Callable[[str], bool], instrument_keys: Iterable[str], stopped: Callable[[], bool]) -> NothingStored:
        assert not stopped()
        assert all(map(wanted, instrument_keys))
        return NothingStored()

    def publisher(self, owner: str, on_tick_acknowledged: Callable[[int], None]) -> StoredSink:
        assert owner
        assert callable(on_tick_acknowledged)
        return self.sink

    def spooled(self) -> Iterator[tuple[str, Any]]:
        return iter(())

    def discard_spooled(self, keys: Iterable[str]) -> None:
        assert keys


def test_streamer_when_two_connections_and_modes_are_set_then_ticks_of_all_come_with_them_and_the_log_says_so(
    server: SimulatorServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    watch_list = tmp_path / "watch"
    watch_list.write_text(f"{TCS}\n{INFY}:ltpc\n")
    environ = {
        "INSTRUMENT_FILE": str(watch_list),
        "UPSTOX_CONNECTIONS": "2",
        "UPSTOX_ACCESS_TOKEN": "right",
        "UPSTOX_FEED_URL": server.feed_url,
        "UPSTOX_REST_URL": server.rest_url,
        "INSTRUMENT_MASTER": f"{server.rest_url}/instruments/complete.json.gz",
        "ZOOKEEPER_HOSTS": "none",
        "STREAMER_NAME": "mumbai",
        "SPOOL_DIR": str(tmp_path),
        "HEALTH_PORT": "0",
    }
    storage, registry = ListStorage(), CollectorRegistry()
    streamer = UpstoxStreamer(load(environ, tmp_path / "none"), storage, registry)
    ticks = storage.sink.ticks
    seen: dict[str, Any] = {}

    def follow() -> None:
        try:
            eventually(lambda: len(ticks) == 2 and streamer.health().healthy, lambda: f"no ticks: {streamer.health()}", 30.0)
            seen["requests"] = sorted(asked(server))
            seen["connected"] = registry.get_sample_value("orderflow_feed_connected")
            seen["connections"] = registry.get_sample_value("orderflow_feed_connections_total")
            watch_list.write_text(f"{TCS}\n{INFY}\n")
            eventually(lambda: len(ticks) == 3, lambda: f"no change of mode: {streamer.health()}", 30.0)
        finally:
            streamer.stop()

    following = threading.Thread(target=follow, name="follow")
    following.start()
    with caplog.at_level(logging.INFO, "orderflow"):
        assert streamer.run() == 0
    following.join()
    assert seen == {
        "requests": [("sub", [INFY], "ltpc"), ("sub", [TCS], "full")],
        "connected": 1.0,
        "connections": 2.0,
    }
    assert [(tick.instrument_key, tick.streamer, tick.vtt) for tick in sorted(ticks, key=lambda tick: tick.instrument_key)] == [
        (INFY, "mumbai/2", None),
        (INFY, "mumbai/2", 500),
        (TCS, "mumbai", 1000),
    ]
    assert asked(server)[-1] == ("change_mode", [INFY], "full")
    assert [event["streamer"] for event in storage.sink.events if event["event"] == "stopped"] == ["mumbai", "mumbai/2"]
    assert f"mode ltpc carries no volume, so there will be no trades and no candles of {INFY}" in caplog.text
    assert f"1 instrument in mode full ({TCS}); 1 instrument in mode ltpc ({INFY}); the access token" in caplog.text
