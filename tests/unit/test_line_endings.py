"""A clone made by Git for Windows, with its default of CRLF, starts all the same."""

from __future__ import annotations

import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def git(*arguments: str, directory: Path = ROOT) -> str:
    return subprocess.run(["git", *arguments], cwd=directory, check=True, capture_output=True, text=True).stdout


def test_clone_when_git_turns_line_ends_into_crlf_by_default_then_no_text_file_has_one(tmp_path: Path) -> None:
    source, clone = tmp_path / "source", tmp_path / "clone"
    git("init", "-q", str(source))
    for name in (".gitattributes", "bin/hdfs", "deploy/env.sh", "deploy/launch/kafka", ".env.example"):
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_bytes((ROOT / name).read_bytes())
    git("add", "-A", directory=source)
    git("-c", "user.name=x", "-c", "user.email=x@x", "commit", "-qm", "x", directory=source)
    git("-c", "core.autocrlf=true", "clone", "-q", str(source), str(clone))
    assert [
        path.name for path in clone.rglob("*") if path.is_file() and ".git" not in path.parts and b"\r" in path.read_bytes()
    ] == []


def test_image_when_the_host_has_other_line_ends_or_modes_then_it_mends_them_before_anything_runs() -> None:
    steps = (ROOT / "Dockerfile").read_text().replace("\\\n", " ").splitlines()
    fetch = next(step for step in steps if "fetch-artifacts" in step and step.startswith("RUN"))
    assert fetch.index("sed -i 's/\\r$//'") < fetch.index("bash /opt/orderflow/deploy/fetch-artifacts")
    last = next(step for step in steps if "compileall" in step)
    assert last.index("sed -i 's/\\r$//'") < last.index("chmod a+x bin/*") < last.index("compileall")
