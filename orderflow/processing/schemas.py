"""Spark schemas of every record, derived from `market.records`, and the checks of incoming messages."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql import types as T

from orderflow.market import records
from orderflow.market.price_unit import PAISE, PRICE_UNITS
from orderflow.market.records import Field, FieldType, ListOf, Struct
from orderflow.market.tick import READABLE_VERSIONS
from orderflow.market.times import DAY_MS, MINUTE_MS
from orderflow.market.timetable import COMMODITY
from orderflow.settings import WINDOW_MINUTES

_SCALARS: Final[dict[str, T.DataType]] = {
    "string": T.StringType(),
    "long": T.LongType(),
    "int": T.IntegerType(),
    "double": T.DoubleType(),
    "boolean": T.BooleanType(),
}
_CORRUPT: Final = "_corrupt"
_FUTURE_MS: Final = 60_000
_LATEST_MS: Final = 4_102_444_800_000
_EARLIEST_MS: Final = 946_684_800_000
_WINDOW_EDGE: Final = r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:00\+05:30$"
_MOST_VOLUME: Final = 10**12
_MOST_PRICE: Final = 1e9
_MOST_AMOUNT: Final = 1e15


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
    the columns `record`, `key`, `timestamp`. The parsed record and the reason are each put into a one-element array
    that is exploded. Otherwise Spark would push a filter on parsed columns below `from_json` and evaluate that many
    times, and it would split a filter on the reason into its conditions, which took the optimizer minutes for each
    batch.
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
    return held.select("*", F.explode(F.array(verdict)).alias("reason"))


def tick_reason() -> Column:
    """Return why a parsed tick must not be used, or null if it is valid: wrong version or key, impossible time or number.

    One tick dated 2099 would end every candle. So a tick is rejected, before it can advance a watermark, if its event time is
    more than a minute ahead of the receive time, if its receive time is more than five minutes ahead of Kafka's, or if its bar
    is dated in the future. Every number used in a computation must be in a range in which no later expression can overflow: in
    ANSI SQL an overflow would end the query, and end it again after each restart.
    """
    record = F.col("record")
    sent_ms = F.unix_millis(F.col("timestamp"))
    ahead_ms = F.try_subtract(F.greatest(record["event_time_ms"], record["feed_time_ms"]), record["received_time_ms"])
    bar_ms = record["bar"]["start_ms"]
    bar_ahead_ms = F.try_subtract(bar_ms, record["received_time_ms"])
    session_ms = [F.abs(F.try_subtract(record[f"session_{edge}_ms"], record["event_time_ms"])) for edge in ("start", "end")]
    return F.coalesce(
        F.when(~record["schema_version"].isin(*READABLE_VERSIONS), F.lit("unknown_schema_version")),
        F.when(
            (record["kind"] != "heartbeat") & ~F.col("key").cast("string").eqNullSafe(record["instrument_key"]),
            F.lit("wrong_key"),
        ),
        F.when(~record["kind"].isin("snapshot", "update", "heartbeat", "minute"), F.lit("unknown_kind")),
        F.when(_any_absurd(_times(record), lambda at: at.between(0, _LATEST_MS)), F.lit("absurd_time")),
        F.when(ahead_ms > _FUTURE_MS, F.lit("event_time_in_future")),
        F.when(F.try_subtract(record["received_time_ms"], sent_ms) > 5 * _FUTURE_MS, F.lit("receive_time_in_future")),
        F.when(record["event_time_ms"] <= 0, F.lit("event_time_absurd")),
        F.when(~_is_date_of(record["trading_date"], record["event_time_ms"]), F.lit("bad_trading_date")),
        F.when((session_ms[0] > 2 * DAY_MS) | (session_ms[1] > 2 * DAY_MS), F.lit("absurd_session")),
        F.when(_any_absurd(_volumes(record), lambda volume: volume.between(0, _MOST_VOLUME)), F.lit("absurd_volume")),
        F.when(
            _any_absurd([record["indicative_imbalance"]], lambda balance: balance.between(-_MOST_VOLUME, _MOST_VOLUME)),
            F.lit("absurd_volume"),
        ),
        F.when(_any_absurd(_prices(record), _is_price(record["instrument_key"])), F.lit("absurd_price")),
        F.when(_any_absurd(_amounts(record), lambda amount: F.abs(amount) < _MOST_AMOUNT), F.lit("absurd_number")),
        F.when(~record["tick_direction"].between(-1, 1), F.lit("absurd_direction")),
        F.when(record["bar"].isNotNull() & (bar_ms.isNull() | (F.pmod(bar_ms, F.lit(MINUTE_MS)) != 0)), F.lit("bad_bar")),
        F.when(bar_ahead_ms > _FUTURE_MS, F.lit("bar_in_future")),
        F.when(~_is_sound_bar(record["bar"]), F.lit("bad_bar")),
        F.when(
            record["traded_volume"].isNotNull() & (record["vtt"].isNull() | (record["traded_volume"] > record["vtt"])),
            F.lit("volume_without_vtt"),
        ),
    )


def candle_reason() -> Column:
    """Return why a parsed candle must not be stored, or null if it is valid.

    A candle dated 2099 would create a directory that always stays the newest; a negative volume would falsify every sum. A
    replay may be of any year, so a window counts as in the future only if it ends after the message was sent.
    """
    record = F.col("record")
    volumes = [
        record[f"{part}volume"]
        for part in ("buy_", "sell_", "unclassified_", "total_", "tick_", "tick_buy_", "tick_sell_", "auction_")
    ]
    counts = [*volumes, *[record[name] for name in ("tick_count", "tbq", "tsq")]]
    deltas = [record[name] for name in ("delta", "min_delta", "max_delta")]
    prices = [record[f"{prefix}{name}"] for prefix in ("", "tick_") for name in ("open", "high", "low", "close")]
    total = F.try_add(F.try_add(record["buy_volume"], record["sell_volume"]), record["unclassified_volume"])
    delta = F.try_subtract(record["buy_volume"], record["sell_volume"])
    path = (record["min_delta"] <= F.least(record["delta"], F.lit(0))) & (
        record["max_delta"] >= F.greatest(record["delta"], F.lit(0))
    )
    return F.coalesce(
        *_window_reasons(record, record["window_minutes"]),
        F.when(~record["source"].isin("stream", "exchange"), F.lit("unknown_source")),
        F.when(_any_absurd(counts, lambda count: count.between(0, _MOST_VOLUME)), F.lit("absurd_volume")),
        F.when(_any_absurd(deltas, lambda amount: amount.between(-_MOST_VOLUME, _MOST_VOLUME)), F.lit("absurd_volume")),
        F.when(_any_absurd([*prices, record["vwap"]], _is_price(record["instrument"])), F.lit("absurd_price")),
        F.when(_any_absurd([record["imbalance"]], lambda share: share.between(-1, 1)), F.lit("absurd_number")),
        F.when(_any_absurd([record["delta_band"]], lambda width: (width >= 0) & (width < _MOST_AMOUNT)), F.lit("absurd_number")),
        F.when(F.coalesce(*prices[:4]).isNotNull() & ~_all_there(prices[:4]), F.lit("price_missing")),
        F.when(~_prices_are_ordered(record, ""), F.lit("prices_out_of_order")),
        # A longer candle has no tick_open if no update of its first minute was seen.
        F.when(~_prices_are_ordered(record, "tick_"), F.lit("prices_out_of_order")),
        F.when(total != record["total_volume"], F.lit("parts_do_not_add_up")),
        F.when((delta != record["delta"]) | ~path, F.lit("delta_does_not_fit")),
    )


def footprint_reason() -> Column:
    """Return why a parsed footprint level must not be stored, or null if it is valid."""
    record = F.col("record")
    volumes = [record[f"{side}_volume"] for side in ("buy", "sell", "unclassified")]
    unit = F.coalesce(record["price_unit"], F.lit(PAISE))
    most = unit.cast("double") * _MOST_PRICE
    return F.coalesce(
        *_window_reasons(record, F.lit(1)),
        F.when(~unit.isin(*PRICE_UNITS), F.lit("unknown_price_unit")),
        F.when(~_is_price(record["instrument"], most)(record["price"]), F.lit("absurd_price")),
        F.when(_any_absurd(volumes, lambda volume: volume.between(0, _MOST_VOLUME)), F.lit("absurd_volume")),
    )


def _is_price(instrument_key: Column, most: float | Column = _MOST_PRICE) -> Callable[[Column], Column]:
    """Return the check of an instrument's price: above zero, except where the exchange allows prices below (commodities)."""
    below_zero = F.substring_index(instrument_key, "|", 1).isin(*COMMODITY)
    return lambda price: (price > -most) & (price < most) & ((price > 0) | (below_zero & (price < 0)))


def _window_reasons(record: Column, window_minutes: Column) -> list[Column]:
    """Return the checks of a message's key and of its window, which begins and ends on the minute and may be cut at the close."""
    edges = [record[f"window_{edge}"] for edge in ("start", "end")]
    start_ms, end_ms = [F.unix_millis(F.when(edge.rlike(_WINDOW_EDGE), F.try_to_timestamp(edge))) for edge in edges]
    length_ms = F.try_subtract(end_ms, start_ms)
    longest_ms = window_minutes.cast("long") * MINUTE_MS
    shortest_ms = F.when(window_minutes == 1, F.lit(MINUTE_MS)).otherwise(F.lit(1))
    ahead_ms = F.try_subtract(end_ms, F.unix_millis(F.col("timestamp")))
    return [
        F.when(~F.col("key").cast("string").eqNullSafe(record["instrument"]), F.lit("wrong_key")),
        F.when(~window_minutes.isin(*WINDOW_MINUTES), F.lit("unknown_window_minutes")),
        F.when(start_ms.isNull() | end_ms.isNull(), F.lit("bad_window")),
        F.when(~length_ms.between(shortest_ms, longest_ms), F.lit("bad_window")),
        F.when(start_ms < _EARLIEST_MS, F.lit("window_absurd")),
        F.when(ahead_ms > 5 * _FUTURE_MS, F.lit("window_in_future")),
    ]


def _all_there(values: Iterable[Column]) -> Column:
    present = F.lit(True)
    for value in values:
        present = present & value.isNotNull()
    return present


def _prices_are_ordered(record: Column, prefix: str) -> Column:
    """Return whether the low is lowest and the high highest of the prices that are there."""
    open_, high, low, close = (record[f"{prefix}{name}"] for name in ("open", "high", "low", "close"))
    pairs = ((low, open_), (low, close), (low, high), (open_, high), (close, high))
    ordered = F.lit(True)
    for lower, higher in pairs:
        ordered = ordered & F.coalesce(lower <= higher, F.lit(True))
    return ordered


def _is_date_of(date: Column, event_time_ms: Column) -> Column:
    """Return whether `date` is the IST date of the event time or the next one, as for an outage's trade before midnight."""
    bounded_ms = F.greatest(F.least(event_time_ms, F.lit(_LATEST_MS)), F.lit(0))
    day = F.timestamp_millis(bounded_ms + F.lit(330 * MINUTE_MS)).cast("date")
    return (date == day.cast("string")) | (date == F.date_add(day, 1).cast("string"))


def _times(record: Column) -> list[Column]:
    own = [field.name for field in records.TICK if field.name.endswith("_ms")]
    return [*[record[name] for name in own], record["bar"]["start_ms"]]


def _volumes(record: Column) -> list[Column]:
    own = (
        *("sequence", "vtt", "traded_volume", "ltq", "tbq", "tsq"),
        *("prev_bid_quantity", "prev_ask_quantity", "indicative_quantity"),
    )
    best = [F.get(record[side], F.lit(0))["quantity"] for side in ("bid", "ask")]
    return [*[record[name] for name in own], record["bar"]["volume"], *best]


def _prices(record: Column) -> list[Column]:
    own = ("ltp", "close_price", "atp", "prev_bid", "prev_ask", "indicative_price")
    best = [F.get(record[side], F.lit(0))["price"] for side in ("bid", "ask")]
    return [*[record[name] for name in own], *[record["bar"][name] for name in ("open", "high", "low", "close")], *best]


def _amounts(record: Column) -> list[Column]:
    return [record[name] for name in ("oi", "iv")]


def _any_absurd(values: Iterable[Column], is_sound: Callable[[Column], Column]) -> Column:
    """Return whether one of `values` is present and invalid; null when none is present."""
    absurd = F.lit(False)
    for value in values:
        absurd = absurd | ~is_sound(value)
    return absurd


def _is_sound_bar(bar: Column) -> Column:
    """Null without a bar. A published bar has all its prices, and the low is the lowest."""
    ordered = (bar["low"] <= bar["open"]) & (bar["low"] <= bar["close"])
    ordered = ordered & (bar["open"] <= bar["high"]) & (bar["close"] <= bar["high"])
    return F.when(bar.isNotNull(), F.coalesce(ordered, F.lit(False)))


def valid_ticks(messages: DataFrame) -> DataFrame:
    """Return the valid ticks among Kafka messages: the columns of records.TICK."""
    parsed = parse(messages, records.TICK, tick_reason())
    return parsed.where(F.col("reason").isNull()).select(*[F.col(f"record.{name}") for name in TICK.names])


def reject_rows(parsed: DataFrame, topic_identity: str) -> DataFrame:
    """Return one records.REJECT row for each row of `parse`'s result that has a reason.

    `topic_identity` distinguishes the present topic from earlier topics of the same name, whose offsets mean other
    messages.
    """
    source = F.format_string("%s[%d]@%d", "topic", "partition", "offset")
    return parsed.where(F.col("reason").isNotNull()).select(
        "reason",
        source.alias("source"),
        F.unix_millis(F.col("timestamp")).alias("received_time_ms"),
        F.base64(F.substring(F.coalesce(F.col("value"), F.lit(b"")), 1, 512 * 1024)).alias("payload"),
        F.base64(F.substring(F.col("key"), 1, 1024)).alias("key"),
        F.lit(topic_identity).alias("topic_id"),
    )
