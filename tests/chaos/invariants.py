"""What must hold of a stored day, recomputed from the stored rows, Kafka's ticks and the market's true trades: pure functions."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise
from typing import Any, Literal

MINUTE_MS = 60_000
TICK_COLUMNS = ["instrument_key", "sequence", "feed_time_ms", "vtt", "traded_volume", "gap"]
CANDLE_COLUMNS = [
    "instrument",
    "window_start",
    "window_minutes",
    "open",
    "high",
    "low",
    "close",
    "total_volume",
    "buy_volume",
    "sell_volume",
    "unclassified_volume",
    "exchange_bar",
    "gap",
]
LEVEL_COLUMNS = ["instrument", "window_start", "price", "buy_volume", "sell_volume", "unclassified_volume"]
Trades = Mapping[str, list[tuple[int, int, float, int]]]
Harm = Literal["lost", "doubled", "wrong"]


@dataclass
class Verdict:
    """What was found; `faults` holds one sentence for each violation, `harms` the time (epoch ms) of each single one."""

    ticks: int = 0
    ticks_lost: int = 0
    ticks_doubled: int = 0
    gap_ticks: int = 0
    candles: int = 0
    candles_checked: int = 0
    candles_doubled: int = 0
    candles_wrong: int = 0
    levels: int = 0
    levels_doubled: int = 0
    footprints_wrong: int = 0
    faults: list[str] = field(default_factory=list)
    harms: list[tuple[int, Harm]] = field(default_factory=list)

    @property
    def sound(self) -> bool:
        """Return whether nothing was violated."""
        return not self.faults

    def __str__(self) -> str:
        head = (
            f"{self.ticks} ticks stored ({self.gap_ticks} across an outage): {self.ticks_lost} lost, "
            f"{self.ticks_doubled} doubled; {self.candles} candles: {self.candles_doubled} doubled, "
            f"{self.candles_wrong} of {self.candles_checked} with the exchange's bar wrong; {self.levels} footprint levels: "
            f"{self.levels_doubled} doubled, {self.footprints_wrong} minutes that do not add up to their candle"
        )
        return "\n".join([head, *(f"  {fault}" for fault in self.faults[:20])])


def check_ticks(
    verdict: Verdict, stored: Iterable[Mapping[str, Any]], published: Mapping[tuple[str, int], int], trades: Trades
) -> None:
    """Check identity, contiguity and the volume identity of every instrument's ticks of the day.

    `published` maps (instrument, sequence) of each valid tick that Kafka took early enough to be stored by now to the time it was
    received. The true trades decide whether a stored vtt can be: it must be the cumulative volume after some true trade.
    """
    by_instrument: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for row in stored:
        if row["sequence"]:  # 0 on the exchange's minutes
            by_instrument[row["instrument_key"]].append(row)
    seen = {(key, row["sequence"]) for key, rows in by_instrument.items() for row in rows}
    lost = set(published) - seen
    verdict.ticks_lost += len(lost)
    verdict.harms += [(published[place], "lost") for place in lost]
    if lost:
        verdict.faults.append(f"{len(lost)} ticks of Kafka are not stored, for example {sorted(lost)[:3]}")
    for key, rows in sorted(by_instrument.items()):
        rows.sort(key=lambda row: (row["sequence"], row["feed_time_ms"]))
        numbers = [row["sequence"] for row in rows]
        verdict.ticks += len(rows)
        verdict.gap_ticks += sum(1 for row in rows if row["gap"])
        repeats = len(numbers) - len(set(numbers))
        if repeats:
            verdict.ticks_doubled += repeats
            twice = (row for row, after in pairwise(rows) if row["sequence"] == after["sequence"])
            verdict.harms += [(row["feed_time_ms"], "doubled") for row in twice]
            verdict.faults.append(f"{key}: {repeats} ticks stored twice")
        missing = numbers[-1] - numbers[0] + 1 - len(set(numbers))
        if missing or numbers[0] != 1:
            verdict.faults.append(f"{key}: sequence {numbers[0]}..{numbers[-1]} lacks {missing}")
        for row, after in pairwise(rows):
            unheard = [n for n in range(row["sequence"] + 1, after["sequence"]) if (key, n) not in lost]
            verdict.ticks_lost += len(unheard)
            verdict.harms += [(row["feed_time_ms"], "lost")] * len(unheard)
        volumes = [row for row in rows if row["vtt"] is not None]
        if not volumes:
            continue
        first, last = volumes[0], volumes[-1]
        summed = sum(row["traded_volume"] or 0 for row in rows if row is not first)
        if summed != last["vtt"] - first["vtt"]:
            verdict.faults.append(f"{key}: traded volume sums to {summed}, vtt rose by {last['vtt'] - first['vtt']}")
        real = {cumulative for _, cumulative, _, _ in trades.get(key, ())}
        impossible = [row["vtt"] for row in volumes if real and row["vtt"] >= min(real) and row["vtt"] not in real]
        if impossible:
            verdict.faults.append(f"{key}: {len(impossible)} vtt that never were, for example {impossible[:3]}")


def check_candles(
    verdict: Verdict, stored: Iterable[Mapping[str, Any]], trades: Trades, from_ms: int, to_ms: int, *, sums: bool = True
) -> None:
    """Check each minute once, each candle of the exchange equal to the true trades, and the volume of the whole stretch.

    Only minutes that begin within [from_ms, to_ms) are judged. The sum runs from the first to the last minute that carries the
    exchange's bar: their outer edges are exact, so whatever happened between, no volume may be missing or doubled.
    """
    counts: Counter[tuple[str, int]] = Counter()
    candles: dict[str, dict[int, Mapping[str, Any]]] = defaultdict(dict)
    for row in stored:
        at = int(datetime.fromisoformat(row["window_start"]).timestamp() * 1000)
        if row["window_minutes"] == 1 and from_ms <= at < to_ms:
            counts[row["instrument"], at] += 1
            candles[row["instrument"]][at] = row
    verdict.candles += sum(counts.values())
    doubled = sum(count - 1 for count in counts.values())
    if doubled:
        verdict.candles_doubled += doubled
        verdict.harms += [(at, "wrong") for (_, at), count in counts.items() for _ in range(count - 1)]
        verdict.faults.append(
            f"{doubled} candles stored twice, for example {[place for place, n in counts.items() if n > 1][:3]}"
        )
    for key, real in sorted(trades.items()):
        minutes: dict[int, list[tuple[int, int, float, int]]] = defaultdict(list)
        for trade in real:
            minutes[trade[0] // MINUTE_MS * MINUTE_MS].append(trade)
        rows = candles.get(key, {})
        exchange = sorted(at for at, row in rows.items() if row["exchange_bar"])
        for at in exchange:
            verdict.candles_checked += 1
            true, row = minutes.get(at, []), rows[at]
            prices = [price for _, _, price, _ in true]
            volume = sum(quantity for *_, quantity in true)
            expected = (prices[0], max(prices), min(prices), prices[-1], volume) if prices else None
            stored_values = tuple(row[name] for name in ("open", "high", "low", "close", "total_volume"))
            parts = row["buy_volume"] + row["sell_volume"] + row["unclassified_volume"]
            if stored_values != expected or parts != row["total_volume"]:
                verdict.candles_wrong += 1
                verdict.harms.append((at, "wrong"))
                verdict.faults.append(f"{key} {row['window_start']}: {stored_values}, parts {parts}, really {expected}")
        if sums and len(exchange) > 1:
            inside = range(exchange[0], exchange[-1] + MINUTE_MS, MINUTE_MS)
            total = sum(rows[at]["total_volume"] for at in inside if at in rows)
            traded = sum(quantity for at in inside for *_, quantity in minutes.get(at, ()))
            if total != traded:
                verdict.faults.append(
                    f"{key}: candles from {rows[exchange[0]]['window_start']} to {rows[exchange[-1]]['window_start']} sum to "
                    f"{total}, really {traded} ({total - traded:+d})"
                )


def check_footprint(
    verdict: Verdict, levels: Iterable[Mapping[str, Any]], candles: Iterable[Mapping[str, Any]], from_ms: int, to_ms: int
) -> None:
    """Check that each price of a minute is stored once, and that a minute's prices add up to its candle, by side.

    Only minutes that begin within [from_ms, to_ms) are judged.
    """
    counts: Counter[tuple[str, int, int]] = Counter()
    sums: dict[tuple[str, int], list[int]] = defaultdict(lambda: [0, 0])
    for row in levels:
        at = int(datetime.fromisoformat(row["window_start"]).timestamp() * 1000)
        if from_ms <= at < to_ms:
            counts[row["instrument"], at, row["price"]] += 1
            for side, name in enumerate(("buy_volume", "sell_volume")):
                sums[row["instrument"], at][side] += row[name]
    verdict.levels += sum(counts.values())
    doubled = {place: count - 1 for place, count in counts.items() if count > 1}
    if doubled:
        verdict.levels_doubled += sum(doubled.values())
        verdict.harms += [(at, "wrong") for (_, at, _), more in doubled.items() for _ in range(more)]
        verdict.faults.append(f"{sum(doubled.values())} footprint levels stored twice, for example {list(doubled)[:3]}")
    for candle in candles:
        at = int(datetime.fromisoformat(candle["window_start"]).timestamp() * 1000)
        if candle["window_minutes"] != 1 or not from_ms <= at < to_ms:
            continue
        summed, expected = sums[candle["instrument"], at], [candle["buy_volume"], candle["sell_volume"]]
        if summed != expected:
            verdict.footprints_wrong += 1
            verdict.harms.append((at, "wrong"))
            verdict.faults.append(f"{candle['instrument']} {candle['window_start']}: footprint {summed}, candle {expected}")
