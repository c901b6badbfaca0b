"""The volume of every phase of a day is kept and labelled: whole days through `python -m orderflow replay`."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

from day_recording import DayRecording, Replayed
from session_days import clock

from orderflow.market.candle import Candle
from orderflow.market.engine.minute import FinalMinute
from orderflow.market.engine.partition import EngineSettings, PartitionEngine
from orderflow.market.session import SessionBook, SessionCalendar
from orderflow.simulator.catalogue import choose
from orderflow.simulator.feed_message import frame
from orderflow.simulator.market_model import MarketModel
from orderflow.upstox.engine import FeedEngine
from tests.feed.rig import ListSink

SHARE = "NSE_EQ|INE467B01029"
NEW_SHARE = "NSE_EQ|INE0NEW01011"
FUTURE = "NSE_FO|53001"


def opened(key: str, date: str, *, auction: int = 4_000) -> DayRecording:
    """An ordinary opening: an auction at 09:08:12, and two minutes of trading from 09:15."""
    day = DayRecording(key, date)
    day.status("09:00", "PRE_OPEN_START")
    day.update("09:00:01")
    day.update("09:09", 100.0, auction, last_trade="09:08:12")
    day.status("09:15", "NORMAL_OPEN")
    day.trading("09:15", 2, auction=auction)
    return day


def unclassified(replayed: Replayed, start: str) -> tuple[int, int, int]:
    (candle,) = (candle for candle in replayed.of(1) if candle["window_start"][11:16] == start)
    return candle["buy_volume"], candle["sell_volume"], candle["unclassified_volume"]


def test_closing_auction_when_it_trades_then_it_and_what_follows_are_candles_and_windows_of_their_own(tmp_path: Path) -> None:
    """The replay has no instrument master: the feed's casEligible says that the share closes by auction."""
    day = DayRecording(SHARE, "2026-11-26", 100_000, "15:09:58")
    day.update("15:09:59", casEligible=True)
    day.trading("15:10", 5)
    for minute in range(20, 31):
        day.update(f"15:{minute}", casEligible=True, iep=100.2, ieq="9000")
    day.update("15:31:20", 100.2, 9_000)
    day.update("15:32:05", 100.2, 500, last_trade="15:32:04")
    day.update("15:36", 100.2)
    day.update("15:50:30", 100.2, 40)
    day.update("15:55:30", 100.2, 60)
    day.update("16:00:30", 100.2)
    replayed = day.replayed(tmp_path, "--window", "5", "--window", "60")
    after = ["15:32-15:33 closing_auction 9500 auction 9500", "15:55-15:56 post_close 100"]
    assert replayed.shown(1) == [*(f"15:{m}-15:{m + 1} continuous 50" for m in range(10, 15)), *after]
    assert replayed.shown(5) == ["15:10-15:15 continuous 250", *after]
    assert replayed.shown(60) == ["14:15-15:15 continuous 250", *after]
    assert unclassified(replayed, "15:32") == (0, 0, 9_500)
    assert replayed.tick_volumes() == {"continuous": 250, "closing_auction": 9_500, "post_close": 100}
    assert replayed.volume == day.vtt - 100_000
    levels = [(row["window_start"][11:16], row["price"], row["unclassified_volume"]) for row in replayed.footprint[-2:]]
    assert levels == [("15:32", 10_020, 9_500), ("15:55", 10_020, 100)]
    (auction,) = (candle for candle in replayed.of(1) if candle["session_phase"] == "closing_auction")
    prices = [auction[name] for name in ("open", "high", "low", "close", "vwap")]
    assert (prices, auction["tick_volume"], auction["tick_count"], auction["confidence"]) == ([100.2] * 5, 9_500, 2, "none")


def test_closing_auction_when_no_update_comes_before_it_then_it_is_no_gap(tmp_path: Path) -> None:
    day = DayRecording(SHARE, "2026-11-26", 100_000, "15:12:58")
    day.update("15:12:59", casEligible=True)
    day.trading("15:13", 2)
    day.update("15:31:20", 100.2, 9_000)
    assert day.replayed(tmp_path).shown(1)[-1] == "15:31-15:32 closing_auction 9000 auction 9000"


def test_closing_auction_when_an_outage_spans_it_then_it_is_a_gap(tmp_path: Path) -> None:
    """A snapshot in the middle of a recording means that the connection was lost."""
    day = DayRecording(SHARE, "2026-11-26", 100_000, "15:09:58")
    day.update("15:09:59", casEligible=True)
    day.trading("15:10", 2)
    day.update("15:31:20", 100.2, 9_000)
    day.reconnected()
    day.update("15:31:25", 100.2, 30, last_trade="15:31:20")
    replayed = day.replayed(tmp_path)
    assert replayed.shown(1)[-1] == "15:31-15:32 closing_auction 9030 auction 9000 gap"
    assert replayed.volume == day.vtt - 100_000


def test_share_without_derivatives_when_it_trades_after_the_close_then_that_is_one_candle(tmp_path: Path) -> None:
    day = DayRecording(SHARE, "2025-12-16", 100_000, "15:27:58")
    day.update("15:27:59")
    day.trading("15:28", 2)
    day.status("15:30", "NORMAL_CLOSE")
    day.update("15:41:05", 99.95, 70)
    day.update("15:44:05", 99.95, 30)
    replayed = day.replayed(tmp_path, "--window", "60")
    assert replayed.shown(1) == ["15:28-15:29 continuous 50", "15:29-15:30 continuous 50", "15:44-15:45 post_close 100"]
    assert replayed.shown(60) == ["15:15-15:30 continuous 100", "15:44-15:45 post_close 100"]


def test_opening_auction_when_a_future_has_one_then_its_first_candle_holds_it_as_the_exchanges_bar_does(tmp_path: Path) -> None:
    day = opened(FUTURE, "2025-12-16", auction=65_000)
    replayed = day.replayed(tmp_path)
    assert replayed.shown(1) == ["09:15-09:16 continuous 65050 auction 65000", "09:16-09:17 continuous 50"]
    assert unclassified(replayed, "09:15") == (30, 20, 65_000)
    assert replayed.volume == day.vtt


def test_opening_auction_when_the_first_minutes_bar_never_comes_then_it_is_in_no_candle(tmp_path: Path) -> None:
    """A candle without its bar is what the updates of its minute showed: so ../shared/cases/exchange_halt has it."""
    day = DayRecording(FUTURE, "2025-12-16")
    day.status("09:00", "PRE_OPEN_START")
    day.update("09:00:01")
    day.update("09:09", 100.0, 65_000, last_trade="09:08:12")
    day.status("09:15", "NORMAL_OPEN")
    day.trading("09:15", 10, first_bar=False)
    replayed = day.replayed(tmp_path)
    assert replayed.shown(1)[:2] == ["09:15-09:16 continuous 50", "09:16-09:17 continuous 50"]
    assert replayed.volume == day.vtt - 65_000


def test_listing_when_the_share_shows_an_auction_while_others_trade_then_it_opens_at_ten(tmp_path: Path) -> None:
    day = DayRecording(NEW_SHARE, "2025-12-16")
    day.status("09:00", "PRE_OPEN_START")
    day.update("09:00:01")
    day.status("09:15", "NORMAL_OPEN")
    for time in ("09:20", "09:40"):
        day.update(time, iep=100.0, ieq="12000000")
    day.update("09:50", 100.0, 12_000_000, last_trade="09:46")
    day.trading("10:00", 2, auction=12_000_000)
    replayed = day.replayed(tmp_path, "--window", "60")
    assert replayed.shown(1) == ["10:00-10:01 continuous 12000050 auction 12000000", "10:01-10:02 continuous 50"]
    assert replayed.shown(60) == ["10:00-11:00 continuous 12000100 auction 12000000"]
    assert unclassified(replayed, "10:00") == (30, 20, 12_000_000)


def test_share_when_it_shows_an_old_auction_price_until_its_first_trade_then_it_is_no_listing(tmp_path: Path) -> None:
    day = DayRecording(NEW_SHARE, "2025-12-16")
    day.status("09:00", "PRE_OPEN_START")
    day.update("09:00:01", iep=100.0)
    day.status("09:15", "NORMAL_OPEN")
    day.update("09:17", iep=100.0)
    day.trading("09:20", 2)
    assert day.replayed(tmp_path, "--window", "60").shown(60) == ["09:15-10:15 continuous 100"]


def test_saturday_of_two_sessions_when_each_has_an_auction_then_each_counts_in_its_first_window(tmp_path: Path) -> None:
    day = opened(SHARE, "2024-03-02")
    day.trading("09:58", 2)
    day.status("10:00", "NORMAL_CLOSE")
    day.status("11:15", "PRE_OPEN_START")
    day.update("11:15:01")
    day.update("11:24", 100.1, 8_000, last_trade="11:23:30")
    day.status("11:30", "NORMAL_OPEN")
    day.trading("11:30", 2, auction=8_000)
    replayed = day.replayed(tmp_path, "--window", "60")
    assert replayed.shown(60) == ["09:15-10:00 continuous 4200 auction 4000", "11:30-12:30 continuous 8100 auction 8000"]
    assert unclassified(replayed, "11:30") == (30, 20, 8_000)
    assert replayed.tick_volumes() == {"continuous": 300, "pre_open": 8_000}
    assert replayed.volume == day.vtt


def halted(date: str, *, auction_in_bar: int) -> DayRecording:
    """Trading stops at 11:40 and goes on at 15:45, after an auction of 400,000."""
    day = opened(SHARE, date)
    day.trading("11:38", 2)
    day.status("11:40", "NORMAL_CLOSE")
    day.update("12:00")
    day.status("15:30", "PRE_OPEN_START")
    day.update("15:30:01")
    day.update("15:38:30", 100.1, 400_000, last_trade="15:38:12")
    day.update("15:39")
    day.status("15:45", "NORMAL_OPEN")
    day.trading("15:45", 2, auction=auction_in_bar)
    return day


def test_halt_when_nobody_forecast_it_then_its_auction_counts_in_the_minute_in_which_trading_resumes(tmp_path: Path) -> None:
    day = halted("2025-12-16", auction_in_bar=400_000)
    day.trading("16:58", 2)
    day.status("17:00", "NORMAL_CLOSE")
    day.update("17:10", 100.0, 50)
    replayed = day.replayed(tmp_path, "--window", "60")
    assert replayed.shown(60) == [
        "09:15-10:15 continuous 4100 auction 4000",
        "11:15-11:40 continuous 100",
        "15:15-16:15 continuous 400100 auction 400000",
        "16:15-17:00 continuous 100",
        "17:09-17:10 post_close 50",
    ]
    assert unclassified(replayed, "15:45") == (30, 20, 400_000)
    assert replayed.volume == day.vtt


def test_halt_when_the_exchanges_bar_leaves_the_auction_out_then_it_is_a_candle_of_the_same_window(tmp_path: Path) -> None:
    day = halted("2021-02-24", auction_in_bar=0)
    replayed = day.replayed(tmp_path, "--window", "60")
    assert replayed.shown(60)[-1] == "15:15-16:15 continuous 400100 auction 400000"
    assert replayed.shown(1)[-2:] == ["15:45-15:46 continuous 50", "15:46-15:47 continuous 50"]
    assert replayed.volume == day.vtt


def test_muhurat_when_it_is_in_the_afternoon_then_auction_windows_and_post_close_follow_its_hours(tmp_path: Path) -> None:
    day = DayRecording(SHARE, "2025-10-21")
    day.status("13:30", "PRE_OPEN_START")
    day.update("13:30:01")
    day.update("13:39", 100.0, 4_000, last_trade="13:38:12")
    day.update("13:43")
    day.status("13:45", "NORMAL_OPEN")
    day.trading("13:45", 2, auction=4_000)
    day.trading("14:43", 2)
    day.status("14:45", "NORMAL_CLOSE")
    day.update("14:56", 100.0, 500)
    replayed = day.replayed(tmp_path, "--window", "60")
    assert replayed.shown(60) == ["13:45-14:45 continuous 4200 auction 4000", "14:55-14:56 post_close 500"]
    assert replayed.volume == day.vtt


def test_metal_when_the_us_is_in_winter_time_then_its_last_window_ends_at_five_to_midnight(tmp_path: Path) -> None:
    day = DayRecording("MCX_FO|472790", "2025-12-16")
    day.update("08:59:30")
    day.status("09:00", "NORMAL_OPEN")
    day.trading("09:00", 2)
    day.trading("23:53", 2)
    replayed = day.replayed(tmp_path, "--window", "60")
    assert replayed.shown(60) == ["09:00-10:00 continuous 100", "23:00-23:55 continuous 100"]


def test_simulated_day_when_it_has_every_auction_then_its_candles_add_up_to_what_traded() -> None:
    """A share that closes by auction, from 09:00 to 16:10 through decoding, inference and candles; its master is unknown."""
    model = MarketModel(choose(SHARE), seed=5, updates_per_second=0.5, date=dt.date(2026, 11, 20), speed=100)
    model.start(0)
    engine = PartitionEngine(EngineSettings(window_minutes=(60,)))
    sink = ListSink()
    feed = FeedEngine(sink, SessionBook(SessionCalendar()))
    feed.own((SHARE,))
    feed.opened(model.now_ms())
    feed.message(model.market_info(), model.now_ms())
    while model.due_ms() is not None:
        message = model.next()
        entries = [model.entry(key, "full") or b"" for key in message.keys]
        feed.message(message.announcement or frame(entries, message.feed_time_ms), message.feed_time_ms + 40)
    outputs = [output for tick in sink.ticks for output in engine.take(tick)] + engine.finish()
    minutes = [output.candle for output in outputs if isinstance(output, FinalMinute)]
    assert sum(candle.total_volume for candle in minutes) == max(tick.vtt or 0 for tick in sink.ticks)
    assert [clock(candle.start_ms) for candle in minutes if candle.auction_volume] == ["09:15", "15:31"]
    assert [candle.session_phase for candle in minutes if candle.session_phase != "continuous"] == [
        "closing_auction",
        "post_close",
    ]
    assert len(minutes) == 360 + 2
    assert not any(candle.gap for candle in minutes)
    longer = [output for output in outputs if isinstance(output, Candle)]
    assert [clock(candle.start_ms) for candle in longer[:6]] == [f"{hour:02}:15" for hour in range(9, 15)]
    assert [candle.session_phase for candle in longer[6:]] == ["closing_auction", "post_close"]
