"""Topic names, written once."""

from __future__ import annotations

from typing import Final

TICKS: Final = "upstox_ticks"
TRADES: Final = "upstox_trades"
ORDERFLOW: Final = "upstox_orderflow"
FOOTPRINT: Final = "upstox_footprint"
FEED_EVENTS: Final = "upstox_feed_events"
REJECTS: Final = "upstox_rejects"
INSTRUMENT_STATE: Final = "upstox_instrument_state"
CANDLE_STATE: Final = "upstox_candle_state"

ALL: Final = (TICKS, TRADES, ORDERFLOW, FOOTPRINT, FEED_EVENTS, REJECTS, INSTRUMENT_STATE, CANDLE_STATE)
