"""The footprint: bid × ask per price of each candle, with imbalances, points of control and unfinished auctions.

Pure: rows in, numbers out. The page draws them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from orderflow.dashboard.state.row import Row, priced_levels_of
from orderflow.dashboard.views.chart import in_rupees, label, price_step, tick_size
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
Cell = dict[str, Any]


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
        """Return the page's legend for them."""
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
    Volume of outages is at no level; `gap` says whether there is any.
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
        "open": candle.open,
        "high": candle.high,
        "low": candle.low,
        "close": candle.close,
        "gap": row.gap,
        "levels": [
            [in_rupees(level.price + (step - tick) / 2), level.sell, level.buy, level.unclassified, marks[level.price]]
            for level in levels
        ],
    }


def settled(rows: Sequence[Row]) -> list[Row]:
    """Return the last `CANDLES` rows without the newest while it forms."""
    shown = list(rows[-CANDLES:])
    return shown[:-1] if shown and not shown[-1].final else shown
