"""Trading sessions by date and segment: the calendar's forecast, and what the feed announces, which overrides it.

The rule, for one segment and one trading date (IST):

1. The calendar forecasts pre-open, continuous trading, closing auction and post-close (`SessionCalendar`).
2. A status is news when it is the first heard on that date or another than the last; one that merely stands, or is told again
   to a new connection, changes nothing: recordings carry a single status, made up at their first line.
3. NORMAL_OPEN that is news outside the forecast's hours is believed: continuous trading then starts at the forecast's start if
   that has passed, else at the minute of the announcement, and lasts until the feed announces the close, or else to the end
   of that IST day. Two exceptions: within a minute beside the hours it is merely early or late; and from an hour before the
   pre-open to the start it must follow a close announced that date. Inside the forecast's closing auction NORMAL_OPEN is no
   contradiction: it stands for the segment's stocks without the auction.
4. A segment that was believed open to the end of its day (3, or a date without trading) and has not closed is open in the
   next day from 00:00.
5. PRE_OPEN_START or PRE_OPEN_END that is news when the forecast is not in its pre-open means that the market has yet to open:
   nothing is continuous until NORMAL_OPEN, whose minute then is the start.
6. NORMAL_CLOSE announced inside continuous trading ends it at the end of that minute; NORMAL_OPEN reopens it. An opening
   in the forecast's hours after a close before them (a drill, a simulated market) leaves the forecast as it is.

Times are epoch milliseconds. Trades are judged by their own time against the session, so a trade of 15:29:59 that arrives
after the close still belongs to continuous trading.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import date, datetime, timedelta
from functools import lru_cache
from typing import Any, Final, Literal, NamedTuple, Self

from orderflow.market import records
from orderflow.market.conformity import problem
from orderflow.market.errors import DecodeError
from orderflow.market.tick import IST, MINUTE_MS, ist_date

Phase = Literal["pre_open", "continuous", "closing_auction", "post_close", "closed"]

PRE_OPEN: Final = ("PRE_OPEN_START", "PRE_OPEN_END")
NORMAL_OPEN: Final = "NORMAL_OPEN"
CLOSING: Final = ("NORMAL_CLOSE", "CLOSING_START", "CLOSING_END")
CLOSING_AUCTION_FROM: Final = "2026-08-03"
"""First date on which stocks with derivatives close by auction and equity derivatives trade to 15:40 (NSE)."""

_DAY_MS: Final = 24 * 60 * MINUTE_MS
_TOLERANCE_MS: Final = MINUTE_MS
_EARLY_MS: Final = 60 * MINUTE_MS
_EQUITY: Final = ("NSE_EQ", "BSE_EQ")
_DERIVATIVES: Final = ("NSE_FO", "BSE_FO")
_CURRENCY: Final = ("NCD_FO", "BCD_FO")
_COMMODITY: Final = ("MCX_FO", "MCX_INDEX", "NSE_COM")


@dataclass(frozen=True, slots=True)
class Session:
    """One trading date of one instrument; each phase begins where the one before ends. No trading: start == end."""

    trading_date: str
    pre_open_start_ms: int
    start_ms: int
    end_ms: int
    closing_auction_end_ms: int
    post_close_end_ms: int

    def phase(self, at_ms: int) -> Phase:
        """Return the phase at an instant."""
        if not self.pre_open_start_ms <= at_ms < self.post_close_end_ms:
            return "closed"
        if at_ms < self.start_ms:
            return "pre_open"
        if at_ms < self.end_ms:
            return "continuous"
        return "closing_auction" if at_ms < self.closing_auction_end_ms else "post_close"


class Hours(NamedTuple):
    """A session's edges in minutes since IST midnight."""

    pre_open: int
    start: int
    end: int
    closing_auction_end: int
    post_close_end: int


class SessionCalendar:
    """Forecasts sessions. `holidays` are equity holidays as YYYY-MM-DD; `special` gives the hours of special sessions,
    which win over holidays and weekends, by date."""

    def __init__(self, holidays: frozenset[str] = frozenset(), special: Mapping[str, Hours] | None = None) -> None:
        self._holidays = holidays
        self._special = dict(special or {})

    def session(self, instrument_key: str, trading_date: str, *, closing_auction: bool = False) -> Session:
        """Return the forecast for an instrument; `closing_auction` says that it is a stock with derivatives."""
        hours = self._hours(segment_of(instrument_key), trading_date, closing_auction)
        midnight = _midnight_ms(trading_date)
        return Session(trading_date, *(midnight + minutes * MINUTE_MS for minutes in hours))

    def _hours(self, segment: str, trading_date: str, closing_auction: bool) -> Hours:
        if trading_date in self._special:
            return self._special[trading_date]
        day = date.fromisoformat(trading_date)
        if day.weekday() >= 5:
            return Hours(0, 0, 0, 0, 0)
        holiday = trading_date in self._holidays
        if segment in _COMMODITY:
            end = 23 * 60 + (30 if _us_summer_time(day) else 55)
            start = 17 * 60 if holiday else 9 * 60
            return Hours(start, start, end, end, end)
        if holiday:
            return Hours(0, 0, 0, 0, 0)
        if segment in _CURRENCY:
            return Hours(540, 540, 1020, 1020, 1020)
        if segment in _DERIVATIVES:
            end = 940 if trading_date >= CLOSING_AUCTION_FROM else 930
            return Hours(540, 555, end, end, end)
        if segment in _EQUITY and closing_auction and trading_date >= CLOSING_AUCTION_FROM:
            return Hours(540, 555, 915, 935, 960)
        return Hours(540, 555, 930, 930, 960)


@dataclass(frozen=True, slots=True)
class SegmentState:
    """What the feed has announced for one segment, as far as it changes the forecast of `trading_date`."""

    status: str | None = None
    trading_date: str = ""
    opened_ms: int | None = None
    closed_ms: int | None = None
    extended: bool = False
    waiting: bool = False

    def announce(self, status: str, at_ms: int, forecast: Session) -> SegmentState:
        """Return the state after the feed said `status` at `at_ms`; `forecast` is that date's, without closing auction."""
        if self.trading_date == forecast.trading_date:
            if status == self.status:
                return self
            state, before = self, self.status
        else:
            state, before = (self if status == NORMAL_OPEN else SegmentState(self.status))._on(forecast), None
        known = replace(state, status=status)
        if status == NORMAL_OPEN:
            return known._opened(before, at_ms, forecast)
        if status in PRE_OPEN:
            unforeseen = forecast.phase(at_ms) != "pre_open" and not -_TOLERANCE_MS <= at_ms - forecast.start_ms < _TOLERANCE_MS
            return replace(known, waiting=True, opened_ms=None, closed_ms=None, extended=False) if unforeseen else known
        if status in CLOSING and state._is_open(forecast, at_ms) and (state.extended or status == "NORMAL_CLOSE"):
            return replace(known, closed_ms=-(-at_ms // MINUTE_MS) * MINUTE_MS, waiting=False)
        return known

    def _opened(self, before: str | None, at_ms: int, forecast: Session) -> SegmentState:
        """Return the state after NORMAL_OPEN, which is news; `before` is that date's status before it."""
        no_trading = forecast.start_ms == forecast.end_ms
        reopened = before in CLOSING
        too_early = not (no_trading or reopened) and forecast.pre_open_start_ms - _EARLY_MS <= at_ms < forecast.start_ms
        beside = not too_early and (_beside(forecast, at_ms) or (reopened and at_ms >= forecast.closing_auction_end_ms))
        if not beside and self.closed_ms is not None and self.closed_ms <= forecast.start_ms + _TOLERANCE_MS:
            return SegmentState(NORMAL_OPEN, forecast.trading_date)
        opened = self.opened_ms
        if opened is None and (self.waiting or (beside and (no_trading or at_ms < forecast.start_ms))):
            opened = at_ms - at_ms % MINUTE_MS
        return replace(self, opened_ms=opened, closed_ms=None, extended=self.extended or beside, waiting=False)

    def session(self, forecast: Session, at_ms: int) -> Session:
        """Return the session in force at the feed's time `at_ms`, whose date is the forecast's."""
        state = self._on(forecast)
        day_end_ms = _midnight_ms(forecast.trading_date) + _DAY_MS
        if state.waiting:
            return replace(
                forecast,
                pre_open_start_ms=min(forecast.pre_open_start_ms, at_ms),
                start_ms=day_end_ms,
                end_ms=day_end_ms,
                closing_auction_end_ms=day_end_ms,
                post_close_end_ms=day_end_ms,
            )
        session = forecast
        if state.extended:
            session = replace(session, end_ms=day_end_ms, closing_auction_end_ms=day_end_ms, post_close_end_ms=day_end_ms)
        if state.opened_ms is not None:
            pre_open_ms = min(session.pre_open_start_ms, state.opened_ms)
            session = replace(session, pre_open_start_ms=pre_open_ms, start_ms=state.opened_ms)
        if state.closed_ms is not None and state.closed_ms < session.end_ms:
            auction_end_ms = forecast.closing_auction_end_ms if state.closed_ms >= forecast.end_ms else state.closed_ms
            session = replace(session, end_ms=state.closed_ms, closing_auction_end_ms=max(auction_end_ms, state.closed_ms))
        return session

    def _on(self, forecast: Session) -> SegmentState:
        """Return what of this state holds on the forecast's date: all of it, a night passed open, or nothing."""
        if self.trading_date == forecast.trading_date:
            return self
        midnight = _midnight_ms(forecast.trading_date)
        if self.status == NORMAL_OPEN and self.extended and self.trading_date == ist_date(midnight - 1):
            return SegmentState(NORMAL_OPEN, forecast.trading_date, opened_ms=midnight, extended=True)
        return SegmentState(self.status, forecast.trading_date)

    def _is_open(self, forecast: Session, at_ms: int) -> bool:
        return self.session(forecast, at_ms).phase(at_ms) == "continuous"

    def to_record(self) -> dict[str, Any]:
        """Return a JSON-ready dict."""
        return asdict(self)

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Self:
        """Rebuild from `to_record`'s dict. Raises DecodeError on anything else."""
        wrong = problem(records.SEGMENT_STATE, record, exact=True)
        if wrong is not None:
            raise DecodeError("bad_state", wrong)
        return cls(**record)


@dataclass(slots=True)
class SessionBook:
    """Keep the announcements of every segment and answer which session an instrument is in."""

    calendar: SessionCalendar
    closing_auction_keys: frozenset[str] = frozenset()
    segments: dict[str, SegmentState] = field(default_factory=dict)
    _forecasts: dict[tuple[str, str, bool], Session] = field(default_factory=dict)
    _in_force: dict[str, tuple[int, Session]] = field(default_factory=dict)

    def announce(self, statuses: Mapping[str, str], at_ms: int) -> tuple[tuple[str, str | None, str], ...]:
        """Take one `segmentStatus`; return the changes as (segment, before, after)."""
        changes: list[tuple[str, str | None, str]] = []
        self._in_force.clear()
        trading_date = ist_date(at_ms)
        for segment, status in sorted(statuses.items()):
            before = self.segments.get(segment, SegmentState())
            self.segments[segment] = before.announce(status, at_ms, self._forecast(segment, trading_date, False))
            if before.status != status:
                changes.append((segment, before.status, status))
        return tuple(changes)

    def session(self, instrument_key: str, at_ms: int) -> Session:
        """Return the session of the instrument in force at the feed's time `at_ms`."""
        minute = at_ms // MINUTE_MS
        found = self._in_force.get(instrument_key)
        if found is None or found[0] != minute:
            found = self._in_force[instrument_key] = (minute, self._session(instrument_key, minute * MINUTE_MS))
        return found[1]

    def _session(self, instrument_key: str, at_ms: int) -> Session:
        segment = segment_of(instrument_key)
        forecast = self._forecast(segment, ist_date(at_ms), instrument_key in self.closing_auction_keys)
        state = self.segments.get(segment)
        return forecast if state is None else state.session(forecast, at_ms)

    def status(self, instrument_key: str) -> str | None:
        """Return the last status announced for the instrument's segment."""
        state = self.segments.get(segment_of(instrument_key))
        return None if state is None else state.status

    def _forecast(self, segment: str, trading_date: str, closing_auction: bool) -> Session:
        wanted = (segment, trading_date, closing_auction)
        if wanted not in self._forecasts:
            if len(self._forecasts) > 256:
                self._forecasts.clear()
            self._forecasts[wanted] = self.calendar.session(f"{segment}|", trading_date, closing_auction=closing_auction)
        return self._forecasts[wanted]


def has_opening_auction(instrument_key: str) -> bool:
    """Say whether an opening auction may trade before the instrument's continuous session."""
    return segment_of(instrument_key) in _EQUITY


@lru_cache(maxsize=8192)
def may_trade_below_zero(instrument_key: str) -> bool:
    """Say whether the exchange allows prices below zero: for commodities (MCX crude oil settled at -2,884 in April 2020)."""
    return segment_of(instrument_key) in _COMMODITY


def segment_of(instrument_key: str) -> str:
    """Return the segment of an Upstox key: `NSE_EQ|INE467B01029` is of `NSE_EQ`."""
    return instrument_key.partition("|")[0]


def _beside(forecast: Session, at_ms: int) -> bool:
    """Say whether an instant lies outside continuous trading and closing auction by more than the tolerance."""
    if forecast.start_ms == forecast.end_ms:
        return True
    return at_ms < forecast.start_ms - _TOLERANCE_MS or at_ms >= forecast.closing_auction_end_ms + _TOLERANCE_MS


def _midnight_ms(trading_date: str) -> int:
    return int(datetime.fromisoformat(trading_date).replace(tzinfo=IST).timestamp() * 1000)


def _us_summer_time(day: date) -> bool:
    """Say whether the United States keep summer time: second Sunday of March to first Sunday of November; MCX follows."""
    march, november = date(day.year, 3, 8), date(day.year, 11, 1)
    begin = march + timedelta(days=(6 - march.weekday()) % 7)
    end = november + timedelta(days=(6 - november.weekday()) % 7)
    return begin <= day < end
