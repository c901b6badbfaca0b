"""The house: who may import whom, and where streams and the environment are known."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "orderflow"
ROOMS = ("broker", "dashboard", "lake", "market", "processing", "simulator", "upstox")
SHARED = {
    "orderflow.certificates",
    "orderflow.clusters",
    "orderflow.health",
    "orderflow.logs",
    "orderflow.settings",
    "orderflow.watchdog",
}
ENTRY_POINTS = ("data_streamer.py", "data_processor.py", "tick_to_hdfs.py", "candle_to_hdfs.py", "data_plotter.py")


def imports(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names


def own_imports(path: Path) -> set[str]:
    return {name for name in imports(path) if name.split(".")[0] == "orderflow"}


@pytest.mark.parametrize("room", ROOMS)
def test_rooms_when_they_import_then_only_market_and_what_all_share(room: str) -> None:
    for path in sorted((PACKAGE / room).rglob("*.py")):
        for name in own_imports(path):
            parts = name.split(".")
            other = parts[1] if len(parts) > 1 else ""
            allowed = other in ("", room, "market") or ".".join(parts[:2]) in SHARED
            assert allowed, f"{path.relative_to(ROOT)} imports {name}"


def test_market_when_it_imports_then_only_the_standard_library_and_msgspec() -> None:
    allowed = sys.stdlib_module_names | {"msgspec"}
    for path in sorted((PACKAGE / "market").rglob("*.py")):
        for name in imports(path):
            ours = name == "orderflow" or name.startswith("orderflow.market")
            assert ours or name.split(".")[0] in allowed, f"{path.name}: {name}"


def test_streams_when_read_or_written_then_only_by_queries() -> None:
    for path in sorted(PACKAGE.rglob("*.py")):
        if path not in (PACKAGE / "processing" / "queries.py", PACKAGE / "processing" / "storage.py"):
            text = path.read_text()
            assert ".readStream" not in text, path
            assert ".writeStream" not in text, path


def test_environment_when_read_then_only_by_settings_and_the_simulators_command_line() -> None:
    allowed = {PACKAGE / "settings.py", PACKAGE / "simulator" / "__main__.py"}
    for path in sorted(PACKAGE.rglob("*.py")):
        if path not in allowed:
            tree = ast.parse(path.read_text())
            uses = [n for n in ast.walk(tree) if isinstance(n, ast.Attribute) and n.attr in ("environ", "getenv")]
            assert not uses, f"{path.relative_to(ROOT)} reads the environment"


@pytest.mark.parametrize("name", ENTRY_POINTS)
def test_entry_points_when_read_then_they_only_wire(name: str) -> None:
    lines = (ROOT / name).read_text().splitlines()
    assert len(lines) <= 45
    tree = ast.parse("\n".join(lines))
    functions = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
    assert [function.name for function in functions] == ["main"]
    loops = [node for node in ast.walk(tree) if isinstance(node, ast.For | ast.While)]
    assert not loops


def test_spark_when_computing_then_without_python_functions_but_in_storage_and_the_candle_engine() -> None:
    for path in sorted((PACKAGE / "processing").rglob("*.py")):
        text = path.read_text()
        assert "mapInArrow" not in text or path.name in ("storage_batches.py", "final_flow.py"), path
        assert "udf(" not in text, path
        assert "mapInPandas" not in text, path


def test_files_when_counted_then_none_is_longer_than_a_room() -> None:
    for path in sorted(PACKAGE.rglob("*.py")):
        assert len(path.read_text().splitlines()) <= 450, path


DASHBOARD = ("state", "sources", "views", "web")


def test_dashboard_when_its_modules_import_one_another_then_in_one_direction_only() -> None:
    for level, part in enumerate(DASHBOARD):
        for path in sorted((PACKAGE / "dashboard" / part).glob("*.py")):
            for name in own_imports(path):
                parts = name.split(".")
                if parts[1:2] == ["dashboard"] and len(parts) > 2:
                    assert parts[2] in DASHBOARD[: level + 1], f"{path.relative_to(ROOT)} imports {name}"


def test_time_helpers_when_defined_then_in_one_module_only() -> None:
    once = {"IST", "MINUTE_MS", "DAY_MS", "IST_OFFSET_MS", "ist_date", "ist_clock", "midnight_ms", "iso_from_ms", "ms_from_iso"}
    for path in sorted(PACKAGE.rglob("*.py")):
        if path != PACKAGE / "market" / "times.py":
            for node in ast.parse(path.read_text()).body:
                name = getattr(node, "name", None) or getattr(getattr(node, "target", None), "id", "")
                assert (name if name.islower() else name.lstrip("_")) not in once, (
                    f"{path.relative_to(ROOT)} defines {name}, which is in market/times.py"
                )


def test_contributing_when_it_names_a_place_then_the_function_is_there() -> None:
    page = (ROOT / "CONTRIBUTING.md").read_text()
    places = {
        "`trade_of` in `orderflow/market/trades.py`": ("market/trades.py", "def trade_of("),
        "`verdict` in `orderflow/market/aggressor.py`": ("market/aggressor.py", "def verdict("),
        "`InstrumentMinutes.settle` in `orderflow/market/engine/instrument.py`": ("market/engine/instrument.py", "def settle("),
        "`Rollup._append` in `orderflow/dashboard/state/rollup.py`": ("dashboard/state/rollup.py", "def _append("),
        "`orderflow/market/candle.py`:": ("market/candle.py", "class Candle("),
        "`orderflow/market/engine/minute.py`, `final_minute`": ("market/engine/minute.py", "def final_minute("),
        "`orderflow/market/measures.py`, `_join`": ("market/measures.py", "def _join("),
        "`orderflow/dashboard/state/minute.py`, `Flow.candle`": ("dashboard/state/minute.py", "def candle("),
    }
    for said, (path, definition) in places.items():
        assert said in page
        assert definition in (PACKAGE / path).read_text(), said


def product_imports(*, for_types: bool = False) -> dict[str, set[str]]:
    """Return, for each module of the product, those of the product that it imports: when it runs, or also for types only."""
    paths = [*PACKAGE.rglob("*.py"), *(ROOT / "deploy").rglob("*.py")]
    files = {".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path for path in paths}

    def imported(path: Path) -> set[str]:
        tree = ast.parse(path.read_text())
        for node in ast.walk(tree):
            if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING" and not for_types:
                node.body = [ast.Pass()]
        names: set[str] = set()
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                names |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                candidates = {f"{node.module}.{alias.name}" for alias in node.names}
                names |= {name if name in files else node.module for name in candidates}
        return names & set(files)

    return {module: imported(path) - {module} for module, path in files.items()}


def test_product_when_its_imports_are_followed_then_no_module_leads_back_to_itself() -> None:
    wanted = product_imports()

    def reached(module: str) -> set[str]:
        modules: set[str] = set()
        waiting = [module]
        while waiting:
            new = wanted[waiting.pop()] - modules
            modules |= new
            waiting += new
        return modules

    assert [module for module in wanted if module in reached(module)] == []


WIRING = {"__main__", "console", "calendar_report", "day_close", "executor_archive", "history", "rejects", "replay", "reprocess"}
"""Commands of `python -m orderflow`, and the close of a day: beside the entry points the only modules that may import from
several rooms."""


def test_product_when_shared_modules_and_rooms_import_then_never_upwards() -> None:
    for module, imported_modules in product_imports().items():
        if not module.startswith("orderflow"):
            continue
        place = module.split(".")[1:2]
        for name in imported_modules:
            target = name.split(".")[1:2]
            if not place or place[0] in WIRING:
                continue
            assert not target or target[0] not in WIRING, f"{module} imports {name}, a command"
            if module in SHARED:
                assert not target or target[0] == "market" or name in SHARED, f"{module} imports {name}, which is above it"


MOST_IMPORTS = 6
COMPOSING = {
    "orderflow.__main__": "puts the sub-commands of `python -m orderflow` together",
    "orderflow.simulator.__main__": "makes the simulator of its settings",
    "orderflow.upstox.streamer": "puts the streamer together of connections, engines, storage and watch list",
    "orderflow.dashboard.web.app": "puts the dashboard together of store, archive, hub, routes and middleware",
    "deploy.local.__main__": "makes the local stack of its commands",
}
"""Modules that only compose, with what: as the five scripts beside the package they may import from any number of others."""

ABOVE = {
    "orderflow.broker.publisher": 9,
    "orderflow.calendar_report": 13,
    "orderflow.dashboard.state.instrument": 8,
    "orderflow.dashboard.state.store": 13,
    "orderflow.dashboard.views.viewer": 9,
    "orderflow.day_close": 7,
    "orderflow.lake.backfill": 12,
    "orderflow.lake.day_commands": 10,
    "orderflow.market.engine.instrument": 9,
    "orderflow.market.engine.minute": 7,
    "orderflow.market.engine.partition": 8,
    "orderflow.market.engine.state": 8,
    "orderflow.market.inference": 7,
    "orderflow.market.session": 10,
    "orderflow.rejects": 7,
    "orderflow.replay": 15,
    "orderflow.simulator.listing": 8,
    "orderflow.simulator.server": 8,
    "orderflow.upstox.engine": 12,
}
"""Modules that import from more than six others, and from how many: none may join them, and no number may rise."""


def test_product_when_imports_are_counted_then_at_most_six_but_where_listed() -> None:
    counts = {module: sum("." in name for name in names) for module, names in product_imports(for_types=True).items()}
    above = {module: count for module, count in counts.items() if count > MOST_IMPORTS and module not in COMPOSING}
    assert {module: count for module, count in above.items() if count > ABOVE.get(module, MOST_IMPORTS)} == {}, "more than before"
    assert {module: count for module, count in ABOVE.items() if above.get(module, 0) < count} == {}, "lower the number here"
