"""Infers the trade behind each update: a pure function of the previous state of one instrument and the update.

Rules (design: Semantics, Trade inference):

- `traded_volume` is the rise of vtt since the previous update of the same session; None with no baseline, 0 without a new
  trade or out of order. An update without a usable ltt infers nothing: its volume comes with the next one's.
- Before continuous trading vtt may be indicative: nothing is inferred from it. The day's baseline is the last vtt seen in
  the buffer period that ends when continuous trading starts, or before it once the opening auction has matched (ltt is then of
  that day), or 0 where there is no such auction; else the first vtt seen after.
- `event_time` is ltt where a trade was inferred, else the feed's clock. A trade that spans an outage is booked at
  max(ltt, feed clock - half the watermark): earlier it would be dropped as late; but not beyond the end of the continuous
  session that ltt lies in. An ltt before the previous one is taken as it is, but does not bound anything.
- Every tick carries the previous update's quote, feed time and ltt, so that it can be classified by itself.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from orderflow.market import records
from orderflow.market.bar_chain import BarChain
from orderflow.market.conformity import MOST_PRICE, MOST_VOLUME, problem
from orderflow.market.errors import DecodeError
from orderflow.market.session import has_opening_auction
from orderflow.market.tick import Bar, DayBar, FeedUpdate, Level, Tick, ist_date

if TYPE_CHECKING:
    from orderflow.market.session import Session

_NO_CHAIN: Final = BarChain()
CONTINUOUS: Final = "continuous"
CLOSING_AUCTION: Final = "closing_auction"
BUFFER_MS: Final = 180_000
"""NSE ends pre-open matching three minutes before continuous trading; from then on vtt is what really traded."""


@dataclass(frozen=True, slots=True)
class InstrumentState:
    """What must be remembered of an instrument between two updates; JSON on the compacted state topic."""

    instrument_key: str
    trading_date: str = ""
    sequence: int = 0
    vtt: int | None = None
    ltp: float | None = None
    ltt_ms: int | None = None
    bid: float | None = None
    ask: float | None = None
    bid_quantity: int | None = None
    ask_quantity: int | None = None
    feed_time_ms: int | None = None
    tick_direction: int = 0
    in_session: bool = False
    bar_start_ms: int | None = None
    day_bar: DayBar | None = None
    chain: BarChain = _NO_CHAIN

    def to_record(self) -> dict[str, Any]:
        """Return a JSON-ready dict."""
        record = {name: getattr(self, name) for name in self.__slots__}
        record["day_bar"] = list(self.day_bar) if self.day_bar else None
        record["chain"] = self.chain.to_record()
        return record

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> InstrumentState:
        """Rebuild from `to_record`'s dict. Raises DecodeError on anything else, and on numbers that cannot be true."""
        day_bar = record.get("day_bar")
        if isinstance(day_bar, list) and len(day_bar) == len(DayBar._fields):
            record = {**record, "day_bar": dict(zip(DayBar._fields, day_bar, strict=True))}
        wrong = problem(records.INSTRUMENT_STATE, record, exact=True) or _absurd(record)
        if wrong is not None:
            raise DecodeError("bad_state", wrong)
        return cls(
            **{
                **record,
                "day_bar": DayBar(**record["day_bar"]) if record["day_bar"] else None,
                "chain": BarChain.from_record(record["chain"]),
            }
        )


class Event(NamedTuple):
    """Something the gap ledger should know: out_of_order, duplicate or gap."""

    event: str
    from_ms: int | None
    to_ms: int | None
    volume: int | None


class Inference(NamedTuple):
    """The state after the update, the tick to publish, and events for the ledger."""

    state: InstrumentState
    tick: Tick
    events: tuple[Event, ...]


def infer(
    state: InstrumentState,
    update: FeedUpdate,
    session: Session,
    segment_status: str | None = None,
    *,
    after_gap: bool = False,
    watermark_ms: int = 120_000,
) -> Inference:
    """Return the next state and the tick for one update of one instrument.

    `session` is the trading session of the update's feed time; `after_gap` says that updates may have been missed since
    the previous one. Updates must come in the order of their receipt. Nothing is raised: input is decoded and sane.
    """
    if state.trading_date != session.trading_date:
        state = InstrumentState(state.instrument_key, session.trading_date, ltp=state.ltp)
    events: list[Event] = []
    started = update.ltt_ms is not None and update.ltt_ms >= session.start_ms
    out_of_order = update.vtt is not None and state.in_session and state.vtt is not None and update.vtt < state.vtt
    traded = _traded_volume(state, update, session, started)
    has_trade = bool(traded) or (update.vtt is None and started and update.ltt_ms != state.ltt_ms)
    gap = after_gap and bool(traded)
    event_time_ms = update.feed_time_ms
    if has_trade and update.ltt_ms is not None:
        event_time_ms = update.ltt_ms
        if gap:
            event_time_ms = max(event_time_ms, update.feed_time_ms - watermark_ms // 2)
            if update.ltt_ms < session.end_ms:
                event_time_ms = min(event_time_ms, session.end_ms - 1)
    phase = session.phase(event_time_ms)
    if out_of_order:
        events.append(Event("out_of_order", state.feed_time_ms, update.feed_time_ms, None))
    elif gap:
        events.append(Event("gap", state.feed_time_ms, update.feed_time_ms, traded))

    direction = state.tick_direction
    if not out_of_order and update.ltp is not None and state.ltp is not None and update.ltp != state.ltp:
        direction = 1 if update.ltp > state.ltp else -1

    chain, bar = _chain(state, update, session, out_of_order, after_gap, watermark_ms)
    (bid, bid_quantity), (ask, ask_quantity) = _best(update.bid), _best(update.ask)
    tick = Tick(
        schema_version=records.SCHEMA_VERSION,
        instrument_key=update.instrument_key,
        kind=update.kind,
        sequence=state.sequence + 1,
        feed_time_ms=update.feed_time_ms,
        received_time_ms=update.received_time_ms,
        event_time_ms=event_time_ms,
        trading_date=session.trading_date,
        ltp=update.ltp,
        ltt_ms=update.ltt_ms,
        ltq=update.ltq,
        close_price=update.close_price,
        vtt=update.vtt,
        atp=update.atp,
        oi=update.oi,
        iv=update.iv,
        tbq=update.tbq,
        tsq=update.tsq,
        bid=update.bid,
        ask=update.ask,
        greeks=update.greeks,
        bar=bar,
        day_bar=update.day_bar if update.day_bar != state.day_bar else None,
        segment_status=segment_status,
        session_phase=phase,
        session_start_ms=session.start_ms,
        session_end_ms=session.end_ms,
        traded_volume=traded,
        prev_bid=state.bid,
        prev_ask=state.ask,
        prev_bid_quantity=state.bid_quantity,
        prev_ask_quantity=state.ask_quantity,
        prev_feed_time_ms=state.feed_time_ms,
        prev_ltt_ms=state.ltt_ms,
        tick_direction=direction,
        gap=gap,
        auction=phase != CONTINUOUS and bool(traded),
    )
    if out_of_order:
        return Inference(replace(state, sequence=tick.sequence), tick, tuple(events))
    after = InstrumentState(
        instrument_key=state.instrument_key,
        trading_date=state.trading_date,
        sequence=tick.sequence,
        vtt=state.vtt if update.vtt is None or (update.ltt_ms is None and state.vtt) else update.vtt,
        ltp=update.ltp if update.ltp is not None else state.ltp,
        ltt_ms=max(update.ltt_ms or 0, state.ltt_ms or 0) or None,
        bid=bid if update.bid or update.ask else state.bid,
        ask=ask if update.bid or update.ask else state.ask,
        bid_quantity=bid_quantity if update.bid or update.ask else state.bid_quantity,
        ask_quantity=ask_quantity if update.bid or update.ask else state.ask_quantity,
        feed_time_ms=update.feed_time_ms,
        tick_direction=direction,
        in_session=state.in_session or started,
        bar_start_ms=bar.start_ms if bar else state.bar_start_ms,
        day_bar=update.day_bar or state.day_bar,
        chain=chain,
    )
    if update.kind != "snapshot" and _repeats(state, after):
        events.append(Event("duplicate", state.feed_time_ms, update.feed_time_ms, None))
    return Inference(after, tick, tuple(events))


def _traded_volume(state: InstrumentState, update: FeedUpdate, session: Session, started: bool) -> int | None:
    if update.vtt is None or state.vtt is None or not started:
        return None
    if not state.in_session and not _is_baseline(state, session):
        return None
    if update.vtt < state.vtt:
        return 0 if state.in_session else None
    return update.vtt - state.vtt


def _is_baseline(state: InstrumentState, session: Session) -> bool:
    """Say whether the vtt kept from before continuous trading really traded."""
    if state.feed_time_ms is not None and state.feed_time_ms >= session.start_ms - BUFFER_MS:
        return True
    if state.ltt_ms is not None and ist_date(state.ltt_ms) == session.trading_date:
        return True
    return state.vtt == 0 and not has_opening_auction(state.instrument_key)


def _chain(
    state: InstrumentState, update: FeedUpdate, session: Session, out_of_order: bool, after_gap: bool, watermark_ms: int
) -> tuple[BarChain, Bar | None]:
    """Add the update's bounds, then its bar when new; the bar comes back with its place on the vtt axis.

    A bar is `late` when its end is older than three quarters of the watermark: the live candle may be final by then.
    """
    chain, bar = state.chain._replace(strict=state.chain.strict or after_gap), update.minute_bar
    if out_of_order:
        return chain, None
    if update.vtt is not None and update.ltt_ms is not None and max(session.start_ms, state.ltt_ms or 0) <= update.ltt_ms:
        chain = chain.observe(update.ltt_ms, update.vtt, update.ltq or 0)
    if bar is None or bar.start_ms == state.bar_start_ms or not session.start_ms <= bar.start_ms < session.end_ms:
        return chain, None
    if state.bar_start_ms is not None and bar.start_ms < state.bar_start_ms:
        return chain, None
    oldest_live_ms = update.feed_time_ms - watermark_ms * 3 // 4
    late = bar.end_ms < oldest_live_ms
    if update.vtt is None or bar.volume is None:
        return chain, bar._replace(late=late)
    chain, (close_vtt, opens) = chain.add(bar, update.vtt, late=late)
    open_vtt = close_vtt - bar.volume if close_vtt is not None and opens and bar.start_ms >= oldest_live_ms else None
    return chain, bar._replace(close_vtt=close_vtt, open_vtt=open_vtt, late=late)


def _absurd(state: dict[str, Any]) -> str | None:
    """Return which number of a state's record cannot be true: with it, ticks would be rejected, or taken for old ones."""
    at_ms = state["feed_time_ms"]
    if state["trading_date"] != ("" if at_ms is None else ist_date(at_ms)):
        return "trading_date is not that of feed_time_ms"
    for name in ("sequence", "vtt", "bid_quantity", "ask_quantity"):
        if not 0 <= (state[name] or 0) <= MOST_VOLUME:
            return f"{name} is {state[name]}"
    for name in ("ltp", "bid", "ask"):
        if state[name] is not None and not 0 < state[name] < MOST_PRICE:
            return f"{name} is {state[name]}"
    return None if -1 <= state["tick_direction"] <= 1 else f"tick_direction is {state['tick_direction']}"


def _best(levels: tuple[Level, ...]) -> tuple[float | None, int | None]:
    return (levels[0].price, levels[0].quantity) if levels else (None, None)


def _repeats(before: InstrumentState, after: InstrumentState) -> bool:
    """Say whether nothing that inference looks at has changed (the feed repeats itself in 7-13 % of messages)."""
    return (
        before.sequence > 0
        and before.vtt == after.vtt
        and before.ltp == after.ltp
        and before.ltt_ms == after.ltt_ms
        and before.bid == after.bid
        and before.ask == after.ask
    )
