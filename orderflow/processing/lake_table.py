"""A table of the lake as storage sees it: its fields, what a valid record is, and what packs and writes its rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import pyarrow as pa
from pyspark.sql import Column

from orderflow.market.records import Field
from orderflow.processing import arrow_sound, schemas
from orderflow.processing.arrow_parse import Sound

Packing = Callable[[pa.Table, pa.Table | None], Sequence[Any]]
"""Packs rows, with arrow_parse's PARTITION and OFFSET, for a writer; messages set aside may come with them."""
BatchWriter = Callable[[Sequence[Any], int], None]
"""Stores what was packed of a batch, whose number it is given."""


class LakeTable(Protocol):
    """A table of the lake: its name is also that of its query and checkpoint."""

    @property
    def name(self) -> str:
        """Return the name."""
        ...

    @property
    def topic(self) -> str:
        """Return the topic that it stores."""
        ...

    @property
    def fields(self) -> tuple[Field, ...]:
        """Return the fields of a row."""
        ...


@dataclass(frozen=True, slots=True)
class Rules:
    """The checks of a table's records: `reason` (`schemas`) defines validity, `sound` (`arrow_sound`) finds certain cases."""

    sound: Sound
    reason: Column


def rules(table: LakeTable) -> Rules:
    """Return the rules of a table's records; a Spark session must be running."""
    by_name = {
        "ticks": (arrow_sound.sound_tick, schemas.tick_reason),
        "candles": (arrow_sound.sound_candle, schemas.candle_reason),
        "footprint": (arrow_sound.sound_level, schemas.footprint_reason),
    }
    sound, reason = by_name[table.name]
    return Rules(sound, reason())
