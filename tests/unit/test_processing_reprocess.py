"""Which minutes of a day reprocess may take."""

from __future__ import annotations

import pytest

from orderflow.processing.reprocess import final_before

NOON_MS = 1_765_780_200_000  # 2025-12-15 12:00:00 IST


@pytest.mark.parametrize(
    ("date", "newest_tick_ms", "final_ms"),
    [
        ("2025-12-15", NOON_MS - 500, NOON_MS - 240_500),
        ("2025-12-15", NOON_MS - 900_000, NOON_MS - 1_140_000),
        ("2025-12-15", NOON_MS + 5_000, NOON_MS - 240_000),
        ("2025-12-12", NOON_MS - 200_000_000, NOON_MS),
    ],
)
def test_final_before_when_storage_is_behind_then_only_what_its_ticks_surely_hold(date, newest_tick_ms, final_ms) -> None:
    assert final_before(date, NOON_MS, newest_tick_ms, watermark_seconds=120) == final_ms
