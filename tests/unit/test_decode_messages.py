"""Decoding of feed messages and their peculiarities; every message here is made up in the feed's shape."""

import gzip
import json
import math
from pathlib import Path

import pytest
from google.protobuf import json_format
from hypothesis import given
from hypothesis import strategies as st
from upstox_client.feeder.proto import MarketDataFeedV3_pb2 as pb

from orderflow.market.errors import DecodeError
from orderflow.market.tick import Bar, BookLevel, DayBar, FeedUpdate, Greeks
from orderflow.upstox.decode import Decoded, Rejection, decode

AT = 1_790_000_100_000
RECEIVED = AT + 40
KEY = "NSE_EQ|INE000A00001"
SHARED = Path(__file__).parents[3] / "shared" / "data" / "upstox"


def wire(message: dict) -> bytes:
    return json_format.ParseDict(message, pb.FeedResponse()).SerializeToString()


def decoded(message: dict) -> Decoded:
    return decode(wire({"type": "live_feed", "currentTs": str(AT), **message}), RECEIVED)


def market(**fields) -> dict:
    return {"fullFeed": {"marketFF": fields}, "requestMode": "full_d5"}


FULL = market(
    ltpc={"ltp": 100.5, "ltt": str(AT - 300), "ltq": "7", "cp": 99.0},
    marketLevel={
        "bidAskQuote": [
            {"bidQ": "10", "bidP": 100.4, "askQ": "20", "askP": 100.6},
            {"bidQ": "11", "bidP": 100.3, "askQ": "21", "askP": 100.7},
        ]
    },
    optionGreeks={"delta": 0.5, "theta": -1.0, "gamma": 0.001, "vega": 4.0, "rho": 1.5},
    marketOHLC={
        "ohlc": [
            {"interval": "1d", "open": 99.5, "high": 101.0, "low": 99.0, "close": 100.5, "vol": "5000", "ts": "1789929000000"},
            {"interval": "I1", "open": 100.0, "high": 100.6, "low": 99.9, "close": 100.5, "vol": "70", "ts": "1790000040000"},
        ]
    },
    atp=100.1,
    vtt="5010",
    oi=350.0,
    iv=0.12,
    tbq=900.0,
    tsq=800.0,
)


def test_decode_when_full_feed_then_every_field():
    assert decoded({"feeds": {KEY: FULL}}) == Decoded(
        "update",
        AT,
        (
            FeedUpdate(
                KEY,
                "update",
                AT,
                RECEIVED,
                ltp=100.5,
                ltt_ms=AT - 300,
                ltq=7,
                close_price=99.0,
                vtt=5010,
                atp=100.1,
                oi=350.0,
                iv=0.12,
                tbq=900,
                tsq=800,
                bid=(BookLevel(100.4, 10), BookLevel(100.3, 11)),
                ask=(BookLevel(100.6, 20), BookLevel(100.7, 21)),
                greeks=Greeks(0.5, -1.0, 0.001, 4.0, 1.5),
                minute_bar=Bar(1790000040000, 100.0, 100.6, 99.9, 100.5, 70),
                day_bar=DayBar(99.5, 101.0, 99.0, 100.5, 5000),
            ),
        ),
    )


def test_decode_when_several_instruments_then_none_is_lost_and_snapshot_is_known_without_a_type():
    feeds = {f"NSE_EQ|INE{number:09}": FULL for number in range(40)}
    result = decode(wire({"feeds": feeds, "currentTs": str(AT)}), RECEIVED)
    assert result.kind == "snapshot"
    assert {update.instrument_key for update in result.updates} == set(feeds)
    assert {update.kind for update in result.updates} == {"snapshot"}


def test_decode_when_market_info_then_statuses_also_the_enum_zero():
    result = decode(
        wire(
            {
                "type": "market_info",
                "currentTs": str(AT),
                "marketInfo": {
                    "segmentStatus": {"NSE_EQ": "PRE_OPEN_START", "NSE_FO": "NORMAL_CLOSE"},
                    "casMarketStatus": {"NSE_EQ": {"status": "CAS_OPEN", "updatedTime": str(AT)}},
                },
            }
        ),
        RECEIVED,
    )
    assert result == Decoded(
        "market_info", AT, (), {"NSE_EQ": "PRE_OPEN_START", "NSE_FO": "NORMAL_CLOSE"}, {"NSE_EQ": "CAS_OPEN"}
    )


def test_decode_when_index_then_no_volume_and_bar_without_it():
    index = {
        "fullFeed": {
            "indexFF": {
                "ltpc": {"ltp": 26000.5, "ltt": str(AT - 1000), "cp": 25900.0},
                "marketOHLC": {
                    "ohlc": [
                        {
                            "interval": "I1",
                            "open": 26000.0,
                            "high": 26001.0,
                            "low": 25999.0,
                            "close": 26000.5,
                            "ts": "1790000040000",
                        }
                    ]
                },
            }
        }
    }
    (update,) = decoded({"feeds": {"NSE_INDEX|Some 50": index}}).updates
    assert update == FeedUpdate(
        "NSE_INDEX|Some 50",
        "update",
        AT,
        RECEIVED,
        ltp=26000.5,
        ltt_ms=AT - 1000,
        close_price=25900.0,
        minute_bar=Bar(1790000040000, 26000.0, 26001.0, 25999.0, 26000.5, None),
    )


def test_decode_when_mode_ltpc_or_option_greeks_then_what_they_have():
    ltpc = {"ltpc": {"ltp": 10.0, "ltt": str(AT), "ltq": "1", "cp": 9.0}, "requestMode": "ltpc"}
    greeks = {
        "firstLevelWithGreeks": {
            "ltpc": {"ltp": 5.0, "ltt": str(AT), "ltq": "35", "cp": 6.0},
            "firstDepth": {"bidQ": "70", "bidP": 4.95, "askQ": "35", "askP": 5.05},
            "optionGreeks": {"delta": 0.4},
            "vtt": "700",
            "oi": 1400.0,
            "iv": 0.2,
        }
    }
    by_key = {update.instrument_key: update for update in decoded({"feeds": {"A|1": ltpc, "A|2": greeks}}).updates}
    assert by_key["A|1"] == FeedUpdate("A|1", "update", AT, RECEIVED, ltp=10.0, ltt_ms=AT, ltq=1, close_price=9.0)
    assert by_key["A|2"] == FeedUpdate(
        "A|2",
        "update",
        AT,
        RECEIVED,
        ltp=5.0,
        ltt_ms=AT,
        ltq=35,
        close_price=6.0,
        vtt=700,
        oi=1400.0,
        iv=0.2,
        bid=(BookLevel(4.95, 70),),
        ask=(BookLevel(5.05, 35),),
        greeks=Greeks(0.4, 0.0, 0.0, 0.0, 0.0),
    )


def test_decode_when_depth_only_then_no_last_trade_and_vtt_is_absent_not_zero():
    depth = market(marketLevel={"bidAskQuote": [{"bidQ": "1", "bidP": 10.0, "askQ": "2", "askP": 10.1}]}, tbq=5.0, tsq=6.0)
    (update,) = decoded({"feeds": {KEY: depth}}).updates
    assert update == FeedUpdate(KEY, "update", AT, RECEIVED, tbq=5, tsq=6, bid=(BookLevel(10.0, 1),), ask=(BookLevel(10.1, 2),))


def test_decode_when_vtt_is_zero_then_zero_only_if_the_last_trade_is_not_of_today():
    yesterday = market(ltpc={"ltp": 10.0, "ltt": str(AT - 86_400_000), "cp": 10.0})
    today = market(ltpc={"ltp": 10.0, "ltt": str(AT - 5), "ltq": "1", "cp": 10.0})
    result = decoded({"feeds": {"A|1": yesterday, "A|2": today}})
    assert {update.instrument_key: update.vtt for update in result.updates} == {"A|1": 0, "A|2": None}


def test_decode_when_levels_lack_prices_or_are_empty_then_kept_or_left_out():
    book = market(marketLevel={"bidAskQuote": [{"bidQ": "8014", "askQ": "761"}, {}, {"bidQ": "5", "bidP": 9.5}]})
    (update,) = decoded({"feeds": {KEY: book}}).updates
    assert update.bid == (BookLevel(None, 8014), BookLevel(9.5, 5))
    assert update.ask == (BookLevel(None, 761),)


def test_decode_when_greeks_and_bars_are_empty_objects_then_absent():
    empty = market(ltpc={"ltp": 1.0, "ltt": str(AT)}, optionGreeks={}, marketOHLC={"ohlc": [{}, {"interval": "I1"}]}, vtt="1")
    result = decoded({"feeds": {KEY: empty}})
    assert (result.updates[0].greeks, result.updates[0].minute_bar, result.rejections) == (None, None, ())


@pytest.mark.parametrize(
    ("fields", "reason", "name"),
    [
        ({"ltpc": {"ltp": -1.0, "ltt": str(AT)}}, "bad_price", "ltp"),
        ({"ltpc": {"ltp": 1e300, "ltt": str(AT)}}, "bad_price", "ltp"),
        ({"ltpc": {"ltp": "NaN", "ltt": str(AT)}}, "bad_price", "ltp"),
        ({"ltpc": {"ltp": "Infinity", "ltt": str(AT)}}, "bad_price", "ltp"),
        ({"ltpc": {"ltp": 1.0, "ltt": str(AT + 61_000)}}, "bad_time", "ltt_ms"),
        ({"ltpc": {"ltp": 1.0, "ltt": "4070908800000"}}, "bad_time", "ltt_ms"),
        ({"ltpc": {"ltp": 1.0, "ltt": "123"}}, "bad_time", "ltt_ms"),
        ({"ltpc": {"ltp": 1.0, "ltt": str(AT), "ltq": "-5"}}, "bad_quantity", "ltq"),
        ({"vtt": "-1"}, "bad_quantity", "vtt"),
        ({"vtt": str(2**62)}, "bad_quantity", "vtt"),
        ({"tbq": "NaN"}, "bad_quantity", "tbq"),
        ({"oi": -1.0}, "bad_amount", "oi"),
        ({"optionGreeks": {"delta": "Infinity"}}, "bad_greeks", "greeks"),
        ({"marketLevel": {"bidAskQuote": [{"bidQ": "-3", "bidP": 10.0}]}}, "bad_level", "bid"),
        (
            {
                "marketOHLC": {
                    "ohlc": [{"interval": "I1", "open": 5.0, "high": 4.0, "low": 6.0, "close": 5.0, "ts": "1790000040000"}]
                }
            },
            "bad_bar",
            "minute_bar",
        ),
    ],
)
def test_decode_when_one_field_cannot_be_true_then_only_it_is_rejected(fields, reason, name):
    result = decoded({"feeds": {"A|bad": market(**fields), "A|good": FULL}})
    by_key = {update.instrument_key: update for update in result.updates}
    assert not getattr(by_key["A|bad"], name)
    assert by_key["A|good"].vtt == 5010
    assert [(rejection.reason, rejection.instrument_key) for rejection in result.rejections] == [(reason, "A|bad")]


def test_decode_when_day_bar_contradicts_itself_before_the_open_then_kept():
    odd = market(
        marketOHLC={"ohlc": [{"interval": "1d", "open": 251.0, "high": 248.5, "low": 248.5, "close": 248.5, "ts": str(AT)}]}
    )
    assert decoded({"feeds": {KEY: odd}}).updates[0].day_bar == DayBar(251.0, 248.5, 248.5, 248.5, 0)


def test_decode_when_feed_of_no_known_kind_then_rejected_and_the_rest_kept():
    result = decoded({"feeds": {"A|1": {"requestMode": "full_d5"}, "A|2": FULL}})
    assert [update.instrument_key for update in result.updates] == ["A|2"]
    assert result.rejections == (Rejection("empty_feed", "A|1", "no feed of a known kind"),)


def test_decode_when_unknown_field_then_the_message_is_read_all_the_same():
    payload = wire({"type": "live_feed", "currentTs": str(AT), "feeds": {KEY: FULL}}) + bytes([0xFA, 0x07, 0x03]) + b"new"
    assert decode(payload, RECEIVED).updates[0].vtt == 5010


def test_decode_when_empty_message_then_kind_empty():
    assert decode(b"", RECEIVED) == Decoded("empty", RECEIVED)


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (wire({"type": "live_feed", "currentTs": str(AT), "feeds": {KEY: FULL}})[:-40], "bad_protobuf"),
        (b"\xff" * 1000, "bad_protobuf"),
        ("pong", "text_frame"),
        (wire({"type": "live_feed", "currentTs": str(RECEIVED + 60_001), "feeds": {KEY: FULL}}), "future_feed_time"),
    ],
)
def test_decode_when_nothing_can_be_used_then_error_with_reason(payload, reason):
    with pytest.raises(DecodeError) as caught:
        decode(payload, RECEIVED)
    assert caught.value.reason == reason


def test_decode_when_this_machines_clock_is_a_minute_slow_then_no_ltt_passes_that_spark_would_refuse():
    received = AT - 59_900
    message = {
        "type": "live_feed",
        "currentTs": str(AT),
        "feeds": {KEY: market(ltpc={"ltp": 1.0, "ltt": str(AT + 160)}, vtt="5")},
    }
    late = decode(wire(message), received)
    assert late.updates[0].ltt_ms is None
    assert [rejection.reason for rejection in late.rejections] == ["bad_time"]
    assert decode(wire(message), received + 160).updates[0].ltt_ms == AT + 160


@given(st.binary(max_size=300))
def test_decode_when_bytes_are_anything_then_decoded_or_decode_error(payload):
    try:
        result = decode(payload, RECEIVED)
    except DecodeError:
        return
    for update in result.updates:
        assert update.ltp is None or 0 < update.ltp < math.inf
        assert update.feed_time_ms <= RECEIVED + 60_000


@pytest.mark.skipif(not SHARED.is_dir(), reason="../shared/data/upstox is not on this machine")
@pytest.mark.parametrize("name", ["2025-12-15_open_3eq.jsonl.gz", "2025-12-15_close_2fo.jsonl.gz"])
def test_decode_when_real_recording_then_every_value_as_the_sdk_gives_it(name):
    with gzip.open(SHARED / name, "rt") as lines:
        for line in lines:
            message = json.loads(line)
            result = decode(wire(message), int(message["currentTs"]) + 50)
            assert result.rejections == ()
            feeds = message.get("feeds", {})
            assert {update.instrument_key for update in result.updates} == set(feeds)
            for update in result.updates:
                full = feeds[update.instrument_key]["fullFeed"]["marketFF"]
                assert str(update.vtt) == full["vtt"]
                assert update.ltp == full["ltpc"]["ltp"]
                assert str(update.ltt_ms) == full["ltpc"]["ltt"]
                assert [level.price for level in update.ask] == [
                    quote["askP"] for quote in full["marketLevel"]["bidAskQuote"] if "askP" in quote
                ]


def test_auction_when_the_feed_gives_all_of_it_then_price_quantity_and_imbalance_are_decoded():
    result = decoded({"feeds": {KEY: market(iep=1541.5, ieq="50000", iiqTotal="-1200", casEligible=True)}})
    (update,) = result.updates
    assert (update.indicative_price, update.indicative_quantity, update.indicative_imbalance) == (1541.5, 50_000, -1_200)
    assert result.rejections == ()


@pytest.mark.parametrize(
    "feed",
    [
        market(ltpc={"ltp": 1540.2, "iep": 1541.5}),
        {"fullFeed": {"indexFF": {"ltpc": {"ltp": 1540.2, "iep": 1541.5}}}},
        {"ltpc": {"ltp": 1540.2, "iep": 1541.5}},
        {"firstLevelWithGreeks": {"ltpc": {"ltp": 1540.2, "iep": 1541.5}}},
    ],
)
def test_auction_when_only_ltpc_has_the_price_then_it_is_taken_from_there_in_every_mode(feed):
    (update,) = decoded({"feeds": {KEY: feed}}).updates
    assert (update.indicative_price, update.indicative_quantity, update.indicative_imbalance) == (1541.5, None, None)


def test_auction_when_none_runs_then_its_fields_are_absent():
    (update,) = decoded({"feeds": {KEY: market(ltpc={"ltp": 1540.2}, vtt="900", casEligible=True)}}).updates
    assert (update.indicative_price, update.indicative_quantity, update.indicative_imbalance) == (None, None, None)


@pytest.mark.parametrize(
    ("fields", "rejected", "kept"),
    [
        ({"iep": -1.0}, ("bad_price", "iep=-1.0"), (None, 10, -5)),
        ({"iep": "NaN"}, ("bad_price", "iep=nan"), (None, 10, -5)),
        ({"ltpc": {"iep": 1e12}, "iep": 0.0}, ("bad_price", "ltpc.iep=1000000000000.0"), (None, 10, -5)),
        ({"ieq": "-5"}, ("bad_quantity", "ieq=-5"), (100.0, None, -5)),
        ({"ieq": str(10**12 + 1)}, ("bad_quantity", "ieq=1000000000001"), (100.0, None, -5)),
        ({"iiqTotal": str(-(10**12) - 1)}, ("bad_quantity", "iiqTotal=-1000000000001"), (100.0, 10, None)),
    ],
)
def test_auction_when_a_value_cannot_be_true_then_it_is_left_out_and_the_others_are_kept(fields, rejected, kept):
    result = decoded({"feeds": {KEY: market(**{"iep": 100.0, "ieq": "10", "iiqTotal": "-5"} | fields)}})
    (update,) = result.updates
    assert (update.indicative_price, update.indicative_quantity, update.indicative_imbalance) == kept
    assert [(each.reason, each.detail) for each in result.rejections] == [rejected]
