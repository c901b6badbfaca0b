"""In which mode each instrument is subscribed, and how many instruments one connection may carry.

The limits are those of Upstox's page on the V3 feed: a connection with a single mode has that mode's limit, one with several
has a lower limit for each of them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from orderflow.market.errors import SettingsError

KEY_LIMITS: Final = {"ltpc": 5000, "option_greeks": 3000, "full": 2000, "full_d30": 50}
COMBINED_LIMITS: Final = {"ltpc": 2000, "option_greeks": 2000, "full": 1500, "full_d30": 50}
NO_VOLUME: Final = frozenset({"ltpc"})
"""Modes without `vtt`: there are no trades and no candles for them."""

_NAMED_AT_MOST: Final = 20


def by_mode(modes: Mapping[str, str]) -> dict[str, list[str]]:
    """Return the keys of each mode, in order, from the mode of each key."""
    keys: dict[str, list[str]] = {}
    for key, mode in modes.items():
        keys.setdefault(mode, []).append(key)
    return keys


def spread(modes: Mapping[str, str], connections: int, before: Sequence[Mapping[str, str]] = ()) -> tuple[dict[str, str], ...]:
    """Return the mode of each key by connection: each key on one of them, about the same number on each.

    A key stays on its connection of `before` if the limits allow. Raises SettingsError when the connections cannot
    carry all keys.
    """
    stays = {key: number for number, part in enumerate(before) for key in part if number < connections}
    for known, packed in ((stays, False), ({}, False), ({}, True)):
        parts = _allotted(modes, connections, known, packed=packed)
        if parts is not None:
            return parts
    counts = ", ".join(f"{len(keys)} in mode {mode} (limit {KEY_LIMITS[mode]})" for mode, keys in by_mode(modes).items())
    several = "one connection" if connections == 1 else f"{connections} connections"
    raise SettingsError(
        f"{several} cannot carry so many instruments: {counts}; a connection with several modes has lower limits. Upstox allows "
        "2 connections, 5 with Plus: set UPSTOX_CONNECTIONS, or shorten the list"
    )


def _allotted(
    modes: Mapping[str, str], connections: int, known: Mapping[str, int], *, packed: bool
) -> tuple[dict[str, str], ...] | None:
    """Return `modes` by connection, or None when a key finds no room; `packed` fills the connections one after another."""
    parts: tuple[dict[str, str], ...] = tuple({} for _ in range(connections))
    counts = [dict.fromkeys(KEY_LIMITS, 0) for _ in range(connections)]
    keys = [key for group in by_mode(modes).values() for key in group]
    for key in sorted(keys, key=lambda key: key not in known):
        mode = modes[key]
        open_to = [number for number in range(connections) if _has_room(counts[number], mode)]
        if not open_to:
            return None
        least = open_to[0] if packed else min(open_to, key=lambda number: len(parts[number]))
        number = known[key] if known.get(key) in open_to else least
        parts[number][key] = mode
        counts[number][mode] += 1
    return parts


def moved(parts: Sequence[Mapping[str, str]], sources: Collection[int], targets: Collection[int]) -> tuple[dict[str, str], ...]:
    """Return `parts` with the keys of the connections `sources` moved to `targets`, as far as the limits allow.

    Each goes to the target with the fewest keys; one that finds no room stays. Connections are numbered from 0.
    """
    after = tuple(dict(part) for part in parts)
    counts = [{mode: len(keys) for mode, keys in by_mode(part).items()} for part in parts]
    for source in sources:
        for key, mode in parts[source].items():
            open_to = [number for number in targets if _has_room({mode: 0, **counts[number]}, mode)]
            if open_to:
                number = min(open_to, key=lambda number: len(after[number]))
                after[number][key] = after[source].pop(key)
                counts[number][mode] = counts[number].get(mode, 0) + 1
    return after


def named(keys: Collection[str]) -> str:
    """Return how many keys there are, and the first of them by name: `2 (NSE_EQ|A, NSE_EQ|B)`."""
    more = f" and {len(keys) - _NAMED_AT_MOST} more" if len(keys) > _NAMED_AT_MOST else ""
    return f"{len(keys)} ({', '.join(list(keys)[:_NAMED_AT_MOST])}{more})" if keys else "0"


def _has_room(counts: Mapping[str, int], mode: str) -> bool:
    """Return whether a connection with so many keys by mode may take one more in `mode`."""
    after = {each: count + (each == mode) for each, count in counts.items()}
    used = {each: count for each, count in after.items() if count}
    limits = KEY_LIMITS if len(used) == 1 else COMBINED_LIMITS
    return all(count <= limits[each] for each, count in used.items())


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


def unserved(modes: Mapping[str, str], missing: set[str], not_served: set[str]) -> Iterator[Unserved]:
    """Yield by mode those of `found` that are not served; `modes` has all watched keys, `not_served` all keys not served.

    A mode of which nothing is served is most likely not in the account's plan.
    """
    for mode, keys in by_mode(modes).items():
        new = tuple(sorted(missing.intersection(keys)))
        plan = "full_d30 needs an Upstox Plus plan" if mode == "full_d30" else "check INSTRUMENT and the account's plan"
        whole_mode = not_served.issuperset(keys) and (len(keys) > 1 or len(modes) == 1)
        if new and whole_mode:
            yield Unserved(mode, new, f"the feed sends none of {len(keys)} instruments in mode {mode}: {plan}", whole_mode)
        elif new:
            cause = f"the feed does not send it in mode {mode}: expired, unknown, or not in the account's plan"
            yield Unserved(mode, new, cause + (f" ({plan})" if mode == "full_d30" else ""), whole_mode)
