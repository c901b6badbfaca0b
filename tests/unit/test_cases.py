"""The cases of ../shared/cases through `python -m orderflow replay`: all hold but those whose issue is not done."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType

import pytest

from orderflow import __main__ as command

EXPECTED_TO_FAIL = frozenset[str]()
"""Cases whose issues are not done. One that holds fails its test, so that this list stays true."""
CASES = Path(__file__).resolve().parents[3] / "shared" / "cases"
NAMES = sorted(path.name.removesuffix(".expected.json") for path in CASES.glob("*.expected.json"))


@pytest.fixture(scope="module")
def check() -> ModuleType:
    """The program that compares a replay with a case's facts."""
    spec = importlib.util.spec_from_file_location("check_cases", CASES / "check.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def what_fails(check: ModuleType, name: str, out: Path) -> list[str]:
    """Replay a case in this process and return what does not hold of it."""
    expected = json.loads((CASES / f"{name}.expected.json").read_text())
    assert command.main(["replay", str(CASES / f"{name}.jsonl"), "--out", str(out), *expected.get("options", [])]) == 0
    records = {stream: check.read_lines(out / f"{stream}.jsonl") for stream in check.STREAMS}
    return [line for fact in expected["facts"] for line in check.failures(fact, records)] + check.always(records)


@pytest.mark.skipif(not NAMES, reason="../shared with its cases is absent")
@pytest.mark.parametrize("name", NAMES or ["none"])
def test_case_when_it_is_replayed_then_it_holds_unless_its_issue_is_open(check: ModuleType, tmp_path: Path, name: str) -> None:
    wrong = what_fails(check, name, tmp_path)
    if name in EXPECTED_TO_FAIL:
        assert wrong, f"{name} holds now: take it off the list"
    else:
        assert wrong == []


@pytest.mark.skipif(not NAMES, reason="../shared with its cases is absent")
def test_list_when_cases_are_expected_to_fail_then_each_is_a_case() -> None:
    assert set(NAMES) >= EXPECTED_TO_FAIL
