"""Derives trades from ticks, longer candles from minutes and a profile from the footprint, from stored rows; pure."""

from __future__ import annotations

from itertools import groupby
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from orderflow.lake.layout import arrow_schema
from orderflow.market import records
from orderflow.market.aggressor import Evidence, verdict
from orderflow.market.calendar import sessions_of
from orderflow.market.candle import Candle
from orderflow.market.measures import roll_up
from orderflow.market.price_unit import PAISE, common_unit
from orderflow.market.times import iso_from_ms

_FAR_MS: Final = 1 << 62

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


def rolled_up(minutes: pa.Table, n: int) -> pa.Table:
    """Return n-minute candles of one instrument's minute candles, which may span many days.

    Windows begin at the start of the session they belong to and are cut at its end.
    """
    candles = [Candle.from_record(row) for row in minutes.to_pylist()]
    longer: list[Candle] = []
    for _, group in groupby(candles, key=lambda candle: iso_from_ms(candle.start_ms)[:10]):
        day = list(group)
        sessions = sessions_of(day)
        for session, until_ms in zip(sessions, [*(later.start_ms for later in sessions[1:]), _FAR_MS], strict=True):
            own = [minute for minute in day if session.start_ms <= minute.start_ms < until_ms]
            longer += roll_up(own, n, session.start_ms, session.end_ms)
    return pa.Table.from_pylist([candle.to_record() for candle in longer], schema=arrow_schema(records.CANDLE))


def profile(footprint: pa.Table) -> pa.Table:
    """Return volume by price, lowest first: buy, sell, unclassified and total.

    All rows have the same `price_unit`, the number of units of `price` in a rupee: the coarsest that can represent all
    prices of the footprint.
    """
    volumes = ["buy_volume", "sell_volume", "unclassified_volume"]
    units = pc.fill_null(footprint.column("price_unit"), PAISE)
    unit = common_unit(pc.unique(units).to_pylist())
    price = pc.multiply(footprint.column("price"), pc.divide(pa.scalar(unit), units))
    levels = pa.table({"price": price, **{name: footprint.column(name) for name in volumes}})
    grouped = levels.group_by("price").aggregate([(name, "sum") for name in volumes])
    summed = pa.table({"price": grouped.column("price"), **{name: grouped.column(f"{name}_sum") for name in volumes}})
    total = pc.add(pc.add(summed.column(volumes[0]), summed.column(volumes[1])), summed.column(volumes[2]))
    unit_of_all = pa.repeat(pa.scalar(unit, pa.int64()), summed.num_rows)
    return summed.append_column("total_volume", total).append_column("price_unit", unit_of_all).sort_by("price")


def with_price_unit(footprint: pa.Table) -> pa.Table:
    """Return a footprint in which levels stored before `price_unit` was a field have it: they are in paise."""
    at = footprint.schema.get_field_index("price_unit")
    return footprint.set_column(at, "price_unit", pc.fill_null(footprint.column(at), PAISE))


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
