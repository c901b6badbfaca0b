"""The trade: what one update traded, split by aggressor side; the live counterpart of a candle's volume."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Final

from orderflow.market.errors import DecodeError


@dataclass(frozen=True, slots=True, kw_only=True)
class Trade:
    """The volume one update of an instrument traded; `records.TRADE` says what each field means."""

    instrument_key: str
    trade_id: str
    event_time_ms: int
    received_time_ms: int
    price: float
    volume: int
    buy_volume: int
    sell_volume: int
    unclassified_volume: int
    side: str
    bid: float | None = None
    ask: float | None = None
    tbq: int | None = None
    tsq: int | None = None
    session_start_ms: int | None = None
    session_end_ms: int | None = None
    gap: bool = False

    @property
    def delta(self) -> int:
        """Return buy volume minus sell volume."""
        return self.buy_volume - self.sell_volume

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Trade:
        """Build a trade from a `records.TRADE` mapping; unknown fields are ignored, missing ones raise DecodeError."""
        missing = [name for name in _NEEDED if record.get(name) is None]
        if missing:
            raise DecodeError("missing_field", f"trade without {', '.join(missing)}")
        return cls(**{name: record[name] for name in _NAMES if record.get(name) is not None})

    def to_record(self) -> dict[str, Any]:
        """Return the trade as a `records.TRADE` mapping, in that order of fields."""
        return {name: getattr(self, name) for name in _NAMES}


def dominant_side(buy_volume: int, sell_volume: int) -> str:
    """Return the side with more volume: buy, sell, or unclassified when neither leads."""
    if buy_volume == sell_volume:
        return "unclassified"
    return "buy" if buy_volume > sell_volume else "sell"


_NAMES: Final = tuple(field.name for field in fields(Trade))
_NEEDED: Final = _NAMES[: _NAMES.index("bid")]
