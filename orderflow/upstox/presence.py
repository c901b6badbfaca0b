"""Which instruments the feed serves, at what pace, and what of that goes into the ledger."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from typing import Final

from orderflow.market.tick import Tick
from orderflow.upstox.ledger import Ledger
from orderflow.upstox.pace import InstrumentHealth, PaceBook
from orderflow.upstox.subscription import NO_VOLUME, unserved

log = logging.getLogger(__name__)

_NAMED_AT_MOST: Final = 20


class Presence:
    """Follows the pace of one connection's instruments; times are the feed's, or the machine's by the feed's clock."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._paces = PaceBook()
        self._stalled_keys: set[str] = set()
        self._modes: dict[str, str] = {}

    def use_modes(self, modes: Mapping[str, str], keys: set[str]) -> tuple[list[str], list[str]]:
        """Take the mode of each key; return those of `keys` whose mode changed, and of these whose mode before had no volume."""
        changed = [key for key in keys & modes.keys() if self._modes.get(key, modes[key]) != modes[key]]
        without_volume = [key for key in changed if self._modes[key] in NO_VOLUME]
        self._modes = dict(modes)
        return changed, without_volume

    def opened(self, keys: Iterable[str], at_ms: int) -> None:
        """Begin a connection, of which a first update of `keys` is due."""
        self._paces.connected_since_ms = None
        self.subscribed(keys, at_ms)

    def subscribed(self, keys: Iterable[str], at_ms: int) -> None:
        """Note that a first update of `keys` is due on the open connection."""
        self._paces.subscribed(keys, at_ms)

    def forget(self, key: str) -> None:
        """Forget an instrument that is no longer watched."""
        self._paces.forget(key)

    def message(self, feed_time_ms: int) -> None:
        """Note the feed time of a message with instruments."""
        if self._paces.connected_since_ms is None:
            self._paces.connected_since_ms = feed_time_ms

    def heard(self, tick: Tick, at_ms: int) -> None:
        """Note an update; tell of volume that passed in an unusual silence before it, and of a key that is served after all."""
        key, paces = tick.instrument_key, self._paces
        silent_ms = paces.heard(key, tick.feed_time_ms)
        if silent_ms and not tick.gap and (tick.traded_volume or 0) > (tick.ltq or 0):
            self._ledger.event(
                "silence",
                at_ms,
                instrument_key=key,
                from_ms=tick.prev_feed_time_ms,
                to_ms=tick.feed_time_ms,
                cause=f"no update for {silent_ms / 1000:.0f} s on an open connection",
                volume=tick.traded_volume,
            )
        if paces.not_served and paces.is_served_again(key):
            self._ledger.event("served", at_ms, instrument_key=key, cause="the feed sends it after all")

    def look_for_unserved(self, keys: Iterable[str], now_ms: int) -> None:
        """Report once those of `keys` for which the server sends nothing although the connection works."""
        unserved_keys = self._paces.unserved(now_ms)
        if not unserved_keys:
            return
        watched = {key: self._modes.get(key, "full") for key in keys}
        for mode, missing, cause, whole_mode in unserved(watched, unserved_keys, self._paces.not_served):
            named = missing[:_NAMED_AT_MOST]
            log.warning("%s: %s", ", ".join(named), cause)
            if whole_mode:
                self._ledger.event("not_served", now_ms, cause=cause, detail={"mode": mode, "keys": named})
                continue
            for key in missing:
                self._ledger.event("not_served", now_ms, instrument_key=key, cause=cause, detail={"mode": mode})

    def health(self, continuous: Mapping[str, bool], feed_now_ms: int | None) -> dict[str, InstrumentHealth]:
        """Return the health of the instruments in `continuous`, which says by key whether it should be trading."""
        return self._paces.health(sorted(continuous), feed_now_ms, continuous)

    def tell_stalled(self, health: Mapping[str, InstrumentHealth], at_ms: int) -> None:
        """Tell which instruments have stalled since the last call, and which send again; of most at once it is the feed."""
        stalled = {key for key, each in health.items() if each.state == "stalled"}
        if 2 * len(stalled) > len(health):
            return
        for key in sorted(stalled ^ self._stalled_keys):
            each = health.get(key)
            if each is not None and key in stalled:
                cause = f"no update for {each.last_update_seconds} s; {each.usual_seconds} s is usual"
                self._ledger.event("instrument_stalled", at_ms, instrument_key=key, cause=cause)
            elif each is not None and each.state == "live":
                self._ledger.event("instrument_live", at_ms, instrument_key=key, cause="it sends updates again")
        self._stalled_keys = stalled
