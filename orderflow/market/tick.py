"""One instrument's part of a feed message (`FeedUpdate`), and the tick that is published for it (`Tick`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final

import msgspec

from orderflow.market.schema import meaning
from orderflow.market.times import MINUTE_MS, ist_date

HEARTBEAT_KEY: Final = "*"

SCHEMA_VERSION: Final = 2
READABLE_VERSIONS: Final = (1, 2)
"""The present version of a tick and the previous one, which every reader still accepts."""

SNAPSHOT: Final = "snapshot"
UPDATE: Final = "update"
HEARTBEAT: Final = "heartbeat"
MINUTE: Final = "minute"
"""A minute from before the first update, taken from the exchange's intraday call: it has a `bar` and no other market data."""


class BookLevel(msgspec.Struct, frozen=True, gc=False):
    """One level of the book."""

    price: Annotated[float | None, meaning("price; null for a level without one (market orders in an auction)")]
    quantity: Annotated[int, meaning("resting quantity")]


class Bar(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """The exchange's own completed minute."""

    start_ms: Annotated[int, meaning("start of the minute the bar describes")]
    open: Annotated[float, meaning("exchange's first price")]
    high: Annotated[float, meaning("exchange's highest price")]
    low: Annotated[float, meaning("exchange's lowest price")]
    close: Annotated[float, meaning("exchange's last price")]
    volume: Annotated[int | None, meaning("exchange's volume of the minute; null for an index")] = None

    @property
    def end_ms(self) -> int:
        """End of the minute, exclusive."""
        return self.start_ms + MINUTE_MS


class DayBar(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """The exchange's running day."""

    open: Annotated[float, meaning("day's open so far")]
    high: Annotated[float, meaning("day's high so far")]
    low: Annotated[float, meaning("day's low so far")]
    close: Annotated[float, meaning("day's close so far")]
    volume: Annotated[int | None, meaning("day's volume so far; lags vtt")] = None


class Greeks(msgspec.Struct, frozen=True, gc=False):
    """Option greeks."""

    delta: Annotated[float, meaning("delta")]
    theta: Annotated[float, meaning("theta")]
    gamma: Annotated[float, meaning("gamma")]
    vega: Annotated[float, meaning("vega")]
    rho: Annotated[float, meaning("rho")]


@dataclass(frozen=True, slots=True)
class FeedUpdate:
    """One instrument's part of one feed message, decoded and checked, before any inference.

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
    bid: tuple[BookLevel, ...] = ()
    ask: tuple[BookLevel, ...] = ()
    greeks: Greeks | None = None
    minute_bar: Bar | None = None
    day_bar: DayBar | None = None
    indicative_price: float | None = None
    indicative_quantity: int | None = None
    indicative_imbalance: int | None = None
    closes_by_auction: bool = False


class Tick(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """One published update of an instrument: the feed's values, and those inferred from it and the previous update."""

    schema_version: Annotated[int, meaning("version of this record", scalar="int")]
    instrument_key: Annotated[str, meaning("Upstox key, for example NSE_EQ|INE467B01029; `*` on a heartbeat")]
    kind: Annotated[
        str, meaning("snapshot | update | heartbeat | minute (from before the first update, as the exchange reports it)")
    ]
    sequence: Annotated[int, meaning("counts the instrument's updates of its trading date, from 1; 0 on a minute")]
    feed_time_ms: Annotated[int, meaning("currentTs: when Upstox sent the message")]
    received_time_ms: Annotated[int, meaning("when the streamer received it")]
    event_time_ms: Annotated[int, meaning("ltt when a trade was inferred, a minute's start, else feed_time_ms")]
    trading_date: Annotated[str, meaning("YYYY-MM-DD in IST of the event time")]
    ltp: Annotated[float | None, meaning("last traded price")] = None
    ltt_ms: Annotated[int | None, meaning("exchange time of the last trade")] = None
    ltq: Annotated[int | None, meaning("quantity of the last trade")] = None
    close_price: Annotated[float | None, meaning("previous day's close")] = None
    vtt: Annotated[int | None, meaning("volume traded today, cumulative")] = None
    atp: Annotated[float | None, meaning("day's volume-weighted average price")] = None
    oi: Annotated[float | None, meaning("open interest (derivatives)")] = None
    iv: Annotated[float | None, meaning("implied volatility (options)")] = None
    tbq: Annotated[int | None, meaning("total pending buy quantity in the book")] = None
    tsq: Annotated[int | None, meaning("total pending sell quantity in the book")] = None
    bid: Annotated[tuple[BookLevel, ...], meaning("bid levels after the trade, best first")] = ()
    ask: Annotated[tuple[BookLevel, ...], meaning("ask levels after the trade, best first")] = ()
    greeks: Annotated[Greeks | None, meaning("option greeks")] = None
    bar: Annotated[Bar | None, meaning("the exchange's last completed minute, only when new")] = None
    day_bar: Annotated[DayBar | None, meaning("the exchange's running day, only when new")] = None
    segment_status: Annotated[str | None, meaning("last status the feed gave for the segment, for example NORMAL_OPEN")] = None
    session_phase: Annotated[
        str | None,
        meaning("pre_open | opening_auction | continuous | halt | closing_auction | post_close | closed, of the event time"),
    ] = None
    session_start_ms: Annotated[
        int | None, meaning("start of continuous trading of the instrument's segment on the trading date")
    ] = None
    session_end_ms: Annotated[int | None, meaning("end of continuous trading")] = None
    traded_volume: Annotated[int | None, meaning("vtt minus the previous vtt of the session; null with no baseline")] = None
    prev_bid: Annotated[float | None, meaning("best bid of the previous update")] = None
    prev_ask: Annotated[float | None, meaning("best ask of the previous update")] = None
    prev_bid_quantity: Annotated[int | None, meaning("quantity at the best bid of the previous update")] = None
    prev_ask_quantity: Annotated[int | None, meaning("quantity at the best ask of the previous update")] = None
    prev_feed_time_ms: Annotated[int | None, meaning("feed_time_ms of the previous update")] = None
    prev_ltt_ms: Annotated[int | None, meaning("ltt_ms of the previous update")] = None
    tick_direction: Annotated[
        int | None,
        meaning("sign of the last change of ltp before or at this update: -1, 0 (none yet), 1", scalar="int"),
    ] = None
    gap: Annotated[bool | None, meaning("the traded volume spans an outage")] = None
    auction: Annotated[bool | None, meaning("the traded volume belongs to an auction: it has no aggressor")] = None
    streamer: Annotated[str | None, meaning("name of the streamer that published it (STREAMER_NAME)")] = None
    indicative_price: Annotated[
        float | None, meaning("iep: price at which a running auction would match now; null outside auctions")
    ] = None
    indicative_quantity: Annotated[int | None, meaning("ieq: quantity that would trade at the indicative price")] = None
    indicative_imbalance: Annotated[
        int | None,
        meaning("iiqTotal: quantity that would be left over at the indicative price, with the feed's sign; null when zero"),
    ] = None


_DECODER: Final = msgspec.json.Decoder(Tick)


def encode_tick(tick: Tick) -> bytes:
    """Return the tick's JSON; fields that are None, empty or False are left out."""
    return msgspec.json.encode(tick)


def decode_tick(value: bytes | str) -> Tick:
    """Read a tick's JSON of this version or the one before; fields it does not know are ignored.

    Raises msgspec.MsgspecError (`DecodeError` on invalid JSON, `ValidationError` on a missing field or a wrong type).
    """
    try:
        return _DECODER.decode(value)
    except UnicodeDecodeError as error:  # msgspec says so of a text that is not UTF-8
        raise msgspec.DecodeError(str(error)) from error


def tick_record(tick: Tick) -> dict[str, Any]:
    """Return the tick as a JSON-ready dict, without the fields that are None, empty or False."""
    record: dict[str, Any] = msgspec.to_builtins(tick)
    return record | {name: list(record[name]) for name in ("bid", "ask") if name in record}


def tick_from_record(record: Mapping[str, Any]) -> Tick:
    """Rebuild a tick from `tick_record`'s dict. Raises msgspec.ValidationError on a record that is not a tick."""
    return msgspec.convert(record, Tick)


def update_from_tick(tick: Tick) -> FeedUpdate:
    """Return the feed's values without the inferred ones; used to restore state from published ticks."""
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
        minute_bar=tick.bar,
        day_bar=tick.day_bar,
        indicative_price=tick.indicative_price,
        indicative_quantity=tick.indicative_quantity,
        indicative_imbalance=tick.indicative_imbalance,
    )


def heartbeat_tick(feed_time_ms: int, received_time_ms: int, streamer: str | None = None) -> Tick:
    """Return a heartbeat: it carries the feed's clock to every partition and nothing else."""
    return Tick(
        schema_version=SCHEMA_VERSION,
        instrument_key=HEARTBEAT_KEY,
        kind=HEARTBEAT,
        sequence=0,
        feed_time_ms=feed_time_ms,
        received_time_ms=received_time_ms,
        event_time_ms=feed_time_ms,
        trading_date=ist_date(feed_time_ms),
        streamer=streamer,
    )
