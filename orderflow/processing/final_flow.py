"""Messages of the tick topic to the messages of final candles, footprint and late volume, by the candle engine."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

import msgspec
import pandas as pd
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from orderflow.market import records
from orderflow.market.engine.messages import messages_of
from orderflow.market.engine.partition import EngineSettings, PartitionEngine
from orderflow.market.tick import decode_tick
from orderflow.processing.engine_state import MESSAGES, EngineProcessor
from orderflow.settings import Settings

_CANDIDATES_A_TASK: Final = 200


def engine_settings(settings: Settings) -> EngineSettings:
    """Return what of the settings shapes candles."""
    return EngineSettings(
        rule=settings.aggressor_rule,
        watermark_ms=settings.watermark_seconds * 1000,
        exchange_bars=settings.exchange_bars,
        window_minutes=settings.windows,
    )


def spreading_keys(spark: SparkSession, partitions: int, tasks: int) -> tuple[int, ...]:
    """Return a grouping key for each Kafka partition, such that Spark's hash spreads them evenly over `tasks`.

    The partitions' own numbers would not do: of two tasks Spark's hash sends 0 and 1 to the same one.
    """
    number = F.col("id").cast("int")
    task = F.pmod(F.hash(number), F.lit(tasks))
    found: dict[int, list[int]] = {each: [] for each in range(tasks)}
    for row in spark.range(_CANDIDATES_A_TASK * max(tasks, partitions)).select(number.alias("id"), task.alias("task")).collect():
        found[row["task"]].append(row["id"])
    return tuple(found[partition % tasks][partition // tasks] for partition in range(partitions))


def final_messages(messages: DataFrame, settings: EngineSettings, keys: Sequence[int], name: str) -> DataFrame:
    """Fold a stream of Kafka messages into MESSAGES; `keys` are those of `spreading_keys`, `name` the query's."""
    group = F.element_at(F.array(*[F.lit(key) for key in keys]), F.col("partition") + 1)
    rows = messages.select(group.alias("group"), "offset", "key", "value", F.unix_millis(F.col("timestamp")).alias("sent_ms"))
    return rows.groupBy("group").transformWithStateInPandas(
        statefulProcessor=EngineProcessor(settings, name), outputStructType=MESSAGES, outputMode="Append", timeMode="None"
    )


def recomputed(ticks: DataFrame, settings: EngineSettings) -> DataFrame:
    """Fold a day's stored ticks (records.TICK, in any order) into MESSAGES, instrument by instrument."""
    value = F.to_json(F.struct(*records.names(records.TICK)))
    rows = ticks.select("instrument_key", "feed_time_ms", "sequence", "event_time_ms", value.alias("value"))

    def fold(_key: Any, frame: pd.DataFrame) -> pd.DataFrame:
        engine = PartitionEngine(settings)
        ordered = frame.sort_values(["feed_time_ms", "sequence", "event_time_ms"], kind="stable")
        return pd.DataFrame(list(_folded(engine, ordered["value"].tolist())), columns=MESSAGES.names)

    return rows.groupBy("instrument_key").applyInPandas(fold, MESSAGES)


def _folded(engine: PartitionEngine, values: list[str]) -> Iterator[Any]:
    for value in values:
        try:
            tick = decode_tick(value)
        except msgspec.MsgspecError:
            continue
        for output in engine.take(tick):
            yield from messages_of(output)
    for output in engine.finish():
        yield from messages_of(output)
