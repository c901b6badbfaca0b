"""`make audit`: writes the product's components (CycloneDX) and asks pip-audit for known vulnerabilities: `audit.py FILE`.

The list needs no network. Without a network, pip-audit is skipped, and the output says so.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import distribution
from pathlib import Path
from typing import Final

from cyclonedx.model import HashAlgorithm, HashType
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT: Final = Path(__file__).resolve().parents[1]


@dataclass(frozen=True, slots=True)
class Jar:
    """One line of artifacts.lock."""

    sha256: str
    group: str
    name: str
    version: str


def jars(lock: str) -> Iterator[Jar]:
    """Yield the jars of artifacts.lock, each once; lines are `SHA256 BYTES CONFIGURATION GROUP:NAME:VERSION[:CLASSIFIER]`."""
    seen = set()
    for line in lock.splitlines():
        if line.startswith("#") or not line.strip():
            continue
        sha256, _, _, coordinates = line.split()
        group, name, version, *_ = coordinates.split(":")
        if sha256 not in seen:
            seen.add(sha256)
            yield Jar(sha256, group, name, version)


def packages(requirements: str) -> dict[str, str]:
    """Return name -> installed version of the Python packages that the requirements bring along, sorted by name."""
    versions: dict[str, str] = {}
    wanted = [Requirement(line) for line in requirements.splitlines() if line[:1].isalpha()]
    while wanted:
        requirement = wanted.pop()
        name = canonicalize_name(requirement.name)
        installed = distribution(name)
        known = name in versions and not requirement.extras
        versions[name] = installed.version
        if not known:
            extras = requirement.extras or {""}
            for need in map(Requirement, installed.requires or ()):
                if need.marker is None or any(need.marker.evaluate({"extra": extra}) for extra in extras):
                    wanted.append(need)
    return dict(sorted(versions.items()))


def bill_of_materials(python: Mapping[str, str], java: Iterator[Jar]) -> str:
    """Return the CycloneDX 1.6 document in JSON."""
    bom = Bom()
    product = bom.metadata.component = Component(name="orderflow", type=ComponentType.APPLICATION)
    for name, version in python.items():
        url = PackageURL("pypi", name=name, version=version)
        bom.components.add(Component(name=name, version=version, type=ComponentType.LIBRARY, purl=url, bom_ref=str(url)))
    for jar in java:
        url = PackageURL("maven", jar.group, jar.name, jar.version)
        checksum = HashType(alg=HashAlgorithm.SHA_256, content=jar.sha256)
        bom.components.add(
            Component(
                type=ComponentType.LIBRARY,
                group=jar.group,
                name=jar.name,
                version=jar.version,
                purl=url,
                hashes=[checksum],
                bom_ref=f"{url}#{jar.sha256[:8]}",
            )
        )
    bom.register_dependency(product, bom.components)
    return JsonV1Dot6(bom).output_as_string(indent=2)


def check(python: Mapping[str, str], command: tuple[str, ...] = (sys.executable, "-m", "pip_audit")) -> int:
    """Print the known vulnerabilities of the packages; 1 when there are any, 0 when not or when nobody can be asked."""
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        file.write("".join(f"{name}=={version}\n" for name, version in python.items()))
        file.flush()
        options = ("--disable-pip", "--no-deps", "--progress-spinner=off", "--format=json", "--requirement", file.name)
        answer = subprocess.run([*command, *options], capture_output=True, text=True, check=False)
    try:
        dependencies = json.loads(answer.stdout)["dependencies"]
    except (ValueError, KeyError):
        lines = answer.stderr.strip().splitlines() or ["it says nothing"]
        print(f"NOT CHECKED for known vulnerabilities, pip-audit got no answer: {lines[-1]}")
        return 0
    vulnerable = [(package, problem) for package in dependencies for problem in package.get("vulns", ())]
    for package, problem in vulnerable:
        cure = ", ".join(problem["fix_versions"]) or "no version yet"
        print(f"{package['name']} {package['version']}: {problem['id']}, fixed in {cure}")
    print(f"{len(vulnerable)} known vulnerabilities in {len(dependencies)} Python packages")
    return 1 if vulnerable else 0


def main(target: Path) -> int:
    """Write the list and check it; returns the exit code."""
    python = packages((ROOT / "requirements.txt").read_text())
    java = list(jars((ROOT / "deploy" / "artifacts.lock").read_text()))
    target.write_text(bill_of_materials(python, iter(java)))
    print(f"{target}: {len(python)} Python packages, {len(java)} jars")
    return check(python)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
