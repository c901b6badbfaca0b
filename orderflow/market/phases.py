"""A trading day as a list of phases, the sessions in it, and the windows that candles are cut into.

A stock with derivatives, from 2026-08-03 (IST):

    09:00      09:08             09:15        15:15             15:35    15:50        16:00
      | pre_open | opening_auction | continuous | closing_auction |  closed | post_close |

A *session* is continuous trading that was scheduled in one piece. A halt interrupts it; what trades after the halt
still belongs to it. A day may hold several sessions, for example a Saturday drill on the disaster-recovery site:

    09:15        10:00   11:15      11:30        12:30
      | continuous |       | pre_open | continuous |
      '- session 1-'       '------ session 2 ------'

Times are epoch milliseconds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

from orderflow.market.times import MINUTE_MS

Phase = Literal["pre_open", "opening_auction", "continuous", "halt", "closing_auction", "post_close", "closed"]

CONTINUOUS: Final = "continuous"
OPENING_AUCTION: Final = "opening_auction"
CLOSING_AUCTION: Final = "closing_auction"
POST_CLOSE: Final = "post_close"
BEFORE_TRADING: Final = ("pre_open", OPENING_AUCTION)


class Span(NamedTuple):
    """One phase from `start_ms` to before `end_ms`; `session` numbers the day's sessions from 1."""

    phase: Phase
    start_ms: int
    end_ms: int
    session: int = 1


class Window(NamedTuple):
    """The time of one candle, from `start_ms` to before `end_ms`."""

    start_ms: int
    end_ms: int


@dataclass(frozen=True, slots=True)
class Session:
    """One session of one instrument. `spans` are all phases of its trading date, other sessions included.

    A date without trading has `start_ms` == `end_ms`. Without `spans`, each phase begins where the one before ends.
    """

    trading_date: str
    pre_open_start_ms: int
    start_ms: int
    end_ms: int
    closing_auction_end_ms: int
    post_close_end_ms: int
    spans: tuple[Span, ...] = ()

    def phase(self, at_ms: int) -> Phase:
        """Return the phase of the trading date at an instant."""
        if self.spans:
            return phase_at(self.spans, at_ms)
        if not self.pre_open_start_ms <= at_ms < self.post_close_end_ms:
            return "closed"
        if at_ms < self.start_ms:
            return "pre_open"
        if at_ms < self.end_ms:
            return CONTINUOUS
        return "closing_auction" if at_ms < self.closing_auction_end_ms else "post_close"

    @property
    def has_opening_auction(self) -> bool:
        """Return whether an auction may trade before this session's continuous trading."""
        before = (span for span in self.spans if self.pre_open_start_ms <= span.start_ms < self.start_ms)
        return any(span.phase in BEFORE_TRADING for span in before)


@dataclass(frozen=True, slots=True)
class Day:
    """One trading date of one group of instruments.

    `spans` are in order and do not overlap; what they leave out is closed. `source` says who forecasts it. When not
    `known`, no source covers the date: `spans` are then the group's usual hours, which hold only if the feed says that
    the market is open. `confirmed` says in words what the feed announced; empty when it announced nothing yet.
    """

    segment: str
    group: str
    trading_date: str
    midnight_ms: int
    spans: tuple[Span, ...]
    source: str
    known: bool = True
    note: str = ""
    confirmed: str = ""

    def phase(self, at_ms: int) -> Phase:
        """Return the phase at an instant."""
        return phase_at(self.spans, at_ms)

    def sessions(self) -> tuple[Session, ...]:
        """Return the day's sessions in order; empty on a date without continuous trading."""
        numbers = sorted({span.session for span in self.spans if span.phase == CONTINUOUS})
        return tuple(self._session(number) for number in numbers)

    def session(self, at_ms: int) -> Session:
        """Return the session that an instant belongs to: the last one whose pre-open has begun, else the first.

        On a date without continuous trading, every edge is its IST midnight, or its end while a pre-open runs.
        """
        sessions = self.sessions()
        if not sessions:
            edge = max((span.end_ms for span in self.spans if span.phase in BEFORE_TRADING), default=self.midnight_ms)
            first_ms = self.spans[0].start_ms if self.spans else self.midnight_ms
            return Session(self.trading_date, min(first_ms, edge), edge, edge, edge, edge, self.spans)
        begun = [session for session in sessions if session.pre_open_start_ms <= at_ms]
        return begun[-1] if begun else sessions[0]

    def _session(self, number: int) -> Session:
        own = [span for span in self.spans if span.session == number]
        trading = [span for span in own if span.phase == CONTINUOUS]
        end_ms = trading[-1].end_ms
        auctions = [span.end_ms for span in own if span.phase == "closing_auction" and span.start_ms >= end_ms]
        auction_end_ms = max(auctions, default=end_ms)
        return Session(
            self.trading_date,
            own[0].start_ms,
            trading[0].start_ms,
            end_ms,
            auction_end_ms,
            max(own[-1].end_ms, end_ms),
            self.spans,
        )


def phase_at(spans: Sequence[Span], at_ms: int) -> Phase:
    """Return the phase at an instant of spans that are in order."""
    for span in spans:
        if at_ms < span.end_ms:
            return span.phase if at_ms >= span.start_ms else "closed"
    return "closed"


def window(spans: Sequence[Span], at_ms: int, minutes: int) -> Window | None:
    """Return the window of `minutes` that an instant's volume belongs to; None where nothing trades.

    Windows are counted from the start of the session. A halt keeps that grid: a window ends where the last trading in
    it ends, and the window in which trading resumes starts on the grid, before the end of the halt. The auction before
    continuous trading, also after a halt, belongs to the window in which that trading begins. A closing auction is a
    window of its own.
    """
    at = next((index for index, span in enumerate(spans) if span.start_ms <= at_ms < span.end_ms), None)
    if at is None:
        return None
    current = spans[at]
    if current.phase == "closing_auction":
        return Window(current.start_ms, current.end_ms)
    if current.phase in BEFORE_TRADING:
        following = (span for span in spans[at + 1 :] if span.session == current.session and span.phase == CONTINUOUS)
        resumed = next(following, None)
        return None if resumed is None else window(spans, resumed.start_ms, minutes)
    if current.phase != CONTINUOUS:
        return None
    trading = [span for span in spans if span.session == current.session and span.phase == CONTINUOUS]
    start_ms = at_ms - (at_ms - trading[0].start_ms) % (minutes * MINUTE_MS)
    end_ms = start_ms + minutes * MINUTE_MS
    return Window(start_ms, max(min(span.end_ms, end_ms) for span in trading if span.start_ms < end_ms))


def window_start(spans: Sequence[Span], at_ms: int, minutes: int) -> int | None:
    """Return the start of the window that an instant's volume belongs to; None where nothing trades."""
    around = window(spans, at_ms, minutes)
    return None if around is None else around.start_ms


def windows(spans: Sequence[Span], minutes: int) -> tuple[Window, ...]:
    """Return every window of the day in order: those of continuous trading, and each closing auction."""
    by_start: dict[int, Window] = {}
    for span in spans:
        at_ms = span.start_ms
        while at_ms < span.end_ms:
            around = window(spans, at_ms, minutes) if span.phase in (CONTINUOUS, "closing_auction") else None
            if around is None:
                break
            by_start[around.start_ms] = around
            at_ms = max(around.start_ms + minutes * MINUTE_MS, around.end_ms) if span.phase == CONTINUOUS else span.end_ms
    return tuple(by_start[start_ms] for start_ms in sorted(by_start))
