"""Chooses every constant of the split and of its band with one recording left out, and measures the choice on that one.

    python benchmarks/leave_one_out.py --data DIR [DIR ...]             the folders of accuracy.py
    python benchmarks/leave_one_out.py --data DIR [DIR ...] --shifts 8  every shift of the grid (1 by default)

A recording of an hour or more is divided into quarters, each a recording of its own. Every constant is varied alone, over
fractions and multiples of the product's value. For each recording left out, the value that is best in the mean over the
others is chosen.

split    score: points of accuracy over Lee-Ready, mean over the recording's files.
long     the same for windows of 5, 10, 30 and 60 s, made of the files of 1 s: constants that act beyond 2 s.
band     score: -(width + 20 x what delta's error exceeds it by), in percent of the volume, mean over the full minutes. It is
         greatest for the band that holds in 95 of 100 (Gneiting and Raftery 2007, JASA 102).

`on the one left out` is the change of the score by choosing so instead of keeping the product's value, mean over the
recordings. The last rows take all choices that were made without a recording at once, and measure them on it.
"""

from __future__ import annotations

import argparse
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from statistics import fmean
from typing import Any, NamedTuple
from unittest.mock import patch

import pyarrow.parquet as pq
from accuracy import CONFLATED_MS, ESTIMATOR, FULL_MINUTE_MS, LEE_READY, Packet, conflated, estimate, figures, minutes_of, packets

from orderflow.market import aggressor, confidence
from orderflow.market.aggressor import Verdict

SPLIT = (
    "AT_BEST",
    "GAVE_WAY",
    "STEPPED_UP",
    "QUEUE_SHIFT",
    "MIXING",
    "SINGLE_SIDED_SECONDS",
    "BUSY_SECONDS",
    "FULL_MIX_LOG_PRINTS",
    "FEED_LATENCY_MS",
    "BOOK_PULL",
)
LONG = ("LONG_SECONDS", "LONG_MIXING", "MOST_MIXING")
BAND = (
    "WRONG_AT_LEAST",
    "WRONG_PER_SECOND",
    "WRONG_UNCLEAR",
    "WRONG_BUSY_STANDSTILL",
    "WRONG_AT_MOST",
    "BUSY_PRINTS",
    "BUSY_AGE_MS",
    "CLUSTERING",
)
FACTORS = (0.5, 0.75, 1.0, 1.5, 2.0)
WINDOWS_MS = (5_000, 10_000, 30_000, 60_000)
QUARTERED_MS = 3_600_000
SHIFTS = 8
MISSED = 20
NOTHING = Verdict(0, 0, 0, 0.0)

Values = Mapping[str, float]


class File(NamedTuple):
    """The packets of a recording on one grid, and how Lee-Ready splits them."""

    recorded: list[Packet]
    before: list[Verdict]


class Recording(NamedTuple):
    """A recording's files as they are, and those of long windows."""

    short: list[File]
    long: list[File]


def quarters(name: str, rows: Sequence[dict[str, Any]]) -> Iterator[tuple[str, Sequence[dict[str, Any]]]]:
    """Yield a recording of an hour or more in four parts of equal length in time."""
    first_ms, span_ms = rows[0]["packet_time_ms"], rows[-1]["packet_time_ms"] - rows[0]["packet_time_ms"] + 1
    if span_ms < QUARTERED_MS:
        yield name, rows
        return
    for quarter in range(4):
        yield (
            f"{name}, quarter {quarter + 1}",
            [row for row in rows if 4 * (row["packet_time_ms"] - first_ms) // span_ms == quarter],
        )


def split_all(rule: str, recorded: Sequence[Packet]) -> list[Verdict]:
    """Split every packet; one without volume stays, as it says how long its minute was watched, but costs nothing."""
    return [estimate(rule, packet) if packet.evidence.traded_volume else NOTHING for packet in recorded]


def file_of(rows: Sequence[dict[str, Any]]) -> File:
    recorded = list(packets(rows))
    return File(recorded, split_all(LEE_READY, recorded))


def read(folders: Sequence[Path], shifts: int) -> dict[str, Recording]:
    """Read `shifts` of the eight grid shifts of every recording."""
    recordings: dict[str, Recording] = defaultdict(lambda: Recording([], []))
    for path in sorted(path for folder in folders for path in folder.glob("*.parquet")):
        match = re.fullmatch(r"(.+)_(\d+)ms_p(\d+)", path.stem)
        if match is None or int(match[3]) % (SHIFTS // shifts):
            continue
        for name, rows in quarters(match[1], pq.read_table(path).to_pylist()):
            recordings[name].short.append(file_of(rows))
            if int(match[2]) == CONFLATED_MS:
                recordings[name].long.extend(file_of(conflated(rows, window_ms)) for window_ms in WINDOWS_MS)
    return dict(recordings)


def points(files: Sequence[File]) -> float:
    """Return the mean gain in accuracy over Lee-Ready, in points."""
    gains = []
    for recorded, before in files:
        gains.append(100 * (figures(recorded, split_all(ESTIMATOR, recorded)).accuracy - figures(recorded, before).accuracy))
    return fmean(gains)


def interval_score(files: Sequence[File]) -> float:
    """Return minus the mean interval score of delta's band, in percent of the minute's volume."""
    scores = []
    for recorded, before in files:
        for minute in minutes_of(recorded, split_all(ESTIMATOR, recorded), before, FULL_MINUTE_MS):
            if minute.full:
                score = minute.width + MISSED * max(minute.error - minute.width, 0.0)
                scores.append(-100 * score / minute.volume)
    return fmean(scores)


def score(group: str, recording: Recording, values: Values) -> float:
    """Return a recording's score with some constants at other values."""
    with ExitStack() as changed:
        for name, value in values.items():
            module = aggressor if hasattr(aggressor, name) else confidence
            changed.enter_context(patch.object(module, name, value))
        if group == "band":
            return interval_score(recording.short)
        return points(recording.long if group == "long" else recording.short)


def product_value(name: str) -> float:
    return float(getattr(aggressor if hasattr(aggressor, name) else confidence, name))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, nargs="+", metavar="DIR")
    parser.add_argument("--shifts", type=int, choices=(1, 2, 4, 8), default=1, help="grid shifts to use (default: 1)")
    args = parser.parse_args()
    recordings = read(args.data, args.shifts)
    if len(recordings) < 2:
        parser.error("leaving one out takes two recordings of the form <name>_<ms>ms_p<phase>.parquet")
    choices: dict[str, dict[str, dict[str, float]]] = {}
    print("| constant | kept | chosen | on the one left out |\n|---|---|---|---|")
    for group, names in (("split", SPLIT), ("long", LONG), ("band", BAND)):
        kept = {left_out: score(group, recording, {}) for left_out, recording in recordings.items()}
        choices[group] = {left_out: {} for left_out in recordings}
        for name in names:
            change = leave_one_out(group, name, recordings, kept, choices[group])
            counts = Counter(chosen[name] for chosen in choices[group].values())
            shown = ", ".join(f"{value:g} × {count}" for value, count in counts.most_common())
            print(f"| {group}: {name} | {product_value(name):g} | {shown} | {change:+.2f} |", flush=True)
    print("\n| left out | " + " | ".join(f"{group}: kept → all chosen without it" for group in choices) + " |")
    print("|---|" + "---|" * len(choices))
    for left_out, recording in recordings.items():
        cells = [
            f"{score(group, recording, {}):+.2f} → {score(group, recording, chosen[left_out]):+.2f}"
            for group, chosen in choices.items()
        ]
        print(f"| {left_out} | " + " | ".join(cells) + " |", flush=True)


def leave_one_out(
    group: str, name: str, recordings: Mapping[str, Recording], kept: Values, choices: Mapping[str, dict[str, float]]
) -> float:
    """Choose one constant's value without each recording in turn; return the mean change of the score on those left out."""
    scores = {
        value: kept
        if value == product_value(name)
        else {one: score(group, rec, {name: value}) for one, rec in recordings.items()}
        for value in (factor * product_value(name) for factor in FACTORS)
    }
    changes = []
    for left_out in recordings:
        means = {value: fmean(gain for one, gain in row.items() if one != left_out) for value, row in scores.items()}
        best = max(means, key=means.__getitem__)
        choices[left_out][name] = best
        changes.append(scores[best][left_out] - kept[left_out])
    return fmean(changes)


if __name__ == "__main__":
    main()
