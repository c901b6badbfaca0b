"""Fetching the JVM artifacts of the lock file, with an Ivy played by a script."""

from __future__ import annotations

import hashlib
import stat
import sys
from pathlib import Path

import pytest

from deploy import artifacts
from deploy.artifacts import Artifact, ArtifactsError, Ivy, fetch, flat_module, lock_text, read_lock, shards

ROOT = Path(__file__).resolve().parents[2]
CONTENTS = {"a-1.jar": b"aa", "b-2.jar": b"bbb", "b-2-linux.jar": b"bbbb"}
# Puts each jar that its ivy.xml names where -retrieve says; what `wrong` names comes with other content, `failing` ends it.
FAKE_JAVA = """#!{python}
import pathlib, re, sys
arguments = sys.argv[sys.argv.index("org.apache.ivy.Main") + 1:]
given = dict(zip(arguments[::2], arguments[1::2]))
place = pathlib.Path(__file__).parent
with (place / "calls").open("a") as calls:
    calls.write("x")
if (place / "failing").exists():
    sys.exit("server error 503")
wanted = pathlib.Path(given["-ivy"]).read_text()
for module, revision, body in re.findall(r'name="([^"]+)" rev="([^"]+)" transitive="false">(.*?)</dependency>', wanted):
    for classifier in re.findall(r'<artifact name="[^"]+" type="jar"(?: e:classifier="([^"]+)")?/>', body):
        name = module + "-" + revision + ("-" + classifier if classifier else "") + ".jar"
        target = pathlib.Path(given["-retrieve"]).parent / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(b"other" if (place / "wrong").exists() else {contents!r}[name])
"""


def locked(name: str, configurations: tuple[str, ...], module: str, revision: str, classifier: str = "") -> Artifact:
    content = CONTENTS[name]
    return Artifact(hashlib.sha256(content).hexdigest(), len(content), configurations, "org", module, revision, classifier)


A = locked("a-1.jar", ("kafka", "hdfs"), "a", "1")
B = locked("b-2.jar", ("spark",), "b", "2")
B_LINUX = locked("b-2-linux.jar", ("hdfs",), "b", "2", "linux")
LOCK = lock_text([B, A, B_LINUX], b"<ivy-module/>")


@pytest.fixture
def ivy(tmp_path: Path) -> Ivy:
    java, jars = tmp_path / "bin" / "java", tmp_path / "jars"
    java.parent.mkdir()
    java.write_text(FAKE_JAVA.format(python=sys.executable, contents=CONTENTS))
    java.chmod(java.stat().st_mode | stat.S_IXUSR)
    jars.mkdir()
    (jars / "ivy-2.5.3.jar").touch()
    return Ivy(str(java), jars)


def calls(ivy: Ivy) -> int:
    file = Path(ivy.java).parent / "calls"
    return len(file.read_text()) if file.exists() else 0


def layout(directory: Path) -> dict[str, list[str]]:
    return {name: sorted(path.name for path in (directory / name).iterdir()) for name in artifacts.CONFIGURATIONS}


WHOLE = {"kafka": ["a-1.jar"], "hdfs": ["a-1.jar", "b-2-linux.jar"], "spark": ["b-2.jar"]}


def test_fetch_when_nothing_is_there_then_each_class_path_has_its_jars_and_each_was_fetched_once(
    ivy: Ivy, tmp_path: Path
) -> None:
    lines: list[str] = []
    fetch(tmp_path / "store", ivy, LOCK, lines.append)
    assert layout(tmp_path / "store") == WHOLE
    assert (tmp_path / "store" / "hdfs" / "b-2-linux.jar").read_bytes() == b"bbbb"
    assert calls(ivy) == 2
    assert sorted(path.name for path in (tmp_path / "store").iterdir()) == ["complete", "hdfs", "kafka", "lock", "spark"]
    assert lines[0] == "JVM artifacts: fetching 3 jars (0 MB) for Kafka, HDFS and Spark's Kafka connector"


def test_fetch_when_all_is_there_then_nothing_is_fetched_or_said(ivy: Ivy, tmp_path: Path) -> None:
    fetch(tmp_path / "store", ivy, LOCK, lambda _: None)
    before, lines = calls(ivy), list[str]()
    fetch(tmp_path / "store", ivy, LOCK, lines.append)
    assert (calls(ivy), lines) == (before, [])


def test_fetch_when_a_jar_is_gone_spoilt_or_surplus_then_only_what_is_missing_is_fetched(ivy: Ivy, tmp_path: Path) -> None:
    store = tmp_path / "store"
    fetch(store, ivy, LOCK, lambda _: None)
    (store / "complete").unlink()
    (store / "spark" / "b-2.jar").write_bytes(b"cut")
    (store / "hdfs" / "a-1.jar").unlink()
    (store / "kafka" / "old-0.jar").touch()
    before, lines = calls(ivy), list[str]()
    fetch(store, ivy, LOCK, lines.append)
    assert layout(store) == WHOLE
    assert (store / "spark" / "b-2.jar").read_bytes() == b"bbb"
    assert calls(ivy) == before + 1
    assert lines[0].startswith("JVM artifacts: fetching 1 jars")


def test_fetch_when_the_lock_file_changes_then_what_both_name_stays(ivy: Ivy, tmp_path: Path) -> None:
    fetch(tmp_path / "store", ivy, lock_text([A], b"earlier"), lambda _: None)
    before = calls(ivy)
    fetch(tmp_path / "store", ivy, LOCK, lambda _: None)
    assert layout(tmp_path / "store") == WHOLE
    assert calls(ivy) == before + 1


def test_fetch_when_ivy_fails_then_its_words_are_shown_and_the_next_run_completes(ivy: Ivy, tmp_path: Path) -> None:
    failing = Path(ivy.java).parent / "failing"
    failing.touch()
    with pytest.raises(ArtifactsError, match=r"(?s)server error 503.*run the same command again"):
        fetch(tmp_path / "store", ivy, LOCK, lambda _: None)
    assert not (tmp_path / "store" / "complete").exists()
    failing.unlink()
    fetch(tmp_path / "store", ivy, LOCK, lambda _: None)
    assert layout(tmp_path / "store") == WHOLE


def test_fetch_when_a_file_is_not_the_locked_one_then_refused_and_deleted(ivy: Ivy, tmp_path: Path) -> None:
    wrong = Path(ivy.java).parent / "wrong"
    wrong.touch()
    with pytest.raises(ArtifactsError, match=r"is not the file that deploy/artifacts.lock names"):
        fetch(tmp_path / "store", ivy, LOCK, lambda _: None)
    assert not (tmp_path / "store" / "complete").exists()
    wrong.unlink()
    fetch(tmp_path / "store", ivy, LOCK, lambda _: None)
    assert layout(tmp_path / "store") == WHOLE


def test_fetch_when_pyspark_is_absent_then_says_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(ArtifactsError, match="pyspark is not installed; run make setup"):
        fetch(tmp_path / "store", Ivy("java", tmp_path), LOCK, lambda _: None)


def test_lock_when_written_and_read_then_the_same_in_order_of_coordinates() -> None:
    assert read_lock(LOCK) == [A, B, B_LINUX]
    assert LOCK.splitlines()[3].endswith(" 4 hdfs org:b:2:linux")


def test_shards_when_split_then_every_jar_once_and_a_modules_together() -> None:
    parts = shards([A, B, B_LINUX], 4)
    assert sorted(map(len, parts)) == [1, 2]
    assert {artifact for part in parts for artifact in part} == {A, B, B_LINUX}


def test_module_when_written_then_names_jars_with_their_classifiers_and_nothing_they_depend_on() -> None:
    assert (
        '<dependency org="org" name="b" rev="2" transitive="false">'
        '<artifact name="b" type="jar"/><artifact name="b" type="jar" e:classifier="linux"/></dependency>'
    ) in flat_module([B, B_LINUX])


def test_committed_lock_when_ivy_xml_changed_after_it_then_make_lock_is_due() -> None:
    text = artifacts.LOCK.read_text()
    assert hashlib.sha256(artifacts.IVY.read_bytes()).hexdigest() in text.splitlines()[0], "run make lock"
    locked = read_lock(text)
    assert len({artifact.file_name for artifact in locked}) == len(locked)
    assert lock_text(locked, artifacts.IVY.read_bytes()) == text
