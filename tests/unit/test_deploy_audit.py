"""The bill of materials, and what becomes of pip-audit's answer."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from deploy.audit import ROOT, Jar, bill_of_materials, check, jars, packages

LOCK = f"# made by\n{'a' * 64} 10 kafka com.x:y:1.2\n{'a' * 64} 10 hdfs com.x:y:1.2\n{'b' * 64} 11 hdfs com.x:z:3:tests\n"


def test_jars_when_two_configurations_share_one_then_it_is_listed_once() -> None:
    assert list(jars(LOCK)) == [Jar("a" * 64, "com.x", "y", "1.2"), Jar("b" * 64, "com.x", "z", "3")]


def test_packages_when_listed_then_pinned_ones_and_what_they_bring_along_in_their_pinned_versions() -> None:
    installed = packages((ROOT / "requirements.txt").read_text())
    pinned = (ROOT / "requirements.txt").read_text() + (ROOT / "constraints.txt").read_text()
    versions = {f"{name}=={version}" for name, version in installed.items()}
    assert {"confluent-kafka", "fastapi", "uvicorn", "py4j"} <= set(installed)
    assert "pytest" not in installed
    lines = {line.lower().replace("_", "-").replace("[fastapi]", "") for line in pinned.splitlines()}
    assert versions <= lines | {"setuptools==" + installed.get("setuptools", "")}


def test_bill_of_materials_when_written_then_components_carry_their_address_and_checksum() -> None:
    made = json.loads(bill_of_materials({"kazoo": "2.11.0"}, jars(LOCK)))
    assert (made["bomFormat"], made["specVersion"]) == ("CycloneDX", "1.6")
    addresses = {component["purl"]: component.get("hashes") for component in made["components"]}
    assert set(addresses) == {"pkg:pypi/kazoo@2.11.0", "pkg:maven/com.x/y@1.2", "pkg:maven/com.x/z@3"}
    assert addresses["pkg:maven/com.x/y@1.2"] == [{"alg": "SHA-256", "content": "a" * 64}]


def auditing(tmp_path: Path, stdout: str, stderr: str = "") -> tuple[str, ...]:
    (tmp_path / "audit.py").write_text(f"import sys\nprint({stdout!r})\nprint({stderr!r}, file=sys.stderr)\nsys.exit(1)\n")
    return (sys.executable, str(tmp_path / "audit.py"))


def test_audit_when_a_package_is_vulnerable_then_it_fails_and_names_the_cure(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    answer = {"dependencies": [{"name": "x", "version": "1", "vulns": [{"id": "CVE-1", "fix_versions": ["2"]}]}], "fixes": []}
    assert check({"x": "1"}, auditing(tmp_path, json.dumps(answer))) == 1
    assert "x 1: CVE-1, fixed in 2\n1 known vulnerabilities in 1 Python packages" in capsys.readouterr().out


def test_audit_when_offline_then_it_says_that_nothing_was_checked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert check({"x": "1"}, auditing(tmp_path, "", "ERROR: name resolution failed")) == 0
    assert capsys.readouterr().out == (
        "NOT CHECKED for known vulnerabilities, pip-audit got no answer: ERROR: name resolution failed\n"
    )
