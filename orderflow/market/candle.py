"""The candle: one instrument's order flow in one window of event time, and its roll-up into longer windows.

The window's edges are epoch milliseconds inside the program and ISO 8601 in the record.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final

import msgspec

from orderflow.market.errors import DecodeError
from orderflow.market.schema import meaning
from orderflow.market.times import iso_from_ms, ms_from_iso


class Candle(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One window of one instrument."""

    start_ms: Annotated[int, meaning("ISO 8601 with +05:30", scalar="string", name="window_start")]
    end_ms: Annotated[int, meaning("ISO 8601 with +05:30; cut at the session's end", scalar="string", name="window_end")]
    instrument: Annotated[str, meaning("Upstox key")]
    open: Annotated[float | None, meaning("first price")] = None
    high: Annotated[float | None, meaning("highest price")] = None
    low: Annotated[float | None, meaning("lowest price")] = None
    close: Annotated[float | None, meaning("last price")] = None
    buy_volume: Annotated[int, meaning("volume whose aggressor was the buyer")]
    sell_volume: Annotated[int, meaning("volume whose aggressor was the seller")]
    total_volume: Annotated[int, meaning("buy + sell + unclassified; the exchange's if exchange_bar")]
    delta: Annotated[int, meaning("buy_volume - sell_volume")]
    tbq: Annotated[int | None, meaning("total pending buy quantity at the end")] = None
    tsq: Annotated[int | None, meaning("total pending sell quantity at the end")] = None
    window_minutes: Annotated[int, meaning("length of the window in minutes", required=True, scalar="int")] = 1
    unclassified_volume: Annotated[int, meaning("volume without a known aggressor", required=True)] = 0
    tick_volume: Annotated[int, meaning("sum of traded_volume by exchange time of the last trade", required=True)] = 0
    vwap: Annotated[float | None, meaning("volume-weighted average of the updates' last prices")] = None
    tick_count: Annotated[int, meaning("updates that carried a trade", required=True)] = 0
    min_delta: Annotated[int, meaning("least running delta inside the window, 0 at its start", required=True)] = 0
    max_delta: Annotated[int, meaning("greatest running delta inside the window", required=True)] = 0
    imbalance: Annotated[float | None, meaning("delta / (buy + sell), from -1 to 1; null with no classified volume")] = None
    delta_band: Annotated[float | None, meaning("half-width of the 95 % band of delta")] = None
    confidence: Annotated[str | None, meaning("grade of delta: high | medium | low | none")] = None
    exchange_bar: Annotated[bool, meaning("OHLC and total_volume are the exchange's own", required=True)] = False
    gap: Annotated[
        bool, meaning("some of the volume was not seen update by update: an outage, or a silent stretch", required=True)
    ] = False
    tick_open: Annotated[float | None, meaning("first price built from the updates seen")] = None
    tick_high: Annotated[float | None, meaning("highest price built from the updates seen")] = None
    tick_low: Annotated[float | None, meaning("lowest price built from the updates seen")] = None
    tick_close: Annotated[float | None, meaning("last price built from the updates seen")] = None
    tick_buy_volume: Annotated[
        int | None, meaning("buy volume by exchange time of the last trade, before clipping at the minute's edges")
    ] = None
    tick_sell_volume: Annotated[int | None, meaning("sell volume likewise")] = None
    source: Annotated[str, meaning("stream | reprocess | backfill | exchange", required=True)] = "stream"
    final_by: Annotated[
        str | None,
        meaning("how it became final: complete (volume and both edges exact) | bar (the exchange's bar) | clock (time ran out)"),
    ] = None
    auction_volume: Annotated[
        int,
        meaning("volume of an auction in it: the opening auction is part of the first candle, as in the exchange's bar"),
    ] = 0
    session_phase: Annotated[
        str,
        meaning(
            "continuous | closing_auction | post_close: what trades after continuous trading is one candle for each phase,"
            " at the minute of its last trade"
        ),
    ] = "continuous"

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Candle:
        """Build a candle from a `records.CANDLE` mapping; fields it does not know are ignored.

        Raises DecodeError when a window edge is no ISO time or a field without a default is missing.
        """
        missing = [name for name in _NEEDED if record.get(name) is None]
        if missing:
            raise DecodeError("missing_field", f"candle without {', '.join(missing)}")
        values = {name: record[name] for name in _SHARED if name in record and record[name] is not None}
        return cls(
            start_ms=ms_from_iso(record["window_start"]),
            end_ms=ms_from_iso(record["window_end"]),
            **values,
        )

    def window(self) -> tuple[str, str]:
        """Return the window's start and end as records have them: ISO 8601 in Indian time."""
        return iso_from_ms(self.start_ms), iso_from_ms(self.end_ms)

    def to_record(self) -> dict[str, Any]:
        """Return the candle as a `records.CANDLE` mapping, in that order of fields."""
        start, end = self.window()
        return {"window_start": start, "window_end": end, **{name: getattr(self, name) for name in _SHARED}}


_SHARED: Final = tuple(name for name in Candle.__struct_fields__ if name not in ("start_ms", "end_ms"))
_NEEDED: Final = ("window_start", "window_end", "instrument", "buy_volume", "sell_volume", "total_volume", "delta")
