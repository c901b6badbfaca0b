"""Finds the Kafka offsets that a date's directory holds: those declared by file names, lists and compacted files.

A batch that is stored again, after a failure or with another checkpoint, has offsets that the directory holds already:

    file                                            declares, of upstox_ticks-0a1b2c3d-p0
    upstox_ticks-0a1b2c3d-p0_100-149.parquet        100–149                   in its name
    upstox_ticks-0a1b2c3d-x5f….parquet              150–159, 163–170          in _offsets-5f….json beside it
    compact-….parquet                               0–99                      in _covered.json, which outlives the batch files
    a batch with 140–180                            stores 160–162 and 171–180

Rows that were rejected leave holes, so that they can be stored later at their own offsets (`orderflow/rejects.py`).
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable

from orderflow.lake.hadoop import HadoopFiles
from orderflow.lake.layout import COVERED, LakeError, Ranges, covered_from_json, offsets_file, offsets_of, union


def covered_by(files: HadoopFiles, directory: str, names: Iterable[str]) -> Ranges:
    """Return the offsets that files of a directory hold; with COVERED among `names`, those of its compacted files too.

    Raises LakeError, which names the file, when one that lists offsets is not readable.
    """
    lists = {COVERED if name == COVERED else offsets_file(name) for name in names}
    return union(*map(offsets_of, names), *(_read(files, directory, name) for name in sorted(filter(None, lists))))


def lists_of(names: Iterable[str]) -> set[str]:
    """Return the names of the files that list the offsets of batch files."""
    return set(filter(None, map(offsets_file, names)))


def common(ranges: Ranges, others: Ranges) -> Ranges:
    """Return those pairs of `others` that share an offset with `ranges`; both are sorted and have no overlaps."""
    shared = {}
    for source, pairs in ranges.items():
        known = others.get(source, ())
        lasts = [last for _, last in known]
        hit = {}
        for first, last in pairs:
            number = bisect_left(lasts, first)
            while number < len(known) and known[number][0] <= last:
                hit[number] = known[number]
                number += 1
        if hit:
            shared[source] = tuple(hit[number] for number in sorted(hit))
    return shared


def _read(files: HadoopFiles, directory: str, name: str) -> Ranges:
    text = files.read_text(f"{directory}/{name}")
    if text is None:
        # A compaction may have removed a list together with its file; without a list, no offsets are covered.
        return {}
    try:
        return covered_from_json(text, name)
    except LakeError as error:
        raise LakeError(f"{directory}/{error}") from error
