"""A made-up market for the page's own tests: a day of final candles with footprints, then live trades and quotes.

Run it to look at the page without any stack: `python -m tests.browser.synthetic --port 18500`.
"""

from __future__ import annotations

import argparse
import random
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from orderflow.dashboard.sources.directory import Directory
from orderflow.dashboard.state.store import Record, Store, clock_ms
from orderflow.dashboard.web.app import Parts, create_app
from orderflow.market import topics
from orderflow.market.candle import Candle
from orderflow.market.closed_day import ClosedDay
from orderflow.market.times import date_start_ms, iso_from_ms, ist_date
from orderflow.market.trade import Trade

MINUTE = 60_000
OUTAGE_MINUTES_AGO = 9
SESSION_END = (15 * 60 + 30) * MINUTE

NAMES = {
    "NSE_EQ|INE467B01029": ("TCS", "Tata Consultancy Services"),
    "NSE_EQ|INE040A01034": ("HDFCBANK", "HDFC Bank"),
    "NSE_EQ|INE009A01021": ("INFY", "Infosys"),
    "NSE_EQ|INE090A01021": ("ICICIBANK", "ICICI Bank"),
    "NSE_EQ|INE002A01018": ("RELIANCE", "Reliance Industries"),
}


@dataclass
class Walk:
    """One instrument's made-up state."""

    key: str
    price: int
    previous: float
    cumulative: int = 0
    sequence: int = 0
    drift: float = 0.0
    minute: dict[str, Any] = field(default_factory=dict)


class Market:
    """Deterministic by seed; time is given by the caller."""

    def __init__(self, keys: tuple[str, ...], now_ms: int, seed: int = 7, minutes: int = 200) -> None:
        self._random = random.Random(seed)
        self.now_ms = now_ms
        self.day = ist_date(now_ms)
        self.scale = 1.0
        self.start_ms = now_ms // MINUTE * MINUTE - minutes * MINUTE
        self.end_ms = self.start_ms + 375 * MINUTE
        self.walks = [Walk(key, 50_000 + 61_005 * index, (50_000 + 61_005 * index) / 100) for index, key in enumerate(keys)]

    def history(self) -> Iterator[tuple[str, Record]]:
        """Yield final candles and footprints of every full minute before now, one quote each, and one outage."""
        outage = self.now_ms // MINUTE * MINUTE - OUTAGE_MINUTES_AGO * MINUTE
        for walk in self.walks:
            yield topics.TICKS, self._tick(walk, self.start_ms)
            for start in range(self.start_ms, self.now_ms // MINUTE * MINUTE, MINUTE):
                for index in range(24):
                    self.trade(walk, start + index * 2400)
                if start == outage:
                    self.miss(walk, 12_000)
                yield from self.close_minute(walk, start)
        yield topics.FEED_EVENTS, {"event": "gap", "at_ms": outage + 40_000, "from_ms": outage + 20_000, "to_ms": outage + 40_000}

    def miss(self, walk: Walk, volume: int) -> None:
        """Let volume pass in an outage: unclassified, and booked at the price after it."""
        walk.cumulative += volume
        walk.minute["levels"][walk.price][2] += volume
        walk.minute["gap"] = True

    def close_minute(self, walk: Walk, start: int) -> Iterator[tuple[str, Record]]:
        """Yield the final candle of a minute and its footprint, and forget them."""
        levels = walk.minute.pop("levels", {})
        prices = walk.minute.pop("prices", [])
        gap = walk.minute.pop("gap", False)
        if not prices:
            return
        buy, sell, none = (sum(level[side] for level in levels.values()) for side in range(3))
        total = buy + sell + none
        edges = {"window_start": iso_from_ms(start), "window_end": iso_from_ms(start + MINUTE), "instrument": walk.key}
        yield (
            topics.ORDERFLOW,
            {
                **edges,
                "open": prices[0] / 100,
                "high": max(prices) / 100,
                "low": min(prices) / 100,
                "close": prices[-1] / 100,
                "buy_volume": buy,
                "sell_volume": sell,
                "total_volume": total,
                "delta": buy - sell,
                "window_minutes": 1,
                "unclassified_volume": none,
                "tick_volume": total,
                "vwap": sum(price * sum(level) for price, level in levels.items()) / total / 100,
                "tick_count": len(prices),
                "min_delta": min(0, buy - sell),
                "max_delta": max(0, buy - sell),
                "imbalance": (buy - sell) / (buy + sell) if buy + sell else None,
                "delta_band": total * 0.08,
                "confidence": "high" if none == 0 else "medium",
                "exchange_bar": self._random.random() < 0.9,
                "gap": gap,
                "source": "stream",
            },
        )
        for price, (bought, sold, unknown) in levels.items():
            volumes = {"buy_volume": bought, "sell_volume": sold, "unclassified_volume": unknown}
            yield topics.FOOTPRINT, {**edges, "price": price, **volumes}

    def live(self, walk: Walk, now_ms: int, received_ms: int) -> list[tuple[str, Record]]:
        """Return one update of one instrument: a trade and the tick that carried it."""
        trade = self.trade(walk, now_ms, self.scale)
        return [
            (topics.TICKS, self._tick(walk, now_ms, received_ms)),
            (topics.TRADES, {**trade, "received_time_ms": received_ms}),
        ]

    def trade(self, walk: Walk, at_ms: int, scale: float = 1.0) -> dict[str, Any]:
        rnd = self._random
        walk.drift = walk.drift * 0.98 + rnd.gauss(0, 0.25) * scale
        walk.price = max(1000, walk.price + 5 * round(rnd.gauss(walk.drift * scale, 1.6 * scale)))
        volume = int(rnd.lognormvariate(5, 1.1) * scale * scale) + 1
        bought = rnd.random() < 0.5 + 0.08 * walk.drift
        unknown = volume if rnd.random() < 0.03 else 0
        buy, sell = (volume - unknown, 0) if bought else (0, volume - unknown)
        walk.cumulative += volume
        levels = walk.minute.setdefault("levels", {})
        level = levels.setdefault(walk.price, [0, 0, 0])
        for side, size in enumerate((buy, sell, unknown)):
            level[side] += size
        walk.minute.setdefault("prices", []).append(walk.price)
        return {
            "instrument_key": walk.key,
            "trade_id": f"{walk.key}:{self.day}:{walk.cumulative}",
            "event_time_ms": at_ms,
            "received_time_ms": at_ms,
            "price": walk.price / 100,
            "volume": volume,
            "buy_volume": buy,
            "sell_volume": sell,
            "unclassified_volume": unknown,
            "side": "unclassified" if unknown else "buy" if bought else "sell",
            "tbq": 120_000,
            "tsq": 140_000,
            "session_start_ms": self.start_ms,
            "session_end_ms": self.end_ms,
            "gap": False,
        }

    def _tick(self, walk: Walk, at_ms: int, received_ms: int | None = None) -> dict[str, Any]:
        walk.sequence += 1
        best = walk.price / 100
        return {
            "schema_version": 1,
            "instrument_key": walk.key,
            "kind": "update",
            "sequence": walk.sequence,
            "feed_time_ms": at_ms,
            "received_time_ms": at_ms if received_ms is None else received_ms,
            "event_time_ms": at_ms,
            "trading_date": ist_date(self.start_ms),
            "ltp": best,
            "ltt_ms": at_ms,
            "close_price": walk.previous,
            "vtt": walk.cumulative,
            "tbq": 120_000 + self._random.randrange(9000),
            "tsq": 140_000 - self._random.randrange(9000),
            "bid": [{"price": round(best - 0.05 * (i + 1), 2), "quantity": self._random.randrange(20, 900)} for i in range(5)],
            "ask": [{"price": round(best + 0.05 * (i + 1), 2), "quantity": self._random.randrange(20, 900)} for i in range(5)],
            "segment_status": "NORMAL_OPEN",
            "session_phase": "continuous",
            "session_start_ms": self.start_ms,
            "session_end_ms": self.end_ms,
        }


class MadeUpHistory:
    """An archive with two past days, made up in the same way; `delay` seconds pass before it answers, unless it is `away`."""

    def __init__(self, keys: tuple[str, ...], dates: tuple[str, ...] = ("2025-12-11", "2025-12-12")) -> None:
        self._dates = dates
        self.delay = 0.0
        self.away = False
        self._candles: dict[tuple[str, str], list[Candle]] = {}
        self._footprint: dict[tuple[str, str], list[Record]] = {}
        self._trades: dict[tuple[str, str], list[Trade]] = {}
        for seed, date in enumerate(reversed(dates), 3):
            self._make(keys, date, seed)

    def _make(self, keys: tuple[str, ...], date: str, seed: int) -> None:
        close = date_start_ms(date) + SESSION_END
        market = Market(keys, close, seed=seed, minutes=375)
        for walk in market.walks:
            records: list[tuple[str, Record]] = []
            trades = self._trades.setdefault((walk.key, date), [])
            for start in range(market.start_ms, close, MINUTE):
                trades += [Trade.from_record(market.trade(walk, start + index * 2400)) for index in range(24)]
                records += market.close_minute(walk, start)
            self._candles[walk.key, date] = [Candle.from_record(record) for topic, record in records if topic == topics.ORDERFLOW]
            self._footprint[walk.key, date] = [record for topic, record in records if topic == topics.FOOTPRINT]

    def dates(self) -> list[str]:
        return list(self._dates)

    def candles(self, instrument_key: str, date: str, n: int) -> list[Candle]:
        time.sleep(self.delay)
        if self.away:
            raise ConnectionRefusedError("connection refused")
        return self._candles.get((instrument_key, date), [])

    def closed_days(self) -> Mapping[str, ClosedDay]:
        return {}

    def previous_close(self, instrument_key: str, date: str) -> float | None:
        trades = self._trades.get((instrument_key, date))
        return round(trades[0].price) if trades else None

    def footprint(self, instrument_key: str, date: str) -> list[Record]:
        return self._footprint.get((instrument_key, date), [])

    def trades(self, instrument_key: str, date: str) -> list[Trade]:
        return self._trades.get((instrument_key, date), [])


class LiveSource:
    """Feeds a store from a made-up market in real time on a thread."""

    def __init__(self, store: Store, market: Market, per_second: float) -> None:
        self._store, self._market, self._wait = store, market, 1 / per_second / max(len(market.walks), 1)
        market.scale = min(1.0, (0.4 / per_second) ** 0.5)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        self._store.apply(list(self._market.history()))
        self._store.report_source(None, caught_up=True)
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join(5)

    def _run(self) -> None:
        turn = 0
        minute = clock_ms() // MINUTE * MINUTE
        while not self._stop.wait(self._wait):
            walk = self._market.walks[turn % len(self._market.walks)]
            turn += 1
            now = clock_ms()
            if now // MINUTE * MINUTE != minute:
                for each in self._market.walks:
                    self._store.apply(list(self._market.close_minute(each, minute)))
                minute = now // MINUTE * MINUTE
            self._store.apply(self._market.live(walk, now, now))


def main() -> None:
    import uvicorn

    arguments = argparse.ArgumentParser()
    arguments.add_argument("--port", type=int, default=18500)
    arguments.add_argument("--instruments", type=int, default=5)
    arguments.add_argument("--rate", type=float, default=5)
    options = arguments.parse_args()
    extra = {
        f"NSE_EQ|TEST{index:05d}": (f"TEST{index}", f"Test company {index}") for index in range(options.instruments - len(NAMES))
    }
    names = dict(list({**NAMES, **extra}.items())[: options.instruments])
    store = Store(clock_ms, tuple(names))
    LiveSource(store, Market(tuple(names), clock_ms()), options.rate).start()
    app = create_app(Parts(store, Directory(tuple(names), names), MadeUpHistory(tuple(names)[:5])))
    uvicorn.run(app, host="127.0.0.1", port=options.port, log_level="warning")


if __name__ == "__main__":
    main()
