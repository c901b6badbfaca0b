"""Write the types of the dashboard's messages for its page from those of the server: `python -m docs.page_types`."""

from __future__ import annotations

import inspect
import sys
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, NotRequired, Union, get_args, get_origin, get_type_hints, is_typeddict

import msgspec

from orderflow.dashboard.state import messages

TARGET = Path(messages.__file__).parents[1] / "page" / "messages.d.ts"
HEAD = "/* Written from orderflow/dashboard/state/messages.py by `python -m docs.page_types`; not to be edited. */\n"
ALIASES = {
    messages.Level: "Level",
    messages.Trade: "Trade",
    messages.AlertKind: "AlertKind",
    messages.ServerMessage: "ServerMessage",
    messages.ViewerMessage: "ViewerMessage",
}
PLAIN = {str: "string", int: "number", float: "number", bool: "boolean", NoneType: "null"}


def type_name(kind: Any, *, expand: bool = False) -> str:
    """Write a Python type as TypeScript does; the aliases by their names, unless `expand` is set."""
    if not expand and kind in ALIASES:
        return ALIASES[kind]
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is list:
        inner = type_name(arguments[0])
        return f"({inner})[]" if " | " in inner else f"{inner}[]"
    if origin is tuple:
        return f"[{', '.join(type_name(argument) for argument in arguments)}]"
    if origin is dict:
        return f"Record<string, {type_name(arguments[1])}>"
    if origin is Literal:
        return " | ".join(f'"{argument}"' for argument in arguments)
    if origin in (Union, UnionType):
        return " | ".join(dict.fromkeys(type_name(argument) for argument in arguments))
    return PLAIN[kind] if kind in PLAIN else str(kind.__name__)


def members(message: Any) -> dict[str, tuple[str, bool]]:
    """Return the type of each field of a message, and whether the field may be absent."""
    fields = get_type_hints(message, include_extras=True)
    if is_typeddict(message):
        return {name: (type_name(_plain(kind)), _may_lack(message, name, kind)) for name, kind in fields.items()}
    config = message.__struct_config__
    optional = {field.name: not field.required for field in msgspec.structs.fields(message)}
    own = {name: (type_name(_plain(kind)), optional[name]) for name, kind in fields.items()}
    return {config.tag_field: (f'"{config.tag}"', False), **own}


def _may_lack(message: Any, name: str, kind: Any) -> bool:
    """Return whether a dictionary may lack a field; `__required_keys__` misses NotRequired in postponed annotations."""
    return get_origin(kind) is NotRequired or name not in message.__required_keys__


def _plain(kind: Any) -> Any:
    """Return a field's type without qualifiers; for one that the server decodes later, the type that the page sends."""
    if get_origin(kind) is NotRequired:
        return get_args(kind)[0]
    if get_origin(kind) is Annotated:
        return get_args(kind)[1].extra["page"]
    return kind


def interface(message: Any) -> str:
    """Return a message as an interface; what it may lack is marked with a question mark."""
    lines = [f"  {name}{'?' if absent else ''}: {kind};" for name, (kind, absent) in members(message).items()]
    return "\n".join([f"export interface {message.__name__} {{", *lines, "}\n"])


def is_message(member: Any) -> bool:
    """Return whether a member of the module is a type of a message, or of a part of one."""
    return is_typeddict(member) or (isinstance(member, type) and issubclass(member, msgspec.Struct))


def rendered() -> str:
    """Return the file."""
    message_types = [member for _, member in inspect.getmembers(messages, is_message)]
    aliases = [f"export type {name} = {type_name(kind, expand=True)};\n" for kind, name in ALIASES.items()]
    return "\n".join([HEAD, *aliases, *map(interface, message_types)])


def main() -> int:
    """Write the file."""
    TARGET.write_text(rendered())
    return 0


if __name__ == "__main__":
    sys.exit(main())
