"""Queries of stored days, over WebHDFS as a fake serves it and over a local directory."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fake_webhdfs import FakeWebHdfs
from fsspec.implementations.local import LocalFileSystem

from orderflow.lake import catalogue, day_commands
from orderflow.lake.archive import DayArchive
from orderflow.lake.history import History
from orderflow.lake.layout import CANDLES, FOOTPRINT, TICKS, LakeError, Table, arrow_schema
from orderflow.lake.maintenance import LakeFiles
from orderflow.market.candle import Candle
from orderflow.market.times import iso_from_ms
from orderflow.settings import load

TCS, INFY = "NSE_EQ|INE467B01029", "NSE_EQ|INE009A01021"
OPEN_MS = 1_765_770_300_000
DAY, NEXT_DAY = "2025-12-15", "2025-12-16"


AUCTION = ("indicative_price", "indicative_quantity", "indicative_imbalance")


def write(
    root: Path,
    table: Table,
    date: str,
    name: str,
    rows: list[dict[str, object]],
    without: tuple[str, ...] = (),
    **options: object,
) -> None:
    directory = root / table.day(date)[1:]
    directory.mkdir(parents=True, exist_ok=True)
    stored = pa.Table.from_pylist(rows, schema=arrow_schema(table.fields)).drop_columns(list(without))
    pq.write_table(stored, directory / name, **options)


def tick(sequence: int, instrument: str = TCS, **more: object) -> dict[str, object]:
    at_ms = OPEN_MS + 1000 * sequence
    row = {"instrument_key": instrument, "sequence": sequence, "trading_date": DAY, "event_time_ms": at_ms}
    times = {"feed_time_ms": at_ms + 50, "prev_feed_time_ms": at_ms - 950, "ltt_ms": at_ms, "prev_ltt_ms": at_ms - 1000}
    quote = {"prev_bid": 100.0, "prev_ask": 100.1, "ltq": 10, "received_time_ms": at_ms + 60, "vtt": 100 * sequence}
    return row | times | quote | {"session_phase": "continuous", "traded_volume": 100, "ltp": 100.1} | more


def candle(minute: int, instrument: str = TCS, open_ms: int = OPEN_MS, **more: object) -> dict[str, object]:
    start_ms = open_ms + 60_000 * minute
    made = Candle(
        start_ms=start_ms,
        end_ms=start_ms + 60_000,
        instrument=instrument,
        open=100.0 + minute,
        high=101.0 + minute,
        low=99.0 + minute,
        close=100.5 + minute,
        buy_volume=60,
        sell_volume=40,
        total_volume=100,
        delta=20,
    )
    return made.to_record() | more


@pytest.fixture
def hdfs(tmp_path: Path) -> Iterator[FakeWebHdfs]:
    with FakeWebHdfs(tmp_path) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_ticks_when_day_has_several_files_then_come_sorted_and_only_of_the_instrument(tmp_path, hdfs) -> None:
    write(tmp_path, TICKS, DAY, "b.parquet", [tick(1), tick(1, INFY)])
    write(tmp_path, TICKS, DAY, "a.parquet", [tick(3), tick(2)])
    write(tmp_path, TICKS, NEXT_DAY, "a.parquet", [tick(9)])

    history = History.connect(hdfs.url)

    assert history.ticks(TCS, DAY).column("sequence").to_pylist() == [1, 2, 3]
    assert history.ticks(TCS, DAY, NEXT_DAY, columns=["sequence"]).to_pydict() == {"sequence": [1, 2, 3, 9]}
    assert history.dates() == [DAY, NEXT_DAY]
    assert pl.from_arrow(history.ticks(INFY, DAY)).height == 1


def test_ticks_when_a_day_was_stored_before_auctions_had_fields_then_they_are_null(tmp_path, hdfs) -> None:
    write(tmp_path, TICKS, DAY, "older.parquet", [tick(1)], without=AUCTION)
    write(tmp_path, TICKS, DAY, "newer.parquet", [tick(2, indicative_price=99.55, indicative_imbalance=-1_200)])

    ticks = History.connect(hdfs.url).ticks(TCS, DAY, columns=["sequence", *AUCTION])

    assert ticks.to_pylist() == [
        {"sequence": 1, "indicative_price": None, "indicative_quantity": None, "indicative_imbalance": None},
        {"sequence": 2, "indicative_price": 99.55, "indicative_quantity": None, "indicative_imbalance": -1_200},
    ]


def test_ticks_when_row_groups_hold_other_instruments_then_skips_their_bytes(tmp_path, hdfs) -> None:
    keys = [f"NSE_EQ|INE{number:06d}01011" for number in range(50)]
    rows = [tick(sequence, key) for key in keys for sequence in range(200)]
    write(tmp_path, TICKS, DAY, "compact-1-00000.parquet", rows, row_group_size=200, compression="zstd")
    size = next((tmp_path / TICKS.day(DAY)[1:]).iterdir()).stat().st_size

    history = History.connect(hdfs.url)
    ticks = history.ticks(keys[17], DAY)
    fetched = history.bytes_read

    footer = history.metadata([path for path, _ in history.files(TICKS, DAY)])[0].serialized_size
    assert ticks.num_rows == 200
    first_look = 64 << 10
    assert fetched < first_look + footer + (size - footer) // 25


def test_read_when_a_file_is_small_then_takes_one_read_and_no_status(tmp_path, hdfs) -> None:
    write(tmp_path, TICKS, DAY, "a.parquet", [tick(1)])

    History.connect(hdfs.url).ticks(TCS, DAY)

    assert [operation for operation, _ in hdfs.requests] == ["LISTSTATUS", "LISTSTATUS", "OPEN", "DATA"]


def test_read_when_a_datanode_fails_once_then_asks_again(tmp_path, hdfs) -> None:
    write(tmp_path, TICKS, DAY, "a.parquet", [tick(1)])
    hdfs.data_node_failures = 2

    assert History.connect(hdfs.url).ticks(TCS, DAY).num_rows == 1


def test_read_when_no_namenode_answers_then_says_what_to_check() -> None:
    with pytest.raises(LakeError, match="is HDFS running, and is NAMENODE_HTTP_URL correct"):
        History.connect("http://127.0.0.1:9").dates()


def test_read_when_day_is_swapped_meanwhile_then_tries_again(tmp_path) -> None:
    write(tmp_path, TICKS, DAY, "a.parquet", [tick(1)])
    day = tmp_path / TICKS.day(DAY)[1:]
    pauses: list[float] = []
    history = History(LocalFileSystem(), f"{tmp_path}/trading", sleep=pauses.append)
    listed = history.files(TICKS, DAY)
    (day / "a.parquet").rename(day / "compact-1-00000.parquet")
    answers = [listed, history.files(TICKS, DAY)]
    history._files = lambda *_: answers.pop(0)  # type: ignore[method-assign]

    assert history.ticks(TCS, DAY).num_rows == 1
    assert pauses == [0.1]


def test_read_when_a_listed_file_vanishes_from_hdfs_then_tries_again(tmp_path, hdfs) -> None:
    write(tmp_path, TICKS, DAY, "a.parquet", [tick(1)])
    day = tmp_path / TICKS.day(DAY)[1:]
    history = History.connect(hdfs.url)
    history._sleep = lambda _: None
    files = history._files

    def list_then_swap(*arguments: object) -> list[tuple[str, int]]:
        listed = files(*arguments)
        if (day / "a.parquet").exists():
            (day / "a.parquet").rename(day / "compact-1-00000.parquet")
        return listed

    history._files = list_then_swap  # type: ignore[method-assign]

    assert history.ticks(TCS, DAY).num_rows == 1


def test_read_when_a_swap_hides_the_day_then_waits_for_it_and_not_for_days_without_data(tmp_path) -> None:
    write(tmp_path, TICKS, DAY, "a.parquet", [tick(1)])
    write(tmp_path, TICKS, NEXT_DAY, "a.parquet", [tick(2)])
    day, aside = tmp_path / TICKS.day(DAY)[1:], tmp_path / "aside"
    marker = tmp_path / "trading/_staging/swaps/ticks-2025-12-15.json"
    marker.parent.mkdir(parents=True)
    marker.write_text("{}")
    day.rename(aside)
    pauses: list[float] = []

    def end_swap(seconds: float) -> None:
        pauses.append(seconds)
        aside.rename(day)
        marker.unlink()

    history = History(LocalFileSystem(), f"{tmp_path}/trading", sleep=end_swap)

    assert history.ticks(TCS, DAY, "2025-12-19").column("sequence").to_pylist() == [1, 2]
    assert history.ticks(TCS, "2025-12-17", "2025-12-19").num_rows == 0
    assert pauses == [0.1]


@pytest.mark.parametrize("asked", ["ticks", "files", "report"])
def test_read_when_a_swap_hides_a_saturday_then_waits_for_it(tmp_path, asked) -> None:
    saturday = "2025-12-13"
    write(tmp_path, TICKS, saturday, "a.parquet", [tick(1)])
    day, aside = tmp_path / TICKS.day(saturday)[1:], tmp_path / "aside"
    marker = tmp_path / f"trading/_staging/swaps/ticks-{saturday}.json"
    marker.parent.mkdir(parents=True)
    marker.write_text("{}")
    day.rename(aside)

    def end_swap(_: float) -> None:
        aside.rename(day)
        marker.unlink()

    history = History(LocalFileSystem(), f"{tmp_path}/trading", sleep=end_swap)

    if asked == "ticks":
        assert history.ticks(TCS, "2025-12-08", saturday).num_rows == 1
    elif asked == "files":
        assert len(history.files(TICKS, saturday)) == 1
    else:
        assert catalogue.report(history, saturday).rows == 1


def test_trades_when_derived_from_ticks_then_split_by_the_rule_and_skip_what_is_no_trade(tmp_path) -> None:
    ticks = [
        tick(1, bid=[{"price": 100.0, "quantity": 5}], ask=[{"price": 100.1, "quantity": 7}]),
        tick(2, ltp=100.0),
        tick(3, traded_volume=None),
        tick(4, session_phase="post_close"),
        tick(5, gap=True),
    ]
    write(tmp_path, TICKS, DAY, "a.parquet", ticks)

    trades = History(LocalFileSystem(), f"{tmp_path}/trading").trades(TCS, DAY, rule="lee_ready").to_pylist()

    sides = [(row["trade_id"], row["side"], row["buy_volume"], row["sell_volume"], row["unclassified_volume"]) for row in trades]
    assert sides == [
        (f"{TCS}:{DAY}:100", "buy", 100, 0, 0),
        (f"{TCS}:{DAY}:200", "sell", 0, 100, 0),
        (f"{TCS}:{DAY}:500", "unclassified", 0, 0, 100),
    ]
    assert (trades[0]["bid"], trades[0]["ask"], trades[0]["price"]) == (100.0, 100.1, 100.1)


def test_candles_when_n_is_five_over_two_days_then_rolls_up_from_each_open(tmp_path) -> None:
    write(tmp_path, CANDLES, DAY, "a.parquet", [candle(minute) for minute in (0, 1, 4, 5)] + [candle(0, INFY)])
    write(tmp_path, CANDLES, DAY, "b.parquet", [candle(0, window_minutes=5)])
    write(tmp_path, CANDLES, NEXT_DAY, "a.parquet", [candle(0, open_ms=OPEN_MS + 86_400_000)])

    candles = History(LocalFileSystem(), f"{tmp_path}/trading").candles(TCS, DAY, NEXT_DAY, n=5).to_pylist()

    shown = [(row["window_start"], row["open"], row["close"], row["total_volume"], row["window_minutes"]) for row in candles]
    assert shown == [
        (f"{DAY}T09:15:00+05:30", 100.0, 104.5, 300, 5),
        (f"{DAY}T09:20:00+05:30", 105.0, 105.5, 100, 5),
        (f"{NEXT_DAY}T09:15:00+05:30", 100.0, 100.5, 100, 5),
    ]


def test_candles_when_a_day_has_two_sessions_and_trades_after_them_then_each_has_its_own_windows(tmp_path) -> None:
    """2024-03-02, a Saturday: 09:15-10:00 and 11:30-12:30."""
    open_ms = OPEN_MS - 653 * 86_400_000
    minutes = [candle(minute, open_ms=open_ms) for minute in (0, 44, 135, 194)]
    after = candle(210, open_ms=open_ms, session_phase="post_close")
    write(tmp_path, CANDLES, "2024-03-02", "a.parquet", [*minutes, after])

    candles = History(LocalFileSystem(), f"{tmp_path}/trading").candles(TCS, "2024-03-02", n=60).to_pylist()

    shown = [(row["window_start"][11:16], row["window_end"][11:16], row["total_volume"], row["session_phase"]) for row in candles]
    assert shown == [
        ("09:15", "10:00", 200, "continuous"),
        ("11:30", "12:30", 200, "continuous"),
        ("12:45", "12:46", 100, "post_close"),
    ]


def test_profile_when_minutes_share_prices_then_adds_them_up(tmp_path) -> None:
    def level(minute: int, price: int, buy: int, sell: int, unclassified: int) -> dict[str, object]:
        edges = {
            "window_start": iso_from_ms(OPEN_MS + 60_000 * minute),
            "window_end": iso_from_ms(OPEN_MS + 60_000 * (minute + 1)),
        }
        volumes = {"buy_volume": buy, "sell_volume": sell, "unclassified_volume": unclassified}
        return edges | {"instrument": TCS, "price": price} | volumes

    write(tmp_path, FOOTPRINT, DAY, "a.parquet", [level(0, 10010, 5, 1, 0), level(0, 10000, 2, 3, 1), level(1, 10010, 4, 0, 2)])

    profile = History(LocalFileSystem(), f"{tmp_path}/trading").profile(TCS, DAY).to_pydict()

    assert profile == {
        "price": [10000, 10010],
        "buy_volume": [2, 9],
        "sell_volume": [3, 1],
        "unclassified_volume": [1, 2],
        "total_volume": [6, 12],
        "price_unit": [100, 100],
    }


def test_footprint_when_a_day_was_stored_before_price_unit_then_it_reads_as_paise_beside_newer_days(tmp_path) -> None:
    def level(date: str, price: int, **more: int) -> dict[str, object]:
        edges = {"window_start": f"{date}T09:15:00+05:30", "window_end": f"{date}T09:16:00+05:30", "instrument": "NCD_FO|14366"}
        return edges | {"price": price, "buy_volume": 4, "sell_volume": 3, "unclassified_volume": 0} | more

    newer = [level(NEXT_DAY, 904_275, price_unit=10_000), level(NEXT_DAY, 904_300, price_unit=10_000)]
    write(tmp_path, FOOTPRINT, NEXT_DAY, "a.parquet", newer)
    directory = tmp_path / FOOTPRINT.day(DAY)[1:]
    directory.mkdir(parents=True)
    pq.write_table(pa.Table.from_pylist([level(DAY, 9_043)]), directory / "a.parquet")
    history = History(LocalFileSystem(), f"{tmp_path}/trading")

    assert "price_unit" not in pq.read_schema(directory / "a.parquet").names
    assert history.footprint("NCD_FO|14366", DAY).to_pylist() == [level(DAY, 9_043, price_unit=100)]
    assert history.profile("NCD_FO|14366", DAY).select(["price", "price_unit"]).to_pylist() == [
        {"price": 9_043, "price_unit": 100}
    ]
    assert history.profile("NCD_FO|14366", DAY, NEXT_DAY).to_pydict() == {
        "price": [904_275, 904_300],
        "buy_volume": [4, 8],
        "sell_volume": [3, 6],
        "unclassified_volume": [0, 0],
        "total_volume": [7, 14],
        "price_unit": [10_000, 10_000],
    }
    assert history.profile(TCS, DAY, NEXT_DAY).num_rows == 0


def test_day_archive_when_asked_for_a_day_then_gives_domain_values(tmp_path) -> None:
    write(tmp_path, CANDLES, DAY, "a.parquet", [candle(1), candle(0)])
    write(tmp_path, TICKS, NEXT_DAY, "a.parquet", [tick(1)])
    archive = DayArchive(History(LocalFileSystem(), f"{tmp_path}/trading"), "split")

    assert archive.dates() == [DAY, NEXT_DAY]
    assert [made.start_ms for made in archive.candles(TCS, DAY, 1)] == [OPEN_MS, OPEN_MS + 60_000]
    assert [trade.volume for trade in archive.trades(TCS, NEXT_DAY)] == [100]
    assert archive.footprint(TCS, DAY) == []


def test_day_archive_when_asked_for_the_close_before_a_day_then_takes_the_feeds_or_the_last_stored(tmp_path) -> None:
    write(tmp_path, CANDLES, DAY, "a.parquet", [candle(1, close=101.5), candle(0, close=100.0)])
    write(tmp_path, TICKS, DAY, "a.parquet", [tick(1), tick(2, close_price=99.5), tick(3, close_price=98.5)])
    write(tmp_path, TICKS, NEXT_DAY, "a.parquet", [tick(1)])
    archive = DayArchive(History(LocalFileSystem(), f"{tmp_path}/trading"), "split")

    assert archive.previous_close(TCS, DAY) == 99.5
    assert archive.previous_close(TCS, NEXT_DAY) == 101.5
    assert archive.previous_close(INFY, NEXT_DAY) is None


def test_catalogue_when_a_day_misses_an_update_then_its_line_and_verify_say_so(tmp_path, hdfs, capsys, monkeypatch) -> None:
    monkeypatch.setattr(catalogue, "PORTION_ROWS", 2)
    write(tmp_path, TICKS, DAY, "a.parquet", [tick(1), tick(2), tick(1, INFY), tick(2, INFY)])
    whole = {"buy_volume": 120, "sell_volume": 80, "total_volume": 200, "delta": 40, "tick_volume": 200}
    write(tmp_path, CANDLES, DAY, "a.parquet", [candle(0, **whole), candle(0, INFY, **whole)])
    write(tmp_path, FOOTPRINT, DAY, "a.parquet", [level(TCS, 120, 80), level(INFY, 120, 80)])
    write(tmp_path, TICKS, NEXT_DAY, "a.parquet", [tick(1), tick(3)])
    settings = load({"NAMENODE_HTTP_URL": hdfs.url}, env_file=tmp_path / "none")

    monkeypatch.setattr(LakeFiles, "write_text", lambda _, name, text: (tmp_path / "trading" / name).write_text(text))

    assert day_commands.catalogue(settings) == 0
    _, unknown, *_ = capsys.readouterr().out.splitlines()
    assert unknown.split()[:8] == [DAY, "-", "4", "09:15:01", "09:15:02", "-", "2", "3"]
    assert unknown.endswith(f"not verified: lake verify --date {DAY}")

    assert (day_commands.verify(settings, DAY), day_commands.verify(settings, NEXT_DAY)) == (0, 1)
    shown = capsys.readouterr().out.splitlines()
    assert shown[2].split() == [TCS, "2", "0", "0", "200", "0", "0", "0", "0", "0", "0"]
    assert shown[5].split() == [TCS, "2", "1", "0", "200", "100", "0", "0", "1", "0", "0"]
    assert shown[6] == f"{NEXT_DAY}: 2 ticks and 0 candles, NOT SOUND"

    hdfs.requests.clear()
    assert day_commands.catalogue(settings) == 1
    _, sound, broken, replicas = capsys.readouterr().out.splitlines()
    assert sound.split()[:8] == [DAY, "2", "4", "09:15:01", "09:15:02", "0", "2", "3"]
    assert sound.endswith("sound")
    assert broken.endswith(f"NOT SOUND: lake verify --date {NEXT_DAY}")
    assert replicas == "2 dates; 2 DataNodes live, 3 blocks with too few replicas, 0 missing, 0 corrupt, 5.0 GB free"
    assert [path for operation, path in hdfs.requests if operation == "LISTSTATUS"] == [
        f"/trading/{table}" for table in ("ticks", "candles", "footprint")
    ]
    assert {path for operation, path in hdfs.requests if operation == "DATA"} == {"/trading/_catalogue.json"}

    write(tmp_path, TICKS, NEXT_DAY, "b.parquet", [tick(2)])
    assert day_commands.catalogue(settings) == 0
    assert capsys.readouterr().out.splitlines()[2].split()[:3] == [NEXT_DAY, "-", "3"]


def test_catalogue_when_it_is_unreadable_or_may_not_be_written_then_the_footers_are_read(tmp_path, hdfs, capsys, caplog) -> None:
    write(tmp_path, TICKS, DAY, "a.parquet", [tick(1), tick(2)])
    (tmp_path / "trading" / "_catalogue.json").write_text('{"days": [{"date": 1')

    assert day_commands.catalogue(load({"NAMENODE_HTTP_URL": hdfs.url}, env_file=tmp_path / "none")) == 0

    assert capsys.readouterr().out.splitlines()[1].split()[:3] == [DAY, "-", "2"]
    assert "the next listing reads the same footers again" in caplog.text


def level(instrument: str, buy: int, sell: int) -> dict[str, object]:
    window = {"window_start": "2025-12-15T09:15:00+05:30", "window_end": "2025-12-15T09:16:00+05:30"}
    sides = {"buy_volume": buy, "sell_volume": sell, "unclassified_volume": 0}
    return {"instrument": instrument, "price": 10_000} | window | sides


def test_verify_when_the_ticks_are_sound_and_a_candle_is_missing_then_says_what_to_run(tmp_path, hdfs, capsys) -> None:
    write(tmp_path, TICKS, DAY, "a.parquet", [tick(1), tick(2)])
    settings = load({"NAMENODE_HTTP_URL": hdfs.url}, env_file=tmp_path / "none")

    assert day_commands.verify(settings, DAY) == 1

    assert capsys.readouterr().out.splitlines()[2:] == [
        f"candles do not add up to the traded volume: python -m orderflow reprocess --date {DAY}",
        f"{DAY}: 2 ticks and 0 candles, NOT SOUND",
    ]


def test_report_when_a_minute_is_young_then_its_candle_is_not_missed_yet(tmp_path) -> None:
    write(tmp_path, TICKS, DAY, "a.parquet", [tick(1), tick(2)])
    history = History(LocalFileSystem(), f"{tmp_path}/trading")

    assert catalogue.report(history, DAY, now_ms=OPEN_MS + 16 * 60_000 - 1).sound
    assert not catalogue.report(history, DAY, now_ms=OPEN_MS + 16 * 60_000).sound


def test_report_when_candles_have_no_tick_then_only_backfilled_ones_are_sound(tmp_path) -> None:
    write(tmp_path, TICKS, DAY, "a.parquet", [tick(1, traded_volume=None)])
    sides = {"buy_volume": 0, "sell_volume": 0, "delta": 0, "unclassified_volume": 100}
    write(tmp_path, CANDLES, DAY, "a.parquet", [candle(0, INFY, source="backfill", **sides)])
    history = History(LocalFileSystem(), f"{tmp_path}/trading")
    assert catalogue.report(history, DAY).sound

    write(tmp_path, CANDLES, DAY, "b.parquet", [candle(1, INFY, **sides)])
    assert f"{INFY}: candles without any tick" in catalogue.report(history, DAY).faults


@pytest.mark.parametrize(("first", "last"), [("15-12-2025", None), ("2025-12-15", "2025-13-01"), ("2025-12-16", "2025-12-15")])
def test_period_when_it_is_none_then_says_so(tmp_path, first, last) -> None:
    with pytest.raises(LakeError, match=r"date|period"):
        History(LocalFileSystem(), f"{tmp_path}/trading").ticks(TCS, first, last)
