from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orderflow.market.aggressor import RULES, Evidence, informed_lean, lean, verdict
from orderflow.market.confidence import band, grade
from orderflow.market.tick import BookLevel, Tick

NOON_MS = 1_765_780_200_000


SECOND = Evidence(
    traded_volume=100,
    ltp=100.10,
    ltq=10,
    prev_bid=100.00,
    prev_ask=100.10,
    tick_direction=1,
    feed_time_ms=NOON_MS,
    prev_feed_time_ms=NOON_MS - 1_000,
    ltt_ms=NOON_MS - 90,
    prev_ltt_ms=NOON_MS - 1_080,
    gap=False,
    auction=False,
)


def one(rule, **changed):
    return verdict(rule, SECOND._replace(**changed))[:3]


@pytest.mark.parametrize(
    ("ltp", "tick", "lee_ready", "emo", "clnv"),
    [
        (100.10, -1, 1, 1, 1),
        (100.00, 1, -1, -1, -1),
        (100.20, -1, 1, -1, -1),
        (99.90, 1, -1, 1, 1),
        (100.08, -1, 1, -1, 1),
        (100.02, 1, -1, 1, -1),
        (100.06, -1, 1, -1, -1),
        (100.05, 1, 1, 1, 1),
        (100.05, -1, -1, -1, -1),
        (100.05, 0, None, None, None),
    ],
)
def test_lean_when_price_stands_against_the_previous_quote_then_each_rule_as_published(ltp, tick, lee_ready, emo, clnv):
    assert lean("lee_ready", ltp, 100.00, 100.10, tick) == lee_ready
    assert lean("emo", ltp, 100.00, 100.10, tick) == emo
    assert lean("clnv", ltp, 100.00, 100.10, tick) == clnv


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize(("bid", "ask"), [(None, 100.2), (100.0, None), (None, None), (100.2, 100.1)])
def test_lean_when_the_quote_is_missing_or_crossed_then_tick_rule(rule, bid, ask):
    assert lean(rule, 100.1, bid, ask, 1) == 1
    assert lean(rule, 100.1, bid, ask, -1) == -1
    assert lean(rule, 100.1, bid, ask, 0) is None
    assert lean(rule, 100.1, bid, ask, None) is None


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("tick", [-1, 0, 1, None])
def test_lean_when_only_bids_or_only_offers_exist_then_who_traded_there_hit_them(rule, tick):
    assert lean(rule, 10.50, 10.50, None, tick) == -1
    assert lean(rule, 10.45, 10.50, None, tick) == -1
    assert lean(rule, 9.50, None, 9.50, tick) == 1
    assert lean(rule, 9.55, None, 9.50, tick) == 1


@pytest.mark.parametrize("rule", RULES)
def test_verdict_when_a_stock_is_locked_at_its_circuit_then_none_of_it_is_the_missing_sides(rule):
    busy = {"traded_volume": 8_345, "ltq": 1, "tick_direction": 1, "ask_quantity": None, "bid_quantity": 250_000}
    assert one(rule, ltp=10.50, prev_bid=10.50, prev_ask=None, **busy) == (0, 8_345, 0)
    assert one(rule, ltp=10.50, prev_bid=None, prev_ask=10.50, **busy) == (8_345, 0, 0)


@pytest.mark.parametrize("rule", ["emo", "clnv", "split"])
def test_lean_when_the_quote_is_locked_then_tick_rule_but_for_lee_ready(rule):
    assert lean(rule, 100.2, 100.1, 100.1, -1) == -1
    assert lean("lee_ready", 100.2, 100.1, 100.1, -1) == 1


def test_lean_when_the_mid_is_not_exact_in_binary_then_still_at_the_mid():
    assert lean("lee_ready", 0.15, 0.1, 0.2, -1) == -1
    assert lean("split", 0.15, 0.1, 0.2, -1) == 0.0


def test_lean_when_estimator_and_a_quote_then_the_distance_in_half_spreads():
    assert lean("split", 100.07, 100.0, 100.1, 1) == pytest.approx(0.4)
    assert lean("split", 100.02, 100.0, 100.1, 1) == pytest.approx(-0.6)
    assert lean("split", 100.3, 100.0, 100.1, 1) == 1.0
    assert lean("split", 99.8, 100.0, 100.1, 1) == -1.0


def leaning_of(evidence):
    """The lean without any shift of the queues."""
    return informed_lean(evidence.ltp, evidence.prev_bid, evidence.prev_ask, evidence.bid, evidence.ask, 0.0)


INSIDE = Evidence(ltp=100.07, prev_bid=100.0, prev_ask=100.1, bid=100.0, ask=100.1)


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({}, 0.4),
        ({"ask": 100.12}, 0.4 + 0.5),
        ({"ask": 100.09}, 0.4 + 0.1),
        ({"ask": 100.07}, 0.4 + 0.1 + 0.5),
        ({"bid": 99.98}, 0.4 - 0.5),
        ({"bid": 100.02}, 0.4 - 0.1),
        ({"bid": 100.07}, 0.4 - 0.1 - 0.5),
        ({"bid": 99.98, "ask": 100.07}, 0.4 - 0.5 + 0.1 + 0.5),
        ({"bid": None, "ask": 100.07}, 0.4),
        ({"ltp": 100.1}, 1.0 + 0.5),
        ({"ltp": 100.1, "bid": 99.98, "ask": 100.09}, 1.0 - 0.5 + 0.1),
        ({"ltp": 100.05}, 0.0),
    ],
)
def test_informed_lean_when_the_best_prices_moved_or_stand_at_the_last_price_then_they_add_to_it(changed, expected):
    assert leaning_of(INSIDE._replace(**changed))[0] == pytest.approx(expected)


def test_informed_lean_when_the_queues_shifted_then_a_quarter_of_the_shift_is_added():
    assert informed_lean(100.07, 100.0, 100.1, 100.0, 100.1, 0.5)[0] == pytest.approx(0.4 + 0.25 * 0.5)
    assert informed_lean(100.07, 100.0, 100.1, None, None, -0.5)[0] == pytest.approx(0.4 - 0.25 * 0.5)


@pytest.mark.parametrize(
    ("after", "bought"),
    [((300, 100), 838), ((100, 300), 752), ((0, 0), 795), ((300, None), 795), ((None, None), 795)],
)
def test_verdict_when_the_queues_shifted_then_more_is_bought_where_the_bids_grew(after, bought):
    """Ten trades: the root of a tenth of the volume is the last price's, of the rest the lean's share, 0.4 ± 0.25 · 0.5."""
    bid_quantity, ask_quantity = after
    evidence = INSIDE._replace(
        traded_volume=1_000,
        ltq=100,
        prev_bid_quantity=100,
        prev_ask_quantity=100,
        bid_quantity=bid_quantity,
        ask_quantity=ask_quantity,
    )
    assert verdict("split", evidence).buy == bought


@pytest.mark.parametrize(("bid", "ask"), [(None, 100.1), (100.1, None), (100.1, 100.1), (100.2, 100.1)])
def test_informed_lean_when_the_previous_quote_is_missing_locked_or_crossed_then_none(bid, ask):
    assert leaning_of(INSIDE._replace(prev_bid=bid, prev_ask=ask)) == (None, False)


def test_informed_lean_when_prices_are_below_zero_then_as_above():
    below = Evidence(ltp=-0.03, prev_bid=-0.10, prev_ask=0.0, bid=-0.10, ask=-0.03)
    assert leaning_of(below)[0] == pytest.approx(0.4 + 0.1 + 0.5)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("flag", ["gap", "auction"])
def test_verdict_when_gap_or_auction_then_all_unclassified(rule, flag):
    assert one(rule, **{flag: True}) == (0, 0, 100)


@pytest.mark.parametrize("rule", RULES)
def test_verdict_when_nothing_traded_then_zeros(rule):
    assert one(rule, traded_volume=None) == one(rule, traded_volume=0) == one(rule, traded_volume=-3) == (0, 0, 0)


@pytest.mark.parametrize("rule", RULES)
def test_verdict_when_price_is_missing_or_nothing_is_known_then_unclassified(rule):
    assert one(rule, ltp=None) == (0, 0, 100)
    assert one(rule, prev_bid=None, prev_ask=None, tick_direction=None) == (0, 0, 100)


def test_verdict_when_estimator_and_one_second_of_many_prints_then_some_of_the_other_side():
    # mixing = 0.2 × 0.75 × ln(10)/3 = 0.115; last = √(1/10) = 0.316; kept = 0.316 + 0.684 / 1.115 = 0.929
    assert one("split") == (96, 4, 0)
    assert one("lee_ready") == (100, 0, 0)


BUSY = {"traded_volume": 10_000, "ltq": 100}


def test_verdict_when_estimator_and_the_book_pulls_against_then_more_of_the_other_side():
    # mixing = 0.2 × 0.75 × (1 + 0.3 × pull), pull = 0.98, 0 and -0.98; kept = 0.1 + 0.9 / (1 + mixing)
    assert one("split", bid_quantity=10, ask_quantity=990, **BUSY) == (9269, 731, 0)
    assert one("split", bid_quantity=500, ask_quantity=500, **BUSY) == (9413, 587, 0)
    assert one("split", bid_quantity=990, ask_quantity=10, **BUSY) == (9569, 431, 0)


@pytest.mark.parametrize(
    ("ltp", "prints_1", "prints_4", "prints_100"),
    [(100.08, 10_000, 8_903, 7_848), (100.06, 10_000, 7_968, 6_283), (100.05, 5_000, 5_000, 5_000), (100.04, 0, 2_032, 3_717)],
)
def test_verdict_when_estimator_and_inside_the_spread_then_the_last_trade_keeps_its_side(ltp, prints_1, prints_4, prints_100):
    # The last trade's share of the evidence is √(1/prints) = 1, 0.5 and 0.1; the rest has the lean, 0.6, 0.2 and 0.
    busy = {"traded_volume": 10_000, "ltp": ltp}
    assert [one("split", ltq=ltq, **busy)[0] for ltq in (10_000, 2_500, 100)] == [prints_1, prints_4, prints_100]


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(5, (8_833, 1_167, 0)), (10, (8_500, 1_500, 0)), (60, (7_000, 3_000, 0)), (120, (6_438, 3_562, 0)), (300, (0, 0, 10_000))],
)
def test_verdict_when_the_window_is_long_then_shares_near_one_half_and_at_last_unclassified(seconds, expected):
    # mixing = 0.2 × 1.75 + 0.03 × (seconds - 5): 0.35, 0.5, 2, 3.8 and 9.2, which is more than 9
    before_ms = NOON_MS - 1_000 * seconds
    assert one("split", prev_feed_time_ms=before_ms, prev_ltt_ms=before_ms - 80, **BUSY) == expected
    assert one("lee_ready", prev_feed_time_ms=before_ms, prev_ltt_ms=before_ms - 80, **BUSY) == (10_000, 0, 0)


def test_verdict_when_one_trade_ends_a_long_window_then_it_keeps_its_side():
    assert one("split", prev_feed_time_ms=NOON_MS - 900_000, ltq=100) == (100, 0, 0)


@pytest.mark.parametrize(
    "changed",
    [
        {"prev_feed_time_ms": NOON_MS - 250},
        {"ltq": 100},
        {"ltq": 0},
        {"ltq": None},
        {"ltt_ms": None},
        {"prev_ltt_ms": None},
        {"prev_feed_time_ms": None},
        {"prev_ltt_ms": 0},
    ],
)
def test_verdict_when_no_sign_of_mixing_then_one_side(changed):
    assert one("split", **changed) == (100, 0, 0)


def test_verdict_when_the_rule_is_unknown_then_value_error_names_the_valid_ones():
    with pytest.raises(ValueError, match="split, lee_ready, emo, clnv"):
        one("Lee-Ready")


MAYBE_PRICE = st.one_of(st.none(), st.integers(1, 40).map(lambda ticks: ticks / 20))
MAYBE_TIME = st.one_of(st.none(), st.integers(0, 10_000), st.integers(0, 1_000_000))
MAYBE_QUANTITY = st.one_of(st.none(), st.integers(0, 10**9))
MAYBE_FLAG = st.sampled_from([None, False, True])
ANY_EVIDENCE = st.builds(
    Evidence,
    traded_volume=MAYBE_QUANTITY,
    **dict.fromkeys(("ltp", "prev_bid", "prev_ask", "bid", "ask"), MAYBE_PRICE),
    **dict.fromkeys(("ltq", "bid_quantity", "ask_quantity", "prev_bid_quantity", "prev_ask_quantity"), MAYBE_QUANTITY),
    **dict.fromkeys(("feed_time_ms", "prev_feed_time_ms", "ltt_ms", "prev_ltt_ms"), MAYBE_TIME),
    **dict.fromkeys(("gap", "auction"), MAYBE_FLAG),
    tick_direction=st.sampled_from([None, -1, 0, 1]),
)


@given(rule=st.sampled_from(RULES), evidence=ANY_EVIDENCE)
def test_verdict_when_given_anything_then_parts_add_up_to_the_volume(rule, evidence):
    *parts, wrong = verdict(rule, evidence)
    assert sum(parts) == (evidence.traded_volume or 0)
    assert min(parts) >= 0
    assert 0.02 <= wrong <= 0.5


def test_evidence_when_gathered_from_a_tick_then_its_fields_and_the_best_levels():
    tick = Tick(
        schema_version=1,
        instrument_key="NSE_EQ|INE467B01029",
        kind="update",
        sequence=2,
        feed_time_ms=NOON_MS,
        received_time_ms=NOON_MS + 20,
        event_time_ms=NOON_MS - 90,
        trading_date="2025-12-15",
        ltp=100.1,
        ltt_ms=NOON_MS - 90,
        ltq=10,
        bid=(BookLevel(100.0, 700), BookLevel(99.9, 5)),
        traded_volume=100,
        prev_bid=100.0,
        prev_ask=100.1,
        prev_bid_quantity=650,
        prev_ask_quantity=20,
        prev_feed_time_ms=NOON_MS - 1_000,
        prev_ltt_ms=NOON_MS - 1_080,
        tick_direction=1,
        gap=False,
        auction=False,
    )
    assert Evidence.of(tick) == SECOND._replace(bid=100.0, bid_quantity=700, prev_bid_quantity=650, prev_ask_quantity=20)


def test_rules_when_compared_with_tclf_then_same_sides_where_both_decide():
    """tclf takes prices within 0.001 % as equal and leaves a crossed quote open: prices here are whole, quotes not crossed."""
    np = pytest.importorskip("numpy")
    tclf = pytest.importorskip("tclf.classical_classifier")
    rows = [
        (price, bid, ask, price - tick)
        for price, bid, spread, tick in product(range(94, 117), (100, 101), (1, 2, 3, 4, 6, 7, 9), (-1, 0, 1))
        for ask in (bid + spread,)
    ]
    known = np.array(rows, dtype=float)
    for rule, layer in (("lee_ready", "lr"), ("emo", "emo"), ("clnv", "clnv")):
        oracle = tclf.ClassicalClassifier(
            layers=[(layer, "ex")], strategy="const", features=["trade_price", "bid_ex", "ask_ex", "price_ex_lag"]
        )
        theirs = oracle.fit(known).predict(known)
        ours = [lean(rule, price, bid, ask, (price > last) - (price < last)) or 0 for price, bid, ask, last in rows]
        assert ours == list(theirs), rule


SURE = Evidence(
    traded_volume=100,
    ltp=100.1,
    ltq=50,
    prev_bid=100.0,
    prev_ask=100.1,
    bid=100.0,
    ask=100.2,
    feed_time_ms=NOON_MS,
    prev_feed_time_ms=NOON_MS - 500,
    ltt_ms=NOON_MS - 90,
    prev_ltt_ms=NOON_MS - 580,
)


@pytest.mark.parametrize(
    ("changed", "share"),
    [
        ({}, 0.035),
        ({"prev_feed_time_ms": NOON_MS - 5_000}, 0.08),
        ({"prev_feed_time_ms": None}, 0.08),
        ({"prev_feed_time_ms": NOON_MS + 10}, 0.02),
        ({"ltp": 100.07, "ask": 100.1}, 0.285),
        ({"ltp": 100.07, "bid": 100.0, "ask": 100.11}, 0.285),
        ({"prev_ask": None}, 0.285),
        ({"prev_bid": 100.1}, 0.285),
        ({"bid": 100.1}, 0.285),
        ({"bid": 99.9}, 0.035),
        ({"bid": 99.9, "ask": 100.09}, 0.285),
        ({"bid": 100.0, "ask": 100.1}, 0.035),
        ({"bid": 100.0, "ask": 100.1, "ltq": 5}, 0.285),
        ({"bid": 100.0, "ask": 100.1, "ltq": 5, "ltt_ms": NOON_MS - 1_200}, 0.035),
        ({"bid": 100.0, "ask": 100.1, "ltq": 5, "ltp": 100.02, "prev_feed_time_ms": NOON_MS - 2_000}, 0.5),
        ({"bid": None}, 0.035),
    ],
)
def test_wrong_share_when_signs_of_doubt_are_seen_then_they_add_up_to_a_half_at_most(changed, share):
    assert verdict("split", SURE._replace(**changed)).wrong_share == pytest.approx(share)


def test_band_when_updates_are_summed_then_twice_the_root_in_whole_shares():
    assert band(0.0) == 0.0
    assert band(100**2 * 0.09) == 120.0


@pytest.mark.parametrize(
    ("width", "volume", "classified", "expected"),
    [
        (30, 100, 100, "high"),
        (31, 100, 100, "medium"),
        (10, 100, 80, "high"),
        (10, 100, 79, "medium"),
        (51, 100, 100, "low"),
        (5, 100, 0, "none"),
        (0, 0, 0, "none"),
    ],
)
def test_grade_when_band_and_unclassified_volume_are_weighed_then_by_their_share(width, volume, classified, expected):
    assert grade(width, volume, classified) == expected


def test_grade_when_the_volume_met_a_one_sided_quote_then_never_high():
    assert grade(0, 100, 100, one_sided=100) == "medium"
    assert grade(11, 100, 100, one_sided=100) == "low"
    assert grade(0, 100, 100, one_sided=75) == "high"
