"""A day of the streamer on a virtual clock, against a feed, a broker and a machine that fail at random.

The streamer's parts are the product's: engine, publisher, spool, restore. Their surroundings are simulated here: a
market whose true volume is known, a feed that conflates it and disconnects, a Kafka that is slow, unreachable, or
stores records without an acknowledgement, and a process that is killed or stopped. `Day.run` returns the content of
Kafka at the end; `Day.check` checks the invariants.
"""

from __future__ import annotations

import random
import threading
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import orjson
from confluent_kafka import KafkaError
from upstox_client.feeder.proto import MarketDataFeedV3_pb2 as pb

from orderflow.broker.lookout import Lookout
from orderflow.broker.publisher import KafkaTickPublisher
from orderflow.broker.resume import StateReader, Stored
from orderflow.broker.spool import Spool
from orderflow.clusters import KafkaCluster
from orderflow.market import topics
from orderflow.market.session import SessionBook, SessionCalendar
from orderflow.market.stored_state import restored_segments
from orderflow.upstox.earlier_spool import continue_spool
from orderflow.upstox.engine import FeedEngine
from orderflow.upstox.resume import restored_state
from tests.feed.rig import INFY, TCS, TEN

KEYS: Final = (TCS, INFY)
PARTITIONS: Final = 2
ABSURD: Final = 10_000_000_000


@dataclass(frozen=True)
class Said:
    """One instrument's part of a message; None is left out."""

    vtt: int | None = None
    ltp: float | None = None
    ltt_ms: int = 0


def packet(at_ms: int, feeds: dict[str, Said], kind: int) -> bytes:
    """Return the bytes of a message."""
    response = pb.FeedResponse(type=kind, currentTs=at_ms)
    for key, said in feeds.items():
        market = response.feeds[key].fullFeed.marketFF
        market.marketLevel.bidAskQuote.add(bidQ=5, bidP=(said.ltp or 100.0) - 0.05, askQ=5, askP=(said.ltp or 100.0) + 0.05)
        if said.vtt is not None:
            market.vtt = said.vtt
            market.ltpc.ltt, market.ltpc.ltq = said.ltt_ms, 1
            if said.ltp is not None:
                market.ltpc.ltp = said.ltp
    return bytes(response.SerializeToString())


@dataclass
class Record:
    """One record in Kafka, with the face of confluent_kafka.Message."""

    name: str
    raw_key: bytes
    raw_value: bytes
    number: int
    position: int = -1

    def topic(self) -> str:
        return self.name

    def key(self) -> bytes:
        return self.raw_key

    def value(self) -> bytes:
        return self.raw_value

    def partition(self) -> int:
        return self.number

    def offset(self) -> int:
        return self.position


class Broker:
    """Keeps each partition's records in their order; `is_up` and `room` are set by the day."""

    def __init__(self) -> None:
        self.logs: dict[tuple[str, int], list[Record]] = {}
        self.is_up = True
        self.room = 10_000
        self.a_poll = 1_000

    def store(self, record: Record) -> None:
        log = self.logs.setdefault((record.name, record.number), [])
        record.position = len(log)
        log.append(record)

    def read(self, topic: str) -> Iterator[Record]:
        for partition in range(PARTITIONS):
            yield from self.logs.get((topic, partition), ())


class Client:
    """An idempotent producer: order is kept and nothing is stored twice, but an acknowledgement may come late or never."""

    def __init__(self, broker: Broker, randomly: random.Random, sleep: Callable[[float], None]) -> None:
        self._broker, self._random, self._sleep = broker, randomly, sleep
        self._queued: list[tuple[Record, Callable[[Any, Any], None]]] = []
        self._stored: list[tuple[Record, Callable[[Any, Any], None]]] = []

    def produce(self, topic: str, **record: Any) -> None:
        if len(self._queued) + len(self._stored) >= self._broker.room:
            raise BufferError
        partition = record.get("partition", zlib.crc32(record["key"]) % PARTITIONS)
        self._queued.append((Record(topic, record["key"], record["value"], partition), record["on_delivery"]))

    def poll(self, timeout: float) -> None:
        if timeout:
            self._sleep(timeout)
        if not self._broker.is_up:
            return
        sent = self._queued[: self._broker.a_poll]
        del self._queued[: len(sent)]
        for record, _ in sent:
            self._broker.store(record)
        self._stored += sent
        if self._random.random() < 0.2:  # the acknowledgement is still on its way
            return
        acknowledged, self._stored = self._stored, []
        for record, on_delivery in acknowledged:
            on_delivery(None, record)

    def purge(self) -> None:
        for waiting, code in ((self._stored, KafkaError._PURGE_INFLIGHT), (self._queued, KafkaError._PURGE_QUEUE)):
            for record, on_delivery in waiting:
                on_delivery(KafkaError(code), record)
        self._queued, self._stored = [], []

    def list_topics(self, topic: str, timeout: float) -> Any:
        return type("Topics", (), {"topics": {topic: type("Topic", (), {"partitions": range(PARTITIONS)})}})

    def __len__(self) -> int:
        return len(self._queued) + len(self._stored)

    def die(self) -> None:
        """Lose records that were not sent; of those being sent, the first few may be stored without an acknowledgement."""
        if self._broker.is_up:
            for record, _ in self._queued[: self._random.randint(0, len(self._queued))]:
                self._broker.store(record)


@dataclass
class Market:
    """The truth: the traded volume, and the intervals of it during which the streamer was not connected."""

    randomly: random.Random
    volume: dict[str, int] = field(default_factory=lambda: {TCS: 1_000, INFY: 500})
    seen: dict[str, int] = field(default_factory=lambda: {TCS: 1_000, INFY: 500})
    missed: dict[str, list[tuple[int, int]]] = field(default_factory=lambda: {TCS: [(1_000, -1)], INFY: [(500, -1)]})

    def trade(self) -> None:
        for key in KEYS:
            if self.randomly.random() < 0.6:
                self.volume[key] += self.randomly.randint(1, 90)

    def miss(self) -> None:
        """Record that the streamer is not connected from the last update on, until `listen`."""
        for key in KEYS:
            self.missed[key].append((self.seen[key], -1))

    def listen(self) -> None:
        for key in KEYS:
            start, end = self.missed[key][-1]
            if end < 0:
                self.missed[key][-1] = (start, self.volume[key])


class Wait(threading.Event):
    """An event that is never set, whose waiting moves the virtual clock."""

    def __init__(self, sleep: Callable[[float], None]) -> None:
        super().__init__()
        self._sleep = sleep

    def wait(self, timeout: float | None = None) -> bool:
        self._sleep(max(0.5, timeout or 0.0))
        return False


class Process:
    """One life of the streamer, from its start to its end."""

    def __init__(self, day: Day, number: int) -> None:
        self._day = day
        self._owner = f"owner-{number}"
        self._spool = Spool(day.directory, 1 << 20, KEYS)
        self.client: Client | None = None
        self.publisher_made = KafkaTickPublisher(
            KafkaCluster("virtual"),
            self._spool,
            self._owner,
            make_client=self._client,
            clock=lambda: day.now_ms / 1_000,
            now_ms=lambda: day.now_ms,
            lookout=Lookout(lambda: False),
        )
        stored = self._stored()
        self.engine = FeedEngine(
            self.publisher_made,
            SessionBook(SessionCalendar(), segments=restored_segments(stored.states)),
            {key: restored_state(key, stored.states.get(key), stored.ticks.get(key, ())) for key in KEYS},
            streamer=self._owner,
        )
        continue_spool(self, self.publisher_made, self.engine, KEYS, Wait(day.sleep))
        self.engine.own(KEYS)

    def _client(self, _on_error: Callable[[KafkaError], None]) -> Client:
        self.client = Client(self._day.broker, self._day.random, self._day.sleep)
        return self.client

    def _stored(self) -> Stored:
        """Read back as `broker.resume.read_stored` does: the last states, then the ticks since their owners' positions."""
        reader = StateReader(lambda _key: True)
        for record in self._day.broker.read(topics.INSTRUMENT_STATE):
            reader.take(record.key().decode(), record.value(), self._day.now_ms, "state")
        assert reader.stored.rejected == 0
        positions = reader.reported_positions()
        for record in self._day.broker.read(topics.TICKS):
            start = min((position.get(str(record.number), 0) for position in positions), default=0)
            if record.offset() >= start and record.key() != b"*":
                reader.stored.ticks.setdefault(record.key().decode(), []).append(orjson.loads(record.value()))
        return reader.stored

    def prepare(self, stopped: Callable[[], bool]) -> None:
        raise NotImplementedError

    def read(self, wanted: Callable[[str], bool], instrument_keys: Iterable[str], stopped: Callable[[], bool]) -> Stored:
        raise NotImplementedError

    def publisher(self, owner: str, on_tick_acknowledged: Callable[[int], None]) -> KafkaTickPublisher:
        raise NotImplementedError

    def spooled(self) -> Iterator[tuple[str, Any]]:
        for record in self._spool.leftovers():
            yield record.topic, orjson.loads(record.value)

    def discard_spooled(self, keys: Iterable[str]) -> None:
        own = {key.encode() for key in keys}
        self._spool.discard_leftovers(lambda record: record.topic == topics.TICKS and record.key not in own)

    def end(self, *, killed: bool) -> None:
        if killed:
            assert self.client is not None
            self.client.die()
            self._spool.close()
            return
        self.engine.close(self._day.now_ms, "asked to stop")
        self.publisher_made.close(3.0)


class Day:
    """One day, all of whose chances come from `seed`."""

    def __init__(self, seed: int, directory: Path) -> None:
        self.seed, self.directory = seed, directory
        self.random = random.Random(seed)
        self.now_ms = TEN
        self.broker = Broker()
        self.market = Market(self.random)
        self._broker_back_ms = 0
        self._connected = False
        self._lives = 0
        self._last: dict[str, Said] | None = None
        self._seen_ms = TEN - 60_000
        self._absurd = False

    def sleep(self, seconds: float) -> None:
        """Advance the time: the market continues, and an unreachable broker comes back."""
        self.now_ms += int(seconds * 1_000)
        self.market.trade()
        if not self.broker.is_up and self.now_ms >= self._broker_back_ms:
            self.broker.is_up = True

    def run(self, steps: int = 30) -> None:
        """Run the day, and end it properly, so that everything known is stored."""
        chance = self.random.random
        process = self._start()
        for _ in range(steps):
            self.sleep(self.random.choice((0.5, 1.0, 2.0, 5.0, 31.0)))
            what = chance()
            if what < 0.04:
                self.broker.is_up, self._broker_back_ms = False, self.now_ms + self.random.choice((2_000, 40_000, 200_000))
            elif what < 0.08:
                self.broker.room = self.random.choice((0, 3, 10_000))
            elif what < 0.11:
                self.broker.a_poll = self.random.choice((1, 5, 1_000))
            elif what < 0.16 and self._connected:
                self._lose(process)
            elif what < 0.19 and self._connected:
                self._overflow(process)
            elif what < 0.24:
                process = self._restart(process, killed=chance() < 0.5)
            if not self._connected and chance() < 0.5:
                self._connect(process)
            elif self._connected:
                self._say(process)
            process.publisher_made.poll()
            process.engine.beat(self.now_ms)
        self.broker.is_up, self.broker.room, self.broker.a_poll = True, 10_000, 1_000
        if not self._connected:
            self._connect(process)
        for _ in range(4):
            self.sleep(1.0)
            self._full(process)
        while process.publisher_made.is_spooling or process.publisher_made.oldest_unacknowledged_seconds() > 0:
            self.sleep(0.5)
            process.publisher_made.poll()
        self._full(process)
        process.end(killed=False)

    def check(self) -> None:
        """Check what must be true of the topics in every case."""
        for key in KEYS:
            ticks = [orjson.loads(record.value()) for record in self.broker.read(topics.TICKS) if record.key() == key.encode()]
            assert [tick["sequence"] for tick in ticks] == list(range(1, len(ticks) + 1)), "sequences have a hole or a repeat"
            baseline = next(tick["vtt"] for tick in ticks if "vtt" in tick and "ltp" in tick)
            total = sum(tick.get("traded_volume", 0) for tick in ticks)
            assert total == self.market.seen[key] - baseline, f"{key}: {total} booked, {self.market.seen[key] - baseline} traded"
            for tick in ticks:
                traded, vtt = tick.get("traded_volume", 0), tick.get("vtt", 0)
                blind = [(a, b) for a, b in self.market.missed[key] if traded and a < vtt and vtt - traded < b]
                assert tick["gap"] or not blind, f"{key}: {traded} up to {vtt} spans {blind} and is not marked"
                assert not traded or tick.get("ltp") is not None, f"{key}: a trade without a price"
        self._check_heartbeats()
        self._check_ledger()

    def _check_heartbeats(self) -> None:
        for partition in range(PARTITIONS):
            beat = 0
            for record in self.broker.logs.get((topics.TICKS, partition), ()):
                tick = orjson.loads(record.value())
                if tick["kind"] == "heartbeat":
                    assert tick["event_time_ms"] >= beat, "a heartbeat went back"
                    beat = tick["event_time_ms"]

    def _check_ledger(self) -> None:
        events = [orjson.loads(record.value()) for record in self.broker.read(topics.FEED_EVENTS)]
        reported = {(event["instrument_key"], event["to_ms"], event["volume"]) for event in events if event["event"] == "gap"}
        for key in KEYS:
            for record in self.broker.read(topics.TICKS):
                tick = orjson.loads(record.value())
                if record.key() == key.encode() and tick["gap"] and self._lives == 1:
                    assert (key, tick["feed_time_ms"], tick["traded_volume"]) in reported, "a gap that the ledger does not know"
        assert all(event["streamer"].startswith("owner-") for event in events)

    def _miss(self) -> None:
        """Disconnect: what the feed repeats afterwards belongs to the time after."""
        self.market.miss()
        self._last = None

    def _start(self) -> Process:
        self._lives += 1
        self.broker.room = 10_000
        return Process(self, self._lives)

    def _restart(self, process: Process, *, killed: bool) -> Process:
        if self._connected:
            self._miss()
        self._connected = False
        process.end(killed=killed)
        self.sleep(self.random.choice((0.5, 8.0, 90.0)))
        return self._start()

    def _lose(self, process: Process) -> None:
        self._miss()
        self._connected = False
        process.engine.lost(self.now_ms, "connection lost")

    def _overflow(self, process: Process) -> None:
        """Messages came faster than they could be handled: some were dropped."""
        self._miss()
        self.sleep(2.0)
        self.market.listen()
        process.engine.overrun("messages came faster than they could be handled")

    def _connect(self, process: Process) -> None:
        self._connected = True
        self.market.listen()
        process.engine.opened(self.now_ms)
        status = pb.FeedResponse(type=pb.market_info, currentTs=self.now_ms)
        status.marketInfo.segmentStatus["NSE_EQ"] = pb.NORMAL_OPEN
        process.engine.message(status.SerializeToString(), self.now_ms + 20)
        kind = self.random.random()
        if kind < 0.5:
            self._full(process, pb.initial_feed)
        elif kind < 0.7:
            self._send(process, {key: Said() for key in KEYS}, pb.initial_feed)
        elif kind < 0.9 and self.now_ms - self._seen_ms > 5_000:  # a more recent one cannot be distinguished from a new one
            stale = {key: Said(self.market.seen[key], 100.0, self._seen_ms) for key in KEYS}
            self._send(process, stale, pb.initial_feed)

    def _say(self, process: Process) -> None:
        kind, volume, ltt_ms = self.random.random(), self.market.volume, self.now_ms - 100
        if kind < 0.1:
            self._send(process, {key: Said() for key in KEYS})
        elif kind < 0.17:
            self._send(process, {key: Said(volume[key], None, ltt_ms) for key in KEYS})
        elif kind < 0.24 and self._last is not None:
            self._send(process, self._last)
        elif kind < 0.26 and not self._absurd:
            self._send(process, {key: Said(ABSURD + volume[key], 100.0, ltt_ms) for key in KEYS})
            self._absurd = True
        else:
            self._full(process)

    def _full(self, process: Process, kind: int = pb.live_feed) -> None:
        self._absurd = False
        price, volume = 100.0 + self.random.randint(-4, 4) / 20, self.market.volume
        self._last = {key: Said(volume[key], price, self.now_ms - 100) for key in KEYS}
        self._send(process, self._last, kind)
        self.market.seen, self._seen_ms = dict(volume), self.now_ms

    def _send(self, process: Process, feeds: dict[str, Said], kind: int = pb.live_feed) -> None:
        process.engine.message(packet(self.now_ms, feeds, kind), self.now_ms + 20)
