"""A candle of n minutes with the day's running figures at its end, and what is read from such rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

from orderflow.dashboard.state.instrument import Unseen
from orderflow.dashboard.state.minute import Minute
from orderflow.market.candle import Candle
from orderflow.market.footprint import Level, merge_levels


@dataclass(frozen=True, slots=True)
class Row:
    """One candle of n minutes and the day's running sums at its end.

    `cvd` sums delta from the first minute held; `open`, `high` and `low` are those of the minutes held so far. `vwap` is the
    day's, with what traded outside these minutes (`unseen`); `sigma` is the standard deviation of the `priced` volume of
    these minutes alone: all but that of outages. `span` is the lowest and
    the highest price in finest units of the row's own, and their greatest common divisor; `gap` says whether it spans an outage.
    """

    candle: Candle
    final: bool
    minutes: tuple[Minute, ...]
    cvd: int
    buy: int
    sell: int
    unclassified: int
    volume: int
    priced: int
    turnover: float
    squares: float
    unseen: Unseen
    open: float | None
    high: float | None
    low: float | None
    span: tuple[int, int, int] | None
    gap: bool

    @property
    def vwap(self) -> float | None:
        """Return the day's volume-weighted average price at the row's end."""
        volume = self.priced + self.unseen.volume
        return (self.turnover + self.unseen.turnover) / volume if self.priced else None

    @property
    def sigma(self) -> float | None:
        """Return the volume-weighted standard deviation of the prices seen around their own mean."""
        if not self.priced:
            return None
        mean = self.turnover / self.priced
        return sqrt(max(self.squares / self.priced - mean * mean, 0.0))


def outages(rows: Sequence[Row]) -> list[tuple[int, int]]:
    """Return from when to when rows in a row span an outage, in epoch milliseconds."""
    spans: list[tuple[int, int]] = []
    for row in rows:
        if not row.gap:
            continue
        start, end = row.candle.start_ms, row.candle.end_ms
        if spans and spans[-1][1] == start:
            spans[-1] = (spans[-1][0], end)
        else:
            spans.append((start, end))
    return spans


def levels_of(row: Row) -> list[Level]:
    """Return a row's footprint with all volume, lowest price first."""
    return merge_levels(Level(price, *volumes) for minute in row.minutes for price, volumes in minute.flow.levels.items())


def priced_levels_of(row: Row) -> list[Level]:
    """Return a row's footprint without the volume of outages, whose prices are unknown, lowest price first."""
    return merge_levels(level for minute in row.minutes for level in minute.flow.priced_levels())
