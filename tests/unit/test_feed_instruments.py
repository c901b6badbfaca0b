"""Instruments by key, symbol or name; the watch list; what is said when they cannot be resolved."""

from __future__ import annotations

import gzip
import json
import os
import threading
import time
from collections.abc import Iterator
from datetime import date, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from orderflow.market.errors import SettingsError
from orderflow.market.times import IST
from orderflow.upstox.calendar import equity_calendar
from orderflow.upstox.instruments import InstrumentMaster, load_master
from orderflow.upstox.lookup import watch_list
from orderflow.upstox.replaced import Meant
from orderflow.upstox.resolution import resolve_apart, selected

ROWS = [
    {"instrument_key": "BSE_EQ|INE000T01001", "trading_symbol": "TCS", "name": "TATA CONSULTANCY"},
    {"instrument_key": "NSE_EQ|INE000T01001", "trading_symbol": "TCS", "name": "TATA CONSULTANCY"},
    {"instrument_key": "NSE_EQ|INE000I01001", "trading_symbol": "INFY", "name": "INFOSYS"},
    {"instrument_key": "NSE_INDEX|Nifty 50", "trading_symbol": "NIFTY", "name": "Nifty 50"},
    {
        "instrument_key": "NSE_FO|51414",
        "trading_symbol": "TCS FUT 29 JAN 26",
        "name": "TCS",
        "underlying_key": "NSE_EQ|INE000T01001",
    },
    {"odd": "row"},
]
NOON = int(datetime(2025, 12, 15, 12, 0, tzinfo=IST).timestamp() * 1000)


def contract(key: str, symbol: str, name: str, kind: str, day: tuple[int, int, int]) -> dict[str, Any]:
    expiry = int(datetime(*day, 23, 59, 59, tzinfo=IST).timestamp() * 1000)
    return {"instrument_key": key, "trading_symbol": symbol, "name": name, "instrument_type": kind, "expiry": expiry}


CONTRACTS = [
    contract("MCX_FO|100", "CRUDEOIL 5000 CE 16 DEC 25", "CRUDEOIL", "CE", (2025, 12, 16)),
    contract("MCX_FO|300", "CRUDEOIL FUT 19 JAN 26", "CRUDEOIL", "FUT", (2026, 1, 19)),
    contract("MCX_FO|200", "CRUDEOIL FUT 18 DEC 25", "CRUDEOIL", "FUT", (2025, 12, 18)),
    contract("MCX_FO|050", "CRUDEOIL FUT 19 NOV 25", "CRUDEOIL", "FUT", (2025, 11, 19)),
    contract("BCD_FO|10", "USDINR FUT 26 DEC 25", "USDINR", "FUT", (2025, 12, 26)),
    contract("NCD_FO|20", "USDINR FUT 29 DEC 25", "USDINR", "FUT", (2025, 12, 29)),
]


def full(*names: str) -> dict[str, str]:
    return dict.fromkeys(names, "full")


class MasterServer(HTTPServer):
    """Serve `rows` as the master at an address that is not the loopback name, and count the requests."""

    def __init__(self) -> None:
        self.rows: list[dict[str, str]] = ROWS
        self.asked = 0
        super().__init__(("127.0.0.2", 0), _Answer)
        self.url = f"http://127.0.0.2:{self.server_port}/complete.json"


class _Answer(BaseHTTPRequestHandler):
    server: MasterServer

    def do_GET(self) -> None:
        body = json.dumps(self.server.rows).encode()
        self.server.asked += 1
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_arguments: object) -> None:
        """Say nothing."""


@pytest.fixture
def far() -> Iterator[MasterServer]:
    with MasterServer() as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture
def master() -> InstrumentMaster:
    return InstrumentMaster.from_rows(ROWS)


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("NSE_FO|51414", "NSE_FO|51414"),
        ("TCS", "NSE_EQ|INE000T01001"),
        ("tcs", "NSE_EQ|INE000T01001"),
        ("NIFTY 50", "NSE_INDEX|Nifty 50"),
        ("NIFTY", "NSE_INDEX|Nifty 50"),
        ("INE000I01001", "NSE_EQ|INE000I01001"),
        ("infosys", "NSE_EQ|INE000I01001"),
    ],
)
def test_name_when_in_the_master_then_the_key_with_cash_equity_first(master: InstrumentMaster, name: str, key: str) -> None:
    assert master.resolve(name, NOON) == key


@pytest.mark.parametrize("name", ["CRUDEOIL", "crudeoil"])
def test_name_when_it_is_an_underlying_with_contracts_only_then_the_choices_are_listed(name: str) -> None:
    with pytest.raises(SettingsError) as caught:
        InstrumentMaster.from_rows(ROWS + CONTRACTS).resolve(name, NOON)
    text = str(caught.value)
    assert f"write {name} FUT for the nearest future, now CRUDEOIL FUT 18 DEC 25" in text
    assert "CRUDEOIL FUT 19 JAN 26 (MCX_FO|300)" in text
    assert "CRUDEOIL 5000 CE 16 DEC 25 (MCX_FO|100)" in text
    assert "19 NOV 25" not in text


@pytest.mark.parametrize(
    ("name", "day", "key"),
    [
        ("CRUDEOIL FUT", (2025, 12, 15), "MCX_FO|200"),
        ("crudeoil fut", (2025, 12, 18), "MCX_FO|200"),
        ("CRUDEOIL FUT", (2025, 12, 19), "MCX_FO|300"),
        ("USDINR FUT", (2025, 12, 15), "NCD_FO|20"),
        ("CRUDEOIL FUT 19 JAN 26", (2025, 12, 15), "MCX_FO|300"),
    ],
)
def test_name_when_it_asks_for_the_nearest_future_then_that_rolls_over_after_the_expiry(
    name: str, day: tuple[int, int, int], key: str
) -> None:
    at_ms = int(datetime(*day, 23, 0, tzinfo=IST).timestamp() * 1000)
    selection = selected(full(name), InstrumentMaster.from_rows(ROWS + CONTRACTS), at_ms)
    assert selection.keys == (key,)
    assert selection.rolling == ({name: key} if name.casefold().endswith(" fut") else {})


def test_names_when_some_are_expired_or_unknown_then_skipped_with_the_cause_and_the_others_stream() -> None:
    master = InstrumentMaster.from_rows(ROWS + CONTRACTS)
    selection = selected(full("MCX_FO|050", "TCS", "CRUDEOIL FUT 19 NOV 25", "NSE_FO|77777", "CRUDEOIL"), master, NOON)
    assert selection.keys == ("NSE_EQ|INE000T01001",)
    assert list(selection.skipped) == ["MCX_FO|050", "CRUDEOIL FUT 19 NOV 25", "NSE_FO|77777", "CRUDEOIL"]
    assert selection.skipped["MCX_FO|050"] == "CRUDEOIL FUT 19 NOV 25 (MCX_FO|050) expired on 2025-11-19"
    assert "is not in the instrument master" in selection.skipped["NSE_FO|77777"]
    assert "is an underlying" in selection.skipped["CRUDEOIL"]


def test_names_when_none_is_left_then_one_error_with_the_nearest_matches(master: InstrumentMaster) -> None:
    with pytest.raises(SettingsError) as caught:
        selected(full("INFI", "NSE_EQ|INE000T01009", "zzzzqq"), master, NOON)
    text = str(caught.value)
    assert "'INFI'" in text
    assert "INFY (NSE_EQ|INE000I01001)" in text
    assert "NSE_EQ|INE000T01001" in text
    assert "'zzzzqq'" in text


def test_names_when_repeated_then_once_in_order(master: InstrumentMaster) -> None:
    selection = selected(full("INFY", "TCS", "NSE_EQ|INE000I01001"), master, NOON)
    assert selection == ({"NSE_EQ|INE000I01001": "full", "NSE_EQ|INE000T01001": "full"}, {}, {}, {})


def test_names_when_one_instrument_is_in_two_modes_then_the_first_is_streamed_and_the_other_named(
    master: InstrumentMaster,
) -> None:
    selection = selected({"INFY": "full_d30", "NSE_EQ|INE000I01001": "ltpc", "TCS": "full"}, master, NOON)
    assert selection.modes == {"NSE_EQ|INE000I01001": "full_d30", "NSE_EQ|INE000T01001": "full"}
    assert selection.skipped == {
        "NSE_EQ|INE000I01001": "NSE_EQ|INE000I01001 is streamed in mode full_d30, by another name in the list"
    }


@pytest.mark.parametrize(
    ("name", "key", "note"),
    [
        ("NSE_EQ|INE000T01009", "NSE_EQ|INE000T01001", "; write NSE_EQ|INE000T01001 in place of NSE_EQ|INE000T01009"),
        ("INE000T01009", "NSE_EQ|INE000T01001", "; write NSE_EQ|INE000T01001 in place of INE000T01009"),
        ("TCS", "NSE_EQ|INE000T01001", ""),
    ],
)
def test_name_when_its_isin_was_replaced_then_its_successor_streams_and_is_reported(
    master: InstrumentMaster, name: str, key: str, note: str
) -> None:
    before = {name: Meant("NSE_EQ|INE000T01009", "TCS")}
    selection = selected(full(name), master, NOON, before)
    assert (selection.keys, selection.skipped) == ((key,), {})
    assert selection.replaced == {key: f"TCS was NSE_EQ|INE000T01009 and is now {key}{note}"}


def test_name_when_its_symbol_is_gone_too_then_it_is_skipped(master: InstrumentMaster) -> None:
    before = {"NSE_EQ|INE000X01001": Meant("NSE_EQ|INE000X01001", "GONE"), "INFY": Meant("NSE_EQ|INE000I01001", "INFY")}
    selection = selected(full("NSE_EQ|INE000X01001", "INFY"), master, NOON, before)
    assert (selection.keys, list(selection.skipped), selection.replaced) == (
        ("NSE_EQ|INE000I01001",),
        ["NSE_EQ|INE000X01001"],
        {},
    )


def test_names_when_kept_on_disk_then_the_next_start_knows_what_they_meant(tmp_path: Path) -> None:
    path = tmp_path / "master.json"
    source = str(path)
    path.write_text(json.dumps([row | {"instrument_key": row["instrument_key"].replace("T01001", "T01009")} for row in ROWS[:4]]))
    names = full("NSE_EQ|INE000T01009", "INFY")
    first = resolve_apart(names, source, tmp_path / "cache", None, NOON)
    path.write_text(json.dumps(ROWS))
    second = resolve_apart(names, source, tmp_path / "cache", None, NOON)
    assert (first.selection.keys, first.selection.replaced) == (("NSE_EQ|INE000T01009", "NSE_EQ|INE000I01001"), {})
    assert second.selection.keys == ("NSE_EQ|INE000T01001", "NSE_EQ|INE000I01001")
    assert list(second.selection.replaced) == ["NSE_EQ|INE000T01001"]


def test_master_when_a_row_has_terms_then_they_are_the_instruments() -> None:
    option = {"instrument_key": "NSE_FO|9", "trading_symbol": "NIFTY 26000 CE 30 DEC 25", "instrument_type": "CE", "lot_size": 75}
    terms = {"tick_size": 5.0, "strike_price": 26000.0, "underlying_symbol": "NIFTY", "expiry": NOON}
    by_key = InstrumentMaster.from_rows([option | terms, ROWS[0]]).by_key
    assert by_key["NSE_FO|9"][3:] == ("CE", NOON, 75, 5.0, 26_000.0, "NIFTY")
    assert by_key["BSE_EQ|INE000T01001"][3:] == ("", None, None, None, None, "")


def test_names_when_there_is_no_master_then_keys_on_trust_and_symbols_explained() -> None:
    selection = selected(full("NSE_EQ|ANY", "TCS"), None, NOON)
    assert (selection.keys, list(selection.skipped)) == (("NSE_EQ|ANY",), ["TCS"])
    with pytest.raises(SettingsError, match="without the instrument master"):
        selected(full("TCS"), None, NOON)


def test_master_when_a_stock_has_derivatives_then_it_is_known(master: InstrumentMaster) -> None:
    assert master.with_derivatives == frozenset({"NSE_EQ|INE000T01001"})


def test_master_when_the_server_is_away_then_the_one_kept_else_none(tmp_path: Path) -> None:
    cache = tmp_path / "kept.json.gz"
    nowhere = "http://127.0.0.1:9/complete.json.gz"
    absent, warning = load_master(nowhere, cache)
    assert absent is None
    assert "names are not" in warning
    cache.write_bytes(gzip.compress(json.dumps(ROWS).encode()))
    kept, warning = load_master(nowhere, cache)
    assert "using the stored copy" in warning
    assert kept is not None
    assert kept.resolve("TCS", NOON) == "NSE_EQ|INE000T01001"


def _keep(cache: Path, rows: list[dict[str, str]], age_seconds: int) -> None:
    cache.write_text(json.dumps(rows))
    os.utime(cache, (time.time() - age_seconds,) * 2)


def test_master_when_the_copy_is_of_today_then_the_server_is_not_asked(tmp_path: Path, far: MasterServer) -> None:
    _keep(tmp_path / "kept", ROWS, 3600)
    master, warning = load_master(far.url, tmp_path / "kept", None, ("TCS", "NSE_FO|51414"))
    assert (master is not None, warning, far.asked) == (True, "", 0)


def test_master_when_the_copy_lacks_a_name_then_the_server_is_asked_once(tmp_path: Path, far: MasterServer) -> None:
    _keep(tmp_path / "kept", ROWS[:2], 3600)
    for _ in range(2):
        master, _warning = load_master(far.url, tmp_path / "kept", None, ("INFY", "mistyped"))
        assert master is not None
        assert master.resolve("INFY", NOON) == "NSE_EQ|INE000I01001"
    assert far.asked == 1


def test_master_when_its_server_has_an_authority_of_its_own_then_it_is_always_asked(tmp_path: Path, far: MasterServer) -> None:
    _keep(tmp_path / "kept", ROWS, 1)
    far.rows = ROWS[:2]
    master, _warning = load_master(far.url, tmp_path / "kept", tmp_path / "ca.pem", ("TCS",))
    assert master is not None
    assert set(master.by_key) == {"BSE_EQ|INE000T01001", "NSE_EQ|INE000T01001"}
    assert far.asked == 1


def test_master_when_a_file_cannot_be_read_then_error_names_the_setting(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="INSTRUMENT_MASTER"):
        load_master(str(tmp_path / "absent.json.gz"), tmp_path / "cache")


def test_watch_list_when_read_then_names_with_modes_without_comments_and_repeats(tmp_path: Path) -> None:
    path = tmp_path / "watch"
    path.write_text("# mine\nTCS:full_d30, INFY\nNIFTY 50: ltpc  # the index\n\nINFY\n")
    assert watch_list(path, "full") == {"TCS": "full_d30", "INFY": "full", "NIFTY 50": "ltpc"}
    path.write_text("# nothing\n")
    with pytest.raises(SettingsError, match="names no instrument"):
        watch_list(path, "full")
    path.write_text("TCS:deep\n")
    with pytest.raises(SettingsError, match=r"INSTRUMENT_FILE=.*'TCS:deep' has no mode out of full, full_d30, ltpc"):
        watch_list(path, "full")


def test_names_when_resolved_apart_then_keys_holidays_and_errors_come_back(tmp_path: Path) -> None:
    file = tmp_path / "master.json"
    file.write_text(json.dumps(ROWS))
    resolution = resolve_apart(full("TCS"), str(file), tmp_path / "cache", None, NOON)
    assert resolution.selection.keys == ("NSE_EQ|INE000T01001",)
    assert resolution.with_derivatives == frozenset({"NSE_EQ|INE000T01001"})
    assert resolution.warnings == ()
    assert resolution.calendar.is_trading_day("NSE_EQ", "2025-12-15")
    assert not resolution.calendar.is_trading_day("NSE_EQ", "2025-12-25")
    with pytest.raises(SettingsError, match="did you mean TCS"):
        resolve_apart(full("TSC"), str(file), tmp_path / "cache", None, NOON)


def test_calendar_when_a_date_long_ago_is_asked_for_then_it_is_covered_and_saturdays_with_trading_too() -> None:
    calendar = equity_calendar(date(2024, 1, 15))
    assert [calendar.covers(day) for day in ("2024-01-14", "2024-01-15", "2026-12-31", "2027-01-01")] == [
        False,
        True,
        True,
        False,
    ]
    assert [calendar.trades(day) for day in ("2024-01-19", "2024-01-20", "2024-01-26", "2024-01-27")] == [
        True,
        True,
        False,
        False,
    ]
