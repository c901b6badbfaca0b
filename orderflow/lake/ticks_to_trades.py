"""The trades behind stored ticks, split as in the stream; pure."""

from __future__ import annotations

from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from orderflow.lake.layout import arrow_schema
from orderflow.market import records
from orderflow.market.aggressor import Evidence, verdict

TRADE_COLUMNS: Final = [
    "instrument_key",
    "trading_date",
    "sequence",
    "vtt",
    "event_time_ms",
    "received_time_ms",
    "feed_time_ms",
    "prev_feed_time_ms",
    "ltp",
    "ltq",
    "ltt_ms",
    "prev_ltt_ms",
    "traded_volume",
    "prev_bid",
    "prev_ask",
    "prev_bid_quantity",
    "prev_ask_quantity",
    "tick_direction",
    "gap",
    "auction",
    "bid",
    "ask",
    "tbq",
    "tsq",
    "session_start_ms",
    "session_end_ms",
]


def trades(ticks: pa.Table, rule: str) -> pa.Table:
    """Return the trades (records.TRADE) behind ticks that carry volume of continuous trading, in the ticks' order.

    `ticks` has TRADE_COLUMNS. The split is the same as in the stream, by `rule`; raises ValueError on an unknown one.
    """
    best = {
        name: _best(ticks.column(side), field)
        for side in ("bid", "ask")
        for name, field in ((side, "price"), (f"{side}_quantity", "quantity"))
    }
    evidence = [best[name] if name in best else ticks.column(name).to_pylist() for name in Evidence._fields]
    splits = [verdict(rule, Evidence(*row))[:3] for row in zip(*evidence, strict=True)]
    buy, sell, unclassified = ([part[side] for part in splits] for side in range(3))
    sides = ["unclassified" if u >= max(b, s) else "buy" if b >= s else "sell" for b, s, u in splits]
    ids = [f"{key}:{date}:{vtt}" for key, date, vtt in zip(*_lists(ticks, "instrument_key", "trading_date", "vtt"), strict=True)]
    columns: dict[str, Any] = {
        "trade_id": ids,
        "price": ticks.column("ltp"),
        "volume": ticks.column("traded_volume"),
        "buy_volume": buy,
        "sell_volume": sell,
        "unclassified_volume": unclassified,
        "side": sides,
        "bid": ticks.column("prev_bid"),
        "ask": ticks.column("prev_ask"),
    }
    schema = arrow_schema(records.TRADE)
    return pa.table({name: columns[name] if name in columns else ticks.column(name) for name in schema.names}, schema=schema)


def _lists(table: pa.Table, *names: str) -> list[list[Any]]:
    return [table.column(name).to_pylist() for name in names]


def _best(levels: pa.ChunkedArray, field: str) -> list[Any]:
    """Return the first level's price or quantity of each book; None for an empty one."""
    values: list[Any] = []
    for chunk in levels.chunks:
        starts = chunk.offsets.slice(0, len(chunk))
        lengths = pc.fill_null(pc.list_value_length(chunk), 0)
        positions = pc.if_else(pc.greater(lengths, 0), starts, None)
        values += pc.take(pc.struct_field(chunk.values, field), positions).to_pylist()
    return values
