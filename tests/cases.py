"""Runs a case recording of ../shared/cases through the streamer's engine, with a list for Kafka."""

from __future__ import annotations

import json
from pathlib import Path

from orderflow.market.session import SessionBook, SessionCalendar
from orderflow.upstox.engine import FeedEngine
from tests.feed.rig import ListSink, wire


def run_case(path: Path) -> ListSink:
    """Feed the engine a recording by its own time; a snapshot that is not the first is a new connection."""
    messages = [json.loads(line) for line in path.read_text().splitlines()]
    sink = ListSink()
    engine = FeedEngine(sink, SessionBook(SessionCalendar()))
    engine.own({key: None for message in messages for key in message.get("feeds", {})})
    snapshots = 0
    at_ms = int(messages[0]["currentTs"])
    engine.opened(at_ms)
    for message in messages:
        if "type" not in message:
            if snapshots:
                engine.lost(at_ms, "connection lost")
                engine.opened(int(message["currentTs"]))
            snapshots += 1
        at_ms = int(message["currentTs"])
        engine.message(wire(message), at_ms)
        engine.beat(at_ms)
    return sink
