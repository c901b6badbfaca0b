"""How the feed's announcements change a forecast: explicit transitions of one segment on one trading date.

The forecast stands unless an announcement contradicts it:

1. *On time.* A status that agrees with the forecast, early or late, changes nothing: a session begins when it was
   scheduled. NORMAL_OPEN may come minutes late, after a reconnect; PRE_OPEN_START may come half a second early.
2. *Halt.* NORMAL_CLOSE inside continuous trading stops it. NORMAL_OPEN resumes it, also beyond the scheduled end: what
   trades then still belongs to the session, whose start stays. PRE_OPEN_START or PRE_OPEN_END meanwhile begin the
   pre-open of the reopening.
3. *Delay.* PRE_OPEN_START or PRE_OPEN_END that comes after the scheduled start, before any NORMAL_OPEN of that date,
   means that the market has yet to open: the session begins with NORMAL_OPEN.
4. *Unscheduled.* NORMAL_OPEN outside the forecast's hours opens the market until NORMAL_CLOSE, or to the end of that
   IST date, and then from midnight on. It is a session of its own unless the session before continues: one that was
   halted, one that was unscheduled as well, one whose close is withdrawn within a minute, or the scheduled one when no
   other status was heard.
5. The first status heard on a date says whether the market is open, not when it opened. From an hour before a scheduled
   pre-open on, NORMAL_OPEN moves the start only when it is a change of status.

Each group's forecast says which instruments trade at all: a halt stops those that would trade, an unscheduled opening
opens all.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Final, NamedTuple

from orderflow.market.phases import BEFORE_TRADING, CONTINUOUS, Day, Phase, Span
from orderflow.market.times import DAY_MS, IST_OFFSET_MS, MINUTE_MS, ist_clock

PRE_OPEN: Final = ("PRE_OPEN_START", "PRE_OPEN_END")
NORMAL_OPEN: Final = "NORMAL_OPEN"
NORMAL_CLOSE: Final = "NORMAL_CLOSE"
CLOSING: Final = (NORMAL_CLOSE, "CLOSING_START", "CLOSING_END")

TOLERANCE_MS: Final = MINUTE_MS
"""An announcement at most this far from a scheduled edge is the announcement of that edge."""

_DOUBTED_MS: Final = 60 * MINUTE_MS
_JITTER_MS: Final = 5_000


class Change(NamedTuple):
    """A segment's status from `at_ms` (feed time) on."""

    at_ms: int
    status: str


class Override(NamedTuple):
    """`phase` from `start_ms` to before `end_ms`: in place of the phase `over`, or of everything when that is None."""

    phase: Phase
    start_ms: int
    end_ms: int
    session: int
    over: Phase | None


def confirmed(day: Day, reference: Day, changes: Sequence[Change], *, carried: bool = False) -> Day:
    """Return a group's day after the feed's changes of its segment.

    `day` is the group's forecast and `reference` that of the segment's reference group for the same date; `changes`
    are in order, each with another status than the one before. `carried` says that the segment was open over midnight.
    """
    if not changes and not carried:
        return day
    overrides = announced(reference, changes, carried=carried)
    spans = _numbered(_painted(day.spans, overrides)) if overrides else day.spans
    opened = carried or any(change.status not in CLOSING for change in changes)
    words = ["open since the day before"] if carried else []
    words += [f"{change.status} {ist_clock(change.at_ms)}" for change in changes]
    return replace(day, spans=spans, known=day.known or opened, confirmed=", ".join(words))


def announced(reference: Day, changes: Sequence[Change], *, carried: bool = False) -> tuple[Override, ...]:
    """Return the changes that contradict the forecast, the later ones last."""
    timeline = _Timeline(reference)
    before: str | None = None
    if carried:
        timeline.begin(CONTINUOUS, reference.midnight_ms, 1)
        timeline.opened, before = True, NORMAL_OPEN
    for at_ms, status in changes:
        if status == NORMAL_OPEN:
            timeline.open(at_ms, before)
        elif status in PRE_OPEN:
            timeline.pre_open(at_ms, status, before)
        elif status in CLOSING:
            timeline.close(at_ms, status)
        before = status
    return tuple(timeline.all())


class _Timeline:
    """The forecast of a segment's reference group, and the announcements so far that contradict it."""

    def __init__(self, forecast: Day) -> None:
        self.opened = False
        """NORMAL_OPEN was heard on this date."""
        self._forecast = forecast
        self._done: list[Override] = []
        self._current: Override | None = None
        """Holds until the next announcement."""
        self._ended: Override | None = None
        """The unscheduled session that closed last."""
        self._closed_ms: int | None = None
        """When NORMAL_CLOSE was received, if that was the last status."""

    def all(self) -> list[Override]:
        """Return the overrides in order of their announcement."""
        return [*self._done, self._current] if self._current is not None else list(self._done)

    def begin(self, phase: Phase, at_ms: int, session: int, *, over: Phase | None = None) -> None:
        """Let a phase hold from an instant on."""
        self._current = Override(phase, at_ms, self._forecast.midnight_ms + DAY_MS, session, over)

    def open(self, at_ms: int, before: str | None) -> None:
        """Take NORMAL_OPEN; `before` is the date's status before it."""
        opens_ms = _edge(at_ms)
        current, closed_ms = self._current, self._closed_ms
        withdrawn = closed_ms is not None and at_ms - closed_ms < TOLERANCE_MS
        self.opened, self._closed_ms = True, None
        if current is not None and current.phase == CONTINUOUS:
            return
        self._finish(opens_ms)
        if self._agrees(at_ms, withdrawn):
            return
        starting = self._about_to_start(at_ms)
        if starting is not None and current is None:
            if before is not None:
                self.begin(CONTINUOUS, opens_ms, starting.session)
        elif current is not None:
            self.begin(CONTINUOUS, opens_ms, current.session)
        elif withdrawn or before is None:
            session = self._latest_session(at_ms) if self._ended is None else self._unscheduled_session(opens_ms)
            self.begin(CONTINUOUS, opens_ms, session)
        else:
            self.begin(CONTINUOUS, opens_ms, self._unscheduled_session(opens_ms))

    def pre_open(self, at_ms: int, status: str, before: str | None) -> None:
        """Take PRE_OPEN_START or PRE_OPEN_END."""
        phase: Phase = "pre_open" if status == "PRE_OPEN_START" else "opening_auction"
        starts_ms, current, scheduled = _edge(at_ms), self._current, self._forecast.phase(at_ms)
        self._finish(starts_ms)
        self._closed_ms = None
        if current is not None and current.phase != CONTINUOUS:
            self.begin(phase, starts_ms, current.session, over=current.over if scheduled == CONTINUOUS else None)
        elif scheduled == "pre_open" and phase == "opening_auction":
            self._match(at_ms)
        elif scheduled == CONTINUOUS:
            span = self._span(at_ms)
            if at_ms >= span.start_ms + TOLERANCE_MS:
                delayed = not self.opened and before in PRE_OPEN
                self.begin(phase, span.start_ms if delayed else starts_ms, span.session, over=CONTINUOUS)
        elif scheduled not in BEFORE_TRADING and not self._is_before_a_start(at_ms):
            self.begin(phase, starts_ms, self._unscheduled_session(starts_ms))

    def close(self, at_ms: int, status: str) -> None:
        """Take NORMAL_CLOSE, or a status of the closing session, which ends unscheduled trading only."""
        closes_ms, current = _edge(at_ms, closing=True), self._current
        if current is not None and current.phase == CONTINUOUS:
            self._finish(closes_ms)
            self._closed_ms = at_ms
            if any(span.start_ms >= closes_ms - TOLERANCE_MS for span in self._forecast.spans if span.phase == CONTINUOUS):
                self._done = [done._replace(session=0) if done.start_ms == current.start_ms else done for done in self._done]
            else:
                self._ended = current._replace(end_ms=closes_ms)
            return
        if status != NORMAL_CLOSE:
            return
        self._closed_ms = at_ms
        if current is None and self._forecast.phase(at_ms) == CONTINUOUS:
            span = self._span(at_ms)
            not_yet_open = not self.opened and at_ms < span.start_ms + TOLERANCE_MS
            if not not_yet_open and at_ms < span.end_ms - TOLERANCE_MS:
                self.begin("halt", closes_ms, span.session, over=CONTINUOUS)

    def _match(self, at_ms: int) -> None:
        """Take PRE_OPEN_END in a pre-open for which no time of matching is forecast."""
        at = next(index for index, span in enumerate(self._forecast.spans) if span.start_ms <= at_ms < span.end_ms)
        span, following = self._forecast.spans[at : at + 2]
        if following.phase == CONTINUOUS:
            self._done.append(Override("opening_auction", _edge(at_ms), span.end_ms, span.session, "pre_open"))

    def _finish(self, at_ms: int) -> None:
        """End the present override; drop it if it would end before its start."""
        if self._current is not None and self._current.start_ms < at_ms:
            self._done.append(self._current._replace(end_ms=at_ms))
        self._current = None

    def _agrees(self, at_ms: int, withdrawn: bool) -> bool:
        """Return whether the market is open at an instant by the forecast, within the tolerance."""
        after_ms = 0 if withdrawn else TOLERANCE_MS
        trading = (span for span in self._forecast.spans if span.phase in (CONTINUOUS, "closing_auction"))
        return any(span.start_ms - TOLERANCE_MS <= at_ms < span.end_ms + after_ms for span in trading)

    def _about_to_start(self, at_ms: int) -> Span | None:
        """Return the scheduled start that an instant precedes: from an hour before its pre-open on."""
        for span in self._forecast.spans:
            if span.phase == CONTINUOUS and at_ms < span.start_ms:
                first_ms = min(other.start_ms for other in self._forecast.spans if other.session == span.session)
                return span if first_ms <= at_ms + _DOUBTED_MS else None
        return None

    def _is_before_a_start(self, at_ms: int) -> bool:
        return any(span.phase == CONTINUOUS and at_ms < span.start_ms for span in self._forecast.spans)

    def _latest_session(self, at_ms: int) -> int:
        begun = [span.session for span in self._forecast.spans if span.phase == CONTINUOUS and span.start_ms <= at_ms]
        return begun[-1] if begun else 1

    def _unscheduled_session(self, at_ms: int) -> int:
        """Return the number of an unscheduled session; if a session was open before, that one was halted and now continues."""
        ended, self._ended = self._ended, None
        if ended is not None:
            if ended.end_ms < at_ms:
                self._done.append(Override("halt", ended.end_ms, at_ms, ended.session, None))
            return ended.session
        scheduled = [span.session for span in self._forecast.spans]
        return 1 + max([0, *scheduled, *(done.session for done in self._done)])

    def _span(self, at_ms: int) -> Span:
        return next(span for span in self._forecast.spans if span.start_ms <= at_ms < span.end_ms)


def is_unscheduled(overrides: Sequence[Override]) -> bool:
    """Return whether the segment trades beyond its forecast until something else is announced."""
    return bool(overrides) and overrides[-1].phase == CONTINUOUS and (overrides[-1].end_ms + IST_OFFSET_MS) % DAY_MS == 0


def _edge(at_ms: int, *, closing: bool = False) -> int:
    """Return the minute that an announcement means: one at most 5 s away, else where it opens, or after it closes."""
    over_ms = at_ms % MINUTE_MS
    if over_ms <= _JITTER_MS:
        return at_ms - over_ms
    later = closing or over_ms >= MINUTE_MS - _JITTER_MS
    return at_ms - over_ms + (MINUTE_MS if later else 0)


def _painted(spans: Sequence[Span], overrides: Iterable[Override]) -> tuple[Span, ...]:
    for override in overrides:
        spans = _with(spans, override)
    return tuple(spans)


def _with(spans: Sequence[Span], override: Override) -> list[Span]:
    """Return spans with one override put over them."""
    phase, start_ms, end_ms, session, over = override
    changed: list[Span] = [Span(phase, start_ms, end_ms, session)] if over is None else []
    for span in spans:
        if span.end_ms <= start_ms or end_ms <= span.start_ms or over not in (None, span.phase):
            changed.append(span)
            continue
        changed.append(span._replace(end_ms=start_ms))
        changed.append(span._replace(start_ms=end_ms))
        if over is not None:
            changed.append(span._replace(phase=phase, start_ms=max(start_ms, span.start_ms), end_ms=min(end_ms, span.end_ms)))
    return sorted((span for span in changed if span.start_ms < span.end_ms), key=lambda span: span.start_ms)


def _numbered(spans: Sequence[Span]) -> tuple[Span, ...]:
    """Return spans with what continues joined, and the sessions numbered in order from 1."""
    joined: list[Span] = []
    for span in spans:
        if joined and joined[-1].end_ms == span.start_ms and joined[-1][0::3] == span[0::3]:
            joined[-1] = joined[-1]._replace(end_ms=span.end_ms)
        else:
            joined.append(span)
    numbers = {session: number for number, session in enumerate(dict.fromkeys(span.session for span in joined), 1)}
    return tuple(span._replace(session=numbers[span.session]) for span in joined)
