"""Every record of a topic or of HDFS, as fields derived from its one definition.

Spark schemas (processing/schemas.py), Arrow schemas (lake/layout.py) and docs/API_REFERENCE.md are made from these tuples;
a test holds the documentation to them. Ticks, trades and candles are the structs `tick.Tick`, `trade.Trade`, `candle.Candle`;
the others are here.

Times named `…_ms` are epoch milliseconds UTC. Prices are rupees, quantities and volumes integers (shares or contracts).
"""

from __future__ import annotations

from typing import Annotated, Final

import msgspec

from orderflow.market.candle import Candle
from orderflow.market.price_unit import PAISE
from orderflow.market.schema import Field, FieldType, ListOf, Struct, fields_of, meaning, names
from orderflow.market.tick import SCHEMA_VERSION, Bar, DayBar, Greeks, Tick
from orderflow.market.trade import Trade

__all__ = [
    "BAR", "CANDLE", "DAY_BAR", "FEED_EVENT", "FOOTPRINT", "GREEKS", "INSTRUMENT_STATE", "REJECT", "SCHEMA_VERSION",
    "SEGMENT_STATE", "SEGMENT_STATE_1", "TICK", "TRADE", "FeedEvent", "Field", "FieldType", "FootprintLevel", "ListOf", "Reject",
    "Struct", "names",
]  # fmt: skip


class FootprintLevel(msgspec.Struct, frozen=True, gc=False):
    """The volume that traded at one price in one minute of one instrument."""

    window_start: Annotated[str, meaning("ISO 8601 with +05:30")]
    window_end: Annotated[str, meaning("ISO 8601 with +05:30")]
    instrument: Annotated[str, meaning("Upstox key")]
    price: Annotated[int, meaning("price, of which `price_unit` are a rupee")]
    buy_volume: Annotated[int, meaning("volume at this price whose aggressor was the buyer")]
    sell_volume: Annotated[int, meaning("volume at this price whose aggressor was the seller")]
    unclassified_volume: Annotated[int, meaning("volume without a known aggressor")]
    price_unit: Annotated[
        int, meaning("units of `price` in a rupee: 100, for currency and finer prices 10,000; absent in older levels: 100")
    ] = PAISE


class FeedEvent(msgspec.Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """An entry of the ledger: an event of the feed, or volume that came after its candle was final."""

    event: Annotated[
        str,
        meaning("connected | disconnected | gap | late | out_of_order | duplicate | restart | stalled | token | market_status …"),
    ]
    at_ms: Annotated[int, meaning("when it was seen: by the streamer's clock, a late event by the feed's")]
    instrument_key: Annotated[str | None, meaning("the instrument concerned; null when all are concerned")] = None
    from_ms: Annotated[int | None, meaning("start of the outage in feed time, or of a late event's minute")] = None
    to_ms: Annotated[int | None, meaning("its end in feed time")] = None
    cause: Annotated[str | None, meaning("why, in words")] = None
    volume: Annotated[int | None, meaning("volume traded meanwhile, or that came late")] = None
    detail: Annotated[str | None, meaning("JSON with further details")] = None
    streamer: Annotated[str | None, meaning("name of the streamer that saw it (STREAMER_NAME)")] = None


class Reject(msgspec.Struct, frozen=True, gc=False):
    """Input that could not be used, kept aside."""

    reason: Annotated[str, meaning("short reason, for example bad_json")]
    source: Annotated[str, meaning("feed, spool, or topic[partition]@offset")]
    received_time_ms: Annotated[int, meaning("when it was seen")]
    payload: Annotated[str, meaning("the input, base64, cut at 512 KiB")]
    key: Annotated[
        str | None,
        meaning("the message's key, base64, cut at 1 KiB; null when it had none, and for what came from the feed"),
    ] = None
    topic_id: Annotated[
        str | None,
        meaning("eight hex digits of the id of the topic to which the offset belongs; null for what came from the feed"),
    ] = None


BAR: Final = Struct(fields_of(Bar))
DAY_BAR: Final = Struct(fields_of(DayBar))
GREEKS: Final = Struct(fields_of(Greeks))
TICK: Final = fields_of(Tick)
TRADE: Final = fields_of(Trade)
CANDLE: Final = fields_of(Candle)
FOOTPRINT: Final = fields_of(FootprintLevel)
FEED_EVENT: Final = fields_of(FeedEvent)
REJECT: Final = fields_of(Reject)

INSTRUMENT_STATE: Final = (
    Field("instrument_key", "string", "Upstox key", required=True),
    Field("trading_date", "string", "of the last update; empty before the first", required=True),
    Field("sequence", "long", "number of the last update", required=True),
    Field("vtt", "long", "cumulative volume that is already counted"),
    Field("ltp", "double", "last traded price"),
    Field("ltt_ms", "long", "latest exchange time of a trade"),
    Field("bid", "double", "best bid"),
    Field("ask", "double", "best ask"),
    Field("bid_quantity", "long", "quantity at the best bid"),
    Field("ask_quantity", "long", "quantity at the best ask"),
    Field("feed_time_ms", "long", "feed time of the last update"),
    Field("tick_direction", "int", "sign of the last change of ltp", required=True),
    Field("in_session", "boolean", "vtt is of continuous trading", required=True),
    Field("bar_start_ms", "long", "the last minute bar taken"),
    Field("day_bar", DAY_BAR, "the exchange's running day; its values in order"),
    Field("volume_time_ms", "long", "feed time of the last update whose cumulative volume was counted"),
    Field("doubtful_vtt", "long", "a cumulative volume that waits to be confirmed"),
    Field("doubtful_ms", "long", "feed time of the first update that stated it"),
    Field("session_start_ms", "long", "start of continuous trading, as known at the last update"),
)

SEGMENT_CHANGE: Final = Struct(
    (
        Field("at_ms", "long", "feed time of the announcement", required=True),
        Field("status", "string", "the status from then on", required=True),
    )
)

SEGMENT_STATE: Final = (
    Field("version", "int", "version of this record: 2", required=True),
    Field("status", "string", "last status announced"),
    Field("trading_date", "string", "of the announcements", required=True),
    Field("changes", ListOf(SEGMENT_CHANGE), "the date's statuses in order, each different from the one before", required=True),
    Field("carried", "boolean", "traded over midnight", required=True),
    Field("unscheduled", "boolean", "trades beyond its forecast", required=True),
)

SEGMENT_STATE_1: Final = (
    Field("status", "string", "last status announced"),
    Field("trading_date", "string", "of the announcements", required=True),
    Field("opened_ms", "long", "start of continuous trading, where the feed moved it"),
    Field("closed_ms", "long", "its end, where the feed moved it"),
    Field("extended", "boolean", "open beyond the forecast's hours", required=True),
    Field("waiting", "boolean", "has yet to open", required=True),
)
