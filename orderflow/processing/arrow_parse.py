"""Parses Kafka messages into Arrow columns, many at once, and sets aside every message that is not certainly a valid record.

Runs inside Spark's Python workers (decision 14). `schemas.parse` and its reasons remain the definition of a valid record: they
check the messages that are set aside here. A predicate here may be stricter than its reason there, never less strict.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import reduce
from typing import Final, TypeAlias

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json as pj

from orderflow.market.records import Field, FieldType, ListOf, Struct

Sound: TypeAlias = "Callable[[pa.Table], pa.ChunkedArray]"
"""For each row of (the record's columns, `_key`, `_sent_ms`): whether it is certainly valid; null counts as valid."""

KEY: Final = "_key"
SENT_MS: Final = "_sent_ms"
PARTITION: Final = "_partition"
OFFSET: Final = "_offset"

_ARROW: Final = {"string": pa.string(), "long": pa.int64(), "int": pa.int32(), "double": pa.float64(), "boolean": pa.bool_()}
_LEAST_CHUNK: Final = 4


def arrow_type(kind: FieldType) -> pa.DataType:
    """Return the Arrow type of a record's field type."""
    if isinstance(kind, Struct):
        return pa.struct([(field.name, arrow_type(field.type)) for field in kind.fields])
    return pa.list_(pa.field("element", arrow_type(kind.element))) if isinstance(kind, ListOf) else _ARROW[kind]


def parse(messages: pa.Table, fields: tuple[Field, ...], sound: Sound) -> tuple[pa.Table, pa.Table]:
    """Split Kafka messages into valid records and messages that remain to be checked.

    `messages` has the columns of Spark's Kafka source. The records have the columns of `fields` and, behind them, KEY, SENT_MS,
    PARTITION and OFFSET; the messages that remain have the columns they came with.
    """
    numbers, parsed = _rows(messages.column("value").to_pylist(), fields)
    kept = messages.take(pa.array(numbers, pa.int64()))
    for name, column in (
        (KEY, pc.cast(pc.fill_null(kept.column("key"), b""), pa.large_binary())),
        (SENT_MS, pc.cast(pc.cast(kept.column("timestamp"), pa.timestamp("ms", "UTC"), safe=False), pa.int64())),
        (PARTITION, kept.column("partition")),
        (OFFSET, kept.column("offset")),
    ):
        parsed = parsed.append_column(name, column)
    required = [pc.is_valid(parsed.column(field.name)) for field in fields if field.required]
    certain = reduce(pc.and_kleene, [*required, pc.fill_null(sound(parsed), True)])
    taken = set(pc.filter(pa.chunked_array([pa.array(numbers, pa.int64())]), certain).to_pylist())
    left = [number for number in range(messages.num_rows) if number not in taken]
    return parsed.filter(certain), messages.take(pa.array(left, pa.int64()))


def _rows(values: Sequence[bytes | None], fields: tuple[Field, ...]) -> tuple[list[int], pa.Table]:
    """Return the indexes of the messages that can be parsed, and their columns in that order."""
    record = pa.struct([(field.name, arrow_type(field.type)) for field in fields])
    schema = pa.schema([("number", pa.int32()), ("record", record)])
    # One message per line. A message with a line end, or with non-ASCII text, which the parser does not validate, is
    # set aside.
    plain = [n for n, value in enumerate(values) if value and b"\n" not in value and value.isascii()]
    numbers: list[int] = []
    tables: list[pa.Table] = []
    for part, parsed in _parsed(values, plain, schema):
        numbers += part
        tables.append(parsed)
    whole = pa.concat_tables(tables) if tables else schema.empty_table()
    # A message `null` is parsed to a record of nulls, which lacks the required fields.
    flat = whole.select(["record"]).flatten()
    return numbers, flat.rename_columns([field.name for field in fields])


def _parsed(values: Sequence[bytes | None], numbers: list[int], schema: pa.Schema) -> Iterable[tuple[list[int], pa.Table]]:
    """Yield indexes and rows; a part that cannot be parsed is halved again and again, and the rest of a small part left out."""
    if not numbers:
        return
    # Numbered, so that a message with two records, or with none, cannot shift the records of its neighbours.
    lines = b"\n".join(b'{"number":%d,"record":%b}' % (number, values[number] or b"") for number in numbers)
    try:
        table = pj.read_json(
            pa.BufferReader(lines),
            read_options=pj.ReadOptions(use_threads=False, block_size=len(lines) + 1),
            parse_options=pj.ParseOptions(explicit_schema=schema, unexpected_field_behavior="ignore"),
        )
        if table.column("number").to_pylist() == numbers:
            yield numbers, table
            return
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        pass
    if len(numbers) > _LEAST_CHUNK:
        half = len(numbers) // 2
        yield from _parsed(values, numbers[:half], schema)
        yield from _parsed(values, numbers[half:], schema)
