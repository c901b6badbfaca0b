"""A simulated day from the feed's messages to the line above the chart: what an auction would match, and when."""

from __future__ import annotations

import datetime as dt
import re

import pytest
from ticks import KEY

from orderflow.dashboard.state.store import Store
from orderflow.dashboard.views.banners import banners
from orderflow.market import topics
from orderflow.market.session import SessionBook, SessionCalendar
from orderflow.market.tick import tick_record
from orderflow.market.times import IST
from orderflow.simulator.catalogue import choose
from orderflow.simulator.feed_message import frame
from orderflow.simulator.market_model import MarketModel
from orderflow.upstox.engine import FeedEngine
from tests.feed.rig import ListSink

DAY = dt.date(2026, 11, 20)
WORDS = r"Auction: indicative price [\d,]+\.\d\d, quantity [\d,]+, imbalance [+−][\d,]+\."


@pytest.fixture(scope="module")
def shown() -> dict[str, str | None]:
    """Return the auction's line at the last update of each minute, by time of day."""
    model = MarketModel(choose(KEY), seed=5, updates_per_second=0.2, date=DAY, speed=100)
    model.start(0)
    sink = ListSink()
    engine = FeedEngine(sink, SessionBook(SessionCalendar(), closing_auction_keys=frozenset({KEY})))
    engine.own((KEY,))
    engine.opened(model.now_ms())
    now_ms = model.now_ms()
    store = Store(lambda: now_ms)
    engine.message(model.market_info(), now_ms)
    phases: dict[str, str | None] = {}
    while model.due_ms() is not None:
        message = model.next()
        now_ms = message.feed_time_ms + 40
        entries = [model.entry(key, "full") or b"" for key in message.keys]
        engine.message(message.announcement or frame(entries, message.feed_time_ms), now_ms)
        store.apply([(topics.TICKS, tick_record(tick)) for tick in sink.ticks])
        sink.ticks.clear()
        lines = {banner.code: banner.text for banner in banners(store, KEY, now_ms)}
        phases[dt.datetime.fromtimestamp(now_ms / 1000, IST).strftime("%H:%M")] = lines.get("auction")
    return phases


@pytest.mark.parametrize("clock", ["09:00", "09:07", "15:21", "15:30"])
def test_page_when_an_auction_takes_orders_then_it_says_what_would_match(shown: dict[str, str | None], clock: str) -> None:
    line = shown[clock]
    assert line is not None
    assert re.fullmatch(WORDS, line)


@pytest.mark.parametrize("clock", ["09:14", "09:15", "12:00", "15:14", "15:18", "15:34", "15:45", "15:55"])
def test_page_when_no_auction_takes_orders_then_it_says_nothing_of_one(shown: dict[str, str | None], clock: str) -> None:
    assert shown[clock] is None
