"""When the simulated exchange opens, matches auctions and closes, and what the feed announces about it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from orderflow.market.session import SessionCalendar
from orderflow.market.times import DAY_MS, IST, MINUTE_MS, midnight_ms
from orderflow.simulator.catalogue import Instrument

CLOSING_AUCTION_FROM: Final = dt.date(2026, 8, 3)
LIVE_WARM_UP_MINUTES: Final = 60
SEGMENTS: Final = (
    *("NSE_EQ", "NSE_FO", "NSE_INDEX", "NSE_COM", "NCD_FO", "BCD_FO"),
    *("BSE_EQ", "BSE_FO", "BSE_INDEX", "MCX_FO", "MCX_INDEX"),
)
_AUCTION_SEGMENTS: Final = ("NSE_EQ", "NSE_INDEX", "BSE_EQ", "BSE_INDEX")
_FAR_MS: Final = 1 << 60


_CALENDAR: Final = SessionCalendar()


@dataclass(frozen=True, slots=True)
class Announcement:
    """Statuses that change at one moment: of segments, of the closing auction and of the pre-open session."""

    at_ms: int
    segments: dict[str, str]
    closing_auction: str | None = None
    pre_open: str | None = None


@dataclass(frozen=True, slots=True)
class Hours:
    """One instrument's day in epoch milliseconds; a match time is None where there is no such auction."""

    opening_match_ms: int | None
    open_ms: int
    close_ms: int
    closing_match_ms: int | None
    post_close_ms: int
    end_ms: int


@dataclass(frozen=True, slots=True)
class SessionPlan:
    """A day: hours of stocks with and without derivatives and of derivatives, announcements in order of time.

    `opened` says that trading was under way before the plan's start. What traded since `unseen_from_ms`, where that is given,
    is in the cumulative volume though no minute shows it.
    """

    day_start_ms: int
    start_ms: int
    with_derivatives: Hours
    without_derivatives: Hours
    derivatives: Hours
    announcements: tuple[Announcement, ...]
    opened: bool = False
    unseen_from_ms: int | None = None

    def hours(self, instrument: Instrument) -> Hours:
        """Return the instrument's hours; an index keeps those of stocks without derivatives."""
        if instrument.segment in ("NSE_FO", "BSE_FO"):
            return self.derivatives
        return self.with_derivatives if instrument.derivatives and not instrument.is_index else self.without_derivatives


def next_real_end(after_ms: int) -> tuple[int, tuple[str, ...]]:
    """Return when the next real session, or else the IST day, ends after `after_ms`, and the segments for which it does."""
    midnight = midnight_ms(after_ms)
    date = dt.datetime.fromtimestamp(midnight / 1000, IST).date().isoformat()
    ends = {segment: _CALENDAR.session(f"{segment}|", date) for segment in SEGMENTS}
    due = min((s.end_ms for s in ends.values() if s.end_ms > after_ms and s.start_ms < s.end_ms), default=midnight + DAY_MS)
    return due, tuple(segment for segment in SEGMENTS if due == midnight + DAY_MS or ends[segment].end_ms == due)


def reopening(at_ms: int, segments: Iterable[str]) -> list[Announcement]:
    """Announce that segments close and open again at one moment: that is how a simulated market outlives the real hours.

    A status that merely persists does not make the streamer think its calendar wrong (`orderflow.market.session`).
    """
    return [Announcement(at_ms, dict.fromkeys(segments, status)) for status in ("NORMAL_CLOSE", "NORMAL_OPEN")]


def is_before_real_open(at_ms: int) -> bool:
    """Return whether the streamer doubts a first NORMAL_OPEN at `at_ms`: in a pre-open or in the hour before it."""
    of_day = at_ms - midnight_ms(at_ms)
    return dt.datetime.fromtimestamp(at_ms / 1000, IST).weekday() < 5 and 480 * MINUTE_MS <= of_day < 555 * MINUTE_MS


def live(now_ms: int) -> SessionPlan:
    """Plan a market that has been open for an hour (or since IST midnight) at `now_ms`, and does not close."""
    start = now_ms - now_ms % MINUTE_MS
    open_ms = max(start - LIVE_WARM_UP_MINUTES * MINUTE_MS, midnight_ms(now_ms))
    hours = Hours(None, open_ms, _FAR_MS, None, _FAR_MS, _FAR_MS)
    opened = Announcement(open_ms, dict.fromkeys(SEGMENTS, "NORMAL_OPEN"))
    midnight = midnight_ms(now_ms)
    return SessionPlan(midnight, now_ms, hours, hours, hours, (opened,), opened=True, unseen_from_ms=midnight)


def of_date(date: dt.date, shift_ms: int = 0, begin: dt.time | None = None) -> SessionPlan:
    """Plan NSE's day: pre-open 09:00, opening auction, continuous trading, closing auction from 2026-08-03, post-close.

    Every time is moved by `shift_ms`. With `begin`, a time within continuous trading, the plan starts there, and the minutes
    since the opening are history. Source: docs of Upstox and NSE as quoted in docs/SIMULATOR.md.
    """
    midnight = int(dt.datetime.combine(date, dt.time(), IST).timestamp()) * 1000 + shift_ms

    def at(hour: int, minute: int, second: int = 0) -> int:
        return midnight + ((hour * 60 + minute) * 60 + second) * 1000

    with_auction = date >= CLOSING_AUCTION_FROM
    post_close = at(15, 50) if with_auction else at(15, 40)
    plain = Hours(at(9, 8, 12), at(9, 15), at(15, 30), None, post_close, at(16, 0))
    special = Hours(at(9, 8, 12), at(9, 15), at(15, 15), at(15, 31, 20), post_close, at(16, 0)) if with_auction else plain
    cash = _AUCTION_SEGMENTS
    rest = tuple(segment for segment in SEGMENTS if segment not in cash)
    futures_close = at(15, 40) if with_auction else at(15, 30)
    planned = [
        Announcement(at(9, 0), dict.fromkeys(cash, "PRE_OPEN_START"), pre_open="PRE_OPEN_START"),
        Announcement(at(9, 5), {}, pre_open="PRE_OPEN_M_END"),
        Announcement(at(9, 8), dict.fromkeys(cash, "PRE_OPEN_END"), pre_open="PRE_OPEN_END"),
        Announcement(at(9, 15), dict.fromkeys(SEGMENTS, "NORMAL_OPEN")),
        Announcement(at(15, 30), dict.fromkeys(cash, "NORMAL_CLOSE")),
        Announcement(futures_close, dict.fromkeys(rest, "NORMAL_CLOSE")),
        Announcement(post_close, {"NSE_EQ": "CLOSING_START", "BSE_EQ": "CLOSING_START"}),
        Announcement(at(16, 0), {"NSE_EQ": "CLOSING_END", "BSE_EQ": "CLOSING_END"}),
    ]
    if with_auction:
        phases = ((15, 15, "CTS_CLOSE"), (15, 20, "CAS_LM_START"), (15, 25, "CAS_M_STOP"), (15, 29, "CAS_STOP"))
        planned += [Announcement(at(hour, minute), {}, closing_auction=status) for hour, minute, status in phases]
    planned.sort(key=lambda announcement: announcement.at_ms)
    futures = Hours(None, at(9, 15), futures_close, None, _FAR_MS, futures_close + 10_000)
    start_ms = at(9, 0) if begin is None else at(begin.hour, begin.minute)
    opened = begin is not None
    return SessionPlan(midnight_ms(at(12, 0)), start_ms, special, plain, futures, tuple(planned), opened=opened)
