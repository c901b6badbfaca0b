"""What `python -m build` puts into the package, and the console scripts that it installs."""

from __future__ import annotations

import tomllib
from importlib import import_module
from pathlib import Path

import pytest

from orderflow import console

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
SCRIPTS: dict[str, str] = PROJECT["project"]["scripts"]
MODULES: list[str] = PROJECT["tool"]["setuptools"]["py-modules"]


def test_package_when_built_then_has_every_file_that_is_no_python_and_its_types() -> None:
    package = ROOT / "orderflow"
    patterns = PROJECT["tool"]["setuptools"]["package-data"]["orderflow"]
    packed = {path for pattern in patterns for path in package.glob(pattern.replace("**", "**/*"))}
    there = {path for path in package.rglob("*") if path.is_file() and path.suffix not in (".py", ".pyc")}
    assert there - packed == set()
    assert package / "py.typed" in packed


def test_scripts_when_installed_then_one_for_each_entry_point_and_one_for_the_commands() -> None:
    assert {name.replace("-", "_") for name in SCRIPTS} == {*MODULES, "orderflow"}
    assert all((ROOT / f"{module}.py").is_file() for module in MODULES)


@pytest.mark.parametrize("script", sorted(SCRIPTS))
def test_script_when_run_then_it_is_the_entry_points_main_with_its_exit_code(
    script: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    module, _, function = SCRIPTS[script].partition(":")
    target = "orderflow.__main__" if script == "orderflow" else script.replace("-", "_")
    monkeypatch.setattr(import_module(target), "main", lambda: 3)
    assert module == "orderflow.console"
    assert getattr(console, function)() == 3
