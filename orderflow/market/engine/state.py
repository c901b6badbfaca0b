"""An instrument's state as explicit, versioned structs, written after a batch and read after a restart.

header   the instrument without its trades and its windows' minutes: a few hundred bytes
change   the header after a batch, and the trades and minutes added since the last write
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec

from orderflow.market.candle import Candle
from orderflow.market.engine.after_close import AfterClose, PhaseMinute
from orderflow.market.engine.instrument import InstrumentMinutes
from orderflow.market.engine.minute import AxisTrade, OwnTicks, Quote
from orderflow.market.engine.partition import Instrument, Run
from orderflow.market.engine.volume_axis import Bounds, Mark, Span, Used, VolumeAxis
from orderflow.market.tick import Bar
from orderflow.market.times import MINUTE_MS

STATE_VERSION: Final = 4
"""Raised whenever the shape or meaning of the state changes; 1 and 2 were those of the queries before this engine, 3 that of an
engine in Spark's state store."""


class AxisState(msgspec.Struct, array_like=True):
    """A VolumeAxis."""

    origin: int
    base: int
    base_bounds: Bounds
    marks: list[Mark]
    bars: dict[int, Span]
    used: dict[int, Used]


class Header(msgspec.Struct, array_like=True):
    """An instrument without its trades and its windows' minutes; `…_dropped` counts those dropped at the front."""

    date: str
    source: str
    streamer: str
    session_start_ms: int
    session_end_ms: int
    first_minute: int
    closed: int
    done: set[int]
    measured: set[int]
    highest_vtt: int
    auction_vtt: int
    auction_ltt_ms: int
    last_ltt_ms: int
    last_sequence: int
    axis: AxisState | None
    own: dict[int, OwnTicks]
    quotes: dict[int, Quote]
    bars: dict[int, Bar]
    runs: list[Run]
    windows_closed_ms: dict[int, int]
    trades_dropped: int
    minutes_dropped: int
    filled_to: int
    after_close: dict[str, PhaseMinute]


class Change(msgspec.Struct, array_like=True):
    """An instrument after a batch: its header, its trades from `trades_from` on, its windows' minutes from `minutes_from` on.

    Without a header the instrument has been removed.
    """

    key: str
    header: Header | None = None
    trades_from: int = 0
    trades: list[AxisTrade] = []
    minutes_from: int = 0
    minutes: list[Candle] = []


def change_of(key: str, known: Instrument | None, *, whole: bool = False) -> Change:
    """Return the change to write for an instrument: what was added since the last write, or all of it."""
    if known is None:
        return Change(key)
    trades, minutes = known.minutes.trades, known.windows.minutes
    if whole:
        return Change(key, _header(known), trades.dropped, trades.items, minutes.dropped, minutes.items)
    return Change(key, _header(known), *trades.unsaved(), *minutes.unsaved())


def changed(change: Change, before: Instrument | None, window_lengths: Iterable[int]) -> Instrument | None:
    """Return the instrument after a change; `before` is the instrument after all earlier changes."""
    header = change.header
    if header is None:
        return None
    known = Instrument(_minutes(change.key, header), (), header.streamer, header.runs)
    known.windows.closed_ms = header.windows_closed_ms
    known.windows.use_lengths(window_lengths, header.closed * MINUTE_MS, header.session_start_ms)
    if before is not None and before.minutes.date == header.date:
        known.minutes.trades, known.windows.minutes = before.minutes.trades, before.windows.minutes
    known.minutes.trades.take(change.trades_from, change.trades, header.trades_dropped)
    known.windows.minutes.take(change.minutes_from, change.minutes, header.minutes_dropped)
    return known


def _header(known: Instrument) -> Header:
    minutes, windows, axis = known.minutes, known.windows, known.minutes.axis
    return Header(
        date=minutes.date,
        source=minutes.source,
        streamer=known.streamer,
        session_start_ms=minutes.session_start_ms,
        session_end_ms=minutes.session_end_ms,
        first_minute=minutes.first_minute,
        closed=minutes.closed,
        done=minutes.done,
        measured=minutes.measured,
        highest_vtt=minutes.highest_vtt,
        auction_vtt=minutes.auction_vtt,
        auction_ltt_ms=minutes.auction_ltt_ms,
        last_ltt_ms=minutes.last_ltt_ms,
        last_sequence=minutes.last_sequence,
        axis=None if axis is None else AxisState(axis.origin, axis.base, axis.base_bounds, axis.marks, axis.bars, axis.used),
        own=minutes.own,
        quotes=minutes.quotes,
        bars=minutes.bars,
        runs=known.seen.runs,
        windows_closed_ms=windows.closed_ms,
        trades_dropped=minutes.trades.dropped,
        minutes_dropped=windows.minutes.dropped,
        filled_to=minutes.filled_to,
        after_close=minutes.after_close.phases,
    )


def _minutes(key: str, header: Header) -> InstrumentMinutes:
    minutes = InstrumentMinutes(key, header.date, header.source, header.first_minute)
    minutes.set_session(header.session_start_ms, header.session_end_ms)
    minutes.closed, minutes.done, minutes.measured = header.closed, header.done, header.measured
    minutes.highest_vtt, minutes.auction_vtt = header.highest_vtt, header.auction_vtt
    minutes.auction_ltt_ms = header.auction_ltt_ms
    minutes.last_ltt_ms, minutes.last_sequence, minutes.filled_to = header.last_ltt_ms, header.last_sequence, header.filled_to
    minutes.own, minutes.quotes, minutes.bars = header.own, header.quotes, header.bars
    minutes.after_close = AfterClose(header.after_close)
    stored = header.axis
    if stored is not None:
        axis = minutes.axis = VolumeAxis(stored.base, stored.origin)
        axis.base_bounds, axis.marks, axis.bars, axis.used = stored.base_bounds, stored.marks, stored.bars, stored.used
    return minutes
