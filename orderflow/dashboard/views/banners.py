"""Banners about the page's own data: pure functions of the feed's condition."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Literal

from orderflow.dashboard.state.freshness import OPEN_STATES, STALL_MS
from orderflow.dashboard.state.instrument import Instrument
from orderflow.dashboard.state.numbers import grouped
from orderflow.dashboard.state.store import Gap, Store
from orderflow.market.price_unit import decimals
from orderflow.market.times import IST

TOKEN_WARNING_MS: Final = 40 * 60_000
TROUBLE: Final = frozenset({"kafka", "token", "disconnected", "stalled", "streamer", "refused"})
AUCTION_PHASES: Final = frozenset({"pre_open", "opening_auction", "closing_auction"})
Level = Literal["info", "warning", "error"]


@dataclass(frozen=True, slots=True)
class Banner:
    """One message above the chart: its severity, a stable code, and what to do."""

    level: Level
    code: str
    text: str


def clock(time_ms: int) -> str:
    """Return a time of day in IST."""
    return datetime.fromtimestamp(time_ms / 1000, UTC).astimezone(IST).strftime("%H:%M:%S")


def day_and_clock(time_ms: int) -> str:
    """Return date and time in IST, for example Mon 15 Dec 09:15."""
    return datetime.fromtimestamp(time_ms / 1000, UTC).astimezone(IST).strftime("%a %d %b %H:%M")


def span(seconds: int) -> str:
    """Return a length of time in words: 45 s, 12 min, 9 h 16 min."""
    if seconds < 120:
        return f"{seconds} s"
    hours, minutes = divmod(seconds // 60, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"


def banners(store: Store, key: str, now_ms: int, next_open_ms: int | None = None, *, in_session: bool = False) -> list[Banner]:
    """Return the banners that apply now to one instrument of the running day, most severe first.

    `in_session` comes from the calendar: if the feed is silent during a session, its last status of a closed market is out of
    date.
    """
    shown: list[Banner] = []
    if store.source_error:
        shown.append(Banner("error", "kafka", f"No data from Kafka: {store.source_error}. Figures are as of the last update."))
    if store.token_trouble is not None:
        at_ms, cause = store.token_trouble
        if "expires in" in cause:
            if now_ms - at_ms < TOKEN_WARNING_MS:
                shown.append(Banner("warning", "token_expiring", _sentence(cause)))
        elif at_ms > store.last_event.get("connected", 0):
            shown.append(Banner("error", "token", f"No valid Upstox token: {cause}. Daily tokens expire at 03:30 IST."))
    instrument = store.instrument(key)
    auction = auction_banner(instrument, now_ms)
    status = store.segment_status.get(key.partition("|")[0])
    open_now = status is None or status in OPEN_STATES
    heard_ms = max(store.last_update_ms or 0, store.last_heartbeat_ms or 0)
    if not open_now and not (in_session and now_ms - heard_ms > STALL_MS):
        after = f" Next session {day_and_clock(next_open_ms)} IST." if next_open_ms is not None else ""
        otherwise = "Market closed" if auction is None else "Closing auction"
        words = {"PRE_OPEN_START": "Pre-open auction", "PRE_OPEN_END": "Pre-open auction over"}.get(status or "", otherwise)
        shown.append(Banner("info", "closed", f"{words}.{after}"))
        checked = None if instrument is None else checked_banner(store, instrument.date)
        return [*shown, *(banner for banner in (checked, auction) if banner is not None)]
    shown += _feed(store, key, now_ms)
    if not store.caught_up and not store.source_error:
        shown.append(Banner("info", "catching_up", "Reading the day so far from Kafka …"))
    return shown if auction is None else [*shown, auction]


def checked_banner(store: Store, date: str) -> Banner | None:
    """Return a banner with the result of the close of a stored day; None if it has not been closed."""
    closed = store.closed_days.get(date)
    if closed is None:
        return None
    at = day_and_clock(closed.at_ms)
    if not closed.sound:
        command = f"python -m orderflow lake verify --date {date}"
        return Banner("warning", "unsound", f"The stored day {date} is not sound (checked {at} IST). For details: {command}")
    done = [f"{grouped(rows)} rows of {table}" for table, rows in closed.corrected.items() if rows]
    corrected = f"; corrected: {', '.join(done)}" if done else ""
    return Banner("info", "sound", f"The stored day {date} is sound (checked {at} IST{corrected}).")


def auction_banner(instrument: Instrument | None, now_ms: int) -> Banner | None:
    """Return what the instrument's auction would match now; None when none runs, or its figures are old."""
    if instrument is None or instrument.quote.get("session_phase") not in AUCTION_PHASES:
        return None
    auction = instrument.auction
    if auction is None or now_ms - auction.received_ms > STALL_MS:
        return None
    parts = []
    if auction.price is not None:
        parts.append(f"indicative price {grouped(auction.price, decimals(instrument.key))}")
    if auction.quantity is not None:
        parts.append(f"quantity {grouped(auction.quantity)}")
    if auction.imbalance is not None:
        parts.append(f"imbalance {'+' if auction.imbalance > 0 else ''}{grouped(auction.imbalance)}")
    return Banner("info", "auction", f"Auction: {', '.join(parts)}.")


def _feed(store: Store, key: str, now_ms: int) -> list[Banner]:
    """Return banners for missing updates of an instrument, then for streamers of other instruments."""
    serving = store.streamers.serving(store.instrument(key))
    failing = store.streamers.failing(store.trading(), now_ms)
    shown: list[Banner] = []
    if serving is not None and serving.disconnected:
        since = clock(serving.lost_ms)
        shown.append(
            Banner("error", "disconnected", f"The feed has been disconnected since {since} IST; it reconnects by itself.")
        )
    elif store.last_update_ms is None:
        if store.caught_up:
            shown.append(Banner("info", "waiting", "Connected to Kafka; no update has arrived from the feed yet."))
    elif serving is not None and serving.update_ms and now_ms - serving.update_ms > STALL_MS:
        silence = span((now_ms - serving.update_ms) // 1000)
        dead = serving.heartbeat_ms and now_ms - serving.heartbeat_ms > STALL_MS
        more = " The streamer sends no heartbeat either: see its log." if dead else ""
        shown.append(Banner("warning", "stalled", f"Feed stalled: no update for {silence}. Prices shown are old.{more}"))
    elif (silent_ms := store.silence_ms(key, now_ms)) is not None:
        at = clock(now_ms - silent_ms)
        words = f"No update of this instrument for {span(silent_ms // 1000)}; its price is as of {at} IST. Others are updated."
        shown.append(Banner("info", "quiet", words))
    shown += [Banner("warning", "refused", f"Upstox refuses a connection: {cause}.") for cause in store.streamers.refusals()]
    mine = serving.name if serving is not None else None
    others = {name: count for name, count in failing.items() if name != mine}
    if others:
        names, count = ", ".join(sorted(others)), sum(others.values())
        of_all = f"{count} of {len(store.instruments)} instruments"
        shown.append(
            Banner("warning", "streamer", f"Streamer {names} sends nothing: prices of {of_all} are old, and grey in the list.")
        )
    return shown


def live_trouble(shown: list[Banner]) -> list[Banner]:
    """Return the running day's banners that a viewer of another day must see too, because alerts depend on the feed."""
    return [Banner(banner.level, banner.code, f"Live: {banner.text}") for banner in shown if banner.code in TROUBLE]


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:] + "."


def gap_banner(gaps: list[Gap], from_ms: int, to_ms: int) -> Banner | None:
    """Return a banner for gaps in the shown period, or None."""
    shown = [gap for gap in gaps if gap.to_ms > from_ms and gap.from_ms < to_ms]
    if not shown:
        return None
    last = shown[-1]
    span = f"{clock(last.from_ms)}–{clock(last.to_ms)} IST"
    volume = "" if last.volume is None else f", {grouped(last.volume)} traded meanwhile (unclassified)"
    more = "" if len(shown) == 1 else f" and {len(shown) - 1} more"
    return Banner("warning", "gap", f"Updates missed {span}{more}{volume}; shaded on the chart.")


def past_banners(store: Store, date: str, candles: int) -> list[Banner]:
    """Return the banners of a past day: that it is one, or why it shows nothing."""
    if store.source_error:
        return [Banner("error", "archive", f"{date} cannot be read from HDFS: {store.source_error}")]
    if not store.caught_up:
        return [Banner("info", "loading", f"Reading {date} from HDFS …")]
    if not candles and not store.replaying:
        return [Banner("warning", "empty", f"HDFS holds no candles of this instrument for {date}.")]
    return [Banner("info", "past", f"{'Replaying' if store.replaying else 'Showing'} {date} from HDFS, not live.")]
