"""What the feed says only while an auction runs."""

from __future__ import annotations

from typing import Any

import pytest
from google.protobuf import json_format
from upstox_client.feeder.proto import MarketDataFeedV3_pb2 as pb

from orderflow.upstox.auction_fields import (
    NO_AUCTION,
    AuctionFields,
    AuctionStatus,
    Rejected,
    auction_fields,
    auction_statuses,
    indicative_price,
)


def market(**fields: Any) -> Any:
    return json_format.ParseDict(fields, pb.MarketFullFeed())


def test_auction_when_the_feed_gives_all_of_it_then_each_field_is_decoded() -> None:
    said = market(iep=1541.5, ieq="50000", iiqTotal="-1200", iiqM="-300", rp=1540.0, casEligible=True)
    fields, rejected = auction_fields(said)
    assert fields == AuctionFields(1541.5, 50_000, -1_200, -300, 1540.0, closing_auction=True)
    assert (fields.is_running, rejected) == (True, ())


def test_auction_when_only_ltpc_has_the_price_then_it_is_taken_from_there() -> None:
    fields, _ = auction_fields(market(ltpc={"ltp": 1540.2, "iep": 1541.5}, ieq="7"))
    assert (fields.price, fields.quantity) == (1541.5, 7)
    assert indicative_price(market(ltpc={"iep": 1541.5}).ltpc) == (1541.5, ())


def test_auction_when_none_runs_then_there_is_nothing_but_that_the_share_has_one() -> None:
    assert auction_fields(market(ltpc={"ltp": 1540.2}, vtt="900")) == (NO_AUCTION, ())
    fields, _ = auction_fields(market(casEligible=True))
    assert (fields, fields.is_running) == (AuctionFields(closing_auction=True), False)
    assert indicative_price(market(ltpc={"ltp": 1540.2}).ltpc) == (None, ())


@pytest.mark.parametrize(
    ("said", "rejected"),
    [
        ({"iep": -1.0}, Rejected("bad_price", "iep=-1.0")),
        ({"iep": "NaN"}, Rejected("bad_price", "iep=nan")),
        ({"iep": "Infinity"}, Rejected("bad_price", "iep=inf")),
        ({"rp": 1e12}, Rejected("bad_price", "rp=1000000000000.0")),
        ({"ieq": "-5"}, Rejected("bad_quantity", "ieq=-5")),
        ({"ieq": str(10**15)}, Rejected("bad_quantity", "ieq=1000000000000000")),
        ({"iiqTotal": str(-(10**15))}, Rejected("bad_quantity", "iiqTotal=-1000000000000000")),
        ({"iiqM": str(2**62)}, Rejected("bad_quantity", f"iiqM={2**62}")),
    ],
)
def test_auction_when_a_value_cannot_be_true_then_it_is_left_out_and_the_others_stay(
    said: dict[str, Any], rejected: Rejected
) -> None:
    fields, found = auction_fields(market(**{"iep": 100.0, "ieq": "10"} | said | {"casEligible": True}))
    assert (found, fields.closing_auction) == ((rejected,), True)
    assert None in fields


def test_statuses_when_the_market_info_has_them_then_by_segment_and_since_when() -> None:
    info = json_format.ParseDict(
        {
            "segmentStatus": {"NSE_EQ": "NORMAL_OPEN"},
            "casMarketStatus": {"NSE_EQ": {"status": "CAS_LM_START", "updatedTime": "1785729000000"}},
            "preOpenSessionStatus": {"NSE_EQ": {"status": "PRE_OPEN_M_END"}},
        },
        pb.MarketInfo(),
    )
    assert auction_statuses(info) == (
        {"NSE_EQ": AuctionStatus("CAS_LM_START", 1_785_729_000_000)},
        {"NSE_EQ": AuctionStatus("PRE_OPEN_M_END", None)},
    )
    assert auction_statuses(pb.MarketInfo()) == ({}, {})
