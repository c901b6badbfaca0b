"""Checks that a decoded JSON record has the names and types that `records` defines, and possible numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

from orderflow.market.records import Field, FieldType, ListOf, Struct

MOST: Final = 10**15
LATEST_MS: Final = 4_102_444_800_000
MOST_VOLUME: Final = 10**12
MOST_PRICE: Final = 1e9


def problem(fields: tuple[Field, ...], record: Mapping[str, Any], *, exact: bool = False) -> str | None:
    """Return in words which value is impossible, or None.

    Absent fields, and fields that are not in `fields`, are left to the record's reader; with `exact` neither is
    allowed, at any depth.
    """
    if exact:
        known = {field.name for field in fields}
        for name in sorted(known ^ record.keys()):
            return f"{name} is missing" if name in known else f"{name[:40]!r} is unknown"
    for field in fields:
        value = record.get(field.name)
        if value is None:
            if field.required and field.name in record:
                return f"{field.name} is null"
        elif not _fits(field.type, field.name, value, exact):
            return f"{field.name} is {str(value)[:40]!r}"
    return None


def is_sound(fields: tuple[Field, ...], record: Any) -> bool:
    """Say whether a decoded JSON value is a record of these fields: required ones present, no value impossible."""
    if not isinstance(record, dict) or any(record.get(field.name) is None for field in fields if field.required):
        return False
    return problem(fields, record) is None


def _fits(kind: FieldType, name: str, value: Any, exact: bool) -> bool:
    if kind == "string":
        return isinstance(value, str)
    if kind == "double":
        return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value) and abs(value) < MOST
    if kind in ("long", "int"):
        if not isinstance(value, int) or isinstance(value, bool):
            return False
        return 0 <= value <= LATEST_MS if name.endswith("_ms") else -MOST < value < MOST
    if kind == "boolean":
        return isinstance(value, bool)
    if isinstance(kind, ListOf):
        return isinstance(value, list) and all(item is not None and _fits(kind.element, name, item, exact) for item in value)
    return isinstance(kind, Struct) and isinstance(value, dict) and problem(kind.fields, value, exact=exact) is None
