"""Connect the engine to Kafka: a partition's messages go in, messages of final records come out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import msgspec

from orderflow.market import topics
from orderflow.market.candle import Candle
from orderflow.market.engine.minute import FinalMinute
from orderflow.market.engine.partition import Output, PartitionEngine
from orderflow.market.records import FeedEvent, FootprintLevel
from orderflow.market.validation import decode_sound


class Message(NamedTuple):
    """A message to publish."""

    topic: str
    key: str
    value: bytes


def fold(engine: PartitionEngine, records: Iterable[tuple[bytes | None, bytes | None, int]]) -> Iterator[Message]:
    """Yield the messages of what became final; `records` are (key, value, when it was sent) in the order of offsets.

    Messages that are not valid ticks are skipped: tick storage sends them to the rejects topic.
    """
    for key, value, sent_ms in records:
        if value is None:
            continue
        tick = decode_sound(value, None if key is None else key.decode("utf-8", "replace"), sent_ms)
        if tick is not None:
            for output in engine.take(tick):
                yield from messages_of(output)


def messages_of(output: Output) -> Iterator[Message]:
    """Yield the messages of one thing that became final: a candle, then its footprint levels; or volume that came late."""
    encode = msgspec.json.encode
    if isinstance(output, FinalMinute):
        candle = output.candle
        yield Message(topics.ORDERFLOW, candle.instrument, encode(candle.to_record()))
        for level in levels_of(output):
            yield Message(topics.FOOTPRINT, candle.instrument, encode(level))
    elif isinstance(output, Candle):
        yield Message(topics.ORDERFLOW, output.instrument, encode(output.to_record()))
    elif isinstance(output, FeedEvent):
        yield Message(topics.FEED_EVENTS, output.instrument_key or "", encode(output))


def levels_of(minute: FinalMinute) -> Iterator[FootprintLevel]:
    """Yield a minute's price levels as they are published, from the lowest price up."""
    candle = minute.candle
    start, end = candle.window()
    for level in minute.levels:
        yield FootprintLevel(start, end, candle.instrument, *level)
