"""Infers the trade behind each update: a pure function of the previous state of one instrument and the update.

Rules (design: Semantics, Trade inference):

- `traded_volume` is the rise of vtt since it was last counted; None with no baseline, 0 without a new trade or out of
order. Nothing is inferred from an update without a usable ltt or ltp: its volume is added to the next one's. The same
holds for an implausibly high volume, unless another update confirms it (`orderflow.market.volume`). - Before continuous
trading vtt may be indicative: nothing is inferred from it. A vtt whose last trade is of another day means that nothing
has traded today. The day's baseline is the last vtt seen in the buffer period that ends when continuous trading starts,
or before it once the opening auction has matched; 0 if there is no such auction; else the first vtt seen afterwards. On
a day of several sessions only the first has a baseline: from then on all volume counts, also that of a later session's
auction. - `event_time` is ltt where a trade was inferred, else the feed's clock. An ltt before the previous one is
kept, but does not bound the edge of a minute. - Every tick carries the previous update's quote, feed time and ltt, so
that it can be classified by itself.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

from orderflow.market import records
from orderflow.market.conformity import MOST_PRICE, MOST_VOLUME, problem
from orderflow.market.errors import DecodeError
from orderflow.market.session import may_trade_below_zero
from orderflow.market.tick import MINUTE, SNAPSHOT, Bar, BookLevel, DayBar, FeedUpdate, Tick
from orderflow.market.times import ist_date
from orderflow.market.volume import read_volume, stated_volume

if TYPE_CHECKING:
    from orderflow.market.session import Session

CONTINUOUS: Final = "continuous"
_FRESH_MS: Final = 5_000
CLOSING_AUCTION: Final = "closing_auction"
_LATER_FIELDS: Final = dict.fromkeys(
    ("volume_time_ms", "doubtful_vtt", "doubtful_ms", "bid_quantity", "ask_quantity", "session_start_ms")
)
"""Fields that a stored state of an earlier version lacks. It has a `chain` of bars, which the candle engine now keeps."""


@dataclass(frozen=True, slots=True)
class InstrumentState:
    """The state of an instrument that is kept between two updates; published as JSON to the compacted state topic."""

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
    volume_time_ms: int | None = None
    doubtful_vtt: int | None = None
    doubtful_ms: int | None = None
    session_start_ms: int | None = None

    def to_record(self) -> dict[str, Any]:
        """Return a JSON-ready dict."""
        record = {name: getattr(self, name) for name in self.__slots__}
        record["day_bar"] = list(msgspec.structs.astuple(self.day_bar)) if self.day_bar else None
        return record

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> InstrumentState:
        """Rebuild from `to_record`'s dict. Raises DecodeError on anything else, and on impossible numbers."""
        day_bar = record.get("day_bar")
        if isinstance(day_bar, list) and len(day_bar) == len(DayBar.__struct_fields__):
            record = {**record, "day_bar": dict(zip(DayBar.__struct_fields__, day_bar, strict=True))}
        record = {**_LATER_FIELDS, **{name: value for name, value in record.items() if name != "chain"}}
        wrong = problem(records.INSTRUMENT_STATE, record, exact=True) or _absurd(record)
        if wrong is not None:
            raise DecodeError("bad_state", wrong)
        return cls(**{**record, "day_bar": DayBar(**record["day_bar"]) if record["day_bar"] else None})


class Event(NamedTuple):
    """An event for the gap ledger: gap, doubtful, out_of_order or duplicate."""

    event: str
    from_ms: int | None
    to_ms: int | None
    volume: int | None


class Inference(NamedTuple):
    """The state after the update, the tick to publish, and events for the ledger.

    `settled`: no volume missed before this update remains to be counted, because it has been counted or cannot be
    known. `unchanged`: a live update states the same cumulative volume as before; either none was missed, or the
    statement is old. `fell_to`: the cumulative volume of an update that is out of order.
    """

    state: InstrumentState
    tick: Tick
    events: tuple[Event, ...]
    settled: bool = True
    unchanged: bool = False
    fell_to: int | None = None


def minute_tick(
    key: str, bar: Bar, session: Session, feed_time_ms: int, received_time_ms: int, streamer: str | None = None
) -> Tick:
    """Return the tick for an exchange's minute bar from before the first update; `session` is the session of that minute."""
    return Tick(
        schema_version=records.SCHEMA_VERSION,
        instrument_key=key,
        kind=MINUTE,
        sequence=0,
        feed_time_ms=feed_time_ms,
        received_time_ms=received_time_ms,
        event_time_ms=bar.start_ms,
        trading_date=session.trading_date,
        bar=bar,
        session_phase=session.phase(bar.start_ms),
        session_start_ms=session.start_ms,
        session_end_ms=session.end_ms,
        streamer=streamer,
    )


def infer(
    state: InstrumentState,
    update: FeedUpdate,
    session: Session,
    segment_status: str | None = None,
    *,
    after_gap: bool = False,
    streamer: str | None = None,
) -> Inference:
    """Return the next state and the tick for one update of one instrument.

    `session` is the trading session at the update's feed time; `after_gap` means that updates may have been missed
    since the previous one; `streamer` is the name to put on the tick. Updates must be passed in the order of their
    receipt. Raises nothing, because the input has been decoded and checked.
    """
    if state.trading_date != session.trading_date:
        state = InstrumentState(state.instrument_key, session.trading_date, ltp=state.ltp)
    events: list[Event] = []
    started = update.ltt_ms is not None and (
        update.ltt_ms >= session.start_ms or (state.in_session and update.ltt_ms > (state.ltt_ms or 0))
    )
    reading = read_volume(state, update, session, started=started, after_gap=after_gap)
    traded, out_of_order = reading.traded, reading.out_of_order
    price_only = update.vtt is None
    set_aside = reading.vtt is None and not price_only
    if reading.doubtful is not None:
        update = replace(update, vtt=None)  # no place on the axis of cumulative volume
    has_trade = bool(traded) or (price_only and started and update.ltt_ms != state.ltt_ms)
    gap = after_gap and bool(traded)
    event_time_ms = update.ltt_ms if has_trade and update.ltt_ms is not None else update.feed_time_ms
    phase = session.phase(event_time_ms)
    if out_of_order:
        events.append(Event("out_of_order", state.feed_time_ms, update.feed_time_ms, None))
    elif gap:
        events.append(Event("gap", state.volume_time_ms, update.feed_time_ms, traded))
    if reading.doubtful is not None and state.doubtful_vtt is None:
        events.append(Event("doubtful", state.volume_time_ms, update.feed_time_ms, reading.doubtful - (state.vtt or 0)))

    direction = state.tick_direction
    if not out_of_order and update.ltp is not None and state.ltp is not None and update.ltp != state.ltp:
        direction = 1 if update.ltp > state.ltp else -1

    bar = None if out_of_order else _new_bar(state, update, session)
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
        streamer=streamer,
        indicative_price=update.indicative_price,
        indicative_quantity=update.indicative_quantity,
        indicative_imbalance=update.indicative_imbalance,
    )
    if out_of_order:
        fell_to = stated_volume(update, session)
        return Inference(replace(state, sequence=tick.sequence), tick, tuple(events), settled=False, fell_to=fell_to)
    ltp = update.ltp if update.ltp is not None else state.ltp
    ltt_ms = state.ltt_ms if set_aside else max(update.ltt_ms or 0, state.ltt_ms or 0) or None
    if not update.bid and not update.ask:
        bid, ask, bid_quantity, ask_quantity = state.bid, state.ask, state.bid_quantity, state.ask_quantity
    known = (state.vtt, state.ltp, state.ltt_ms, state.bid, state.ask)
    repeats = (
        state.sequence > 0 and not set_aside and known == (reading.vtt if not price_only else state.vtt, ltp, ltt_ms, bid, ask)
    )
    same = reading.vtt is not None and reading.vtt == state.vtt
    doubtful_vtt, doubtful_ms = (None, None) if reading.vtt is not None else (state.doubtful_vtt, state.doubtful_ms)
    if reading.doubtful is not None:
        doubtful_vtt, doubtful_ms = reading.doubtful, state.doubtful_ms or update.feed_time_ms
    after = InstrumentState(
        instrument_key=state.instrument_key,
        trading_date=state.trading_date,
        sequence=tick.sequence,
        vtt=state.vtt if reading.vtt is None else reading.vtt,
        ltp=ltp,
        ltt_ms=ltt_ms,
        bid=bid,
        ask=ask,
        bid_quantity=bid_quantity,
        ask_quantity=ask_quantity,
        feed_time_ms=update.feed_time_ms,
        tick_direction=direction,
        in_session=state.in_session or started,
        bar_start_ms=bar.start_ms if bar else state.bar_start_ms,
        day_bar=update.day_bar or state.day_bar,
        volume_time_ms=state.volume_time_ms if reading.vtt is None or (same and after_gap) else update.feed_time_ms,
        doubtful_vtt=doubtful_vtt,
        doubtful_ms=doubtful_ms,
        session_start_ms=session.start_ms,
    )
    if update.kind != SNAPSHOT and repeats:
        events.append(Event("duplicate", state.feed_time_ms, update.feed_time_ms, None))
    # An instrument without volume (an index) cannot miss any; without a baseline nothing is known to be missing. A snapshot
    # may be older than it claims, unless its last trade is recent; before the session an older one says the same.
    fresh = (
        update.kind != SNAPSHOT
        or (update.ltt_ms is not None and update.feed_time_ms - update.ltt_ms <= _FRESH_MS)
        or (state.vtt is None and update.feed_time_ms < session.start_ms)
    )
    settled = state.vtt is None and ltp is not None if price_only else fresh and not (set_aside or same)
    return Inference(after, tick, tuple(events), settled, same and update.kind != SNAPSHOT)


def _new_bar(state: InstrumentState, update: FeedUpdate, session: Session) -> Bar | None:
    """Return the update's minute bar when it is of the session and newer than the last one."""
    bar = update.minute_bar
    if bar is None or not session.start_ms <= bar.start_ms < session.end_ms:
        return None
    return None if state.bar_start_ms is not None and bar.start_ms <= state.bar_start_ms else bar


def _absurd(state: dict[str, Any]) -> str | None:
    """Return which number of a state's record cannot be true: with it, ticks would be rejected, or treated as old ones."""
    at_ms = state["feed_time_ms"]
    if state["trading_date"] != ("" if at_ms is None else ist_date(at_ms)):
        return "trading_date is not that of feed_time_ms"
    for name in ("sequence", "vtt", "doubtful_vtt", "bid_quantity", "ask_quantity"):
        if not 0 <= (state[name] or 0) <= MOST_VOLUME:
            return f"{name} is {state[name]}"
    for name in ("ltp", "bid", "ask"):
        least = -MOST_PRICE if may_trade_below_zero(state["instrument_key"]) else 0.0
        if state[name] is not None and not least < state[name] < MOST_PRICE:
            return f"{name} is {state[name]}"
    return None if -1 <= state["tick_direction"] <= 1 else f"tick_direction is {state['tick_direction']}"


def _best(levels: tuple[BookLevel, ...]) -> tuple[float | None, int | None]:
    """Return the first price at which somebody waits, and the quantity there.

    A level without a price holds an auction's market orders.
    """
    for level in levels:
        if level.price is not None and level.quantity > 0:
            return level.price, level.quantity
    return None, None
