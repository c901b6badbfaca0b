"""Judge a stored day: every update there once, volume complete, every candle once and consistent with its parts; pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

TICK_COLUMNS: Final = [
    "instrument_key", "sequence", "feed_time_ms", "event_time_ms", "session_phase", "vtt", "traded_volume", "gap",
]  # fmt: skip
CANDLE_COLUMNS: Final = [
    "instrument", "window_start", "window_minutes", "open", "high", "low", "close", "buy_volume", "sell_volume",
    "unclassified_volume", "total_volume", "delta", "tick_volume",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class InstrumentDay:
    """What is stored of one instrument and date.

    `missing` and `doubled` count updates by their sequence; `unaccounted_volume` is last vtt minus baseline minus the sum of
    traded_volume, 0 when nothing was lost or doubled; `candle_volume` sums the minute candles' tick_volume, None without any.
    """

    instrument: str
    rows: int
    missing: int
    doubled: int
    first_ms: int
    last_ms: int
    gaps: int
    gap_volume: int
    traded_volume: int
    continuous_volume: int
    unaccounted_volume: int
    candle_volume: int | None = None

    @property
    def late_volume(self) -> int:
        """Return the volume of continuous trading that came too late for the live candles; reprocess applies it."""
        return self.continuous_volume - self.candle_volume if self.candle_volume is not None else 0

    @property
    def sound(self) -> bool:
        """Tell whether every update is there once and their volume adds up."""
        return self.missing == self.doubled == self.unaccounted_volume == 0


def instrument_days(ticks: pa.Table, candles: pa.Table) -> list[InstrumentDay]:
    """Return one entry for each instrument of a date's ticks, by key.

    `ticks` has TICK_COLUMNS and `candles` CANDLE_COLUMNS. Volume traded is vtt of the last trade minus vtt before the first.
    """
    if ticks.num_rows == 0:
        return []
    volume = pc.fill_null(ticks.column("traded_volume"), 0)
    table = ticks.append_column("volume", volume)
    table = table.append_column("continuous", pc.if_else(_equal(ticks, "session_phase", "continuous"), volume, 0))
    table = table.append_column("gap_volume", pc.if_else(pc.fill_null(ticks.column("gap"), False), volume, 0))
    table = table.append_column("gaps", pc.cast(pc.fill_null(ticks.column("gap"), False), pa.int64()))
    table = table.append_column("before", pc.subtract(ticks.column("vtt"), ticks.column("traded_volume")))
    traded = pc.is_valid(ticks.column("traded_volume"))
    table = table.append_column("after", pc.if_else(traded, ticks.column("vtt"), pa.scalar(None, pa.int64())))
    # After lost state a sequence begins again at 1: the feed's time tells such an update from a repeat.
    identity = pc.add(pc.multiply(ticks.column("sequence"), 1_000_003), ticks.column("feed_time_ms"))
    table = table.append_column("identity", identity)
    grouped = table.group_by("instrument_key").aggregate(
        [
            ([], "count_all"),
            ("sequence", "max"),
            ("sequence", "count_distinct"),
            ("identity", "count_distinct"),
            ("event_time_ms", "min"),
            ("event_time_ms", "max"),
            *((name, "sum") for name in ("gaps", "gap_volume", "volume", "continuous")),
            ("before", "min"),
            ("after", "max"),
        ]
    )
    by_candle = _candle_volume(candles)
    found = [
        InstrumentDay(
            instrument=row["instrument_key"],
            rows=row["count_all"],
            missing=row["sequence_max"] - row["sequence_count_distinct"],
            doubled=row["count_all"] - row["identity_count_distinct"],
            first_ms=row["event_time_ms_min"],
            last_ms=row["event_time_ms_max"],
            gaps=row["gaps_sum"],
            gap_volume=row["gap_volume_sum"],
            traded_volume=row["volume_sum"],
            continuous_volume=row["continuous_sum"],
            unaccounted_volume=(row["after_max"] or 0) - (row["before_min"] or 0) - row["volume_sum"],
            candle_volume=by_candle.get(row["instrument_key"]),
        )
        for row in grouped.to_pylist()
    ]
    return sorted(found, key=lambda day: day.instrument)


def candle_faults(candles: pa.Table) -> list[str]:
    """Return a line for every stored candle that repeats another or contradicts itself."""
    return list(_faults(candles.to_pylist()))


def _faults(candles: list[dict[str, Any]]) -> Iterator[str]:
    seen: set[tuple[str, str, int]] = set()
    for candle in candles:
        key = (candle["instrument"], candle["window_start"], candle["window_minutes"])
        place = "{} {} ({} min)".format(*key)
        if key in seen:
            yield f"{place}: stored twice"
        seen.add(key)
        buy, sell, unclassified = candle["buy_volume"], candle["sell_volume"], candle["unclassified_volume"]
        if buy + sell + unclassified != candle["total_volume"]:
            yield f"{place}: {buy} bought + {sell} sold + {unclassified} unclassified is not {candle['total_volume']}"
        if buy - sell != candle["delta"]:
            yield f"{place}: delta {candle['delta']} is not {buy} - {sell}"
        prices = [candle[name] for name in ("open", "high", "low", "close")]
        if None not in prices and not (candle["low"] <= min(prices) and max(prices) <= candle["high"]):
            yield f"{place}: open {prices[0]} or close {prices[3]} is outside {candle['low']}…{candle['high']}"


def _candle_volume(candles: pa.Table) -> dict[str, int]:
    minutes = candles.filter(_equal(candles, "window_minutes", 1))
    summed = minutes.group_by("instrument").aggregate([("tick_volume", "sum")])
    return dict(zip(summed.column("instrument").to_pylist(), summed.column("tick_volume_sum").to_pylist(), strict=True))


def _equal(table: pa.Table, column: str, value: object) -> Any:
    return pc.fill_null(pc.equal(table.column(column), value), False)
