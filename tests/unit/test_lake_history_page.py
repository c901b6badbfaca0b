"""The code of docs/HISTORY.md runs as it stands, against a small lake served over WebHDFS."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fake_webhdfs import FakeWebHdfs

from orderflow.lake.layout import CANDLES, FOOTPRINT, TICKS, Table, arrow_schema
from orderflow.market.candle import Candle
from orderflow.market.times import iso_from_ms

PAGE = Path(__file__).resolve().parents[2] / "docs" / "HISTORY.md"
TCS = "NSE_EQ|INE467B01029"
OPEN_MS = {"2025-12-15": 1_765_770_300_000, "2025-12-16": 1_765_856_700_000}


def ticks(date: str) -> list[dict[str, object]]:
    return [
        {
            "instrument_key": TCS,
            "sequence": number,
            "trading_date": date,
            "session_phase": "continuous",
            "event_time_ms": OPEN_MS[date] + 1000 * number,
            "received_time_ms": OPEN_MS[date] + 1000 * number,
            "vtt": 100 * number,
            "traded_volume": 100,
            "ltp": 100.0 + number % 2,
            "prev_bid": 100.0,
            "prev_ask": 101.0,
        }
        for number in range(1, 11)
    ]


def candle(date: str, minute: int) -> dict[str, object]:
    start_ms = OPEN_MS[date] + 60_000 * minute
    made = Candle(
        start_ms=start_ms, end_ms=start_ms + 60_000, instrument=TCS, open=100.0, high=102.0, low=99.0, close=101.0,
        buy_volume=30, sell_volume=20, total_volume=50, delta=10,
    )  # fmt: skip
    return made.to_record()


def level(date: str, price: int) -> dict[str, object]:
    edges = {"window_start": iso_from_ms(OPEN_MS[date]), "window_end": iso_from_ms(OPEN_MS[date] + 60_000)}
    return edges | {"instrument": TCS, "price": price, "buy_volume": 3, "sell_volume": 2, "unclassified_volume": 0}


@pytest.fixture
def hdfs(tmp_path: Path) -> Iterator[FakeWebHdfs]:
    def write(table: Table, date: str, rows: list[dict[str, object]]) -> None:
        directory = tmp_path / table.day(date)[1:]
        directory.mkdir(parents=True)
        pq.write_table(pa.Table.from_pylist(rows, schema=arrow_schema(table.fields)), directory / "compact-1-00000.parquet")

    for date in OPEN_MS:
        write(TICKS, date, ticks(date))
        write(CANDLES, date, [candle(date, minute) for minute in range(20)])
        write(FOOTPRINT, date, [level(date, price) for price in (10000, 10005, 10010)])
    with FakeWebHdfs(tmp_path) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_page_when_its_code_runs_then_every_answer_is_the_stored_one(hdfs, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    code = "\n".join(blocks).replace("http://localhost:50070", hdfs.url)
    names: dict[str, object] = {}

    exec(compile(code, str(PAGE), "exec"), names)

    assert len(blocks) == 5
    rows = {name: names[name].num_rows for name in ("ticks", "some", "trades", "minutes", "quarters", "levels", "profile")}
    assert rows == {"ticks": 10, "some": 10, "trades": 10, "minutes": 40, "quarters": 4, "levels": 3, "profile": 3}
    assert names["frame"]["cvd"].iloc[-1] == 400
    assert names["by_side"].sort("side").rows() == [("buy", 500), ("sell", 500)]
    assert names["busiest"].rows() == [(TCS, 1000)]
    assert (tmp_path / "profile.html").stat().st_size > 1000
