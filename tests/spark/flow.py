"""Ticks and what the candle engine makes of them, as frames of stored rows."""

from __future__ import annotations

import json
from collections.abc import Iterable

from pyspark.sql import DataFrame, SparkSession

from orderflow.market import topics
from orderflow.market.engine.messages import messages_of
from orderflow.market.engine.partition import EngineSettings, PartitionEngine
from orderflow.market.tick import Tick, tick_record
from orderflow.processing.schemas import CANDLE, FOOTPRINT, TICK


def frame(spark: SparkSession, ticks: Iterable[Tick]) -> DataFrame:
    """Make a frame of records.TICK rows, through JSON as on the topic."""
    lines = [json.dumps(tick_record(tick)) for tick in ticks]
    return spark.read.schema(TICK).json(spark.sparkContext.parallelize(lines, 2))


def flow(spark: SparkSession, ticks: Iterable[Tick], *, source: str = "stream", live: bool = True) -> tuple[DataFrame, DataFrame]:
    """Return (records.CANDLE rows of minutes, records.FOOTPRINT rows) of ticks in order, by Lee and Ready's rule."""
    engine = PartitionEngine(EngineSettings("lee_ready", watermark_ms=120_000 if live else None, source=source))
    outputs = [output for tick in ticks for output in engine.take(tick)] + engine.finish()
    messages = [message for output in outputs for message in messages_of(output)]
    frames = []
    for topic, schema in ((topics.ORDERFLOW, CANDLE), (topics.FOOTPRINT, FOOTPRINT)):
        lines = [message.value.decode() for message in messages if message.topic == topic]
        frames.append(spark.read.schema(schema).json(spark.sparkContext.parallelize(lines, 2)))
    return frames[0], frames[1]
