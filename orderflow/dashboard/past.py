"""Past days from the archive: what it must offer, a day in the running day's form, and its replay at any speed."""

from __future__ import annotations

from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final, Protocol

from orderflow.dashboard.minutes import MINUTE_MS, Instrument
from orderflow.dashboard.store import Store, trading_date
from orderflow.market.candle import Candle, ms_from_iso
from orderflow.market.errors import OrderflowError
from orderflow.market.trade import Trade

DAYS_KEPT: Final = 8
SPEEDS: Final = (1, 2, 5, 10, 20, 60, 120)
LevelRows = Sequence[tuple[int, int, int, int]]


class History(Protocol):
    """The archive of past days; every call may block and may raise OrderflowError."""

    def dates(self) -> Sequence[str]:
        """Return the trading dates it holds, YYYY-MM-DD, oldest first."""

    def candles(self, instrument_key: str, date: str, n: int) -> Sequence[Candle]:
        """Return the final candles of n minutes of one day, oldest first."""

    def trades(self, instrument_key: str, date: str) -> Sequence[Trade]:
        """Return the trades of one day in order."""

    def previous_close(self, instrument_key: str, date: str) -> float | None:
        """Return the close of the session before a date; None when it is not known."""

    def footprint(self, instrument_key: str, date: str) -> Sequence[Mapping[str, Any]]:
        """Return the footprint rows of one day, as mappings of `records.FOOTPRINT`."""


@dataclass(frozen=True, slots=True)
class Day:
    """One instrument's past day as the archive gave it."""

    key: str
    date: str
    candles: tuple[Candle, ...]
    levels: Mapping[int, LevelRows]
    trades: tuple[Trade, ...]
    previous_close: float | None = None

    def empty(self) -> Instrument:
        """Return the day's instrument before its first trade."""
        instrument = Instrument(self.key)
        first = self.trades[0] if self.trades else None
        instrument.reset(self.date, first.session_start_ms if first else None, first.session_end_ms if first else None)
        if self.previous_close is not None:
            instrument.quote["close_price"] = self.previous_close
        return instrument


class Archive:
    """Loads past days and keeps the last few; safe to call from threads, blocks while loading."""

    def __init__(self, history: History) -> None:
        self._history = history
        self._days: OrderedDict[tuple[str, str], Day] = OrderedDict()

    def dates(self) -> list[str]:
        """Return the dates held, oldest first; raise OrderflowError when the archive cannot be read."""
        try:
            return list(self._history.dates())
        except OSError as error:
            raise OrderflowError(f"HDFS does not answer ({error}); is the NameNode up?") from error

    def day(self, key: str, date: str) -> Day:
        """Return one instrument's day; raise OrderflowError when the archive cannot be read."""
        found = self._days.get((key, date))
        if found is None:
            found = self._read(key, date)
            if found.candles or found.trades:
                self._days[(key, date)] = found
                while len(self._days) > DAYS_KEPT:
                    self._days.popitem(last=False)
        return found

    def _read(self, key: str, date: str) -> Day:
        history = self._history
        try:
            with ThreadPoolExecutor(4) as pool:
                candles = pool.submit(history.candles, key, date, 1)
                footprint = pool.submit(history.footprint, key, date)
                trades = pool.submit(history.trades, key, date)
                close = pool.submit(history.previous_close, key, date)
                levels: dict[int, list[tuple[int, int, int, int]]] = {}
                for row in footprint.result():
                    entry = (int(row["price"]), row["buy_volume"], row["sell_volume"], row["unclassified_volume"])
                    levels.setdefault(ms_from_iso(row["window_start"]), []).append(entry)
                finals = tuple(candle for candle in candles.result() if trading_date(candle.start_ms) == date)
                return Day(key, date, finals, levels, tuple(trades.result()), close.result())
        except OSError as error:
            raise OrderflowError(f"HDFS does not answer ({error}); is the NameNode up?") from error


def empty_store(clock_ms: Callable[[], int]) -> Store:
    """Return a store for a past day that is still being read."""
    return Store(clock_ms)


def failed_store(clock_ms: Callable[[], int], error: OrderflowError) -> Store:
    """Return a store that says why its day cannot be shown."""
    store = Store(clock_ms)
    store.report_source(str(error), caught_up=True)
    return store


def whole_day(day: Day, clock_ms: Callable[[], int]) -> Store:
    """Return a store that holds the complete day."""
    store = Store(clock_ms)
    instrument = day.empty()
    for candle in day.candles:
        instrument.add_final(candle)
    for start_ms, rows in day.levels.items():
        instrument.add_levels(start_ms, rows)
    for trade in day.trades:
        instrument.add_trade(trade)
    store.instruments[day.key] = instrument
    store.report_source(None, caught_up=True)
    return store


class Replay:
    """A past day that happens again: trades when they came, each final candle at its minute's end."""

    def __init__(self, day: Day, clock_ms: Callable[[], int]) -> None:
        self._day = day
        self._ends = [candle.end_ms for candle in day.candles]
        self._times = [trade.event_time_ms for trade in day.trades]
        times = [*(candle.start_ms for candle in day.candles[:1]), *self._times[:1]]
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

    def state(self) -> dict[str, Any]:
        """Return what the page's controls show."""
        edges = {"position_ms": round(self.position_ms), "start_ms": self.start_ms, "end_ms": self.end_ms}
        return {**edges, "speed": self.speed, "playing": self.playing, "speeds": SPEEDS}

    def advance(self, elapsed_ms: float) -> bool:
        """Let `elapsed_ms` of the viewer's time pass; return whether anything happened."""
        if not self.playing:
            return False
        self.position_ms = min(self.position_ms + elapsed_ms * self.speed, self.end_ms)
        self.playing = self.position_ms < self.end_ms
        return self._apply()

    def seek(self, position_ms: float) -> None:
        """Go to a time of the day; backwards starts the day anew."""
        wanted = min(max(position_ms, self.start_ms), self.end_ms)
        if wanted < self.position_ms:
            self._candle = self._trade = 0
            first = self._day.empty()
            self._instrument.reset(self._day.date, first.session_start_ms, first.session_end_ms)
        self.position_ms = wanted
        self._apply()

    def _apply(self) -> bool:
        trades, candles = bisect_right(self._times, self.position_ms), bisect_right(self._ends, self.position_ms)
        changed = trades > self._trade or candles > self._candle
        with self.store.lock:
            for trade in self._day.trades[self._trade : trades]:
                self._instrument.add_trade(trade)
            for candle in self._day.candles[self._candle : candles]:
                self._instrument.add_final(candle)
                rows = self._day.levels.get(candle.start_ms)
                if rows is not None:
                    self._instrument.add_levels(candle.start_ms, rows)
        self._trade, self._candle = max(trades, self._trade), max(candles, self._candle)
        if changed:
            self.store.touch()
        return changed
