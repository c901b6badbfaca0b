"""Take Kafka away for two minutes at 5,000 ticks a second: nothing may be lost, doubled or out of order.

    python benchmarks/kafka_outage.py [--rate 5000] [--outage 120] [--artifacts .cache/artifacts/kafka]

Starts a broker of its own from the project's artifacts on free ports, kills it with SIGKILL in full flow, starts it again,
and reads the topic back. The product's engine, publisher and spool do the work. Exit code 1 on any difference.
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

import orjson
from confluent_kafka import Consumer, TopicPartition
from google.protobuf import json_format
from parts.broker import Broker
from upstox_client.feeder.proto import MarketDataFeedV3_pb2 as pb

from orderflow.broker.publisher import KafkaTickPublisher
from orderflow.broker.setup import setup_topics
from orderflow.broker.spool import Spool
from orderflow.clusters import KafkaCluster
from orderflow.market import topics
from orderflow.market.session import SessionBook, SessionCalendar
from orderflow.settings import load
from orderflow.upstox.engine import FeedEngine

ROOT = Path(__file__).resolve().parent.parent
INSTRUMENTS = 50
PER_MESSAGE = 5
TEN_O_CLOCK_MS = 1_765_773_000_000


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rate", type=float, default=5_000)
    parser.add_argument("--outage", type=float, default=120.0)
    parser.add_argument("--around", type=float, default=10.0)
    parser.add_argument("--artifacts", type=Path, default=ROOT / ".cache/artifacts/kafka")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        broker = Broker(options.artifacts, Path(directory))
        broker.start()
        try:
            return run(options, broker, Path(directory) / "spool")
        finally:
            broker.kill()


def run(options: argparse.Namespace, broker: Broker, spool: Path) -> int:
    settings = load({"KAFKA_BROKERS": broker.address, "KAFKA_RETENTION_BYTES": str(8 << 30)}, Path("/nonexistent"))
    setup_topics(settings)
    publisher = KafkaTickPublisher(KafkaCluster(broker.address), Spool(spool, 2 << 30), "outage")
    engine = FeedEngine(publisher, SessionBook(SessionCalendar()))
    engine.own(key(number) for number in range(INSTRUMENTS))
    market = Market()
    flow(market, engine, publisher, options.rate, options.around)
    broker.kill()
    flow(market, engine, publisher, options.rate, options.outage)
    spooled, resident = publisher.spool_bytes, resident_kib()
    broker.start()
    began = time.monotonic()
    flow(market, engine, publisher, options.rate, options.around)
    while not publisher.is_acknowledged(publisher.backlog_number()):
        publisher.poll()
        time.sleep(0.001)
    drained = time.monotonic() - began
    publisher.close(10.0)
    wrong = compared(broker.address, market)
    figures = publisher.figures
    spooled_mib, resident_mib, outcome = spooled >> 20, resident >> 10, wrong or "every tick once, in order"
    print(
        f"{market.sent} ticks at {options.rate:.0f}/s, {options.outage:.0f} s without a broker: {figures.records_spooled} went "
        f"through the spool ({spooled_mib} MiB at the broker's return), {figures.ticks_refused_by_spool} refused; "
        f"all stored {drained:.0f} s after its return; resident {resident_mib} MiB; {outcome}"
    )
    return 1 if wrong else 0


def flow(market: Market, engine: FeedEngine, publisher: KafkaTickPublisher, rate: float, seconds: float) -> None:
    """Feed `rate` updates a second for `seconds`."""
    began = time.monotonic()
    count = int(rate * seconds) // PER_MESSAGE
    for number in range(count):
        while number * PER_MESSAGE / rate > time.monotonic() - began:
            publisher.poll()
            time.sleep(0.001)
        payload, at_ms = market.message()
        engine.message(payload, at_ms + 20)
        if number % 20 == 0:
            publisher.poll()


class Market:
    """Makes messages quickly: one protobuf object, of which only what changes is set anew."""

    def __init__(self) -> None:
        quotes = [{"bidQ": "10", "bidP": 100 - 0.05 * level, "askQ": "12", "askP": 100 + 0.05 * level} for level in range(1, 6)]
        market = {"ltpc": {"ltp": 100.0, "ltq": "5", "cp": 99.0}, "marketLevel": {"bidAskQuote": quotes}, "atp": 100.0}
        feed = json_format.ParseDict({"fullFeed": {"marketFF": market}, "requestMode": "full_d5"}, pb.Feed())
        self._rng = random.Random(5)
        self._feed, self._at_ms = feed, TEN_O_CLOCK_MS
        self.vtt = [1000] * INSTRUMENTS
        self.updates = [0] * INSTRUMENTS
        self.sent = 0

    def message(self) -> tuple[bytes, int]:
        self._at_ms += 1
        message = pb.FeedResponse(type=pb.live_feed, currentTs=self._at_ms)
        for number in self._rng.sample(range(INSTRUMENTS), PER_MESSAGE):
            self.vtt[number] += self._rng.randrange(0, 50)
            self.updates[number] += 1
            market = self._feed.fullFeed.marketFF
            market.vtt, market.ltpc.ltt = self.vtt[number], self._at_ms - 100
            message.feeds[key(number)].CopyFrom(self._feed)
        self.sent += PER_MESSAGE
        return message.SerializeToString(), self._at_ms


def compared(brokers: str, market: Market) -> str:
    """Return what differs between what was sent and what the topic holds, or nothing."""
    consumer = Consumer({"bootstrap.servers": brokers, "group.id": "outage", "enable.auto.commit": False})
    sequence: dict[str, int] = {}
    volume: dict[str, int] = {}
    first: dict[str, int] = {}
    count = 0
    for partition in (0, 1):
        _, end = consumer.get_watermark_offsets(TopicPartition(topics.TICKS, partition), timeout=20)
        consumer.assign([TopicPartition(topics.TICKS, partition, 0)])
        offset = 0
        while offset < end:
            for record in consumer.consume(5_000, 1.0):
                offset = record.offset() + 1
                tick: dict[str, Any] = orjson.loads(record.value())
                name = tick["instrument_key"]
                if name == "*":
                    continue
                count += 1
                if tick["sequence"] != sequence.get(name, 0) + 1:
                    return f"{name}: sequence {tick['sequence']} follows {sequence.get(name, 0)}"
                sequence[name] = tick["sequence"]
                first.setdefault(name, tick["vtt"])
                volume[name] = volume.get(name, 0) + tick.get("traded_volume", 0)
    consumer.close()
    if count != market.sent:
        return f"{market.sent} sent, {count} stored"
    for number in range(INSTRUMENTS):
        if volume[key(number)] != market.vtt[number] - first[key(number)]:
            return f"{key(number)}: volume {volume[key(number)]}, vtt rose by {market.vtt[number] - first[key(number)]}"
    return ""


def key(number: int) -> str:
    return f"NSE_EQ|INE{number:06}01"


def resident_kib() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") // 1024


if __name__ == "__main__":
    sys.exit(main())
