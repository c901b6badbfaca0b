"""Modes of instruments and the limits of a connection."""

from __future__ import annotations

import pytest

from orderflow.market.errors import SettingsError
from orderflow.upstox.subscription import by_mode, check_limits, volume_warning


def keys(count: int, mode: str, segment: str = "NSE_EQ") -> dict[str, str]:
    return {f"{segment}|{mode}{number}": mode for number in range(count)}


def test_keys_when_grouped_by_mode_then_in_order() -> None:
    assert by_mode({"A": "full", "B": "ltpc", "C": "full"}) == {"full": ["A", "C"], "ltpc": ["B"]}


@pytest.mark.parametrize(
    "modes",
    [
        keys(2000, "full"),
        keys(5000, "ltpc"),
        keys(3000, "option_greeks"),
        keys(50, "full_d30"),
        keys(1500, "full") | keys(2000, "ltpc") | keys(50, "full_d30"),
    ],
)
def test_limits_when_kept_then_nothing_is_said(modes: dict[str, str]) -> None:
    check_limits(modes)


@pytest.mark.parametrize(
    ("modes", "told"),
    [
        (keys(2001, "full"), "2001 instruments in mode full are more than the 2000 that one connection may carry$"),
        (
            keys(1501, "full") | keys(1, "ltpc"),
            "1501 instruments in mode full are more than the 1500 that one connection may carry beside other modes",
        ),
        (keys(51, "full_d30") | keys(1, "full"), "51 instruments in mode full_d30 are more than the 50"),
    ],
)
def test_limits_when_exceeded_then_the_error_names_mode_and_limit(modes: dict[str, str], told: str) -> None:
    with pytest.raises(SettingsError, match=told):
        check_limits(modes)


def test_volume_when_a_mode_has_none_then_its_keys_are_named_except_indices() -> None:
    modes = {"NSE_EQ|A": "ltpc", "NSE_EQ|B": "full", "NSE_INDEX|Nifty 50": "ltpc", "NSE_FO|1": "option_greeks"}
    assert volume_warning(modes) == (
        "mode ltpc carries no volume, so there will be no trades and no candles of NSE_EQ|A; mode full carries both"
    )
    assert volume_warning(keys(3, "full")) == ""
    assert volume_warning(keys(22, "ltpc")).endswith("NSE_EQ|ltpc19 and 2 more; mode full carries both")
