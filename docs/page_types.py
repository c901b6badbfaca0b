"""Write the types of the dashboard's messages for its page from those of the server: `python -m docs.page_types`."""

from __future__ import annotations

import inspect
import sys
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, NotRequired, Union, get_args, get_origin, get_type_hints, is_typeddict

from orderflow.dashboard.state import messages

TARGET = Path(messages.__file__).parents[1] / "page" / "messages.d.ts"
HEAD = "/* Written from orderflow/dashboard/state/messages.py by `python -m docs.page_types`; not to be edited. */\n"
ALIASES = {messages.Level: "Level", messages.Trade: "Trade", messages.ServerMessage: "ServerMessage"}
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


def interface(message: Any) -> str:
    """Return a message as an interface; what it may lack is marked with a question mark."""
    fields = get_type_hints(message, include_extras=True)
    lines = []
    for name, kind in fields.items():
        absent = name not in message.__required_keys__
        held = get_args(kind)[0] if get_origin(kind) is NotRequired else kind
        lines.append(f"  {name}{'?' if absent else ''}: {type_name(held)};")
    return "\n".join([f"export interface {message.__name__} {{", *lines, "}\n"])


def rendered() -> str:
    """Return the file."""
    message_types = [member for _, member in inspect.getmembers(messages, is_typeddict)]
    aliases = [f"export type {name} = {type_name(kind, expand=True)};\n" for kind, name in ALIASES.items()]
    return "\n".join([HEAD, *aliases, *map(interface, message_types)])


def main() -> int:
    """Write the file."""
    TARGET.write_text(rendered())
    return 0


if __name__ == "__main__":
    sys.exit(main())
