"""Properties of the decoder and the inference behind it under any input; `make fuzz` sets FUZZ_EXAMPLES for long runs."""

from __future__ import annotations

import json
import math
import os
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from upstox_client.feeder.proto import MarketDataFeedV3_pb2 as pb

from orderflow.market.errors import DecodeError
from orderflow.market.inference import InstrumentState, infer
from orderflow.market.session import SessionBook, SessionCalendar
from orderflow.market.tick import FeedUpdate, tick_from_record, tick_record
from orderflow.upstox.decode import FUTURE_MS, Decoded, decode

NOW_MS = 1_765_770_300_000 + 3_600_000
fuzz = settings(
    max_examples=int(os.environ.get("FUZZ_EXAMPLES", "40")), deadline=None, suppress_health_check=[HealthCheck.too_slow]
)

INT64 = st.one_of(st.integers(-(2**63), 2**63 - 1), st.sampled_from([0, 1, -1, 2**63 - 1, -(2**63), 10**12, 10**15, NOW_MS]))
TIMES = st.one_of(INT64, st.integers(NOW_MS - 7_200_000, NOW_MS + 120_000))
DOUBLES = st.one_of(st.floats(), st.floats(0.05, 1e5), st.sampled_from([0.0, -0.0, math.nan, math.inf, -math.inf, 1e308, 5e-324]))
KEYS = st.one_of(st.sampled_from(["NSE_EQ|INE467B01029", "NSE_FO|1", "NSE_INDEX|Nifty 50", "*", ""]), st.text(max_size=12))


@st.composite
def feeds(draw: st.DrawFn) -> Any:
    """One instrument's feed of any kind, each field anything that its wire type can hold."""
    ltpc = pb.LTPC(ltp=draw(DOUBLES), ltt=draw(TIMES), ltq=draw(INT64), cp=draw(DOUBLES))
    if draw(st.booleans()):
        ltpc.iep.value = draw(DOUBLES)
    quotes = [
        pb.Quote(bidP=draw(DOUBLES), bidQ=draw(INT64), askP=draw(DOUBLES), askQ=draw(INT64))
        for _ in range(draw(st.integers(0, 2)))
    ]
    bars = pb.MarketOHLC(
        ohlc=[
            pb.OHLC(
                interval=draw(st.sampled_from(["I1", "1d", "", "I30"])),
                open=draw(DOUBLES),
                high=draw(DOUBLES),
                low=draw(DOUBLES),
                close=draw(DOUBLES),
                vol=draw(INT64),
                ts=draw(st.one_of(TIMES, st.integers(-3, 3).map(lambda n: NOW_MS // 60_000 * 60_000 + n * 60_000))),
            )
            for _ in range(draw(st.integers(0, 2)))
        ]
    )
    greeks = pb.OptionGreeks(delta=draw(DOUBLES), theta=draw(DOUBLES), gamma=draw(DOUBLES), vega=draw(DOUBLES), rho=draw(DOUBLES))
    kind = draw(st.sampled_from(["market", "index", "ltpc", "first", "empty"]))
    if kind == "market":
        market = pb.MarketFullFeed(
            ltpc=ltpc,
            marketLevel=pb.MarketLevel(bidAskQuote=quotes),
            optionGreeks=greeks,
            marketOHLC=bars,
            atp=draw(DOUBLES),
            vtt=draw(INT64),
            oi=draw(DOUBLES),
            iv=draw(DOUBLES),
            tbq=draw(DOUBLES),
            tsq=draw(DOUBLES),
            iep=draw(DOUBLES),
            ieq=draw(INT64),
            iiqTotal=draw(INT64),
        )
        return pb.Feed(fullFeed=pb.FullFeed(marketFF=market))
    if kind == "index":
        return pb.Feed(fullFeed=pb.FullFeed(indexFF=pb.IndexFullFeed(ltpc=ltpc, marketOHLC=bars)))
    if kind == "ltpc":
        return pb.Feed(ltpc=ltpc)
    if kind == "first":
        first = pb.FirstLevelWithGreeks(ltpc=ltpc, optionGreeks=greeks, vtt=draw(INT64), oi=draw(DOUBLES), iv=draw(DOUBLES))
        if quotes:
            first.firstDepth.CopyFrom(quotes[0])
        return pb.Feed(firstLevelWithGreeks=first)
    return pb.Feed()


@st.composite
def messages(draw: st.DrawFn) -> Any:
    """A FeedResponse with up to three instruments."""
    return pb.FeedResponse(
        type=draw(st.sampled_from([pb.initial_feed, pb.live_feed, pb.market_info])),
        currentTs=draw(TIMES),
        feeds=draw(st.dictionaries(KEYS, feeds(), max_size=3)),
    )


def decoded(payload: bytes | str) -> Decoded | None:
    """Decode, or return None for the one error that may come."""
    try:
        return decode(payload, NOW_MS)
    except DecodeError as error:
        reason = error.reason
    assert reason in ("text_frame", "bad_protobuf", "future_feed_time")
    return None


def check(update: FeedUpdate) -> None:
    """What has come through the decoder can be true, and JSON and 64 bits can hold it."""
    times = [update.feed_time_ms, update.ltt_ms, update.minute_bar.start_ms if update.minute_bar else None]
    assert all(0 < at <= NOW_MS + 2 * FUTURE_MS for at in times if at is not None)
    prices = [
        update.ltp,
        update.close_price,
        update.atp,
        update.indicative_price,
        *(level.price for level in (*update.bid, *update.ask)),
    ]
    assert all(0 < price < 1e9 for price in prices if price is not None)
    quantities = [update.ltq, update.vtt, update.tbq, update.tsq, *(level.quantity for level in (*update.bid, *update.ask))]
    assert all(0 <= quantity <= 10**15 for quantity in quantities if quantity is not None)
    assert 0 <= (update.indicative_quantity or 0) <= 10**12
    assert abs(update.indicative_imbalance or 0) <= 10**12
    bar = update.minute_bar
    assert bar is None or (bar.low <= min(bar.open, bar.close) and max(bar.open, bar.close) <= bar.high)


@fuzz
@given(st.one_of(st.binary(max_size=400), st.text(max_size=50)))
def test_decode_when_given_any_bytes_then_it_decodes_or_names_a_reason(payload: bytes | str) -> None:
    result = decoded(payload)
    for update in result.updates if result else ():
        check(update)


@fuzz
@given(messages(), st.integers(0, 10_000), st.binary(max_size=3), st.integers(0, 3))
def test_decode_when_a_message_is_damaged_then_it_decodes_or_names_a_reason(
    message: Any, at: int, noise: bytes, cut: int
) -> None:
    payload = message.SerializeToString()
    at = at % (len(payload) + 1)
    result = decoded(payload[:at] + noise + payload[at + cut :])
    for update in result.updates if result else ():
        check(update)


@fuzz
@given(messages())
def test_decode_when_fields_are_absurd_then_each_instrument_is_kept_or_rejected(message: Any) -> None:
    result = decoded(message.SerializeToString())
    if result is None:
        return
    accounted = {update.instrument_key for update in result.updates} | {
        rejection.instrument_key for rejection in result.rejections
    }
    assert accounted >= set(message.feeds)
    for update in result.updates:
        check(update)


@fuzz
@given(st.lists(messages(), min_size=1, max_size=4))
def test_ticks_when_inferred_from_absurd_messages_then_volumes_add_up_and_survive_json(sequence: list[Any]) -> None:
    book = SessionBook(SessionCalendar())
    states: dict[str, InstrumentState] = {}
    for message in sequence:
        result = decoded(message.SerializeToString())
        for update in result.updates if result else ():
            key = update.instrument_key
            before = states.get(key, InstrumentState(key))
            inferred = infer(before, update, book.session(key, update.feed_time_ms), None, after_gap=False)
            states[key] = inferred.state
            tick = inferred.tick
            assert tick.traded_volume is None or 0 <= tick.traded_volume <= (tick.vtt or 0)
            assert tick.event_time_ms <= tick.received_time_ms + 2 * FUTURE_MS
            text = json.dumps(tick_record(tick), allow_nan=False)
            assert tick_from_record(json.loads(text)) == tick
