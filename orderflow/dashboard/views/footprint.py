"""The footprint figure: bid × ask per price of the last candles, with imbalances, points of control and unfinished auctions.

Pure: rows in, figure or columns out. Columns are indexed by candle number on a linear axis whose ticks are times, so that
text keeps its width. A cell's text is a trace of its own side, never an annotation.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from orderflow.dashboard.state.rollup import Row, priced_levels_of
from orderflow.dashboard.views.chart import GAP_OPACITY, Columns, Figure, Palette, in_rupees, label, price_step, tick_size
from orderflow.market.footprint import (
    DIAGONAL_RATIO,
    Level,
    diagonal_imbalances,
    merge_levels,
    stacked_imbalances,
    unfinished_auctions,
)
from orderflow.market.profile import point_of_control

CANDLES: Final = 30
LEVELS: Final = 40
LEVELS_MOST: Final = 160
NEAR: Final = 12
LEVELS_IN_VIEW: Final = 56
MEASURED_PRECISION: Final = (0.661, 0.827)
STATISTICS: Final = {"Volume": "volume", "Delta": "delta", "CVD": "cvd", "Unclass.": "unclassified"}
Cell = dict[str, Any]
Box = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class Imbalances:
    """Which diagonal imbalances are marked: the least ratio, the least share of the candle's volume, and whether 0 counts.

    The defaults are those whose precision docs/ORDER_FLOW.md gives (`python benchmarks/footprint.py`, 250 ms to 2 s apart).
    """

    ratio: float = DIAGONAL_RATIO
    floor: float = 0.02
    ignore_zero: bool = False

    @property
    def precision(self) -> tuple[float, float] | None:
        """Return the least and the greatest measured share of marks that are real; None where none was measured."""
        return MEASURED_PRECISION if self == Imbalances() else None

    def words(self) -> dict[str, Any]:
        """Return what the page's legend says of them."""
        return {**asdict(self), "precision": self.precision}


DEFAULT: Final = Imbalances()


def row_height(rows: Sequence[Row], ticks: int = 0) -> tuple[int, int]:
    """Return the height of one price row in ticks, and the tick in finest units.

    With 0 it is the least that gives no shown candle more than about `LEVELS` rows, and the newest `NEAR` candles together,
    which a page shows first, no more than `LEVELS_IN_VIEW`; a wish gives no candle more than `LEVELS_MOST`.
    """
    spans = [row.span for row in rows[-CANDLES:] if row.span is not None]
    tick = tick_size(divisor for _, _, divisor in spans)
    ends = [(low // tick, high // tick) for low, high, _ in spans]
    heights = [price_step((low, high, low + 1), LEVELS_MOST if ticks else LEVELS) for low, high in ends]
    if not ticks and ends:
        low, high = min(low for low, _ in ends[-NEAR:]), max(high for _, high in ends[-NEAR:])
        heights.append(price_step((low, high, low + 1), LEVELS_IN_VIEW))
    return max(ticks, max(heights, default=1)), tick


def grouped(row: Row, step: int) -> list[Level]:
    """Return a candle's levels of known price gathered to rows of `step` finest units, lowest first."""
    return merge_levels(level._replace(price=level.price // step * step) for level in priced_levels_of(row))


def cells(row: Row, step: int, tick: int, marked: Imbalances) -> Cell:
    """Return one candle's footprint for drawing: its levels with what is special about each.

    Prices are gathered to rows of `step` finest units, a whole number of ticks. `levels` holds [middle of the row's prices in
    rupees, sell (at bid), buy (at ask), unclassified, mark], where mark adds 1 for a buy imbalance, 2 for a sell imbalance, 4
    inside a stack of imbalances, 8 where the point of control lies, 16 for an unfinished auction. These two are found by ticks.
    `unclassified` is the candle's and holds that of outages too, which is at no level; `gap` says whether there is any.
    """
    levels = grouped(row, step)
    least = max(marked.floor * row.candle.total_volume, 1)
    imbalances = diagonal_imbalances(levels, step, marked.ratio, least, ignore_zero=marked.ignore_zero)
    marks = {level.price: 0 for level in levels}
    for price, side in imbalances:
        marks[price] |= 1 if side == "buy" else 2
    for stack in stacked_imbalances(imbalances, step):
        for price in range(stack.low, stack.high + step, step):
            marks[price] |= 4
    ticks = priced_levels_of(row)
    control = point_of_control({level.price: level.volume for level in ticks})
    if control is not None:
        marks[control // step * step] |= 8
    for price, _ in unfinished_auctions(ticks):
        marks[price // step * step] |= 16
    candle = row.candle
    return {
        "x": label(candle.start_ms),
        "final": row.final,
        "open": candle.open,
        "high": candle.high,
        "low": candle.low,
        "close": candle.close,
        "volume": candle.total_volume,
        "delta": candle.delta,
        "cvd": row.cvd,
        "unclassified": candle.unclassified_volume,
        "gap": row.gap,
        "levels": [
            [in_rupees(level.price + (step - tick) / 2), level.sell, level.buy, level.unclassified, marks[level.price]]
            for level in levels
        ],
    }


def settled(rows: Sequence[Row]) -> list[Row]:
    """Return the last `CANDLES` rows without the newest while it forms: that one is drawn by the page itself."""
    shown = list(rows[-CANDLES:])
    return shown[:-1] if shown and not shown[-1].final else shown


def chart(rows: Sequence[Row], palette: Palette, ticks: int = 0, marked: Imbalances = DEFAULT) -> Figure:
    """Return the figure of the settled rows, with room for the forming one, in price rows of the height that is wished for."""
    height, tick = row_height(rows, ticks)
    step = height * tick
    footprints = [cells(row, step, tick, marked) for row in settled(rows)]
    times = [label(row.candle.start_ms)[11:16] for row in rows[-CANDLES:]]
    layout = _layout(footprints, times, in_rupees(step), palette)
    layout["shapes"] = _gap_columns(footprints, palette)
    most = _most(footprints)
    return {
        "data": _traces(footprints, in_rupees(step), most, palette),
        "layout": layout,
        "ranges": _ranges(footprints),
        "most": most,
    }


def earlier(rows: Sequence[Row], step: int, tick: int, most: int, palette: Palette, marked: Imbalances = DEFAULT) -> Figure:
    """Return what stands left of a figure with price rows of `step` finest units: the last of the rows is in column -1.

    `most` is the figure's, so that both have one scale: a cell of more fills the column's width too.
    """
    footprints = [cells(row, step, tick, marked) for row in rows]
    columns = len(footprints)
    shapes = _gap_columns(footprints, palette)
    return {
        "cells": footprints,
        "data": [{**trace, "x": _shifted(trace["x"], columns)} for trace in _traces(footprints, in_rupees(step), most, palette)],
        "ticks": [cell["x"][11:16] for cell in footprints],
        "ranges": _ranges(footprints),
        "shapes": [{**shape, "x0": shape["x0"] - columns, "x1": shape["x1"] - columns} for shape in shapes],
        "most": most,
    }


def _shifted(x: Sequence[float | None], columns: int) -> list[float | None]:
    return [None if value is None else round(value - columns, 4) for value in x]


def _ranges(footprints: Sequence[Cell]) -> list[list[float | None]]:
    return [[cell["low"], cell["high"]] for cell in footprints]


def _most(footprints: Sequence[Cell]) -> int:
    """Return the most volume on one side of a cell, which fills half a column."""
    return max((_widest(entry) for cell in footprints for entry in cell["levels"]), default=1)


def _widest(entry: Sequence[Any]) -> int:
    return int(max(entry[1], entry[2] + entry[3]))


def _gap_columns(footprints: Sequence[Cell], palette: Palette) -> list[dict[str, Any]]:
    """Return one shaded band for each column that spans an outage."""
    band: dict[str, Any] = {"type": "rect", "xref": "x", "yref": "paper", "y0": 0, "y1": 1, "layer": "below"}
    paint: dict[str, Any] = {"fillcolor": palette.gap, "opacity": GAP_OPACITY, "line": {"width": 0}}
    return [{**band, **paint, "x0": at - 0.5, "x1": at + 0.5} for at, cell in enumerate(footprints) if cell["gap"]]


def _texts(footprints: Sequence[Cell], side: int, shift: float, strong: int, palette: Palette) -> Columns:
    """Write one side's volumes; after the buying, where there is any, in grey what is neither."""
    color = palette.sell if side == 1 else palette.buy
    columns: Columns = {"x": [], "y": [], "text": [], "color": []}
    for index, cell in enumerate(footprints):
        for entry in cell["levels"]:
            columns["x"].append(index + shift)
            columns["y"].append(entry[0])
            words = f"<b>{entry[side]}</b>" if entry[4] & strong else str(entry[side])
            unknown = f' <span style="color:{palette.neutral}">?{entry[3]}</span>' if side == 2 and entry[3] else ""
            columns["text"].append(words + unknown)
            columns["color"].append(color if entry[4] & strong else palette.text)
    return columns


def _traces(footprints: Sequence[Cell], step: float, most: int, palette: Palette) -> list[dict[str, Any]]:
    bid = _texts(footprints, 1, -0.03, 2, palette)
    ask = _texts(footprints, 2, 0.03, 1, palette)
    common: dict[str, Any] = {"hoverinfo": "none", "showlegend": False}
    text: dict[str, Any] = {**common, "type": "scatter", "mode": "text"}
    font = {"size": 9, "family": "ui-monospace, 'DejaVu Sans Mono', monospace"}
    return [
        _bars("cells_sell", footprints, 1, step, most, palette.sell_faint),
        _bars("cells_buy", footprints, 2, step, most, palette.buy_faint),
        _bars("cells_unclassified", footprints, 3, step, most, palette.neutral_faint),
        _outline("control", footprints, 8, step, palette.vwap),
        _stacks("stacked_buy", footprints, 5, step, palette.buy),
        _stacks("stacked_sell", footprints, 6, step, palette.sell),
        _bodies("rising", footprints, palette.buy, rising=True),
        _bodies("falling", footprints, palette.sell, rising=False),
        {**text, "uid": "bid", **_text_columns(bid, font), "textposition": "middle left"},
        {**text, "uid": "ask", **_text_columns(ask, font), "textposition": "middle right"},
        {**text, "uid": "unfinished", **_unfinished(footprints), "textfont": {"size": 11, "color": palette.vwap}},
        _statistics(footprints, palette),
    ]


def _bars(uid: str, footprints: Sequence[Cell], side: int, step: float, most: int, color: str) -> dict[str, Any]:
    """Draw one side's part of every cell's bar: from the centre sell to the left, buy and what is unclassified to the right.

    `most` on one side fills half the column.
    """
    half = step * 0.46
    boxes = []
    for index, cell in enumerate(footprints):
        for entry in cell["levels"]:
            if entry[side]:
                unit = 0.42 / max(most, _widest(entry))
                left = index - unit * entry[1] + unit * sum(entry[1:side])
                boxes.append((round(left, 4), round(left + unit * entry[side], 4), entry[0] - half, entry[0] + half))
    return _boxes(uid, boxes, {"width": 0}, fill="toself", fillcolor=color)


def _outline(uid: str, footprints: Sequence[Cell], mask: int, step: float, color: str) -> dict[str, Any]:
    """Draw a box around the cells whose mark holds all bits of `mask`."""
    boxes = [
        (index - 0.44, index + 0.42, entry[0] - step / 2, entry[0] + step / 2)
        for index, cell in enumerate(footprints)
        for entry in cell["levels"]
        if entry[4] & mask == mask
    ]
    return _boxes(uid, boxes, {"color": color, "width": 1.2})


def _boxes(uid: str, boxes: Iterable[Box], line: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Draw rectangles of (left, right, low, high) as one path: fast for many of them."""
    x: list[float | None] = []
    y: list[float | None] = []
    for left, right, low, high in boxes:
        x += [left, right, right, left, left, None]
        y += [low, low, high, high, low, None]
    return _path(uid, x, y, line, **more)


def _path(uid: str, x: list[float | None], y: list[float | None], line: dict[str, Any], **more: Any) -> dict[str, Any]:
    common = {"uid": uid, "type": "scatter", "mode": "lines", "hoverinfo": "none", "showlegend": False}
    return {**common, "x": x, "y": y, "line": line, **more}


def _text_columns(columns: Columns, font: dict[str, Any]) -> Columns:
    return {"x": columns["x"], "y": columns["y"], "text": columns["text"], "textfont": {**font, "color": columns["color"]}}


def _stacks(uid: str, footprints: Sequence[Cell], mask: int, step: float, color: str) -> dict[str, Any]:
    """Draw a thick edge along the cells of a stack of imbalances, whose mark holds all bits of `mask`."""
    x: list[float | None] = []
    y: list[float | None] = []
    for index, cell in enumerate(footprints):
        for entry in cell["levels"]:
            if entry[4] & mask == mask:
                x += [index + 0.44, index + 0.44, None]
                y += [entry[0] - step / 2, entry[0] + step / 2, None]
    return _path(uid, x, y, {"color": color, "width": 4})


def _bodies(uid: str, footprints: Sequence[Cell], color: str, *, rising: bool) -> dict[str, Any]:
    """Draw each candle as a thin body and wick at the left edge of its column."""
    x: list[float | None] = []
    y: list[float | None] = []
    for index, cell in enumerate(footprints):
        if cell["close"] is None or (cell["close"] >= cell["open"]) != rising:
            continue
        left = index - 0.47
        x += [left, left, None, left - 0.012, left + 0.012, left + 0.012, left - 0.012, left - 0.012, None]
        y += [cell["low"], cell["high"], None, cell["open"], cell["open"], cell["close"], cell["close"], cell["open"], None]
    return _path(uid, x, y, {"color": color, "width": 1.5})


def _unfinished(footprints: Sequence[Cell]) -> Columns:
    found = [(index, entry[0]) for index, cell in enumerate(footprints) for entry in cell["levels"] if entry[4] & 16]
    return {"x": [index + 0.49 for index, _ in found], "y": [price for _, price in found], "text": ["◂"] * len(found)}


def _statistics(footprints: Sequence[Cell], palette: Palette) -> dict[str, Any]:
    """Draw volume, delta, running delta and what is unclassified under each column as coloured text."""
    x: list[int] = []
    y: list[int] = []
    words: list[str] = []
    colors: list[str] = []
    for index, cell in enumerate(footprints):
        for place, name in enumerate(STATISTICS.values()):
            value, signed = cell[name], name in ("delta", "cvd")
            x.append(index)
            y.append(len(STATISTICS) - place)
            words.append(short(value, signed=signed))
            side = palette.buy if value > 0 else palette.sell if value < 0 else palette.text
            plain = palette.gap if name == "unclassified" and cell["gap"] else palette.text
            colors.append(side if signed else plain)
    return {
        "uid": "statistics",
        "type": "scatter",
        "mode": "text",
        "x": x,
        "y": y,
        "text": words,
        "textfont": {"size": 10, "color": colors},
        "xaxis": "x",
        "yaxis": "y2",
        "hoverinfo": "none",
        "showlegend": False,
    }


def short(value: int, *, signed: bool) -> str:
    """Return a count in at most six characters: 9,500, 12.3K, 4.56L, 1.20Cr; lakh and crore as the market counts."""
    lead = ("+" if value > 0 else "−" if value < 0 else "") if signed else ""
    size = abs(value)
    for unit, name, digits in ((10_000_000, "Cr", 2), (100_000, "L", 2), (10_000, "K", 1)):
        if size >= unit:
            return f"{lead}{size / (1000 if name == 'K' else unit):.{digits}f}{name}"
    return f"{lead}{size:,}"


def _layout(footprints: Sequence[Cell], times: Sequence[str], step: float, palette: Palette) -> dict[str, Any]:
    axis: dict[str, Any] = {"gridcolor": palette.grid, "zeroline": False, "color": palette.text, "tickfont": {"size": 10}}
    lows = [entry[0] for cell in footprints for entry in cell["levels"]]
    low, high = (min(lows), max(lows)) if lows else (0.0, 1.0)
    columns = len(times)
    every = max(1, columns // 20)
    return {
        "paper_bgcolor": palette.paper,
        "plot_bgcolor": palette.paper,
        "font": {"family": "Inter, 'Segoe UI', Roboto, sans-serif", "size": 11, "color": palette.text},
        "margin": {"l": 6, "r": 58, "t": 6, "b": 20},
        "showlegend": False,
        "dragmode": "pan",
        "hovermode": False,
        "xaxis": {
            **axis,
            "type": "linear",
            "anchor": "y2",
            "range": [max(columns - 12, 0) - 0.6, max(columns, 12) - 0.4],
            "tickvals": list(range(0, columns, every)),
            "ticktext": list(times[::every]),
            "showgrid": False,
        },
        "yaxis": {**axis, "side": "right", "domain": [0.15, 1], "range": [low - 2 * step, high + 2 * step], "tickformat": ".2f"},
        "yaxis2": {
            **axis,
            "side": "right",
            "domain": [0, 0.13],
            "range": [0.4, len(STATISTICS) + 0.6],
            "tickvals": list(range(len(STATISTICS), 0, -1)),
            "ticktext": list(STATISTICS),
            "fixedrange": True,
            "showgrid": False,
        },
    }
