"""Measures the aggressor rules and the estimator on recordings with the true side, and prints a Markdown table.

    python benchmarks/accuracy.py --data DIR                every <name>_<ms>ms_p<phase>.parquet of DIR
    python benchmarks/accuracy.py --data DIR --files        the gain over Lee-Ready of every single file too
    python benchmarks/accuracy.py --data DIR --conflate 5 10 30 60
                                                            the same for windows of so many seconds, made of the files of 1 s
    python benchmarks/accuracy.py --data DIR --write OUT    also OUT/<rule>/<same name>.parquet: packet_time_ms,
                                                            est_buy_volume, est_sell_volume, for score.py

volume accuracy        1 - sum(|buy - true buy| + |sell - true sell|) / (2 volume): the share of volume on its right side;
                       unclassified volume counts as half right.
1-minute delta error   sum over minutes of |delta - true delta| / volume.
band held              share of full minutes whose true delta lay inside delta ± band, and that band's median share of volume;
                       by interval, by the minute's spread, and by the grade that the band gives.

Each estimate looks at a packet and the one before it. A row is the mean over a recording's grid phases. `same quote` is the
usual way: Lee-Ready with the packet's own book, which is the book after the trade.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import groupby, pairwise
from pathlib import Path
from statistics import fmean, median
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from orderflow.market.aggressor import Evidence, Verdict, verdict
from orderflow.market.confidence import band, grade

SAME_QUOTE = "same quote"
LEE_READY = "lee_ready"
ESTIMATOR = "split"
RULES = (SAME_QUOTE, LEE_READY, "emo", "clnv", ESTIMATOR)
FULL_MINUTE_MS = 50_000
CONFLATED_MS = 1_000
SPREADS = (("up to 1", 0.0, 1.0), ("1 to 4", 1.0, 4.0), ("4 to 6", 4.0, 6.0), ("above 6", 6.0, float("inf")))
"""Classes of a minute's volume-weighted spread, in basis points."""


class Packet(NamedTuple):
    """One packet: what it and the one before say, and the truth."""

    time_ms: int
    evidence: Evidence
    true_buy: int
    true_sell: int


class Minute(NamedTuple):
    """One full minute: whether the band held, the band and the error of delta as shares of volume, grade and spread."""

    held: bool
    width: float
    error: float
    grade: str
    spread: float


class Figures(NamedTuple):
    """The measures of one rule on one file."""

    accuracy: float
    delta_error: float


def packets(rows: Sequence[dict[str, Any]]) -> Iterator[Packet]:
    """Yield each packet after the first, which is the baseline."""
    direction = 0
    for before, now in pairwise(rows):
        if now["ltp"] is not None and before["ltp"] is not None:
            direction = (now["ltp"] > before["ltp"]) - (now["ltp"] < before["ltp"]) or direction
        evidence = Evidence(
            traded_volume=now["vtt"] - before["vtt"],
            ltp=now["ltp"],
            ltq=now["ltq"],
            prev_bid=before["bid_price_1"],
            prev_bid_quantity=before["bid_qty_1"],
            prev_ask=before["ask_price_1"],
            prev_ask_quantity=before["ask_qty_1"],
            bid=now["bid_price_1"],
            bid_quantity=now["bid_qty_1"],
            ask=now["ask_price_1"],
            ask_quantity=now["ask_qty_1"],
            tick_direction=direction,
            feed_time_ms=now["packet_time_ms"],
            prev_feed_time_ms=before["packet_time_ms"],
            ltt_ms=now["ltt_ms"],
            prev_ltt_ms=before["ltt_ms"],
            gap=False,
            auction=False,
        )
        yield Packet(now["packet_time_ms"], evidence, now["true_buy_volume"], now["true_sell_volume"])


def conflated(rows: Sequence[dict[str, Any]], window_ms: int) -> list[dict[str, Any]]:
    """Keep the last packet of each window and give it the window's truth."""
    kept = []
    for _, group in groupby(rows, lambda row: (row["packet_time_ms"] - 1) // window_ms):
        window = list(group)
        truth = {name: sum(row[name] for row in window) for name in ("true_buy_volume", "true_sell_volume")}
        kept.append({**window[-1], **truth})
    return kept


def estimate(rule: str, packet: Packet) -> Verdict:
    if rule != SAME_QUOTE:
        return verdict(rule, packet.evidence)
    evidence = packet.evidence
    return verdict(LEE_READY, evidence._replace(prev_bid=evidence.bid, prev_ask=evidence.ask))


def figures(recorded: Sequence[Packet], splits: Sequence[Verdict]) -> Figures:
    volume = sum(packet.true_buy + packet.true_sell for packet in recorded)
    wrong, minutes = 0, defaultdict(int)
    for packet, (buy, sell, *_) in zip(recorded, splits, strict=True):
        wrong += abs(buy - packet.true_buy) + abs(sell - packet.true_sell)
        minutes[(packet.time_ms - 1) // 60_000] += (buy - sell) - (packet.true_buy - packet.true_sell)
    return Figures(1 - wrong / (2 * volume), sum(map(abs, minutes.values())) / volume)


def full_minutes(recorded: Sequence[Packet], splits: Sequence[Verdict], shortest_ms: int) -> Iterator[Minute]:
    """Yield the minutes whose packets span at least `shortest_ms`."""
    for _, group in groupby(zip(recorded, splits, strict=True), lambda pair: (pair[0].time_ms - 1) // 60_000):
        rows = list(group)
        volume = sum(packet.true_buy + packet.true_sell for packet, _ in rows)
        if volume == 0 or rows[-1][0].time_ms - rows[0][0].time_ms < shortest_ms:
            continue
        error = abs(sum((s.buy - s.sell) - (packet.true_buy - packet.true_sell) for packet, s in rows))
        width = band(sum((s.buy + s.sell) ** 2 * s.wrong_share for _, s in rows))
        spread = sum(map(paid_spread, (packet.evidence for packet, _ in rows))) / volume
        graded = grade(width, volume, sum(s.buy + s.sell for _, s in rows))
        yield Minute(error <= width, width / volume, error / volume, graded, spread)


def paid_spread(evidence: Evidence) -> float:
    """Return the previous spread in basis points times the volume."""
    if not evidence.traded_volume or evidence.prev_bid is None or evidence.prev_ask is None or evidence.ltp is None:
        return 0.0
    return evidence.traded_volume * (evidence.prev_ask - evidence.prev_bid) / evidence.ltp * 10_000


def write(path: Path, recorded: Sequence[Packet], splits: Sequence[Verdict]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    columns = {
        "packet_time_ms": [packet.time_ms for packet in recorded],
        "est_buy_volume": [s.buy for s in splits],
        "est_sell_volume": [s.sell for s in splits],
    }
    pq.write_table(pa.table({name: pa.array(values, pa.int64()) for name, values in columns.items()}), path)


def cell(rows: Sequence[dict[str, Figures]], rule: str) -> str:
    return f"{fmean(row[rule].accuracy for row in rows):.1%} / {fmean(row[rule].delta_error for row in rows):.1%}"


def gain(rows: Sequence[dict[str, Figures]]) -> str:
    """Points of accuracy gained by the estimator on Lee-Ready, and its relative change of delta error."""
    points = 100 * fmean(row[ESTIMATOR].accuracy - row[LEE_READY].accuracy for row in rows)
    error, error_before = (fmean(row[rule].delta_error for row in rows) for rule in (ESTIMATOR, LEE_READY))
    return f"{points:+.2f} / {error / error_before - 1 if error_before else 0:+.0%}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, metavar="DIR")
    parser.add_argument("--write", type=Path, metavar="OUT")
    parser.add_argument("--files", action="store_true", help="print the gain of every single file")
    parser.add_argument("--conflate", type=int, nargs="+", metavar="SECONDS", help="make long windows of the files of 1 s")
    args = parser.parse_args()
    sets: dict[tuple[int, str], list[tuple[str, dict[str, Figures]]]] = defaultdict(list)
    minutes: dict[int, list[Minute]] = defaultdict(list)
    for path in sorted(args.data.glob("*.parquet")):
        match = re.fullmatch(r"(.+)_(\d+)ms_p\d+", path.stem)
        if match is None or (args.conflate and int(match[2]) != CONFLATED_MS):
            continue
        rows = pq.read_table(path).to_pylist()
        for interval_ms in [1_000 * seconds for seconds in args.conflate or ()] or [int(match[2])]:
            recorded = list(packets(conflated(rows, interval_ms) if args.conflate else rows))
            if not any(packet.true_buy + packet.true_sell for packet in recorded):
                continue
            splits = {rule: [estimate(rule, packet) for packet in recorded] for rule in RULES}
            sets[interval_ms, match[1]].append((path.stem, {rule: figures(recorded, splits[rule]) for rule in RULES}))
            minutes[interval_ms] += full_minutes(recorded, splits[ESTIMATOR], FULL_MINUTE_MS if interval_ms < 10_000 else 0)
            for rule in RULES if args.write else ():
                name = path.name.replace(f"_{match[2]}ms_", f"_{interval_ms}ms_")
                write(args.write / rule.replace(" ", "_") / name, recorded, splits[rule])
    if not sets:
        parser.error(f"{args.data} holds no <name>_<ms>ms_p<phase>.parquet")
    print_tables(sets, with_files=args.files)
    print_bands(minutes)


def print_tables(sets: dict[tuple[int, str], list[tuple[str, dict[str, Figures]]]], *, with_files: bool) -> None:
    print("| set | ms | " + " | ".join(RULES) + " | split − lee_ready, points / delta error |")
    print("|---|---|" + "---|" * (len(RULES) + 1))
    means = defaultdict(list)
    for (interval_ms, name), files in sorted(sets.items()):
        rows = [row for _, row in files]
        means[interval_ms].extend(rows)
        print(f"| {name} | {interval_ms} | " + " | ".join(cell(rows, rule) for rule in RULES) + f" | {gain(rows)} |")
    for interval_ms, rows in sorted(means.items()):
        print(f"| **mean** | {interval_ms} | " + " | ".join(cell(rows, rule) for rule in RULES) + f" | {gain(rows)} |")
    if with_files:
        print("\n| file | split − lee_ready, points / delta error |\n|---|---|")
        for _, files in sorted(sets.items()):
            for stem, row in files:
                print(f"| {stem} | {gain([row])} |")


def print_bands(minutes: dict[int, list[Minute]]) -> None:
    """Print how often the band held, by interval, by spread and by grade."""
    every = [minute for of_class in minutes.values() for minute in of_class]
    classes = [(f"{interval_ms} ms", of_class) for interval_ms, of_class in sorted(minutes.items())]
    for name, least, most in SPREADS:
        classes.append((f"spread {name} bp", [minute for minute in every if least <= minute.spread < most]))
    for name in ("high", "medium", "low"):
        classes.append((f"grade {name}", [minute for minute in every if minute.grade == name]))
    print("\n| minutes | number | band held | median band / volume | mean error / volume | error above 0.3 of the volume |")
    print("|---|---|---|---|---|---|")
    for name, of_class in classes:
        if of_class:
            held, error = fmean(minute.held for minute in of_class), fmean(minute.error for minute in of_class)
            width, bad = median(minute.width for minute in of_class), fmean(minute.error > 0.3 for minute in of_class)
            print(f"| {name} | {len(of_class)} | {held:.1%} | {width:.1%} | {error:.1%} | {bad:.1%} |")


if __name__ == "__main__":
    main()
