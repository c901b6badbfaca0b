"""Modes of instruments and the limits of a connection."""

from __future__ import annotations

import pytest

from orderflow.market.errors import SettingsError
from orderflow.upstox.subscription import by_mode, moved, named, spread, volume_warning


def keys(count: int, mode: str, segment: str = "NSE_EQ") -> dict[str, str]:
    return {f"{segment}|{mode}{number}": mode for number in range(count)}


def test_keys_when_grouped_by_mode_then_in_order() -> None:
    assert by_mode({"A": "full", "B": "ltpc", "C": "full"}) == {"full": ["A", "C"], "ltpc": ["B"]}


def sizes(parts: tuple[dict[str, str], ...]) -> list[int]:
    return [len(part) for part in parts]


@pytest.mark.parametrize(
    ("modes", "connections", "counts"),
    [
        (keys(2000, "full"), 1, [2000]),
        (keys(1500, "full") | keys(2000, "ltpc") | keys(50, "full_d30"), 1, [3550]),
        (keys(5, "full"), 2, [3, 2]),
        (keys(1, "full"), 2, [1, 0]),
        (keys(100, "full_d30"), 2, [50, 50]),
        (keys(2000, "full") | keys(5000, "ltpc"), 2, [2000, 5000]),
        (keys(10_000, "full"), 5, [2000] * 5),
    ],
)
def test_keys_when_they_are_within_the_limits_then_each_is_on_one_connection(
    modes: dict[str, str], connections: int, counts: list[int]
) -> None:
    parts = spread(modes, connections)
    assert sizes(parts) == counts
    assert {key: mode for part in parts for key, mode in part.items()} == modes


@pytest.mark.parametrize(
    ("modes", "connections", "message"),
    [
        (keys(2001, "full"), 1, r"one connection cannot carry so many instruments: 2001 in mode full \(limit 2000\)"),
        (keys(1501, "full") | keys(1, "ltpc"), 1, "a connection with several modes has lower limits"),
        (keys(101, "full_d30") | keys(1, "full"), 2, r"2 connections cannot carry .* 101 in mode full_d30 \(limit 50\), 1 in"),
    ],
)
def test_keys_when_they_exceed_the_limits_then_the_error_names_them_and_the_setting(
    modes: dict[str, str], connections: int, message: str
) -> None:
    with pytest.raises(SettingsError, match=message) as caught:
        spread(modes, connections)
    assert "set UPSTOX_CONNECTIONS, or shorten the list" in str(caught.value)


def test_keys_when_the_list_changes_then_they_stay_on_their_connection_and_new_ones_go_where_there_are_fewest() -> None:
    before = spread(keys(4, "full"), 2)
    assert [sorted(part) for part in before] == [["NSE_EQ|full0", "NSE_EQ|full2"], ["NSE_EQ|full1", "NSE_EQ|full3"]]
    after = spread({"NSE_EQ|new": "ltpc"} | {key: "full" for key in ("NSE_EQ|full3", "NSE_EQ|full2", "NSE_EQ|full1")}, 2, before)
    assert [set(part) for part in after] == [{"NSE_EQ|full2", "NSE_EQ|new"}, {"NSE_EQ|full1", "NSE_EQ|full3"}]


def test_keys_when_they_fit_only_in_another_order_then_they_move() -> None:
    before = spread(keys(2000, "full"), 2)
    assert sizes(before) == [1000, 1000]
    parts = spread(keys(2000, "full") | keys(5000, "ltpc"), 2, before)
    assert [set(part.values()) for part in parts] == [{"full"}, {"ltpc"}]


def test_volume_when_a_mode_has_none_then_its_keys_are_named_except_indices() -> None:
    modes = {"NSE_EQ|A": "ltpc", "NSE_EQ|B": "full", "NSE_INDEX|Nifty 50": "ltpc", "NSE_FO|1": "option_greeks"}
    assert volume_warning(modes) == (
        "mode ltpc carries no volume, so there will be no trades and no candles of NSE_EQ|A; mode full carries both"
    )
    assert volume_warning(keys(3, "full")) == ""
    assert volume_warning(keys(22, "ltpc")).endswith("NSE_EQ|ltpc19 and 2 more; mode full carries both")


def test_keys_when_their_connection_is_refused_then_they_move_to_those_with_the_fewest() -> None:
    parts = ({"A": "full"}, {"B": "full", "C": "full", "D": "full"}, {"E": "full", "F": "full"})
    assert moved(parts, [1], [0, 2]) == ({"A": "full", "B": "full", "C": "full"}, {}, {"E": "full", "F": "full", "D": "full"})
    assert moved(parts, [1], []) == parts


def test_keys_when_the_open_connections_are_full_then_the_rest_stays_and_no_limit_is_exceeded() -> None:
    few, many = keys(49, "full_d30", "BSE_EQ"), keys(3, "full_d30") | keys(1, "full")
    after = moved((few, many), [1], [0])
    rest = {"NSE_EQ|full_d301": "full_d30", "NSE_EQ|full_d302": "full_d30"}
    assert after == (few | {"NSE_EQ|full_d300": "full_d30", "NSE_EQ|full0": "full"}, rest)
    single = keys(1_600, "full")
    assert moved((single, {"X": "ltpc"}), [1], [0]) == (single, {"X": "ltpc"}), "beside another mode full has a limit of 1,500"


def test_keys_when_named_then_the_first_twenty_are() -> None:
    assert (named({}), named({"A": "full", "B": "full"})) == ("0", "2 (A, B)")
    assert named([str(number) for number in range(22)]).endswith("18, 19 and 2 more)")
