"""Every record that travels on a topic or rests in HDFS, defined once.

Spark schemas (processing/schemas.py), Arrow schemas (lake/layout.py) and docs/API_REFERENCE.md are derived from
these tuples; a test holds the documentation to them.

Times named `…_ms` are epoch milliseconds UTC. Prices are rupees, quantities and volumes integers (shares or contracts).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

SCHEMA_VERSION: Final = 1

Scalar = Literal["string", "long", "int", "double", "boolean"]


@dataclass(frozen=True, slots=True)
class Struct:
    """A nested record."""

    fields: tuple[Field, ...]


@dataclass(frozen=True, slots=True)
class ListOf:
    """An array of `element`."""

    element: FieldType


FieldType: TypeAlias = "Scalar | Struct | ListOf"


@dataclass(frozen=True, slots=True)
class Field:
    """One field: its name, type, and what it means to the person who reads it. Every field may be null unless `required`."""

    name: str
    type: FieldType
    meaning: str
    required: bool = False


LEVEL: Final = Struct(
    (
        Field("price", "double", "price; null for a level without one (market orders in an auction)"),
        Field("quantity", "long", "resting quantity"),
    )
)

BAR: Final = Struct(
    (
        Field("start_ms", "long", "start of the minute the bar describes"),
        Field("open", "double", "exchange's first price"),
        Field("high", "double", "exchange's highest price"),
        Field("low", "double", "exchange's lowest price"),
        Field("close", "double", "exchange's last price"),
        Field("volume", "long", "exchange's volume of the minute; null for an index"),
        Field("close_vtt", "long", "cumulative volume at the minute's end; null while no anchor is known"),
        Field("open_vtt", "long", "cumulative volume at the minute's start, only where the minute before did not give it"),
        Field("late", "boolean", "came too late for the live candle: only reprocess applies it"),
    )
)

DAY_BAR: Final = Struct(
    (
        *(Field(name, "double", f"day's {name} so far") for name in ("open", "high", "low", "close")),
        Field("volume", "long", "day's volume so far; lags vtt"),
    )
)

GREEKS: Final = Struct(tuple(Field(name, "double", name) for name in ("delta", "theta", "gamma", "vega", "rho")))

TICK: Final = (
    Field("schema_version", "int", "version of this record", required=True),
    Field("instrument_key", "string", "Upstox key, for example NSE_EQ|INE467B01029; `*` on a heartbeat", required=True),
    Field("kind", "string", "snapshot | update | heartbeat", required=True),
    Field("sequence", "long", "counts the instrument's updates of its trading date, from 1", required=True),
    Field("feed_time_ms", "long", "currentTs: when Upstox sent the message", required=True),
    Field("received_time_ms", "long", "when the streamer received it", required=True),
    Field("event_time_ms", "long", "ltt when a trade was inferred, else feed_time_ms", required=True),
    Field("trading_date", "string", "YYYY-MM-DD in IST of the event time", required=True),
    Field("ltp", "double", "last traded price"),
    Field("ltt_ms", "long", "exchange time of the last trade"),
    Field("ltq", "long", "quantity of the last trade"),
    Field("close_price", "double", "previous day's close"),
    Field("vtt", "long", "volume traded today, cumulative"),
    Field("atp", "double", "day's volume-weighted average price"),
    Field("oi", "double", "open interest (derivatives)"),
    Field("iv", "double", "implied volatility (options)"),
    Field("tbq", "long", "total pending buy quantity in the book"),
    Field("tsq", "long", "total pending sell quantity in the book"),
    Field("bid", ListOf(LEVEL), "bid levels after the trade, best first"),
    Field("ask", ListOf(LEVEL), "ask levels after the trade, best first"),
    Field("greeks", GREEKS, "option greeks"),
    Field("bar", BAR, "the exchange's last completed minute, only when new"),
    Field("day_bar", DAY_BAR, "the exchange's running day, only when new"),
    Field("segment_status", "string", "last status the feed gave for the segment, for example NORMAL_OPEN"),
    Field("session_phase", "string", "pre_open | continuous | closing_auction | post_close | closed, of the event time"),
    Field("session_start_ms", "long", "start of continuous trading of the instrument's segment on the trading date"),
    Field("session_end_ms", "long", "end of continuous trading"),
    Field("traded_volume", "long", "vtt minus the previous vtt of the session; null with no baseline"),
    Field("prev_bid", "double", "best bid of the previous update"),
    Field("prev_ask", "double", "best ask of the previous update"),
    Field("prev_bid_quantity", "long", "quantity at the best bid of the previous update"),
    Field("prev_ask_quantity", "long", "quantity at the best ask of the previous update"),
    Field("prev_feed_time_ms", "long", "feed_time_ms of the previous update"),
    Field("prev_ltt_ms", "long", "ltt_ms of the previous update"),
    Field("tick_direction", "int", "sign of the last change of ltp before or at this update: -1, 0 (none yet), 1"),
    Field("gap", "boolean", "the traded volume spans an outage"),
    Field("auction", "boolean", "the traded volume belongs to an auction: it has no aggressor"),
)

TRADE: Final = (
    Field("instrument_key", "string", "Upstox key", required=True),
    Field("trade_id", "string", "instrument_key:trading date:vtt; repeats after a crash carry the same id", required=True),
    Field("event_time_ms", "long", "exchange time", required=True),
    Field("received_time_ms", "long", "when the streamer received the update", required=True),
    Field("price", "double", "last traded price", required=True),
    Field("volume", "long", "traded volume of the update", required=True),
    Field("buy_volume", "long", "bought at the ask's initiative", required=True),
    Field("sell_volume", "long", "sold at the bid's initiative", required=True),
    Field("unclassified_volume", "long", "auction, gap, or nothing known", required=True),
    Field("side", "string", "the dominant one: buy | sell | unclassified", required=True),
    Field("bid", "double", "best bid before the trade"),
    Field("ask", "double", "best ask before the trade"),
    Field("tbq", "long", "total pending buy quantity"),
    Field("tsq", "long", "total pending sell quantity"),
    Field("session_start_ms", "long", "start of continuous trading"),
    Field("session_end_ms", "long", "end of continuous trading"),
    Field("gap", "boolean", "spans an outage"),
)

CANDLE: Final = (
    Field("window_start", "string", "ISO 8601 with +05:30", required=True),
    Field("window_end", "string", "ISO 8601 with +05:30; cut at the session's end", required=True),
    Field("instrument", "string", "Upstox key", required=True),
    Field("open", "double", "first price"),
    Field("high", "double", "highest price"),
    Field("low", "double", "lowest price"),
    Field("close", "double", "last price"),
    Field("buy_volume", "long", "aggressive buying", required=True),
    Field("sell_volume", "long", "aggressive selling", required=True),
    Field("total_volume", "long", "buy + sell + unclassified; the exchange's where exchange_bar", required=True),
    Field("delta", "long", "buy_volume - sell_volume", required=True),
    Field("tbq", "long", "total pending buy quantity at the end"),
    Field("tsq", "long", "total pending sell quantity at the end"),
    Field("window_minutes", "int", "length of the window in minutes", required=True),
    Field("unclassified_volume", "long", "volume without a known aggressor", required=True),
    Field("tick_volume", "long", "sum of traded_volume by exchange time of the last trade", required=True),
    Field("vwap", "double", "volume-weighted average of the updates' last prices"),
    Field("tick_count", "long", "updates that carried a trade", required=True),
    Field("min_delta", "long", "least running delta inside the window, 0 at its start", required=True),
    Field("max_delta", "long", "greatest running delta inside the window", required=True),
    Field("imbalance", "double", "delta / (buy + sell), from -1 to 1; null with no classified volume"),
    Field("delta_band", "double", "half-width of the 95 % band of delta"),
    Field("confidence", "string", "grade of delta: high | medium | low | none"),
    Field("exchange_bar", "boolean", "OHLC and total_volume are the exchange's own", required=True),
    Field("gap", "boolean", "some of the volume spans an outage", required=True),
    Field("tick_open", "double", "first price built from the updates seen"),
    Field("tick_high", "double", "highest price built from the updates seen"),
    Field("tick_low", "double", "lowest price built from the updates seen"),
    Field("tick_close", "double", "last price built from the updates seen"),
    Field("tick_buy_volume", "long", "buy volume by exchange time of the last trade, before clipping at the minute's edges"),
    Field("tick_sell_volume", "long", "sell volume likewise"),
    Field("source", "string", "stream | reprocess | backfill", required=True),
)

FOOTPRINT: Final = (
    Field("window_start", "string", "ISO 8601 with +05:30", required=True),
    Field("window_end", "string", "ISO 8601 with +05:30", required=True),
    Field("instrument", "string", "Upstox key", required=True),
    Field("price", "long", "price level in paise", required=True),
    Field("buy_volume", "long", "aggressive buying booked at this price", required=True),
    Field("sell_volume", "long", "aggressive selling booked at this price", required=True),
    Field("unclassified_volume", "long", "volume without a known aggressor", required=True),
)

FEED_EVENT: Final = (
    Field(
        "event",
        "string",
        "connected | disconnected | gap | out_of_order | duplicate | restart | stalled | token | market_status …",
        required=True,
    ),
    Field("at_ms", "long", "when the streamer saw it", required=True),
    Field("instrument_key", "string", "the instrument concerned; null when all are"),
    Field("from_ms", "long", "start of the outage in feed time"),
    Field("to_ms", "long", "its end in feed time"),
    Field("cause", "string", "why, in words"),
    Field("volume", "long", "volume that passed meanwhile"),
    Field("detail", "string", "JSON with what else is known"),
)

BAR_CHAIN: Final = Struct(
    (
        Field("end_ms", "long", "end of the last bar that is placed"),
        Field("low", "long", "least cumulative volume there", required=True),
        Field("high", "long", "most cumulative volume there", required=True),
        Field("value", "long", "the one given out"),
        Field("minutes", ListOf(ListOf("long")), "minute, most at its start, least at its end", required=True),
        Field("strict", "boolean", "bars may be missing before the next one", required=True),
    )
)

INSTRUMENT_STATE: Final = (
    Field("instrument_key", "string", "Upstox key", required=True),
    Field("trading_date", "string", "of the last update; empty before the first", required=True),
    Field("sequence", "long", "number of the last update", required=True),
    Field("vtt", "long", "cumulative volume that counts as booked"),
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
    Field("chain", BAR_CHAIN, "where minute bars lie on the vtt axis", required=True),
)

SEGMENT_STATE: Final = (
    Field("status", "string", "last status announced"),
    Field("trading_date", "string", "of the announcements", required=True),
    Field("opened_ms", "long", "start of continuous trading, where the feed moved it"),
    Field("closed_ms", "long", "its end, where the feed moved it"),
    Field("extended", "boolean", "open beyond the forecast's hours", required=True),
    Field("waiting", "boolean", "has yet to open", required=True),
)

REJECT: Final = (
    Field("reason", "string", "short reason, for example bad_json", required=True),
    Field("source", "string", "feed, spool, or topic[partition]@offset", required=True),
    Field("received_time_ms", "long", "when it was seen", required=True),
    Field("payload", "string", "the input, base64, cut at 512 KiB", required=True),
)


def names(fields: tuple[Field, ...]) -> tuple[str, ...]:
    """Return the field names in order."""
    return tuple(field.name for field in fields)
