"""Finds parsed records that are certainly valid, with Arrow expressions that are the counterparts of the reasons in `schemas`.

Each may be stricter than its reason there, never less strict: `schemas` checks whatever is not certain. Null counts as valid.
"""

from __future__ import annotations

from functools import reduce
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from orderflow.market.price_unit import PAISE, PRICE_UNITS
from orderflow.market.tick import READABLE_VERSIONS
from orderflow.market.times import DAY_MS, IST_OFFSET_MS, MINUTE_MS
from orderflow.processing.arrow_parse import KEY, SENT_MS
from orderflow.settings import WINDOW_MINUTES

_EARLIEST_MS: Final = 946_684_800_000
_LATEST_MS: Final = 4_102_444_800_000
_MOST_VOLUME: Final = 10**12
_MOST_PRICE: Final = 1e9
_MOST_AMOUNT: Final = 1e15
_WINDOW_FORMAT: Final = "%Y-%m-%dT%H:%M:%S"
_WINDOW_EDGE: Final = r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:00\+05:30$"


def sound_tick(rows: pa.Table) -> pa.ChunkedArray:
    """Return which ticks are certainly valid: see `schemas.tick_reason`."""
    at = rows.column
    bar, amounts = _Nested(at("bar")), [at(name) for name in ("oi", "iv")]
    times = [at(name) for name in rows.column_names if name.endswith("_ms") and not name.startswith("_")]
    levels = [_levels(at(side)) for side in ("bid", "ask")]
    volumes = [
        *[at(name) for name in ("sequence", "vtt", "traded_volume", "ltq", "tbq", "tsq")],
        *[at(name) for name in ("prev_bid_quantity", "prev_ask_quantity", "indicative_quantity")],
    ]
    prices = [at(name) for name in ("ltp", "close_price", "atp", "prev_bid", "prev_ask", "indicative_price")]
    heartbeat = pc.equal(at("kind"), "heartbeat")
    own_key = pc.equal(pc.cast(at("instrument_key"), pa.large_binary()), at(KEY))
    edges = [pc.abs(pc.subtract(at(f"session_{edge}_ms"), at("event_time_ms"))) for edge in ("start", "end")]
    low, high = bar["low"], bar["high"]
    return _all(
        pc.is_in(at("schema_version"), value_set=pa.array(READABLE_VERSIONS, pa.int32())),
        pc.or_kleene(heartbeat, own_key),
        pc.is_in(at("kind"), value_set=pa.array(["snapshot", "update", "heartbeat", "minute"])),
        *[_between(time, 0, _LATEST_MS) for time in [*times, bar["start_ms"]]],
        pc.less_equal(pc.subtract(at("event_time_ms"), at("received_time_ms")), MINUTE_MS),
        pc.less_equal(pc.subtract(at("feed_time_ms"), at("received_time_ms")), MINUTE_MS),
        pc.less_equal(pc.subtract(at("received_time_ms"), at(SENT_MS)), 5 * MINUTE_MS),
        pc.greater(at("event_time_ms"), 0),
        pc.equal(at("trading_date"), _ist_date(at("event_time_ms"))),
        *[pc.less_equal(edge, 2 * DAY_MS) for edge in edges],
        *[_between(volume, 0, _MOST_VOLUME) for volume in [*volumes, bar["volume"]]],
        _between(at("indicative_imbalance"), -_MOST_VOLUME, _MOST_VOLUME),
        *[_price(price) for price in [*prices, *(bar[name] for name in ("open", "high", "low", "close"))]],
        *[pc.less(pc.abs(amount), _MOST_AMOUNT) for amount in amounts],
        *levels,
        _between(at("tick_direction"), -1, 1),
        pc.or_kleene(bar.absent, _all(pc.is_valid(bar["start_ms"]), *[pc.is_valid(bar[name]) for name in ("open", "close")])),
        pc.or_kleene(bar.absent, _all(pc.is_valid(low), pc.is_valid(high))),
        pc.equal(pc.multiply(pc.divide(bar["start_ms"], MINUTE_MS), MINUTE_MS), bar["start_ms"]),
        pc.less_equal(pc.subtract(bar["start_ms"], at("received_time_ms")), MINUTE_MS),
        *[_all(pc.less_equal(low, bar[name]), pc.less_equal(bar[name], high)) for name in ("open", "close")],
        pc.or_kleene(pc.is_null(at("traded_volume")), pc.is_valid(at("vtt"))),
        pc.less_equal(at("traded_volume"), at("vtt")),
    )


def sound_candle(rows: pa.Table) -> pa.ChunkedArray:
    """Return which candles are certainly valid: see `schemas.candle_reason`."""
    at = rows.column
    parts = [at(f"{part}volume") for part in ("buy_", "sell_", "unclassified_")]
    counts = [
        at(name)
        for name in (
            "total_volume",
            "tick_volume",
            "tick_buy_volume",
            "tick_sell_volume",
            "auction_volume",
            "tick_count",
            "tbq",
            "tsq",
        )
    ]
    prices = [[at(f"{prefix}{name}") for name in ("open", "high", "low", "close")] for prefix in ("", "tick_")]
    present = [pc.is_valid(price) for price in prices[0]]
    delta = pc.subtract(parts[0], parts[1])
    ordered = [
        _all(pc.less_equal(low, price), pc.less_equal(price, high))
        for first, high, low, last in prices
        for price in (first, last, high)
    ]
    return _all(
        *_windows(rows, at("window_minutes")),
        pc.is_in(at("window_minutes"), value_set=pa.array(WINDOW_MINUTES, pa.int32())),
        pc.is_in(at("source"), value_set=pa.array(["stream", "exchange"])),
        *[_between(count, 0, _MOST_VOLUME) for count in [*parts, *counts]],
        *[_between(at(name), -_MOST_VOLUME, _MOST_VOLUME) for name in ("delta", "min_delta", "max_delta")],
        *[_price(price) for price in [*prices[0], *prices[1], at("vwap")]],
        _between(at("imbalance"), -1.0, 1.0),
        _between(at("delta_band"), 0.0, _MOST_AMOUNT / 2),
        pc.or_kleene(reduce(pc.and_kleene, present), pc.invert(reduce(pc.or_kleene, present))),
        *ordered,
        pc.equal(reduce(pc.add, parts), at("total_volume")),
        pc.equal(delta, at("delta")),
        _all(pc.less_equal(at("min_delta"), delta), pc.less_equal(at("min_delta"), 0)),
        _all(pc.greater_equal(at("max_delta"), delta), pc.greater_equal(at("max_delta"), 0)),
    )


def sound_level(rows: pa.Table) -> pa.ChunkedArray:
    """Return which footprint levels are certainly valid: see `schemas.footprint_reason`."""
    at = rows.column
    unit = pc.fill_null(at("price_unit"), PAISE)
    return _all(
        *_windows(rows, pa.scalar(1)),
        pc.is_in(unit, value_set=pa.array(PRICE_UNITS, pa.int64())),
        pc.greater(at("price"), 0),
        pc.less(at("price"), pc.multiply(unit, int(_MOST_PRICE))),
        *[_between(at(f"{side}_volume"), 0, _MOST_VOLUME) for side in ("buy", "sell", "unclassified")],
    )


class _Nested:
    """The columns of a struct that may be absent."""

    def __init__(self, column: pa.ChunkedArray) -> None:
        self._column = column
        self.absent = pc.is_null(column)

    def __getitem__(self, name: str) -> Any:
        return pc.struct_field(self._column, name)


def _windows(rows: pa.Table, window_minutes: Any) -> list[Any]:
    """Return the checks of a window: on the minute, of a consistent length, after 2000, and ended when it was sent."""
    start_ms, end_ms = (_window_ms(rows.column(f"window_{edge}")) for edge in ("start", "end"))
    length_ms = pc.subtract(end_ms, start_ms)
    longest_ms = pc.multiply(pc.cast(window_minutes, pa.int64()), MINUTE_MS)
    return [
        pc.equal(pc.cast(rows.column("instrument"), pa.large_binary()), rows.column(KEY)),
        pc.is_valid(start_ms),
        pc.is_valid(end_ms),
        pc.greater_equal(length_ms, MINUTE_MS),
        pc.less_equal(length_ms, longest_ms),
        pc.greater_equal(start_ms, _EARLIEST_MS),
        pc.less_equal(pc.subtract(end_ms, rows.column(SENT_MS)), 5 * MINUTE_MS),
    ]


def _window_ms(edge: pa.ChunkedArray) -> Any:
    """Return the time of a window's edge; null if it is not a time in the expected format."""
    local = pc.utf8_slice_codeunits(edge, 0, 19)
    read = pc.strptime(local, format=_WINDOW_FORMAT, unit="s", error_is_null=True)
    exact = pc.and_kleene(pc.equal(pc.strftime(read, format=_WINDOW_FORMAT), local), pc.match_substring_regex(edge, _WINDOW_EDGE))
    milliseconds = pc.subtract(pc.multiply(pc.cast(read, pa.int64()), 1_000), IST_OFFSET_MS)
    return pc.if_else(pc.fill_null(exact, False), milliseconds, pa.scalar(None, pa.int64()))


def _levels(side: pa.ChunkedArray) -> Any:
    """Return for each book whether all its levels are possible; null without a book."""
    whole = side.combine_chunks()
    flat = pc.list_flatten(whole)
    wrong = pc.invert(_all(_price(pc.struct_field(flat, "price")), _between(pc.struct_field(flat, "quantity"), 0, _MOST_VOLUME)))
    rows = pc.unique(pc.filter(pc.list_parent_indices(whole), pc.or_kleene(pc.fill_null(wrong, False), pc.is_null(flat))))
    return pc.invert(pc.is_in(pa.array(range(len(whole)), rows.type), value_set=rows))


def _ist_date(milliseconds: pa.ChunkedArray) -> Any:
    """Return the date in India, YYYY-MM-DD, of times within the valid range; null for others."""
    bounded = pc.if_else(_between(milliseconds, 0, _LATEST_MS), milliseconds, pa.scalar(0, pa.int64()))
    days = pc.cast(pc.divide(pc.add(bounded, IST_OFFSET_MS), DAY_MS), pa.int32())
    return pc.cast(pc.cast(days, pa.date32()), pa.string())


def _price(price: Any) -> Any:
    return pc.and_kleene(pc.greater(price, 0), pc.less(price, _MOST_PRICE))


def _between(value: Any, least: float, most: float) -> Any:
    return pc.and_kleene(pc.greater_equal(value, least), pc.less_equal(value, most))


def _all(*conditions: Any) -> Any:
    return reduce(pc.and_kleene, conditions)
