"""The archive of Python for executors: what goes into it, and which one a driver refuses."""

from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path

import msgspec
import pytest

from orderflow import executor_archive
from orderflow.executor_archive import ArchiveError
from orderflow.market.errors import SettingsError
from orderflow.processing.executor_python import (
    CONTENTS,
    Contents,
    contents,
    distributions,
    require_same_contents,
)
from orderflow.settings import load


def archive(path: Path, name: str, content: bytes) -> Path:
    with tarfile.open(path, "w:gz") as tar:
        member = tarfile.TarInfo(name)
        member.size = len(content)
        tar.addfile(member, io.BytesIO(content))
    return path


def packed(path: Path, what: Contents) -> Path:
    return archive(path, CONTENTS, msgspec.json.encode(what))


def test_archive_when_packed_from_the_same_code_then_is_accepted(tmp_path: Path) -> None:
    require_same_contents(packed(tmp_path / "a.tar.gz", contents()))


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"python": "3.9"}, "differs from this driver in python;"),
        ({"orderflow": "0" * 64}, "differs from this driver in orderflow;"),
        ({"orderflow": "0" * 64, "packages": {"pandas": "1.0"}}, "differs from this driver in orderflow, packages;"),
    ],
)
def test_archive_when_code_python_or_packages_differ_then_is_refused_with_the_command(
    changed: dict[str, object], named: str, tmp_path: Path
) -> None:
    path = packed(tmp_path / "a.tar.gz", msgspec.structs.replace(contents(), **changed))
    with pytest.raises(SettingsError) as refused:
        require_same_contents(path)
    assert named in str(refused.value)
    assert str(refused.value).endswith(f"python -m orderflow pack-executors --out {path}")


def test_archive_when_absent_cut_off_or_of_another_kind_then_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"none\.tar\.gz cannot be read"):
        require_same_contents(tmp_path / "none.tar.gz")
    cut = packed(tmp_path / "cut.tar.gz", contents())
    cut.write_bytes(cut.read_bytes()[:50])
    with pytest.raises(SettingsError, match=r"cut\.tar\.gz cannot be read"):
        require_same_contents(cut)
    with pytest.raises(SettingsError, match="was not made by pack-executors"):
        require_same_contents(archive(tmp_path / "other.tar.gz", "README", b"{}"))


def test_distributions_when_listed_then_hold_what_workers_import_and_what_that_requires() -> None:
    names = set(distributions())
    assert names >= {
        "confluent-kafka",
        "msgspec",
        "numpy",
        "pandas",
        "protobuf",
        "py4j",
        "pyarrow",
        "pyspark",
        "python-dateutil",
        "pytz",
        "tzdata",
    }
    assert not names & {"dash", "plotly", "pytest"}


def test_pack_when_the_name_is_no_archives_then_refuses(tmp_path: Path) -> None:
    with pytest.raises(ArchiveError, match=r"python.zip must end with .tar.gz"):
        executor_archive.pack(tmp_path / "python.zip")


def test_setting_when_given_then_names_the_archive(tmp_path: Path) -> None:
    assert load({}, Path(os.devnull)).executor_python_archive is None
    environ = {"EXECUTOR_PYTHON_ARCHIVE": str(tmp_path / "a.tar.gz")}
    assert load(environ, Path(os.devnull)).executor_python_archive == tmp_path / "a.tar.gz"
