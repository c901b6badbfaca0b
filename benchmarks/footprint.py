"""Measures the footprint's error on the simulator, which knows every trade's price and side, and prints a Markdown table.

    python benchmarks/footprint.py [--seeds 3] [--date 2025-12-15]

A day of the market model is decoded, inferred and split as the product does, each update booked at its last price in the
minute of its last trade; truth books every trade at its own price. Errors are shares of volume booked at a wrong place,
summed over minutes. The market model is not the market: read the figures as what conflation alone does.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import date
from pathlib import Path
from statistics import fmean
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from orderflow.market.aggressor import Evidence, verdict
from orderflow.market.footprint import Level, diagonal_imbalances
from orderflow.market.inference import InstrumentState, infer
from orderflow.market.price_unit import PAISE, in_units
from orderflow.market.profile import point_of_control
from orderflow.market.session import SessionCalendar
from orderflow.market.tick import MINUTE_MS
from orderflow.simulator import feed_message
from orderflow.simulator.catalogue import DEMO, Instrument
from orderflow.simulator.market_model import MarketModel
from orderflow.upstox.decode import decode

RULE = "split"
INSTRUMENTS = (DEMO[0], DEMO[1], DEMO[6])
RATES = (4.0, 2.0, 1.0, 0.5)
IMBALANCE_VOLUME_SHARE = 0.02

Booking = Counter[tuple[int, int, str]]
"""Volume by (minute, price in paise, side)."""


class Errors(NamedTuple):
    """Shares of volume at the wrong place, and how often minutes agree."""

    side: float
    price: float
    price_and_side: float
    day_price: float
    control_within_a_tick: float
    imbalances_found: float
    imbalances_real: float


def simulate(instrument: Instrument, rate: float, seed: int, day: date) -> tuple[Booking, Booking]:
    """Return (estimated, true) bookings of the continuous session."""
    session = SessionCalendar().session(instrument.key, day.isoformat())
    truth: Booking = Counter()
    estimated: Booking = Counter()

    def record(_: str, time_ms: int, price: float, quantity: int, side: str, __: int) -> None:
        if side in ("buy", "sell") and session.start_ms <= time_ms < session.end_ms:
            truth[time_ms // MINUTE_MS, in_units(price, PAISE), side] += quantity

    model = MarketModel([instrument], seed=seed, updates_per_second=rate, date=day, sink=record)
    model.start(0)
    state = InstrumentState(instrument.key)
    while model.due_ms() is not None:
        message = model.next()
        entries = [entry for key in message.keys if (entry := model.entry(key, "full"))]
        if not entries:
            continue
        for update in decode(feed_message.frame(entries, message.feed_time_ms), message.feed_time_ms).updates:
            state, tick, _ = infer(state, update, session)
            if tick.traded_volume is None or tick.ltp is None or tick.session_phase != "continuous":
                continue
            parts = verdict(RULE, Evidence.of(tick))[:3]
            for side, volume in zip(("buy", "sell", "unclassified"), parts, strict=True):
                estimated[tick.event_time_ms // MINUTE_MS, in_units(tick.ltp, PAISE), side] += volume
    return estimated, truth


def misplaced(estimated: Booking, truth: Booking, places: Sequence[int]) -> float:
    """Return the share of volume that differs when bookings are added up over the other parts of their keys."""
    sums = []
    for booking in (estimated, truth):
        gathered: Counter[tuple[object, ...]] = Counter()
        for key, volume in booking.items():
            gathered[tuple(key[place] for place in places)] += volume
        sums.append(gathered)
    one, other = sums
    return sum(abs(one[key] - other[key]) for key in one.keys() | other.keys()) / (2 * sum(other.values()))


def minutes(booking: Booking) -> dict[int, list[Level]]:
    found: dict[int, dict[int, Counter[str]]] = {}
    for (minute, price, side), volume in booking.items():
        found.setdefault(minute, {}).setdefault(price, Counter())[side] += volume
    return {
        minute: [Level(price, sides["buy"], sides["sell"], sides["unclassified"]) for price, sides in sorted(prices.items())]
        for minute, prices in found.items()
    }


def compare(estimated: Booking, truth: Booking, tick_paise: int) -> Errors:
    ours, theirs = minutes(estimated), minutes(truth)
    both = ours.keys() & theirs.keys()
    near = [abs(control(ours[minute]) - control(theirs[minute])) <= tick_paise for minute in both]
    found = {(minute, *one) for minute in both for one in imbalances(ours[minute], tick_paise)}
    real = {(minute, *one) for minute in both for one in imbalances(theirs[minute], tick_paise)}
    return Errors(
        misplaced(estimated, truth, (0, 2)),
        misplaced(estimated, truth, (0, 1)),
        misplaced(estimated, truth, (0, 1, 2)),
        misplaced(estimated, truth, (1,)),
        fmean(near),
        len(found & real) / max(len(real), 1),
        len(found & real) / max(len(found), 1),
    )


def control(levels: Iterable[Level]) -> int:
    return point_of_control({level.price: level.volume for level in levels}) or 0


def imbalances(levels: Sequence[Level], tick_paise: int) -> list[tuple[int, str]]:
    least = max(1, round(IMBALANCE_VOLUME_SHARE * sum(level.volume for level in levels)))
    return [tuple(one) for one in diagonal_imbalances(levels, tick_paise, min_volume=least)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--date", type=date.fromisoformat, default=date(2025, 12, 15))
    args = parser.parse_args()
    print(
        "| updates/s | wrong side per minute | wrong price per minute | wrong price or side | wrong price per day |"
        " control within a tick | imbalances found | of those found, real |\n|---|---|---|---|---|---|---|---|"
    )
    for rate in RATES:
        rows = []
        for seed in range(1, args.seeds + 1):
            for instrument in INSTRUMENTS:
                estimated, truth = simulate(instrument, rate, seed, args.date)
                rows.append(compare(estimated, truth, instrument.tick_paise))
        print(f"| {rate:g} | " + " | ".join(f"{fmean(column):.1%}" for column in zip(*rows, strict=True)) + " |")


if __name__ == "__main__":
    main()
