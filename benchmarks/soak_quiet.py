"""Quiet contracts in real time: one connection, nothing missed: `make bench B=soak_quiet`.

    python benchmarks/soak_quiet.py [--minutes 15] [--contracts 4] [--clock-offset -120] [--unserved 1]

The streamer runs as its own process, as deployed, with the real SDK, a Kafka broker of this benchmark's own, and the simulator
as the server. Each contract has an update every 60 to 150 s. With `--clock-offset` the streamer's clock is wrong by so many
seconds: what Python reads is shifted, since librdkafka's timed waits hang under libfaketime. `--unserved` adds contracts that
the server never answers for, as it does for expired ones.

Exit code 1 unless the server saw one handshake and Kafka has every update with its volume, and none is marked as a gap but
each contract's first: how old its snapshot was is not known.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import random
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from confluent_kafka import Consumer, TopicPartition  # noqa: E402
from parts.broker import Broker, free_port  # noqa: E402

from orderflow import settings  # noqa: E402
from orderflow.broker.setup import setup_topics  # noqa: E402
from orderflow.market import topics  # noqa: E402
from orderflow.simulator.in_process import SimulatorServer  # noqa: E402
from orderflow.simulator.replay import Recording  # noqa: E402

WRONG_CLOCK = """
import runpy, sys, time
offset, script = float(sys.argv[1]), sys.argv[2]
right, right_ns = time.time, time.time_ns
time.time, time.time_ns = lambda: right() + offset, lambda: right_ns() + int(offset * 1e9)
sys.argv = [script]
runpy.run_path(script, run_name="__main__")
"""
TOKEN = "quiet"
EXPIRY_MS = 4_102_425_000_000
LOT = 75


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=15.0)
    parser.add_argument("--contracts", type=int, default=4)
    parser.add_argument("--unserved", type=int, default=0, help="further contracts that the server ignores")
    parser.add_argument("--clock-offset", type=int, default=0, help="seconds by which the streamer's clock is wrong")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--artifacts", type=Path, default=Path(os.environ.get("ARTIFACTS_DIR") or ROOT / ".cache/artifacts"))
    options = parser.parse_args()
    keys = [f"NSE_FO|{50_000 + number}" for number in range(options.contracts + options.unserved)]
    served, first_ms = keys[: options.contracts], int(time.time() * 1000)
    messages = quiet_market(served, first_ms, options.minutes, random.Random(options.seed))
    with tempfile.TemporaryDirectory() as made:
        directory = Path(made)
        broker = Broker(options.artifacts / "kafka", directory)
        broker.start()
        try:
            with SimulatorServer(Recording.of_messages(messages, announce_close=False), token=TOKEN) as server:
                return watch(options, keys, messages, broker, server, directory)
        finally:
            broker.kill()


def quiet_market(keys: list[str], first_ms: int, minutes: float, rng: random.Random) -> list[dict[str, Any]]:
    """Return a market status, a snapshot of every contract, and then an update of each every 60 to 150 s."""
    vtt = {key: 10_000 + LOT * rng.randrange(50) for key in keys}
    status = {"type": "market_info", "currentTs": str(first_ms), "marketInfo": {"segmentStatus": {"NSE_FO": "NORMAL_OPEN"}}}
    snapshot = {key: feed(vtt[key], first_ms, first_ms - 60_000) for key in keys}
    messages = [status, {"type": "initial_feed", "currentTs": str(first_ms), "feeds": snapshot}]
    due = {key: first_ms + rng.randrange(60_000, 150_000) for key in keys}
    while min(due.values()) < first_ms + minutes * 60_000:
        key = min(due, key=lambda each: due[each])
        vtt[key] += LOT * rng.randrange(1, 5)
        messages.append(
            {"type": "live_feed", "currentTs": str(due[key]), "feeds": {key: feed(vtt[key], due[key], due[key] - 200)}}
        )
        due[key] += rng.randrange(60_000, 150_000)
    return messages


def feed(vtt: int, at_ms: int, traded_ms: int) -> dict[str, Any]:
    """Return a contract's full feed with its last trade at `traded_ms`."""
    bar = {"interval": "1d", "open": 40.0, "high": 42.0, "low": 39.0, "close": 40.0, "vol": str(vtt), "ts": str(at_ms)}
    quote = {"bidQ": str(LOT), "bidP": 39.95, "askQ": str(LOT), "askP": 40.05}
    market = {
        "ltpc": {"ltp": 40.05, "ltt": str(traded_ms), "ltq": str(LOT), "cp": 41.0},
        "marketLevel": {"bidAskQuote": [quote]},
        "marketOHLC": {"ohlc": [bar]},
        "vtt": str(vtt),
    }
    return {"fullFeed": {"marketFF": market}, "requestMode": "full_d5"}


def watch(
    options: argparse.Namespace,
    keys: list[str],
    messages: list[dict[str, Any]],
    broker: Broker,
    server: SimulatorServer,
    directory: Path,
) -> int:
    """Run the streamer over the whole recording; print what it said and what Kafka got; returns the exit code."""
    environment = {
        **os.environ,
        "ENV_FILE": os.devnull,
        "KAFKA_BROKERS": broker.address,
        "ZOOKEEPER_HOSTS": "none",
        "UPSTOX_FEED_URL": server.feed_url,
        "UPSTOX_REST_URL": server.rest_url,
        "UPSTOX_ACCESS_TOKEN": TOKEN,
        "INSTRUMENT": ",".join(keys),
        "INSTRUMENT_MASTER": str(master(directory, keys)),
        "SPOOL_DIR": str(directory / "spool"),
        "HEALTH_PORT": str(free_port()),
    }
    setup_topics(settings.load({"KAFKA_BROKERS": broker.address, "ENV_FILE": os.devnull}))
    script = str(ROOT / "data_streamer.py")
    command = ["-c", WRONG_CLOCK, str(options.clock_offset), script] if options.clock_offset else [script]
    began = time.monotonic()
    with (directory / "streamer.log").open("wb") as log:
        streamer = subprocess.Popen([sys.executable, *command], env=environment, stderr=log, stdout=log, cwd=ROOT)
    try:
        (directory / "spool").mkdir(exist_ok=True)
        while time.monotonic() < began + options.minutes * 60 + 20 and streamer.poll() is None:
            time.sleep(min(60.0, options.minutes * 15))
            print(
                f"{time.monotonic() - began:5.0f} s: {server.handshakes} handshakes; {health(environment['HEALTH_PORT'])}",
                flush=True,
            )
    finally:
        streamer.terminate()
        streamer.wait(30)
    for line in (directory / "streamer.log").read_text().splitlines():
        if " WARN" in line or " ERROR" in line or "subscribed" in line:
            print(line)
    wrong = judged(messages, ticks_in(broker.address), server.handshakes)
    print(wrong or f"one connection in {options.minutes:.0f} minutes, every update stored, none a gap")
    return 1 if wrong else 0


def master(directory: Path, keys: list[str]) -> Path:
    """Write an instrument master in which all contracts are alive: that some are not served is for the streamer to find out."""
    rows = [
        {
            "instrument_key": key,
            "exchange": "NSE",
            "segment": "NSE_FO",
            "instrument_type": "CE",
            "trading_symbol": f"NIFTY {26_000 + 50 * number} CE 31 DEC 99",
            "underlying_symbol": "NIFTY",
            "name": "NIFTY",
            "strike_price": 26_000 + 50 * number,
            "expiry": EXPIRY_MS,
            "lot_size": LOT,
            "tick_size": 5.0,
        }
        for number, key in enumerate(keys)
    ]
    path = directory / "master.json.gz"
    path.write_bytes(gzip.compress(json.dumps(rows).encode()))
    return path


def health(port: str) -> str:
    """Return /healthz in a line."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=5) as answer:
            status, body = answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        status, body = error.code, json.load(error)
    except OSError as error:
        return f"no answer: {error}"
    return f"healthz {status} {body.get('reason') or body.get('message') or ''} {json.dumps(body)[:300]}"


def ticks_in(brokers: str) -> list[dict[str, Any]]:
    """Return every tick that Kafka has, heartbeats left out."""
    consumer = Consumer({"bootstrap.servers": brokers, "group.id": "soak", "enable.auto.commit": False})
    ticks = []
    for partition in consumer.list_topics(topics.TICKS, timeout=20).topics[topics.TICKS].partitions:
        low, high = consumer.get_watermark_offsets(TopicPartition(topics.TICKS, partition), timeout=20)
        consumer.assign([TopicPartition(topics.TICKS, partition, low)])
        at = low
        while at < high:
            for message in consumer.consume(1_000, 1.0):
                at = message.offset() + 1
                ticks.append(json.loads(message.value()))
    consumer.close()
    return [tick for tick in ticks if tick["kind"] in ("snapshot", "update")]


def judged(messages: list[dict[str, Any]], ticks: list[dict[str, Any]], handshakes: int) -> str:
    """Return what is wrong, or nothing."""
    sent = {(key, int(feed["fullFeed"]["marketFF"]["vtt"])) for each in messages for key, feed in each.get("feeds", {}).items()}
    stored = {(tick["instrument_key"], tick["vtt"]) for tick in ticks}
    wrong = [] if handshakes == 1 else [f"{handshakes} handshakes instead of one"]
    if stored != sent:
        wrong.append(f"{len(sent - stored)} of {len(sent)} updates are not in Kafka, {len(stored - sent)} there were never sent")
    begun: set[str] = set()
    gaps = 0
    for tick in [tick for tick in ticks if tick["kind"] == "update"]:
        gaps += tick["gap"] and tick["instrument_key"] in begun
        begun.add(tick["instrument_key"])
    if gaps:
        wrong.append(f"{gaps} updates are marked as gaps")
    return "; ".join(wrong)


if __name__ == "__main__":
    sys.exit(main())
