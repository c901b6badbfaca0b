"""What the applications ask for: each starts with unusual settings, and stops where it would begin to work."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pytest


class StartedError(Exception):
    """The application has what it needs, and would begin now."""


@pytest.mark.parametrize(
    ("application", "setting", "queries"),
    [
        ("tick_to_hdfs", "TICK_STORAGE_CORES", ["ticks"]),
        ("candle_to_hdfs", "CANDLE_STORAGE_CORES", ["candles", "footprint"]),
    ],
)
def test_storage_when_its_cores_and_trigger_are_set_then_it_asks_for_them_and_each_query_uses_them(
    application: str, setting: str, queries: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    module = importlib.import_module(application)
    asked: list[int] = []
    started: dict[str, dict[str, Any]] = {}

    def watch(_spark: object, starts: Mapping[str, partial[Any]]) -> None:
        started.update({name: start.keywords for name, start in starts.items()})
        raise StartedError

    monkeypatch.setenv("ENV_FILE", str(tmp_path / "none"))
    monkeypatch.setenv(setting, "3")
    monkeypatch.setenv(setting.replace("CORES", "TRIGGER_SECONDS"), "77")
    monkeypatch.setattr(module.logs, "configure", lambda *_: None)
    monkeypatch.setattr(module, "topic_extent", lambda *_: None)
    monkeypatch.setattr(module, "spark_session", lambda _settings, _name, cores: asked.append(cores))
    monkeypatch.setattr(module, "QueryWatch", watch)
    with pytest.raises(StartedError):
        module.main()
    assert asked == [3]
    assert [(name, of["cores"], of["trigger_seconds"]) for name, of in started.items()] == [(name, 3, 77) for name in queries]


def test_dashboard_when_a_watch_list_file_is_set_then_its_names_come_first(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    module = importlib.import_module("data_plotter")
    asked: list[tuple[str, ...]] = []

    def directory(names: tuple[str, ...]) -> None:
        asked.append(names)
        raise StartedError

    (tmp_path / "watch").write_text("TCS:full_d30\nINFY\n")
    monkeypatch.setenv("ENV_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("INSTRUMENT_FILE", str(tmp_path / "watch"))
    monkeypatch.setattr(module.logs, "configure", lambda *_: None)
    monkeypatch.setattr(module, "Directory", directory)
    with pytest.raises(StartedError):
        module.main()
    assert asked == [("TCS", "INFY")]
