"""Spark schemas of every record, derived from `market.records`, and the check that an incoming tick is one."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql import types as T

from orderflow.market import records
from orderflow.market.records import Field, FieldType, ListOf, Struct

_SCALARS: Final[dict[str, T.DataType]] = {
    "string": T.StringType(),
    "long": T.LongType(),
    "int": T.IntegerType(),
    "double": T.DoubleType(),
    "boolean": T.BooleanType(),
}
_CORRUPT: Final = "_corrupt"
_FUTURE_MS: Final = 60_000
_MOST_VOLUME: Final = 10**12
_MOST_PRICE: Final = 1e9


def spark_type(kind: FieldType) -> T.DataType:
    """Return the Spark type of a record's field type."""
    if isinstance(kind, ListOf):
        return T.ArrayType(spark_type(kind.element))
    if isinstance(kind, Struct):
        return spark_schema(kind.fields)
    return _SCALARS[kind]


def spark_schema(fields: Iterable[Field]) -> T.StructType:
    """Return the Spark schema of a record."""
    return T.StructType([T.StructField(field.name, spark_type(field.type)) for field in fields])


TICK: Final = spark_schema(records.TICK)
CANDLE: Final = spark_schema(records.CANDLE)
FOOTPRINT: Final = spark_schema(records.FOOTPRINT)


def parse(messages: DataFrame, fields: tuple[Field, ...], reason: Column | None = None) -> DataFrame:
    """Turn Kafka messages into (kafka coordinates, record, reason): `reason` is null on a valid record.

    `messages` has the columns of Spark's Kafka source; `record` is a struct of `fields`. `reason` is a further check on
    the columns `record`, `key`, `timestamp`. The parse is held in a one-element array that is exploded: a filter on parsed
    columns would otherwise be pushed below `from_json`, which Spark would then evaluate many times over.
    """
    schema = T.StructType([*spark_schema(fields).fields, T.StructField(_CORRUPT, T.StringType())])
    options = {"mode": "PERMISSIVE", "columnNameOfCorruptRecord": _CORRUPT}
    held = messages.select(
        "key",
        "value",
        "topic",
        "partition",
        "offset",
        "timestamp",
        F.explode(F.array(F.from_json(F.col("value").cast("string"), schema, options))).alias("record"),
    )
    missing = [F.when(F.col(f"record.{f.name}").isNull(), F.lit(f"missing_{f.name}")) for f in fields if f.required]
    verdict = F.coalesce(
        F.when(F.col("value").isNull(), F.lit("empty_message")),
        F.when(F.col("record").isNull() | F.col(f"record.{_CORRUPT}").isNotNull(), F.lit("bad_json")),
        *missing,
        *([] if reason is None else [reason]),
    )
    return held.withColumn("reason", verdict)


def tick_reason() -> Column:
    """Return why a parsed tick must not be used, null when it may: wrong version or key, absurd time or number.

    One tick dated 2099 would end every candle, so an event time more than a minute above the receive time, or a receive time
    more than five minutes above Kafka's own, is refused before it can reach a watermark.
    """
    record = F.col("record")
    sent_ms = F.unix_millis(F.col("timestamp"))
    absurd_volume = F.lit(False)
    for name in ("vtt", "traded_volume", "ltq", "tbq", "tsq"):
        value = record[name]
        absurd_volume = absurd_volume | (value.isNotNull() & ~value.between(0, _MOST_VOLUME))
    absurd_price = F.lit(False)
    for name in ("ltp", "prev_bid", "prev_ask"):
        value = record[name]
        absurd_price = absurd_price | (value.isNotNull() & ~((value > 0) & (value < _MOST_PRICE)))
    return F.coalesce(
        F.when(record["schema_version"] != records.SCHEMA_VERSION, F.lit("unknown_schema_version")),
        F.when(
            (record["kind"] != "heartbeat") & ~F.col("key").cast("string").eqNullSafe(record["instrument_key"]),
            F.lit("wrong_key"),
        ),
        F.when(~record["kind"].isin("snapshot", "update", "heartbeat"), F.lit("unknown_kind")),
        F.when(record["event_time_ms"] > record["received_time_ms"] + _FUTURE_MS, F.lit("event_time_in_future")),
        F.when(record["received_time_ms"] > sent_ms + 5 * _FUTURE_MS, F.lit("receive_time_in_future")),
        F.when(record["event_time_ms"] <= 0, F.lit("event_time_absurd")),
        F.when(~record["trading_date"].rlike(r"^\d{4}-\d{2}-\d{2}$"), F.lit("bad_trading_date")),
        F.when(absurd_volume, F.lit("absurd_volume")),
        F.when(absurd_price, F.lit("absurd_price")),
        F.when(
            record["traded_volume"].isNotNull() & (record["vtt"].isNull() | (record["traded_volume"] > record["vtt"])),
            F.lit("volume_without_vtt"),
        ),
    )


def valid_ticks(messages: DataFrame) -> DataFrame:
    """Return the valid ticks among Kafka messages: the columns of records.TICK."""
    parsed = parse(messages, records.TICK, tick_reason())
    return parsed.where(F.col("reason").isNull()).select(*[F.col(f"record.{name}") for name in TICK.names])


def reject_rows(parsed: DataFrame) -> DataFrame:
    """Return one records.REJECT row for each row of `parse`'s result that has a reason."""
    source = F.format_string("%s[%d]@%d", "topic", "partition", "offset")
    return parsed.where(F.col("reason").isNotNull()).select(
        "reason",
        source.alias("source"),
        F.unix_millis(F.col("timestamp")).alias("received_time_ms"),
        F.base64(F.substring(F.coalesce(F.col("value"), F.lit(b"")), 1, 512 * 1024)).alias("payload"),
    )
