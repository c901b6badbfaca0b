"""Derive the description of a record, from which Spark, Arrow and the reference page are made, from its typed struct.

A record is a `msgspec.Struct` whose annotations carry the meaning of each field:

    vtt: Annotated[int | None, meaning("volume traded today, cumulative")] = None
"""

from __future__ import annotations

import types
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal, TypeAlias, Union, get_args, get_origin, get_type_hints

import msgspec

Scalar = Literal["string", "long", "int", "double", "boolean"]


@dataclass(frozen=True, slots=True)
class Struct:
    """A nested record."""

    fields: tuple[Field, ...]


@dataclass(frozen=True, slots=True)
class ListOf:
    """An array of `element`."""

    element: FieldType


FieldType: TypeAlias = "Scalar | Struct | ListOf"


@dataclass(frozen=True, slots=True)
class Field:
    """One field: its name, type, and what it means to the person who reads it. Every field may be null unless `required`."""

    name: str
    type: FieldType
    meaning: str
    required: bool = False


_SCALARS: Final[dict[type, Scalar]] = {str: "string", int: "long", float: "double", bool: "boolean"}


def meaning(text: str, *, required: bool = False, scalar: Scalar | None = None, name: str | None = None) -> msgspec.Meta:
    """Describe a field of a struct.

    `required`: published records always have it, although it has a default in Python; a field without a
    default that cannot be None always is.
    `scalar` and `name` say how it is published where that differs from the Python type and name.
    """
    return msgspec.Meta(description=text, extra={"required": required, "scalar": scalar, "name": name})


def fields_of(struct: type[msgspec.Struct]) -> tuple[Field, ...]:
    """Return the fields of a struct in order. Raises TypeError on an annotation that is not a field of a record."""
    hints = get_type_hints(struct, include_extras=True)
    return tuple(_field(field, hints[field.name]) for field in msgspec.structs.fields(struct))


def names(fields: Iterable[Field]) -> tuple[str, ...]:
    """Return the field names in order."""
    return tuple(field.name for field in fields)


def _field(field: msgspec.structs.FieldInfo, hint: Any) -> Field:
    if get_origin(hint) is not Annotated:
        raise TypeError(f"{field.name} has no meaning")
    kind, meta = get_args(hint)[:2]
    published = meta.extra
    required = published["required"] or (field.required and type(None) not in get_args(kind))
    return Field(published["name"] or field.name, published["scalar"] or _type(kind), meta.description, required)


def _type(kind: Any) -> FieldType:
    if get_origin(kind) in (Union, types.UnionType):
        (kind,) = (each for each in get_args(kind) if each is not type(None))
    if get_origin(kind) is tuple:
        return ListOf(_type(get_args(kind)[0]))
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return Struct(fields_of(kind))
    return _SCALARS[kind]
