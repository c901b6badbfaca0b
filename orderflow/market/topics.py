"""Topic names, and the fields of the JSON records on them, written once."""

from __future__ import annotations

from typing import Final

from orderflow.market import records

TICKS: Final = "upstox_ticks"
TRADES: Final = "upstox_trades"
ORDERFLOW: Final = "upstox_orderflow"
FOOTPRINT: Final = "upstox_footprint"
FEED_EVENTS: Final = "upstox_feed_events"
REJECTS: Final = "upstox_rejects"
INSTRUMENT_STATE: Final = "upstox_instrument_state"
CANDLE_STATE: Final = "upstox_candle_state"

FIELDS: Final = {
    TICKS: records.TICK,
    TRADES: records.TRADE,
    ORDERFLOW: records.CANDLE,
    FOOTPRINT: records.FOOTPRINT,
    FEED_EVENTS: records.FEED_EVENT,
    REJECTS: records.REJECT,
}
"""The fields of the records on each topic that others may read; the two state topics are the product's own."""

ALL: Final = (TICKS, TRADES, ORDERFLOW, FOOTPRINT, FEED_EVENTS, REJECTS, INSTRUMENT_STATE, CANDLE_STATE)
