"""Candles before those that a page holds: the day's earlier ones, then earlier stored sessions, one at a time."""

from __future__ import annotations

from typing import Any, Final, Protocol

from orderflow.dashboard.state.row import Row, outages
from orderflow.dashboard.state.store import Store
from orderflow.dashboard.views import chart, footprint
from orderflow.dashboard.views.wish import Wish
from orderflow.market.errors import OrderflowError

EMPTY_DAYS_MOST: Final = 10


class Sessions(Protocol):
    """The running day and the stored ones before it."""

    @property
    def store(self) -> Store:
        """Return the running day."""

    @property
    def marked(self) -> footprint.Imbalances:
        """Return which imbalances are marked."""

    def stored_dates(self) -> list[str]:
        """Return the stored dates, oldest first; blocks; raises OrderflowError."""

    def past_candles(self, key: str, date: str) -> Store:
        """Return a stored day's candles and footprint; blocks; raises OrderflowError."""


def answer(sessions: Sessions, wish: Wish) -> dict[str, Any]:
    """Return the newest candles before a time, of one session, in the form of a patch's columns.

    Blocks while a day is read from the archive; raises OrderflowError when it cannot be. `more` is false when nothing older is
    stored, or ten stored days in a row hold nothing of the instrument.
    """
    key, minutes = wish.view.instrument, wish.view.minutes
    live = sessions.store.instrument(key)
    day = wish.day
    with sessions.store.lock:
        held_date = live.date if live is not None else ""
        rows = list(sessions.store.rollup(key, minutes).rows(live)) if live is not None and held_date and held_date <= day else []
        earlier = _before(rows, wish.before_ms)
        if earlier:
            part = _part(earlier[-wish.count :], wish, sessions.marked)
    if earlier:
        return _whole(wish, held_date, part, live=True, more=len(earlier) > wish.count or _any_before(sessions, held_date))
    stored = [date for date in sessions.stored_dates() if date <= day and date != held_date]
    for tried, date in enumerate(reversed(stored)):
        if tried == EMPTY_DAYS_MOST:
            break
        store = sessions.past_candles(key, date)
        earlier = _before(_rows(store, key, minutes), wish.before_ms)
        if earlier:
            more = len(earlier) > wish.count or tried + 1 < len(stored)
            return _whole(wish, date, _part(earlier[-wish.count :], wish, sessions.marked), live=False, more=more)
    return _whole(wish, None, _part([], wish, sessions.marked), live=False, more=False)


def _any_before(sessions: Sessions, date: str) -> bool:
    try:
        return any(stored < date for stored in sessions.stored_dates())
    except OrderflowError:
        return True


def _rows(store: Store, key: str, minutes: int) -> list[Row]:
    with store.lock:
        return list(store.rollup(key, minutes).rows(store.instruments[key]))


def _before(rows: list[Row], before_ms: int) -> list[Row]:
    return [row for row in rows if row.candle.start_ms < before_ms]


def _part(rows: list[Row], wish: Wish, marked: footprint.Imbalances) -> dict[str, Any]:
    part: dict[str, Any] = {
        "from": chart.label(rows[0].candle.start_ms) if rows else None,
        "facts": chart.facts(rows),
    }
    if wish.view.mode == "footprint":
        tick = wish.step // max(wish.view.ticks, 1)
        return {**part, "cells": [footprint.cells(row, wish.step, tick, marked) for row in rows]}
    return {**part, "gaps": chart.gaps(outages(rows))}


def _whole(wish: Wish, date: str | None, part: dict[str, Any], *, live: bool, more: bool) -> dict[str, Any]:
    head = {"instrument": wish.view.instrument, "minutes": wish.view.minutes, "mode": wish.view.mode, "before": wish.before_ms}
    return {**head, "date": date, "live": live, "more": more, **part}
