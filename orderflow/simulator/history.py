"""Months of synthetic tick records as Parquet, for benchmarks: statistically plain, but every column and relation is there."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from orderflow.market import records
from orderflow.market.records import FieldType, ListOf, Struct
from orderflow.market.times import MINUTE_MS
from orderflow.simulator.catalogue import Instrument
from orderflow.simulator.session_plan import of_date

_TYPES: Final = {"string": pa.string(), "long": pa.int64(), "int": pa.int32(), "double": pa.float64(), "boolean": pa.bool_()}
_LEVELS: Final = 5
_BAR_DELAY_MS: Final = 1_500

Columns = dict[str, Any]


def write(
    directory: Path, instruments: tuple[Instrument, ...], last_day: dt.date, days: int, rate: float, seed: int
) -> Iterator[str]:
    """Write `days` weekdays up to `last_day` as directory/date=YYYY-MM-DD/synthetic.parquet; yield a line of progress a day.

    Each instrument has one row group per day with `rate` updates a second between 09:15 and 15:30 IST, about half of them
    with a trade. Rows carry the fields of market.records.TICK; oi, iv and greeks are null, as for shares. A day's file is
    complete or absent. Indices are left out.
    """
    schema = pa.schema([(field.name, _arrow(field.type)) for field in records.TICK])
    stocks = [instrument for instrument in instruments if not instrument.is_index]
    closes = {stock.key: stock.start_paise / stock.tick_paise for stock in stocks}
    for day in weekdays(last_day, days):
        target = directory / f"date={day.isoformat()}" / "synthetic.parquet"
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = target.with_suffix(".partial")
        rows = 0
        with pq.ParquetWriter(partial, schema, compression="zstd", compression_level=3) as writer:
            for number, stock in enumerate(stocks):
                rng = np.random.default_rng((seed, day.toordinal(), number))
                columns, closes[stock.key] = day_columns(rng, stock, day, rate, closes[stock.key])
                table = pa.table([_column(schema.field(name), columns) for name in schema.names], schema=schema)
                writer.write_table(table, row_group_size=table.num_rows)
                rows += table.num_rows
        partial.rename(target)
        yield f"{target}: {rows:,} rows, {target.stat().st_size / 1e6:,.1f} MB"


def weekdays(last_day: dt.date, count: int) -> list[dt.date]:
    """Return `count` weekdays up to and including `last_day`, oldest first."""
    days: list[dt.date] = []
    day = last_day
    while len(days) < count:
        if day.weekday() < 5:
            days.append(day)
        day -= dt.timedelta(days=1)
    return days[::-1]


def day_columns(rng: np.random.Generator, stock: Instrument, day: dt.date, rate: float, close: float) -> tuple[Columns, float]:
    """Return one instrument's day as numpy columns by field name, and its last price in ticks.

    Nested fields are structs of columns; `None` stands for a column of nulls.
    """
    plan = of_date(day)
    start, end = plan.without_derivatives.open_ms, plan.without_derivatives.close_ms
    count = max(2, int((end - start) / 1000 * rate))
    gap = (end - start) / count
    feed_time = (start + 500 + (np.arange(count) + rng.random(count) * 0.8) * gap).astype(np.int64)
    traded = rng.random(count) < 0.5
    volume = np.where(traded, 1 + rng.lognormal(0.0, 1.2, count) * stock.typical_order * 2, 0).astype(np.int64)
    volume[0] = 0
    traded = volume > 0
    mid = np.round(close + np.cumsum(rng.normal(0.0, 5e-5 * close * np.sqrt(gap / 1000), count)))
    spread = 1 + rng.integers(0, 3, count)
    best_bid, best_ask = mid, mid + spread
    aggressive_buy = rng.random(count) < 0.5
    last_trade = np.maximum.accumulate(np.where(traded, np.arange(count), 0))
    price_ticks = np.where(aggressive_buy, best_ask, best_bid)[last_trade]
    ltt = (feed_time - 150 - (rng.random(count) * min(300.0, gap * 0.5)).astype(np.int64))[last_trade]
    tick = stock.tick_paise / 100
    price = np.round(price_ticks * tick, 2)
    opening = stock.typical_order * 600
    vtt = opening + np.cumsum(volume)
    turnover = opening * price[0] + np.cumsum(volume * price)
    change = np.sign(np.diff(price, prepend=price[0])).astype(np.int32)
    last_change = np.maximum.accumulate(np.where(change != 0, np.arange(count), 0))
    bid_price, ask_price = (np.round(level * tick, 2) for level in (best_bid, best_ask))
    previous = np.arange(count) - 1
    has_previous = previous >= 0

    def constant(value: object) -> np.ndarray[Any, Any]:
        return np.full(count, value)

    def before(column: np.ndarray[Any, Any]) -> pa.Array:
        return pa.array(column[previous], mask=~has_previous)

    bids, asks = (_levels(rng, best, step, tick, stock.typical_order) for best, step in ((best_bid, -1), (best_ask, 1)))
    columns: Columns = {
        "schema_version": constant(records.SCHEMA_VERSION),
        "instrument_key": constant(stock.key),
        "kind": np.where(has_previous, "update", "snapshot"),
        "sequence": np.arange(1, count + 1),
        "feed_time_ms": feed_time,
        "received_time_ms": feed_time + 15 + (rng.random(count) * 60).astype(np.int64),
        "event_time_ms": np.where(traded, ltt, feed_time),
        "trading_date": constant(day.isoformat()),
        "ltp": price,
        "ltt_ms": ltt,
        "ltq": 1 + (volume[last_trade] // 3),
        "close_price": constant(round(close * tick, 2)),
        "vtt": vtt,
        "atp": np.round(turnover / vtt, 2),
        "tbq": (rng.integers(2_000, 4_000, count) * stock.typical_order),
        "tsq": (rng.integers(2_000, 4_000, count) * stock.typical_order),
        "bid": bids,
        "ask": asks,
        "bar": _minute_bars(feed_time, ltt, price, volume, traded),
        "day_bar": _day_bars(price, traded, vtt, volume),
        "segment_status": constant("NORMAL_OPEN"),
        "session_phase": constant("continuous"),
        "session_start_ms": constant(start),
        "session_end_ms": constant(end),
        "traded_volume": pa.array(volume, mask=~has_previous),
        "prev_bid": before(bid_price),
        "prev_ask": before(ask_price),
        "prev_bid_quantity": before(_best_quantities(bids)),
        "prev_ask_quantity": before(_best_quantities(asks)),
        "prev_feed_time_ms": before(feed_time),
        "prev_ltt_ms": before(ltt),
        "tick_direction": change[last_change],
        "gap": constant(False),
        "auction": constant(False),
    }
    return columns, float(price_ticks[-1])


def _levels(rng: np.random.Generator, best: np.ndarray[Any, Any], step: int, tick: float, size: int) -> pa.Array:
    count = len(best)
    prices = np.round((best[:, None] + step * np.arange(_LEVELS)[None, :]) * tick, 2).ravel()
    quantities = (1 + rng.exponential(4.0, count * _LEVELS) * size).astype(np.int64)
    offsets = np.arange(0, count * _LEVELS + 1, _LEVELS, dtype=np.int32)
    return pa.ListArray.from_arrays(offsets, pa.StructArray.from_arrays([prices, quantities], ["price", "quantity"]))


def _best_quantities(levels: pa.Array) -> np.ndarray[Any, Any]:
    quantities = levels.flatten().field("quantity").to_numpy()
    return np.asarray(quantities[::_LEVELS])


def _minute_bars(
    feed_time: np.ndarray[Any, Any],
    ltt: np.ndarray[Any, Any],
    price: np.ndarray[Any, Any],
    volume: np.ndarray[Any, Any],
    traded: np.ndarray[Any, Any],
) -> pa.Array:
    """Put each traded minute's bar on the first update that comes 1.5 s or more after the minute's end."""
    index = np.flatnonzero(traded)
    minutes = ltt[index] // MINUTE_MS
    first = np.flatnonzero(np.diff(minutes, prepend=-1))
    last = np.append(first[1:], len(index)) - 1
    shown = np.searchsorted(feed_time, (minutes[first] + 1) * MINUTE_MS + _BAR_DELAY_MS)
    columns = {
        "start_ms": minutes[first] * MINUTE_MS,
        "open": price[index[first]],
        "high": np.maximum.reduceat(price[index], first),
        "low": np.minimum.reduceat(price[index], first),
        "close": price[index[last]],
        "volume": np.add.reduceat(volume[index], first),
    }
    inside = shown < len(feed_time)
    rows = shown[inside]
    present = np.zeros(len(feed_time), dtype=bool)
    present[rows] = True
    arrays = []
    for field in records.BAR.fields:
        values = columns[field.name]
        full = np.zeros(len(feed_time), dtype=values.dtype)
        full[rows] = values[inside]
        arrays.append(pa.array(full, mask=~present))
    return pa.StructArray.from_arrays(arrays, [field.name for field in records.BAR.fields], mask=pa.array(~present))


def _day_bars(
    price: np.ndarray[Any, Any], traded: np.ndarray[Any, Any], vtt: np.ndarray[Any, Any], volume: np.ndarray[Any, Any]
) -> pa.Array:
    columns = [
        np.full(len(price), price[0]),
        np.maximum.accumulate(price),
        np.minimum.accumulate(price),
        price,
        vtt - volume,
    ]
    return pa.StructArray.from_arrays(
        [pa.array(column, mask=~traded) for column in columns],
        [field.name for field in records.DAY_BAR.fields],
        mask=pa.array(~traded),
    )


def _column(field: pa.Field, columns: Columns) -> pa.Array:
    values = columns.get(field.name)
    if values is None:
        length = len(columns["sequence"])
        return pa.nulls(length, field.type)
    return (values if isinstance(values, pa.Array) else pa.array(values)).cast(field.type)


def _arrow(kind: FieldType) -> pa.DataType:
    if isinstance(kind, Struct):
        return pa.struct([(field.name, _arrow(field.type)) for field in kind.fields])
    if isinstance(kind, ListOf):
        return pa.list_(_arrow(kind.element))
    return _TYPES[kind]
