"""Past days from the archive: its interface, a past day in the form of the running day, and its replay at any speed."""

from __future__ import annotations

from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Final, Protocol, TypeVar

from orderflow.dashboard.state.instrument import Instrument
from orderflow.dashboard.state.minute import Minute
from orderflow.dashboard.state.store import Store, clock_ms, day_start_ms, trading_date
from orderflow.dashboard.state.tape import PackedTrades
from orderflow.market.calendar import sessions_of
from orderflow.market.candle import Candle
from orderflow.market.closed_day import ClosedDay
from orderflow.market.errors import OrderflowError
from orderflow.market.price_unit import in_finest
from orderflow.market.times import DAY_MS, MINUTE_MS, ms_from_iso
from orderflow.market.trade import Trade

DAYS_KEPT: Final = 8
CANDLE_DAYS_KEPT: Final = 24
SPEEDS: Final = (1, 2, 5, 10, 20, 60, 120)
SUPERSEDED_SECONDS: Final = 0.1
CHECK_EVERY: Final = 500
Kept = TypeVar("Kept")


Item = TypeVar("Item")


class SupersededError(OrderflowError):
    """Nobody waits for this day any more."""


def never() -> bool:
    """Return that what is read is still wanted."""
    return False


class History(Protocol):
    """The archive of past days; every call may block and may raise OrderflowError."""

    def dates(self) -> Sequence[str]:
        """Return the trading dates it holds, YYYY-MM-DD, oldest first."""

    def candles(self, instrument_key: str, date: str, n: int) -> Sequence[Candle]:
        """Return the final candles of n minutes of one day, oldest first."""

    def trades(self, instrument_key: str, date: str) -> Iterable[Trade]:
        """Return the trades of one day in order, preferably one by one: there may be hundreds of thousands."""

    def previous_close(self, instrument_key: str, date: str) -> float | None:
        """Return the close of the session before a date; None when it is not known."""

    def footprint(self, instrument_key: str, date: str) -> Sequence[Mapping[str, Any]]:
        """Return the footprint rows of one day, as mappings of `records.FOOTPRINT`."""

    def closed_days(self) -> Mapping[str, ClosedDay]:
        """Return how stored days were closed, by date."""


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


class Archive:
    """Loads past days and keeps the last few; safe to call from threads, blocks while loading."""

    def __init__(self, history: History) -> None:
        self._history = history
        self._days: OrderedDict[tuple[str, str], Day] = OrderedDict()
        self._stores: OrderedDict[tuple[str, str], Store] = OrderedDict()

    def dates(self) -> list[str]:
        """Return the dates held, oldest first; raise OrderflowError when the archive cannot be read."""
        try:
            return list(self._history.dates())
        except OSError as error:
            raise OrderflowError(f"HDFS does not answer ({error}); is the NameNode up?") from error

    def day(self, key: str, date: str, superseded: Callable[[], bool] = never) -> Day:
        """Return one instrument's day; raise OrderflowError when the archive cannot be read, SupersededError once unwanted."""
        day = _held(self._days, (key, date))
        if day is None:
            instrument, trades = self._read(key, date, with_trades=True, superseded=superseded)
            day = Day(key, date, _store_of(instrument), trades)
            if instrument.starts or len(trades):
                _keep(self._days, (key, date), day, DAYS_KEPT)
        return day

    def candles(self, key: str, date: str) -> Store:
        """Return one instrument's candles and footprint of a day, without its trades; raise OrderflowError as `day` does."""
        if (day := _held(self._days, (key, date))) is not None:
            return day.store
        store = _held(self._stores, (key, date))
        if store is None:
            store = _store_of(self._read(key, date, with_trades=False)[0])
            if store.instruments[key].starts and date != trading_date(clock_ms()):
                _keep(self._stores, (key, date), store, CANDLE_DAYS_KEPT)
        return store

    def _read(
        self, key: str, date: str, *, with_trades: bool, superseded: Callable[[], bool] = never
    ) -> tuple[Instrument, PackedTrades]:
        history = self._history
        instrument = Instrument(key)
        pool = ThreadPoolExecutor(4)
        try:
            candles = pool.submit(history.candles, key, date, 1)
            footprint = pool.submit(history.footprint, key, date)
            close = pool.submit(history.previous_close, key, date) if with_trades else None
            read = _result(pool.submit(history.trades, key, date), superseded) if with_trades else ()
            trades = PackedTrades(key, _while_wanted(read, superseded))
            first = next(iter(trades), None)
            instrument.reset(date, first.session_start_ms if first else None, first.session_end_ms if first else None)
            stored = _result(candles, superseded)
            finals = [c for c in _while_wanted(stored, superseded) if trading_date(c.start_ms) == date]
            sessions = sessions_of(finals) if finals else []
            if len(sessions) > 1 or (sessions and first is None):
                *instrument.earlier_sessions, (instrument.session_start_ms, instrument.session_end_ms) = sessions
            for candle in finals:
                instrument.add_final(candle)
            levels = _result(footprint, superseded)
            for start, rows in groupby(_while_wanted(levels, superseded), lambda row: row["window_start"]):
                instrument.add_levels(ms_from_iso(start), (_level(row) for row in rows))
            for trade in _while_wanted(trades, superseded):
                instrument.add_trade(trade)
            if date < trading_date(clock_ms()):
                instrument.close_until(day_start_ms(date) + DAY_MS)
            instrument.quote["close_price"] = _result(close, superseded) if close is not None else None
        except OSError as error:
            raise OrderflowError(f"HDFS does not answer ({error}); is the NameNode up?") from error
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
        return instrument, trades


def _result(reading: Future[Item], superseded: Callable[[], bool]) -> Item:
    """Wait for a read in progress; raise SupersededError once no viewer needs it, and let the read end by itself."""
    while not wait((reading,), SUPERSEDED_SECONDS).done:
        if superseded():
            raise SupersededError("no longer wanted")
    return reading.result()


def _while_wanted(items: Iterable[Item], superseded: Callable[[], bool]) -> Iterator[Item]:
    for number, item in enumerate(items):
        if number % CHECK_EVERY == 0 and superseded():
            raise SupersededError("no longer wanted")
        yield item


def _held(cache: OrderedDict[tuple[str, str], Kept], place: tuple[str, str]) -> Kept | None:
    kept = cache.get(place)
    if kept is not None:
        cache.move_to_end(place)
    return kept


def _keep(cache: OrderedDict[tuple[str, str], Kept], place: tuple[str, str], kept: Kept, most: int) -> None:
    cache[place] = kept
    while len(cache) > most:
        cache.popitem(last=False)


def _store_of(instrument: Instrument) -> Store:
    store = Store(clock_ms)
    store.instruments[instrument.key] = instrument
    store.report_source(None, caught_up=True)
    return store


def _level(row: Mapping[str, Any]) -> tuple[int, int, int, int]:
    return in_finest(row["price"], row.get("price_unit")), row["buy_volume"], row["sell_volume"], row["unclassified_volume"]


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
