"""Decides at the start what to do with checkpoints of other code or of other data in Kafka: continue, start afresh, or refuse.

Code: rule, watermark and window lengths apply from the next batch on, and Spark keeps the number of state partitions with
which it began. State of another version is refused with the command to run, and so is a topic that has gained partitions.

Kafka: a query whose topic was created again starts afresh by itself, because its offsets have no meaning there. If retention
deleted messages before they were read, data is lost: queries that store or sum refuse to start, with the command to run; the
query `trades`, which is live only, reports the loss and continues.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from typing import Any, Final, Protocol

from orderflow.market import topics
from orderflow.market.engine.state import STATE_VERSION
from orderflow.market.errors import SettingsError
from orderflow.market.times import ist_date

log = logging.getLogger(__name__)

_VERSION: Final = "orderflow-version.json"
_TOPIC: Final = "topic.json"
_CHANGELOG: Final = "changelog.json"
_SET_ASIDE: Final = "set-aside"
_LIVE: Final = "trades"
_STORED_TICKS: Final = "ticks"
_AFRESH: Final = "hdfs dfs -rm -r '/trading/checkpoints/orderflow*'"
_START_AFRESH: Final = (
    f"Start the candles afresh from what Kafka still holds: {_AFRESH}, then run "
    "python -m orderflow reprocess --date YYYY-MM-DD for today"
)


class Files(Protocol):
    """Files below the checkpoints' directory; `CheckpointFiles` in the product."""

    def names(self, directory: str) -> tuple[str, ...]:
        """Return the names in a directory; none when it is absent."""
        ...

    def modified_ms(self, path: str) -> int:
        """Return when a file was last changed."""
        ...

    def read_text(self, path: str) -> str | None:
        """Return a small file's text, or None when it is absent."""
        ...

    def write_text(self, path: str, text: str) -> None:
        """Write a small file whole."""
        ...

    def move(self, source: str, target: str) -> None:
        """Move a directory, in the place of one that may be there."""
        ...


class Extent(Protocol):
    """A topic's id, and for each partition the first offset that Kafka still holds and the one after the last."""

    @property
    def topic(self) -> str:
        """Return its name."""
        ...

    @property
    def identity(self) -> str:
        """Return the identity that distinguishes this topic from an earlier or later one of the same name."""
        ...

    @property
    def starts(self) -> Mapping[int, int]:
        """Return the first offset kept."""
        ...

    @property
    def ends(self) -> Mapping[int, int]:
        """Return the offset after the last."""
        ...


def require_compatible_state(files: Files) -> None:
    """Write the state's version next to new checkpoints; raise SettingsError if existing ones have another or none."""
    text = files.read_text(_VERSION)
    version = _version(text)
    if version == STATE_VERSION:
        return
    present = [name for name in files.names("") if name.startswith("orderflow") and "." not in name]
    if version is None and not any(_resumes_at(files, name) for name in present):
        files.write_text(_VERSION, json.dumps({"state_version": STATE_VERSION}))
        return
    held = "are of an unknown version" if version is None else f"hold state of version {version}"
    raise SettingsError(
        f"the candle checkpoints {held}, this code has {STATE_VERSION}; go back to the old code, or start the candles afresh "
        f"from what Kafka still holds: {_AFRESH} (stored candles are kept, and repeats are dropped by key)"
    )


def require_reachable_offsets(files: Files, extents: Mapping[str, Extent]) -> None:
    """Compare the offsets at which each query would continue with those that Kafka holds of its topic, and decide.

    Raises SettingsError that says how many messages are lost and which command to run.
    """
    refused: list[str] = []
    names: list[str] = []
    for query, extent in extents.items():
        at = _resumes_at(files, query)
        known = files.read_text(f"{query}/{_TOPIC}")
        if at and known is not None and known != extent.identity:
            _start_afresh(files, query, f"topic {extent.topic} was created again; nothing is left of the old one")
        elif at:
            cut = [number for number, offset in at.items() if offset > extent.ends.get(number, 0)]
            gone = {n: extent.starts[n] - offset for n, offset in at.items() if extent.starts.get(n, 0) > offset}
            if cut and known is None:
                _start_afresh(files, query, f"topic {extent.topic} ends before the checkpoint, so it was created again")
            elif cut:
                raise SettingsError(_cut_short(query, extent, at, cut[0]))
            elif gone and query == _LIVE:
                log.warning("query %s: %s; it continues with what is left", query, _overtaken(extent, at, gone))
            elif gone:
                refused.append(f"query {query}, which last ran on {_last_day(files, query)}: {_overtaken(extent, at, gone)}")
                names.append(query)
        if query not in names and files.read_text(f"{query}/{_TOPIC}") != extent.identity:
            files.write_text(f"{query}/{_TOPIC}", extent.identity)
    if refused:
        paths = " ".join(f"/trading/checkpoints/{name}" for name in names)
        raise SettingsError(
            f"{'; '.join(refused)}. To continue with what Kafka still holds: hdfs dfs -rm -r {paths} (what is stored stays, and "
            f"is not stored again){_afterwards(names)}; see docs/TROUBLESHOOTING.md, 'Kafka deleted unread messages'"
        )


def require_same_partitions(files: Files, query: str, extent: Extent) -> None:
    """Raise SettingsError when a topic has gained partitions since the query began.

    Kafka then sends an instrument to another partition than the one that holds its open minutes.
    """
    known = _resumes_at(files, query)
    gained = sorted(extent.ends.keys() - known.keys())
    if known and gained:
        raise SettingsError(
            f"topic {extent.topic} has {len(extent.ends)} partitions, but query {query} has state of {len(known)}: an instrument "
            f"may have moved to another one. {_START_AFRESH}"
        )


def changelog_partitions(files: Files, query: str, changelog: Extent) -> int:
    """Return the number of changelog partitions with a query's state: the number that the topic had at the query's first start.

    Raises SettingsError when the checkpoint's state is in a topic that is gone.
    """
    path = f"{query}/{_CHANGELOG}"
    text = files.read_text(path)
    if text is None and _last_commit(files, query) is None:
        text = json.dumps({"topic": changelog.identity, "partitions": len(changelog.ends)})
        files.write_text(path, text)
    known = json.loads(text or "{}")
    if known.get("topic") != changelog.identity:
        raise SettingsError(
            f"topic {changelog.topic} was created again, and with the old one the state of query {query} is gone. {_START_AFRESH}"
        )
    return int(known["partitions"])


def _afterwards(names: list[str]) -> str:
    """Return the commands to run for the affected days: derived rows can be recomputed from stored ticks, ticks cannot."""
    text = ""
    if any(name != _STORED_TICKS for name in names):
        text += ", then python -m orderflow reprocess --date YYYY-MM-DD for the days concerned"
    if _STORED_TICKS in names:
        text += (
            "; no command restores the ticks: python -m orderflow lake verify --date YYYY-MM-DD reports what is missing, and "
            "python -m orderflow backfill --from YYYY-MM-DD fetches its candles from Upstox"
        )
    return text


def _version(text: str | None) -> Any:
    try:
        return json.loads(text or "null")["state_version"]
    except (ValueError, TypeError, KeyError):
        return None


def _resumes_at(files: Files, query: str) -> dict[int, int]:
    """Return the offsets a query would continue from: those its last committed batch ended at; none before its first start."""
    committed = _last_commit(files, query)
    text = files.read_text(f"{query}/sources/0/0" if committed is None else f"{query}/offsets/{committed}")
    offsets: dict[int, int] = {}
    for line in (text or "").splitlines():
        try:
            read = json.loads(line)
        except ValueError:
            continue
        if isinstance(read, dict):
            for partitions in read.values():
                if isinstance(partitions, dict) and all(number.isdigit() for number in partitions):
                    offsets.update({int(number): int(offset) for number, offset in partitions.items()})
    return offsets


def _last_commit(files: Files, query: str) -> int | None:
    return max((int(name) for name in files.names(f"{query}/commits") if name.isdigit()), default=None)


def _last_day(files: Files, query: str) -> str:
    committed = _last_commit(files, query)
    return "no day" if committed is None else ist_date(files.modified_ms(f"{query}/commits/{committed}"))


def _start_afresh(files: Files, query: str, why: str) -> None:
    files.move(query, f"{_SET_ASIDE}/{query}")
    cure = ". Minutes that were open then are corrected by python -m orderflow reprocess --date YYYY-MM-DD"
    log.warning(
        "query %s starts afresh from the first message that Kafka holds: %s. "
        "Its checkpoint is kept in /trading/checkpoints/%s/%s%s",
        query,
        why,
        _SET_ASIDE,
        query,
        "" if query in (_LIVE, _STORED_TICKS) else cure,
    )


def _overtaken(extent: Extent, at: Mapping[int, int], gone: Mapping[int, int]) -> str:
    number = min(gone)
    return (
        f"Kafka no longer has {sum(gone.values())} messages of {extent.topic} that were not read yet (partition {number}: read "
        f"up to offset {at[number]}, kept from {extent.starts[number]}): retention has deleted them"
    )


def _cut_short(query: str, extent: Extent, at: Mapping[int, int], number: int) -> str:
    return (
        f"Kafka's partition {number} of {extent.topic} ends at offset {extent.ends.get(number, 0)}, but query {query} has read "
        f"up to {at[number]}: Kafka lost the end of it, as in a power failure, and will give those offsets to other messages. "
        f"Create the topic again, and every query starts afresh by itself: {_first(query, extent, at)}kafka-topics.sh "
        f"--bootstrap-server kafka:29092 --delete --topic {extent.topic}, then python -m orderflow setup topics; see "
        "docs/TROUBLESHOOTING.md, 'Kafka lost the end of its log'"
    )


def _first(query: str, extent: Extent, at: Mapping[int, int]) -> str:
    """Return what to do or know before deleting a topic: messages that storage has not read are lost with it."""
    if extent.topic != topics.TICKS:
        return ""
    if query == _STORED_TICKS:
        unread = sum(max(0, end - at.get(number, extent.starts.get(number, 0))) for number, end in extent.ends.items())
        return (
            f"{unread} messages that tick storage has not read, and those that still come, are lost with it; "
            "stop data-streamer, then "
        )
    return (
        "first let tick storage catch up, since what it has not stored is lost with the topic: stop data-streamer, and wait "
        f"until curl -s localhost:9103/metrics | grep offsets_behind_latest shows 0 for {_STORED_TICKS}, then "
    )
