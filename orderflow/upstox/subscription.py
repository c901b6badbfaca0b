"""In which mode each instrument is subscribed, and how many instruments one connection may carry.

The limits are those of Upstox's page on the V3 feed: a connection with a single mode has that mode's limit, one with several
has a lower limit for each of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

from orderflow.market.errors import SettingsError

KEY_LIMITS: Final = {"ltpc": 5000, "option_greeks": 3000, "full": 2000, "full_d30": 50}
COMBINED_LIMITS: Final = {"ltpc": 2000, "option_greeks": 2000, "full": 1500, "full_d30": 50}
NO_VOLUME: Final = frozenset({"ltpc"})
"""Modes without `vtt`: neither trades nor candles can be made of them."""

_NAMED_AT_MOST: Final = 20


def by_mode(modes: Mapping[str, str]) -> dict[str, list[str]]:
    """Return the keys of each mode, in order, from the mode of each key."""
    found: dict[str, list[str]] = {}
    for key, mode in modes.items():
        found.setdefault(mode, []).append(key)
    return found


def check_limits(modes: Mapping[str, str]) -> None:
    """Raise SettingsError when one connection may not carry all of these keys in their modes."""
    grouped = by_mode(modes)
    limits = KEY_LIMITS if len(grouped) == 1 else COMBINED_LIMITS
    for mode, keys in grouped.items():
        if len(keys) > limits[mode]:
            beside = "" if len(grouped) == 1 else " beside other modes"
            raise SettingsError(
                f"{len(keys)} instruments in mode {mode} are more than the {limits[mode]} that one connection may carry{beside}"
            )


def volume_warning(modes: Mapping[str, str]) -> str:
    """Return a warning that names the keys whose mode carries no volume; empty without any. An index has no volume anyway."""
    without = [key for key, mode in modes.items() if mode in NO_VOLUME and not key.partition("|")[0].endswith("_INDEX")]
    if not without:
        return ""
    more = f" and {len(without) - _NAMED_AT_MOST} more" if len(without) > _NAMED_AT_MOST else ""
    shown = ", ".join(without[:_NAMED_AT_MOST]) + more
    return f"mode ltpc carries no volume, so there will be no trades and no candles of {shown}; mode full carries both"


class Unserved(NamedTuple):
    """Keys of one mode that the server does not serve, and why in words; `whole_mode` when it serves none of that mode."""

    mode: str
    keys: tuple[str, ...]
    cause: str
    whole_mode: bool


def unserved(modes: Mapping[str, str], found: set[str], not_served: set[str]) -> Iterator[Unserved]:
    """Yield by mode those of `found` that are not served; `modes` are all that is watched, `not_served` all that is not served.

    A mode of which nothing is served is most likely not in the account's plan.
    """
    for mode, keys in by_mode(modes).items():
        new = tuple(sorted(found.intersection(keys)))
        plan = "full_d30 needs an Upstox Plus plan" if mode == "full_d30" else "look at INSTRUMENT and the account's plan"
        whole_mode = not_served.issuperset(keys) and (len(keys) > 1 or len(modes) == 1)
        if new and whole_mode:
            yield Unserved(mode, new, f"the feed serves none of {len(keys)} instruments in mode {mode}: {plan}", whole_mode)
        elif new:
            cause = f"the feed does not serve it in mode {mode}: expired, unknown, or not in the account's plan"
            yield Unserved(mode, new, cause + (f" ({plan})" if mode == "full_d30" else ""), whole_mode)
