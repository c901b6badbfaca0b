"""The day so far: fetched minutes become candles once each, and never take the place of ticks."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from orderflow.lake.day_so_far import day_so_far, exchange_candle
from orderflow.lake.exchange_candles import ExchangeCandles, ExchangeMinute, TooManyCallsError
from orderflow.lake.layout import LakeError
from orderflow.lake.reconciliation import without_outages
from orderflow.market.candle import Candle
from orderflow.market.day_so_far import candle_key, missing_minutes, once_each, preferred
from orderflow.simulator.catalogue import choose
from orderflow.simulator.in_process import SimulatorServer
from orderflow.simulator.market_model import MarketModel

TCS = "NSE_EQ|INE467B01029"
INFY = "NSE_EQ|INE009A01021"
NIFTY = "NSE_INDEX|Nifty 50"
NINE_FIFTEEN = 1_765_770_300_000  # 15 December 2025, IST
MINUTE = 60_000


def minute(number: int, volume: int = 100) -> ExchangeMinute:
    return ExchangeMinute(NINE_FIFTEEN + number * MINUTE, 10.0, 12.0, 9.0, 11.0, volume)


def from_exchange(number: int, volume: int = 100, key: str = TCS) -> Candle:
    return exchange_candle(key, minute(number, volume))


def from_ticks(number: int, volume: int = 100, **more: object) -> Candle:
    seen = {"source": "stream", "buy_volume": volume, "unclassified_volume": 0, "delta": volume, "tick_count": 5}
    return replace(from_exchange(number, volume), **{**seen, **more})  # type: ignore[arg-type]


class Exchange:
    """Gives out minutes, and raises what it is told for an instrument."""

    def __init__(self, minutes: dict[str, list[ExchangeMinute]], errors: dict[str, LakeError]) -> None:
        self.asked: list[tuple[str, ...]] = []
        self._minutes, self._errors = minutes, errors

    def minutes(self, instrument_key: str, first: str, last: str, today: str) -> dict[str, list[ExchangeMinute]]:
        self.asked.append((instrument_key, first, last, today))
        if instrument_key in self._errors:
            raise self._errors[instrument_key]
        return {today: self._minutes.get(instrument_key, [])}


def test_exchange_minute_when_made_a_candle_then_its_record_has_no_sides_and_names_the_source() -> None:
    record = from_exchange(1, 70).to_record()
    assert {name: value for name, value in record.items() if value not in (None, 0, False)} == {
        "window_start": "2025-12-15T09:16:00+05:30",
        "window_end": "2025-12-15T09:17:00+05:30",
        "instrument": TCS,
        "open": 10.0,
        "high": 12.0,
        "low": 9.0,
        "close": 11.0,
        "total_volume": 70,
        "window_minutes": 1,
        "unclassified_volume": 70,
        "confidence": "none",
        "exchange_bar": True,
        "source": "exchange",
    }


def test_missing_when_a_minute_is_still_running_then_left_to_the_ticks() -> None:
    fetched = [from_exchange(number) for number in (2, 1, 0)]
    at = NINE_FIFTEEN + 3 * MINUTE
    assert missing_minutes(fetched, (), at) == [from_exchange(0), from_exchange(1)]
    assert missing_minutes(fetched, (), at - 1) == [from_exchange(0)]


@pytest.mark.parametrize("source", ["stream", "reprocess", "backfill", "exchange"])
def test_missing_when_the_minute_has_a_candle_of_any_source_then_not_made_again(source: str) -> None:
    known = candle_key(replace(from_ticks(0), source=source))
    assert missing_minutes([from_exchange(0), from_exchange(1)], [known], NINE_FIFTEEN + 9 * MINUTE) == [from_exchange(1)]


def test_missing_when_only_a_longer_window_is_known_then_the_minute_is_made() -> None:
    known = candle_key(replace(from_ticks(0), window_minutes=5))
    assert missing_minutes([from_exchange(0)], [known], NINE_FIFTEEN + 9 * MINUTE) == [from_exchange(0)]


def test_missing_when_fetched_twice_then_the_second_time_adds_nothing() -> None:
    fetched = [from_exchange(number) for number in range(5)]
    first = missing_minutes([*fetched, *fetched], (), NINE_FIFTEEN + 9 * MINUTE)
    assert first == fetched
    assert missing_minutes(fetched, map(candle_key, first), NINE_FIFTEEN + 9 * MINUTE) == []


def test_missing_when_nothing_traded_then_only_an_index_has_the_minute() -> None:
    fetched = [from_exchange(0, 0), from_exchange(0, 0, NIFTY)]
    assert missing_minutes(fetched, (), NINE_FIFTEEN + 9 * MINUTE) == [from_exchange(0, 0, NIFTY)]


@pytest.mark.parametrize("other", ["stream", "reprocess"])
def test_preferred_when_one_is_from_ticks_then_it_holds_in_either_order(other: str) -> None:
    ticks, exchange = replace(from_ticks(0), source=other), from_exchange(0)
    assert preferred(ticks, exchange) == ticks
    assert preferred(exchange, ticks) == ticks


def test_preferred_when_both_are_alike_then_the_first_stays() -> None:
    first, second = from_exchange(0, 100), from_exchange(0, 101)
    assert preferred(first, second) == first
    assert preferred(second, first) == second
    assert preferred(first, replace(second, source="backfill")) == first


def test_once_each_when_two_streamers_publish_at_once_then_each_minute_counts_once() -> None:
    came = [from_exchange(1), from_exchange(0), from_exchange(1), from_ticks(1, 90), from_exchange(0)]
    assert once_each(came) == [from_exchange(0), from_ticks(1, 90)]


def test_outage_when_its_minutes_are_filled_then_the_volume_of_the_candle_after_it_counts_once() -> None:
    """The outage covers minutes 1 and 2, whose 80 shares are in the candle of minute 3 as well."""
    stored = [
        from_ticks(0, 100),
        from_exchange(1, 30),
        from_exchange(2, 50),
        from_ticks(3, 140, buy_volume=60, delta=60, unclassified_volume=80, gap=True, exchange_bar=False),
    ]
    exchange = [minute(0, 100), minute(1, 30), minute(2, 50), minute(3, 60)]
    changed = {candle.start_ms: candle for candle in without_outages(stored, exchange)}
    total = sum(changed.get(candle.start_ms, candle).total_volume for candle in stored)
    assert total == sum(each.volume for each in exchange)
    assert changed[NINE_FIFTEEN + 3 * MINUTE].buy_volume == 60


def test_day_so_far_when_one_instrument_is_refused_then_the_others_are_fetched() -> None:
    exchange = Exchange({INFY: [minute(0)]}, {TCS: LakeError("Upstox refused the candles of TCS: 400")})
    candles, failed = day_so_far(exchange, [TCS, INFY], (), NINE_FIFTEEN + 9 * MINUTE)
    assert candles == [from_exchange(0, 100, INFY)]
    assert failed == {TCS: "Upstox refused the candles of TCS: 400"}
    assert exchange.asked[0] == (TCS, "2025-12-15", "2025-12-15", "2025-12-15")


def test_day_so_far_when_upstox_takes_no_more_calls_then_none_is_made_and_what_was_fetched_stands() -> None:
    exchange = Exchange({TCS: [minute(0)]}, {INFY: TooManyCallsError("no more calls for now (429)")})
    candles, failed = day_so_far(exchange, [TCS, INFY, NIFTY], (), NINE_FIFTEEN + 9 * MINUTE)
    assert candles == [from_exchange(0)]
    assert list(failed) == [INFY, NIFTY]
    assert [asked[0] for asked in exchange.asked] == [TCS, INFY]


def test_day_so_far_when_stopped_then_no_further_call() -> None:
    exchange = Exchange({}, {})
    day_so_far(exchange, [TCS, INFY], (), NINE_FIFTEEN, stopped=lambda: len(exchange.asked) == 1)
    assert [asked[0] for asked in exchange.asked] == [TCS]


def test_day_so_far_when_the_simulators_market_is_an_hour_old_then_its_minutes_join_the_feeds() -> None:
    now_ms = NINE_FIFTEEN + 7_212_345
    with SimulatorServer(MarketModel(choose(f"{TCS},{NIFTY}")), token="right", wall_ms=now_ms) as server:
        exchange = ExchangeCandles(server.rest_url, "right")
        candles, failed = day_so_far(exchange, [TCS, NIFTY, "NSE_EQ|NOBODY"], (), now_ms)
        again, _ = day_so_far(exchange, [TCS, NIFTY], map(candle_key, candles), now_ms)
    assert list(failed) == ["NSE_EQ|NOBODY"]
    by_key = {key: [candle for candle in candles if candle.instrument == key] for key in (TCS, NIFTY)}
    starts = [candle.start_ms for candle in by_key[TCS]]
    assert starts == list(range(starts[0], starts[0] + len(starts) * MINUTE, MINUTE))
    assert len(starts) >= 58
    assert all(candle.total_volume == candle.unclassified_volume > 0 for candle in by_key[TCS])
    assert [candle.start_ms for candle in by_key[NIFTY]] == starts
    assert again == []
