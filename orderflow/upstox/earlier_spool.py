"""Publish what an earlier streamer left on disk, so that an outage of Kafka that outlives the process loses nothing."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Iterable
from typing import Final

from orderflow.market import topics
from orderflow.market.conformity import is_sound
from orderflow.market.rejects import reject_record
from orderflow.upstox.engine import FeedEngine
from orderflow.upstox.resume import continued, valid_tick
from orderflow.upstox.storage import Storage, TickPublisher

log = logging.getLogger(__name__)

_ROOM_SECONDS: Final = 0.002
_OTHERS: Final = (topics.FEED_EVENTS, topics.REJECTS)


def continue_spool(
    storage: Storage, publisher: TickPublisher, engine: FeedEngine, keys: Iterable[str], stop: threading.Event
) -> bool:
    """Publish the records that an earlier process left on disk, and delete them once Kafka has confirmed them.

    Ticks are inferred again from what is really stored, and the states of `engine`, which publishes to `publisher`, too, continue
    from them. Waits until Kafka accepts them; never writes them to the new spool. Returns False if asked to stop first:
    everything then stays for the next start.
    """
    own = frozenset(keys)
    published = others = foreign = broken = 0
    holes: set[str] = set()
    for topic, record in storage.spooled():
        if topic in _OTHERS and is_sound(topics.FIELDS[topic], record):
            (publisher.event if topic == topics.FEED_EVENTS else publisher.reject)(record)
            others += 1
            continue
        key = record.get("instrument_key") if topic == topics.TICKS and isinstance(record, dict) else None
        if isinstance(key, str) and key not in own:
            foreign += 1
            continue
        spooled = valid_tick(key, record) if isinstance(key, str) else None
        if key is None or spooled is None:
            payload = record if isinstance(record, bytes) else json.dumps(record).encode()
            engine.refused([reject_record("bad_spooled_record", "spool", time.time_ns() // 1_000_000, payload)], 1)
            broken += 1
            continue
        state, tick, settled = continued(engine.states.get(key), spooled, after_hole=key in holes)
        if tick is None:
            continue
        while not publisher.has_room(tick.feed_time_ms) or not publisher.tick(tick):
            publisher.poll()
            if stop.wait(_ROOM_SECONDS):
                return False
        engine.states[key] = state
        (holes.discard if settled else holes.add)(key)
        published += 1
    number = publisher.backlog_number()
    while not publisher.is_acknowledged(number):
        publisher.poll()
        if stop.wait(_ROOM_SECONDS):
            return False
    storage.discard_spooled(own)
    if published or others or foreign or broken:
        log.log(
            logging.WARNING if broken else logging.INFO,
            "spool of an earlier run: %d ticks and %d other records published, %d invalid ones rejected, "
            "%d ticks of instruments not streamed here kept",
            published,
            others,
            broken,
            foreign,
        )
    return True
