"""The last trades of an instrument, and which have been seen: held packed, because every instrument has them all day."""

from __future__ import annotations

import marshal
import zlib
from array import array
from bisect import bisect_left
from collections import deque
from collections.abc import Iterable, Iterator
from itertools import islice
from operator import attrgetter
from typing import Final

from orderflow.market.trade import Trade

TAPE_LENGTH: Final = 400
REMEMBERED_TRADES: Final = 2_000
_BIG_SAMPLE: Final = 400
_BIG_REFRESH: Final = 20
_CHUNK: Final = 256
_NAMES: Final = tuple(name for name in Trade.__struct_fields__ if name != "instrument_key")
_values = attrgetter(*_NAMES)

Entry = tuple[int, Trade, bool]
"""A trade's number on its day from 1, the trade, and whether it is a big one."""


def _trade(key: str, values: tuple[object, ...]) -> Trade:
    return Trade(instrument_key=key, **dict(zip(_NAMES, values, strict=True)))  # type: ignore[arg-type]


class Tape:
    """The newest trades of one instrument; `count` is how many there have been."""

    def __init__(self, key: str) -> None:
        self._key = key
        self._packed: deque[bytes] = deque(maxlen=TAPE_LENGTH)
        self._sizes = array("q", bytes(8 * _BIG_SAMPLE))
        self._big = 0
        self._last: Entry | None = None
        self.count = 0

    def __len__(self) -> int:
        """Return how many are held."""
        return len(self._packed)

    def add(self, trade: Trade) -> None:
        """Append a trade: it is big when it is among the largest 2.5 % of the last, and twice their median."""
        self._sizes[self.count % _BIG_SAMPLE] = trade.volume
        self.count += 1
        if self.count % _BIG_REFRESH == 0 and self.count >= 2 * _BIG_REFRESH:
            ordered = sorted(self._sizes[: self.count])
            self._big = max(ordered[len(ordered) * 39 // 40], 2 * ordered[len(ordered) // 2])
        big = self._big > 0 and trade.volume >= self._big
        self._packed.append(marshal.dumps((big, *_values(trade))))
        self._last = self.count, trade, big

    def newest(self, after: int = 0, limit: int = TAPE_LENGTH) -> list[Entry]:
        """Return the trades numbered above `after`, at most `limit`, newest first."""
        wanted = min(self.count - after, limit, len(self._packed))
        return [
            self._entry(self.count - back, packed) for back, packed in enumerate(islice(reversed(self._packed), max(wanted, 0)))
        ]

    def _entry(self, number: int, packed: bytes) -> Entry:
        if self._last is not None and number == self.count:
            return self._last
        big, *values = marshal.loads(packed)
        return number, _trade(self._key, tuple(values)), big


class SeenTrades:
    """Which cumulative volumes have been seen: the greatest few thousand; what is below them counts as seen."""

    def __init__(self) -> None:
        self._known = array("q")
        self._floor = -1

    def first_time(self, cumulative: int) -> bool:
        """Remember a cumulative volume; return whether it is new."""
        known = self._known
        if cumulative <= self._floor:
            return False
        at = len(known) if not known or cumulative > known[-1] else bisect_left(known, cumulative)
        if at < len(known) and known[at] == cumulative:
            return False
        known.insert(at, cumulative)
        if len(known) >= 2 * REMEMBERED_TRADES:
            self._floor = known[-REMEMBERED_TRADES - 1]
            self._known = known[-REMEMBERED_TRADES:]
        return True


class PackedTrades:
    """All trades of one instrument's day, in order; `times` are their event times."""

    def __init__(self, key: str, trades: Iterable[Trade]) -> None:
        self._key = key
        self._chunks: list[bytes] = []
        self.times = array("q")
        source = iter(trades)
        while chunk := list(islice(source, _CHUNK)):
            self.times.extend(trade.event_time_ms for trade in chunk)
            self._chunks.append(zlib.compress(marshal.dumps([_values(trade) for trade in chunk]), 1))

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self.times)

    def __iter__(self) -> Iterator[Trade]:
        """Yield them all."""
        return self.between(0, len(self))

    def between(self, start: int, end: int) -> Iterator[Trade]:
        """Yield the trades from index `start` to before `end`."""
        for number in range(start // _CHUNK, -(-end // _CHUNK)):
            first = number * _CHUNK
            values = marshal.loads(zlib.decompress(self._chunks[number]))
            for trade in values[max(start - first, 0) : end - first]:
                yield _trade(self._key, trade)
