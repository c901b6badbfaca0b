"""Checks that a stored day's candles hold as much volume as the rise of cumulative volume shows; pure.

The feed says how much had traded by the last trade before an edge, and that no more had by the first one behind it:

    vtt of the last trade before  ≤  C(edge)  ≤  vtt − ltq of the first trade at or after it

So the candles from one edge to another must hold no less than the least, and no more than the most, that can lie between them.
The first candle is left out: before the start of the updates only its bar knows what traded. What traded after the close has
candles of its own, so the last edge may lie behind it.
"""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from orderflow.market.errors import DecodeError
from orderflow.market.times import MINUTE_MS, ms_from_iso


def unbalanced_volumes(ticks: pa.Table, candles: pa.Table, settled_ms: int) -> dict[str, int]:
    """Return by instrument the excess (positive) or missing (negative) volume of its minute candles; 0 if balanced.

    `ticks` has instrument_key, vtt, traded_volume, ltt_ms, ltq; `candles` has instrument, window_start,
    window_minutes, total_volume. Candles of minutes that end after `settled_ms` are left out.
    """
    spans = _spans(candles, settled_ms)
    begins = {key: span[0] for key, span in spans.items()}
    ends = {key: span[1] for key, span in spans.items()}
    least_at_begin, most_at_begin = _bounds(ticks, begins)
    least_at_end, most_at_end = _bounds(ticks, ends)
    unbalanced: dict[str, int] = {}
    for key, (_, _, total) in spans.items():
        least = least_at_end.get(key, 0) - most_at_begin.get(key, least_at_end.get(key, 0))
        most = most_at_end.get(key, least_at_end.get(key, 0)) - least_at_begin.get(key, 0)
        if key in least_at_begin or key in most_at_begin:
            unbalanced[key] = total - most if total > most else min(total - least, 0)
    return unbalanced


def _spans(candles: pa.Table, settled_ms: int) -> dict[str, tuple[int, int, int]]:
    """Return (start of the second candle, end of the last, volume of these candles) by instrument that has two."""
    minutes: dict[str, list[tuple[int, int]]] = {}
    for row in candles.filter(pc.equal(candles.column("window_minutes"), 1)).to_pylist():
        start_ms = _start_ms(row)
        if start_ms is not None and start_ms + MINUTE_MS <= settled_ms:
            minutes.setdefault(row["instrument"], []).append((start_ms, row["total_volume"]))
    return {
        key: (rows[1][0], rows[-1][0] + MINUTE_MS, sum(volume for _, volume in rows[1:]))
        for key, rows in ((key, sorted(rows)) for key, rows in minutes.items())
        if len(rows) > 1
    }


def _bounds(ticks: pa.Table, edges: dict[str, int]) -> tuple[dict[str, int], dict[str, int]]:
    """Return the least and the most cumulative volume at each instrument's edge, as far as ticks show it."""
    if not edges:
        return {}, {}
    place = pc.index_in(ticks.column("instrument_key"), value_set=pa.array(list(edges)))
    edge = pc.take(pa.array(list(edges.values()), pa.int64()), place)
    ltt, vtt = ticks.column("ltt_ms"), ticks.column("vtt")
    traded = pc.fill_null(pc.greater(ticks.column("traded_volume"), 0), False)
    before = pc.and_(traded, pc.fill_null(pc.less(ltt, edge), False))
    after = pc.and_(traded, pc.fill_null(pc.greater_equal(ltt, edge), False))
    start = pc.subtract(vtt, pc.min_element_wise(pc.fill_null(ticks.column("ltq"), 0), ticks.column("traded_volume")))
    return _extreme(ticks, vtt, before, "max"), _extreme(ticks, start, after, "min")


def _extreme(ticks: pa.Table, values: Any, rows: Any, which: str) -> dict[str, int]:
    table = pa.table({"key": ticks.column("instrument_key"), "value": values}).filter(rows)
    grouped = table.group_by("key").aggregate([("value", which)])
    return {row["key"]: row[f"value_{which}"] for row in grouped.to_pylist() if row[f"value_{which}"] is not None}


def _start_ms(row: dict[str, Any]) -> int | None:
    try:
        return ms_from_iso(row["window_start"])
    except DecodeError:
        return None
