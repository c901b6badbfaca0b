"""What one feed message says about one instrument (`FeedUpdate`) and what is published about it (`Tick`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any, Final, NamedTuple

from orderflow.market import records

IST: Final = timezone(timedelta(hours=5, minutes=30), "IST")
MINUTE_MS: Final = 60_000
HEARTBEAT_KEY: Final = "*"

SNAPSHOT: Final = "snapshot"
UPDATE: Final = "update"
HEARTBEAT: Final = "heartbeat"


class Level(NamedTuple):
    """One level of the book; `price` is None for market orders in an auction."""

    price: float | None
    quantity: int


class Bar(NamedTuple):
    """The exchange's own completed minute, with the cumulative volume at its edges where known (records.BAR)."""

    start_ms: int
    open: float
    high: float
    low: float
    close: float
    volume: int | None
    close_vtt: int | None = None
    open_vtt: int | None = None
    late: bool = False

    @property
    def end_ms(self) -> int:
        """End of the minute, exclusive."""
        return self.start_ms + MINUTE_MS


class DayBar(NamedTuple):
    """The exchange's running day."""

    open: float
    high: float
    low: float
    close: float
    volume: int | None


class Greeks(NamedTuple):
    """Option greeks."""

    delta: float
    theta: float
    gamma: float
    vega: float
    rho: float


@dataclass(frozen=True, slots=True)
class FeedUpdate:
    """One instrument's part of one feed message, decoded and sane, before any inference.

    Absent fields are None (or empty tuples). Times are epoch milliseconds.
    """

    instrument_key: str
    kind: str
    feed_time_ms: int
    received_time_ms: int
    ltp: float | None = None
    ltt_ms: int | None = None
    ltq: int | None = None
    close_price: float | None = None
    vtt: int | None = None
    atp: float | None = None
    oi: float | None = None
    iv: float | None = None
    tbq: int | None = None
    tsq: int | None = None
    bid: tuple[Level, ...] = ()
    ask: tuple[Level, ...] = ()
    greeks: Greeks | None = None
    minute_bar: Bar | None = None
    day_bar: DayBar | None = None


@dataclass(frozen=True, slots=True)
class Tick:
    """One published update; the fields and their meaning are records.TICK, in the same order."""

    schema_version: int
    instrument_key: str
    kind: str
    sequence: int
    feed_time_ms: int
    received_time_ms: int
    event_time_ms: int
    trading_date: str
    ltp: float | None = None
    ltt_ms: int | None = None
    ltq: int | None = None
    close_price: float | None = None
    vtt: int | None = None
    atp: float | None = None
    oi: float | None = None
    iv: float | None = None
    tbq: int | None = None
    tsq: int | None = None
    bid: tuple[Level, ...] = ()
    ask: tuple[Level, ...] = ()
    greeks: Greeks | None = None
    bar: Bar | None = None
    day_bar: DayBar | None = None
    segment_status: str | None = None
    session_phase: str | None = None
    session_start_ms: int | None = None
    session_end_ms: int | None = None
    traded_volume: int | None = None
    prev_bid: float | None = None
    prev_ask: float | None = None
    prev_bid_quantity: int | None = None
    prev_ask_quantity: int | None = None
    prev_feed_time_ms: int | None = None
    prev_ltt_ms: int | None = None
    tick_direction: int | None = None
    gap: bool = False
    auction: bool = False


TICK_FIELDS: Final = records.names(records.TICK)


def tick_record(tick: Tick) -> dict[str, Any]:
    """Return the tick as a JSON-ready dict; nested tuples become dicts, and fields that are None are left out."""
    record: dict[str, Any] = {}
    for name in TICK_FIELDS:
        value = getattr(tick, name)
        if value is not None and value != ():
            record[name] = value
    for name in ("bar", "day_bar", "greeks"):
        if name in record:
            record[name] = record[name]._asdict()
    for name in ("bid", "ask"):
        if name in record:
            record[name] = [{"price": price, "quantity": quantity} for price, quantity in record[name]]
    return record


def tick_from_record(record: Mapping[str, Any]) -> Tick:
    """Rebuild a tick from `tick_record`'s dict. Raises KeyError or TypeError on a record that is not a tick."""
    values = {name: record[name] for name in TICK_FIELDS if record.get(name) is not None}
    for name, kind in (("bar", Bar), ("day_bar", DayBar), ("greeks", Greeks)):
        if name in values:
            values[name] = kind(**values[name])
    for name in ("bid", "ask"):
        if name in values:
            values[name] = tuple(Level(level.get("price"), level["quantity"]) for level in values[name])
    return Tick(**values)


def update_from_tick(tick: Tick) -> FeedUpdate:
    """Return what the feed said, without what was inferred; used to restore state from published ticks."""
    bar = tick.bar
    return FeedUpdate(
        instrument_key=tick.instrument_key,
        kind=tick.kind,
        feed_time_ms=tick.feed_time_ms,
        received_time_ms=tick.received_time_ms,
        ltp=tick.ltp,
        ltt_ms=tick.ltt_ms,
        ltq=tick.ltq,
        close_price=tick.close_price,
        vtt=tick.vtt,
        atp=tick.atp,
        oi=tick.oi,
        iv=tick.iv,
        tbq=tick.tbq,
        tsq=tick.tsq,
        bid=tick.bid,
        ask=tick.ask,
        greeks=tick.greeks,
        minute_bar=bar._replace(close_vtt=None, open_vtt=None, late=False) if bar else None,
        day_bar=tick.day_bar,
    )


def ist_date(at_ms: int) -> str:
    """Return the IST calendar date of an epoch time as YYYY-MM-DD."""
    return datetime.fromtimestamp(at_ms / 1000, IST).date().isoformat()


def heartbeat_tick(feed_time_ms: int, received_time_ms: int) -> Tick:
    """Return a heartbeat: it carries the feed's clock through the aggregation and nothing else."""
    return Tick(
        schema_version=records.SCHEMA_VERSION,
        instrument_key=HEARTBEAT_KEY,
        kind=HEARTBEAT,
        sequence=0,
        feed_time_ms=feed_time_ms,
        received_time_ms=received_time_ms,
        event_time_ms=feed_time_ms,
        trading_date=ist_date(feed_time_ms),
    )
