from __future__ import annotations

import pytest
from flow import frame
from pyspark.sql import SparkSession
from ticks import KEY, OPEN, trade_tick

from orderflow.market import records
from orderflow.processing.trades import trades

pytestmark = pytest.mark.spark


def test_trades_when_ticks_carry_volume_then_one_each_with_an_id_that_repeats_share(spark: SparkSession) -> None:
    buy, sell = trade_tick(10, 100.0, 50, 1_050, since=5, side="buy"), trade_tick(11, 99.9, 20, 1_070, since=10, side="sell")
    rows = trades(frame(spark, [buy, sell]), "lee_ready").orderBy("event_time_ms").collect()
    assert [row.trade_id for row in rows] == [f"{KEY}:2025-12-15:1050", f"{KEY}:2025-12-15:1070"]
    assert [(row.buy_volume, row.sell_volume, row.unclassified_volume, row.side) for row in rows] == [
        (50, 0, 0, "buy"),
        (0, 20, 0, "sell"),
    ]
    assert rows[0].event_time_ms == OPEN + 10_000
    assert tuple(rows[0].asDict()) == records.names(records.TRADE)


def test_trades_when_no_volume_or_outside_the_session_then_none(spark: SparkSession) -> None:
    quiet = trade_tick(10, 100.0, 0, 1_050, since=5)
    auction = trade_tick(20, 100.0, 90, 1_140, since=10, session_phase="closing_auction", auction=True)
    assert trades(frame(spark, [quiet, auction]), "split").count() == 0


def test_trades_when_the_volume_spans_an_outage_then_it_is_unclassified(spark: SparkSession) -> None:
    (row,) = trades(frame(spark, [trade_tick(300, 100.0, 500, 2_000, since=290, gap=True)]), "split").collect()
    assert (row.unclassified_volume, row.side, row.gap) == (500, "unclassified", True)
