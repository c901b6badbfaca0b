"""A task's fold of Kafka messages: batches that fail and run again, workers that change, and what an earlier query left."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest
from ticks import KEY, OPEN, trade_tick

from orderflow.market import topics
from orderflow.market.engine.partition import EngineSettings, PartitionEngine
from orderflow.market.engine.store import StateError
from orderflow.market.tick import Tick, encode_tick, heartbeat_tick
from orderflow.processing import engine_task
from orderflow.processing.engine_task import fold_query

SETTINGS = EngineSettings(rule="lee_ready", window_minutes=(1, 5))
RECORDS = [
    record
    for minute in range(12)
    for record in (
        trade_tick(minute * 60 + 10, 100.0, 10, 1_000 + 10 * minute, since=minute * 60 + 9, ltq=10),
        heartbeat_tick(OPEN + minute * 60_000 + 50_000, OPEN + minute * 60_000 + 50_000),
    )
]


class Topic:
    """The changelog's topic, of one partition and compacted; `reads` counts how often it was read back."""

    partitions = 1

    def __init__(self) -> None:
        self.records: dict[str, bytes] = {}
        self.reads = 0

    def read(self, partition: int) -> Iterator[tuple[str, bytes]]:
        assert partition == 0
        self.reads += 1
        yield from self.records.items()

    def write(self, batches: list[pa.RecordBatch]) -> None:
        for row in [row for batch in batches for row in batch.to_pylist() if row["topic"] == topics.CANDLE_STATE]:
            assert row["partition"] == 0
            if row["value"] is None:
                del self.records[row["key"]]
            else:
                self.records[row["key"]] = row["value"]


class Workers:
    """Two Python workers of one executor, each with a memory of its own."""

    def __init__(self, topic: Topic, directory: Path, monkeypatch: pytest.MonkeyPatch, query: str = "q") -> None:
        self._topic, self._directory, self._monkeypatch, self._query = topic, directory, monkeypatch, query
        self._memories: list[dict] = [{}, {}]  # type: ignore[type-arg]

    def run(self, worker: int, *batches: pa.RecordBatch, stored: bool = True) -> list[tuple[str, str, bytes]]:
        """Run a task; what it yields is written to Kafka only when `stored`. Returns the messages for users."""
        self._monkeypatch.setattr(engine_task, "_in_memory", self._memories[worker])
        batches_out = list(fold_query(self._query, batches, SETTINGS, self._topic, self._directory))
        if stored:
            self._topic.write(batches_out)
        rows = [row for batch in batches_out for row in batch.to_pylist() if row["topic"] != topics.CANDLE_STATE]
        return [(row["topic"], row["key"], row["value"]) for row in rows]

    def lose_memory(self) -> None:
        self._memories = [{}, {}]


def batch(begin: int, end: int, *, partition: int = 0, records: list[Tick] = RECORDS) -> pa.RecordBatch:
    some = records[begin:end]
    return pa.RecordBatch.from_pydict(
        {
            "partition": pa.array([partition] * len(some), pa.int32()),
            "offset": pa.array(range(begin, begin + len(some)), pa.int64()),
            "key": pa.array([tick.instrument_key.encode() for tick in some], pa.binary()),
            "value": pa.array([encode_tick(tick) for tick in some], pa.binary()),
            "sent_ms": pa.array([tick.received_time_ms for tick in some], pa.int64()),
        }
    )


def expected() -> list[tuple[str, str, bytes]]:
    from orderflow.market.engine.messages import messages_of

    engine = PartitionEngine(SETTINGS)
    return [tuple(message) for tick in RECORDS for output in engine.take(tick) for message in messages_of(output)]


@pytest.fixture
def topic() -> Topic:
    return Topic()


@pytest.fixture
def workers(topic: Topic, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workers:
    return Workers(topic, tmp_path, monkeypatch)


def test_task_when_workers_take_turns_then_the_changelog_is_read_once_by_each(topic: Topic, workers: Workers) -> None:
    messages = [message for n in range(12) for message in workers.run(n % 2, batch(2 * n, 2 * n + 2))]
    assert messages == expected() != []
    assert topic.reads == 2


def test_task_when_its_batch_comes_in_pieces_then_the_result_is_the_same(workers: Workers) -> None:
    assert workers.run(0, batch(0, 7), batch(7, 8), batch(8, 24)) == expected()


def test_task_when_its_output_was_not_written_then_the_batch_runs_again_from_the_stored_state(workers: Workers) -> None:
    """The first attempt folds the batch to its end, keeps the engine in memory, and its output is lost."""
    first = workers.run(0, batch(0, 10))
    lost = workers.run(0, batch(10, 20), stored=False)
    assert workers.run(0, batch(10, 20)) == lost
    assert first + lost + workers.run(1, batch(20, 24)) == expected()


def test_task_when_it_was_cut_off_then_the_batch_runs_again_from_the_stored_state(
    topic: Topic, workers: Workers, tmp_path: Path
) -> None:
    first = workers.run(0, batch(0, 10))
    cut_off = fold_query("q", [batch(10, 15), batch(15, 24)], SETTINGS, topic, tmp_path)
    next(cut_off)
    cut_off.close()
    assert first + workers.run(0, batch(10, 24)) == expected()


def test_task_when_its_executor_is_new_then_the_engine_comes_from_the_changelog(
    topic: Topic, workers: Workers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = workers.run(0, batch(0, 9))
    other = Workers(topic, tmp_path / "other", monkeypatch)
    assert first + other.run(0, batch(9, 24)) == expected()


def test_task_when_it_holds_two_partitions_then_each_has_an_engine_of_its_own(workers: Workers) -> None:
    both = pa.concat_batches([batch(0, 24), batch(0, 24, partition=1)])
    assert workers.run(0, both) == expected() * 2


@pytest.mark.parametrize("others", [[batch(4, 6)], [batch(3, 4)], [batch(0, 2)]])
def test_task_when_offsets_do_not_follow_then_it_is_refused(workers: Workers, others: list[pa.RecordBatch]) -> None:
    with pytest.raises(StateError, match=r"partition 0 of upstox_ticks was not read in the order of its offsets: .* 2 is next"):
        workers.run(0, batch(0, 2), *others)


def test_query_when_it_begins_then_it_removes_the_state_of_an_earlier_one(
    topic: Topic, workers: Workers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workers.run(0, batch(0, 9))
    assert list(topic.records) == ["q/0/0/journal 0"]
    again = Workers(topic, tmp_path, monkeypatch, query="r")
    assert again.run(0, batch(0, 24)) == expected()
    assert list(topic.records) == ["r/0/0/journal 0"]


def test_query_when_a_new_partition_begins_then_the_state_of_its_other_partitions_stays(topic: Topic, workers: Workers) -> None:
    workers.run(0, batch(0, 9))
    workers.run(0, batch(0, 9, partition=1))
    assert list(topic.records) == ["q/0/0/journal 0", "q/1/0/journal 0"]


def test_journal_files_when_a_snapshot_was_made_then_those_before_it_go(tmp_path: Path) -> None:
    files = engine_task.JournalFiles(tmp_path / "a")
    for begin in range(3):
        files.write(begin, b"journal", 0)
    files.write(3, b"journal", 4)
    assert [files.read(begin) for begin in range(4)] == [None] * 4
    files.write(4, b"later", 4)
    assert files.read(4) == b"later"
    assert KEY.startswith("NSE_EQ")


def test_task_when_its_changelog_has_foreign_records_then_they_are_passed_over(
    topic: Topic, workers: Workers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = workers.run(0, batch(0, 9))
    topic.records |= {"": b"\xff", "NSE_EQ|INE467B01029": b"{not json", "\ufffd\ufffd/0/0/journal 0": b""}
    other = Workers(topic, tmp_path / "other", monkeypatch)
    assert first + other.run(0, batch(9, 24)) == expected()
    assert len(topic.records) == 5
