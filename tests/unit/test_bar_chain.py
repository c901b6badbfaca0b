from __future__ import annotations

from orderflow.market.bar_chain import BarChain
from orderflow.market.tick import MINUTE_MS, Bar

M = 1_765_771_380_000  # 2025-12-15 09:33:00 IST


def bar(start_ms: int, volume: int) -> Bar:
    return Bar(start_ms, 1.0, 1.0, 1.0, 1.0, volume)


def test_edge_when_the_update_with_the_bar_has_no_trade_after_it_then_it_is_that_vtt() -> None:
    chain = BarChain().observe(M + 20_000, 1_100, 10).observe(M + 58_000, 1_250, 5)
    chain, edges = chain.add(bar(M, 300), vtt=1_250)
    assert edges == (1_250, True)
    assert (chain.low, chain.high) == (1_250, 1_250)


def test_edge_when_an_update_spans_it_then_it_lies_between_its_neighbours() -> None:
    chain = BarChain().observe(M + 58_000, 1_250, 5).observe(M + MINUTE_MS + 500, 1_300, 20)
    chain, edges = chain.add(bar(M, 300), vtt=1_300)
    assert (chain.low, chain.high) == (1_250, 1_280)
    assert edges.close_vtt == 1_265


def test_edge_when_its_bounds_are_wide_then_none_is_given_out() -> None:
    chain = BarChain().observe(M + 8_000, 1_250, 5).observe(M + MINUTE_MS + 500, 1_600, 20)
    chain, edges = chain.add(bar(M, 300), vtt=1_600)
    assert (chain.low, chain.high, edges) == (1_250, 1_545, (None, False))


def test_edge_when_bars_may_be_missing_before_it_then_it_is_given_out_only_once_it_is_exact() -> None:
    chain = BarChain(strict=True).observe(M + 58_000, 1_250, 5).observe(M + MINUTE_MS + 500, 1_300, 20)
    chain, first = chain.add(bar(M, 300), vtt=1_300)
    assert (first, chain.strict) == ((None, False), True)
    chain = chain.observe(M + 110_000, 1_400, 10)
    chain, second = chain.add(bar(M + MINUTE_MS, 140), vtt=1_400)
    assert (second, chain.strict) == ((1_400, True), False)
    chain = chain.observe(M + 170_000, 1_450, 10)
    assert chain.add(bar(M + 2 * MINUTE_MS, 50), vtt=1_450)[1] == (1_450, False)


def test_edge_when_its_bar_was_late_then_the_next_bar_opens_anew() -> None:
    chain = BarChain().observe(M + 58_000, 1_250, 5)
    chain, first = chain.add(bar(M, 300), vtt=1_250, late=True)
    assert first.close_vtt == 1_250
    chain = chain.observe(M + 61_000, 1_300, 50).observe(M + 121_000, 1_500, 10)
    assert chain.add(bar(M + MINUTE_MS, 180), vtt=1_500)[1] == (1_430, True)


def test_chain_when_a_second_bar_is_exact_then_the_first_edge_is_known_from_it() -> None:
    chain = BarChain().observe(M + 58_000, 1_250, 5).observe(M + MINUTE_MS + 500, 1_300, 20)
    chain, first = chain.add(bar(M, 300), vtt=1_300)
    chain = chain.observe(M + 110_000, 1_400, 10)
    chain, second = chain.add(bar(M + MINUTE_MS, 140), vtt=1_400)
    assert first.close_vtt == 1_265
    assert second == (1_400, True)  # 1,265 + 140 is not 1,400: the first edge was 1,260, and the minute opens anew
    assert (chain.low, chain.high) == (1_400, 1_400)


def test_chain_when_bars_follow_one_another_then_their_edges_differ_by_the_volume() -> None:
    chain = BarChain().observe(M + 58_000, 1_250, 5)
    chain, first = chain.add(bar(M, 300), vtt=1_250)
    chain = chain.observe(M + 61_000, 1_300, 50).observe(M + 121_000, 1_500, 10)
    chain, second = chain.add(bar(M + MINUTE_MS, 180), vtt=1_500)
    assert (first.close_vtt, second) == (1_250, (1_430, False))


def test_edge_when_nothing_traded_in_the_minute_before_then_it_follows_the_bar_before_that() -> None:
    chain = BarChain().observe(M + 58_000, 1_250, 5)
    chain, _ = chain.add(bar(M, 300), vtt=1_250)
    chain = chain.observe(M + 2 * MINUTE_MS + 900, 1_331, 78).observe(M + 179_000, 1_540, 5).observe(M + 181_000, 1_600, 50)
    assert chain.add(bar(M + 2 * MINUTE_MS, 295), vtt=1_600)[1] == (1_545, True)  # by its own bounds alone 1,546
    chain = chain.observe(M + MINUTE_MS + 500, 1_252, 2)
    assert chain.add(bar(M + 2 * MINUTE_MS, 295), vtt=1_600)[1] == (1_547, True)  # something traded between


def test_chain_when_bounds_contradict_then_it_starts_afresh() -> None:
    chain = BarChain().observe(M + 58_000, 1_250, 5)
    chain, _ = chain.add(bar(M, 300), vtt=1_250)
    chain = chain.observe(M + 90_000, 2_000, 10)
    assert chain.add(bar(M + MINUTE_MS, 100), vtt=2_000)[1] == (2_000, True)


def test_bar_when_nothing_was_seen_before_then_no_edge_is_known() -> None:
    chain, edges = BarChain().add(bar(M, 300), vtt=1_250)
    assert (edges, chain.end_ms) == ((None, False), None)


def test_chain_when_written_and_read_then_it_is_the_same() -> None:
    chain = BarChain().observe(M + 58_000, 1_250, 5).observe(M + 61_000, 1_300, 50)
    chain, _ = chain.add(bar(M, 300), vtt=1_300)
    assert BarChain.from_record(chain.to_record()) == chain
