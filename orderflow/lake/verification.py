"""Verifies a stored day; pure.

Every update must be stored once and volume be complete. Every minute that traded must have one candle, which is consistent with
its parts, its ticks and its footprint."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from orderflow.lake.balance import unbalanced_volumes
from orderflow.market.day_so_far import WITHOUT_TICKS
from orderflow.market.errors import DecodeError
from orderflow.market.phases import CLOSING_AUCTION, CONTINUOUS, POST_CLOSE
from orderflow.market.session import may_trade_below_zero
from orderflow.market.times import MINUTE_MS, ms_from_iso

TICK_COLUMNS: Final = [
    "instrument_key", "sequence", "feed_time_ms", "received_time_ms", "event_time_ms", "session_phase", "vtt", "traded_volume",
    "gap", "ltt_ms", "ltq",
]  # fmt: skip
CANDLE_COLUMNS: Final = [
    "instrument", "window_start", "window_minutes", "open", "high", "low", "close", "buy_volume", "sell_volume",
    "unclassified_volume", "total_volume", "delta", "tick_volume", "exchange_bar", "source", "session_phase",
]  # fmt: skip
FOOTPRINT_COLUMNS: Final = ["instrument", "window_start", "price", "buy_volume", "sell_volume", "unclassified_volume"]
MOST_PRICE: Final = 1e9
_OVER_AFTER_MS: Final = 61 * MINUTE_MS
_AFTER_CLOSE: Final = {CLOSING_AUCTION: CLOSING_AUCTION, POST_CLOSE: POST_CLOSE, "closed": POST_CLOSE}
"""The phase of the candle that holds the volume of each phase after continuous trading."""
_Place = int | str
"""A minute of continuous trading by its start in epoch milliseconds, or a phase after it."""
_NEVER_MS: Final = 1 << 62


@dataclass(frozen=True, slots=True)
class InstrumentDay:
    """What is stored of one instrument and date.

    `missing` and `doubled` count updates by their sequence; `unaccounted_volume` is last vtt minus baseline minus the sum of
    traded_volume, 0 when nothing was lost or doubled. Of the minutes that are settled, `without_candle` counts those that
    traded and have none, `late_volume` is what traded in the others and is not in their candles' tick_volume, and
    `surplus_volume` what is in a candle but in no tick; a phase after the close counts as one minute. `unbalanced_volume` is
    what the candles hold too much (positive) or too little (negative) against the rise of vtt from the second candle to the
    last (`orderflow.lake.balance`).
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
    without_candle: int
    late_volume: int
    surplus_volume: int
    unbalanced_volume: int

    @property
    def sound(self) -> bool:
        """Return whether every update is stored once, volumes add up, and the candles hold all of the volume."""
        ticks_are_wrong = self.missing or self.doubled or self.unaccounted_volume
        candles_are_wrong = self.without_candle or self.late_volume or self.surplus_volume or self.unbalanced_volume
        return not (ticks_are_wrong or candles_are_wrong)

    @property
    def repairable(self) -> bool:
        """Return whether `reprocess` can help: the ticks are complete, but the candles are wrong."""
        return not self.sound and self.missing == self.doubled == self.unaccounted_volume == 0


def instrument_days(ticks: pa.Table, candles: pa.Table, settled_ms: int = _NEVER_MS) -> list[InstrumentDay]:
    """Return one entry for each instrument of a date's ticks, by key.

    `ticks` has TICK_COLUMNS and `candles` CANDLE_COLUMNS. Volume traded is vtt of the last trade minus vtt before the first.
    Candles of minutes that end after `settled_ms` may still come and are not judged; ticks of kind `minute` are not updates.
    """
    ticks = ticks.filter(pc.greater(ticks.column("sequence"), 0))
    if ticks.num_rows == 0:
        return []
    volume = pc.fill_null(ticks.column("traded_volume"), 0)
    table = ticks.append_column("volume", volume)
    table = table.append_column("continuous", pc.if_else(_equal(ticks, "session_phase", CONTINUOUS), volume, 0))
    table = table.append_column("gap_volume", pc.if_else(pc.fill_null(ticks.column("gap"), False), volume, 0))
    table = table.append_column("gaps", pc.cast(pc.fill_null(ticks.column("gap"), False), pa.int64()))
    table = table.append_column("before", pc.subtract(ticks.column("vtt"), ticks.column("traded_volume")))
    traded = pc.is_valid(ticks.column("traded_volume"))
    table = table.append_column("after", pc.if_else(traded, ticks.column("vtt"), pa.scalar(None, pa.int64())))
    # After lost state a sequence begins again at 1: the feed's time distinguishes such an update from a duplicate.
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
    # Candles stored before they had a phase hold no volume traded after the close.
    judged = (
        table
        if pc.any(pc.is_valid(candles.column("session_phase"))).as_py()
        else table.filter(_equal(table, "session_phase", CONTINUOUS))
    )
    by_minute = _volume_by_minute(judged, settled_ms)
    by_candle = _candle_volumes(candles, settled_ms)
    unbalanced = unbalanced_volumes(ticks, candles, settled_ms)
    days = [
        InstrumentDay(
            instrument=row["instrument_key"],
            rows=row["count_all"],
            missing=_missing(ticks, row),
            doubled=row["count_all"] - row["identity_count_distinct"],
            first_ms=row["event_time_ms_min"],
            last_ms=row["event_time_ms_max"],
            gaps=row["gaps_sum"],
            gap_volume=row["gap_volume_sum"],
            traded_volume=row["volume_sum"],
            continuous_volume=row["continuous_sum"],
            unaccounted_volume=(row["after_max"] or 0) - (row["before_min"] or 0) - row["volume_sum"],
            unbalanced_volume=unbalanced.get(row["instrument_key"], 0),
            **_against_candles(by_minute.get(row["instrument_key"], {}), by_candle.get(row["instrument_key"], {})),
        )
        for row in grouped.to_pylist()
    ]
    return sorted(days, key=lambda day: day.instrument)


def candle_faults(candles: pa.Table, date: str | None = None) -> list[str]:
    """Return a line for every stored candle that is a duplicate, inconsistent or of another date."""
    return list(_faults(candles.to_pylist(), date))


def footprint_faults(footprint: pa.Table, candles: pa.Table, settled_ms: int = _NEVER_MS) -> list[str]:
    """Return a line for every settled minute whose levels are duplicated, negative or do not add up to its candle.

    Volume of the exchange's bar that no update showed is not in any level, and neither is that of a backfilled candle.
    """
    grouped = footprint.group_by(["instrument", "window_start"]).aggregate(
        [([], "count_all"), ("price", "count_distinct")]
        + [(f"{side}_volume", how) for side in ("buy", "sell", "unclassified") for how in ("sum", "min")]
    )
    levels = {(row["instrument"], row["window_start"]): row for row in grouped.to_pylist()}
    faults: list[str] = []
    minutes = candles.filter(_equal(candles, "window_minutes", 1)).to_pylist()
    for candle in sorted(minutes, key=lambda candle: (candle["instrument"], candle["window_start"])):
        row = levels.pop((candle["instrument"], candle["window_start"]), None)
        if _start_ms(candle["window_start"]) + MINUTE_MS <= settled_ms:
            faults += _level_faults(candle, row)
    for (instrument, start), _ in sorted(levels.items()):
        if _start_ms(start) + MINUTE_MS <= settled_ms:
            faults.append(f"{instrument} {start}: footprint without a candle")
    return faults


def _level_faults(candle: dict[str, Any], row: dict[str, Any] | None) -> Iterator[str]:
    place = f"{candle['instrument']} {candle['window_start']}"
    sums = [row[f"{side}_volume_sum"] if row is not None else 0 for side in ("buy", "sell", "unclassified")]
    if row is not None and row["count_all"] != row["price_count_distinct"]:
        yield f"{place}: a footprint level is stored twice"
    if row is not None and min(row[f"{side}_volume_min"] for side in ("buy", "sell", "unclassified")) < 0:
        yield f"{place}: a footprint level is negative"
    rest = candle["unclassified_volume"] - sums[2]
    unseen = candle["exchange_bar"] or candle["source"] in WITHOUT_TICKS
    if (candle["buy_volume"], candle["sell_volume"]) != (sums[0], sums[1]) or rest < 0 or (rest and not unseen):
        yield f"{place}: footprint {sums} is not the candle's " + str(
            [candle[f"{side}_volume"] for side in ("buy", "sell", "unclassified")]
        )


def _faults(candles: list[dict[str, Any]], date: str | None) -> Iterator[str]:
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
        if min(buy, sell, unclassified, candle["tick_volume"]) < 0:
            yield f"{place}: a volume is negative"
        if date is not None and candle["window_start"][:10] != date:
            yield f"{place}: stored under {date}"
        if buy - sell != candle["delta"]:
            yield f"{place}: delta {candle['delta']} is not {buy} - {sell}"
        prices = [candle[name] for name in ("open", "high", "low", "close")]
        least = -MOST_PRICE if may_trade_below_zero(candle["instrument"]) else 0
        if not all(least < price < MOST_PRICE and price for price in prices if price is not None):
            yield f"{place}: impossible prices: {prices}"
        elif None not in prices and not (candle["low"] <= min(prices) and max(prices) <= candle["high"]):
            yield f"{place}: open {prices[0]} or close {prices[3]} is outside {candle['low']}…{candle['high']}"


def _missing(ticks: pa.Table, row: dict[str, Any]) -> int:
    """Count the sequences that are missing; after lost state they begin again, and each run is counted by itself."""
    if row["identity_count_distinct"] == row["sequence_count_distinct"]:
        return int(row["sequence_max"] - row["sequence_count_distinct"])
    own = ticks.filter(_equal(ticks, "instrument_key", row["instrument_key"]))
    columns = [own.column(name).to_pylist() for name in ("received_time_ms", "feed_time_ms", "sequence")]
    missing = 0
    run: set[int] = set()
    feed_times: set[tuple[int, int]] = set()
    for _, feed_time, sequence in sorted(zip(*columns, strict=True)):
        if (feed_time, sequence) in feed_times:
            continue
        feed_times.add((feed_time, sequence))
        if sequence in run:
            missing += max(run) - len(run)
            run = set()
        run.add(sequence)
    return missing + max(run) - len(run)


def _volume_by_minute(ticks: pa.Table, settled_ms: int) -> dict[str, dict[_Place, int]]:
    """Return the volume of continuous trading by instrument and minute, and of each phase after it by instrument and phase."""
    minute = pc.multiply(pc.divide(ticks.column("event_time_ms"), MINUTE_MS), MINUTE_MS)
    table = ticks.append_column("minute", minute)
    grouped = table.filter(pc.greater(table.column("volume"), 0)).group_by(["instrument_key", "session_phase", "minute"])
    by_instrument: dict[str, dict[_Place, int]] = {}
    for row in grouped.aggregate([("volume", "sum")]).to_pylist():
        phase = row["session_phase"]
        place: _Place | None = row["minute"] if phase == CONTINUOUS else _AFTER_CLOSE.get(phase)
        if place is not None and _is_settled(row["minute"], phase, settled_ms):
            volumes = by_instrument.setdefault(row["instrument_key"], {})
            volumes[place] = volumes.get(place, 0) + row["volume_sum"]
    return by_instrument


def _candle_volumes(candles: pa.Table, settled_ms: int) -> dict[str, dict[_Place, int]]:
    """Return the tick_volume of minute candles by instrument and minute, or by phase where that is not continuous trading."""
    minutes = candles.filter(_equal(candles, "window_minutes", 1))
    by_instrument: dict[str, dict[_Place, int]] = {}
    for row in minutes.select(["instrument", "window_start", "session_phase", "tick_volume"]).to_pylist():
        start_ms, phase = _start_ms(row["window_start"]), row["session_phase"] or CONTINUOUS
        if _is_settled(start_ms, phase, settled_ms):
            place = start_ms if phase == CONTINUOUS else phase
            volumes = by_instrument.setdefault(row["instrument"], {})
            volumes[place] = volumes.get(place, 0) + row["tick_volume"]
    return by_instrument


def _is_settled(minute_ms: int, phase: str, settled_ms: int) -> bool:
    """Return whether the candle of a minute must be stored by now; that of a later phase comes when the phase is over."""
    return minute_ms + (MINUTE_MS if phase == CONTINUOUS else _OVER_AFTER_MS) <= settled_ms


def _against_candles(traded: dict[_Place, int], candles: dict[_Place, int]) -> dict[str, int]:
    late = surplus = 0
    for place, volume in candles.items():
        late += max(0, traded.get(place, 0) - volume)
        surplus += max(0, volume - traded.get(place, 0))
    return {"without_candle": len(traded.keys() - candles.keys()), "late_volume": late, "surplus_volume": surplus}


def _start_ms(window_start: str) -> int:
    """Return the time of a stored window's edge; 0 if it is not a time, which is reported as a fault of the candle."""
    try:
        return ms_from_iso(window_start)
    except DecodeError:
        return 0


def _equal(table: pa.Table, column: str, value: object) -> Any:
    return pc.fill_null(pc.equal(table.column(column), value), False)
