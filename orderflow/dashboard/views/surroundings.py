"""What stands beside the viewed day: the watch list, whose prices are old, and the banners."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, Final, NamedTuple

from orderflow.dashboard.sources.directory import Directory
from orderflow.dashboard.state.store import Gap, Store
from orderflow.dashboard.state.watch import spark
from orderflow.dashboard.views import banners

WATCH_MS: Final = 100
SLOW_PANELS_MS: Final = 1000


class Shown(NamedTuple):
    """Data of the viewed day for the banners: its date in the view, its candles, their times, and a past day's outages."""

    instrument: str
    date: str
    candles: int
    from_ms: int
    to_ms: int
    outages: list[tuple[int, int]]


class Surroundings:
    """What one viewer was sent of the running day's surroundings; call it with the lock of `live` held."""

    def __init__(self, live: Store, directory: Directory) -> None:
        self._live = live
        self._directory = directory
        self._watch_sent: dict[str, tuple[Any, ...]] = {}
        self._sparks_sent: dict[str, int] = {}
        self._watch_due = 0
        self._stale_sent: frozenset[str] = frozenset()
        self.look_elsewhere()

    def look_elsewhere(self) -> None:
        """Have the banners sent again soon: another day is viewed."""
        self._slow_due = 0
        self._banners: list[dict[str, Any]] | None = None

    def banners_due(self, now_ms: int) -> bool:
        """Return whether the next `changes` looks at the banners."""
        return now_ms >= self._slow_due

    def changes(self, seen: Shown, store: Store, now_ms: int) -> dict[str, Any]:
        """Return the watch list's changed lines and the banners, each at its own pace; `store` holds the viewed day."""
        out: dict[str, Any] = {}
        if now_ms >= self._watch_due:
            watch = self._watch()
            if watch:
                out["watch"] = watch
                self._watch_due = now_ms + (WATCH_MS if self._live.caught_up else SLOW_PANELS_MS)
        if now_ms >= self._slow_due:
            self._slow_due = now_ms + SLOW_PANELS_MS
            stale = self._live.stale_keys(now_ms)
            if stale != self._stale_sent:
                self._stale_sent = stale
                out["stale"] = sorted(stale)
            shown = self._banner_list(seen, store, now_ms)
            if shown != self._banners:
                out["banners"] = self._banners = shown
        return out

    def _watch(self) -> list[dict[str, Any]]:
        changed = []
        for key, instrument in self._live.instruments.items():
            stamp = (instrument.revision, instrument.tick_revision)
            if self._watch_sent.get(key) == stamp:
                continue
            self._watch_sent[key] = stamp
            line = dict(self._live.watch.row(instrument))
            if not self._live.caught_up:
                line["reading"] = True
            line["symbol"], line["name"] = self._directory.symbol(key)
            minute = line["minute"]["start_ms"] if line["minute"] else 0
            if self._sparks_sent.get(key) != minute:
                self._sparks_sent[key] = minute
                line["spark"] = spark(self._live.watch.newest(instrument))
                line["previous_close"] = instrument.quote.get("close_price")
            changed.append(line)
        return changed

    def _banner_list(self, seen: Shown, store: Store, now_ms: int) -> list[dict[str, Any]]:
        key = seen.instrument
        directory = self._directory
        shown = banners.banners(
            self._live, key, now_ms, directory.next_open_ms(key, now_ms), in_session=directory.in_session(key, now_ms)
        )
        if store is not self._live:
            checked = banners.checked_banner(self._live, seen.date) if store.caught_up else None
            past = [*banners.past_banners(store, seen.date, seen.candles), *([] if checked is None else [checked])]
            shown = [*past, *banners.live_trouble(shown)]
            gaps = [Gap(from_ms, to_ms, key, None) for from_ms, to_ms in seen.outages]
        else:
            gaps = store.gaps_of(key)
        if seen.candles:
            gap = banners.gap_banner(gaps, seen.from_ms, seen.to_ms)
            shown = [*shown, gap] if gap is not None else shown
        return [asdict(banner) for banner in shown]
