"""`python -m orderflow pack-executors`: this Python, what its workers import, and orderflow, for executors without Python."""

from __future__ import annotations

import argparse
import fnmatch
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
from importlib import metadata
from pathlib import Path, PurePath
from typing import Final

import msgspec

from orderflow.market.errors import OrderflowError
from orderflow.processing.executor_python import CONTENTS, PACKAGE, contents, distributions
from orderflow.settings import Settings

_VERSION: Final = f"python{sys.version_info.major}.{sys.version_info.minor}"
# Libraries that are found beside Python, and packages that are found after Spark's own PYTHONPATH, wherever it is unpacked.
_START: Final = f"""#!/bin/sh
home=$(cd "${{0%/*}}/.." && pwd -P)
unset PYTHONHOME
export PYTHONNOUSERSITE=1 PYTHONPATH="${{PYTHONPATH:+$PYTHONPATH:}}$home/packages"
export LD_LIBRARY_PATH="$home/lib${{LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}}"
exec "$home/bin/{_VERSION}" "$@"
"""
_NO_LIBRARY_OF_A_WORKER: Final = (
    *(
        "site-packages",
        "dist-packages",
        "test",
        "tests",
        "idlelib",
        "tkinter",
        "turtledemo",
        "ensurepip",
        "lib2to3",
        "pydoc_data",
    ),
    *("config-*", "*.opt-[12].pyc", "*.a", "_tkinter.*", "_test*", "_ctypes_test.*", "_xx*", "xx*", "nis.*", "_curses*"),
    *("readline.*", "_sqlite3.*", "_dbm.*", "_gdbm.*", "_crypt.*", "ossaudiodev.*"),
)
_NO_PACKAGE_OF_A_WORKER: Final = (
    *("*/tests/*", "*/include/*", "*.pyx", "*.pxd", "*.pxi", "*.pyi", "*.h", "*.a", "numpy/f2py/*", "numpy/distutils/*"),
    *("pyarrow/*flight*", "pyspark/jars/*", "pyspark/bin/*", "pyspark/sbin/*", "pyspark/examples/*", "pyspark/data/*"),
    *("pyspark/licenses/*", "pyspark/python/*"),
)
# The C library is the worker's own: it belongs to the kernel and the loader.
_C_LIBRARY: Final = ("libc", "libm", "libdl", "libpthread", "librt", "libutil", "libresolv")
_CHECK: Final = """
import orderflow.worker_daemon
import zoneinfo
zoneinfo.ZoneInfo("Asia/Kolkata")
"""


class ArchiveError(OrderflowError):
    """The archive cannot be created, or would not work."""


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command `pack-executors`."""
    parser = commands.add_parser(
        "pack-executors",
        help="pack Python and orderflow for a Spark cluster whose workers have neither",
        description="Pack this Python, the packages that Python workers import, and orderflow into one archive, which "
        "EXECUTOR_PYTHON_ARCHIVE names: docs/DEPLOYMENT.md.",
    )
    parser.add_argument("--out", required=True, type=Path, metavar="FILE.tar.gz", help="the archive to write")
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace, _settings: Settings) -> int:
    pack(arguments.out)
    print(f"{arguments.out}: {arguments.out.stat().st_size / 1e6:.0f} MB; set EXECUTOR_PYTHON_ARCHIVE={arguments.out.resolve()}")
    return 0


def pack(out: Path) -> None:
    """Write the archive; a file that is there is replaced once the new one has proved to start and import everything.

    Raises ArchiveError when the archive would not work, OSError when it cannot be written.
    """
    if not sys.platform.startswith("linux"):
        raise ArchiveError("an archive is made on Linux, where it will run; for example in the project's image")
    if not out.name.endswith((".tar.gz", ".tgz")):
        raise ArchiveError(f"{out} must end with .tar.gz, by which Spark knows how to unpack it")
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}.") as directory:
        home = Path(directory) / "home"
        _copy_python(home)
        _copy_packages(home / "packages")
        _copy_libraries(home)
        (home / CONTENTS).write_bytes(msgspec.json.encode(contents()))
        _check(home)
        packed = Path(directory) / out.name
        with tarfile.open(packed, "w:gz", compresslevel=3) as tar:
            for name in dict.fromkeys((CONTENTS, "bin", "lib", sys.platlibdir, "packages")):
                tar.add(home / name, name, filter=_anonymous)
        packed.replace(out)


def _copy_python(home: Path) -> None:
    (home / "bin").mkdir(parents=True)
    (home / "lib").mkdir()
    shutil.copy2(Path(sys.executable).resolve(), home / "bin" / _VERSION)
    start = home / "bin" / "python3"
    start.write_text(_START)
    start.chmod(0o755)
    shutil.copytree(
        sysconfig.get_path("stdlib"),
        home / sys.platlibdir / _VERSION,
        ignore=shutil.ignore_patterns(*_NO_LIBRARY_OF_A_WORKER),
        ignore_dangling_symlinks=True,
    )


def _copy_packages(target: Path) -> None:
    shutil.copytree(PACKAGE, target / PACKAGE.name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in distributions():
        files = metadata.distribution(name).files
        if files is None:
            raise ArchiveError(f"{name} has no list of its files; install it with pip")
        for file in files:
            source = Path(str(file.locate()))
            if _wanted(file) and source.is_file():  # an image may leave out files that a package lists
                copy = target / file
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(source, copy)


def _wanted(file: PurePath) -> bool:
    return ".." not in file.parts and not any(fnmatch.fnmatchcase(str(file), pattern) for pattern in _NO_PACKAGE_OF_A_WORKER)


def _copy_libraries(home: Path) -> None:
    """Copy the shared libraries that Python and its modules load from elsewhere, libpython among them."""
    modules = [home / "bin" / _VERSION, *home.rglob("*.so"), *home.rglob("*.so.*")]
    listed = subprocess.run(["ldd", *map(str, modules)], capture_output=True, text=True, check=False).stdout
    for line in listed.splitlines():
        name, _, rest = line.strip().partition(" => ")
        path = Path(rest.rpartition(" (")[0])
        target = home / "lib" / name
        inside = path.is_relative_to(home)
        if path.is_absolute() and not inside and name.split(".")[0] not in _C_LIBRARY and not target.exists():
            shutil.copy2(path, target)


def _check(home: Path) -> None:
    """Start the copy alone, in an empty environment, and import what workers import (which also compiles it)."""
    command = [str(home / "bin" / "python3"), "-W", "ignore", "-c", _CHECK]
    ended = subprocess.run(command, env={}, cwd="/", capture_output=True, text=True, check=False)
    if ended.returncode:
        raise ArchiveError(f"the packed Python does not work: {ended.stderr.strip()[-1000:]}")


def _anonymous(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    return member
