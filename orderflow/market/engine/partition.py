"""Turns the records of one Kafka partition, in offset order, into final candles, as a function of those records alone.

The result does not depend on batches, restarts or this machine's clock. Time is the feed's: every record advances the clock of
the streamer that sent it, and an instrument follows the clock of the streamer that sent its last tick. So a streamer that
catches up from its spool does not end the minutes of another one. A streamer silent for ten minutes is ignored: its
instruments then follow the newest clock.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import msgspec

from orderflow.market.candle import Candle
from orderflow.market.engine.instrument import NO_DEADLINE, InstrumentMinutes, LateVolume
from orderflow.market.engine.minute import FinalMinute
from orderflow.market.engine.sides import sides_of
from orderflow.market.engine.windows import WindowRollUp
from orderflow.market.records import FeedEvent
from orderflow.market.tick import HEARTBEAT, MINUTE, Tick
from orderflow.market.times import DAY_MS, IST_OFFSET_MS, MINUTE_MS, ist_date

SILENT_STREAMER_MS: Final = 600_000
RUNS_KEPT: Final = 32


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """Settings that affect the result. With `watermark_ms` None (batch), no minute is final merely because time ran out."""

    rule: str = "split"
    watermark_ms: int | None = 120_000
    exchange_bars: bool = True
    window_minutes: tuple[int, ...] = ()
    source: str = "stream"

    @property
    def longer_windows(self) -> tuple[int, ...]:
        """The lengths that are rolled up from minutes."""
        return tuple(n for n in self.window_minutes if n > 1)


class Run(msgspec.Struct, array_like=True, gc=False):
    """Ticks with consecutive sequences: the first and last sequence, and their feed times."""

    first: int
    last: int
    first_ms: int
    last_ms: int


class SeenTicks:
    """The (sequence, feed time) pairs received for one instrument and date, stored as runs without a hole."""

    __slots__ = ("runs",)

    def __init__(self, runs: Iterable[Run] = ()) -> None:
        self.runs = list(runs)

    def is_new(self, sequence: int, feed_time_ms: int) -> bool:
        """Record one tick; returns False if it was received before."""
        runs = self.runs
        if runs:
            newest = runs[-1]
            if sequence == newest.last + 1 and feed_time_ms >= newest.last_ms:
                newest.last, newest.last_ms = sequence, feed_time_ms
                return True
        for run in reversed(runs):
            if sequence == run.last + 1 and feed_time_ms >= run.last_ms:
                run.last, run.last_ms = sequence, feed_time_ms
                return True
            if run.first <= sequence <= run.last and run.first_ms <= feed_time_ms <= run.last_ms:
                return False
        runs.append(Run(sequence, sequence, feed_time_ms, feed_time_ms))
        if len(runs) > RUNS_KEPT:
            del runs[0]
        return True


class Instrument:
    """One instrument's state: minutes of its present trading date, longer windows, and the streamer whose clock it follows."""

    __slots__ = ("deadline_ms", "minutes", "seen", "streamer", "windows")

    def __init__(
        self, minutes: InstrumentMinutes, window_lengths: Iterable[int], streamer: str, runs: Iterable[Run] = ()
    ) -> None:
        self.minutes = minutes
        self.windows = WindowRollUp(window_lengths)
        self.seen = SeenTicks(runs)
        self.streamer = streamer
        self.deadline_ms = NO_DEADLINE


Output = FinalMinute | Candle | FeedEvent


class PartitionEngine:
    """Folds ticks and heartbeats; `take` returns what became final: minutes, longer candles, and late volume as events."""

    def __init__(self, settings: EngineSettings) -> None:
        self.settings = settings
        self.instruments: dict[str, Instrument] = {}
        self.clocks: dict[str, int] = {}
        self.changed: set[str] = set()
        """Instruments that changed since the state was written last."""
        self._deadlines: dict[str, int] = {}
        self._newest_ms = 0
        self._sweep_ms = 0

    def take(self, tick: Tick) -> list[Output]:
        """Fold the next record of the partition: a tick or a heartbeat, valid by `validation.problem`."""
        out: list[Output] = []
        streamer, feed_time_ms = tick.streamer or "", tick.feed_time_ms
        if tick.kind != HEARTBEAT:
            self._tick(tick, streamer, out)
        clocks = self.clocks
        if feed_time_ms > clocks.get(streamer, 0):
            clocks[streamer] = feed_time_ms
            if feed_time_ms > self._newest_ms:
                self._newest_ms = feed_time_ms
            if len(clocks) > 1:
                for name in clocks:
                    self._advance(name, out)
            elif feed_time_ms >= self._deadlines.get(streamer, NO_DEADLINE):
                self._advance(streamer, out)
            if self._newest_ms >= self._sweep_ms:
                self._drop_ended_dates(out)
        return out

    def finish(self) -> list[Output]:
        """End the recording or the day: make every minute that has begun final."""
        out: list[Output] = []
        for key in sorted(self.instruments):
            self._settle(self.instruments[key], None, out)
        return out

    def clock_ms(self, streamer: str) -> int:
        """Return a streamer's clock, or the newest clock if the streamer's is more than ten minutes behind it."""
        own_ms = self.clocks.get(streamer, 0)
        return own_ms if self._newest_ms - own_ms < SILENT_STREAMER_MS else self._newest_ms

    def resume(self) -> None:
        """Compute the derived values after instruments and clocks were restored."""
        self._newest_ms = max(self.clocks.values(), default=0)
        self._deadlines.clear()
        for known in self.instruments.values():
            self._set_deadline(known)

    def _rest(self, streamer: str) -> None:
        """Recompute the time at which the next minute of the streamer's instruments becomes final because time ran out."""
        deadlines = (each.deadline_ms for each in self.instruments.values() if each.streamer == streamer)
        self._deadlines[streamer] = min(deadlines, default=NO_DEADLINE)

    def _tick(self, tick: Tick, streamer: str, out: list[Output]) -> None:
        key = tick.instrument_key
        known = self.instruments.get(key)
        if known is None:
            known = self._begin(tick, streamer)
        elif tick.trading_date != known.minutes.date:
            if tick.trading_date < known.minutes.date:
                if tick.traded_volume and tick.ltt_ms is not None:
                    minute_ms = tick.ltt_ms - tick.ltt_ms % MINUTE_MS
                    out.append(_late_event(LateVolume(key, minute_ms, tick.traded_volume), tick.feed_time_ms))
                return
            self._settle(known, None, out)
            known = self._begin(tick, streamer)
        if tick.kind == MINUTE:
            self._fill(known, tick, out)
            return
        if not known.seen.is_new(tick.sequence, tick.feed_time_ms):
            return
        self.changed.add(key)
        if known.streamer != streamer:
            before, known.streamer = known.streamer, streamer
            self._rest(before)
            self._deadlines[streamer] = min(self._deadlines.get(streamer, NO_DEADLINE), known.deadline_ms)
        minutes, settings = known.minutes, self.settings
        if minutes.ends_session(tick):
            self._settle(known, None, out)
        if minutes.is_set_back(tick):
            self._settle(known, None, out)
            minutes.restart_axis()
        sides = sides_of(tick, settings.rule) if tick.traded_volume else None
        if minutes.take(tick, sides, use_bar=settings.exchange_bars):
            self._settle(known, max(self.clock_ms(streamer), tick.feed_time_ms), out)

    def _fill(self, known: Instrument, tick: Tick, out: list[Output]) -> None:
        """Publish a minute from before the first update as the exchange reports it."""
        self.changed.add(tick.instrument_key)
        final = None if tick.bar is None else known.minutes.fill(tick, tick.bar)
        if final is not None:
            out.append(final)
            known.windows.add(final.candle)

    def _begin(self, tick: Tick, streamer: str) -> Instrument:
        minutes = InstrumentMinutes.beginning(tick, self.settings.source)
        known = Instrument(minutes, self.settings.longer_windows, streamer)
        self.instruments[tick.instrument_key] = known
        return known

    def _advance(self, streamer: str, out: list[Output]) -> None:
        """Publish what a streamer's clock has made final."""
        clock_ms = self.clock_ms(streamer)
        if clock_ms < self._deadlines.get(streamer, NO_DEADLINE):
            return
        for key in sorted(key for key, each in self.instruments.items() if each.streamer == streamer):
            known = self.instruments[key]
            if known.deadline_ms <= clock_ms:
                self._settle(known, clock_ms, out)
                self.changed.add(key)
        self._rest(streamer)

    def _drop_ended_dates(self, out: list[Output]) -> None:
        """Forget instruments whose trading date is over, once a day; their last minutes are final by then."""
        if self.settings.watermark_ms is None:
            self._sweep_ms = NO_DEADLINE
            return
        now_ms = self._newest_ms - self.settings.watermark_ms - MINUTE_MS
        self._sweep_ms = self._newest_ms + DAY_MS - (now_ms + IST_OFFSET_MS) % DAY_MS
        today = ist_date(now_ms)
        for key in sorted(key for key, each in self.instruments.items() if each.minutes.date < today):
            self._settle(self.instruments.pop(key), None, out)
            self.changed.add(key)

    def _settle(self, known: Instrument, clock_ms: int | None, out: list[Output]) -> None:
        minutes = known.minutes
        at_ms = self._newest_ms if clock_ms is None else clock_ms
        for final in minutes.settle(clock_ms, self.settings.watermark_ms):
            if isinstance(final, LateVolume):
                out.append(_late_event(final, at_ms))
                continue
            out.append(final)
            known.windows.add(final.candle)
        open_ms = NO_DEADLINE if clock_ms is None else minutes.closed * MINUTE_MS
        out.extend(known.windows.close(open_ms, minutes.session_start_ms, minutes.session_end_ms))
        self._set_deadline(known)

    def _set_deadline(self, known: Instrument) -> None:
        """Note when the clock makes the instrument's next minute final."""
        waits = known.minutes.has_open_minutes() or bool(known.windows.minutes.items)
        known.deadline_ms = known.minutes.deadline_ms(self.settings.watermark_ms) if waits else NO_DEADLINE
        if known.deadline_ms < self._deadlines.get(known.streamer, NO_DEADLINE):
            self._deadlines[known.streamer] = known.deadline_ms


def _late_event(late: LateVolume, at_ms: int) -> FeedEvent:
    return FeedEvent(
        event="late",
        at_ms=at_ms,
        instrument_key=late.instrument,
        from_ms=late.start_ms,
        to_ms=late.start_ms + MINUTE_MS,
        cause="came after the minute was final; reprocess adds it to its candle",
        volume=late.volume,
    )
