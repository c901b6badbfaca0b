"""Computes the trade behind a tick; `processing/trades.py` does so with Spark columns, and a property test compares both."""

from __future__ import annotations

from typing import Final

from orderflow.market.engine.sides import sides_of
from orderflow.market.tick import Tick
from orderflow.market.trade import Trade

CONTINUOUS: Final = "continuous"


def trade_of(tick: Tick, rule: str) -> Trade | None:
    """Return the trade behind a tick of continuous trading, split by `rule`; None if it traded nothing."""
    sides = sides_of(tick, rule)
    if sides is None or tick.traded_volume is None or tick.session_phase != CONTINUOUS or tick.ltp is None:
        return None
    buy, sell = sides.buy, sides.sell
    unclassified = tick.traded_volume - buy - sell
    side = "unclassified" if unclassified >= max(buy, sell) else "buy" if buy >= sell else "sell"
    return Trade(
        instrument_key=tick.instrument_key,
        trade_id=f"{tick.instrument_key}:{tick.trading_date}:{tick.vtt}",
        event_time_ms=tick.event_time_ms,
        received_time_ms=tick.received_time_ms,
        price=tick.ltp,
        volume=tick.traded_volume,
        buy_volume=buy,
        sell_volume=sell,
        unclassified_volume=unclassified,
        side=side,
        bid=tick.prev_bid,
        ask=tick.prev_ask,
        tbq=tick.tbq,
        tsq=tick.tsq,
        session_start_ms=tick.session_start_ms,
        session_end_ms=tick.session_end_ms,
        gap=bool(tick.gap),
    )
