"""How a stored trading date was closed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class ClosedDay(NamedTuple):
    """When the close ended, in epoch milliseconds, whether all is sound, and how many rows it corrected, by table."""

    at_ms: int
    sound: bool
    corrected: Mapping[str, int]
