"""A past day as its viewers share it, its replay at any speed, and what stands for it until it is there."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from orderflow.dashboard.state.instrument import Instrument
from orderflow.dashboard.state.minute import Minute
from orderflow.dashboard.state.store import Store
from orderflow.dashboard.state.tape import PackedTrades
from orderflow.market.errors import OrderflowError
from orderflow.market.times import MINUTE_MS

SPEEDS: Final = (1, 2, 5, 10, 20, 60, 120)
SLOWEST: Final = 0.1
FASTEST: Final = 1000


@dataclass(frozen=True, slots=True)
class Day:
    """One instrument's past day from the archive: complete, in a store that all its viewers share, and its trades."""

    key: str
    date: str
    store: Store
    trades: PackedTrades

    @property
    def shown(self) -> Instrument:
        """Return the complete day; not to be changed."""
        return self.store.instruments[self.key]

    def finals(self) -> list[Minute]:
        """Return the minutes that have a final candle, in order."""
        return [minute for minute in self.shown.minutes_from(0) if minute.final]

    def empty(self) -> Instrument:
        """Return the day's instrument before its first trade."""
        instrument = Instrument(self.key)
        instrument.reset(self.date, self.shown.session_start_ms, self.shown.session_end_ms)
        instrument.earlier_sessions = list(self.shown.earlier_sessions)
        instrument.quote = dict(self.shown.quote)
        return instrument


def whole_store(clock_ms: Callable[[], int], instrument: Instrument) -> Store:
    """Return a store of a past day that has been read."""
    store = Store(clock_ms)
    store.instruments[instrument.key] = instrument
    store.report_source(None, caught_up=True)
    return store


def empty_store(clock_ms: Callable[[], int]) -> Store:
    """Return a store for a past day that is still being read."""
    return Store(clock_ms)


def failed_store(clock_ms: Callable[[], int], error: OrderflowError) -> Store:
    """Return a store that says why its day cannot be shown."""
    store = Store(clock_ms)
    store.report_source(str(error), caught_up=True)
    return store


class Replay:
    """Replay of a past day: trades at their times, each final candle at its minute's end."""

    def __init__(self, day: Day, clock_ms: Callable[[], int]) -> None:
        self._day = day
        self._finals = day.finals()
        self._ends = [minute.flow.end_ms for minute in self._finals]
        self._times = day.trades.times
        times = [*(minute.start_ms for minute in self._finals[:1]), *self._times[:1]]
        lasts = [*self._ends[-1:], *self._times[-1:]]
        self.start_ms = min(times, default=0) // MINUTE_MS * MINUTE_MS
        self.end_ms = max(lasts, default=0) + 1
        self.position_ms = float(self.start_ms)
        self.speed = 10.0
        self.playing = bool(times)
        self.store = Store(clock_ms)
        self.store.replaying = True
        self.store.report_source(None, caught_up=True)
        self._instrument = day.empty()
        self.store.instruments[day.key] = self._instrument
        self._candle = self._trade = 0

    @property
    def shown(self) -> tuple[str, str]:
        """Return instrument key and trading date of what is replayed."""
        return self._day.key, self._day.date

    def state(self) -> dict[str, Any]:
        """Return what the page's controls show."""
        edges = {"position_ms": round(self.position_ms), "start_ms": self.start_ms, "end_ms": self.end_ms}
        return {**edges, "speed": self.speed, "playing": self.playing, "speeds": SPEEDS}

    def advance(self, elapsed_ms: float) -> bool:
        """Let `elapsed_ms` of the viewer's time pass; return whether anything happened."""
        with self.store.lock:
            if not self.playing:
                return False
            self.position_ms = min(self.position_ms + elapsed_ms * self.speed, self.end_ms)
            self.playing = self.position_ms < self.end_ms
            return self._apply()

    def control(self, *, speed: float | None = None, position_ms: float | None = None, playing: bool | None = None) -> None:
        """Change speed, time of day and whether it plays, in one step: a replay that is paused stands where it was sent."""
        with self.store.lock:
            if speed is not None and SLOWEST <= speed <= FASTEST:
                self.speed = speed
            if position_ms is not None:
                self.seek(position_ms)
            if playing is not None:
                self.playing = playing and self.position_ms < self.end_ms

    def seek(self, position_ms: float) -> None:
        """Go to a time of the day; backwards restarts the day."""
        wanted = min(max(position_ms, self.start_ms), self.end_ms)
        with self.store.lock:
            if wanted < self.position_ms:
                self._candle = self._trade = 0
                first = self._day.empty()
                self._instrument.reset(self._day.date, first.session_start_ms, first.session_end_ms)
                self._instrument.earlier_sessions = first.earlier_sessions
                self._instrument.quote = first.quote
            self.position_ms = wanted
            self._apply()

    def _apply(self) -> bool:
        trades, candles = bisect_right(self._times, self.position_ms), bisect_right(self._ends, self.position_ms)
        changed = trades > self._trade or candles > self._candle
        for trade in self._day.trades.between(self._trade, trades):
            self._instrument.add_trade(trade)
        for minute in self._finals[self._candle : candles]:
            flow = minute.flow
            if flow.final is not None:
                self._instrument.add_final(flow.final)
            if flow.levels_final:
                rows = [(price, buy, sell, unknown) for price, (buy, sell, unknown) in flow.levels.items()]
                self._instrument.add_levels(minute.start_ms, rows)
        self._trade, self._candle = max(trades, self._trade), max(candles, self._candle)
        if changed:
            self.store.touch()
        return changed
