"""A market's minutes with the truth behind them, and what the feed shows of it around outages."""

from __future__ import annotations

import random
from typing import NamedTuple

from msgspec.structs import replace

from orderflow.market.inference import InstrumentState, infer
from orderflow.market.session import SessionCalendar
from orderflow.market.tick import Bar, BookLevel, FeedUpdate, Tick
from orderflow.market.times import MINUTE_MS

KEY = "NSE_EQ|INE118H01025"
SESSION = SessionCalendar().session(KEY, "2025-12-15")
BASELINE = 18_000


class Market(NamedTuple):
    """Updates in order of the feed, and the exchange's bar of every minute with a trade."""

    updates: list[FeedUpdate]
    bars: dict[int, Bar]


def market(seed: int, minutes: int = 24, *, backwards: float = 0.0) -> Market:
    """Generate trades and the conflated updates that show them. The first three minutes end quietly, so that their edges are
    certain; `backwards` is the share of updates whose last trade's time is too early by up to 40 s."""
    rng = random.Random(seed)
    start, per_minute = SESSION.start_ms, rng.choice([2, 20, 120])
    trades: list[tuple[int, float, int]] = []
    for minute in range(minutes):
        quiet = 5_000 if minute < 3 else 0
        count = max(1, round(rng.expovariate(1 / per_minute))) if minute < 3 else round(rng.expovariate(1 / per_minute))
        times = sorted(rng.randrange(quiet, MINUTE_MS - quiet) for _ in range(count))
        trades += [(start + minute * MINUTE_MS + at, 100 + rng.randrange(-20, 20) / 10, rng.randrange(1, 90)) for at in times]
    bars: dict[int, Bar] = {}
    for at, price, quantity in trades:
        minute_ms = at - at % MINUTE_MS
        bar = bars.get(minute_ms) or Bar(minute_ms, price, price, price, price, 0)
        bars[minute_ms] = replace(
            bar, high=max(bar.high, price), low=min(bar.low, price), close=price, volume=(bar.volume or 0) + quantity
        )
    updates, shown, vtt = [], 0, BASELINE
    now = start - 30_000
    last_at, last_price, last_quantity = start - 400_000, 100.0, 1
    while now < start + minutes * MINUTE_MS + 4_000:
        while shown < len(trades) and trades[shown][0] <= now - 150:
            last_at, last_price, last_quantity = trades[shown]
            vtt += last_quantity
            shown += 1
        finished = [at for at in bars if at + MINUTE_MS + 1_000 <= now]
        ltt = last_at - rng.randrange(1, 40_000) if last_at > start + 200_000 and rng.random() < backwards else last_at
        updates.append(
            FeedUpdate(
                KEY,
                "update",
                now,
                now + 5,
                ltp=last_price,
                ltt_ms=ltt,
                ltq=last_quantity,
                vtt=vtt,
                bid=(BookLevel(last_price - 0.1, 10),),
                ask=(BookLevel(last_price + 0.1, 10),),
                minute_bar=bars[max(finished)] if finished else None,
            )
        )
        now += rng.randrange(200, 1_500)
    return Market(updates, bars)


def seen_through(updates: list[FeedUpdate], outages: list[tuple[int, int]]) -> list[Tick]:
    """Return the ticks of what comes through when each (from, to) of the feed's time is lost and the streamer knows it."""
    state, ticks, gap = InstrumentState(KEY), [], False
    for update in updates:
        if any(begin <= update.feed_time_ms < end for begin, end in outages):
            gap = True
            continue
        result = infer(state, update, SESSION, "NORMAL_OPEN", after_gap=gap)
        state, gap = result.state, False
        ticks.append(result.tick)
    return ticks
