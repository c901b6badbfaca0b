"""The guard's file operations on a real Hadoop file system."""

from __future__ import annotations

from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from orderflow.processing.checkpoint_files import CheckpointFiles
from orderflow.processing.state_guard import STATE_VERSION, require_compatible_state


@pytest.fixture
def files(spark: SparkSession, tmp_path: Path) -> CheckpointFiles:
    return CheckpointFiles(spark, f"file://{tmp_path}/trading/checkpoints")


def test_files_when_absent_then_no_names_and_no_text(files: CheckpointFiles) -> None:
    assert files.names("") == ()
    assert files.names("orderflow/commits") == ()
    assert files.read_text("orderflow-version.json") is None


def test_text_when_written_again_then_the_new_one_and_no_part_is_left(files: CheckpointFiles) -> None:
    files.write_text("ticks/topic.json", "aaaaaaaa")
    files.write_text("ticks/topic.json", "bbbbbbbb")
    assert files.read_text("ticks/topic.json") == "bbbbbbbb"
    assert files.names("ticks") == ("topic.json",)
    assert files.modified_ms("ticks/topic.json") > 1_700_000_000_000


def test_directory_when_moved_then_it_replaces_the_one_moved_before(files: CheckpointFiles) -> None:
    for text in ("first", "second"):
        files.write_text("ticks/offsets/0", text)
        files.move("ticks", "set-aside/ticks")
    assert files.names("ticks") == ()
    assert files.names("set-aside/ticks") == ("offsets",)
    assert files.read_text("set-aside/ticks/offsets/0") == "second"


def test_version_when_torn_on_a_fresh_directory_then_written_whole(files: CheckpointFiles) -> None:
    files.write_text("orderflow-version.json", "")
    require_compatible_state(files)
    assert files.read_text("orderflow-version.json") == f'{{"state_version": {STATE_VERSION}}}'
