"""Write the generated tables of docs/API_REFERENCE.md from the code: `python docs/reference.py`; `--check` only compares."""

from __future__ import annotations

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from orderflow.market import records, topics  # noqa: E402
from orderflow.market.records import FieldType, ListOf, Struct  # noqa: E402

PAGE = ROOT / "docs" / "API_REFERENCE.md"
TABLES = {
    topics.TICKS: records.TICK,
    topics.TRADES: records.TRADE,
    topics.ORDERFLOW: records.CANDLE,
    topics.FOOTPRINT: records.FOOTPRINT,
    topics.FEED_EVENTS: records.FEED_EVENT,
    topics.REJECTS: records.REJECT,
}


def type_name(kind: FieldType) -> str:
    """Write a field's type the way Spark's DDL does, nested ones in braces."""
    if isinstance(kind, ListOf):
        return f"list of {type_name(kind.element)}"
    if isinstance(kind, Struct):
        return "{" + ", ".join(f"{field.name} {type_name(field.type)}" for field in kind.fields) + "}"
    return kind


def table(fields: tuple[records.Field, ...]) -> str:
    """Return a Markdown table of a record's fields; `•` marks those that are never null."""
    rows = [_row(field) for field in fields]
    return "\n".join(["| field | type | always | meaning |", "|---|---|---|---|", *rows])


def _row(field: records.Field) -> str:
    meaning = field.meaning.replace("|", "/")
    return f"| {field.name} | {type_name(field.type)} | {'•' if field.required else ''} | {meaning} |"


def rendered(page: str) -> str:
    """Return the page with every block between `<!-- record: TOPIC -->` and `<!-- end -->` written anew."""
    for topic, fields in TABLES.items():
        pattern = rf"(<!-- record: {topic} -->\n).*?(<!-- end -->)"
        page, blocks = re.subn(pattern, lambda m, f=fields: f"{m[1]}{table(f)}\n{m[2]}", page, flags=re.DOTALL)
        if blocks != 1:
            raise SystemExit(f"{PAGE.name} has no block for {topic}")
    return page


def main() -> int:
    """Rewrite the page, or with `--check` return 1 when it is out of date."""
    page = PAGE.read_text()
    wanted = rendered(page)
    if "--check" in sys.argv[1:]:
        return int(page != wanted)
    PAGE.write_text(wanted)
    return 0


if __name__ == "__main__":
    sys.exit(main())
