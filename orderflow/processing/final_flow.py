"""Messages of the tick topic to the messages of final candles, footprint and late volume, by the candle engine."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
import pandas as pd
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from orderflow.market import records
from orderflow.market.engine.messages import Message, messages_of
from orderflow.market.engine.partition import EngineSettings, PartitionEngine
from orderflow.market.tick import decode_tick
from orderflow.processing.engine_task import MESSAGES, Changelog, fold_partitions
from orderflow.settings import Settings


def engine_settings(settings: Settings) -> EngineSettings:
    """Return what of the settings shapes candles."""
    return EngineSettings(
        rule=settings.aggressor_rule,
        watermark_ms=settings.watermark_seconds * 1000,
        exchange_bars=settings.exchange_bars,
        window_minutes=settings.windows,
    )


def final_messages(messages: DataFrame, settings: EngineSettings, changelog: Changelog) -> DataFrame:
    """Fold a stream of Kafka messages into MESSAGES, each partition in the task that reads it.

    `changelog` reads the state back that MESSAGES carry to the topic CANDLE_STATE; it goes to the executors pickled.
    """
    sent_ms = F.unix_millis(F.col("timestamp")).alias("sent_ms")
    rows = messages.select("partition", "offset", "key", "value", sent_ms)
    return rows.mapInArrow(lambda batches: fold_partitions(batches, settings, changelog), MESSAGES)


def recomputed(ticks: DataFrame, settings: EngineSettings) -> DataFrame:
    """Fold a day's stored ticks (records.TICK, in any order) into MESSAGES, instrument by instrument."""
    value = F.to_json(F.struct(*records.names(records.TICK)))
    rows = ticks.select("instrument_key", "feed_time_ms", "sequence", "event_time_ms", value.alias("value"))

    def fold(_key: Any, frame: pd.DataFrame) -> pd.DataFrame:
        engine = PartitionEngine(settings)
        ordered = frame.sort_values(["feed_time_ms", "sequence", "event_time_ms"], kind="stable")
        messages = _folded(engine, ordered["value"].tolist())
        return pd.DataFrame([(each.topic, None, each.key, each.value) for each in messages], columns=MESSAGES.names)

    return rows.groupBy("instrument_key").applyInPandas(fold, MESSAGES)


def _folded(engine: PartitionEngine, values: list[str]) -> Iterator[Message]:
    for value in values:
        try:
            tick = decode_tick(value)
        except msgspec.MsgspecError:
            continue
        for output in engine.take(tick):
            yield from messages_of(output)
    for output in engine.finish():
        yield from messages_of(output)
