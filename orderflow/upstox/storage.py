"""Interface that the streamer needs from the tick store; `broker.storage` implements it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Protocol

from orderflow.market.tick import Tick
from orderflow.upstox.heartbeat import Backlog


class Sink(Backlog, Protocol):
    """Where ticks, events, rejects and states go; the Kafka publisher in the product, a list in tests."""

    def tick(self, tick: Tick) -> bool:
        """Take a tick; False when it could not be kept."""
        ...

    def heartbeat(self, tick: Tick) -> None:
        """Take a heartbeat."""
        ...

    def event(self, record: dict[str, Any]) -> None:
        """Take a record of the gap ledger."""
        ...

    def reject(self, record: dict[str, Any]) -> None:
        """Take something that could not be used."""
        ...

    def state(self, key: str, record: Callable[[], dict[str, Any]]) -> None:
        """Take a changed state."""
        ...


class Publisher(Protocol):
    """Work for the sink that the worker does besides passing records."""

    def poll(self) -> None:
        """Serve acknowledgements."""
        ...

    def close(self, timeout_seconds: float) -> None:
        """Wait for acknowledgements and end."""
        ...


class Stored(Protocol):
    """The stored states and ticks of some instruments, and the records that are not valid states."""

    states: dict[str, dict[str, Any]]
    ticks: dict[str, list[dict[str, Any]]]
    rejects: list[dict[str, Any]]
    rejected: int


class TickPublisher(Sink, Publisher, Protocol):
    """The sink, and what health checks need from it."""

    @property
    def spool_bytes(self) -> int:
        """Return the size of the spool."""
        ...

    @property
    def ticks_acknowledged(self) -> int:
        """Return the number of ticks stored."""
        ...

    def spooling_seconds(self) -> float:
        """Return for how long records have waited in the spool."""
        ...

    def has_room(self, feed_time_ms: int) -> bool:
        """Return whether a tick would go straight to Kafka."""
        ...


class Storage(Protocol):
    """Where ticks are stored; `broker.storage.KafkaStorage` in the product."""

    def prepare(self, stopped: Callable[[], bool]) -> None:
        """Wait until it is ready."""
        ...

    def read(self, wanted: Callable[[str], bool], instrument_keys: Iterable[str], stopped: Callable[[], bool]) -> Stored:
        """Return what is stored."""
        ...

    def publisher(self, owner: str, on_tick_acknowledged: Callable[[int], None]) -> TickPublisher:
        """Return the publisher."""
        ...

    def spooled(self) -> Iterator[tuple[str, Any]]:
        """Yield topic and record for everything that an earlier process left on disk; a record that is not JSON as bytes."""
        ...

    def discard_spooled(self, keys: Iterable[str]) -> None:
        """Delete it, except ticks of other instruments than `keys`."""
        ...
