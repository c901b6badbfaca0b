"""The trade: the volume of one update, split by aggressor side; the live counterpart of a candle's volume."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final

import msgspec

from orderflow.market.errors import DecodeError
from orderflow.market.schema import meaning


class Trade(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The volume one update of an instrument traded."""

    instrument_key: Annotated[str, meaning("Upstox key")]
    trade_id: Annotated[str, meaning("instrument_key:trading date:vtt; repeats after a crash carry the same id")]
    event_time_ms: Annotated[int, meaning("exchange time")]
    received_time_ms: Annotated[int, meaning("when the streamer received the update")]
    price: Annotated[float, meaning("last traded price")]
    volume: Annotated[int, meaning("traded volume of the update")]
    buy_volume: Annotated[int, meaning("volume whose aggressor was the buyer")]
    sell_volume: Annotated[int, meaning("volume whose aggressor was the seller")]
    unclassified_volume: Annotated[int, meaning("auction, gap, or nothing known")]
    side: Annotated[str, meaning("the dominant one: buy | sell | unclassified")]
    bid: Annotated[float | None, meaning("best bid before the trade")] = None
    ask: Annotated[float | None, meaning("best ask before the trade")] = None
    tbq: Annotated[int | None, meaning("total pending buy quantity")] = None
    tsq: Annotated[int | None, meaning("total pending sell quantity")] = None
    session_start_ms: Annotated[int | None, meaning("start of continuous trading")] = None
    session_end_ms: Annotated[int | None, meaning("end of continuous trading")] = None
    gap: Annotated[bool, meaning("spans an outage")] = False

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


_NAMES: Final = Trade.__struct_fields__
_NEEDED: Final = _NAMES[: _NAMES.index("bid")]
