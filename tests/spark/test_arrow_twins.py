"""What Arrow takes for certainly valid is valid by the Spark rules, with the same values; sound records are all taken."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest
import test_poison as poison
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from replayed import replay

from orderflow.market import records, topics
from orderflow.market.records import Field
from orderflow.market.tick import tick_record
from orderflow.processing import arrow_sound, schemas
from orderflow.processing.arrow_parse import OFFSET, Sound, parse

pytestmark = pytest.mark.spark

ROWS = 10_000
RULES: dict[str, tuple[tuple[Field, ...], Sound, Any]] = {
    topics.TICKS: (records.TICK, arrow_sound.sound_tick, schemas.tick_reason),
    topics.ORDERFLOW: (records.CANDLE, arrow_sound.sound_candle, schemas.candle_reason),
    topics.FOOTPRINT: (records.FOOTPRINT, arrow_sound.sound_level, schemas.footprint_reason),
}


def both(messages: DataFrame, topic: str) -> tuple[pa.Table, pa.Table, pa.Table]:
    """Return what Arrow takes, what Spark takes of the same offsets, and what Spark takes in all, by offset."""
    fields, sound, reason = RULES[topic]
    names = [field.name for field in fields]
    certain, left = parse(messages.toArrow(), fields, sound)
    assert certain.num_rows + left.num_rows == messages.count()
    columns = [F.col("offset").alias(OFFSET), *[F.col(f"record.{name}") for name in names]]
    valid = schemas.parse(messages, fields, reason()).where("reason is null").select(*columns).toArrow().sort_by(OFFSET)
    taken = certain.select([OFFSET, *names]).sort_by(OFFSET)
    return taken, valid.filter(pc.is_in(valid.column(OFFSET), value_set=taken.column(OFFSET).combine_chunks())), valid


def test_arrow_parse_when_ticks_are_poisoned_then_takes_none_that_spark_refuses_and_reads_the_same(
    spark: SparkSession, tmp_path: Path
) -> None:
    taken, same, valid = both(poison.poisoned(spark, tmp_path, ROWS, poison.SEED + 1), topics.TICKS)
    assert taken.column(OFFSET).to_pylist() == same.column(OFFSET).to_pylist()
    assert list(map(repr, taken.to_pylist())) == list(map(repr, same.to_pylist()))  # NaN is not equal to itself
    assert taken.num_rows > valid.num_rows / 10


@pytest.mark.parametrize("name", ["2025-12-15_open_3eq", "2025-12-15_close_2fo"])
def test_arrow_parse_when_ticks_are_recorded_then_all_are_certain(
    shared: Path, spark: SparkSession, tmp_path: Path, name: str
) -> None:
    recorded = [tick_record(tick) for tick, _ in replay(shared / "data" / "upstox" / f"{name}.jsonl.gz")]
    messages = poison.as_messages(spark, tmp_path, recorded).toArrow()
    certain, left = parse(messages, records.TICK, arrow_sound.sound_tick)
    assert left.num_rows == 0
    values = [json.loads(value) for value in messages.column("value").to_pylist()]
    assert certain.select([field.name for field in records.TICK]).to_pylist()[::97] == _with_nulls(values)[::97]


def _with_nulls(values: list[dict[str, Any]]) -> list[dict[str, Any]]:
    from orderflow.lake.layout import TICKS, arrow_schema

    records: list[dict[str, Any]] = pa.Table.from_pylist(values, schema=arrow_schema(TICKS.fields)).to_pylist()
    return records


@pytest.mark.parametrize("topic", [topics.ORDERFLOW, topics.FOOTPRINT])
def test_arrow_parse_when_the_flow_is_mutated_then_takes_none_that_spark_refuses(spark: SparkSession, topic: str) -> None:
    rng = random.Random(poison.SEED)
    whole = poison.CANDLE if topic == topics.ORDERFLOW else poison.LEVEL
    sound, mutated = [], []
    for number in range(6_000):
        record = json.loads(json.dumps(whole))
        for _ in range(0 if number < 2_000 else number % 3):
            poison.mutate(rng, record)
        mutated.append((str(record.get("instrument")).encode(), json.dumps(record).encode("utf-8", "surrogatepass")))
        sound.append(number < 2_000)
    taken, same, _ = both(poison.flow_frame(spark, topic, mutated), topic)
    assert list(map(repr, taken.to_pylist())) == list(map(repr, same.to_pylist()))  # NaN is not equal to itself
    assert {number for number, fine in enumerate(sound) if fine} <= {*taken.column(OFFSET).to_pylist()}
