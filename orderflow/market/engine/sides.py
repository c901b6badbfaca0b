"""How the engine splits a tick's volume: the aggressor rule, and nothing where nobody saw the trades one by one."""

from __future__ import annotations

from orderflow.market.aggressor import split
from orderflow.market.confidence import wrong_share
from orderflow.market.engine.instrument import Sides, is_silent
from orderflow.market.tick import Tick

UNCLASSIFIED = Sides(0, 0, 0.0)


def sides_of(tick: Tick, rule: str) -> Sides | None:
    """Split a tick's traded volume by `rule`; None when it has none."""
    volume = tick.traded_volume
    if not volume:
        return None
    if tick.gap or tick.auction or is_silent(tick):
        return UNCLASSIFIED
    bid, ask = tick.bid[0] if tick.bid else None, tick.ask[0] if tick.ask else None
    buy, sell, unclassified = split(
        rule,
        volume,
        tick.ltp,
        tick.ltq,
        tick.prev_bid,
        tick.prev_ask,
        tick.tick_direction,
        tick.feed_time_ms,
        tick.prev_feed_time_ms,
        tick.ltt_ms,
        tick.prev_ltt_ms,
        tick.gap,
        tick.auction,
        None if bid is None else bid.quantity,
        None if ask is None else ask.quantity,
    )
    if unclassified == volume:
        return UNCLASSIFIED
    wrong = wrong_share(
        volume,
        tick.ltp,
        tick.ltq,
        tick.prev_bid,
        tick.prev_ask,
        None if bid is None else bid.price,
        None if ask is None else ask.price,
        tick.feed_time_ms,
        tick.prev_feed_time_ms,
        tick.ltt_ms,
        tick.prev_ltt_ms,
    )
    return Sides(buy, sell, wrong)
