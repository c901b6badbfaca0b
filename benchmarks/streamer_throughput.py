"""Measure the streamer on one core, from protobuf bytes to acknowledged Kafka records.

    python benchmarks/streamer_throughput.py --brokers 127.0.0.1:9092 [--recording FILE] [--producer kafka-python]

It creates its own topics (with `upstox_ticks` settings, under the broker given, which must not be in use otherwise), pins the
process to one core, and runs the product's engine and publisher: first as fast as it can, then at 2,000 updates a second,
where the latency of each update is from the bytes at hand to Kafka's acknowledgement. With `--producer kafka-python` the
publisher's producer is replaced by a KafkaProducer (acks=all, idempotent), to compare the two clients.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from google.protobuf import json_format
from kafka import KafkaAdminClient, KafkaProducer
from kafka.admin import NewTopic
from kafka.errors import TopicAlreadyExistsError
from upstox_client.feeder.proto import MarketDataFeedV3_pb2 as pb

from orderflow.broker import publisher as publishing
from orderflow.broker.publisher import KafkaTickPublisher
from orderflow.broker.spool import Spool
from orderflow.clusters import KafkaCluster
from orderflow.market import topics
from orderflow.market.session import SessionBook, SessionCalendar
from orderflow.upstox.engine import FeedEngine

INSTRUMENTS = 200
PER_MESSAGE = 4
TEN_O_CLOCK_MS = 1_765_773_000_000
"""2025-12-15 10:00 IST, in continuous trading."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--brokers", default="127.0.0.1:9092")
    parser.add_argument("--producer", choices=("confluent-kafka", "kafka-python"), default="confluent-kafka")
    parser.add_argument("--updates", type=int, default=60_000)
    parser.add_argument("--rate", type=float, default=2_000)
    parser.add_argument("--seconds", type=float, default=10.0)
    options = parser.parse_args()
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    create_topics(options.brokers)
    messages = synthetic(options.updates // PER_MESSAGE)
    with tempfile.TemporaryDirectory() as directory:
        stream = Stream(options, Path(directory))
        stream.run(messages[:500], rate=None)
        count, seconds, cpu = stream.run(messages, rate=None)
        print(f"{options.producer}: {count / seconds:,.0f} updates/s, {cpu / count * 1e6:.1f} us of CPU an update, on one core")
        paced = synthetic(int(options.rate * options.seconds) // PER_MESSAGE)
        stream.latencies.clear()
        count, seconds, cpu = stream.run(paced, rate=options.rate)
        ordered = sorted(stream.latencies)
        p50, p99 = ordered[len(ordered) // 2], ordered[int(len(ordered) * 0.99)]
        print(
            f"{options.producer}: at {count / seconds:,.0f} updates/s p50 {p50 * 1e3:.1f} ms, p99 {p99 * 1e3:.1f} ms, "
            f"max {ordered[-1] * 1e3:.1f} ms, {cpu / seconds * 100:.0f} % of the core"
        )


class Stream:
    """The product's engine and publisher, with the time of every update's arrival kept."""

    def __init__(self, options: argparse.Namespace, directory: Path) -> None:
        self.latencies: list[float] = []
        self.started: dict[int, float] = {}
        self.acknowledged = 0
        producer_class = publishing.Producer
        if options.producer == "kafka-python":
            publishing.Producer = KafkaPython  # type: ignore[assignment, misc]
        self.publisher = KafkaTickPublisher(
            KafkaCluster(options.brokers), Spool(directory, 1 << 30), "benchmark", on_tick_acknowledged=self._acknowledged
        )
        publishing.Producer = producer_class
        self.engine = FeedEngine(self.publisher, SessionBook(SessionCalendar()))
        self.engine.own(key(number) for number in range(INSTRUMENTS))

    def run(self, messages: list[tuple[int, bytes]], rate: float | None) -> tuple[int, float, float]:
        expected = self.acknowledged + len(messages) * PER_MESSAGE
        cpu = time.process_time()
        began = time.perf_counter()
        for number, (feed_time_ms, payload) in enumerate(messages):
            if rate is not None:
                due = began + number * PER_MESSAGE / rate
                while (left := due - time.perf_counter()) > 0:
                    self.publisher.poll()
                    time.sleep(min(left, 0.001))
            self.started[feed_time_ms] = time.perf_counter()
            self.engine.message(payload, feed_time_ms + 20)
            if rate is not None or number % 50 == 0:
                self.publisher.poll()
        while self.acknowledged < expected:
            self.publisher.poll()
            time.sleep(0.0005)
        return len(messages) * PER_MESSAGE, time.perf_counter() - began, time.process_time() - cpu

    def _acknowledged(self, feed_time_ms: int) -> None:
        self.acknowledged += 1
        self.latencies.append(time.perf_counter() - self.started[feed_time_ms])


class KafkaPython:
    """Gives a KafkaProducer the face of confluent-kafka's, as far as the publisher uses it."""

    def __init__(self, options: dict[str, Any]) -> None:
        self._producer = KafkaProducer(
            bootstrap_servers=options["bootstrap.servers"],
            acks="all",
            enable_idempotence=True,
            linger_ms=2,
            batch_size=65_536,
            delivery_timeout_ms=600_000,
        )
        self._waiting = 0

    def produce(
        self, topic: str, *, value: bytes, key: bytes, partition: int | None = None, timestamp: int, on_delivery: Any
    ) -> None:
        self._waiting += 1

        def stored(metadata: Any) -> None:
            self._waiting -= 1
            on_delivery(None, _Stored(topic, metadata.partition, metadata.offset))

        sent = self._producer.send(topic, value=value, key=key, partition=partition, timestamp_ms=timestamp)
        sent.add_callback(stored)

    def poll(self, timeout: float) -> None:
        """Do nothing: KafkaProducer calls back on its own thread."""

    def __len__(self) -> int:
        return self._waiting


class _Stored:
    def __init__(self, topic: str, partition: int, offset: int) -> None:
        self.topic, self.partition, self.offset = (lambda: topic), (lambda: partition), (lambda: offset)


def key(number: int) -> str:
    return f"NSE_EQ|INE{number:06}01"


def synthetic(count: int, seed: int = 7) -> list[tuple[int, bytes]]:
    """Return `count` messages of four instruments each in the feed's full shape; times ten milliseconds apart."""
    rng = random.Random(seed)
    synthetic.epoch_ms = getattr(synthetic, "epoch_ms", TEN_O_CLOCK_MS)  # type: ignore[attr-defined]
    vtt = getattr(synthetic, "vtt", [1000] * INSTRUMENTS)
    synthetic.vtt = vtt  # type: ignore[attr-defined]
    messages: list[tuple[int, bytes]] = []
    for _ in range(count):
        synthetic.epoch_ms += 10  # type: ignore[attr-defined]
        at_ms: int = synthetic.epoch_ms  # type: ignore[attr-defined]
        feeds = {}
        for number in rng.sample(range(INSTRUMENTS), PER_MESSAGE):
            vtt[number] += rng.randrange(0, 50)
            price = round(1000 + rng.random(), 2)
            bar = {"interval": "I1", "open": price, "high": price, "low": price, "close": price, "vol": "70"}
            bar["ts"] = str(at_ms - at_ms % 60_000 - 60_000)
            quotes = [
                {"bidQ": "10", "bidP": price - 0.05 * level, "askQ": "12", "askP": price + 0.05 * level} for level in range(1, 6)
            ]
            market = {
                "ltpc": {"ltp": price, "ltt": str(at_ms - 200), "ltq": "5", "cp": 990.0},
                "marketLevel": {"bidAskQuote": quotes},
                "marketOHLC": {"ohlc": [{**bar, "interval": "1d"}, bar]},
                "atp": price,
                "vtt": str(vtt[number]),
                "tbq": 5000.0,
                "tsq": 6000.0,
            }
            feeds[key(number)] = {"fullFeed": {"marketFF": market}, "requestMode": "full_d5"}
        message = {"type": "live_feed", "feeds": feeds, "currentTs": str(at_ms)}
        messages.append((at_ms, json_format.ParseDict(message, pb.FeedResponse()).SerializeToString()))
    return messages


def create_topics(brokers: str) -> None:
    admin = KafkaAdminClient(bootstrap_servers=brokers)
    for name, partitions in ((topics.TICKS, 2), (topics.FEED_EVENTS, 1), (topics.REJECTS, 1), (topics.INSTRUMENT_STATE, 1)):
        try:
            admin.create_topics([NewTopic(name, num_partitions=partitions, replication_factor=1)])
        except TopicAlreadyExistsError:
            continue
    admin.close()


if __name__ == "__main__":
    main()
