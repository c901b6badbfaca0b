"""Read a past day from the archive into the running day's form, until nobody waits for it any more."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from itertools import groupby
from typing import Final, TypeVar

from orderflow.dashboard.sources.history import History
from orderflow.dashboard.state.instrument import Instrument, level_of
from orderflow.dashboard.state.tape import PackedTrades
from orderflow.market.calendar import sessions_of
from orderflow.market.errors import OrderflowError
from orderflow.market.times import DAY_MS, date_start_ms, ist_date, ms_from_iso

SUPERSEDED_SECONDS: Final = 0.1
CHECK_EVERY: Final = 500
Item = TypeVar("Item")


class SupersededError(OrderflowError):
    """Nobody waits for this day any more."""


def never() -> bool:
    """Return that what is read is still wanted."""
    return False


def read_day(
    history: History, key: str, date: str, today: str, *, with_trades: bool, superseded: Callable[[], bool] = never
) -> tuple[Instrument, PackedTrades]:
    """Return one instrument's day in the running day's form, and its trades.

    Raises OrderflowError when the archive cannot be read, SupersededError once `superseded` says that nobody waits.
    """
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
        finals = [c for c in _while_wanted(stored, superseded) if ist_date(c.start_ms) == date]
        sessions = sessions_of(finals) if finals else []
        if len(sessions) > 1 or (sessions and first is None):
            *instrument.earlier_sessions, (instrument.session_start_ms, instrument.session_end_ms) = sessions
        for candle in finals:
            instrument.add_final(candle)
        levels = _result(footprint, superseded)
        for start, rows in groupby(_while_wanted(levels, superseded), lambda row: row["window_start"]):
            instrument.add_levels(ms_from_iso(start), map(level_of, rows))
        for trade in _while_wanted(trades, superseded):
            instrument.add_trade(trade)
        if date < today:
            instrument.close_until(date_start_ms(date) + DAY_MS)
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
