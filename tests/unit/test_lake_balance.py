"""A stored day's candles against the rise of cumulative volume."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from orderflow.lake.balance import unbalanced_volumes

TCS = "NSE_EQ|INE467B01029"
OPEN_MS = 1_765_770_300_000  # 2025-12-15 09:15:00 IST
LATER_MS = OPEN_MS + 86_400_000


def tick(second: int, vtt: int, traded: int, ltq: int | None = None, phase: str = "continuous") -> dict[str, Any]:
    ltq = traded if ltq is None else ltq
    at_ms = OPEN_MS + second * 1_000
    return {"instrument_key": TCS, "session_phase": phase, "vtt": vtt, "traded_volume": traded, "ltt_ms": at_ms, "ltq": ltq}


def candle(minute: int, total: int, length: int = 1) -> dict[str, Any]:
    start = f"2025-12-15T09:{15 + minute}:00+05:30"
    return {"instrument": TCS, "window_start": start, "window_minutes": length, "total_volume": total}


# vtt 1,000 at the end of the first minute, 1,100 and 1,250 at the ends of the next two.
TICKS = [tick(30, 1_000, 200), tick(70, 1_060, 60), tick(110, 1_100, 40), tick(130, 1_250, 150), tick(200, 1_300, 50)]


@pytest.mark.parametrize(
    ("second", "third", "unbalanced"),
    [(100, 150, 0), (120, 130, 0), (100, 140, -10), (180, 150, 80)],
)
def test_candles_when_they_hold_more_or_less_than_traded_then_by_how_much(second: int, third: int, unbalanced: int) -> None:
    candles = [candle(0, 900), candle(1, second), candle(2, third), candle(0, 9_999, length=5)]
    volumes = unbalanced_volumes(pa.Table.from_pylist(TICKS), pa.Table.from_pylist(candles), LATER_MS)
    assert volumes == {TCS: unbalanced}


def test_candles_when_an_update_spans_the_edge_then_what_it_may_hide_is_allowed() -> None:
    spanning = [tick(30, 1_000, 200), tick(62, 1_060, 60, ltq=20), tick(110, 1_100, 40), tick(130, 1_250, 150)]
    for second, unbalanced in ((60, 0), (100, 0), (101, 1), (59, -1)):
        candles = pa.Table.from_pylist([candle(0, 900), candle(1, second), candle(2, 150)])
        assert unbalanced_volumes(pa.Table.from_pylist(spanning), candles, LATER_MS) == {TCS: unbalanced}


def test_candles_when_an_auction_has_one_of_its_own_then_the_day_balances_with_it() -> None:
    closing = [*TICKS, tick(1_300, 9_300, 8_000, ltq=0, phase="closing_auction")]
    for auction, unbalanced in ((8_000, 0), (7_990, -10), (8_010, 10)):
        candles = pa.Table.from_pylist([candle(0, 900), candle(1, 100), candle(2, 150), candle(3, 50), candle(21, auction)])
        assert unbalanced_volumes(pa.Table.from_pylist(closing), candles, LATER_MS) == {TCS: unbalanced}


def test_candles_when_the_last_may_still_come_then_it_is_left_out() -> None:
    candles = pa.Table.from_pylist([candle(0, 900), candle(1, 100), candle(2, 1)])
    assert unbalanced_volumes(pa.Table.from_pylist(TICKS), candles, OPEN_MS + 130_000) == {TCS: 0}


def test_day_when_it_has_one_candle_then_nothing_is_said() -> None:
    assert unbalanced_volumes(pa.Table.from_pylist(TICKS), pa.Table.from_pylist([candle(0, 900)]), LATER_MS) == {}
