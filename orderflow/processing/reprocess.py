"""Recomputes a day's candles and footprint from its stored ticks, with the same candle engine as streaming.

Where nothing came late, the result equals the rows that streaming wrote. Late ticks and late exchange bars, which came after
candle could not take any more, are applied here; `differences` says what becomes of the stored rows.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import StructType

from orderflow.market import topics
from orderflow.market.times import ist_date
from orderflow.processing import schemas
from orderflow.processing.final_flow import engine_settings, recomputed
from orderflow.settings import Settings

TICKS_PER_TASK: Final = 200_000
"""About ten seconds of work. A storage batch on the same core then waits for one task, not for the whole day."""


def messages(ticks: DataFrame, count: int, settings: Settings, window_minutes: tuple[int, ...]) -> DataFrame:
    """Fold a day's stored ticks, `count` of them, into messages: candles of every length in `window_minutes`, and footprint."""
    engine = replace(engine_settings(settings), watermark_ms=None, source="reprocess", window_minutes=window_minutes)
    return recomputed(ticks.repartition(1 + count // TICKS_PER_TASK, "instrument_key"), engine)


def rows(messages: DataFrame) -> tuple[DataFrame, DataFrame]:
    """Return (records.CANDLE rows, records.FOOTPRINT rows) of `messages`, which are read twice: cache them before."""
    return _records(messages, topics.ORDERFLOW, schemas.CANDLE), _records(messages, topics.FOOTPRINT, schemas.FOOTPRINT)


def _records(messages: DataFrame, topic: str, schema: StructType) -> DataFrame:
    record = F.from_json(F.col("value").cast("string"), schema)
    return messages.where(F.col("topic") == topic).select(record.alias("record")).select("record.*")


def final_before(date: str, now_ms: int, newest_tick_ms: int, watermark_seconds: int) -> int:
    """Return the time up to which windows of a date may be recomputed; `now_ms` for a date that is over.

    Later windows of today may not be final in the stream, and storage may lack ticks of windows near the newest stored tick
    (by the feed's time): recomputed candles of these would replace correct ones.
    """
    return now_ms if date != ist_date(now_ms) else min(now_ms, newest_tick_ms) - 2 * watermark_seconds * 1000
