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
band held              share of full minutes whose true delta lay inside delta ± band, and that band's median share of volume.

The gain over Lee-Ready and the band are also printed by interval and the minute's spread, and the band by its grade.

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
    """One minute of one file: its spread in basis points, and volumes as shares of the file's, so that files can be added."""

    full: bool
    spread: float
    volume: float
    wrong: float
    wrong_before: float
    error: float
    error_before: float
    width: float
    grade: str

    @property
    def held(self) -> bool:
        return self.error <= self.width


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
    for packet, split in zip(recorded, splits, strict=True):
        wrong += wrong_volume(packet, split)
        minutes[(packet.time_ms - 1) // 60_000] += delta_off(packet, split)
    return Figures(1 - wrong / (2 * volume), sum(map(abs, minutes.values())) / volume)


def minutes_of(
    recorded: Sequence[Packet], splits: Sequence[Verdict], before: Sequence[Verdict], shortest_ms: int
) -> Iterator[Minute]:
    """Yield the minutes with volume, split by the estimator and by Lee-Ready (`before`).

    A minute is full when its packets span at least `shortest_ms`.
    """
    total = sum(packet.true_buy + packet.true_sell for packet in recorded)
    for _, group in groupby(zip(recorded, splits, before, strict=True), lambda row: (row[0].time_ms - 1) // 60_000):
        rows = list(group)
        volume = sum(packet.true_buy + packet.true_sell for packet, *_ in rows)
        if volume == 0:
            continue
        width = band(sum((s.buy + s.sell) ** 2 * s.wrong_share for _, s, _ in rows))
        yield Minute(
            full=rows[-1][0].time_ms - rows[0][0].time_ms >= shortest_ms,
            spread=sum(paid_spread(packet.evidence) for packet, *_ in rows) / volume,
            volume=volume / total,
            wrong=sum(wrong_volume(packet, s) for packet, s, _ in rows) / total,
            wrong_before=sum(wrong_volume(packet, s) for packet, _, s in rows) / total,
            error=abs(sum(delta_off(packet, s) for packet, s, _ in rows)) / total,
            error_before=abs(sum(delta_off(packet, s) for packet, _, s in rows)) / total,
            width=width / total,
            grade=grade(width, volume, sum(s.buy + s.sell for _, s, _ in rows)),
        )


def wrong_volume(packet: Packet, split: Verdict) -> int:
    """Return twice the volume on the wrong side; what is unclassified counts once."""
    return abs(split.buy - packet.true_buy) + abs(split.sell - packet.true_sell)


def delta_off(packet: Packet, split: Verdict) -> int:
    return (split.buy - split.sell) - (packet.true_buy - packet.true_sell)


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
            shortest_ms = FULL_MINUTE_MS if interval_ms < 10_000 else 0
            minutes[interval_ms] += minutes_of(recorded, splits[ESTIMATOR], splits[LEE_READY], shortest_ms)
            for rule in RULES if args.write else ():
                name = path.name.replace(f"_{match[2]}ms_", f"_{interval_ms}ms_")
                write(args.write / rule.replace(" ", "_") / name, recorded, splits[rule])
    if not sets:
        parser.error(f"{args.data} holds no <name>_<ms>ms_p<phase>.parquet")
    print_tables(sets, with_files=args.files)
    print_by_spread(minutes)
    print_grades([minute for recorded in minutes.values() for minute in recorded if minute.full])


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


def print_by_spread(minutes: dict[int, list[Minute]]) -> None:
    """Print gain and coverage by interval and spread."""
    intervals = sorted(minutes)
    header = "".join(f" {interval_ms} ms |" for interval_ms in intervals) + " all |\n|---|" + "---|" * (len(intervals) + 1)
    columns = [*(minutes[interval_ms] for interval_ms in intervals), [m for of_class in minutes.values() for m in of_class]]
    for title, show in (("split − lee_ready, points / delta error", gain_of), ("band held (full minutes): median band", held_of)):
        print(f"\n| {title} |{header}")
        for name, least, most in (*SPREADS, ("all", 0.0, float("inf"))):
            cells = [show([m for m in of_class if least <= m.spread < most]) for of_class in columns]
            if any(cells):
                print(f"| {name if name == 'all' else f'spread {name} bp'} | " + " | ".join(cells) + " |")


def gain_of(of_class: Sequence[Minute]) -> str:
    if not of_class:
        return ""
    points = 50 * sum(m.wrong_before - m.wrong for m in of_class) / sum(m.volume for m in of_class)
    error, error_before = sum(m.error for m in of_class), sum(m.error_before for m in of_class)
    return f"{points:+.2f} / {error / error_before - 1 if error_before else 0:+.0%}"


def held_of(of_class: Sequence[Minute]) -> str:
    full = [m for m in of_class if m.full]
    if not full:
        return ""
    return f"{fmean(m.held for m in full):.1%} of {len(full)}: {median(m.width / m.volume for m in full):.0%}"


def print_grades(full: Sequence[Minute]) -> None:
    """Print how far delta was off in the full minutes of each grade."""
    print("\n| grade | full minutes | band held | median band / volume | mean error / volume | error above 0.3 | above 0.5 |")
    print("|---|---|---|---|---|---|---|")
    for name in ("high", "medium", "low"):
        of_class = [minute for minute in full if minute.grade == name]
        if of_class:
            held, width = fmean(m.held for m in of_class), median(m.width / m.volume for m in of_class)
            errors = [m.error / m.volume for m in of_class]
            over = " | ".join(f"{fmean(error > most for error in errors):.1%}" for most in (0.3, 0.5))
            print(f"| {name} | {len(of_class)} | {held:.1%} | {width:.1%} | {fmean(errors):.1%} | {over} |")


if __name__ == "__main__":
    main()
