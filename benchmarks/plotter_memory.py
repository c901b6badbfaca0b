"""What the plotter holds in memory while a day goes by, fed with the records it reads from Kafka; no stack is needed.

    python benchmarks/plotter_memory.py [--instruments 200] [--minutes 375] [--rate 1] [--viewers 5]

The simulator's market of a few instruments is decoded, inferred and split as the product does, and stands for all instruments
under other keys. Finals and footprints come two minutes later, as the processor's watermark has it. Prints resident memory
along the day, bytes per instrument-minute, the time one trade takes to be applied and one update to be encoded, and what is
kept after many viewers have come and gone.
"""

from __future__ import annotations

import argparse
import gc
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from datetime import date
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from statistics import median

import orjson

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from orderflow.dashboard.sources.directory import Directory
from orderflow.dashboard.state.store import Store
from orderflow.dashboard.views.viewer import View, Viewer
from orderflow.market import topics
from orderflow.market.aggressor import Evidence, verdict
from orderflow.market.candle import Candle
from orderflow.market.inference import InstrumentState, infer
from orderflow.market.price_unit import PAISE, in_units
from orderflow.market.session import Session, SessionCalendar
from orderflow.market.tick import Tick, tick_record
from orderflow.market.times import MINUTE_MS, iso_from_ms
from orderflow.simulator import feed_message
from orderflow.simulator.catalogue import DEMO, Instrument
from orderflow.simulator.market_model import MarketModel
from orderflow.upstox.decode import decode

DAY = "2025-12-15"
MODELS = tuple(model for model in DEMO if not model.is_index)[:4]
FINAL_AFTER = 2
COMINGS = 20
Records = list[tuple[str, bytes]]


def updates(instrument: Instrument, session: Session, rate: float) -> Iterator[Tick]:
    """Yield one model instrument's ticks of the continuous session."""
    model = MarketModel([instrument], seed=7, updates_per_second=rate, date=date.fromisoformat(DAY))
    model.start(0)
    state = InstrumentState(instrument.key)
    while model.due_ms() is not None:
        message = model.next()
        entries = [entry for key in message.keys if (entry := model.entry(key, "full"))]
        if entries:
            for update in decode(feed_message.frame(entries, message.feed_time_ms), message.feed_time_ms).updates:
                state, tick, _ = infer(state, update, session)
                if tick.session_phase == "continuous":
                    yield tick


def trade(tick: Tick, session: Session) -> dict[str, object]:
    """Return what the processor writes to `upstox_trades` for a tick that traded."""
    buy, sell, none, _ = verdict("split", Evidence.of(tick))
    return {
        "instrument_key": tick.instrument_key,
        "trade_id": f"{tick.instrument_key}:{DAY}:{tick.vtt}",
        "event_time_ms": tick.event_time_ms,
        "received_time_ms": tick.received_time_ms,
        "price": tick.ltp,
        "volume": tick.traded_volume,
        "buy_volume": buy,
        "sell_volume": sell,
        "unclassified_volume": none,
        "side": "buy" if buy > sell else "sell",
        "bid": tick.prev_bid,
        "ask": tick.prev_ask,
        "tbq": tick.tbq,
        "tsq": tick.tsq,
        "session_start_ms": session.start_ms,
        "session_end_ms": session.end_ms,
        "gap": False,
    }


def minute_records(start: int, trades: list[dict[str, object]]) -> Records:
    """Return the final candle and the footprint of one minute's trades."""
    prices = [float(traded["price"]) for traded in trades]
    buy, sell, none, total = (
        sum(int(traded[name]) for traded in trades) for name in ("buy_volume", "sell_volume", "unclassified_volume", "volume")
    )
    mean = sum(price * int(traded["volume"]) for price, traded in zip(prices, trades, strict=True)) / max(total, 1)
    key = str(trades[0]["instrument_key"])
    candle = Candle(
        start_ms=start, end_ms=start + MINUTE_MS, instrument=key, open=prices[0], high=max(prices), low=min(prices),
        close=prices[-1], buy_volume=buy, sell_volume=sell, total_volume=total, delta=buy - sell, tbq=trades[-1]["tbq"],
        tsq=trades[-1]["tsq"], unclassified_volume=none, tick_volume=total, vwap=mean, tick_count=len(trades),
        min_delta=min(buy - sell, 0) - 17, max_delta=max(buy - sell, 0) + 23, imbalance=(buy - sell) / max(buy + sell, 1),
        delta_band=round(total * 0.11, 3), confidence="high", exchange_bar=True, tick_open=prices[0], tick_high=max(prices),
        tick_low=min(prices), tick_close=prices[-1], tick_buy_volume=buy, tick_sell_volume=sell,
    )  # fmt: skip
    levels: dict[int, Counter[str]] = defaultdict(Counter)
    for traded, price in zip(trades, prices, strict=True):
        for side in ("buy_volume", "sell_volume", "unclassified_volume"):
            levels[in_units(price, PAISE)][side] += int(traded[side])
    edges = {"window_start": iso_from_ms(start), "window_end": iso_from_ms(start + MINUTE_MS), "instrument": key}
    sides = ("buy_volume", "sell_volume", "unclassified_volume")
    rows = [{**edges, "price": price, **{side: volumes[side] for side in sides}} for price, volumes in sorted(levels.items())]
    return [(topics.ORDERFLOW, orjson.dumps(candle.to_record())), *((topics.FOOTPRINT, orjson.dumps(row)) for row in rows)]


def model_minutes(instrument: Instrument, minutes: int, rate: float) -> dict[int, tuple[Records, Records]]:
    """Return, by the minute's start, what comes while it runs and what comes when it is final."""
    session = SessionCalendar().session(instrument.key, DAY)
    running: dict[int, Records] = {session.start_ms + MINUTE_MS * at: [] for at in range(minutes)}
    trades: dict[int, list[dict[str, object]]] = defaultdict(list)
    for tick in updates(instrument, session, rate):
        start = tick.event_time_ms // MINUTE_MS * MINUTE_MS
        if start not in running:
            if start > max(running):
                break
            continue
        if tick.traded_volume and tick.ltp is not None:
            trades[start].append(trade(tick, session))
            running[start].append((topics.TRADES, orjson.dumps(trades[start][-1])))
        if len(running[start]) % 10 == 0:
            running[start].append((topics.TICKS, orjson.dumps(tick_record(tick))))
    return {start: (forming, minute_records(start, trades[start]) if trades[start] else []) for start, forming in running.items()}


def resident_mib() -> float:
    """Return the process's resident memory."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) / 1024
    return 0.0


class Day:
    """The store as a day goes by, and its viewers."""

    def __init__(self, instruments: int, minutes: int, rate: float, viewers: int) -> None:
        with ProcessPoolExecutor(2, get_context("spawn")) as pool:
            self._minutes = list(pool.map(partial(model_minutes, minutes=minutes, rate=rate), MODELS))
        self.starts = list(self._minutes[0])
        self._keys = [f"NSE_FO|{100_000 + number}" for number in range(instruments)]
        self.now_ms = self.starts[0]
        self.store = Store(lambda: self.now_ms, self._keys)
        self.store.report_source(None, caught_up=True)
        self._directory = Directory(tuple(self._keys))
        self._viewers = [self.viewer(number) for number in range(viewers)]
        self.trade_seconds: list[float] = []
        self.encode_seconds: list[float] = []

    def viewer(self, number: int) -> Viewer:
        """Return a new viewer of one instrument, chart or footprint."""
        made = Viewer(self.store, self._directory)
        key = self._keys[number * 7 % len(self._keys)]
        mode = "footprint" if number % 3 == 2 else "chart"
        made.look_at(View(key, minutes=(1, 1, 5, 15)[number % 4], buffer=2000, mode=mode), self.store)
        return made

    def come_and_go(self, count: int) -> None:
        """Let viewers of as many instruments look once, and leave."""
        for viewer in [self.viewer(number) for number in range(count)]:
            orjson.dumps(viewer.message(self.now_ms))
        gc.collect()

    def apply(self, at: int, final: int) -> None:
        """Let one minute's records come for all instruments."""
        model = self._minutes
        for number, key in enumerate(self._keys):
            own = MODELS[number % len(MODELS)].key.encode()
            records = model[number % len(MODELS)].get(self.starts[at])
            if records is None:
                continue
            batch = [(topic, orjson.loads(value.replace(own, key.encode()))) for topic, value in records[final]]
            trades = sum(topic == topics.TRADES for topic, _ in batch)
            began = time.thread_time()
            self.store.apply(batch)
            if trades and number % 7 == 0:
                self.trade_seconds.append((time.thread_time() - began) / len(batch))

    def look(self) -> None:
        """Encode the next message of every viewer."""
        for viewer in self._viewers:
            began = time.thread_time()
            orjson.dumps(viewer.message(self.now_ms))
            self.encode_seconds.append(time.thread_time() - began)

    def pass_minute(self, at: int) -> None:
        """Let the minute's trades come, then the finals that are due, then look."""
        self.now_ms = self.starts[at] + MINUTE_MS
        self.apply(at, 0)
        self.look()
        if at >= FINAL_AFTER:
            self.apply(at - FINAL_AFTER, 1)
            self.look()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--instruments", type=int, default=200)
    parser.add_argument("--minutes", type=int, default=375)
    parser.add_argument("--rate", type=float, default=1.0, help="updates a second and instrument")
    parser.add_argument("--viewers", type=int, default=5)
    options = parser.parse_args()
    day = Day(options.instruments, options.minutes, options.rate, options.viewers)
    gc.collect()
    base = resident_mib()
    print(f"{len(day.starts)} minutes of {options.instruments} instruments; before the first: {base:.0f} MiB", flush=True)
    marks = {round(len(day.starts) * part / 8) - 1 for part in range(1, 9)}
    seen: list[tuple[int, float]] = []
    for at in range(len(day.starts)):
        day.pass_minute(at)
        if at in marks:
            seen.append((at + 1, resident_mib()))
            print(f"after {at + 1:3d} minutes: {seen[-1][1]:6.0f} MiB, {seen[-1][1] - base:+.0f}", flush=True)
    early, late = seen[len(seen) // 4], seen[-1]
    grown = (late[1] - early[1]) * 2**20 / ((late[0] - early[0]) * options.instruments)
    print(f"grown from minute {early[0]} to {late[0]}: {grown:.0f} bytes per instrument-minute")
    print(f"applying a record: {median(day.trade_seconds) * 1e6:.1f} us of processor time")
    print(f"encoding a viewer's update: {median(day.encode_seconds) * 1e3:.2f} ms")
    day.come_and_go(20)
    before = resident_mib()
    for _ in range(COMINGS):
        day.come_and_go(20)
    print(f"after 20 viewers came and left {COMINGS} times more: {resident_mib() - before:+.1f} MiB")


if __name__ == "__main__":
    main()
