"""The real SDK, supervisor, worker and engine against a faulty server; only Kafka is replaced, by a list."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Self

from google.protobuf import json_format
from upstox_client.feeder.proto import MarketDataFeedV3_pb2 as pb

from orderflow.market.session import SessionBook, SessionCalendar
from orderflow.market.tick import Tick
from orderflow.market.times import IST
from orderflow.simulator.in_process import SimulatorServer
from orderflow.upstox.client import Listener, UpstoxConnection
from orderflow.upstox.clock import SYSTEM
from orderflow.upstox.engine import FeedEngine
from orderflow.upstox.liveness import Liveness
from orderflow.upstox.retry import Backoff
from orderflow.upstox.supervisor import FeedSupervisor
from orderflow.upstox.token import Token, TokenSource
from orderflow.upstox.worker import Lane, Recorder, Worker

TCS = "NSE_EQ|INE467B01029"
INFY = "NSE_EQ|INE009A01021"
NIFTY = "NSE_INDEX|Nifty 50"
TEN = int(datetime(2025, 12, 15, 10, 0, tzinfo=IST).timestamp() * 1000)


def eventually(condition: Callable[[], bool], otherwise: Callable[[], str], seconds: float = 15.0) -> None:
    """Wait for the real sockets and threads to bring something about; `otherwise` says what did not come."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(otherwise())
        time.sleep(0.01)


def full(vtt: int, at_ms: int, ltp: float = 100.0, **fields: Any) -> dict[str, Any]:
    """Return a full feed of a stock whose last trade was just now."""
    market = {
        "ltpc": {"ltp": ltp, "ltt": str(at_ms - 100), "ltq": "1", "cp": 99.0},
        "marketLevel": {"bidAskQuote": [{"bidQ": "10", "bidP": ltp - 0.05, "askQ": "10", "askP": ltp + 0.05}]},
        "vtt": str(vtt),
        **fields,
    }
    return {"fullFeed": {"marketFF": market}, "requestMode": "full_d5"}


def message(at_ms: int, feeds: dict[str, Any], kind: str | None = "live_feed") -> dict[str, Any]:
    """Return a decoded FeedResponse."""
    return {**({"type": kind} if kind else {}), "feeds": feeds, "currentTs": str(at_ms)}


def wire(content: dict[str, Any]) -> bytes:
    """Return the bytes of a decoded FeedResponse."""
    return bytes(json_format.ParseDict(content, pb.FeedResponse()).SerializeToString())


def opening() -> list[dict[str, Any]]:
    """Return the market status and the first state of two stocks, at ten o'clock."""
    status = {"type": "market_info", "currentTs": str(TEN - 50), "marketInfo": {"segmentStatus": {"NSE_EQ": "NORMAL_OPEN"}}}
    return [status, message(TEN, {TCS: full(1000, TEN), INFY: full(500, TEN)}, None)]


@dataclass
class ListSink:
    """Stands for Kafka: everything is stored at once, or not at all while `down`."""

    ticks: list[Tick] = field(default_factory=list)
    heartbeats: list[Tick] = field(default_factory=list)
    events: list[dict[str, Any]] = field(default_factory=list)
    rejects: list[dict[str, Any]] = field(default_factory=list)
    states: dict[str, Callable[[], dict[str, Any]]] = field(default_factory=dict)
    is_spooling: bool = False
    full: bool = False
    number: int = 0

    def tick(self, tick: Tick) -> bool:
        if self.full:
            return False
        self.ticks.append(tick)
        self.number += 1
        return True

    def heartbeat(self, tick: Tick) -> None:
        self.heartbeats.append(tick)

    def event(self, record: dict[str, Any]) -> None:
        self.events.append(record)

    def reject(self, record: dict[str, Any]) -> None:
        self.rejects.append(record)

    def state(self, key: str, record: Callable[[], dict[str, Any]]) -> None:
        self.states[key] = record

    def backlog_number(self) -> int:
        return self.number

    def is_acknowledged(self, number: int) -> bool:
        return self.number >= number

    def oldest_unacknowledged_seconds(self) -> float:
        return 0.0

    def poll(self) -> None:
        pass

    def close(self, timeout_seconds: float) -> None:
        pass


class AlwaysSoon(Backoff):
    """Ignores what the server asked for, so that a test need not wait."""

    def next_delay(self, least_seconds: float = 0.0) -> float:
        self.failures += 1
        return 0.1


class Rig:
    """A running streamer without Kafka; a context manager. Delays are short so that tests are."""

    def __init__(
        self,
        url: str,
        *,
        tokens: TokenSource | None = None,
        ca_file: Path | None = None,
        keys: tuple[str, ...] = (TCS, INFY),
        modes: Mapping[str, str] | None = None,
        stall_seconds: float = 30.0,
        first_message_seconds: float = 20.0,
        cap_seconds: float = 0.4,
        backoff: Backoff | None = None,
        recorder: Recorder | None = None,
        sink: ListSink | None = None,
    ) -> None:
        self.sink = sink or ListSink()
        self.engine = FeedEngine(self.sink, SessionBook(SessionCalendar()))
        self.engine.own(keys)
        modes = {**dict.fromkeys(keys, "full"), **(modes or {})}
        self.engine.subscribed(modes)
        self.lane = Lane(self.engine)
        self.inbox = self.lane.inbox
        self.liveness = Liveness(stall_seconds, first_message_seconds)
        self.worker = Worker((self.lane,), self.sink, recorder)

        def connect(token: Token, wanted: Mapping[str, str], listener: Listener) -> UpstoxConnection:
            return UpstoxConnection(url, ca_file, token.value, wanted, listener)

        self.supervisor = FeedSupervisor(
            connect,
            tokens or TokenSource("right", None, Path("/nonexistent")),
            self.inbox,
            modes,
            self.lane.is_continuous,
            self.lane.live_messages,
            SYSTEM.now_ms,
            backoff=backoff or Backoff(lambda: 0.0, base_seconds=0.1, cap_seconds=cap_seconds),
            liveness=self.liveness,
        )
        self._thread = threading.Thread(target=self.supervisor.run, name="supervisor")

    def __enter__(self) -> Self:
        self.worker.start()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.supervisor.stop()
        self._thread.join(15)
        self.worker.stop(1.0)
        assert not self._thread.is_alive()
        if self.worker.error is not None:
            raise self.worker.error

    @property
    def state(self) -> str:
        return self.supervisor.status.state

    def ticks(self, key: str) -> list[Tick]:
        return [tick for tick in self.sink.ticks if tick.instrument_key == key]

    def last_vtt(self, key: str = TCS) -> int | None:
        ticks = self.ticks(key)
        return ticks[-1].vtt if ticks else None

    def event_names(self) -> list[str]:
        return [event["event"] for event in self.sink.events]

    def wait_for(self, condition: Callable[[], bool], what: str, seconds: float = 15.0) -> None:
        """Wait for the real sockets and threads to bring something about."""
        eventually(condition, lambda: f"{what} did not come about; state {self.state}, events {self.event_names()}", seconds)

    def assert_volume_exact(self, baseline: int = 1000, key: str = TCS) -> None:
        """Check that the sum of traded_volume is last vtt - baseline, and that sequences have no hole."""
        ticks = self.ticks(key)
        volumes = [tick.vtt for tick in ticks if tick.vtt is not None]
        assert sum(tick.traded_volume or 0 for tick in ticks) == max(volumes) - baseline
        assert [tick.sequence for tick in ticks] == list(range(1, len(ticks) + 1))


def push(server: SimulatorServer, vtt: int, at_ms: int, key: str = TCS, **fields: Any) -> None:
    """Let the market go on by one update."""
    server.push(message(at_ms, {key: full(vtt, at_ms, **fields)}))
