"""The Python that executors are sent: what its archive holds, and how a driver's session uses it.

`python -m orderflow pack-executors` writes the archive. Spark unpacks it as `python` into each executor's directory.
"""

from __future__ import annotations

import hashlib
import re
import sys
import tarfile
from importlib import metadata
from pathlib import Path
from typing import Final

import msgspec

import orderflow
from orderflow.market.errors import SettingsError

PACKAGE: Final = Path(orderflow.__file__).parent
DIRECTORY: Final = "python"
INTERPRETER: Final = f"./{DIRECTORY}/bin/python3"
"""What Spark starts as a Python worker, from an executor's directory."""
CONTENTS: Final = "contents.json"
"""The archive's first member: `Contents` as JSON."""
# What the modules import that run in Python workers; what these require comes with them.
_WORKERS_NEED: Final = (
    "confluent-kafka",
    "msgspec",
    "pandas",
    "prometheus-client",
    "protobuf",
    "pyarrow",
    "pyspark",
    "python-dotenv",
)


class Contents(msgspec.Struct, frozen=True):
    """What an archive and its driver must have in common: `python` as 3.11, a digest of `orderflow`, versions by package."""

    python: str
    orderflow: str
    packages: dict[str, str]


def contents() -> Contents:
    """Return the contents that an archive of this driver's own Python has."""
    digest = hashlib.sha256()
    for path in sorted(PACKAGE.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            digest.update(f"{path.relative_to(PACKAGE).as_posix()}\0{path.stat().st_size}\0".encode())
            digest.update(path.read_bytes())
    packages = {name: metadata.version(name) for name in distributions()}
    return Contents(f"{sys.version_info.major}.{sys.version_info.minor}", digest.hexdigest(), packages)


def distributions() -> tuple[str, ...]:
    """Return the names of the packages that Python workers need, required ones included, in alphabetical order."""
    names: set[str] = set()
    waiting = list(_WORKERS_NEED)
    while waiting:
        name = re.sub(r"[-_.]+", "-", waiting.pop()).lower()
        if name in names:
            continue
        try:
            required = metadata.requires(name) or []
        except metadata.PackageNotFoundError:  # required on other systems only
            continue
        names.add(name)
        waiting += [re.split(r"[^\w.-]", each, maxsplit=1)[0] for each in required if "extra ==" not in each]
    return tuple(sorted(names))


def require_same_contents(archive: Path) -> None:
    """Raise SettingsError when an archive is absent, no such archive, or of another code or other packages than the driver's."""
    cure = f"pack it with: python -m orderflow pack-executors --out {archive}"
    try:
        with tarfile.open(archive, "r:gz") as tar:
            first = tar.next()
            member = tar.extractfile(first) if first and first.name == CONTENTS else None
            if member is None:
                raise SettingsError(f"EXECUTOR_PYTHON_ARCHIVE={archive} was not made by pack-executors; {cure}")
            packed = msgspec.json.decode(member.read(), type=Contents)
    except (OSError, tarfile.TarError, EOFError, msgspec.MsgspecError) as error:
        raise SettingsError(f"EXECUTOR_PYTHON_ARCHIVE={archive} cannot be read ({error}); {cure}") from error
    ours = contents()
    different = [name for name in Contents.__struct_fields__ if getattr(packed, name) != getattr(ours, name)]
    if different:
        raise SettingsError(f"EXECUTOR_PYTHON_ARCHIVE={archive} differs from this driver in {', '.join(different)}; {cure}")
