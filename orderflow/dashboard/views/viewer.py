"""One viewer: its view, what has been sent to it, and the next message that updates it.

A message contains everything that changed since the last one sent, so a slow viewer that skips states gets every final state.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from orderflow.dashboard.sources.directory import Directory
from orderflow.dashboard.state.day import unseen
from orderflow.dashboard.state.instrument import Instrument
from orderflow.dashboard.state.row import Row, outages
from orderflow.dashboard.state.store import Store
from orderflow.dashboard.views import chart, footprint, panels
from orderflow.dashboard.views.surroundings import Shown, Surroundings

MINUTES: Final = (1, 3, 5, 15, 30, 60)
BUFFER_MOST: Final = 2000
TICKS_MOST: Final = 1000
PROFILE_MS: Final = 1000
SETTLED_MS: Final = 1000
ANCHOR_MS: Final = 60_000

_DATE: Final = re.compile(r"\d{4}-\d{2}-\d{2}")


@dataclass(frozen=True, slots=True)
class View:
    """What a viewer looks at; every field can be put in a link.

    `ticks` is the height of a footprint's price row; 0 chooses it from the prices.
    """

    instrument: str
    minutes: int = 1
    buffer: int = 100
    mode: str = "chart"
    date: str | None = None
    replay: bool = False
    ticks: int = 0

    @classmethod
    def parse(cls, wish: Mapping[str, Any], default_instrument: str, default_buffer: int) -> View:
        """Build a view from untrusted values; invalid ones become the default: of a past day all its candles."""
        minutes, buffer = _whole(wish.get("minutes")), _whole(wish.get("buffer"))
        date = wish.get("date")
        date = date if isinstance(date, str) and _DATE.fullmatch(date) else None
        replay = str(wish.get("replay", "")).lower() in ("1", "true")
        whole = date is not None and not replay
        return cls(
            instrument=str(wish.get("instrument") or default_instrument)[:120],
            minutes=minutes if minutes in MINUTES else 1,
            buffer=min(max(buffer, 10), BUFFER_MOST) if buffer else BUFFER_MOST if whole else default_buffer,
            mode="footprint" if wish.get("mode") == "footprint" else "chart",
            date=date,
            replay=replay,
            ticks=min(max(_whole(wish.get("ticks")), 0), TICKS_MOST),
        )


def _whole(value: Any) -> int:
    try:
        return int(value)
    except (TypeError, ValueError):
        return 0


class Viewer:
    """The server's memory of one viewer; one thread at a time. It takes the stores' locks itself, never both at once.

    `store` holds what the view shows: the running day, or one past day. The watch list always comes from `live`.
    """

    def __init__(self, live: Store, directory: Directory, marked: footprint.Imbalances = footprint.DEFAULT) -> None:
        self._live = live
        self._marked = marked
        self._surroundings = Surroundings(live, directory)

    def look_at(self, view: View, store: Store) -> None:
        """Switch to another view; the next message is a whole one."""
        self.view = view
        self.store = store
        # What the store and the instrument keep up to date only while somebody holds it.
        self._rollup: object = None
        self._profile: object = None
        self._epoch = -1
        self._revision = -1
        self._tick_revision = -1
        self._tape = -1
        self._profile_due = 0
        self._levels_due = 0
        self._anchor_due = 0
        self._surroundings.look_elsewhere()
        self._gaps: list[tuple[int, int]] = []
        self._settled: tuple[int, ...] = ()
        self._settled_due = 0

    @property
    def unseen(self) -> bool:
        """Return whether nothing of this view was sent yet: the next message is a whole one."""
        return self._epoch < 0

    def has_news(self) -> bool:
        """Return whether the viewed instrument has changed since the last message."""
        instrument = self.store.instrument(self.view.instrument)
        return instrument is not None and instrument.revision != self._revision

    def message(self, now_ms: int) -> dict[str, Any] | None:
        """Return the next message, or None when nothing the viewer sees has changed."""
        with self.store.lock:
            out, shown = self._of_view(now_ms)
        with self._live.lock:
            out.update(self._surroundings.changes(shown, self.store, now_ms))
        return out or None

    def _of_view(self, now_ms: int) -> tuple[dict[str, Any], Shown]:
        """Return the changes of the viewed day, and the data for its banners."""
        key = self.view.instrument
        instrument = self.store.instrument(key) or Instrument(key)
        rollup = self._rollup = self.store.rollup(key, self.view.minutes)
        rows = rollup.rows(instrument)
        if self.store is self._live and self._live.caught_up and now_ms >= self._anchor_due:
            self._anchor_due = now_ms + ANCHOR_MS
            if (missing := unseen(instrument, rows[-1] if rows else None)) is not None:
                instrument.take_unseen(missing)
                rows = rollup.rows(instrument)
        fresh = instrument.epoch != self._epoch
        moved = fresh or instrument.revision != self._revision
        out: dict[str, Any] = {}
        if self.view.mode == "footprint":
            out.update(self._footprint(instrument, rows, now_ms, fresh=fresh, moved=moved))
        elif fresh:
            out.update(self._whole(instrument, rows, now_ms))
        elif moved:
            out.update(self._patch(instrument, rows, now_ms))
        if fresh:
            out.update(self._first(instrument))
        ticked = instrument.tick_revision != self._tick_revision
        if moved or ticked:
            out["stats"] = panels.statistics(instrument, rows)
        if ticked or fresh:
            out["depth"] = panels.depth(instrument)
        if instrument.tape_count != self._tape:
            if self._tape >= 0 and self.store is self._live and self._live.caught_up:
                out["rx"] = panels.received_times(instrument, self._tape)
            out["tape"] = panels.tape(instrument, max(self._tape, 0))
        if moved and now_ms >= self._levels_due:
            out["levels"] = chart.profile_levels(self._day_profile(instrument))
            self._levels_due = now_ms + PROFILE_MS
        self._epoch, self._revision = instrument.epoch, instrument.revision
        self._tick_revision, self._tape = instrument.tick_revision, instrument.tape_count
        seen = rows[-self.view.buffer :]
        past = self.store is not self._live
        return out, Shown(
            instrument=key,
            date=self.view.date or "",
            candles=len(rows),
            from_ms=seen[0].candle.start_ms if seen else 0,
            to_ms=seen[-1].candle.end_ms if seen else 0,
            outages=outages(rows) if past and self._surroundings.banners_due(now_ms) else [],
        )

    def _first(self, instrument: Instrument) -> dict[str, Any]:
        self._tape = -1
        return {"view": asdict(self.view), "date": instrument.date, "live": self.store is self._live}

    def _whole(self, instrument: Instrument, rows: Sequence[Row], now_ms: int) -> dict[str, Any]:
        self._gaps = self._gaps_of(instrument, rows)
        self._profile_due = now_ms + PROFILE_MS
        return {
            "type": "whole",
            "mode": "chart",
            "facts": chart.facts(rows[-self.view.buffer :]),
            "profile": chart.profile_columns(self._day_profile(instrument)),
            "gaps": chart.gaps(self._gaps),
        }

    def _patch(self, instrument: Instrument, rows: Sequence[Row], now_ms: int) -> dict[str, Any]:
        out = self._tail(instrument, rows)
        if out and now_ms >= self._profile_due:
            out["profile"] = chart.profile_columns(self._day_profile(instrument))
            self._profile_due = now_ms + PROFILE_MS
        gaps = self._gaps_of(instrument, rows)
        if gaps != self._gaps:
            self._gaps = gaps
            out["gaps"] = chart.gaps(gaps)
        return out

    def _tail(self, instrument: Instrument, rows: Sequence[Row]) -> dict[str, Any]:
        """Return the rows from the first changed one on."""
        changed = instrument.first_change_after(self._revision)
        if changed is None:
            return {}
        tail = _from(rows, self.store.rollup(instrument.key, self.view.minutes).window_start(changed))[-self.view.buffer :]
        if not tail:
            return {}
        return {"from": chart.label(tail[0].candle.start_ms), "facts": chart.facts(tail)}

    def _footprint(self, instrument: Instrument, rows: Sequence[Row], now_ms: int, *, fresh: bool, moved: bool) -> dict[str, Any]:
        """Return the settled candles' cells when they changed, at most once a second, and always those of the forming one."""
        settled = footprint.settled(rows)
        newest = rows[-1:] if rows and not rows[-1].final else []
        ticks, tick = footprint.row_height(rows, self.view.ticks)
        step = ticks * tick
        state = (len(rows), step, *(max(minute.revision for minute in row.minutes) for row in settled))
        out: dict[str, Any] = {}
        if fresh:
            out = {"type": "whole", "mode": "footprint", "facts": chart.facts(rows[-self.view.buffer :])}
        elif moved:
            out = self._tail(instrument, rows)
        if fresh or (state != self._settled and now_ms >= self._settled_due):
            self._settled, self._settled_due = state, now_ms + SETTLED_MS
            newest = [*settled, *newest]
        elif not out:
            return out
        out["cells"] = [footprint.cells(row, step, tick, self._marked) for row in newest]
        out["step"], out["ticks"] = chart.in_rupees(step), ticks
        return out

    def _day_profile(self, instrument: Instrument) -> chart.Profile:
        held = self._profile = instrument.profile
        return chart.profile_of(held.levels, held.unpriced)

    def _gaps_of(self, instrument: Instrument, rows: Sequence[Row]) -> list[tuple[int, int]]:
        """Return the outages of the shown day from its first candle on: before that a page puts earlier sessions.

        Of a past day the minutes that span one are known, not its seconds.
        """
        if self.store is not self._live:
            return outages(rows)
        first = rows[0].candle.start_ms if rows else 0
        gaps = self.store.gaps_on(instrument.key, instrument.date)
        return [(max(gap.from_ms, first), gap.to_ms) for gap in gaps if gap.to_ms > first]


def _from(rows: Sequence[Row], start_ms: int) -> list[Row]:
    """Return the rows at or after a time; they are few, at the end."""
    index = len(rows)
    while index and rows[index - 1].candle.start_ms >= start_ms:
        index -= 1
    return list(rows[index:])
