"""Retention, export, backfill and reconciliation."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from types import SimpleNamespace

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest
from fsspec.implementations.local import LocalFileSystem
from msgspec.structs import replace

from orderflow.__main__ import main
from orderflow.lake import backfill
from orderflow.lake.backfill import asked_for, store_missing
from orderflow.lake.exchange_candles import ExchangeCandles, ExchangeMinute
from orderflow.lake.export import export
from orderflow.lake.history import History
from orderflow.lake.layout import CANDLES, TICKS, LakeError, Table, arrow_schema
from orderflow.lake.maintenance import LakeFiles
from orderflow.lake.reconciliation import reconcile
from orderflow.lake.repair import backfill_candle, levels_within, without_outages
from orderflow.lake.retention import expired
from orderflow.market.candle import Candle
from orderflow.settings import Settings, load

TCS = "NSE_EQ|INE467B01029"
OPEN_MS = 1_765_770_300_000
SIZES = {"2025-12-12": 100, "2025-12-15": 200, "2025-12-16": 300}


@pytest.mark.parametrize(
    ("keep_days", "keep_bytes", "gone"),
    [
        (None, None, []),
        (2, None, ["2025-12-12"]),
        (0, None, ["2025-12-12", "2025-12-15"]),
        (None, 500, ["2025-12-12"]),
        (None, 1, ["2025-12-12", "2025-12-15"]),
        (2, 300, ["2025-12-12", "2025-12-15"]),
    ],
)
def test_expired_when_limits_are_given_then_names_the_oldest_and_never_the_newest(keep_days, keep_bytes, gone) -> None:
    assert expired(SIZES, "2025-12-16", keep_days, keep_bytes) == gone


@pytest.fixture
def history(tmp_path: Path) -> History:
    directory = tmp_path / TICKS.day("2025-12-15")[1:]
    directory.mkdir(parents=True)
    book = [{"price": 100.0, "quantity": 5}, {"price": None, "quantity": 7}]
    rows = [
        {"instrument_key": TCS, "sequence": 1, "event_time_ms": OPEN_MS, "bid": book, "greeks": {"delta": 0.5}},
        {"instrument_key": TCS, "sequence": 2, "event_time_ms": OPEN_MS + 1, "bid": []},
    ]
    pq.write_table(pa.Table.from_pylist(rows, schema=arrow_schema(TICKS.fields)), directory / "a.parquet")
    return History(LocalFileSystem(), f"{tmp_path}/trading")


def test_export_when_target_is_csv_then_books_become_columns(history, tmp_path) -> None:
    target = tmp_path / "ticks.csv"

    assert export(history, "ticks", [TCS], "2025-12-01", "2025-12-31", target, progress=False) == 2

    table = pa_csv.read_csv(target)
    assert table.column("bid_1_price").to_pylist() == [100.0, None]
    assert table.column("bid_2_quantity").to_pylist() == [7, None]
    assert table.column("greeks_delta").to_pylist() == [0.5, None]
    assert not [path for path in tmp_path.iterdir() if path.name.endswith(".part")]


def test_export_when_target_is_parquet_then_rows_are_unchanged(history, tmp_path) -> None:
    target = tmp_path / "ticks.parquet"

    export(history, "ticks", [TCS], "2025-12-15", "2025-12-15", target, progress=False)

    assert pq.read_table(target).equals(history.ticks(TCS, "2025-12-15"))


def test_export_when_nothing_is_stored_then_says_so_and_leaves_no_file(history, tmp_path) -> None:
    with pytest.raises(LakeError, match="no candles are stored from 2025-12-15"):
        export(history, "candles", [TCS], "2025-12-15", "2025-12-15", tmp_path / "c.csv", progress=False)
    with pytest.raises(LakeError, match="neither"):
        export(history, "ticks", [TCS], "2025-12-15", "2025-12-15", tmp_path / "c.xlsx", progress=False)


def test_export_when_lots_are_asked_for_then_volumes_are_divided_and_prices_are_not(tmp_path, monkeypatch, capsys) -> None:
    """The master has a lot of 75 for the future and none for the share."""
    future = "NSE_FO|53001"
    stored = Candle(
        start_ms=OPEN_MS, end_ms=OPEN_MS + 60_000, instrument=future, open=100.0, high=101.0, low=99.0, close=100.5, vwap=100.25,
        buy_volume=150, sell_volume=75, total_volume=263, unclassified_volume=38, delta=75, tick_count=4,
    )  # fmt: skip
    rows = pa.Table.from_pylist([stored.to_record()], schema=arrow_schema(CANDLES.fields))
    path = tmp_path / "lake/candles/date=2025-12-15/a.parquet"
    path.parent.mkdir(parents=True)
    pq.write_table(rows, path)
    monkeypatch.setattr(History, "connect", lambda _: History(LocalFileSystem(), str(tmp_path / "lake")))
    (tmp_path / "master.json").write_text(json.dumps([{"instrument_key": future, "lot_size": 75}, {"instrument_key": TCS}]))
    monkeypatch.setenv("INSTRUMENT_MASTER", str(tmp_path / "master.json"))
    command = ["export", "candles", str(tmp_path / "c.csv"), "--from", "2025-12-15", "--lots", "--instrument"]

    assert main([*command, future]) == 0

    (table,) = pa_csv.read_csv(tmp_path / "c.csv").to_pylist()
    volumes = [table[f"{name}_volume"] for name in ("buy", "sell", "total", "unclassified")]
    assert volumes == [2.0, 1.0, pytest.approx(263 / 75), pytest.approx(38 / 75)]
    assert (table["delta"], table["close"], table["vwap"], table["tick_count"]) == (1.0, 100.5, 100.25, 4)
    with pytest.raises(LakeError, match=r"no lot size of NSE_EQ\|INE467B01029"):
        main([*command, TCS])
    with pytest.raises(LakeError, match="as the feed sent them"):
        main(["export", "ticks", str(tmp_path / "t.csv"), "--from", "2025-12-15", "--lots", "--instrument", future])


def test_export_when_the_named_instrument_is_not_stored_then_says_what_is_and_leaves_no_file(history, tmp_path) -> None:
    with pytest.raises(
        LakeError, match=r"no ticks of TCS are stored from 2025-12-15 to 2025-12-15; stored are NSE_EQ\|INE467B01029"
    ):
        export(history, "ticks", ["TCS"], "2025-12-15", "2025-12-15", tmp_path / "t.csv", progress=False)

    assert not list(tmp_path.glob("*t.csv*"))


def test_asked_for_when_nothing_is_named_then_takes_what_is_stored_and_the_keys_that_are_configured(history, tmp_path) -> None:
    def settings_of(**environ: str) -> Settings:
        return load(environ, tmp_path / "no.env")

    week = ("2025-12-15", "2025-12-19")
    assert asked_for(history, settings_of(INSTRUMENT="TCS,NSE_EQ|INE009A01021"), *week) == ["NSE_EQ|INE009A01021", TCS]
    assert asked_for(history, settings_of(INSTRUMENT="TCS"), *week) == [TCS]
    with pytest.raises(LakeError, match="name the instruments, --instrument"):
        asked_for(history, settings_of(INSTRUMENT_FILE="some.txt"), "2025-12-17", "2025-12-17")


def test_export_command_when_no_instrument_is_named_then_writes_all_that_are_stored(history, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(History, "connect", lambda _: history)
    monkeypatch.setenv("INSTRUMENT", "TCS")

    assert main(["export", "ticks", str(tmp_path / "t.parquet"), "--from", "2025-12-15"]) == 0

    assert pq.read_table(tmp_path / "t.parquet").num_rows == 2


def test_backfill_when_there_is_a_token_file_then_its_token_is_used(history, tmp_path, monkeypatch, upstox) -> None:
    (tmp_path / "token").write_text("from-file\n")
    monkeypatch.setattr(History, "connect", lambda _: history)
    monkeypatch.setenv("UPSTOX_ACCESS_TOKEN_FILE", str(tmp_path / "token"))
    monkeypatch.setenv("UPSTOX_REST_URL", f"http://127.0.0.1:{upstox.server_address[1]}")

    assert main(["backfill", "--from", "2025-12-15", "--dry-run"]) == 0

    assert upstox.paths[0][1] == "Bearer from-file"


def minute(number: int, close: float = 100.5, volume: int = 10) -> ExchangeMinute:
    return ExchangeMinute(OPEN_MS + 60_000 * number, 100.0, 101.0, 99.0, close, volume)


def test_reconcile_when_minutes_are_missing_surplus_or_differ_then_each_is_found() -> None:
    stored = [backfill_candle(TCS, minute(number)) for number in (0, 1, 3)]

    comparison = reconcile(
        TCS, "2025-12-15", stored, [minute(0), minute(1, close=100.6, volume=11), minute(2), minute(4, volume=0)]
    )

    assert comparison.missing == (minute(2),)
    assert comparison.surplus == (OPEN_MS + 180_000,)
    assert [(difference.field, difference.stored, difference.exchange) for difference in comparison.differences] == [
        ("close", 100.5, 100.6),
        ("volume", 10, 11),
    ]
    assert str(comparison.differences[0]) == f"{TCS} 2025-12-15T09:16 close: stored 100.5, exchange 100.6"
    assert not comparison.equal


def test_reconcile_when_an_auction_traded_after_the_close_then_only_continuous_trading_is_compared() -> None:
    """A stock that closes by auction on 2026-11-26: its own candle is of 15:31, the exchange's minute of 15:30."""
    close_ms = OPEN_MS + 346 * 86_400_000 + 360 * 60_000
    last = [ExchangeMinute(close_ms + 60_000 * number, 100.0, 101.0, 99.0, 100.5, 10) for number in (-2, -1, 15)]
    stored = [backfill_candle(TCS, last[1])]
    auction = replace(stored[0], start_ms=close_ms + 960_000, end_ms=close_ms + 1_020_000, session_phase="closing_auction")

    comparison = reconcile(TCS, "2026-11-26", [*stored, auction], last)

    assert (comparison.missing, comparison.surplus, comparison.differences) == ((last[0],), (), ())
    assert (comparison.stored_volume, comparison.exchange_volume) == (10, 20)


def test_backfill_candle_when_made_then_all_volume_is_unclassified_and_its_source_is_reported() -> None:
    made = backfill_candle(TCS, minute(0)).to_record()

    assert (made["total_volume"], made["unclassified_volume"], made["delta"], made["source"]) == (10, 10, 0, "backfill")
    assert (made["window_start"], made["window_minutes"]) == ("2025-12-15T09:15:00+05:30", 1)


class LocalFiles(LakeFiles):
    """Stores files below a local directory; `meanwhile` is what another process stores at the same time, once."""

    def __init__(self, root: Path, meanwhile: Sequence[Candle] = ()) -> None:
        self.root = root
        self.meanwhile = meanwhile
        self.deleted: list[str] = []

    def add(self, table: Table, date: str, kind: str, content: bytes) -> str:
        name = f"{kind}-{len(self.deleted)}.parquet"
        self.put(f"{table.day(date)}/{name}", pq.read_table(pa.BufferReader(content)))
        if self.meanwhile:
            rows = [candle.to_record() for candle in self.meanwhile]
            self.put(f"{table.day(date)}/other.parquet", pa.Table.from_pylist(rows, schema=arrow_schema(table.fields)))
            self.meanwhile = ()
        return name

    def put(self, path: str, rows: pa.Table) -> None:
        target = self.root / path[1:]
        target.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(rows, target)

    def delete(self, table: Table, date: str, name: str) -> None:
        self.deleted.append(name)
        (self.root / table.day(date)[1:] / name).unlink()


def test_store_missing_when_others_store_a_minute_at_the_same_moment_then_each_is_stored_once(
    history, tmp_path, monkeypatch
) -> None:
    monkeypatch.setattr("time.sleep", lambda _: None)
    candles = [backfill_candle(TCS, minute(number)) for number in range(3)]
    files = LocalFiles(tmp_path, meanwhile=[candles[1]])

    assert store_missing(history, files, "2025-12-15", candles) == 2

    assert files.deleted == ["backfill-0.parquet"]
    starts = history.candles(TCS, "2025-12-15").column("window_start").to_pylist()
    assert starts == [f"2025-12-15T09:{number}:00+05:30" for number in (15, 16, 17)]
    assert store_missing(history, files, "2025-12-15", candles) == 0


def test_without_outages_when_no_minute_has_a_bar_then_only_the_outages_own_change() -> None:
    parts = [(0, 0, False), (1, 3, False), (3, 26, True), (4, 7, False)]
    stored = [
        replace(backfill_candle(TCS, minute(number)), total_volume=volume, gap=gap, source="stream", tick_count=1)
        for number, volume, gap in parts
    ]
    exchange = [minute(number) for number in range(5)]

    assert without_outages(stored, exchange) == []
    stored = [replace(candle, exchange_bar=False) for candle in stored]
    replaced = without_outages([*stored, backfill_candle(TCS, minute(2))], exchange)

    assert [(candle.start_ms, candle.total_volume, candle.exchange_bar) for candle in replaced] == [
        (OPEN_MS + 60_000 * number, 10, True) for number in (1, 3)
    ]


def test_without_outages_when_two_are_far_apart_and_no_minute_has_a_bar_then_sound_minutes_between_stay() -> None:
    parts = [(0, 3, False), (2, 17, True), (3, 4, False), (4, 5, False), (5, 6, False), (7, 20, True), (8, 2, False)]
    stored = [
        replace(backfill_candle(TCS, minute(n)), total_volume=size, gap=gap, source="stream", tick_count=1, exchange_bar=False)
        for n, size, gap in parts
    ]
    filled = [backfill_candle(TCS, minute(n)) for n in (1, 6)]
    replaced = without_outages([*stored, *filled], [minute(n) for n in range(9)])
    assert [(candle.start_ms - OPEN_MS) // 60_000 for candle in replaced] == [0, 2, 5, 7]


def test_backfill_when_the_stream_has_stored_a_later_minute_fills_all_of_the_outage(monkeypatch: pytest.MonkeyPatch) -> None:
    now = datetime.fromtimestamp((OPEN_MS + 20 * 60_000) / 1000, UTC)
    after = replace(backfill_candle(TCS, minute(10)), gap=True, source="stream", tick_count=1)
    exchange = [minute(n) for n in range(19)]

    def filled(stored: list[Candle]) -> list[int]:
        candles: list[Candle] = []
        day = (reconcile(TCS, "2025-12-15", stored, exchange), stored, exchange)
        monkeypatch.setattr(backfill, "_days", lambda *_: iter([day]))
        monkeypatch.setattr(backfill, "store_missing", lambda _, __, ___, missing: candles.extend(missing))
        monkeypatch.setattr("orderflow.lake.outages.replace_outages", lambda *_: 1)
        monkeypatch.setattr(backfill, "datetime", SimpleNamespace(now=lambda _: now))
        backfill.backfill(load({}), [TCS], "2025-12-15", "2025-12-15", dry_run=False, spark=lambda: None)
        return [(candle.start_ms - OPEN_MS) // 60_000 for candle in candles]

    assert filled([]) == [0, 1, 2, 3, 4]  # the others may still come
    assert filled([after]) == list(range(10))


def test_levels_within_when_the_candle_has_less_unclassified_volume_then_the_largest_level_loses_it() -> None:
    candle = replace(backfill_candle(TCS, minute(0)), buy_volume=4, unclassified_volume=6)
    levels = [{"price": price, "buy_volume": buy, "sell_volume": 0, "unclassified_volume": rest}
              for price, buy, rest in ((10_000, 4, 5), (10_005, 0, 90), (10_010, 0, 2))]  # fmt: skip

    assert [(level["price"], level["unclassified_volume"]) for level in levels_within(levels, candle)] == [
        (10_000, 4),
        (10_010, 2),
    ]
    assert levels_within(levels[:1], candle) == levels[:1]


class Upstox(HTTPServer):
    """Answers candle calls; `paths` keeps what was asked."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), UpstoxHandler)
        self.paths: list[tuple[str, str | None]] = []


class UpstoxHandler(BaseHTTPRequestHandler):
    server: Upstox

    def do_GET(self) -> None:
        self.server.paths.append((self.path, self.headers["Authorization"]))
        rows = [["2025-12-15T09:16:00+05:30", 2, 2, 1, 1, 5, 0], ["2025-12-15T09:15:00+05:30", 1, 3, 1, 2, 7, 0]]
        body: dict[str, object] = {"status": "success", "data": {"candles": rows}}
        status = 200
        if "UNKNOWN" in self.path:
            status, body = 400, {"errors": [{"errorCode": "UDAPI100011", "message": "Invalid Instrument key"}]}
        if "BROKEN" in self.path:
            body = {"data": {"candles": [["yesterday"]]}}
        if "TOOMANY" in self.path:
            status = 429
        self.send_response(status)
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())

    def log_message(self, *_: object) -> None:
        return


@pytest.fixture
def upstox() -> Iterator[Upstox]:
    with Upstox() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_exchange_candles_when_period_spans_months_and_today_then_few_calls_and_sorted_minutes(upstox) -> None:
    exchange = ExchangeCandles(f"http://127.0.0.1:{upstox.server_address[1]}", "secret")

    by_date = exchange.minutes(TCS, "2025-11-15", "2025-12-16", today="2025-12-16")

    minutes = [ExchangeMinute(OPEN_MS, 1, 3, 1, 2, 7), ExchangeMinute(OPEN_MS + 60_000, 2, 2, 1, 1, 5)]
    assert by_date == {"2025-12-15": sorted(minutes * 3, key=lambda minute: minute.start_ms)}
    key = "NSE_EQ%7CINE467B01029"
    assert upstox.paths == [
        (f"/v3/historical-candle/{key}/minutes/1/2025-12-12/2025-11-15", "Bearer secret"),
        (f"/v3/historical-candle/{key}/minutes/1/2025-12-15/2025-12-13", "Bearer secret"),
        (f"/v3/historical-candle/intraday/{key}/minutes/1", "Bearer secret"),
    ]


def test_exchange_candles_when_period_is_past_then_today_is_not_asked(upstox) -> None:
    exchange = ExchangeCandles(f"http://127.0.0.1:{upstox.server_address[1]}", None)

    exchange.minutes(TCS, "2025-12-15", "2025-12-15", today="2025-12-16")

    assert [path for path, _ in upstox.paths] == ["/v3/historical-candle/NSE_EQ%7CINE467B01029/minutes/1/2025-12-15/2025-12-15"]


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("UNKNOWN", "refused the candles of UNKNOWN: 400 UDAPI100011 Invalid Instrument key"),
        ("BROKEN", "do not match its documentation"),
        ("TOOMANY", "wait half an hour"),
    ],
)
def test_exchange_candles_when_refused_or_malformed_then_the_error_says_so(upstox, key, said) -> None:
    exchange = ExchangeCandles(f"http://127.0.0.1:{upstox.server_address[1]}", None)

    with pytest.raises(LakeError, match=said):
        exchange.minutes(key, "2025-12-15", "2025-12-15", today="2025-12-16")


@pytest.mark.parametrize("command", ["lake", "export", "backfill", "reconcile", "reprocess"])
def test_command_when_asked_for_help_then_shows_it(command, capsys) -> None:
    with pytest.raises(SystemExit) as ended:
        main([command, "--help"])

    assert ended.value.code == 0
    assert f"python -m orderflow {command}" in capsys.readouterr().out
