"""Runs a recording through the product's own decoder and inference, without any service."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from google.protobuf import json_format
from recording import messages
from upstox_client.feeder.proto import MarketDataFeedV3_pb2 as pb

from orderflow.market.inference import Event, InstrumentState, infer
from orderflow.market.session import SessionCalendar
from orderflow.market.tick import Tick
from orderflow.market.times import ist_date
from orderflow.upstox.decode import decode


def replay(path: Path) -> Iterator[tuple[Tick, tuple[Event, ...]]]:
    """Yield the tick and ledger events of every instrument update of a recording."""
    calendar = SessionCalendar()
    states: dict[str, InstrumentState] = {}
    for message in messages(path):
        payload = json_format.ParseDict(message, pb.FeedResponse()).SerializeToString()
        for update in decode(payload, int(message["currentTs"])).updates:
            key = update.instrument_key
            session = calendar.session(key, ist_date(update.feed_time_ms))
            result = infer(states.get(key) or InstrumentState(key), update, session)
            states[key] = result.state
            yield result.tick, result.events
