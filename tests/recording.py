"""Reads a recording without the product's code, for independent comparisons."""

from __future__ import annotations

import csv
import gzip
import json
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MINUTE_MS = 60_000


@dataclass(frozen=True)
class Packet:
    """One instrument's part of one recorded message."""

    instrument_key: str
    feed_time_ms: int
    ltp: float
    ltt_ms: int
    ltq: int
    vtt: int
    bid: float
    ask: float
    raw: dict[str, Any]


def messages(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the decoded messages of a `.jsonl` or `.jsonl.gz` recording."""
    with gzip.open(path, "rt") if path.suffix == ".gz" else path.open() as lines:
        for line in lines:
            yield json.loads(line)


def packets(path: Path) -> Iterator[Packet]:
    """Yield every instrument update of a full-mode recording, in order."""
    for message in messages(path):
        for key, feed in message.get("feeds", {}).items():
            full = feed["fullFeed"]["marketFF"]
            best = full["marketLevel"]["bidAskQuote"][0]
            ltpc = full["ltpc"]
            yield Packet(
                key,
                int(message["currentTs"]),
                ltpc["ltp"],
                int(ltpc["ltt"]),
                int(ltpc["ltq"]),
                int(full["vtt"]),
                best["bidP"],
                best["askP"],
                full,
            )


def minute_volumes(path: Path) -> dict[tuple[str, int], int]:
    """Return the rise of vtt by (instrument, minute of ltt); the first packet of an instrument is its baseline."""
    last: dict[str, int] = {}
    volumes: dict[tuple[str, int], int] = defaultdict(int)
    for packet in packets(path):
        rise = packet.vtt - last.get(packet.instrument_key, packet.vtt)
        last[packet.instrument_key] = packet.vtt
        if rise > 0:
            volumes[packet.instrument_key, packet.ltt_ms // MINUTE_MS * MINUTE_MS] += rise
    return dict(volumes)


def lee_ready_minutes(path: Path) -> dict[tuple[str, int], tuple[int, int]]:
    """Return (buy, sell) volume by (instrument, minute of ltt) with the previous packet's quote and the tick rule at the mid."""
    before: dict[str, Packet] = {}
    direction: dict[str, int] = defaultdict(int)
    volumes: dict[tuple[str, int], list[int]] = defaultdict(lambda: [0, 0])
    for packet in packets(path):
        key = packet.instrument_key
        last = before.get(key)
        before[key] = packet
        if last is None:
            continue
        if packet.ltp != last.ltp:
            direction[key] = 1 if packet.ltp > last.ltp else -1
        rise = packet.vtt - last.vtt
        if rise <= 0:
            continue
        twice_mid = round(last.bid * 100) + round(last.ask * 100)
        side = 2 * round(packet.ltp * 100) - twice_mid
        if side == 0 or last.bid > last.ask:
            side = direction[key]
        if side:
            volumes[key, packet.ltt_ms // MINUTE_MS * MINUTE_MS][0 if side > 0 else 1] += rise
    return {place: (buy, sell) for place, (buy, sell) in volumes.items()}


def exchange_bars(path: Path) -> dict[tuple[str, int], tuple[float, float, float, float, int | None]]:
    """Return (open, high, low, close, volume) by (instrument, minute start ms) from a recording's `.i1.csv`."""
    with path.open() as rows:
        return {
            (row["instrument_key"], int(row["minute_start_ms"])): (
                float(row["open"]),
                float(row["high"]),
                float(row["low"]),
                float(row["close"]),
                int(row["volume"]) if row["volume"] else None,
            )
            for row in csv.DictReader(rows)
        }
