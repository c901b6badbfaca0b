"""What an earlier process left on disk: published again, and deleted only once Kafka has it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from orderflow.market.session import SessionBook, SessionCalendar
from orderflow.market.tick import Tick, tick_record
from orderflow.upstox.earlier_spool import continue_spool
from orderflow.upstox.engine import FeedEngine

KEY = "NSE_EQ|INE467B01029"
OPEN_MS = 1_765_770_300_000
EVENT = {"event": "gap", "at_ms": OPEN_MS}
REJECT = {"reason": "junk", "source": "feed", "received_time_ms": OPEN_MS, "payload": ""}


def tick(number: int, key: str = KEY) -> tuple[str, dict[str, Any]]:
    at = OPEN_MS + number * 1_000
    made = Tick(1, key, "update", number, at, at + 20, at, "2025-12-15", ltp=100.0, ltt_ms=at, ltq=5, vtt=1_000 + number,
                session_phase="continuous", session_start_ms=OPEN_MS, session_end_ms=OPEN_MS + 22_500_000)  # fmt: skip
    return "upstox_ticks", tick_record(made)


@dataclass
class FakePublisher:
    """Has room for `room` ticks until polled, and confirms `confirms` records a poll."""

    room: int = 2
    confirms: int = 1
    on_poll: Callable[[], None] = lambda: None
    ticks: list[Tick] = field(default_factory=list)
    others: list[dict[str, Any]] = field(default_factory=list)
    acknowledged: int = 0
    is_spooling: bool = False

    def has_room(self, feed_time_ms: int) -> bool:
        return len(self.ticks) - self.acknowledged < self.room

    def tick(self, tick: Tick) -> bool:
        self.ticks.append(tick)
        return True

    def event(self, record: dict[str, Any]) -> None:
        self.others.append(record)

    reject = event

    def state(self, key: str, record: Callable[[], dict[str, Any]]) -> None: ...

    def heartbeat(self, tick: Tick) -> None: ...

    def backlog_number(self) -> int:
        return len(self.ticks)

    def is_acknowledged(self, number: int) -> bool:
        return self.acknowledged >= number

    def poll(self) -> None:
        self.acknowledged = min(len(self.ticks), self.acknowledged + self.confirms)
        self.on_poll()


class FakeStorage:
    """Holds what was left, and how much was confirmed when it was discarded."""

    def __init__(self, left: list[tuple[str, Any]], publisher: FakePublisher) -> None:
        self.left, self.publisher = left, publisher
        self.confirmed_at_discard: int | None = None

    def spooled(self) -> Iterator[tuple[str, Any]]:
        return iter(self.left)

    def discard_spooled(self, keys: Iterable[str]) -> None:
        assert list(keys) == [KEY]
        self.confirmed_at_discard = self.publisher.acknowledged


def run(left: list[tuple[str, Any]], publisher: FakePublisher, stop: threading.Event) -> tuple[bool, FakeStorage]:
    storage = FakeStorage(left, publisher)
    engine = FeedEngine(publisher, SessionBook(SessionCalendar()))  # type: ignore[arg-type]
    return continue_spool(storage, publisher, engine, [KEY], stop), storage  # type: ignore[arg-type]


def test_leftovers_when_published_again_then_discarded_only_once_all_are_confirmed() -> None:
    publisher = FakePublisher()
    done, storage = run([tick(number) for number in range(1, 6)], publisher, threading.Event())
    assert done
    assert [made.sequence for made in publisher.ticks] == [1, 2, 3, 4, 5]
    assert storage.confirmed_at_discard == 5


def test_leftovers_when_asked_to_stop_before_kafka_confirms_then_they_stay() -> None:
    stop = threading.Event()
    publisher = FakePublisher(confirms=0, on_poll=stop.set)
    done, storage = run([tick(number) for number in range(1, 6)], publisher, stop)
    assert not done
    assert storage.confirmed_at_discard is None


def test_leftovers_when_they_hold_events_and_other_instruments_then_the_events_follow_and_those_ticks_do_not() -> None:
    publisher = FakePublisher()
    left = [tick(1), ("upstox_feed_events", EVENT), tick(1, "NSE_EQ|another"), ("upstox_rejects", REJECT)]
    run(left, publisher, threading.Event())
    assert [made.instrument_key for made in publisher.ticks] == [KEY]
    assert publisher.others == [EVENT, REJECT]


@pytest.mark.parametrize(
    "junk",
    [
        ("upstox_ticks", b"\x00\x00"),
        ("upstox_ticks", []),
        ("upstox_ticks", {}),
        ("upstox_ticks", {"instrument_key": 7}),
        ("upstox_ticks", {"instrument_key": KEY}),
        ("upstox_ticks", {**tick(2)[1], "vtt": "abc"}),
        ("upstox_ticks", {**tick(2)[1], "bid": [{}]}),
        ("upstox_feed_events", {"event": 5}),
        ("upstox_feed_events", b"{"),
        ("upstox_rejects", {"reason": "junk"}),
        ("upstox_other", {}),
    ],
)
def test_leftovers_when_one_is_broken_then_it_is_rejected_and_the_others_follow(junk: tuple[str, Any]) -> None:
    publisher = FakePublisher()
    done, storage = run([tick(1), junk, tick(3)], publisher, threading.Event())
    assert done
    assert [made.sequence for made in publisher.ticks] == [1, 2]
    assert [(reject["reason"], reject["source"]) for reject in publisher.others] == [("bad_spooled_record", "spool")]
    assert storage.confirmed_at_discard == 2
