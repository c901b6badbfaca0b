"""A day's swap beside a second finisher and a writer: random interleavings and deaths at every step, on files in memory."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable

import pytest

from orderflow.lake.layout import TICKS, LakeError
from orderflow.lake.swap import REPLACED, SWAPS, TRASH, Swaps

DATE = "2025-12-15"
DAY = TICKS.day(DATE)
NEW = "/trading/_staging/compact/new"
WRITTEN = "/trading/_staging/ticks/w"
ROWS = {"a.parquet": "a", "b.parquet": "b", "compact-1.parquet": "ab", "added.parquet": "x", "placed.parquet": "p"}


class CrashError(Exception):
    """The process ends here."""


class MemoryFiles:
    """What `Swaps` needs of HadoopFiles, with HDFS's rules; `step` is called before each operation."""

    def __init__(self) -> None:
        self.step: Callable[[], None] = lambda: None
        self.directories = {"/"}
        self.texts: dict[str, str] = {}

    def add(self, path: str, text: str = "") -> None:
        self._parents(path.rpartition("/")[0])
        self.texts[path] = text

    def names(self, directory: str) -> tuple[str, ...] | None:
        self.step()
        if directory not in self.directories:
            return None
        inside = [path for path in (*self.texts, *self.directories) if path.rpartition("/")[0] == directory]
        return tuple(sorted(path.rpartition("/")[2] for path in inside))

    def exists(self, path: str) -> bool:
        self.step()
        return path in self.texts or path in self.directories

    def make_directory(self, path: str) -> None:
        self.step()
        self._parents(path)

    def rename(self, source: str, target: str) -> bool:
        self.step()
        taken = target in self.texts or target in self.directories
        if taken or target.rpartition("/")[0] not in self.directories:
            return False
        if source in self.texts:
            self.texts[target] = self.texts.pop(source)
            return True
        if source not in self.directories:
            return False
        below = f"{source}/"
        self.directories = {self._moved(path, source, target) for path in self.directories}
        self.texts = {
            self._moved(path, source, target) if path.startswith(below) else path: text for path, text in self.texts.items()
        }
        return True

    def delete(self, path: str) -> None:
        self.step()
        gone = {known for known in (*self.texts, *self.directories) if known == path or known.startswith(f"{path}/")}
        self.directories -= gone
        self.texts = {known: text for known, text in self.texts.items() if known not in gone}

    def delete_empty(self, directory: str) -> None:
        self.step()
        if not any(path.startswith(f"{directory}/") for path in (*self.texts, *self.directories)):
            self.directories.discard(directory)

    def read_text(self, path: str) -> str | None:
        self.step()
        return self.texts.get(path)

    def create_text(self, path: str, text: str) -> bool:
        self.step()
        if path in self.texts:
            return False
        self.add(path)
        self.step()
        self.texts[path] = text
        return True

    def _parents(self, path: str) -> None:
        while path and path not in self.directories:
            self.directories.add(path)
            path = path.rpartition("/")[0]

    @staticmethod
    def _moved(path: str, source: str, target: str) -> str:
        return target + path[len(source) :] if path == source or path.startswith(f"{source}/") else path


class Turns:
    """Lets one of several threads act at a time and hands over at random."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._switch = self._random.choice((0.15, 0.3, 0.6))
        self._waiting: dict[str, threading.Semaphore] = {}

    def hand_over(self) -> None:
        me = threading.current_thread().name
        if me in self._waiting and self._random.random() < self._switch:
            actor = self._random.choice(sorted(self._waiting))
            if actor != me:
                self._waiting[actor].release()
                self._waiting[me].acquire()

    def run(self, actors: dict[str, Callable[[], object]]) -> dict[str, object]:
        answers: dict[str, object] = {}

        def act(name: str) -> None:
            self._waiting[name].acquire()
            try:
                answers[name] = actors[name]()
            except LakeError as error:
                answers[name] = error
            del self._waiting[name]
            if self._waiting:
                self._waiting[self._random.choice(sorted(self._waiting))].release()

        self._waiting = {name: threading.Semaphore(0) for name in actors}
        threads = [threading.Thread(target=act, args=(name,), name=name, daemon=True) for name in actors]
        for thread in threads:
            thread.start()
        self._waiting[self._random.choice(sorted(actors))].release()
        for thread in threads:
            thread.join(20)
            assert not thread.is_alive(), f"{thread.name} does not end"
        return answers


def day_to_swap() -> MemoryFiles:
    """A day of two batch files with a third that came after the compactor had listed it, and the compacted form of the two."""
    files = MemoryFiles()
    for name in ("a.parquet", "b.parquet", "added.parquet"):
        files.add(f"{DAY}/{name}")
    files.add(f"{NEW}/compact-1.parquet")
    files.add(f"{NEW}/_covered.json")
    files.add(WRITTEN)
    files.make_directory(SWAPS)
    files.make_directory(REPLACED)
    return files


def rows(files: MemoryFiles) -> str:
    held = (path.rpartition("/")[2] for path in files.texts if path.startswith(f"{DAY}/"))
    return "".join(sorted("".join(ROWS.get(name, "") for name in held)))


@pytest.mark.parametrize("beside", [None, [], ["added.parquet"]])
@pytest.mark.parametrize("second", ["finish", "replace"])
@pytest.mark.parametrize("writer", [False, True])
def test_swap_when_a_second_process_finishes_it_too_then_no_row_is_lost_or_doubled(writer, second, beside) -> None:
    for seed in range(150):
        files, answers = _together(seed, writer, second, beside)
        assert rows(files) == ("abpx" if writer else "abx"), (seed, answers)
        assert not files.names(SWAPS), (seed, answers)
        compacted = f"{DAY}/compact-1.parquet" in files.texts
        kept = sorted(path.rpartition("/")[2] for path in files.texts if path.startswith(f"{TRASH}/"))
        assert kept == (["a.parquet", "b.parquet"] if compacted else []), (seed, answers)
        assert compacted == (answers["owner"] is True or answers["other"] is True), (seed, answers)
        assert compacted or beside is not None


def _together(seed: int, writer: bool, second: str, beside: list[str] | None) -> tuple[MemoryFiles, dict[str, object]]:
    """Run a swap, a second process and maybe a writer at once; return what they left and what they answered."""
    files, turns, other_new = day_to_swap(), Turns(seed), "/trading/_staging/compact/other"
    files.add(f"{other_new}/compact-1.parquet")
    swaps = Swaps(files, lambda _: turns.hand_over())
    files.step = turns.hand_over
    both = ["a.parquet", "b.parquet"]
    actors: dict[str, Callable[[], object]] = {"owner": lambda: swaps.replace(TICKS, DATE, NEW, both, beside)}
    if second == "finish":
        actors["other"] = lambda: swaps.finish(TICKS, DATE)
    else:
        actors["other"] = lambda: swaps.replace(TICKS, DATE, other_new, both, beside)
    if writer:
        actors["writer"] = lambda: swaps.place(TICKS, DATE, WRITTEN, "placed.parquet")
    answers = turns.run(actors)
    files.step = lambda: None
    return files, answers


@pytest.mark.parametrize("beside", [None, []])
@pytest.mark.parametrize("placed", ["never", "between", "after"])
def test_swap_when_its_processes_die_at_any_two_steps_then_the_next_one_loses_nothing(placed, beside) -> None:
    for first in range(1, 45):
        for second in range(1, 45, 2):
            assert _after_two_deaths(first, second, placed, beside) == ("abx" if placed == "never" else "abpx"), (first, second)


def _after_two_deaths(first: int, second: int, placed: str, beside: list[str] | None) -> str:
    files = day_to_swap()
    swaps = Swaps(files, lambda _: None)
    _dying(files, first, lambda: swaps.replace(TICKS, DATE, NEW, ["a.parquet", "b.parquet"], beside))
    if placed == "between":
        swaps.place(TICKS, DATE, WRITTEN, "placed.parquet")
    _dying(files, second, lambda: swaps.finish_all(TICKS))
    swaps.finish_all(TICKS)
    if placed == "after":
        swaps.place(TICKS, DATE, WRITTEN, "placed.parquet")
    return rows(files)


def _dying(files: MemoryFiles, step: int, act: Callable[[], object]) -> None:
    """Run `act` and end it before its file operation number `step`."""
    left = step

    def count() -> None:
        nonlocal left
        left -= 1
        if left == 0:
            raise CrashError

    files.step = count
    try:
        act()
    except CrashError:
        pass
    finally:
        files.step = lambda: None


def test_swap_when_others_were_added_but_not_allowed_then_the_day_stays_and_it_says_so() -> None:
    files = day_to_swap()

    assert not Swaps(files, lambda _: None).replace(TICKS, DATE, NEW, ["a.parquet", "b.parquet"], beside=[])

    assert files.names(DAY) == ("a.parquet", "added.parquet", "b.parquet")
    assert files.names(NEW) is None


def test_swap_when_a_marker_is_found_then_it_is_waited_for_before_it_is_taken_over() -> None:
    files = day_to_swap()
    _dying(files, 9, lambda: Swaps(files, lambda _: None).replace(TICKS, DATE, NEW, ["a.parquet", "b.parquet"]))
    assert files.names(SWAPS) == ("ticks-2025-12-15.json",)
    files.add("/trading/_staging/compact/other/compact-2.parquet")
    waits: list[float] = []

    with pytest.raises(LakeError, match="under way and is now complete"):
        Swaps(files, waits.append).replace(TICKS, DATE, "/trading/_staging/compact/other", ["a.parquet"])

    assert waits == [0.1] * 30
    assert files.names(DAY) == ("_covered.json", "added.parquet", "compact-1.parquet")
