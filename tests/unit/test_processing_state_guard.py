"""What becomes of checkpoints that meet other code or other Kafka data."""

from __future__ import annotations

import logging

import pytest

from orderflow.broker.topic_identity import TopicExtent
from orderflow.market.errors import SettingsError
from orderflow.processing.state_guard import (
    STATE_VERSION,
    changelog_partitions,
    require_compatible_state,
    require_reachable_offsets,
    require_same_partitions,
)

NOON_MS = 1_765_780_200_000
"""2025-12-15 12:00 IST."""


class FakeFiles:
    """Files by path, in memory."""

    def __init__(self, *queries: dict[str, str]) -> None:
        self.texts: dict[str, str] = {}
        for query in queries:
            self.texts.update(query)

    def names(self, directory: str) -> tuple[str, ...]:
        start = f"{directory}/" if directory else ""
        names = {path[len(start) :].split("/")[0] for path in self.texts if path.startswith(start)}
        return tuple(sorted(names))

    def modified_ms(self, path: str) -> int:
        assert path in self.texts
        return NOON_MS

    def read_text(self, path: str) -> str | None:
        return self.texts.get(path)

    def write_text(self, path: str, text: str) -> None:
        self.texts[path] = text

    def move(self, source: str, target: str) -> None:
        self.texts = {path.replace(f"{source}/", f"{target}/", 1): text for path, text in self.texts.items()}


def query(name: str, zero: int, one: int, identity: str | None = "aaaaaaaa") -> dict[str, str]:
    """Return the files of a query whose last committed batch ended at these offsets; it had planned another."""
    text = 'v1\n{"batchWatermarkMs":1,"conf":{"spark.sql.shuffle.partitions":"2"}}\n{"upstox_ticks":{"0":%d,"1":%d}}'
    files = {
        f"{name}/metadata": '{"id":"x"}',
        f"{name}/sources/0/0": '\0v1\n{"upstox_ticks":{"0":0,"1":0}}',
        f"{name}/offsets/9": text % (1, 1),
        f"{name}/offsets/10": text % (zero, one),
        f"{name}/offsets/11": text % (zero + 50, one + 50),
        f"{name}/commits/9": "v1\n{}",
        f"{name}/commits/10": "v1\n{}",
    }
    return files if identity is None else {**files, f"{name}/topic.json": identity}


def kafka(starts: tuple[int, ...] = (0, 0), ends: tuple[int, ...] = (1000, 1000), identity: str = "aaaaaaaa") -> TopicExtent:
    return TopicExtent("upstox_ticks", identity, dict(enumerate(starts)), dict(enumerate(ends)))


def test_offsets_when_kafka_still_has_all_then_nothing_changes() -> None:
    files = FakeFiles(query("orderflow", 500, 600))
    before = dict(files.texts)
    require_reachable_offsets(files, {"orderflow": kafka((500, 10))})
    assert files.texts == before


def test_offsets_when_a_query_starts_for_the_first_time_then_the_topic_is_noted() -> None:
    files = FakeFiles()
    require_reachable_offsets(files, {"ticks": kafka((500, 10))})
    assert files.texts == {"ticks/topic.json": "aaaaaaaa"}


def test_offsets_when_retention_overtook_then_refused_with_how_much_since_when_and_the_command() -> None:
    files = FakeFiles(query("candles", 500, 600), query("footprint", 500, 900))
    with pytest.raises(SettingsError) as refused:
        require_reachable_offsets(files, {"candles": kafka((700, 601)), "footprint": kafka((700, 601))})
    said = str(refused.value)
    assert "query candles, which last ran on 2025-12-15: Kafka no longer has 201 messages" in said
    assert "partition 0: read up to offset 500, kept from 700" in said
    assert "hdfs dfs -rm -r /trading/checkpoints/candles /trading/checkpoints/footprint" in said
    assert "docs/TROUBLESHOOTING.md, 'Kafka deleted unread messages'" in said
    assert "candles/commits/10" in files.texts


@pytest.mark.parametrize(
    ("name", "commands", "unhelpful"),
    [
        ("ticks", ["no command restores the ticks", "lake verify --date", "backfill --from"], ["reprocess"]),
        ("orderflow", ["reprocess --date"], ["backfill"]),
    ],
)
def test_offsets_when_retention_overtook_then_the_commands_are_those_that_help_this_query(
    name: str, commands: list[str], unhelpful: list[str]
) -> None:
    with pytest.raises(SettingsError) as refused:
        require_reachable_offsets(FakeFiles(query(name, 500, 600)), {name: kafka((700, 601))})
    said = str(refused.value)
    assert all(part in said for part in commands)
    assert not any(part in said for part in unhelpful)


def test_offsets_when_a_query_never_committed_then_its_first_offsets_count() -> None:
    first = {name: text for name, text in query("ticks", 5, 5).items() if "commits" not in name}
    with pytest.raises(SettingsError, match="no longer has 40 messages"):
        require_reachable_offsets(FakeFiles(first), {"ticks": kafka((40, 0))})


def test_offsets_when_the_topic_was_created_anew_then_a_fresh_start_that_is_reported(caplog: pytest.LogCaptureFixture) -> None:
    files = FakeFiles(query("ticks", 500, 600))
    with caplog.at_level(logging.WARNING):
        require_reachable_offsets(files, {"ticks": kafka(identity="bbbbbbbb")})
    assert "query ticks starts afresh" in caplog.text
    assert files.names("ticks") == ("topic.json",)
    assert files.texts["ticks/topic.json"] == "bbbbbbbb"
    assert files.names("set-aside/ticks/commits") == ("10", "9")


def test_offsets_when_an_old_checkpoint_is_beyond_the_topic_then_a_fresh_start() -> None:
    files = FakeFiles(query("ticks", 500, 600, identity=None))
    require_reachable_offsets(files, {"ticks": kafka(ends=(499, 700))})
    assert files.names("ticks") == ("topic.json",)


def test_offsets_when_kafka_lost_the_end_of_its_log_then_refused_with_the_command() -> None:
    with pytest.raises(SettingsError, match=r"ends at offset 499.*--delete --topic upstox_ticks"):
        require_reachable_offsets(FakeFiles(query("ticks", 500, 600)), {"ticks": kafka(ends=(499, 700))})


def test_offsets_when_the_end_is_lost_then_it_is_reported_what_goes_with_the_topic() -> None:
    with pytest.raises(SettingsError, match=r"104 messages that tick storage has not read.*lost with it; stop data-streamer"):
        require_reachable_offsets(FakeFiles(query("ticks", 500, 600)), {"ticks": kafka(ends=(499, 704))})
    with pytest.raises(
        SettingsError, match=r"first let tick storage catch up.*9103/metrics \| grep offsets_behind_latest.*--delete"
    ):
        require_reachable_offsets(FakeFiles(query("orderflow", 500, 600)), {"orderflow": kafka(ends=(499, 704))})


def test_partitions_when_a_topic_has_gained_one_then_refused_with_the_command() -> None:
    files = FakeFiles(query("orderflow", 500, 600))
    require_same_partitions(files, "orderflow", kafka())
    with pytest.raises(SettingsError, match=r"has 3 partitions, but query orderflow has state of 2.*hdfs dfs -rm -r"):
        require_same_partitions(files, "orderflow", kafka((0, 0, 0), (700, 700, 10)))
    require_same_partitions(FakeFiles(), "orderflow", kafka((0, 0, 0), (700, 700, 10)))


def changelog(identity: str, partitions: int) -> TopicExtent:
    return TopicExtent("upstox_candle_state", identity, dict.fromkeys(range(partitions), 0), dict.fromkeys(range(partitions), 9))


def test_changelog_when_a_query_starts_for_the_first_time_then_its_topic_and_number_of_partitions_are_kept() -> None:
    files = FakeFiles()
    assert changelog_partitions(files, "orderflow", changelog("aaaaaaaa", 2)) == 2
    files.texts.update(query("orderflow", 500, 600))
    assert changelog_partitions(files, "orderflow", changelog("aaaaaaaa", 3)) == 2


def test_changelog_when_its_topic_was_created_anew_then_the_query_is_refused_with_the_command() -> None:
    files = FakeFiles()
    changelog_partitions(files, "orderflow", changelog("aaaaaaaa", 2))
    files.texts.update(query("orderflow", 500, 600))
    with pytest.raises(SettingsError, match=r"topic upstox_candle_state was created again, and with .* hdfs dfs -rm -r"):
        changelog_partitions(files, "orderflow", changelog("bbbbbbbb", 2))


def test_changelog_when_a_checkpoint_does_not_say_its_topic_then_the_query_is_refused() -> None:
    with pytest.raises(SettingsError, match="state of query orderflow is gone"):
        changelog_partitions(FakeFiles(query("orderflow", 500, 600)), "orderflow", changelog("aaaaaaaa", 2))


def test_offsets_when_live_trades_were_overtaken_then_they_go_on_and_it_is_reported(caplog: pytest.LogCaptureFixture) -> None:
    files = FakeFiles(query("trades", 500, 600))
    with caplog.at_level(logging.WARNING):
        require_reachable_offsets(files, {"trades": kafka((700, 700))})
    assert "continues with what is left" in caplog.text
    assert "commits" in files.names("trades")


@pytest.mark.parametrize("torn", [None, "", "{", "[]", "{}"])
def test_version_when_absent_or_torn_beside_no_checkpoint_then_written(torn: str | None) -> None:
    files = FakeFiles({} if torn is None else {"orderflow-version.json": torn})
    require_compatible_state(files)
    assert files.texts == {"orderflow-version.json": f'{{"state_version": {STATE_VERSION}}}'}
    require_compatible_state(files)


@pytest.mark.parametrize("torn", [None, "", "{"])
def test_version_when_absent_or_torn_beside_a_checkpoint_then_refused_with_the_command(torn: str | None) -> None:
    files = FakeFiles(query("orderflow-5", 5, 5), {} if torn is None else {"orderflow-version.json": torn})
    with pytest.raises(SettingsError, match=r"unknown version.*hdfs dfs -rm -r '/trading/checkpoints/orderflow\*'"):
        require_compatible_state(files)


def test_version_when_another_then_refused_naming_both() -> None:
    with pytest.raises(SettingsError, match=rf"version 7, this code has {STATE_VERSION}"):
        require_compatible_state(FakeFiles({"orderflow-version.json": '{"state_version": 7}'}))
