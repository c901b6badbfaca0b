from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from orderflow.market.errors import SettingsError
from orderflow.settings import load


def test_settings_when_nothing_is_set_then_the_promised_defaults_hold(tmp_path: Path) -> None:
    settings = load({}, tmp_path / "none")
    assert settings.instruments == ("NSE_EQ|INE467B01029",)
    assert (settings.kafka.brokers, settings.namenode_url) == ("kafka:29092", "hdfs://namenode:9000")
    assert (settings.windows, settings.dashboard_port, settings.dashboard_buffer) == ((1,), 8050, 100)


def test_settings_when_both_are_given_then_the_environment_wins_over_the_file(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_text("INSTRUMENT=NSE_EQ|INE009A01021\nWINDOW_MINUTES=5\n")
    settings = load({"WINDOW_MINUTES": "15"}, file)
    assert (settings.instruments, settings.windows) == (("NSE_EQ|INE009A01021",), (15,))


def test_windows_when_several_are_named_then_each_is_taken_once_from_the_shortest_up(tmp_path: Path) -> None:
    assert load({"WINDOW_MINUTES": "15, 5,,125,5"}, tmp_path / "none").windows == (5, 15, 125)


def test_imbalance_settings_when_given_then_they_are_ratio_share_and_whether_zero_is_left_out(tmp_path: Path) -> None:
    environ = {"IMBALANCE_RATIO": "4", "IMBALANCE_FLOOR_PERCENT": "5", "IMBALANCE_IGNORE_ZERO": "true"}
    settings = load(environ, tmp_path / "none")
    assert (settings.imbalance_ratio, settings.imbalance_floor, settings.imbalance_ignore_zero) == (4.0, 0.05, True)


@contextmanager
def another_account() -> Iterator[None]:
    """Root could enter every directory; anybody else is kept out by its mode already."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def test_settings_when_the_directory_is_private_then_there_is_no_file(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("WINDOW_MINUTES=5\n")
    tmp_path.chmod(0o000)
    try:
        with another_account():
            assert load({}, tmp_path / ".env").windows == (1,)
    finally:
        tmp_path.chmod(0o700)


def test_instruments_when_some_have_a_mode_of_their_own_then_the_others_have_the_default(tmp_path: Path) -> None:
    environ = {"INSTRUMENT": "NSE_EQ|INE467B01029:full_d30,NIFTY 50:ltpc, INFY", "UPSTOX_FEED_MODE": "option_greeks"}
    settings = load(environ, tmp_path / "none")
    assert settings.instruments == ("NSE_EQ|INE467B01029", "NIFTY 50", "INFY")
    assert settings.instrument_modes == {"NSE_EQ|INE467B01029": "full_d30", "NIFTY 50": "ltpc", "INFY": "option_greeks"}


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("TCS:full_d3", "INSTRUMENT: 'TCS:full_d3' has no mode out of full, full_d30, ltpc, option_greeks"),
        (":full", "INSTRUMENT: ':full' has no mode out of"),
        ("TCS:full,INFY,TCS:ltpc", "INSTRUMENT lists TCS in mode full and in mode ltpc; keep one of them"),
    ],
)
def test_instruments_when_a_mode_is_none_or_there_are_two_then_the_entry_is_named(
    value: str, message: str, tmp_path: Path
) -> None:
    with pytest.raises(SettingsError, match=message):
        load({"INSTRUMENT": value}, tmp_path / "none")


def test_instruments_when_repeated_or_blank_then_each_is_taken_once(tmp_path: Path) -> None:
    assert load({"INSTRUMENT": "TCS, ,INFY,TCS"}, tmp_path / "none").instruments == ("TCS", "INFY")


def test_token_when_shown_then_it_is_not_in_the_text(tmp_path: Path) -> None:
    settings = load({"UPSTOX_ACCESS_TOKEN": "a-very-secret-token"}, tmp_path / "none")
    assert settings.access_token == "a-very-secret-token"
    assert "very-secret" not in repr(settings)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("WINDOW_MINUTES", "7", "WINDOW_MINUTES='7' must be one or more of 1, 2, 3, 5"),
        ("WINDOW_MINUTES", "5,7", "WINDOW_MINUTES='5,7' must be one or more of 1, 2, 3, 5"),
        ("WINDOW_MINUTES", ",", "WINDOW_MINUTES=',' must be one or more of 1, 2, 3, 5"),
        ("KAFKA_PARTITIONS", "two", "KAFKA_PARTITIONS='two' is not a whole number; for example KAFKA_PARTITIONS=2"),
        ("DASHBOARD_PORT", "70000", "DASHBOARD_PORT=70000 is outside 1..65535"),
        ("AGGRESSOR_RULE", "tick", "AGGRESSOR_RULE='tick' is not one of split, lee_ready, emo, clnv"),
        ("CANDLES_TRIGGER_SECONDS", "soon", "CANDLES_TRIGGER_SECONDS='soon' is not a number"),
        ("INSTRUMENT", ",", "INSTRUMENT names no instrument"),
    ],
)
def test_settings_when_a_value_is_invalid_then_the_error_names_it_and_a_valid_one(
    tmp_path: Path, name: str, value: str, message: str
) -> None:
    with pytest.raises(SettingsError) as caught:
        load({name: value}, tmp_path / "none")
    assert message in str(caught.value)


def test_streamer_name_when_not_given_then_host_and_port_so_that_two_on_one_host_differ(tmp_path: Path) -> None:
    names = [load(given, tmp_path / "none").streamer_name for given in ({}, {"HEALTH_PORT": "9200"}, {"STREAMER_NAME": "mumbai"})]
    assert names == [f"{socket.gethostname()}:9100", f"{socket.gethostname()}:9200", "mumbai"]


def test_settings_when_the_file_has_a_byte_order_mark_then_its_first_line_counts(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("WINDOW_MINUTES=5\r\n", encoding="utf-8-sig")
    assert load({}, tmp_path / ".env").windows == (5,)


def test_settings_when_the_file_is_utf_16_then_the_error_names_it_and_the_cure(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("WINDOW_MINUTES=5\n", encoding="utf-16")
    with pytest.raises(SettingsError, match=r"\.env is not UTF-8 text; save it as UTF-8"):
        load({}, tmp_path / ".env")
