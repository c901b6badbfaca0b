"""Which values a tick may have: one verdict for every reader, so that storage and candles take the same ticks.

`processing/schemas.py` says the same in Spark expressions, for the query that must not run Python; a property test holds both
equal. Only of messages that are no ticks by their types Spark's JSON reader takes more than `decode_tick`.
"""

from __future__ import annotations

from typing import Final

from orderflow.market.conformity import LATEST_MS, MOST, MOST_PRICE, MOST_VOLUME
from orderflow.market.session import may_trade_below_zero
from orderflow.market.tick import HEARTBEAT, MINUTE_MS, READABLE_VERSIONS, SNAPSHOT, UPDATE, Tick, ist_date

KINDS: Final = frozenset((UPDATE, SNAPSHOT, HEARTBEAT))
FUTURE_MS: Final = 60_000
SENT_AHEAD_MS: Final = 5 * 60_000
_DAY_MS: Final = 86_400_000
_dates: dict[int, tuple[str, str]] = {}


def tick_problem(tick: Tick, key: str | None, sent_ms: int) -> str | None:
    """Return why a decoded tick must not be used, as a short reason, or None.

    `key` is its message's key, `sent_ms` when its message was sent, by the broker's clock. A tick from the future would end every
    candle before its time, and an absurd number would spoil every sum it enters.
    """
    if tick.schema_version not in READABLE_VERSIONS:
        return "unknown_schema_version"
    if tick.kind not in KINDS:
        return "unknown_kind"
    if tick.kind != HEARTBEAT and key != tick.instrument_key:
        return "wrong_key"
    at_ms, feed_ms, received_ms = tick.event_time_ms, tick.feed_time_ms, tick.received_time_ms
    if at_ms < 0 or feed_ms < 0 or not 0 <= received_ms <= LATEST_MS or at_ms > LATEST_MS or feed_ms > LATEST_MS:
        return "absurd_time"
    latest_ms = received_ms + FUTURE_MS
    if at_ms > latest_ms or feed_ms > latest_ms:
        return "event_time_in_future"
    if received_ms > sent_ms + SENT_AHEAD_MS:
        return "receive_time_in_future"
    if at_ms == 0:
        return "event_time_absurd"
    if tick.trading_date not in _dates_of(at_ms):
        return "bad_trading_date"
    if not 0 <= tick.sequence <= MOST_VOLUME:
        return "absurd_volume"
    return _value_problem(tick) or _bar_problem(tick, received_ms)


def _value_problem(tick: Tick) -> str | None:
    if not (
        0 <= (tick.ltt_ms or 0) <= LATEST_MS
        and 0 <= (tick.session_start_ms or 0) <= LATEST_MS
        and 0 <= (tick.session_end_ms or 0) <= LATEST_MS
        and 0 <= (tick.prev_feed_time_ms or 0) <= LATEST_MS
        and 0 <= (tick.prev_ltt_ms or 0) <= LATEST_MS
    ):
        return "absurd_time"
    for value in (tick.session_start_ms, tick.session_end_ms):
        if value is not None and abs(value - tick.event_time_ms) > 2 * _DAY_MS:
            return "absurd_session"
    if not (
        0 <= (tick.vtt or 0) <= MOST_VOLUME
        and 0 <= (tick.traded_volume or 0) <= MOST_VOLUME
        and 0 <= (tick.ltq or 0) <= MOST_VOLUME
        and 0 <= (tick.tbq or 0) <= MOST_VOLUME
        and 0 <= (tick.tsq or 0) <= MOST_VOLUME
        and 0 <= (tick.prev_bid_quantity or 0) <= MOST_VOLUME
        and 0 <= (tick.prev_ask_quantity or 0) <= MOST_VOLUME
    ):
        return "absurd_volume"
    for price in (tick.ltp, tick.close_price, tick.atp, tick.prev_bid, tick.prev_ask):
        if price is not None and not 0.0 < price < MOST_PRICE and not _is_below_zero(tick, price):
            return "absurd_price"
    for levels in (tick.bid, tick.ask):
        if levels:
            best = levels[0]
            if not 0 <= best.quantity <= MOST_VOLUME:
                return "absurd_volume"
            price = best.price
            if price is not None and not 0.0 < price < MOST_PRICE and not _is_below_zero(tick, price):
                return "absurd_price"
    for amount in (tick.oi, tick.iv):
        if amount is not None and not -MOST < amount < MOST:
            return "absurd_number"
    if tick.tick_direction is not None and not -1 <= tick.tick_direction <= 1:
        return "absurd_direction"
    if tick.traded_volume is not None and (tick.vtt is None or tick.traded_volume > tick.vtt):
        return "volume_without_vtt"
    return None


def _is_below_zero(tick: Tick, price: float) -> bool:
    """Whether a price is negative and may be: on exchanges of commodities."""
    return -MOST_PRICE < price < 0.0 and may_trade_below_zero(tick.instrument_key)


def _bar_problem(tick: Tick, received_ms: int) -> str | None:
    bar = tick.bar
    if bar is None:
        return None
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
    day = (at_ms + 19_800_000) // _DAY_MS
    found = _dates.get(day)
    if found is None:
        if len(_dates) > 1_000:
            _dates.clear()
        found = _dates[day] = (ist_date(at_ms), ist_date(at_ms + _DAY_MS))
    return found
