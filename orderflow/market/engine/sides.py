"""How the engine splits a tick's volume: the aggressor rule, and nothing where nobody saw the trades one by one."""

from __future__ import annotations

from orderflow.market.aggressor import Evidence, verdict
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
    buy, sell, unclassified, wrong_share = verdict(rule, Evidence.of(tick))
    return UNCLASSIFIED if unclassified == volume else Sides(buy, sell, wrong_share)
