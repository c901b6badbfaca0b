"""Measures the footprint's error on the simulator, which knows every trade's price and side, and prints Markdown tables.

    python benchmarks/footprint.py [--seeds 3] [--hours 6.25] [--date 2025-12-15]

The market model runs once at four updates a second; longer intervals keep every second, fourth and eighth update of the same
market. (At a lower rate of its own the model trades less, too.) Updates are decoded, inferred and split as the product does.
The first table says how much of an update's volume traded at other prices than its last; the second compares rules that book
it (benchmarks/parts/spreading.py), each update in the minute of its last trade, where the product divides it at the edge.
What a rule puts outside the minute's range stays at the last price. Truth books every trade at its own price. Errors are
shares of volume booked at a wrong place, summed over minutes. The market model is not the market: read the figures as what
conflation alone does.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from pathlib import Path
from statistics import fmean
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from parts.spreading import RULES, Move, Rule

from orderflow.market.aggressor import Evidence, verdict
from orderflow.market.engine.prices import elsewhere
from orderflow.market.footprint import Level, diagonal_imbalances
from orderflow.market.inference import InstrumentState, infer
from orderflow.market.price_unit import PAISE, in_units
from orderflow.market.profile import point_of_control
from orderflow.market.session import SessionCalendar
from orderflow.market.tick import Tick
from orderflow.market.times import MINUTE_MS
from orderflow.simulator import feed_message
from orderflow.simulator.catalogue import DEMO, Instrument
from orderflow.simulator.market_model import MarketModel
from orderflow.upstox.decode import decode

RULE = "split"
INSTRUMENTS = (DEMO[0], DEMO[1], DEMO[6])
RATE = 4.0
EVERY = (1, 2, 4, 8)
LATEST_MS = 10_000
IMBALANCE_VOLUME_SHARE = 0.02

Booking = Counter[tuple[int, int, str]]
"""Volume by (minute, price in paise, side)."""


class Trade(NamedTuple):
    """One true trade of the continuous session, and the cumulative volume after it."""

    vtt: int
    minute: int
    price: int
    side: str
    quantity: int


class Update(NamedTuple):
    """One update with volume: the minute of its last trade, the cumulative volume after it, and what a rule may look at."""

    minute: int
    vtt: int
    move: Move


class Day(NamedTuple):
    """One instrument's day: its true trades, and its updates by which of them are kept: every one, every second."""

    tick: int
    trades: list[Trade]
    updates: dict[int, list[Update]]


class Errors(NamedTuple):
    """Shares of volume at the wrong place, and how often minutes agree."""

    side: float
    price: float
    price_and_side: float
    price_of_all: float
    control: float
    control_within_a_tick: float
    imbalances_found: float
    imbalances_real: float


class Hidden(NamedTuple):
    """How much an update hides: shares of all volume, and trades per update."""

    not_at_last: float
    beyond_a_tick: float
    in_single_trades: float
    trades: float


def simulate(instrument: Instrument, seed: int, day: date, hours: float) -> Day:
    """Return the first `hours` of a day of the market model, once with each of EVERY first, second ... update kept."""
    session = SessionCalendar().session(instrument.key, day.isoformat())
    end_ms = min(session.end_ms, session.start_ms + round(hours * 60) * MINUTE_MS)
    trades: list[Trade] = []

    def record(_: str, time_ms: int, price: float, quantity: int, side: str, vtt: int) -> None:
        if side in ("buy", "sell") and session.start_ms <= time_ms < end_ms:
            trades.append(Trade(vtt, time_ms // MINUTE_MS, in_units(price, PAISE), side, quantity))

    model = MarketModel([instrument], seed=seed, updates_per_second=RATE, date=day, sink=record)
    model.start(0)
    states = {step: InstrumentState(instrument.key) for step in EVERY}
    updates: dict[int, list[Update]] = {step: [] for step in EVERY}
    number = 0
    while (due_ms := model.due_ms()) is not None and due_ms <= end_ms + LATEST_MS:
        message = model.next()
        entries = [entry for key in message.keys if (entry := model.entry(key, "full"))]
        if not entries:
            continue
        number += 1
        for update in decode(feed_message.frame(entries, message.feed_time_ms), message.feed_time_ms).updates:
            for step in EVERY:
                if number % step == 0:
                    before = states[step]
                    states[step], tick, *_ = infer(before, update, session)
                    if (
                        tick.traded_volume
                        and tick.ltp is not None
                        and tick.session_phase == "continuous"
                        and tick.event_time_ms < end_ms
                    ):
                        move = move_of(before, tick, instrument.tick_paise)
                        updates[step].append(Update(tick.event_time_ms // MINUTE_MS, tick.vtt or 0, move))
    return Day(instrument.tick_paise, trades, updates)


def move_of(before: InstrumentState, tick: Tick, tick_paise: int) -> Move:
    """Return what a spreading rule may look at: a tick and the state before it."""
    buy, sell, unclassified, _ = verdict(RULE, Evidence.of(tick))
    return Move(
        tick_paise,
        in_paise(before.ltp),
        in_units(tick.ltp or 0.0, PAISE),
        in_paise(tick.prev_bid),
        in_paise(tick.prev_ask),
        in_paise(tick.bid[0].price if tick.bid else None),
        in_paise(tick.ask[0].price if tick.ask else None),
        tick.prev_bid_quantity or 0,
        tick.prev_ask_quantity or 0,
        tick.ltq or 0,
        buy,
        sell,
        unclassified,
        tuple((in_units(price, PAISE), *volumes) for price, *volumes in elsewhere(tick, buy, sell)),
    )


def in_paise(price: float | None) -> int | None:
    return None if price is None else in_units(price, PAISE)


def book(updates: Iterable[Update], rule: Rule, ranges: Mapping[int, tuple[int, int]]) -> Booking:
    """Book each update's volume where the rule puts it, in the minute of its last trade.

    What a rule puts outside the minute's range stays at the last price: the exchange's own bar tells the range.
    """
    booking: Booking = Counter()
    for update in updates:
        low, high = ranges.get(update.minute, (0, 0))
        for price, *volumes in rule(update.move):
            if not low <= price <= high:
                price = update.move.ltp
            for side, volume in zip(("buy", "sell", "unclassified"), volumes, strict=True):
                if volume:
                    booking[update.minute, price, side] += volume
    return booking


def true_booking(trades: Iterable[Trade]) -> Booking:
    booking: Booking = Counter()
    for trade in trades:
        booking[trade.minute, trade.price, trade.side] += trade.quantity
    return booking


def minute_ranges(trades: Iterable[Trade]) -> dict[int, tuple[int, int]]:
    ranges: dict[int, tuple[int, int]] = {}
    for trade in trades:
        low, high = ranges.get(trade.minute, (trade.price, trade.price))
        ranges[trade.minute] = (min(low, trade.price), max(high, trade.price))
    return ranges


def hidden(day: Day, step: int) -> Hidden:
    """Compare each update's last price with the prices of the trades it covers."""
    volume = apart = beyond = single = covered = 0
    trades = iter(day.trades)
    for update in day.updates[step]:
        price, inside = update.move.ltp, []
        for trade in trades:
            inside.append(trade)
            if trade.vtt >= update.vtt:
                break
        volume += sum(trade.quantity for trade in inside)
        apart += sum(trade.quantity for trade in inside if trade.price != price)
        beyond += sum(trade.quantity for trade in inside if abs(trade.price - price) > day.tick)
        single += sum(trade.quantity for trade in inside if len(inside) == 1)
        covered += len(inside)
    return Hidden(apart / volume, beyond / volume, single / volume, covered / len(day.updates[step]))


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
    levels_by_minute: dict[int, dict[int, Counter[str]]] = {}
    for (minute, price, side), volume in booking.items():
        levels_by_minute.setdefault(minute, {}).setdefault(price, Counter())[side] += volume
    return {
        minute: [Level(price, sides["buy"], sides["sell"], sides["unclassified"]) for price, sides in sorted(prices.items())]
        for minute, prices in levels_by_minute.items()
    }


def compare(estimated: Booking, truth: Booking, tick_paise: int) -> Errors:
    ours, theirs = minutes(estimated), minutes(truth)
    both = ours.keys() & theirs.keys()
    off = [abs(control(ours[minute]) - control(theirs[minute])) for minute in both]
    ours_marked = {(minute, *imbalance) for minute in both for imbalance in imbalances(ours[minute], tick_paise)}
    real = {(minute, *imbalance) for minute in both for imbalance in imbalances(theirs[minute], tick_paise)}
    return Errors(
        misplaced(estimated, truth, (0, 2)),
        misplaced(estimated, truth, (0, 1)),
        misplaced(estimated, truth, (0, 1, 2)),
        misplaced(estimated, truth, (1,)),
        fmean(ticks == 0 for ticks in off),
        fmean(ticks <= tick_paise for ticks in off),
        len(ours_marked & real) / max(len(real), 1),
        len(ours_marked & real) / max(len(ours_marked), 1),
    )


def control(levels: Iterable[Level]) -> int:
    return point_of_control({level.price: level.volume for level in levels}) or 0


def imbalances(levels: Sequence[Level], tick_paise: int) -> list[tuple[int, str]]:
    least = max(1, round(IMBALANCE_VOLUME_SHARE * sum(level.volume for level in levels)))
    return [tuple(imbalance) for imbalance in diagonal_imbalances(levels, tick_paise, min_volume=least)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--date", type=date.fromisoformat, default=date(2025, 12, 15))
    parser.add_argument("--hours", type=float, default=6.25)
    args = parser.parse_args()
    errors: dict[tuple[str, str], list[Errors]] = defaultdict(list)
    hiding: dict[str, list[Hidden]] = defaultdict(list)
    for seed in range(1, args.seeds + 1):
        for instrument in INSTRUMENTS:
            day = simulate(instrument, seed, args.date, args.hours)
            truth, ranges = true_booking(day.trades), minute_ranges(day.trades)
            for step in EVERY:
                interval = f"{1000 * step / RATE:.0f} ms"
                hiding[interval].append(hidden(day, step))
                for name, rule in RULES.items():
                    errors[interval, name].append(compare(book(day.updates[step], rule, ranges), truth, day.tick))
    print("| interval | volume not at the last price | more than a tick away | in updates of one trade | trades per update |")
    print("|---|---|---|---|---|")
    for interval, rows in hiding.items():
        *shares, trades = (fmean(column) for column in zip(*rows, strict=True))
        print(f"| {interval} | " + " | ".join(f"{share:.1%}" for share in shares) + f" | {trades:.1f} |")
    print(
        "\n| interval | rule | wrong side per minute | wrong price per minute | wrong price or side | wrong price of all |"
        " control exact | control within a tick | imbalances found | of those found, real |"
    )
    print("|---|" + "---|" * 9)
    for (interval, name), cells in errors.items():
        means = (fmean(column) for column in zip(*cells, strict=True))
        print(f"| {interval} | {name} | " + " | ".join(f"{mean:.1%}" for mean in means) + " |")


if __name__ == "__main__":
    main()
