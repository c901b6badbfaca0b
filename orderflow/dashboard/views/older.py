"""Candles before those that a page holds: the day's earlier ones, then earlier stored sessions, one at a time."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

from orderflow.dashboard.state.rollup import Rollup, Row, outages
from orderflow.dashboard.state.store import Store, trading_date
from orderflow.dashboard.views import chart, footprint
from orderflow.dashboard.views.viewer import View
from orderflow.market.errors import OrderflowError
from orderflow.market.price_unit import FINEST

ROWS: Final = 375
ROWS_MOST: Final = 2000
FOOTPRINTS: Final = 30
FOOTPRINTS_MOST: Final = 60
EMPTY_DAYS_MOST: Final = 10
_LATEST_MS: Final = 4_102_444_800_000
_HIGHEST_STEP: Final = 100_000 * FINEST


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


@dataclass(frozen=True, slots=True)
class Wish:
    """A request for candles: at most `count` of those that start before `before_ms`, in the view's form."""

    view: View
    before_ms: int
    count: int
    step: int

    @classmethod
    def parse(cls, wish: Mapping[str, Any], default_instrument: str) -> Wish:
        """Build a request from untrusted values; invalid ones become the default."""
        view = View.parse(wish, default_instrument, ROWS)
        default, most = (FOOTPRINTS, FOOTPRINTS_MOST) if view.mode == "footprint" else (ROWS, ROWS_MOST)
        count = _number(wish.get("count"), default)
        return cls(
            view=view,
            before_ms=min(max(round(_number(wish.get("before"), 0)), 0), _LATEST_MS),
            count=round(min(max(count, 1), most)),
            step=round(min(max(_number(wish.get("step"), 0.05) * FINEST, 1), _HIGHEST_STEP)),
        )


def _number(value: Any, default: float) -> float:
    with contextlib.suppress(TypeError, ValueError):
        number = float(value)
        if abs(number) < 1e18:
            return number
    return default


def answer(sessions: Sessions, wish: Wish) -> dict[str, Any]:
    """Return the newest candles before a time, of one session, in the form of a patch's columns.

    Blocks while a day is read from the archive; raises OrderflowError when it cannot be. `more` is false when nothing older is
    stored, or ten stored days in a row hold nothing of the instrument.
    """
    key, minutes = wish.view.instrument, wish.view.minutes
    live = sessions.store.instrument(key)
    day = trading_date(wish.before_ms - 1)
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
        return Rollup(minutes).rows(store.instruments[key])


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
