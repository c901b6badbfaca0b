"""One viewer: which view it asked for, what it has been sent, and the next message that brings it up to date.

A message carries everything that changed since the last one sent, so a viewer that is slow, or skips, loses no final state.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from orderflow.dashboard import figures, panels, status
from orderflow.dashboard.minutes import Instrument
from orderflow.dashboard.rollup import Row
from orderflow.dashboard.store import Store

MINUTES: Final = (1, 3, 5, 15, 30, 60)
BUFFER_MOST: Final = 2000
TAPE_ROWS: Final = 60
PROFILE_MS: Final = 500
WATCH_MS: Final = 100
SLOW_PANELS_MS: Final = 1000


@dataclass(frozen=True, slots=True)
class View:
    """What a viewer looks at; every field can be put in a link."""

    instrument: str
    minutes: int = 1
    buffer: int = 100
    mode: str = "chart"
    palette: str = "default"
    date: str | None = None

    @classmethod
    def parse(cls, wish: Mapping[str, Any], default_instrument: str, default_buffer: int) -> View:
        """Build a view from untrusted values; what is not valid becomes the default."""
        minutes, buffer = _whole(wish.get("minutes")), _whole(wish.get("buffer"))
        date = wish.get("date")
        return cls(
            instrument=str(wish.get("instrument") or default_instrument)[:120],
            minutes=minutes if minutes in MINUTES else 1,
            buffer=min(max(buffer, 10), BUFFER_MOST) if buffer else default_buffer,
            mode="footprint" if wish.get("mode") == "footprint" else "chart",
            palette="safe" if wish.get("palette") == "safe" else "default",
            date=date if isinstance(date, str) and len(date) == 10 else None,
        )


def _whole(value: Any) -> int:
    try:
        return int(value)
    except (TypeError, ValueError):
        return 0


class Viewer:
    """The server's memory of one viewer of the running day; not thread-safe, call it under the store's lock."""

    def __init__(self, store: Store, names: panels.Names, view: View, next_open_ms: Callable[[str, int], int | None]) -> None:
        self._store = store
        self._names = names
        self._next_open_ms = next_open_ms
        self.look_at(view)
        self._watch_sent: dict[str, dict[str, Any]] = {}

    def look_at(self, view: View) -> None:
        """Switch to another view; the next message is a whole figure."""
        self.view = view
        self._epoch = -1
        self._revision = -1
        self._tick_revision = -1
        self._tape = -1
        self._profile_due = 0
        self._watch_due = 0
        self._slow_due = 0
        self._banners: list[dict[str, Any]] | None = None
        self._gap_count = -1

    def message(self, now_ms: int) -> dict[str, Any] | None:
        """Return the next message, or None when nothing the viewer sees has changed."""
        key = self.view.instrument
        instrument = self._store.instrument(key) or Instrument(key)
        rows = self._store.rollup(key, self.view.minutes).rows(instrument)
        out: dict[str, Any] = {}
        if instrument.epoch != self._epoch:
            out.update(self._whole(instrument, rows, now_ms))
        elif instrument.revision != self._revision:
            out.update(self._patch(instrument, rows, now_ms))
        if instrument.revision != self._revision or instrument.tick_revision != self._tick_revision or out:
            out["stats"] = panels.statistics(instrument, rows)
        if instrument.tick_revision != self._tick_revision or out:
            out["depth"] = panels.depth(instrument)
        if instrument.tape_count != self._tape:
            if self._tape >= 0:
                out["rx"] = panels.received_times(instrument, self._tape)
            out["tape"] = panels.tape(instrument, max(self._tape, 0), TAPE_ROWS)
        if now_ms >= self._watch_due:
            watch = self._watch()
            if watch:
                out["watch"] = watch
                self._watch_due = now_ms + WATCH_MS
        if now_ms >= self._slow_due:
            self._slow_due = now_ms + SLOW_PANELS_MS
            shown = self._banner_list(rows, now_ms)
            if shown != self._banners:
                out["banners"] = self._banners = shown
        self._epoch, self._revision = instrument.epoch, instrument.revision
        self._tick_revision, self._tape = instrument.tick_revision, instrument.tape_count
        return out or None

    def _whole(self, instrument: Instrument, rows: Sequence[Row], now_ms: int) -> dict[str, Any]:
        shown = rows[-self.view.buffer :]
        palette = figures.PALETTES[self.view.palette]
        figure = figures.chart(shown, instrument.profile, palette)
        gaps = self._store.gaps_of(instrument.key)
        self._gap_count = len(gaps)
        figure["layout"]["shapes"] = figures.gap_shapes([(gap.from_ms, gap.to_ms) for gap in gaps], palette)
        self._profile_due = now_ms + PROFILE_MS
        self._tape = -1
        return {"type": "figure", "view": asdict(self.view), "figure": figure, "facts": figures.facts(shown)}

    def _patch(self, instrument: Instrument, rows: Sequence[Row], now_ms: int) -> dict[str, Any]:
        palette = figures.PALETTES[self.view.palette]
        out: dict[str, Any] = {"type": "patch"}
        changed = instrument.first_change_after(self._revision)
        if changed is not None:
            start = self._store.rollup(instrument.key, self.view.minutes).window_start(changed)
            tail = _from(rows, start)[-self.view.buffer :]
            if tail:
                out["from"] = figures.label(tail[0].candle.start_ms)
                out["tails"] = figures.tails(tail, palette)
                out["facts"] = figures.facts(tail)
                out["wholes"] = {"forming": figures.forming(rows[-self.view.buffer :])}
        if now_ms >= self._profile_due and changed is not None:
            out.setdefault("wholes", {}).update(figures.profile_columns(instrument.profile))
            self._profile_due = now_ms + PROFILE_MS
        gaps = self._store.gaps_of(instrument.key)
        if len(gaps) != self._gap_count:
            self._gap_count = len(gaps)
            out["shapes"] = figures.gap_shapes([(gap.from_ms, gap.to_ms) for gap in gaps], palette)
        return out

    def _watch(self) -> list[dict[str, Any]]:
        changed = []
        for key, instrument in self._store.instruments.items():
            stamp = {"at": (instrument.revision, instrument.tick_revision, instrument.last_price)}
            if self._watch_sent.get(key) == stamp:
                continue
            self._watch_sent[key] = stamp
            symbol, name = panels.symbol_of(key, self._names)
            changed.append(
                {**panels.watch_row(instrument, self._store.rollup(key, 1).rows(instrument)), "symbol": symbol, "name": name}
            )
        return changed

    def _banner_list(self, rows: Sequence[Row], now_ms: int) -> list[dict[str, Any]]:
        key = self.view.instrument
        found = status.banners(self._store, key, now_ms, self._next_open_ms(key, now_ms))
        shown = rows[-self.view.buffer :]
        if shown:
            gap = status.gap_banner(self._store.gaps_of(key), shown[0].candle.start_ms, shown[-1].candle.end_ms)
            found = [*found, gap] if gap is not None else found
        return [asdict(banner) for banner in found]


def _from(rows: Sequence[Row], start_ms: int) -> list[Row]:
    """Return the rows at or after a time; they are few, at the end."""
    index = len(rows)
    while index and rows[index - 1].candle.start_ms >= start_ms:
        index -= 1
    return list(rows[index:])
