"""Implements `backfill` and `reconcile`: compares stored candles with the exchange's from Upstox, and fills missing minutes."""

from __future__ import annotations

import io
import random
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from orderflow.lake.catalogue import SETTLED_MS, stored_instruments
from orderflow.lake.exchange_candles import ExchangeCandles, ExchangeMinute
from orderflow.lake.history import History, check_period
from orderflow.lake.layout import CANDLES, LakeError, arrow_schema
from orderflow.lake.maintenance import LakeFiles
from orderflow.lake.reconciliation import Reconciliation, reconcile
from orderflow.lake.repair import backfill_candle, without_outages
from orderflow.market.candle import Candle
from orderflow.market.day_so_far import COMPLETE_MS, WITHOUT_TICKS
from orderflow.market.times import IST, iso_from_ms
from orderflow.settings import Settings

ATTEMPTS: Final = 5


def backfill(
    settings: Settings,
    instruments: Sequence[str] | None,
    first: str,
    last: str,
    *,
    dry_run: bool,
    spark: Callable[[], Any],
) -> int:
    """Store a candle with source `backfill` for every minute the exchange has and the lake has not.

    Minutes that ended less than a quarter of an hour ago are left to the stream, unless it has already stored a later
    one. If the candle after an outage holds the volume of filled minutes, it and its neighbours get the exchange's
    prices and volume; only this step calls `spark`.
    """
    now = datetime.now(UTC)
    history, files = History.connect(settings.hdfs), LakeFiles(settings.hdfs)
    now_ms = int(now.timestamp() * 1000)
    missing: dict[str, list[Candle]] = {}
    doubled: dict[str, dict[str, list[ExchangeMinute]]] = {}
    for comparison, stored, exchange in _days(settings, instruments, first, last, now):
        streamed_ms = max((candle.start_ms for candle in stored if candle.source not in WITHOUT_TICKS), default=0)
        holes = [minute for minute in comparison.missing if minute.start_ms < max(now_ms - SETTLED_MS, streamed_ms)]
        print(f"{comparison.date} {comparison.instrument}: {len(holes)} of {comparison.minutes} minutes missing")
        filling = [backfill_candle(comparison.instrument, minute) for minute in holes]
        missing.setdefault(comparison.date, []).extend(filling)
        ended = [minute for minute in exchange if minute.start_ms < now_ms - COMPLETE_MS]
        replaced = without_outages([*stored, *filling], ended)
        if replaced:
            doubled.setdefault(comparison.date, {})[comparison.instrument] = ended
            print(f"{comparison.date} {comparison.instrument}: {len(replaced)} candles around outages replaced by the exchange's")
    for date, candles in missing.items() if not dry_run else ():
        stored_rows = store_missing(history, files, date, candles)
        if stored_rows:
            print(f"{date}: {stored_rows} candles stored in {CANDLES.day(date)}")
    for date, by_instrument in doubled.items() if not dry_run else ():
        from orderflow.lake.outages import replace_outages

        print(f"{date}: {replace_outages(spark(), settings.namenode_url, date, by_instrument)} candles replaced")
    return 0


def store_missing(history: History, files: LakeFiles, date: str, candles: Sequence[Candle]) -> int:
    """Store those minute candles that the date lacks, and return their number.

    Raises LakeError if another process keeps storing the same minutes.
    """
    for attempt in range(1, ATTEMPTS + 1):
        known = _stored_minutes(history, date)
        fresh = [candle for candle in candles if (candle.instrument, iso_from_ms(candle.start_ms)) not in known]
        if not fresh:
            return 0
        name = files.add(CANDLES, date, "backfill", _parquet(fresh))
        known = _stored_minutes(history, date, without=name)
        if not any((candle.instrument, iso_from_ms(candle.start_ms)) in known for candle in fresh):
            return len(fresh)
        files.delete(CANDLES, date, name)
        time.sleep(random.uniform(0.0, attempt))
    raise LakeError(f"{CANDLES.day(date)}: another process keeps storing the same minutes; is another backfill running?")


def report_differences(settings: Settings, instruments: Sequence[str] | None, first: str, last: str, *, limit: int) -> int:
    """Print how stored candles differ from the exchange's; 1 when they do."""
    equal = True
    for comparison, _, _ in _days(settings, instruments, first, last, datetime.now(UTC)):
        equal &= comparison.equal
        print(
            f"{comparison.date} {comparison.instrument}: {comparison.minutes} minutes, {len(comparison.missing)} missing, "
            f"{len(comparison.surplus)} only stored, {len(comparison.differences)} fields differ; volume "
            f"{comparison.stored_volume} stored, {comparison.exchange_volume} at the exchange"
        )
        for difference in comparison.differences[:limit]:
            print(f"  {difference}")
    return 0 if equal else 1


def asked_for(history: History, settings: Settings, first: str, last: str) -> list[str]:
    """Return the default keys: those stored in the period, and the keys in INSTRUMENT.

    INSTRUMENT may also hold symbols, which only the streamer resolves; with INSTRUMENT_FILE it is not used. Raises LakeError
    if there are no keys.
    """
    configured = settings.instruments if settings.instrument_file is None else ()
    keys = {*stored_instruments(history, first, last), *(name for name in configured if "|" in name)}
    if not keys:
        raise LakeError(f"nothing is stored from {first} to {last}: name the instruments, --instrument 'NSE_EQ|INE467B01029'")
    return sorted(keys)


def _days(
    settings: Settings, instruments: Sequence[str] | None, first: str, last: str, now: datetime
) -> Iterator[tuple[Reconciliation, list[Candle], list[ExchangeMinute]]]:
    """Yield the comparison of each instrument and date, with its stored candles and the exchange's minutes."""
    check_period(first, last)
    history = History.connect(settings.hdfs)
    exchange = ExchangeCandles(settings.rest_url, settings.access_token, settings.ca_file)
    today = now.astimezone(IST).date().isoformat()
    for instrument in instruments or asked_for(history, settings, first, last):
        by_date = exchange.minutes(instrument, first, last, today)
        stored: dict[str, list[Candle]] = {}
        for row in history.candles(instrument, first, last).to_pylist():
            stored.setdefault(row["window_start"][:10], []).append(Candle.from_record(row))
        for date in sorted({*by_date, *stored}):
            candles, minutes = stored.get(date, []), by_date.get(date, [])
            yield reconcile(instrument, date, candles, minutes), candles, minutes


def _stored_minutes(history: History, date: str, *, without: str | None = None) -> set[tuple[str, str]]:
    """Return (instrument, window start) of a date's stored minute candles, but for those of the file `without`."""
    rows = history.table(
        CANDLES, date, columns=["instrument", "window_start"], condition=pc.field("window_minutes") == 1, without=without
    )
    return set(zip(rows.column("instrument").to_pylist(), rows.column("window_start").to_pylist(), strict=True))


def _parquet(candles: Sequence[Candle]) -> bytes:
    rows = sorted((candle.to_record() for candle in candles), key=lambda row: (row["instrument"], row["window_start"]))
    file = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows, schema=arrow_schema(CANDLES.fields)), file, compression="zstd")
    return file.getvalue()
