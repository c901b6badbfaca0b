"""Writes and reads the phases of a day as people do: `09:15 continuous 15:30`."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from orderflow.market.phases import Span
from orderflow.market.times import IST

TCS = "NSE_EQ|INE467B01029"


def ist(text: str) -> int:
    """Return epoch milliseconds of an ISO time in IST."""
    return int(datetime.fromisoformat(text).replace(tzinfo=IST).timestamp() * 1000)


def clock(at_ms: int) -> str:
    """Return hours and minutes in IST, with seconds only where there are any."""
    text = datetime.fromtimestamp(at_ms / 1000, IST).strftime("%H:%M:%S")
    return text.removesuffix(":00")


def shown(spans: Iterable[Span]) -> list[str]:
    """Return each span as `from phase to`, with `#n` for sessions after the first."""
    return [
        f"{clock(span.start_ms)} {span.phase} {clock(span.end_ms)}" + (f" #{span.session}" if span.session > 1 else "")
        for span in spans
    ]
