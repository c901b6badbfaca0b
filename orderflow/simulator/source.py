"""What the simulated server asks of a source of market data: a market model, a recording or a test."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

MODES: Final = ("ltpc", "full", "option_greeks", "full_d30")

TradeSink = Callable[[str, int, float, int, str, int], None]
"""Called with instrument_key, time_ms, price, quantity, side, cumulative volume after the trade."""

Candle = tuple[int, float, float, float, float, int]
"""Start in epoch milliseconds, open, high, low, close, volume."""


@dataclass(frozen=True, slots=True)
class Message:
    """One message of the feed: the instruments it updates, or an announcement.

    `whole` is the complete message as recorded, sent unchanged to a subscriber of all of `keys`.
    """

    feed_time_ms: int
    keys: tuple[str, ...] = ()
    whole: bytes | None = None
    announcement: bytes | None = None


class Source(Protocol):
    """A market in feed time: the server decides when the next message is due on the wall clock."""

    keys: tuple[str, ...]
    waits_for_subscriber: bool
    lossless: bool
    speed: float

    def start(self, wall_ms: int) -> None:
        """Fix how feed time relates to the wall clock; called once, when the feed begins to run."""

    def due_ms(self) -> int | None:
        """Return the feed time of the next message, or None when there is no more."""

    def next(self) -> Message:
        """Advance to the next message."""

    def market_info(self) -> bytes:
        """Return the current `market_info` message."""

    def greeting(self) -> Sequence[bytes]:
        """Return the `market_info` messages for a new connection."""

    def entry(self, key: str, mode: str) -> bytes | None:
        """Return the instrument's current state as a serialized `feeds` entry, None while nothing is known."""

    def now_ms(self) -> int:
        """Return the current feed time."""

    def instrument_master(self) -> list[dict[str, object]]:
        """Return rows of the instrument master."""

    def minute_candles(self, key: str, from_ms: int, to_ms: int) -> Sequence[Candle]:
        """Return completed one-minute candles that start in [from_ms, to_ms), oldest first."""

    def segment_status(self, segment: str) -> str:
        """Return the segment's current status, for example NORMAL_OPEN."""
