"""Reads `sessions.toml`: special days, MCX's holidays and the commodities with shorter hours."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Final, Literal

from orderflow.market.timetable import Hours, Plan

Kind = Literal["phases", "ordinary", "morning", "evening", "closed", "unknown"]
SOURCE: Final = "sessions.toml"


@dataclass(frozen=True, slots=True)
class Special:
    """The file's entry for one date and segment; `plan` is given for the kind `phases` only."""

    kind: Kind
    why: str
    plan: Plan = ()


@dataclass(frozen=True, slots=True)
class SpecialDays:
    """The file's content. `days` is by (date, segment); of `mcx_years`, all of MCX's holidays are listed."""

    days: Mapping[tuple[str, str], Special]
    fixed_holidays: frozenset[str] = frozenset()
    mcx_years: frozenset[str] = frozenset()
    international: frozenset[str] = frozenset()
    agricultural: frozenset[str] = frozenset()
    cross_pairs: frozenset[str] = frozenset()

    def of(self, segment: str, trading_date: str) -> Special | None:
        """Return the file's entry for a date, or None."""
        return self.days.get((trading_date, segment))


@cache
def special_days() -> SpecialDays:
    """Return the content of the file. Raises KeyError, TypeError or ValueError when it is not well formed."""
    content = tomllib.loads(files(__package__).joinpath(SOURCE).read_text(encoding="utf-8"))
    days: dict[tuple[str, str], Special] = {}
    for lists in content["mcx"].values():
        for kind, why in (
            ("morning", "MCX holiday: morning session only"),
            ("evening", "MCX holiday: evening session only"),
            ("closed", "MCX holiday"),
            ("disputed", "MCX holiday in one of two lists"),
        ):
            for day in lists[kind]:
                special = Special("unknown" if kind == "disputed" else kind, why)  # type: ignore[arg-type]
                days.update({(day, segment): special for segment in ("MCX_FO", "MCX_INDEX")})
    for entry in content["special"]:
        special = Special(_kind(entry), entry["why"], tuple(_hours(phase) for phase in entry.get("phases", ())))
        days.update({(entry["date"], segment): special for segment in entry["segments"]})
    return SpecialDays(
        days,
        frozenset(content["fixed_holidays"]),
        frozenset(content["mcx"]),
        frozenset(content["commodities"]["international"]),
        frozenset(content["commodities"]["agricultural"]),
        frozenset(content["cross_currency"]["pairs"]),
    )


def _kind(entry: Mapping[str, Any]) -> Kind:
    kinds: tuple[Kind, ...] = ("phases", "ordinary", "evening", "closed", "unknown")
    named = [kind for kind in kinds if entry.get(kind)]
    if len(named) != 1:
        raise ValueError(f"{SOURCE}: {entry['date']} must be one of {', '.join(kinds)}")
    return named[0]


def _hours(phase: list[Any]) -> Hours:
    name, start, end, *session = phase
    return Hours(name, _minutes(start), _minutes(end), *session)


def _minutes(clock: str) -> int:
    hours, minutes = clock.split(":")
    return int(hours) * 60 + int(minutes)
