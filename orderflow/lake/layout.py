"""Where the lake's files are, what they are called and which columns they have; pure, derived from market.records.

/trading/ticks/date=2025-12-15/upstox_ticks-1f2e3d4c-p0_100-250-p1_90-240.parquet   one storage batch
/trading/ticks/date=2025-12-15/upstox_ticks-1f2e3d4c-x0123456789abcdef.parquet      one whose offsets are too many for a name …
/trading/ticks/date=2025-12-15/_offsets-0123456789abcdef.json                       … and these offsets
/trading/ticks/date=2025-12-15/compact-5b7c9a01-00000.parquet                       compacted batches
/trading/ticks/date=2025-12-15/_covered.json                                        offsets the compacted files hold
/trading/_staging/…                                                                 being written; no reader looks here
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import pyarrow as pa

from orderflow.market import records, topics
from orderflow.market.errors import OrderflowError
from orderflow.market.records import Field, FieldType, ListOf, Struct

ROOT: Final = "/trading"
COVERED: Final = "_covered.json"
# Files of offsets beside the batch files that name them.
OFFSETS: Final = "_offsets-"
# HDFS allows 255 bytes in a name.
_RANGES_IN_NAME: Final = 5

_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_BATCH_FILE = re.compile(r"(?P<topic>[\w.]+)-(?P<topic_id>[0-9a-f]{8})(?P<ranges>(-p\d+_\d+-\d+)+)\.parquet")
_RANGE = re.compile(r"-p(\d+)_(\d+)-(\d+)")
_LISTED = re.compile(r"[\w.]+-[0-9a-f]{8}-x(?P<digest>[0-9a-f]{16})\.parquet")
_SPARK_TYPES: Final = {"string": "STRING", "long": "BIGINT", "int": "INT", "double": "DOUBLE", "boolean": "BOOLEAN"}
_ARROW_TYPES: Final = {
    "string": pa.string(),
    "long": pa.int64(),
    "int": pa.int32(),
    "double": pa.float64(),
    "boolean": pa.bool_(),
}


class LakeError(OrderflowError):
    """A request does not fit the stored files; the message names the directory."""


@dataclass(frozen=True, slots=True)
class Table:
    """One kind of stored record.

    `date_column` starts with the trading date, YYYY-MM-DD. A row is identified by its `identity`. Within one `series`
    new rows arrive with a rising `order`, so a row whose order is not greater than the greatest stored one may be a
    duplicate.
    """

    name: str
    topic: str
    fields: tuple[Field, ...]
    date_column: str
    series: tuple[str, ...]
    order: str
    identity: tuple[str, ...]
    sorting: tuple[str, ...]

    @property
    def directory(self) -> str:
        """Return the table's directory inside the file system."""
        return f"{ROOT}/{self.name}"

    def day(self, date: str) -> str:
        """Return the directory of one trading date."""
        return f"{self.directory}/date={date}"


# A tick's sequence restarts at 1 if the streamer's state was lost; the feed's time distinguishes such a tick from a
# duplicate.
TICKS: Final = Table(
    name="ticks",
    topic=topics.TICKS,
    fields=records.TICK,
    date_column="trading_date",
    series=("instrument_key",),
    order="sequence",
    identity=("instrument_key", "sequence", "feed_time_ms"),
    sorting=("instrument_key", "event_time_ms", "sequence"),
)
CANDLES: Final = Table(
    name="candles",
    topic=topics.ORDERFLOW,
    fields=records.CANDLE,
    date_column="window_start",
    series=("instrument", "window_minutes"),
    order="window_start",
    identity=("instrument", "window_start", "window_minutes"),
    sorting=("instrument", "window_minutes", "window_start"),
)
# A window's price levels may arrive in two batches: the price belongs to the identity.
FOOTPRINT: Final = Table(
    name="footprint",
    topic=topics.FOOTPRINT,
    fields=records.FOOTPRINT,
    date_column="window_start",
    series=("instrument",),
    order="window_start",
    identity=("instrument", "window_start", "price"),
    sorting=("instrument", "window_start", "price"),
)
TABLES: Final = {table.name: table for table in (TICKS, CANDLES, FOOTPRINT)}

Ranges = dict[str, tuple[tuple[int, int], ...]]
"""Offsets, both ends included, by source: `<topic>-<topic id>-p<partition>`."""


def arrow_schema(fields: tuple[Field, ...]) -> pa.Schema:
    """Return the Arrow schema of stored records; every column may be null, as Spark writes them."""
    return pa.schema([(field.name, _arrow(field.type)) for field in fields])


def spark_schema(fields: tuple[Field, ...]) -> str:
    """Return the same columns as a Spark DDL string."""
    return ", ".join(f"`{field.name}` {_ddl(field.type)}" for field in fields)


def is_date(text: str) -> bool:
    """Return whether `text` is a partition's date, YYYY-MM-DD."""
    return _DATE.fullmatch(text) is not None


def ranges(topic: str, topic_id: str, runs: Mapping[int, tuple[tuple[int, int], ...]]) -> Ranges:
    """Return offsets by source, from runs by Kafka partition.

    `topic_id` is eight hex digits of Kafka's topic id: offsets start again when a topic is created again.
    """
    return {f"{topic}-{topic_id}-p{partition}": tuple(pairs) for partition, pairs in sorted(runs.items())}


def batch_file(topic: str, topic_id: str, runs: Mapping[int, tuple[tuple[int, int], ...]]) -> str:
    """Return the name of the file of a batch that covers offsets, as runs by Kafka partition.

    The same offsets of the same topic give the same name, whatever checkpoint or attempt wrote them.
    """
    if len(runs) <= _RANGES_IN_NAME and all(len(pairs) == 1 for pairs in runs.values()):
        return (
            f"{topic}-{topic_id}"
            + "".join(f"-p{p}_{pairs[0][0]}-{pairs[0][1]}" for p, pairs in sorted(runs.items()))
            + ".parquet"
        )
    text = covered_to_json(ranges(topic, topic_id, runs))
    return f"{topic}-{topic_id}-x{hashlib.sha256(text.encode()).hexdigest()[:16]}.parquet"


def is_batch(file_name: str) -> bool:
    """Return whether a file was written by one storage batch."""
    return bool(_BATCH_FILE.fullmatch(file_name) or _LISTED.fullmatch(file_name))


def offsets_file(file_name: str) -> str | None:
    """Return the name of the file beside a batch file that lists its offsets; None when its own name does."""
    match = _LISTED.fullmatch(file_name)
    return None if match is None else f"{OFFSETS}{match['digest']}.json"


def offsets_of(file_name: str) -> Ranges:
    """Return the offset ranges that a batch's file name declares; empty when it has them listed, and for any other file."""
    match = _BATCH_FILE.fullmatch(file_name)
    if match is None:
        return {}
    source = f"{match['topic']}-{match['topic_id']}"
    return {f"{source}-p{p}": ((int(first), int(last)),) for p, first, last in _RANGE.findall(match["ranges"])}


def union(*covered: Ranges) -> Ranges:
    """Merge ranges by source: sort them and join overlapping and adjacent ones; holes are kept."""
    by_source: dict[str, list[tuple[int, int]]] = {}
    for ranges in covered:
        for source, pairs in ranges.items():
            by_source.setdefault(source, []).extend(pairs)
    return {source: tuple(_joined(pairs)) for source, pairs in sorted(by_source.items())}


def covered_to_json(ranges: Ranges) -> str:
    """Return the text of a `_covered.json`."""
    return json.dumps({"covered": ranges})


def covered_from_json(text: str, name: str = COVERED) -> Ranges:
    """Read what `covered_to_json` wrote; raise LakeError, with the file's name, if it is anything else."""
    try:
        return {str(source): tuple((int(a), int(b)) for a, b in pairs) for source, pairs in json.loads(text)["covered"].items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise LakeError(
            f"{name} is not readable ({error}); restore it, or delete it: what storage repeats is then found by its rows alone"
        ) from error


def _joined(pairs: list[tuple[int, int]]) -> list[tuple[int, int]]:
    joined: list[tuple[int, int]] = []
    for first, last in sorted(pairs):
        if joined and first <= joined[-1][1] + 1:
            joined[-1] = (joined[-1][0], max(joined[-1][1], last))
        else:
            joined.append((first, last))
    return joined


def _arrow(kind: FieldType) -> pa.DataType:
    if isinstance(kind, Struct):
        return pa.struct([(field.name, _arrow(field.type)) for field in kind.fields])
    return pa.list_(pa.field("element", _arrow(kind.element))) if isinstance(kind, ListOf) else _ARROW_TYPES[kind]


def _ddl(kind: FieldType) -> str:
    if isinstance(kind, Struct):
        return f"STRUCT<{', '.join(f'`{field.name}`: {_ddl(field.type)}' for field in kind.fields)}>"
    return f"ARRAY<{_ddl(kind.element)}>" if isinstance(kind, ListOf) else _SPARK_TYPES[kind]
