"""Rolls up a day's minutes into rows of n minutes, aligned to the session's start, with the running figures of the day."""

from __future__ import annotations

from collections.abc import Callable
from math import gcd
from typing import Final

from msgspec.structs import replace

from orderflow.dashboard.state.instrument import Instrument
from orderflow.dashboard.state.minute import Flow, Minute, moments_of
from orderflow.dashboard.state.row import Row
from orderflow.market.measures import roll_up
from orderflow.market.times import DAY_MS, MINUTE_MS

_DEFAULT_OPEN_MS: Final = (3 * 60 + 45) * MINUTE_MS


def session_anchor_ms(instrument: Instrument) -> int:
    """Return the time that windows are aligned to: the session's start, else 09:15 IST of the first minute's day."""
    if instrument.session_start_ms is not None:
        return instrument.session_start_ms
    first = instrument.starts[0] if instrument.starts else 0
    return first // DAY_MS * DAY_MS + _DEFAULT_OPEN_MS


class Rollup:
    """The rows of one instrument at one window length, kept up to date from the first minute that changed."""

    def __init__(self, window_minutes: int) -> None:
        self._window_ms = window_minutes * MINUTE_MS
        self._minutes = window_minutes
        self._rows: list[Row] = []
        self._revision = -1
        self._epoch = -1
        self._anchor = 0
        self._earlier: tuple[tuple[int, int], ...] = ()
        self._window: dict[int, tuple[int, Flow]] = {}

    def rows(self, instrument: Instrument) -> list[Row]:
        """Return all rows of the day, oldest first; the list is reused, so copy what you keep."""
        anchor = session_anchor_ms(instrument)
        if instrument.epoch != self._epoch or anchor != self._anchor:
            self._rows, self._revision, self._epoch, self._anchor = [], -1, instrument.epoch, anchor
            self._earlier = tuple(instrument.earlier_sessions)
        if instrument.revision == self._revision:
            return self._rows
        changed = instrument.first_change_after(self._revision)
        self._revision = instrument.revision
        if changed is None:
            return self._rows
        start = self._window_start(instrument.minutes[changed])
        while self._rows and self._rows[-1].candle.start_ms >= start:
            self._rows.pop()
        group: list[Minute] = []
        for minute in instrument.minutes_from(start):
            if group and self._window_start(minute) != self._window_start(group[0]):
                self._append(instrument, group)
                group = []
            group.append(minute)
        self._append(instrument, group)
        return self._rows

    def window_start(self, time_ms: int) -> int:
        """Return the start of the window that holds `time_ms`, counted from the start of its session."""
        anchor = self._session(time_ms)[0]
        return anchor + (time_ms - anchor) // self._window_ms * self._window_ms

    def _window_start(self, minute: Minute) -> int:
        return minute.start_ms if minute.after_close else self.window_start(minute.start_ms)

    def _session(self, time_ms: int) -> tuple[int, int | None]:
        """Return the start and the end of the session that contains a time."""
        earlier = (session for session in self._earlier if time_ms < self._anchor and time_ms >= session[0])
        return max(earlier, default=(self._anchor, None))

    def _flows(self, group: list[Minute]) -> list[Flow]:
        """Return the minutes' flows, and cache them, because a long window is computed from many packed minutes."""
        if self._minutes == 1:
            return [minute.flow for minute in group]
        known = self._window
        self._window = {
            minute.start_ms: held
            if (held := known.get(minute.start_ms)) is not None and held[0] == minute.revision
            else (minute.revision, minute.flow)
            for minute in group
        }
        return [flow for _, flow in self._window.values()]

    def _append(self, instrument: Instrument, group: list[Minute]) -> None:
        flows = self._flows(group)
        candles = [flow.candle(instrument.key, minute.start_ms) for minute, flow in zip(group, flows, strict=True)]
        traded = [(flow, candle) for flow, candle in zip(flows, candles, strict=True) if candle.close is not None]
        if not traded:
            return
        start = self._window_start(group[0])
        end = start + self._window_ms
        session_end = self._session(start)[1] or instrument.session_end_ms
        if group[0].after_close:
            end = flows[0].end_ms
        elif session_end is not None and start < session_end:
            end = min(end, session_end)
        candle = traded[0][1]
        if self._minutes > 1:
            (candle,) = roll_up([minute for _, minute in traded], self._minutes, start, end)
        closed = flows[-1].end_ms >= end or instrument.starts[-1] >= end or instrument.closed_ms >= end
        final = closed and all(flow.final is not None for flow in flows)
        if self._minutes > 1 and not final:
            # The bands of the final minutes do not include the error of the forming one.
            candle = replace(candle, delta_band=None, confidence=None)
        before = self._rows[-1] if self._rows else None
        priced, turnover, squares = 0, 0.0, 0.0
        prices: list[int] = []
        for flow, minute in traded:
            levels = flow.priced_volumes()
            prices += [price for price, _ in levels]
            volume, mean, variance = moments_of(flow, minute, levels)
            priced += volume
            turnover += mean * volume
            squares += (mean * mean + variance) * volume
        self._rows.append(
            Row(
                candle=candle,
                final=final,
                minutes=tuple(group),
                cvd=candle.delta + (before.cvd if before else 0),
                buy=candle.buy_volume + (before.buy if before else 0),
                sell=candle.sell_volume + (before.sell if before else 0),
                unclassified=candle.unclassified_volume + (before.unclassified if before else 0),
                volume=candle.total_volume + (before.volume if before else 0),
                priced=priced + (before.priced if before else 0),
                turnover=turnover + (before.turnover if before else 0.0),
                squares=squares + (before.squares if before else 0.0),
                unseen=instrument.unseen,
                open=before.open if before else candle.open,
                high=_most(max, candle.high, before.high if before else None),
                low=_most(min, candle.low, before.low if before else None),
                span=(min(prices), max(prices), gcd(*prices)) if prices else None,
                gap=any(flow.spans_gap for flow in flows),
            )
        )


def _most(choose: Callable[[float, float], float], one: float | None, other: float | None) -> float | None:
    return other if one is None else one if other is None else choose(one, other)
