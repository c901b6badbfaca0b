"""Checks the values of a tick: one verdict for every reader, so that storage and candles accept the same ticks.

`processing/schemas.py` has the same checks as Spark expressions, for the query that must not run Python; a property
test compares both. The only difference: Spark's JSON reader accepts some messages with wrong types that `decode_tick`
rejects.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal, get_args

import msgspec

from orderflow.market.conformity import LATEST_MS, MOST, MOST_PRICE, MOST_VOLUME
from orderflow.market.session import may_trade_below_zero
from orderflow.market.tick import HEARTBEAT, MINUTE, READABLE_VERSIONS, SNAPSHOT, UPDATE, Bar, BookLevel, Tick, decode_tick
from orderflow.market.times import DAY_MS, IST_OFFSET_MS, MINUTE_MS, ist_date

KINDS: Final = (UPDATE, SNAPSHOT, HEARTBEAT, MINUTE)
FUTURE_MS: Final = 60_000
SENT_AHEAD_MS: Final = 5 * 60_000
_LONGEST_MS: Final = 2 * DAY_MS
_TIMES: Final = (
    "feed_time_ms", "received_time_ms", "event_time_ms", "ltt_ms", "prev_feed_time_ms", "prev_ltt_ms",
    "session_start_ms", "session_end_ms",
)  # fmt: skip
_VOLUMES: Final = (
    "sequence", "vtt", "traded_volume", "ltq", "tbq", "tsq", "prev_bid_quantity", "prev_ask_quantity", "indicative_quantity",
)  # fmt: skip
_BALANCES: Final = ("indicative_imbalance",)
_PRICES: Final = ("ltp", "close_price", "atp", "prev_bid", "prev_ask", "indicative_price")
_AMOUNTS: Final = ("oi", "iv")

_dates: dict[int, tuple[str, str]] = {}


def _narrowed(struct: type[msgspec.Struct], limits: Mapping[str, Any]) -> type[Any]:
    """Return a subclass of a record whose decoder takes only values within the limits of some of its fields."""
    fields: list[tuple[str, Any, Any]] = []
    for field in msgspec.structs.fields(struct):
        if field.name in limits:
            limit = limits[field.name]
            plain = get_args(field.type)[0]
            optional = type(None) in get_args(plain)
            if isinstance(limit, msgspec.Meta):
                limit = Annotated[get_args(plain)[0] if optional else plain, limit]
            fields.append((field.name, limit | None if optional else limit, field.default))
    return msgspec.defstruct(f"Narrow{struct.__name__}", fields, bases=(struct,), gc=False)


_TIME: Final = msgspec.Meta(ge=0, le=LATEST_MS)
_VOLUME: Final = msgspec.Meta(ge=0, le=MOST_VOLUME)
_BALANCE: Final = msgspec.Meta(ge=-MOST_VOLUME, le=MOST_VOLUME)
_PRICE: Final = msgspec.Meta(gt=0.0, lt=MOST_PRICE)
_AMOUNT: Final = msgspec.Meta(gt=-MOST, lt=MOST)
_Level = _narrowed(BookLevel, {"price": _PRICE, "quantity": _VOLUME})
_USUAL: Final = msgspec.json.Decoder(
    _narrowed(
        Tick,
        dict.fromkeys(_TIMES, _TIME)
        | dict.fromkeys(_VOLUMES, _VOLUME)
        | dict.fromkeys(_BALANCES, _BALANCE)
        | dict.fromkeys(_PRICES, _PRICE)
        | dict.fromkeys(_AMOUNTS, _AMOUNT)
        | dict.fromkeys(("bid", "ask"), tuple[_Level, ...])  # type: ignore[valid-type]
        | {
            "schema_version": Literal[READABLE_VERSIONS],
            "kind": Literal[KINDS],
            "event_time_ms": msgspec.Meta(ge=1, le=LATEST_MS),
            "tick_direction": msgspec.Meta(ge=-1, le=1),
        },
    )
)
"""Reads ticks in which every single value is in its range. A tick that it refuses may still be valid, for example below zero."""


def decode_sound(value: bytes | str, key: str | None, sent_ms: int) -> Tick | None:
    """Return a message's tick, or None where it is none (`decode_tick`) or must not be used (`tick_problem`).

    Single values are checked while the JSON is read, which takes a third of the time; a refused message is then checked
    in full.
    """
    try:
        tick: Tick = _USUAL.decode(value)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return _decode_unusual(value, key, sent_ms)
    if key != tick.instrument_key and tick.kind != HEARTBEAT:
        return None
    return tick if _relation_problem(tick, sent_ms) is None else None


def _decode_unusual(value: bytes | str, key: str | None, sent_ms: int) -> Tick | None:
    try:
        tick = decode_tick(value)
    except msgspec.MsgspecError:
        return None
    return tick if tick_problem(tick, key, sent_ms) is None else None


def tick_problem(tick: Tick, key: str | None, sent_ms: int) -> str | None:
    """Return why a decoded tick must not be used, as a short reason, or None.

    `key` is its message's key, `sent_ms` when its message was sent, by the broker's clock. A tick from the future would
    end every candle early, and an absurd number would falsify every sum that includes it.
    """
    if tick.schema_version not in READABLE_VERSIONS:
        return "unknown_schema_version"
    if tick.kind not in KINDS:
        return "unknown_kind"
    if tick.kind != HEARTBEAT and key != tick.instrument_key:
        return "wrong_key"
    return _value_problem(tick) or _relation_problem(tick, sent_ms)


def _value_problem(tick: Tick) -> str | None:
    """Judge each value by itself."""
    for name in _TIMES:
        if not 0 <= (getattr(tick, name) or 0) <= LATEST_MS:
            return "absurd_time"
    best = [levels[0] for levels in (tick.bid, tick.ask) if levels]
    for volume in (*(getattr(tick, name) for name in _VOLUMES), *(level.quantity for level in best)):
        if not 0 <= (volume or 0) <= MOST_VOLUME:
            return "absurd_volume"
    for name in _BALANCES:
        if not -MOST_VOLUME <= (getattr(tick, name) or 0) <= MOST_VOLUME:
            return "absurd_volume"
    for price in (*(getattr(tick, name) for name in _PRICES), *(level.price for level in best)):
        if price is not None and not 0.0 < price < MOST_PRICE and not _is_below_zero(tick, price):
            return "absurd_price"
    for name in _AMOUNTS:
        amount = getattr(tick, name)
        if amount is not None and not -MOST < amount < MOST:
            return "absurd_number"
    if tick.tick_direction is not None and not -1 <= tick.tick_direction <= 1:
        return "absurd_direction"
    return "event_time_absurd" if tick.event_time_ms == 0 else None


def _relation_problem(tick: Tick, sent_ms: int) -> str | None:
    """Judge values by each other."""
    event_ms, received_ms = tick.event_time_ms, tick.received_time_ms
    latest_ms = received_ms + FUTURE_MS
    if event_ms > latest_ms or tick.feed_time_ms > latest_ms:
        return "event_time_in_future"
    if received_ms > sent_ms + SENT_AHEAD_MS:
        return "receive_time_in_future"
    if tick.trading_date not in (_dates.get((event_ms + IST_OFFSET_MS) // DAY_MS) or _dates_of(event_ms)):
        return "bad_trading_date"
    start_ms, end_ms = tick.session_start_ms, tick.session_end_ms
    if start_ms is not None and not -_LONGEST_MS <= start_ms - event_ms <= _LONGEST_MS:
        return "absurd_session"
    if end_ms is not None and not -_LONGEST_MS <= end_ms - event_ms <= _LONGEST_MS:
        return "absurd_session"
    traded, vtt = tick.traded_volume, tick.vtt
    if traded is not None and (vtt is None or traded > vtt):
        return "volume_without_vtt"
    return None if tick.bar is None else _bar_problem(tick, tick.bar, received_ms)


def _is_below_zero(tick: Tick, price: float) -> bool:
    """Return whether a price is negative and this is allowed, as on commodity exchanges."""
    return -MOST_PRICE < price < 0.0 and may_trade_below_zero(tick.instrument_key)


def _bar_problem(tick: Tick, bar: Bar, received_ms: int) -> str | None:
    if not 0 <= bar.start_ms <= LATEST_MS:
        return "absurd_time"
    if bar.volume is not None and not 0 <= bar.volume <= MOST_VOLUME:
        return "absurd_volume"
    if not (bar.low <= bar.open <= bar.high < MOST_PRICE and bar.low <= bar.close <= bar.high):
        return "bad_bar"
    if not bar.low > 0.0 and not _is_below_zero(tick, bar.low):
        return "absurd_price"
    if bar.start_ms % MINUTE_MS:
        return "bad_bar"
    return "bar_in_future" if bar.start_ms > received_ms + FUTURE_MS else None


def _dates_of(at_ms: int) -> tuple[str, str]:
    """Return the IST date of an instant and the one after: trading after midnight may belong to the evening before."""
    if len(_dates) > 1_000:
        _dates.clear()
    dates = _dates[(at_ms + IST_OFFSET_MS) // DAY_MS] = (ist_date(at_ms), ist_date(at_ms + DAY_MS))
    return dates
