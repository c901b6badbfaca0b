"""A recording's ticks as the product makes them, cloned over instruments, with the heartbeats of a streamer between them."""

from __future__ import annotations

import contextlib
import io
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from orderflow import replay
from orderflow.market.tick import Tick, decode_tick, encode_tick, heartbeat_tick
from orderflow.settings import Settings

HEARTBEAT_MS: Final = 1_000
QUIET_MS: Final = 300_000
"""Heartbeats go on for so long after the last tick: by then every minute is final by the clock."""


class Message(NamedTuple):
    """A message of the tick topic; a heartbeat, which goes to every partition, has no key."""

    key: str | None
    value: bytes


def recorded_ticks(recording: Path, settings: Settings) -> list[Tick]:
    """Return the ticks that the product publishes for a recording, in order. Raises replay.RecordingError."""
    with tempfile.TemporaryDirectory() as directory:
        with contextlib.redirect_stdout(io.StringIO()):
            replay.run(recording, Path(directory), rule=settings.aggressor_rule, windows=(), settings=settings)
        with (Path(directory) / "ticks.jsonl").open("rb") as lines:
            return [decode_tick(line) for line in lines]


def cloned_messages(ticks: list[Tick], clones: int) -> Iterator[Message]:
    """Yield each tick once for every clone of its instrument, a heartbeat a second of feed time, and more after the last tick."""
    beat_ms = 0
    for tick in ticks:
        if tick.feed_time_ms >= beat_ms + HEARTBEAT_MS:
            beat_ms = tick.feed_time_ms
            yield _heartbeat(beat_ms)
        for number in range(clones):
            key = f"{tick.instrument_key}C{number:03d}"
            yield Message(key, encode_tick(msgspec.structs.replace(tick, instrument_key=key)))
    for later_ms in range(HEARTBEAT_MS, QUIET_MS + 1, HEARTBEAT_MS):
        yield _heartbeat(beat_ms + later_ms)


def _heartbeat(feed_time_ms: int) -> Message:
    return Message(None, encode_tick(heartbeat_tick(feed_time_ms, feed_time_ms)))
