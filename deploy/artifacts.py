"""The JVM artifacts that pyspark does not bring: `python -m deploy.artifacts fetch`, and `lock` after a change of deploy/ivy.xml.

deploy/ivy.xml lists the required modules; deploy/artifacts.lock lists the resulting jars, one per line with size and
SHA-256. Resolving them means reading about 360 module descriptions one after another, which takes longer than
downloading the jars, so it is done once and committed. `fetch` requests the locked jars by name, in several Ivy
processes at once, because one Ivy process downloads one jar at a time.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Final
from xml.sax.saxutils import quoteattr

HERE: Final = Path(__file__).resolve().parent
LOCK: Final = HERE / "artifacts.lock"
IVY: Final = HERE / "ivy.xml"
CONFIGURATIONS: Final = ("kafka", "hdfs", "spark")
PROCESSES: Final = 4
_POLL_SECONDS: Final = 5.0
_SETTINGS: Final = """<ivysettings>
  <settings defaultResolver="central" defaultConflictManager="all"/>
  <resolvers><ibiblio name="central" m2compatible="true" usepoms="false" useMavenMetadata="false" checksums=""/></resolvers>
</ivysettings>
"""


class ArtifactsError(Exception):
    """The artifacts are incomplete; the message says why, and what to do."""


@dataclass(frozen=True, slots=True)
class Artifact:
    """One jar: SHA-256, bytes, the class paths it is on, and its Maven coordinates."""

    sha256: str
    size_bytes: int
    configurations: tuple[str, ...]
    organisation: str
    module: str
    revision: str
    classifier: str = ""

    @property
    def file_name(self) -> str:
        """Return the jar's name."""
        return f"{self.module}-{self.revision}{'-' if self.classifier else ''}{self.classifier}.jar"

    def to_line(self) -> str:
        """Return the artifact as a line of the lock file."""
        coordinates = ":".join(filter(None, (self.organisation, self.module, self.revision, self.classifier)))
        return f"{self.sha256} {self.size_bytes} {','.join(self.configurations)} {coordinates}"

    @classmethod
    def from_line(cls, line: str) -> Artifact:
        """Read a line of the lock file. Raises ValueError when it is none."""
        sha256, size, configurations, coordinates = line.split()
        organisation, module, revision, *classifier = coordinates.split(":")
        return cls(sha256, int(size), tuple(configurations.split(",")), organisation, module, revision, *classifier)


@dataclass(frozen=True, slots=True)
class Ivy:
    """How Ivy is run: by Java, from the jar inside pyspark."""

    java: str
    jars: Path

    def command(self, arguments: Sequence[str]) -> list[str]:
        """Return the command line. Raises ArtifactsError when pyspark has no Ivy."""
        ivy_jars = sorted(self.jars.glob("ivy-*.jar"))
        if not ivy_jars:
            raise ArtifactsError(f"no Ivy in {self.jars}: pyspark is not installed; run make setup")
        options = ("-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xmx128m", "-Djava.net.preferIPv4Stack=true")
        return [self.java, *options, "-cp", str(ivy_jars[-1]), "org.apache.ivy.Main", *arguments]


def read_lock(text: str) -> list[Artifact]:
    """Return the artifacts of a lock file, whose comments begin with #."""
    return [Artifact.from_line(line) for line in text.splitlines() if line and not line.startswith("#")]


def lock_text(artifacts: Iterable[Artifact], wanted: bytes) -> str:
    """Return the lock file of the jars to which `wanted`, the content of ivy.xml, resolves."""
    lines = (artifact.to_line() for artifact in sorted(artifacts, key=lambda each: (*_module_of(each), each.classifier)))
    return "\n".join((f"# Of deploy/ivy.xml {_sha256(wanted)}; made by: python -m deploy.artifacts lock", *lines, ""))


def flat_module(artifacts: Iterable[Artifact]) -> str:
    """Return an ivy.xml that names each artifact itself and nothing that it depends on."""
    dependencies: list[str] = []
    by_module = sorted(artifacts, key=_module_of)
    for (organisation, module, revision), group in groupby(by_module, _module_of):
        names = "".join(
            f'<artifact name={quoteattr(module)} type="jar"'
            + (f" e:classifier={quoteattr(artifact.classifier)}" if artifact.classifier else "")
            + "/>"
            for artifact in group
        )
        dependencies.append(
            f"<dependency org={quoteattr(organisation)} name={quoteattr(module)} rev={quoteattr(revision)} "
            f'transitive="false">{names}</dependency>'
        )
    return (
        '<ivy-module version="2.0" xmlns:e="http://ant.apache.org/ivy/extra"><info organisation="orderflow" module="artifacts"/>'
        f"<dependencies>{''.join(dependencies)}</dependencies></ivy-module>"
    )


def shards(artifacts: Iterable[Artifact], count: int) -> list[list[Artifact]]:
    """Split the artifacts into at most `count` parts of like size; those of one module stay together."""
    modules = [list(group) for _, group in groupby(sorted(artifacts, key=_module_of), _module_of)]
    modules.sort(key=lambda group: -sum(artifact.size_bytes for artifact in group))
    parts: list[list[Artifact]] = [[] for _ in range(count)]
    for position, group in enumerate(modules):
        parts[position % count] += group
    return [part for part in parts if part]


def fetch(directory: Path, ivy: Ivy, lock: str, say: Callable[[str], None]) -> None:
    """Bring `directory` to exactly the locked jars, one folder a class path; what is there already stays.

    An interrupted run leaves its finished downloads to the next one. Raises ArtifactsError.
    """
    artifacts, mark = read_lock(lock), _sha256(lock.encode())
    complete = directory / "complete"
    if complete.is_file() and complete.read_text().strip() == mark:
        return
    directory.mkdir(parents=True, exist_ok=True)
    with _locked(directory / "lock") as lock_descriptor:
        if complete.is_file() and complete.read_text().strip() == mark:
            return
        complete.unlink(missing_ok=True)
        sound = {artifact: path for artifact in artifacts if (path := _kept(directory, artifact)) is not None}
        missing = [artifact for artifact in artifacts if artifact not in sound]
        if missing:
            size = sum(artifact.size_bytes for artifact in missing)
            say(f"JVM artifacts: fetching {len(missing)} jars ({size / 1e6:.0f} MB) for Kafka, HDFS and Spark's Kafka connector")
            sound |= _downloaded(directory / "ivy", missing, ivy, say, lock_descriptor)
        _arrange(directory, sound)
        shutil.rmtree(directory / "ivy", ignore_errors=True)
        complete.write_text(f"{mark}\n")
    say(f"JVM artifacts: complete in {directory}")


def resolve(ivy: Ivy, wanted: Path) -> list[Artifact]:
    """Resolve with Ivy the jars of `wanted`, an ivy.xml. Takes minutes. Raises ArtifactsError."""
    with tempfile.TemporaryDirectory() as scratch:
        pattern = f"{scratch}/[conf]/[organisation]/[module]/[revision]/[artifact]-[revision](-[classifier]).[ext]"
        arguments = ["-ivy", str(wanted), "-cache", f"{scratch}/cache", "-confs", *CONFIGURATIONS, "-retrieve", pattern]
        run = subprocess.run(ivy.command(arguments), capture_output=True, text=True, check=False)
        if run.returncode:
            raise ArtifactsError(f"Ivy could not resolve {wanted}:\n{run.stdout[-2000:]}{run.stderr[-2000:]}")
        by_coordinates: dict[tuple[str, ...], dict[str, Path]] = {}
        for configuration in CONFIGURATIONS:
            for path in Path(scratch, configuration).rglob("*.jar"):
                organisation, module, revision = path.relative_to(Path(scratch, configuration)).parts[:3]
                classifier = path.stem.removeprefix(f"{module}-{revision}").removeprefix("-")
                by_coordinates.setdefault((organisation, module, revision, classifier), {})[configuration] = path
        return [
            Artifact(_sha256(path.read_bytes()), path.stat().st_size, tuple(places), *coordinates)
            for coordinates, places in sorted(by_coordinates.items())
            for path in (next(iter(places.values())),)
        ]


def _downloaded(
    directory: Path, artifacts: list[Artifact], ivy: Ivy, say: Callable[[str], None], lock: int
) -> dict[Artifact, Path]:
    """Download the artifacts in several processes; each keeps a cache, so that a second run continues where the first stopped."""
    directory.mkdir(exist_ok=True)
    (directory / "settings.xml").write_text(_SETTINGS)
    running: list[tuple[subprocess.Popen[bytes], Path]] = []
    began = time.monotonic()
    try:
        for number, part in enumerate(shards(artifacts, PROCESSES)):
            module, log = directory / f"{number}.xml", directory / f"{number}.log"
            module.write_text(flat_module(part))
            arguments = [
                "-settings",
                str(directory / "settings.xml"),
                "-ivy",
                str(module),
                "-cache",
                str(directory / f"cache-{number}"),
            ]
            arguments += ["-retrieve", f"{directory}/jars/[artifact]-[revision](-[classifier]).[ext]"]
            with log.open("wb") as output:
                process = subprocess.Popen(ivy.command(arguments), stdout=output, stderr=subprocess.STDOUT, pass_fds=(lock,))
            running.append((process, log))
        for process, log in running:
            while True:
                try:
                    status = process.wait(_POLL_SECONDS)
                    break
                except subprocess.TimeoutExpired:
                    jars = len(_named(directory.glob("cache-*/**/*.jar")))
                    say(f"JVM artifacts: {jars} of {len(artifacts)} jars after {time.monotonic() - began:.0f} s")
            if status:
                lines = "\n".join(log.read_text(errors="replace").splitlines()[-15:])
                raise ArtifactsError(
                    f"{lines}\nJVM artifacts: fetching failed (whole log: {log}). Check the network and run the same command "
                    "again: it continues where it stopped."
                )
    finally:
        for process, _ in running:
            process.kill()
            process.wait()
    return {artifact: _verified(directory / "jars" / artifact.file_name, artifact, directory) for artifact in artifacts}


def _verified(path: Path, artifact: Artifact, downloads: Path) -> Path:
    if _is_sound(path, artifact):
        return path
    for copy in downloads.rglob(artifact.file_name):
        copy.unlink()
    raise ArtifactsError(
        f"JVM artifacts: {artifact.file_name} is not the file that deploy/artifacts.lock names, and was deleted. Run the same "
        "command again; if it fails again, something between this machine and the registry changes files."
    )


def _kept(directory: Path, artifact: Artifact) -> Path | None:
    """Return where an intact copy of the artifact is already."""
    places = (*(directory / name for name in CONFIGURATIONS), directory / "ivy" / "jars")
    return next((path for place in places if _is_sound(path := place / artifact.file_name, artifact)), None)


def _is_sound(path: Path, artifact: Artifact) -> bool:
    return path.is_file() and path.stat().st_size == artifact.size_bytes and _sha256(path.read_bytes()) == artifact.sha256


def _arrange(directory: Path, sound: Mapping[Artifact, Path]) -> None:
    """Put each jar on its class paths, and nothing else there."""
    for configuration in CONFIGURATIONS:
        folder = directory / configuration
        folder.mkdir(exist_ok=True)
        here = {artifact.file_name: artifact for artifact in sound if configuration in artifact.configurations}
        for name, artifact in here.items():
            if not _is_sound(folder / name, artifact):
                shutil.copyfile(sound[artifact], folder / f"{name}.part")
                (folder / f"{name}.part").replace(folder / name)
        for surplus in [path for path in folder.iterdir() if path.name not in here]:
            surplus.unlink()


@contextmanager
def _locked(path: Path) -> Iterator[int]:
    """Allow one set-up at a time in a directory, because two stacks may be set up at once; returns the lock's descriptor.

    Processes that inherit it hold the lock too, should this one be killed before them.
    """
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield file.fileno()


def _named(paths: Iterable[Path]) -> set[str]:
    return {path.name for path in paths}


def _module_of(artifact: Artifact) -> tuple[str, str, str]:
    return artifact.organisation, artifact.module, artifact.revision


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def main(arguments: Sequence[str]) -> int:
    """Run `fetch` or `lock`; return the exit code."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    java = f"{os.environ['JAVA_HOME']}/bin/java" if os.environ.get("JAVA_HOME") else "java"
    ivy = Ivy(java, Path(os.environ["SPARK_HOME"], "jars"))
    try:
        if list(arguments) == ["lock"]:
            LOCK.write_text(lock_text(resolve(ivy, IVY), IVY.read_bytes()))
            print(f"{LOCK}: {len(read_lock(LOCK.read_text()))} jars")
        else:
            fetch(Path(os.environ["ARTIFACTS_DIR"]), ivy, LOCK.read_text(), lambda line: print(line, flush=True))
    except ArtifactsError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("JVM artifacts: interrupted; run the same command again, and it continues where it stopped.", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
