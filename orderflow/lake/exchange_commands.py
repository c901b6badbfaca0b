"""What `backfill` and `reconcile` do: hold stored candles against Upstox's own, and fill the holes."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

import pyarrow as pa
import pyarrow.parquet as pq

from orderflow.lake.catalogue import SETTLED_MS, stored_instruments
from orderflow.lake.exchange_candles import ExchangeCandles, backfill_candle
from orderflow.lake.history import History, check_period
from orderflow.lake.layout import CANDLES, LakeError, arrow_schema
from orderflow.lake.maintenance import LakeFiles
from orderflow.lake.reconciliation import Reconciliation, reconcile
from orderflow.market.candle import IST, Candle
from orderflow.settings import Settings


def backfill(settings: Settings, instruments: Sequence[str] | None, first: str, last: str, *, dry_run: bool) -> int:
    """Store a candle with source `backfill` for every minute the exchange has and the lake has not.

    Minutes that ended less than a quarter of an hour ago are left to the stream.
    """
    now = datetime.now(UTC)
    files = LakeFiles(settings.namenode_http_url)
    latest_ms = int(now.timestamp() * 1000) - SETTLED_MS
    missing: dict[str, list[Candle]] = {}
    for found in _reconciled(settings, instruments, first, last, now):
        holes = [minute for minute in found.missing if minute.start_ms < latest_ms]
        print(f"{found.date} {found.instrument}: {len(holes)} of {found.minutes} minutes missing")
        missing.setdefault(found.date, []).extend(backfill_candle(found.instrument, minute) for minute in holes)
    for date, candles in missing.items():
        if candles and not dry_run:
            name = files.add(CANDLES, date, "backfill", _parquet(candles))
            print(f"{date}: {len(candles)} candles stored in {CANDLES.day(date)}/{name}")
    return 0


def report_differences(settings: Settings, instruments: Sequence[str] | None, first: str, last: str, *, limit: int) -> int:
    """Print how stored candles differ from the exchange's; 1 when they do."""
    equal = True
    for found in _reconciled(settings, instruments, first, last, datetime.now(UTC)):
        equal &= found.equal
        print(
            f"{found.date} {found.instrument}: {found.minutes} minutes, {len(found.missing)} missing, {len(found.surplus)} "
            f"only stored, {len(found.differences)} fields differ; volume {found.stored_volume} stored, "
            f"{found.exchange_volume} at the exchange"
        )
        for difference in found.differences[:limit]:
            print(f"  {difference}")
    return 0 if equal else 1


def asked_for(history: History, settings: Settings, first: str, last: str) -> list[str]:
    """Return the keys to look at when none is named: those stored in the period, and the keys among INSTRUMENT.

    INSTRUMENT may hold symbols too, which only the streamer resolves, and INSTRUMENT_FILE takes its place. Raises LakeError
    when this leaves nothing.
    """
    configured = settings.instruments if settings.instrument_file is None else ()
    keys = {*stored_instruments(history, first, last), *(name for name in configured if "|" in name)}
    if not keys:
        raise LakeError(f"nothing is stored from {first} to {last}: name what is missed, --instrument 'NSE_EQ|INE467B01029'")
    return sorted(keys)


def _reconciled(
    settings: Settings, instruments: Sequence[str] | None, first: str, last: str, now: datetime
) -> Iterator[Reconciliation]:
    check_period(first, last)
    history = History.connect(settings.namenode_http_url)
    exchange = ExchangeCandles(settings.rest_url, settings.access_token, settings.ca_file)
    today = now.astimezone(IST).date().isoformat()
    for instrument in instruments or asked_for(history, settings, first, last):
        by_date = exchange.minutes(instrument, first, last, today)
        stored: dict[str, list[Candle]] = {}
        for row in history.candles(instrument, first, last).to_pylist():
            stored.setdefault(row["window_start"][:10], []).append(Candle.from_record(row))
        for date in sorted({*by_date, *stored}):
            yield reconcile(instrument, date, stored.get(date, []), by_date.get(date, []))


def _parquet(candles: Sequence[Candle]) -> bytes:
    rows = sorted((candle.to_record() for candle in candles), key=lambda row: (row["instrument"], row["window_start"]))
    file = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows, schema=arrow_schema(CANDLES.fields)), file, compression="zstd")
    return file.getvalue()
