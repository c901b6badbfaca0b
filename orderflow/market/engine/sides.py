"""How the engine splits a tick's volume by aggressor."""

from __future__ import annotations

from orderflow.market.aggressor import Evidence, verdict
from orderflow.market.engine.instrument import Sides
from orderflow.market.tick import Tick

UNCLASSIFIED = Sides(0, 0, 0.0)


def sides_of(tick: Tick, rule: str) -> Sides | None:
    """Split a tick's traded volume by `rule`; None when it has none."""
    volume = tick.traded_volume
    if not volume:
        return None
    if tick.gap or tick.auction:
        return UNCLASSIFIED
    buy, sell, unclassified, wrong_share = verdict(rule, Evidence.of(tick))
    return UNCLASSIFIED if unclassified == volume else Sides(buy, sell, wrong_share)
