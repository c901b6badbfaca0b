"""Finds the session of an instrument: the calendar's forecast, corrected by the feed's announcements.

`orderflow.market.calendar` forecasts the phases of a date, `orderflow.market.transitions` states how announcements
change them. The phase of a trade follows from its own time, so a trade at 15:29:59 that arrives after the close still
belongs to continuous trading. Times are epoch milliseconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from functools import lru_cache
from typing import Any, Final, Self

from orderflow.market import records
from orderflow.market.calendar import EquityCalendar, SessionCalendar, UpstoxCalendar
from orderflow.market.conformity import problem
from orderflow.market.contract import Contract
from orderflow.market.errors import DecodeError
from orderflow.market.phases import BEFORE_TRADING, CONTINUOUS, Day, Phase, Session, Span
from orderflow.market.tick import FeedUpdate
from orderflow.market.times import MINUTE_MS, ist_date
from orderflow.market.timetable import CLOSING_AUCTION_FROM, COMMODITY, EQUITY, Group, reference_group
from orderflow.market.transitions import NORMAL_OPEN, TOLERANCE_MS, Change, announced, confirmed, is_unscheduled

__all__ = [
    "CLOSING_AUCTION_FROM",
    "Day",
    "EquityCalendar",
    "Phase",
    "SegmentState",
    "Session",
    "SessionBook",
    "SessionCalendar",
    "Span",
    "UpstoxCalendar",
    "has_opening_auction",
    "segment_of",
]

STATE_VERSION: Final = 2
_MOST_CHANGES: Final = 64
"""Further changes of a segment on one date are ignored; a real segment changes about six times."""
_MOST_KEPT: Final = 256


@dataclass(frozen=True, slots=True)
class SegmentState:
    """The feed's announcements for one segment on `trading_date`.

    `changes` are the statuses in order, each other than the one before. `carried` says that the segment traded over
    midnight, `unscheduled` that it now trades beyond its forecast.
    """

    status: str | None = None
    trading_date: str = ""
    changes: tuple[Change, ...] = ()
    carried: bool = False
    unscheduled: bool = False

    def announce(self, status: str, at_ms: int, reference: Day) -> SegmentState:
        """Return the state after the feed said `status` at `at_ms`; `reference` forecasts the segment on that date."""
        state = self.on(reference.trading_date)
        if state.carried and self.trading_date != reference.trading_date and status != NORMAL_OPEN:
            state = SegmentState(trading_date=reference.trading_date)
        if status == state.status or len(state.changes) >= _MOST_CHANGES:
            return replace(state, status=status)
        changes = (*state.changes, Change(at_ms, status))
        unscheduled = is_unscheduled(announced(reference, changes, carried=state.carried))
        return replace(state, status=status, changes=changes, unscheduled=unscheduled)

    def open_since(self, at_ms: int, reference: Day) -> SegmentState:
        """Return the state after it was learned that the segment traded at `at_ms`, before its first status was heard.

        Only an unscheduled session began then: nothing that was scheduled may lie between.
        """
        first = self.changes[0] if self.changes else None
        if first is None or first.status != NORMAL_OPEN or not self.unscheduled or ist_date(at_ms) != self.trading_date:
            return self
        between = (span.start_ms < first.at_ms and at_ms < span.end_ms for span in reference.spans if span.phase == CONTINUOUS)
        if at_ms >= first.at_ms or any(between):
            return self
        return replace(self, changes=(Change(at_ms, NORMAL_OPEN), *self.changes[1:]))

    def on(self, trading_date: str) -> SegmentState:
        """Return the part of this state that applies to a date: all, only that the segment traded over midnight, or nothing."""
        if self.trading_date == trading_date:
            return self
        if self.status == NORMAL_OPEN and self.unscheduled and self.trading_date == _day_before(trading_date):
            return SegmentState(NORMAL_OPEN, trading_date, carried=True, unscheduled=True)
        return SegmentState(trading_date=trading_date)

    def to_record(self) -> dict[str, Any]:
        """Return a JSON-ready dict, as records.SEGMENT_STATE."""
        record = {name: getattr(self, name) for name in self.__slots__}
        return {"version": STATE_VERSION, **record, "changes": [change._asdict() for change in self.changes]}

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Self:
        """Rebuild from `to_record`'s dict, or version 1's, which names no version. Raises DecodeError on anything else."""
        if "version" not in record:
            return cls._from_version_1(record)
        wrong = problem(records.SEGMENT_STATE, record, exact=True)
        if wrong is None and record["version"] != STATE_VERSION:
            wrong = f"version is {record['version']}, not {STATE_VERSION}"
        if wrong is None:
            times = [change["at_ms"] for change in record["changes"]]
            if times != sorted(times) or any(ist_date(at_ms) != record["trading_date"] for at_ms in times):
                wrong = "changes are not in order, or not of trading_date"
        if wrong is not None:
            raise DecodeError("bad_state", wrong)
        changes = tuple(Change(**change) for change in record["changes"])
        return cls(**{name: value for name, value in record.items() if name != "version"} | {"changes": changes})

    @classmethod
    def _from_version_1(cls, record: Mapping[str, Any]) -> Self:
        """Convert the moved session edges of version 1 to announcements; the feed's next status corrects the rest."""
        wrong = problem(records.SEGMENT_STATE_1, record, exact=True)
        if wrong is not None:
            raise DecodeError("bad_state", wrong)
        edges = [Change(record["opened_ms"], NORMAL_OPEN)] if record["opened_ms"] is not None else []
        edges += [Change(record["closed_ms"], "NORMAL_CLOSE")] if record["closed_ms"] is not None else []
        of_date = [change for change in sorted(edges) if ist_date(change.at_ms) == record["trading_date"]]
        settled = not (record["extended"] or record["waiting"])
        return cls(record["status"] if settled else None, record["trading_date"], tuple(of_date))


@dataclass(slots=True)
class SessionBook:
    """Keep the announcements of every segment and answer which session an instrument is in.

    `closing_auction_keys` are stocks that close by auction: those with derivatives, by the master or by the feed's
    `casEligible`. `contracts` has the master's data of other instruments. `listings` are (key, date) of shares with a
    special pre-open. With `status_made_up`, announcements were invented by the recording program: they are kept as the
    status and change no session.
    """

    calendar: SessionCalendar
    closing_auction_keys: frozenset[str] = frozenset()
    segments: dict[str, SegmentState] = field(default_factory=dict)
    contracts: Mapping[str, Contract] = field(default_factory=dict)
    status_made_up: bool = False
    listings: set[tuple[str, str]] = field(default_factory=set)
    _days: dict[tuple[str, str, Group], Day] = field(default_factory=dict)
    _in_force: dict[str, tuple[int, Session]] = field(default_factory=dict)

    def announce(self, statuses: Mapping[str, str], at_ms: int) -> tuple[tuple[str, str | None, str], ...]:
        """Apply one `segmentStatus`; return the changes as (segment, before, after)."""
        changes: list[tuple[str, str | None, str]] = []
        self._forget()
        trading_date = ist_date(at_ms)
        for segment, status in sorted(statuses.items()):
            before = self.segments.get(segment, SegmentState())
            if self.status_made_up:
                self.segments[segment] = SegmentState(status, trading_date)
            else:
                self.segments[segment] = before.announce(status, at_ms, self.calendar.day(segment, trading_date))
            if before.status != status:
                changes.append((segment, before.status, status))
        return tuple(changes)

    def renew(self, calendar: SessionCalendar, closing_auction_keys: frozenset[str], contracts: Mapping[str, Contract]) -> None:
        """Replace calendar and master; the feed's announcements are kept."""
        self.calendar, self.contracts = calendar, contracts
        self.closing_auction_keys |= closing_auction_keys
        self._forget()

    def announce_listing(self, instrument_key: str, trading_date: str) -> None:
        """Record that a share has a special pre-open on a date: it then trades from 10:00."""
        self.listings.add((instrument_key, trading_date))
        self._forget()

    def recall_listing(self, instrument_key: str, trading_date: str, start_ms: int) -> None:
        """Note a listing that an earlier run saw: it stored a start of trading, `start_ms`, that only a listing has."""
        segment = segment_of(instrument_key)
        if segment in EQUITY and trading_date:
            starts = {
                group: [each.start_ms for each in self.calendar.day(segment, trading_date, group).sessions()[:1]]
                for group in ("stock", "listing")
            }
            if starts["listing"] == [start_ms] != starts["stock"]:
                self.announce_listing(instrument_key, trading_date)

    def announce_auction(self, instrument_key: str, at_ms: int) -> None:
        """Record that a share that has not traded yet has an indicative price at `at_ms`.

        While other shares trade, that is the special pre-open of a listing.
        """
        segment, trading_date = segment_of(instrument_key), ist_date(at_ms)
        if segment in EQUITY and self.day(instrument_key, trading_date).phase(at_ms - TOLERANCE_MS) == CONTINUOUS:
            listing = self.calendar.day(segment, trading_date, "listing")
            if listing.phase(at_ms) in BEFORE_TRADING:
                self.announce_listing(instrument_key, trading_date)

    def announce_minute(self, instrument_key: str, at_ms: int) -> bool:
        """Note that the exchange has a minute of today that begins at `at_ms`; return whether that moves a session's start."""
        segment, state = segment_of(instrument_key), self.segments.get(segment_of(instrument_key))
        if state is None:
            return False
        moved = state.open_since(at_ms, self.calendar.day(segment, state.trading_date))
        if moved == state:
            return False
        self.segments[segment] = moved
        self._forget()
        return True

    def announce_trade(self, instrument_key: str, at_ms: int) -> None:
        """Note the time of a share's last trade: nothing trades while orders are entered, so it may have no special pre-open."""
        if not self.listings:
            return
        segment, trading_date = segment_of(instrument_key), ist_date(at_ms)
        if (instrument_key, trading_date) in self.listings:
            stock, listing = (self.calendar.day(segment, trading_date, group) for group in ("stock", "listing"))
            if stock.phase(at_ms) == CONTINUOUS and listing.phase(at_ms) == "pre_open":
                self.listings.discard((instrument_key, trading_date))
                self._forget()

    def announce_closing_auction(self, instrument_key: str) -> None:
        """Record that a share closes by auction, whatever the master says: its continuous trading then ends at 15:15."""
        if instrument_key not in self.closing_auction_keys and segment_of(instrument_key) in EQUITY:
            self.closing_auction_keys |= {instrument_key}
            self._forget()

    def session_of(self, update: FeedUpdate, *, has_traded: bool) -> Session:
        """Return an update's session, after evaluating what the update shows about auctions of its share.

        `has_traded` says that the share has traded since the session began.
        """
        key = update.instrument_key
        if update.closes_by_auction:
            self.announce_closing_auction(key)
        if update.indicative_price is not None and not has_traded:
            self.announce_auction(key, update.feed_time_ms)
        if update.ltt_ms is not None:
            self.announce_trade(key, update.ltt_ms)
        return self.session(key, update.feed_time_ms)

    def session(self, instrument_key: str, at_ms: int) -> Session:
        """Return the session of the instrument in force at the feed's time `at_ms`."""
        minute = at_ms // MINUTE_MS
        in_force = self._in_force.get(instrument_key)
        if in_force is None or in_force[0] != minute:
            start_ms = minute * MINUTE_MS
            session = self.day(instrument_key, ist_date(start_ms)).session(start_ms)
            in_force = self._in_force[instrument_key] = (minute, session)
        return in_force[1]

    def day(self, instrument_key: str, trading_date: str) -> Day:
        """Return a date's phases for an instrument, as forecast and as announced so far."""
        segment, group = segment_of(instrument_key), self.group(instrument_key, trading_date)
        wanted = (segment, trading_date, group)
        if wanted not in self._days:
            if len(self._days) >= _MOST_KEPT:
                self._days.clear()
            forecast = self.calendar.day(segment, trading_date, group)
            state = self.segments.get(segment, SegmentState()).on(trading_date)
            reference = self.calendar.day(segment, trading_date)
            self._days[wanted] = confirmed(forecast, reference, state.changes, carried=state.carried)
        return self._days[wanted]

    def group(self, instrument_key: str, trading_date: str) -> Group:
        """Return the group of instruments whose hours apply to an instrument on a date."""
        if (instrument_key, trading_date) in self.listings:
            return "listing"
        if instrument_key in self.closing_auction_keys:
            return "stock_with_derivatives"
        contract = self.contracts.get(instrument_key)
        return reference_group(segment_of(instrument_key)) if contract is None else contract.group_on(trading_date)

    def status(self, instrument_key: str) -> str | None:
        """Return the last status announced for the instrument's segment."""
        state = self.segments.get(segment_of(instrument_key))
        return None if state is None else state.status

    def _forget(self) -> None:
        self._days.clear()
        self._in_force.clear()


def has_opening_auction(instrument_key: str) -> bool:
    """Return whether an opening auction trades before the continuous session of the instrument's segment on every day."""
    return segment_of(instrument_key) in EQUITY


@lru_cache(maxsize=8192)
def may_trade_below_zero(instrument_key: str) -> bool:
    """Return whether the exchange allows prices below zero: for commodities (MCX crude oil settled at -2,884 in April 2020)."""
    return segment_of(instrument_key) in COMMODITY


def segment_of(instrument_key: str) -> str:
    """Return the segment of an Upstox key: `NSE_EQ|INE467B01029` is of `NSE_EQ`."""
    return instrument_key.partition("|")[0]


def _day_before(trading_date: str) -> str:
    return (date.fromisoformat(trading_date) - timedelta(days=1)).isoformat()
