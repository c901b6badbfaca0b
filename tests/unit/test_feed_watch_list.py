"""Changes of the watch list: tried until they succeed, contracts that roll over, instruments that go and come back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from orderflow.market.calendar import SessionCalendar
from orderflow.market.contract import Contract
from orderflow.market.errors import OrderflowError
from orderflow.market.inference import InstrumentState
from orderflow.market.times import IST
from orderflow.upstox.list_change import follow
from orderflow.upstox.resolution import Resolution, Selection
from orderflow.upstox.watch_list import WatchList
from tests.feed.rig import INFY, TCS, TEN, ListSink, full, message, opening, wire
from tests.unit.test_feed_engine import running


@dataclass
class Leased:
    """Stands for ZooKeeper: what is held, and what another streamer holds."""

    held: set[str] = field(default_factory=set)
    others: dict[str, str] = field(default_factory=dict)

    def acquire(self, keys: Iterable[str]) -> dict[str, str]:
        wanted = set(keys)
        taken = {key: self.others[key] for key in wanted if key in self.others}
        if not taken:
            self.held |= wanted
        return taken

    def release(self, keys: Iterable[str]) -> None:
        self.held.difference_update(keys)


@dataclass
class NothingStored:
    states: dict[str, dict[str, Any]] = field(default_factory=dict)
    ticks: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    rejects: list[dict[str, Any]] = field(default_factory=list)
    rejected: int = 0


class World:
    """A watch-list file, Kafka, ZooKeeper and a clock, all of which a test sets."""

    def __init__(self, *names: str) -> None:
        self.names = names
        self.modes: dict[str, str] = {}
        self.kafka_fails = 0
        self.now_ms = TEN
        self.nearest = "NSE_FO|DEC"
        self.looked_up = 0
        self.replaced: dict[str, str] = {}
        self.leases = Leased(set(names))
        self.list = WatchList(
            self.wanted, self.select, self.read, self.leases, lambda: self.now_ms, self.select(self.wanted()), self.wanted()
        )

    def wanted(self) -> dict[str, str]:
        return {name: self.modes.get(name, "full") for name in self.names}

    def select(self, names: Mapping[str, str]) -> Selection:
        rolling = {name: self.nearest for name in names if name == "NIFTY FUT"}
        self.looked_up += 1
        return Selection({rolling.get(name, name): mode for name, mode in names.items()}, {}, rolling, self.replaced)

    def read(self, keys: tuple[str, ...]) -> NothingStored:
        if self.kafka_fails:
            self.kafka_fails -= 1
            raise OrderflowError("Kafka stopped answering while states were read back")
        return NothingStored()


def test_change_when_kafka_fails_once_then_tried_again_until_it_succeeds() -> None:
    world = World("A|1")
    world.names = ("A|1", "A|2")
    world.kafka_fails = 2
    assert [world.list.look(), world.list.look(), world.list.take()] == [False, False, None]
    assert "Kafka" in world.list.failure
    assert world.list.look()
    change = world.list.take()
    assert change is not None
    assert (change.added, change.removed, change.selection.keys) == (("A|2",), (), ("A|1", "A|2"))
    assert (world.list.failure, world.leases.held) == ("", {"A|1", "A|2"})
    assert world.list.look()
    assert world.list.take() is None


def test_change_when_it_is_taken_back_before_it_succeeded_then_its_leases_are_given_back() -> None:
    world = World("A|1")
    world.names = ("A|1", "A|2")
    world.kafka_fails = 1
    assert not world.list.look()
    assert world.leases.held == {"A|1", "A|2"}
    world.names = ("A|1", "A|3")
    assert world.list.look()
    assert world.leases.held == {"A|1", "A|3"}


def test_change_when_another_streamer_has_an_instrument_then_the_list_waits_for_it() -> None:
    world = World("A|1")
    world.leases.others = {"A|2": "mumbai"}
    world.names = ("A|1", "A|2")
    assert not world.list.look()
    assert world.list.failure == "A|2 is streamed already by mumbai"
    world.leases.others.clear()
    assert world.list.look()


def test_change_when_a_second_one_comes_before_the_first_took_effect_then_they_are_one() -> None:
    world = World("A|1", "A|2")
    for names in (("A|1", "A|3"), ("A|1", "A|2", "A|4")):
        world.names = names
        assert world.list.look()
    change = world.list.take()
    assert change is not None
    assert (change.added, change.removed) == (("A|4",), ("A|3",))
    assert [state.instrument_key for state in change.states] == ["A|4"]


def test_change_when_the_nearest_future_expired_then_the_next_one_takes_its_place_and_the_ledger_tells() -> None:
    world = World("NIFTY FUT")
    assert world.list.look()
    assert world.list.take() is None
    world.nearest = "NSE_FO|JAN"
    world.now_ms = int(datetime(2025, 12, 16, 0, 0, 1, tzinfo=IST).timestamp() * 1000)
    assert world.list.look()
    change = world.list.take()
    assert change is not None
    assert (change.added, change.removed, change.rolled) == (("NSE_FO|JAN",), ("NSE_FO|DEC",), {"NIFTY FUT": "NSE_FO|JAN"})
    sink = ListSink()
    engine = running(sink, ("NSE_FO|DEC",))
    follow(engine, change=change, at_ms=TEN)
    (rollover,) = [event for event in sink.events if event["event"] == "rollover"]
    assert (rollover["instrument_key"], rollover["cause"]) == ("NSE_FO|JAN", "NIFTY FUT is now NSE_FO|JAN")
    assert engine.keys == {"NSE_FO|JAN"}


def test_names_when_a_date_or_the_masters_day_begins_then_they_are_looked_up_and_hours_and_successors_take_effect() -> None:
    world = World(TCS)
    at = {hour: int(datetime(2025, 12, 16, hour, 0, 1, tzinfo=IST).timestamp() * 1000) for hour in (0, 7, 8)}
    looked_up = []
    for world.now_ms in (TEN + 60_000, at[0], at[7], at[8], at[8] + 60_000):
        if world.now_ms == at[8]:
            world.replaced = {TCS: "TCS was NSE_EQ|OLD and is now NSE_EQ|INE467B01029"}
        assert world.list.look()
        looked_up.append(world.looked_up)
    assert looked_up == [1, 2, 2, 3, 3]
    change = world.list.take()
    assert change is not None
    assert (change.added, change.removed, change.replaced) == ((), (), world.replaced)
    sink = ListSink()
    engine = running(sink, (TCS,))
    future = {"NSE_FO|1": Contract("future")}
    follow(
        engine, change=change, at_ms=TEN, resolution=Resolution(change.selection, frozenset({TCS}), SessionCalendar(), future, ())
    )
    (replaced,) = [event for event in sink.events if event["event"] == "replaced"]
    assert (replaced["instrument_key"], replaced["cause"]) == (TCS, world.replaced[TCS])
    assert engine.book.group(TCS, "2026-11-27") == "stock_with_derivatives"
    assert engine.book.group("NSE_FO|1", "2025-12-16") == "future"


def test_instrument_when_removed_and_added_again_at_once_then_it_continues_after_a_gap_with_its_volume() -> None:
    sink = ListSink()
    engine = running(sink)
    for content in (*opening(), message(TEN + 1_000, {TCS: full(1_100, TEN + 1_000)})):
        engine.message(wire(content), int(content["currentTs"]) + 30)
    engine.disown((TCS,))
    assert sink.states[TCS]()["state"]["vtt"] == 1_100
    engine.message(wire(message(TEN + 2_000, {TCS: full(1_500, TEN + 2_000)})), TEN + 2_030)
    engine.restore([InstrumentState(TCS)])
    engine.own((TCS,), "the instrument was not on the watch list")
    engine.message(wire(message(TEN + 3_000, {TCS: full(1_520, TEN + 3_000)})), TEN + 3_030)
    ticks = [tick for tick in sink.ticks if tick.instrument_key == TCS]
    assert [(tick.sequence, tick.traded_volume, tick.gap) for tick in ticks] == [
        (1, None, False),
        (2, 100, False),
        (3, 420, True),
    ]
    assert engine.keys == {TCS, INFY}


def test_mode_when_it_changes_in_the_list_then_the_change_carries_it_and_no_instrument_comes_or_goes() -> None:
    world = World("A|1", "A|2")
    world.modes = {"A|2": "ltpc"}
    assert world.list.look()
    change = world.list.take()
    assert change is not None
    assert (change.added, change.removed, change.selection.modes) == ((), (), {"A|1": "full", "A|2": "ltpc"})


def test_volume_when_a_mode_without_any_gives_way_to_full_then_what_traded_meanwhile_is_marked_as_a_gap() -> None:
    sink = ListSink()
    engine = running(sink)
    engine.subscribed({TCS: "full", INFY: "full"})
    for content in (*opening(), message(TEN + 1_000, {TCS: full(1_100, TEN + 1_000)})):
        engine.message(wire(content), int(content["currentTs"]) + 30)
    price_only = {"ltpc": {"ltp": 101.0, "ltt": str(TEN + 1_900), "ltq": "5", "cp": 99.0}, "requestMode": "ltpc"}
    engine.subscribed({TCS: "ltpc", INFY: "full"})
    engine.message(wire(message(TEN + 2_000, {TCS: price_only})), TEN + 2_030)
    engine.subscribed({TCS: "full", INFY: "full_d30"})
    for second, vtt in ((3, 1_500), (4, 1_510)):
        engine.message(wire(message(TEN + second * 1_000, {TCS: full(vtt, TEN + second * 1_000)})), TEN + second * 1_000)
    engine.message(wire(message(TEN + 5_000, {INFY: full(520, TEN + 5_000)})), TEN + 5_030)
    ticks = [(tick.instrument_key, tick.traded_volume, tick.gap) for tick in sink.ticks[2:]]
    assert ticks == [(TCS, 100, False), (TCS, None, False), (TCS, 400, True), (TCS, 10, False), (INFY, 20, False)]
    (gap,) = [event for event in sink.events if event["event"] == "gap"]
    assert (gap["volume"], gap["cause"]) == (400, "the previous mode carried no volume")
