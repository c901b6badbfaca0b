"""Forecasts the phases of any date, from the sources that cover it; a date that none covers is unknown.

In this order: Upstox's answer for the date, `sessions.toml`, Upstox's list of the year's holidays, exchange_calendars,
weekends and public holidays on fixed dates. What Upstox's and the package's calendars hold is fetched elsewhere
(`orderflow.upstox.calendar`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Final, NamedTuple

from orderflow.market.candle import Candle
from orderflow.market.phases import CLOSING_AUCTION, CONTINUOUS, Day, Session, Span, Window
from orderflow.market.special_days import SOURCE, Special, SpecialDays, special_days
from orderflow.market.times import IST, MINUTE_MS, ist_date
from orderflow.market.timetable import (
    COMMODITY,
    EVENING,
    Group,
    Hours,
    Plan,
    between,
    fitted,
    reference_group,
    trading_hours,
    usual,
)

EXCHANGES: Final = {
    "NSE_EQ": "NSE",
    "NSE_INDEX": "NSE",
    "NSE_FO": "NFO",
    "NCD_FO": "CDS",
    "BSE_EQ": "BSE",
    "BSE_INDEX": "BSE",
    "BSE_FO": "BFO",
    "BCD_FO": "BCD",
    "MCX_FO": "MCX",
    "MCX_INDEX": "MCX",
    "NSE_COM": "NSCOM",
}
"""Upstox's name for the exchange whose holidays and timings apply to a segment."""

UPSTOX: Final = "Upstox"
EXCHANGE_CALENDARS: Final = "exchange_calendars"
TIMETABLE: Final = "usual hours"

_MOST_KEPT: Final = 1024


@dataclass(frozen=True, slots=True)
class EquityCalendar:
    """The sessions of exchange_calendars: from `first` to `last`, weekdays except `holidays`, and the weekend days in `weekends`.

    Dates are YYYY-MM-DD, both ends included. Without dates it covers nothing.
    """

    first: str = "9999-12-31"
    last: str = "0000-01-01"
    holidays: frozenset[str] = frozenset()
    weekends: frozenset[str] = frozenset()

    def covers(self, trading_date: str) -> bool:
        """Return whether the date lies in the calendar."""
        return self.first <= trading_date <= self.last

    def trades(self, trading_date: str) -> bool:
        """Return whether a date that it covers is a trading day."""
        if date.fromisoformat(trading_date).weekday() >= 5:
            return trading_date in self.weekends
        return trading_date not in self.holidays


@dataclass(frozen=True, slots=True)
class UpstoxCalendar:
    """The answers of Upstox's REST calls.

    `hours` has, by (date, exchange), the trading hours in minutes since IST midnight, in order; none when closed. `years` are
    the years whose list of holidays was read: their other weekdays are ordinary trading days.
    """

    years: frozenset[str] = frozenset()
    hours: Mapping[tuple[str, str], tuple[tuple[int, int], ...]] = field(default_factory=dict)
    why: Mapping[str, str] = field(default_factory=dict)


class _Forecast(NamedTuple):
    plan: Plan
    source: str
    known: bool = True
    note: str = ""


class SessionCalendar:
    """Forecasts days from `equity` (exchange_calendars), `upstox` and `special` (the reviewed file unless given)."""

    def __init__(
        self,
        equity: EquityCalendar | None = None,
        upstox: UpstoxCalendar | None = None,
        special: SpecialDays | None = None,
    ) -> None:
        self._equity = equity or EquityCalendar()
        self._upstox = upstox or UpstoxCalendar()
        self._special = special or special_days()
        self._days: dict[tuple[str, str, str], Day] = {}

    def day(self, segment: str, trading_date: str, group: Group | None = None) -> Day:
        """Return the forecast of a date (YYYY-MM-DD, IST) for a group, by default the segment's reference group."""
        group = group or reference_group(segment)
        wanted = (segment, trading_date, group)
        if wanted not in self._days:
            if len(self._days) >= _MOST_KEPT:
                self._days.clear()
            self._days[wanted] = self._day(*wanted)
        return self._days[wanted]

    def session(self, instrument_key: str, trading_date: str, *, closing_auction: bool = False) -> Session:
        """Return the forecast of a date's first session; `closing_auction` marks a stock with derivatives.

        Where no source covers the date, the segment's usual hours are assumed.
        """
        segment = instrument_key.partition("|")[0]
        return self.day(segment, trading_date, "stock_with_derivatives" if closing_auction else None).session(0)

    def is_trading_day(self, segment: str, trading_date: str) -> bool:
        """Return whether a source forecasts continuous trading in the segment on that date."""
        day = self.day(segment, trading_date)
        return day.known and any(span.phase == CONTINUOUS for span in day.spans)

    def _day(self, segment: str, trading_date: str, group: Group) -> Day:
        forecast = self._forecast(segment, trading_date, group)
        midnight_ms = int(datetime.fromisoformat(trading_date).replace(tzinfo=IST).timestamp() * 1000)
        spans = tuple(
            Span(phase, midnight_ms + start * MINUTE_MS, midnight_ms + end * MINUTE_MS, session)
            for phase, start, end, session in forecast.plan
        )
        return Day(segment, group, trading_date, midnight_ms, spans, forecast.source, forecast.known, forecast.note)

    def _forecast(self, segment: str, trading_date: str, group: Group) -> _Forecast:
        plan = usual(group, trading_date)
        special = self._special.of(segment, trading_date)
        hours = self._upstox.hours.get((trading_date, EXCHANGES.get(segment, "")))
        if hours is not None:
            note = self._upstox.why.get(trading_date, "")
            return _Forecast(self._as_upstox_says(segment, trading_date, group, hours, special), UPSTOX, note=note)
        if special is not None:
            return self._as_special(segment, trading_date, group, special)
        weekend = date.fromisoformat(trading_date).weekday() >= 5
        if trading_date[:4] in self._upstox.years and segment in EXCHANGES:
            return _Forecast(() if weekend else plan, UPSTOX, note="weekend" if weekend else "")
        if segment in COMMODITY:
            return self._commodity(segment, trading_date, plan, weekend)
        if self._equity.covers(trading_date):
            trades = self._equity.trades(trading_date)
            return _Forecast(
                plan if trades else (), EXCHANGE_CALENDARS, note="" if trades else "weekend" if weekend else "holiday"
            )
        return self._uncovered(trading_date, plan, weekend)

    def _as_upstox_says(
        self, segment: str, trading_date: str, group: Group, hours: tuple[tuple[int, int], ...], special: Special | None
    ) -> Plan:
        """Return the phases for Upstox's hours; if the file has the same hours, the file's phases."""
        if not hours:
            return ()
        edges = (hours[0][0], hours[-1][1])
        if special is not None and special.plan and trading_hours(special.plan) == edges:
            return fitted(special.plan, group, trading_date)
        if len(hours) > 1:
            return tuple(Hours(CONTINUOUS, start, end, number) for number, (start, end) in enumerate(hours, 1))
        return between(usual(group, trading_date), usual(reference_group(segment), trading_date), *edges)

    def _as_special(self, segment: str, trading_date: str, group: Group, special: Special) -> _Forecast:
        plan, reference = usual(group, trading_date), usual(reference_group(segment), trading_date)
        start, end = trading_hours(reference) or (0, 0)
        if special.kind == "phases":
            plan = fitted(special.plan, group, trading_date)
        elif special.kind == "closed":
            plan = ()
        elif special.kind == "morning":
            plan = between(plan, reference, start, EVENING)
        elif special.kind == "evening":
            plan = between(plan, reference, EVENING, end)
        elif special.kind == "unknown" and date.fromisoformat(trading_date).weekday() >= 5:
            plan = ()
        return _Forecast(plan, SOURCE, special.kind != "unknown", special.why)

    def _commodity(self, segment: str, trading_date: str, plan: Plan, weekend: bool) -> _Forecast:
        """Return the forecast for commodities, which no package covers: on most of NSE's holidays, MCX trades in the evening."""
        listed = segment != "NSE_COM"
        if weekend or trading_date[5:] in self._special.fixed_holidays or not listed:
            return self._uncovered(trading_date, plan, weekend)
        if trading_date[:4] in self._special.mcx_years:
            return _Forecast(plan, SOURCE)
        if self._equity.covers(trading_date) and self._equity.trades(trading_date):
            return _Forecast(plan, EXCHANGE_CALENDARS, note="as NSE: no list of MCX's holidays")
        return self._uncovered(trading_date, plan, weekend)

    def _uncovered(self, trading_date: str, plan: Plan, weekend: bool) -> _Forecast:
        if weekend:
            return _Forecast((), TIMETABLE, note="weekend")
        if trading_date[5:] in self._special.fixed_holidays:
            return _Forecast((), SOURCE, note="public holiday on a fixed date")
        return _Forecast(plan, "none", known=False, note="no source covers this date")


def sessions_of(day: Sequence[Candle]) -> list[Window]:
    """Return when the sessions of one instrument's date begin and end.

    `day` holds its minute candles, oldest first, at least one. They widen what is forecast, and a closing auction among them
    shows that the instrument closes by auction.
    """
    key, date_ = day[0].instrument, ist_date(day[0].start_ms)
    by_auction = any(minute.session_phase == CLOSING_AUCTION for minute in day)
    forecast = SessionCalendar().day(key.partition("|")[0], date_, "stock_with_derivatives" if by_auction else None).sessions()
    trading = [minute for minute in day if minute.session_phase == CONTINUOUS] or list(day)
    starts = [session.start_ms for session in forecast[1:]]
    starts.insert(0, min([trading[0].start_ms, *(session.start_ms for session in forecast[:1])]))
    ends = [session.end_ms for session in forecast] or [0]
    sessions: list[Window] = []
    for start_ms, end_ms, until_ms in zip(starts, ends, [*starts[1:], trading[-1].end_ms], strict=True):
        stored_ms = max((minute.end_ms for minute in trading if start_ms <= minute.start_ms < until_ms), default=0)
        sessions.append(Window(start_ms, max(end_ms, stored_ms)))
    return sessions
