"""The market model: what its feed shows agrees with what really traded."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from typing import Any

import pytest
from google.protobuf import json_format
from upstox_client.feeder.proto import MarketDataFeedV3_pb2 as pb

from orderflow.market.errors import SettingsError
from orderflow.simulator.catalogue import DEMO, choose
from orderflow.simulator.market_model import MarketModel

TCS = "NSE_EQ|INE467B01029"
NIFTY = "NSE_INDEX|Nifty 50"
MONDAY_0730_IST = 1_763_949_600_000
Trade = tuple[int, float, int, str, int]


class Watched:
    """A model run for a while: its messages, decoded, and the truth behind them."""

    def __init__(self, keys: str, seconds: float, *, rate: float = 2.0, seed: int = 5, date: dt.date | None = None) -> None:
        self.truth: dict[str, list[Trade]] = defaultdict(list)
        self.model = MarketModel(
            choose(keys),
            seed=seed,
            updates_per_second=rate,
            date=date,
            speed=100,
            sink=lambda key, *trade: self.truth[key].append(trade),
        )
        self.model.start(MONDAY_0730_IST)
        self.start_ms = self.model.now_ms()
        self.updates: dict[str, list[tuple[int, Any]]] = defaultdict(list)
        self.announcements: list[tuple[int, dict[str, Any]]] = []
        self.wire: list[bytes] = []
        while (due := self.model.due_ms()) is not None and due < self.start_ms + seconds * 1000:
            message = self.model.next()
            if message.announcement:
                info = pb.FeedResponse.FromString(message.announcement)
                self.announcements.append((message.feed_time_ms, json_format.MessageToDict(info)["marketInfo"]))
            for key in message.keys:
                entry = self.model.entry(key, "full") or b""
                self.wire.append(entry)
                full = pb.FeedResponse.FromString(entry).feeds[key].fullFeed
                self.updates[key].append((message.feed_time_ms, full.indexFF if full.HasField("indexFF") else full.marketFF))


@pytest.fixture(scope="module")
def live() -> Watched:
    return Watched(f"{TCS},NSE_EQ|INE040A01034,{NIFTY}", 400)


@pytest.fixture(scope="module")
def whole_day() -> Watched:
    return Watched(TCS, 7.1 * 3600, rate=0.5, date=dt.date(2026, 11, 20))


def ist(at_ms: int) -> str:
    return dt.datetime.fromtimestamp(at_ms / 1000, dt.timezone(dt.timedelta(hours=5, minutes=30))).strftime("%H:%M")


def test_market_when_run_twice_with_a_seed_then_every_byte_is_equal() -> None:
    first, second = (Watched(f"{TCS},{NIFTY}", 60) for _ in range(2))
    assert first.wire == second.wire
    assert first.truth == second.truth


def test_market_when_the_seed_differs_then_the_trades_differ() -> None:
    assert Watched(TCS, 30).truth != Watched(TCS, 30, seed=6).truth


def test_market_when_updates_are_denser_in_time_than_trades_then_the_vtt_of_each_is_a_true_one(live: Watched) -> None:
    seen = {full.vtt for _, full in live.updates[TCS][10:]}
    assert seen <= {trade[4] for trade in live.truth[TCS]}


def test_market_when_a_trade_is_shown_then_price_time_and_quantity_are_those_of_the_truth(live: Watched) -> None:
    by_vtt = {trade[4]: trade for trade in live.truth[TCS]}
    for _, full in live.updates[TCS][10:]:
        at_ms, price, quantity, side, _ = by_vtt[full.vtt]
        assert (full.ltpc.ltt, full.ltpc.ltp, full.ltpc.ltq) == (at_ms, price, quantity)
        assert side in ("buy", "sell")


def test_market_when_conflated_then_the_shares_of_empty_and_repeated_messages_are_those_measured(live: Watched) -> None:
    for key in (TCS, "NSE_EQ|INE040A01034"):
        pairs = list(zip(live.updates[key], live.updates[key][1:], strict=False))
        empty = sum(before.vtt == after.vtt for (_, before), (_, after) in pairs) / len(pairs)
        repeated = sum(before == after for (_, before), (_, after) in pairs) / len(pairs)
        assert 0.29 <= empty <= 0.74
        assert 0.05 <= repeated <= 0.15


def test_market_when_continuous_then_the_book_has_five_uncrossed_levels_best_first(live: Watched) -> None:
    for _, full in live.updates[TCS]:
        quotes = full.marketLevel.bidAskQuote
        assert len(quotes) == 5
        assert quotes[0].bidP < quotes[0].askP
        assert [quote.bidP for quote in quotes] == sorted((quote.bidP for quote in quotes), reverse=True)
        assert [quote.askP for quote in quotes] == sorted(quote.askP for quote in quotes)


def test_bars_when_a_minute_has_ended_then_the_feed_shows_it_one_to_two_seconds_later_as_it_traded(live: Watched) -> None:
    shown: dict[int, tuple[float, float, float, float, int]] = {}
    delays: list[int] = []
    for at_ms, full in live.updates[TCS]:
        bar = full.marketOHLC.ohlc[1]
        if bar.ts >= live.start_ms and bar.ts not in shown:
            shown[bar.ts] = (bar.open, bar.high, bar.low, bar.close, bar.vol)
            delays.append(at_ms - bar.ts - 60_000)
    expected: dict[int, list[Trade]] = defaultdict(list)
    for trade in live.truth[TCS]:
        expected[trade[0] // 60_000 * 60_000].append(trade)
    assert len(shown) == 6
    assert min(delays) >= 1000
    assert max(delays) < 3500
    for start, bar_shown in shown.items():
        prices = [trade[1] for trade in expected[start]]
        volume = sum(trade[2] for trade in expected[start])
        assert bar_shown == (prices[0], max(prices), min(prices), prices[-1], volume)


def test_index_when_its_stocks_trade_then_it_moves_without_volume_or_book(live: Watched) -> None:
    values = {full.ltpc.ltp for _, full in live.updates[NIFTY]}
    assert len(values) > 50
    last = live.updates[NIFTY][-1][1]
    assert last.ltpc.ltq == 0
    assert last.marketOHLC.ohlc[0].vol == 0
    assert last.marketOHLC.ohlc[1].interval == "I1"


def test_rate_when_fifty_a_second_then_an_instrument_updates_fifty_times() -> None:
    assert len(Watched(TCS, 10, rate=50).updates[TCS]) == pytest.approx(500, abs=2)


def test_live_when_the_real_session_ends_then_it_announces_that_it_stays_open() -> None:
    model = MarketModel(choose(TCS), seed=1)
    half_past_three = 1_765_792_800_000  # 2025-12-15 15:30 IST
    model.start(half_past_three - 2_000)
    announced = []
    while len(announced) < 2:
        message = model.next()
        if message.announcement is not None:
            announced.append((message.feed_time_ms, model.segment_status("NSE_EQ")))
    assert announced == [(half_past_three, "NORMAL_CLOSE"), (half_past_three, "NORMAL_OPEN")]


def test_session_when_a_date_then_phases_are_announced_in_order(whole_day: Watched) -> None:
    equity = [(ist(at), info["segmentStatus"]["NSE_EQ"]) for at, info in whole_day.announcements]
    assert [pair for pair, before in zip(equity, [None, *equity], strict=False) if before is None or pair[1] != before[1]] == [
        ("09:05", "PRE_OPEN_START"),
        ("09:08", "PRE_OPEN_END"),
        ("09:15", "NORMAL_OPEN"),
        ("15:30", "NORMAL_CLOSE"),
        ("15:50", "CLOSING_START"),
        ("16:00", "CLOSING_END"),
    ]
    auction = [
        (ist(at), info["casMarketStatus"]["NSE_EQ"]["status"])
        for at, info in whole_day.announcements
        if "casMarketStatus" in info
    ]
    assert list(dict.fromkeys(status for _, status in auction)) == ["CTS_CLOSE", "CAS_LM_START", "CAS_M_STOP", "CAS_STOP"]
    assert auction[0][0] == "15:15"


def test_pre_open_when_nothing_traded_then_ltt_is_yesterdays_and_the_book_is_crossed(whole_day: Watched) -> None:
    early = [full for at, full in whole_day.updates[TCS] if ist(at) < "09:08"]
    assert len(early) > 50
    for full in early[1:]:
        assert full.ltpc.ltt < whole_day.start_ms - 8 * 3600 * 1000
        assert full.marketLevel.bidAskQuote[0].bidP > full.marketLevel.bidAskQuote[0].askP
        assert full.marketLevel.bidAskQuote[4].bidP == 0
        assert full.marketLevel.bidAskQuote[4].bidQ > 0
        assert full.vtt > 0
        assert full.iep > 0
        quotes = full.marketLevel.bidAskQuote
        assert full.iiqTotal == sum(quote.bidQ for quote in quotes) - sum(quote.askQ for quote in quotes) != 0
    assert [trade for trade in whole_day.truth[TCS] if ist(trade[0]) < "09:08"] == []


def test_bars_when_the_opening_auction_has_matched_then_the_first_minute_holds_it(whole_day: Watched) -> None:
    """As the exchange's bar of 09:15 does: a day's bars of continuous trading and its opening auction add up."""
    bars = {
        ist(full.marketOHLC.ohlc[1].ts): full.marketOHLC.ohlc[1]
        for _, full in whole_day.updates[TCS]
        if full.marketOHLC.ohlc[1].ts
    }
    first = [trade for trade in whole_day.truth[TCS] if ist(trade[0]) in ("09:08", "09:15")]
    assert [trade[3] for trade in first].count("auction") == 1
    assert (bars["09:15"].open, bars["09:15"].vol) == (first[0][1], sum(trade[2] for trade in first))
    assert "09:08" not in bars


def test_session_when_no_auction_takes_orders_then_the_auctions_fields_are_absent(whole_day: Watched) -> None:
    with_fields = {ist(at) for at, full in whole_day.updates[TCS] if full.iep or full.ieq or full.iiqTotal}
    assert {"09:06", "15:21", "15:30"} <= with_fields
    assert all(clock <= "09:08" or "15:20" <= clock <= "15:31" for clock in with_fields)


def test_session_when_whole_then_aggressors_trade_in_continuous_hours_only(whole_day: Watched) -> None:
    sides: dict[str, set[str]] = defaultdict(set)
    for at_ms, _, _, side, _ in whole_day.truth[TCS]:
        clock = ist(at_ms)
        phase = "continuous" if "09:15" <= clock < "15:15" else "auction" if clock < "15:50" else "post_close"
        sides[phase].add(side)
    assert sides == {"continuous": {"buy", "sell"}, "auction": {"auction"}, "post_close": {"post_close"}}


def test_session_when_it_has_ended_then_the_last_vtt_is_the_sum_of_all_trades(whole_day: Watched) -> None:
    assert whole_day.model.due_ms() is None
    entry = whole_day.model.entry(TCS, "full") or b""
    vtt = pb.FeedResponse.FromString(entry).feeds[TCS].fullFeed.marketFF.vtt
    assert vtt == sum(trade[2] for trade in whole_day.truth[TCS])


def test_session_when_moved_to_now_then_it_ends_at_the_wall_clock() -> None:
    model = MarketModel(choose(TCS), date=dt.date(2025, 12, 15), speed=420, times="now")
    model.start(MONDAY_0730_IST)
    length_ms = 7 * 3600 * 1000
    ends_ms = model.now_ms() + length_ms
    wall_ends_ms = MONDAY_0730_IST + length_ms // 420
    assert 0 <= wall_ends_ms - ends_ms < 60_000
    assert model.now_ms() % 60_000 == 0


def test_live_market_when_ist_midnight_passes_then_the_day_begins_again() -> None:
    model = MarketModel(choose(f"{TCS},{NIFTY}"))
    midnight_ms = 1_763_922_600_000
    model.start(midnight_ms - 5_000)
    before: list[int] = []
    after: list[int] = []
    while (due := model.due_ms()) is not None and due < midnight_ms + 10_000:
        message = model.next()
        if TCS in message.keys:
            full = pb.FeedResponse.FromString(model.entry(TCS, "full") or b"").feeds[TCS].fullFeed.marketFF
            (before if message.feed_time_ms < midnight_ms else after).append(full.vtt)
            day_bar = full.marketOHLC.ohlc[0]
    assert min(before) > 10_000
    assert max(after[2:]) < min(before)
    assert after[2:] == sorted(after[2:])
    assert day_bar.ts == midnight_ms


def test_modes_when_reduced_then_each_has_its_fields() -> None:
    model = MarketModel(choose(TCS))
    model.start(MONDAY_0730_IST)

    def feed(mode: str) -> Any:
        return pb.FeedResponse.FromString(model.entry(TCS, mode) or b"").feeds[TCS]

    assert feed("ltpc").WhichOneof("FeedUnion") == "ltpc"
    assert feed("option_greeks").firstLevelWithGreeks.firstDepth.bidP > 0
    assert len(feed("full").fullFeed.marketFF.marketLevel.bidAskQuote) == 5
    deep = feed("full_d30")
    assert len(deep.fullFeed.marketFF.marketLevel.bidAskQuote) == 30
    assert [pb.RequestMode.Name(feed(mode).requestMode) for mode in ("ltpc", "full", "option_greeks", "full_d30")] == [
        "ltpc",
        "full_d5",
        "option_greeks",
        "full_d30",
    ]


def test_catalogue_when_asked_for_a_count_then_gives_so_many_different_keys() -> None:
    models = choose("200")
    assert len({instrument.key for instrument in models}) == 200
    assert models[: len(DEMO)] == DEMO
    assert choose("3") == DEMO[:3]


def test_catalogue_when_a_key_is_unknown_then_it_gets_a_price() -> None:
    (made_up,) = choose("NSE_EQ|INE669E01016")
    assert made_up.start_paise >= 15_000
    assert made_up.start_paise % made_up.tick_paise == 0


def test_catalogue_when_keys_follow_a_plus_then_they_come_on_top_of_the_ten() -> None:
    assert [model.key for model in choose("+NSE_EQ|INE669E01016,NSE_EQ|INE467B01029")] == [
        *(model.key for model in DEMO),
        "NSE_EQ|INE669E01016",
    ]


@pytest.mark.parametrize("wanted", ["0", "5001", "TCS", "NSE_EQ|", "|INE467B01029", "+TCS"])
def test_catalogue_when_the_wish_is_invalid_then_says_what_to_write(wanted: str) -> None:
    with pytest.raises(SettingsError, match="for example"):
        choose(wanted)


def test_session_when_started_again_before_it_runs_then_is_the_same_session() -> None:
    def first_bytes(starts: int) -> list[bytes | None]:
        model = MarketModel(choose(TCS), date=dt.date(2025, 12, 15), wait=True)
        for _ in range(starts):
            model.start(MONDAY_0730_IST)
        return [model.entry(key, "full") for _ in range(50) for key in model.next().keys]

    assert first_bytes(1) == first_bytes(2)


def test_index_when_it_is_alone_then_moves_by_stocks_of_its_own() -> None:
    watched = Watched(NIFTY, 120)
    assert len({full.ltpc.ltp for _, full in watched.updates[NIFTY]}) > 50
    assert watched.truth == {}


def test_future_when_it_trades_then_in_whole_lots_with_open_interest() -> None:
    watched = Watched("NSE_FO|51414", 120)
    lot = choose("NSE_FO|51414")[0].lot_size
    assert lot >= 25
    assert all(trade[2] % lot == 0 for trade in watched.truth["NSE_FO|51414"])
    assert watched.updates["NSE_FO|51414"][-1][1].oi > 0
    assert watched.updates["NSE_FO|51414"][-1][1].vtt % lot == 0


def test_future_when_a_whole_session_from_august_2026_then_trades_from_0915_to_1540_without_auction() -> None:
    truth = Watched("NSE_FO|51414", 7.1 * 3600, rate=0.2, date=dt.date(2026, 11, 20)).truth["NSE_FO|51414"]
    assert {trade[3] for trade in truth} == {"buy", "sell"}
    assert ist(truth[0][0]) in ("09:15", "09:16")
    assert ist(truth[-1][0]) in ("15:38", "15:39")


def test_live_market_when_started_again_then_its_cumulative_volume_has_not_fallen() -> None:
    wall_ms = 1_795_400_000_000
    first = MarketModel(choose("3"), seed=5)
    first.start(wall_ms)
    while first.now_ms() < wall_ms + 60_000:
        first.next()
    again = MarketModel(choose("3"), seed=5)
    again.start(wall_ms + 90_000)
    for key in first.keys:
        before, after = (pb.FeedResponse.FromString(model.entry(key, "full") or b"") for model in (first, again))
        vtt = [message.feeds[key].fullFeed.marketFF.vtt for message in (before, after)]
        assert vtt[1] > vtt[0] > 0


def test_session_when_it_begins_at_13_00_then_the_minutes_since_the_opening_are_history() -> None:
    date = dt.date(2026, 11, 20)
    model = MarketModel(choose(f"{TCS},{NIFTY}"), seed=5, date=date, begin=dt.time(13, 0))
    model.start(MONDAY_0730_IST)
    midnight_ms = 1_795_113_000_000
    begin_ms = midnight_ms + 13 * 3_600_000
    assert model.now_ms() == begin_ms
    assert {model.segment_status(segment) for segment in ("NSE_EQ", "NSE_FO")} == {"NORMAL_OPEN"}
    earlier = {key: model.minute_candles(key, midnight_ms, midnight_ms + 86_400_000) for key in (TCS, NIFTY)}
    opening_ms = midnight_ms + (9 * 60 + 15) * 60_000
    for minutes in earlier.values():
        assert [minute[0] for minute in minutes] == list(range(opening_ms, begin_ms, 60_000))
    shown = pb.FeedResponse.FromString(model.entry(TCS, "full") or b"").feeds[TCS].fullFeed.marketFF
    assert shown.vtt == sum(minute[5] for minute in earlier[TCS])
    while (due := model.due_ms()) is not None and due < begin_ms + 2 * 60_000 + 3_000:
        model.next()
    assert [minute[0] for minute in model.minute_candles(TCS, begin_ms, begin_ms + 3_600_000)] == [begin_ms, begin_ms + 60_000]
