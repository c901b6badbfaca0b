"""Figures as values: a day's rows in, a plotly figure or the columns of its newest part out. Nothing here has state.

Every trace has a `uid`; a patch carries, per uid, the columns from a given x onwards (tails) or all of them (wholes).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from math import gcd
from typing import Any, Final

from orderflow.dashboard.state.rollup import Row
from orderflow.market.price_unit import FINEST
from orderflow.market.profile import ValueArea, value_area

Columns = dict[str, Any]
Figure = dict[str, Any]
_IST_MS: Final = int(timedelta(hours=5, minutes=30).total_seconds() * 1000)
IMBALANCE_MARK: Final = 0.6
GAP_OPACITY: Final = 0.18
CROWDED: Final = 200
_LARGEST_TICK: Final = 5 * FINEST
_TICKS: Final[tuple[int, ...]] = tuple(base * 10**power for power in range(6) for base in (1, 2, 5))


@dataclass(frozen=True, slots=True)
class Palette:
    """The colours of one theme; `buy` and `sell` are the only pair that carries meaning by hue."""

    buy: str
    sell: str
    buy_faint: str
    sell_faint: str
    neutral: str = "#6b7688"
    neutral_faint: str = "rgba(107,118,136,.5)"
    vwap: str = "#e0b341"
    cvd: str = "#b48ef0"
    cvd_faint: str = "rgba(180,142,240,.3)"
    paper: str = "#0d1117"
    grid: str = "#1b222d"
    text: str = "#9aa5b5"
    confirmed: str = "#4f8cc9"
    gap: str = "#c98a2b"


PALETTES: Final = {
    "default": Palette("#26a69a", "#ef5350", "rgba(38,166,154,.38)", "rgba(239,83,80,.38)"),
    "safe": Palette(
        "#3d9bff",
        "#ff9f2e",
        "rgba(61,155,255,.38)",
        "rgba(255,159,46,.38)",
        vwap="#e8edf4",
        confirmed="#b9c3d0",
        gap="#d65fc4",
    ),
}


@lru_cache(maxsize=4096)
def label(time_ms: int) -> str:
    """Return a time as plotly's date axis wants it, in IST: 2025-12-15 09:15:00."""
    return datetime.fromtimestamp((time_ms + _IST_MS) // 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")


def tails(rows: Sequence[Row], palette: Palette) -> dict[str, Columns]:
    """Return, per trace uid, the columns of these rows."""
    x = [label(row.candle.start_ms) for row in rows]
    candles = [row.candle for row in rows]
    vwap = [row.vwap for row in rows]
    sigma = [row.sigma or 0.0 for row in rows]

    def band(times: float) -> list[float | None]:
        return [None if mean is None else round(mean + times * width, 4) for mean, width in zip(vwap, sigma, strict=True)]

    final = [row.final for row in rows]
    return {
        "candles": {
            "x": x,
            **{
                name: [getattr(candle, name) if done else None for candle, done in zip(candles, final, strict=True)]
                for name in ("open", "high", "low", "close")
            },
        },
        "vwap": {"x": x, "y": band(0)},
        "upper1": {"x": x, "y": band(1)},
        "lower1": {"x": x, "y": band(-1)},
        "upper2": {"x": x, "y": band(2)},
        "lower2": {"x": x, "y": band(-2)},
        "buy_marks": {"x": x, "y": [c.low if (c.imbalance or 0.0) >= IMBALANCE_MARK else None for c in candles]},
        "sell_marks": {"x": x, "y": [c.high if (c.imbalance or 0.0) <= -IMBALANCE_MARK else None for c in candles]},
        "volume": {
            "x": x,
            "y": [c.total_volume - c.unclassified_volume for c in candles],
            "marker.color": [_side(c.delta, done, palette) for c, done in zip(candles, final, strict=True)],
        },
        "unclassified": {"x": x, "y": [c.unclassified_volume for c in candles]},
        "delta": {
            "x": x,
            "y": [c.delta for c in candles],
            "marker.color": [_side(c.delta, done, palette) for c, done in zip(candles, final, strict=True)],
        },
        "cvd": {"x": x, "y": [row.cvd for row in rows]},
        "quality": {"x": x, "y": [1] * len(x), "marker.color": [_quality(row, palette) for row in rows]},
    }


def forming(rows: Sequence[Row]) -> Columns:
    """Return the columns of the candles that are not final yet."""
    open_rows = [row for row in rows if not row.final]
    return {
        "x": [label(row.candle.start_ms) for row in open_rows],
        **{name: [getattr(row.candle, name) for row in open_rows] for name in ("open", "high", "low", "close")},
    }


def facts(rows: Sequence[Row]) -> Columns:
    """Return what the page shows of each row in its legend and writes to CSV, by column."""
    candles = [row.candle for row in rows]
    names = (
        "open",
        "high",
        "low",
        "close",
        "total_volume",
        "buy_volume",
        "sell_volume",
        "unclassified_volume",
        "delta",
        "min_delta",
        "max_delta",
        "delta_band",
        "confidence",
        "imbalance",
        "exchange_bar",
        "gap",
        "tick_volume",
        "tick_count",
        "tbq",
        "tsq",
        "source",
    )
    return {
        "x": [label(candle.start_ms) for candle in candles],
        "window_end": [label(candle.end_ms) for candle in candles],
        **{name: [getattr(candle, name) for candle in candles] for name in names},
        "cvd": [row.cvd for row in rows],
        "vwap": [None if row.vwap is None else round(row.vwap, 4) for row in rows],
        "final": [row.final for row in rows],
    }


@dataclass(frozen=True, slots=True)
class Profile:
    """A day's volume by price, gathered to rows of `step` finest units; `rows` maps a row's lowest price to its volumes by side.

    `area` is found by single ticks; rows are for drawing alone.
    `unpriced` is the volume of outages, whose prices nobody saw: in no row, and not in the value area.
    """

    step: int
    tick: int
    rows: dict[int, list[int]]
    area: ValueArea | None
    unpriced: int = 0

    def middle(self, price: int) -> float:
        """Return the middle of a row in rupees; of a row of one tick, its price."""
        return in_rupees(price + (self.step - self.tick) / 2)


def in_rupees(price: float) -> float:
    """Return a price in finest units, or between two of them, in rupees."""
    return round(price / FINEST, 6)


def tick_size(prices: Iterable[int]) -> int:
    """Return the largest step in finest units, up to five rupees, that divides all prices: the tick, once a few traded."""
    return gcd(_LARGEST_TICK, *prices)


def price_step(prices: Iterable[int], rows: int = 90) -> int:
    """Return the height in finest units of one row so that the prices' range takes at most `rows`: 1, 2, 5, 10 … ticks."""
    held = list(prices)
    tick, span = tick_size(held), max(held) - min(held) if held else 0
    return tick * next((step for step in _TICKS if span <= rows * tick * step), _TICKS[-1])


def profile_of(levels: Mapping[int, Sequence[int]], unpriced: int = 0) -> Profile:
    """Find the value area of levels (price in finest units to buy, sell, unclassified), and gather them to legible rows."""
    step, tick = price_step(levels), tick_size(levels)
    rows: dict[int, list[int]] = {}
    for price, volumes in levels.items():
        row = rows.setdefault(price // step * step, [0, 0, 0])
        for side in range(3):
            row[side] += volumes[side]
    return Profile(step, tick, rows, value_area({price: sum(volumes) for price, volumes in levels.items()}), unpriced)


def profile_levels(profile: Profile) -> dict[str, float | None]:
    """Return point of control and value area in rupees, to the tick; None while nothing traded."""
    area = profile.area
    if area is None:
        return {"poc": None, "low": None, "high": None}
    return {"poc": in_rupees(area.point_of_control), "low": in_rupees(area.low), "high": in_rupees(area.high)}


def profile_columns(profile: Profile) -> dict[str, Columns]:
    """Return the bars of the volume profile and its lines; `meta` of the unclassified bars is the unpriced volume."""
    prices, area = sorted(profile.rows), profile.area
    inside = [area is not None and area.low < price + profile.step and price <= area.high for price in prices]
    common = {
        "y": [profile.middle(price) for price in prices],
        "width": [in_rupees(profile.step * 0.9)] * len(prices),
        "marker.opacity": [0.85 if within else 0.35 for within in inside],
    }
    sides = (("profile_buy", 0), ("profile_sell", 1), ("profile_unclassified", 2))
    bars: dict[str, Columns] = {name: {**common, "x": [profile.rows[price][side] for price in prices]} for name, side in sides}
    bars["profile_unclassified"]["meta"] = profile.unpriced
    if area is None:
        return {**bars, "poc": {"x": [], "y": []}, "value_area": {"x": [], "y": []}}
    low, poc, high = (in_rupees(price) for price in (area.low, area.point_of_control, area.high))
    span = [0, max(sum(volumes) for volumes in profile.rows.values()), None]
    return {
        **bars,
        "poc": {"x": span, "y": [poc] * 3},
        "value_area": {"x": [*span, *span], "y": [low, low, low, high, high, high]},
    }


def chart(rows: Sequence[Row], profile: Profile, palette: Palette) -> Figure:
    """Return the whole three-panel figure: price with VWAP and profile, volume, delta with CVD."""
    columns = {**tails(rows, palette), "forming": forming(rows), **profile_columns(profile)}
    data = [_with(trace, columns[trace["uid"]]) for trace in _traces(palette, crowded=len(rows) > CROWDED)]
    return {"data": data, "layout": _layout(palette)}


def gap_shapes(gaps: Sequence[tuple[int, int]], palette: Palette) -> list[dict[str, Any]]:
    """Return one shaded band over all panels for each (from_ms, to_ms)."""
    return [
        {
            "type": "rect",
            "xref": "x",
            "yref": "paper",
            "x0": label(start),
            "x1": label(end),
            "y0": 0,
            "y1": 1,
            "fillcolor": palette.gap,
            "opacity": GAP_OPACITY,
            "line": {"width": 0},
            "layer": "below",
        }
        for start, end in gaps
    ]


def _with(trace: dict[str, Any], columns: Columns) -> dict[str, Any]:
    merged = dict(trace)
    for name, values in columns.items():
        head, _, tail = name.partition(".")
        merged[head] = {**merged.get(head, {}), tail: values} if tail else values
    return merged


def _side(delta: int, done: bool, palette: Palette) -> str:
    if delta == 0:
        return palette.neutral
    if done:
        return palette.buy if delta > 0 else palette.sell
    return palette.buy_faint if delta > 0 else palette.sell_faint


def _quality(row: Row, palette: Palette) -> str:
    if row.candle.gap:
        return palette.gap
    if not row.final:
        return palette.grid
    return palette.confirmed if row.candle.exchange_bar else palette.neutral


def _line(uid: str, color: str, width: float, **more: Any) -> dict[str, Any]:
    base: dict[str, Any] = {"uid": uid, "type": "scatter", "mode": "lines", "hoverinfo": "none", "showlegend": False}
    return {**base, "line": {"color": color, "width": width, **more.pop("line", {})}, **more}


def _traces(palette: Palette, *, crowded: bool) -> list[dict[str, Any]]:
    common: dict[str, Any] = {"hoverinfo": "none", "showlegend": False}
    candle: dict[str, Any] = {**common, "type": "candlestick", "xaxis": "x", "yaxis": "y"}
    bar: dict[str, Any] = {**common, "type": "bar"}
    marks: dict[str, Any] = {**common, "type": "scatter", "mode": "markers", "cliponaxis": True}
    mark: dict[str, Any] = {"symbol": "triangle-up", "size": 5 if crowded else 8, "standoff": 8}
    side: dict[str, Any] = {**bar, "orientation": "h", "xaxis": "x2", "yaxis": "y"}
    band = f"rgba({int(palette.vwap[1:3], 16)},{int(palette.vwap[3:5], 16)},{int(palette.vwap[5:7], 16)},"
    return [
        _line("lower2", band + ".22)", 1),
        _line("upper2", band + ".22)", 1, fill="tonexty", fillcolor=band + ".04)"),
        _line("lower1", band + ".35)", 1),
        _line("upper1", band + ".35)", 1, fill="tonexty", fillcolor=band + ".05)"),
        _line("vwap", palette.vwap, 1.4),
        {
            **candle,
            "uid": "candles",
            "increasing": {"line": {"color": palette.buy, "width": 1}, "fillcolor": palette.buy},
            "decreasing": {"line": {"color": palette.sell, "width": 1}, "fillcolor": palette.sell},
        },
        {
            **candle,
            "uid": "forming",
            "increasing": {"line": {"color": palette.buy, "width": 1.3}, "fillcolor": "rgba(0,0,0,0)"},
            "decreasing": {"line": {"color": palette.sell, "width": 1.3}, "fillcolor": "rgba(0,0,0,0)"},
        },
        {**marks, "uid": "buy_marks", "marker": {**mark, "color": palette.buy}},
        {**marks, "uid": "sell_marks", "marker": {**mark, "color": palette.sell, "angle": 180}},
        {**side, "uid": "profile_buy", "marker": {"color": palette.buy}},
        {**side, "uid": "profile_sell", "marker": {"color": palette.sell}},
        {**side, "uid": "profile_unclassified", "marker": {"color": palette.neutral}},
        _line("poc", palette.vwap, 1.5, xaxis="x2", yaxis="y"),
        _line("value_area", palette.text, 1, xaxis="x2", yaxis="y", line={"dash": "dot"}),
        {**bar, "uid": "quality", "yaxis": "y4", "marker": {"line": {"width": 0}}},
        {**bar, "uid": "volume", "yaxis": "y2", "marker": {"line": {"width": 0}}},
        {**bar, "uid": "unclassified", "yaxis": "y2", "marker": {"color": palette.neutral, "line": {"width": 0}}},
        {**bar, "uid": "delta", "yaxis": "y3", "marker": {"line": {"width": 0}}},
        _line("cvd", palette.cvd, 1.4, yaxis="y5"),
    ]


def _layout(palette: Palette) -> dict[str, Any]:
    axis: dict[str, Any] = {
        "gridcolor": palette.grid,
        "zeroline": False,
        "color": palette.text,
    }
    place = {"side": "right", "anchor": "free", "position": 1, "tickfont": {"size": 10}}
    right: dict[str, Any] = {**axis, **place, "fixedrange": True}
    return {
        "paper_bgcolor": palette.paper,
        "plot_bgcolor": palette.paper,
        "font": {"family": "Inter, 'Segoe UI', Roboto, sans-serif", "size": 11, "color": palette.text},
        "margin": {"l": 6, "r": 58, "t": 6, "b": 20},
        "showlegend": False,
        "dragmode": "pan",
        "hovermode": False,
        "barmode": "stack",
        "bargap": 0.25,
        "xaxis": {
            **axis,
            "type": "date",
            "domain": [0, 0.87],
            "anchor": "y3",
            "rangeslider": {"visible": False},
            "tickfont": {"size": 10},
            "tickformat": "%H:%M",
        },
        "xaxis2": {"domain": [0.875, 1], "anchor": "y", "visible": False, "fixedrange": True, "rangemode": "tozero"},
        "yaxis": {**right, "domain": [0.42, 1], "tickformat": ".2f"},
        "yaxis2": {**right, "domain": [0.21, 0.385], "tickformat": ".3~s", "rangemode": "tozero", "nticks": 4},
        "yaxis3": {
            **right,
            "domain": [0, 0.195],
            "tickformat": ".3~s",
            "nticks": 6,
            "zeroline": True,
            "zerolinecolor": "#333d4d",
        },
        "yaxis4": {"domain": [0.395, 0.41], "visible": False, "range": [0, 1], "fixedrange": True, "anchor": "x"},
        "yaxis5": {
            "overlaying": "y3",
            "side": "left",
            "anchor": "x",
            "fixedrange": True,
            "showgrid": False,
            "zeroline": True,
            "zerolinecolor": palette.cvd_faint,
            "ticklabelposition": "inside",
            "tickfont": {"size": 10, "color": palette.cvd},
            "tickformat": ".3~s",
            "nticks": 4,
        },
    }
