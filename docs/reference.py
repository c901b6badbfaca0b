"""Write the generated tables of the reference from the code: `python -m docs.reference`; `--check` only compares."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from orderflow import settings  # noqa: E402
from orderflow.market import records, topics  # noqa: E402
from orderflow.market.records import FieldType, ListOf, Struct  # noqa: E402

RECORDS_PAGE = ROOT / "docs" / "API_REFERENCE.md"
SETTINGS_PAGE = ROOT / "docs" / "SETTINGS.md"
EXAMPLE = ROOT / ".env.example"
TABLES = {
    topics.TICKS: records.TICK,
    topics.TRADES: records.TRADE,
    topics.ORDERFLOW: records.CANDLE,
    topics.FOOTPRINT: records.FOOTPRINT,
    topics.FEED_EVENTS: records.FEED_EVENT,
    topics.REJECTS: records.REJECT,
}
ELSEWHERE = {
    "COMPOSE_PROFILES": "text",
    "SPARK_DEFAULT_PARALLELISM": "1 or more",
    "SPARK_SQL_SHUFFLE_PARTITIONS": "1 or more",
}
"""Settings that orderflow/settings.py does not read: those of Docker Compose and of `deploy/env.sh`."""


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


class Recorder(settings.Reader):
    """Looks settings up in an empty environment, and notes in words what each may be."""

    def __init__(self) -> None:
        super().__init__({})
        self.values: dict[str, str] = {}

    def text(self, name: str, default: str) -> str:
        """Note text, unless the look-up is part of a narrower one."""
        self.values.setdefault(name, "text")
        return super().text(name, default)

    def path(self, name: str) -> Path | None:
        """Note a path."""
        self.values[name] = "path"
        return super().path(name)

    def names(self, name: str, default: str) -> tuple[str, ...]:
        """Note a list."""
        self.values[name] = "list"
        return super().names(name, default)

    def optional_names(self, name: str) -> tuple[str, ...]:
        """Note a list."""
        self.values[name] = "list"
        return super().optional_names(name)

    def networks(self, name: str) -> tuple[str, ...]:
        """Note a list of networks."""
        self.values[name] = "list of addresses, networks"
        return super().optional_names(name)

    def address(self, name: str) -> str | None:
        """Note an address."""
        self.values[name] = "URL"
        return super().address(name)

    def choice(self, name: str, default: str, valid: tuple[str, ...]) -> str:
        """Note the values to choose from."""
        self.values[name] = ", ".join(valid)
        return super().choice(name, default, valid)

    def choices(self, name: str, default: str, valid: tuple[int, ...]) -> tuple[int, ...]:
        """Note the values to choose from."""
        self.values[name] = "list of " + ", ".join(map(str, valid))
        return super().choices(name, default, valid)

    def integer(self, name: str, default: int, *, least: int, most: int | None = None) -> int:
        """Note the range."""
        self.values[name] = f"{least} or more" if most is None else f"{least} to {most}"
        return super().integer(name, default, least=least, most=most)

    def number(self, name: str, default: float, *, least: float) -> float:
        """Note the range."""
        self.values[name] = f"{least:g} or more, with decimals"
        return super().number(name, default, least=least)


def valid_values() -> dict[str, str]:
    """Return what each setting may be, in words, by name."""
    recorder = Recorder()
    settings.settings_of(recorder)
    return ELSEWHERE | recorder.values


class Group(NamedTuple):
    """Settings that share a comment in .env.example, as (name, default)."""

    section: str
    meaning: str
    settings: list[tuple[str, str]]


def groups(example: str) -> Iterator[Group]:
    """Yield the settings of .env.example in its order. Raises ValueError for a setting without a comment above its group."""
    section, words, assigned = "", list[str](), list[tuple[str, str]]()
    for line in [*example.splitlines(), ""]:
        setting = re.fullmatch(r"#?([A-Z][A-Z0-9_]+)=(.*)", line)
        if setting:
            if not words:
                raise ValueError(f".env.example says nothing about {setting[1]}")
            assigned.append((setting[1], setting[2]))
            continue
        if assigned:
            yield Group(section, " ".join(words), assigned)
            words, assigned = [], []
        if heading := re.fullmatch(r"# --- (.+?) -+", line):
            section, words = heading[1], []
        elif line.startswith("# "):
            words.append(line.removeprefix("# ").strip())


def settings_tables(example: str) -> str:
    """Return a Markdown table of settings for each section of .env.example; those that share a comment share a row."""
    values = valid_values()
    lines: list[str] = []
    section = ""
    for group in groups(example):
        if group.section != section:
            section = group.section
            lines += ["", f"## {section}", "| setting and default | values | meaning |", "|---|---|---|"]
        cells = (
            "<br>".join(f"`{name}={default}`" for name, default in group.settings),
            "<br>".join(values[name] for name, _ in group.settings),
            group.meaning,
        )
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines[1:])


def with_block(page: str, name: str, content: str) -> str:
    """Return the page with the block between `<!-- name -->` and `<!-- end -->` written anew."""
    page, blocks = re.subn(rf"(<!-- {name} -->\n).*?(<!-- end -->)", lambda m: f"{m[1]}{content}\n{m[2]}", page, flags=re.DOTALL)
    if blocks != 1:
        raise SystemExit(f"there is no block for {name}")
    return page


def rendered() -> dict[Path, str]:
    """Return the content of each page that has generated blocks."""
    page = RECORDS_PAGE.read_text(encoding="utf-8")
    for topic, fields in TABLES.items():
        page = with_block(page, f"record: {topic}", table(fields))
    tables = settings_tables(EXAMPLE.read_text(encoding="utf-8"))
    return {RECORDS_PAGE: page, SETTINGS_PAGE: with_block(SETTINGS_PAGE.read_text(encoding="utf-8"), "settings", tables)}


def main() -> int:
    """Rewrite the pages, or with `--check` return 1 and name those that are out of date."""
    outdated = {path: page for path, page in rendered().items() if page != path.read_text(encoding="utf-8")}
    if "--check" in sys.argv[1:]:
        for path in outdated:
            print(f"{path.relative_to(ROOT)} is out of date: run python -m docs.reference", file=sys.stderr)
        return int(bool(outdated))
    for path, page in outdated.items():
        path.write_text(page, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
