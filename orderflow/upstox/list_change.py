"""What a changed watch list means for each connection, and how the connection's engine follows it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from orderflow.upstox.engine import FeedEngine
from orderflow.upstox.resolution import Resolution, Selection
from orderflow.upstox.watch_list import Change


def by_connection(change: Change, before: Sequence[Mapping[str, str]], after: Sequence[Mapping[str, str]]) -> Iterator[Change]:
    """Yield the part of a changed watch list for each connection; the first part also has the events for the ledger.

    `before` and `after` give the mode of each key by connection.
    """
    for number, (was, now) in enumerate(zip(before, after, strict=True)):
        added, removed = tuple(now.keys() - was.keys()), tuple(was.keys() - now.keys())
        own = change._replace(selection=change.selection._replace(modes=dict(now)), added=added, removed=removed)
        if number:
            own = own._replace(selection=Selection(dict(now), {}, {}, {}), rolled={}, replaced={}, stored=None)
        yield own


def follow(engine: FeedEngine, *, change: Change, at_ms: int, resolution: Resolution | None = None) -> None:
    """Apply a changed watch list, and the trading hours of `resolution`, to the engine, on the worker's thread."""
    if resolution is not None:
        engine.book.renew(resolution.calendar, resolution.with_derivatives, resolution.contracts)
    if change.stored is not None:
        engine.refused(change.stored.rejects, change.stored.rejected)
    engine.disown(change.removed)
    engine.restore(change.states)
    engine.own(change.added, "the instrument was not on the watch list")
    engine.subscribed(change.selection.modes)
    _tell(engine, at_ms, change.selection.skipped, change.replaced)
    for name, key in change.rolled.items():
        engine.event("rollover", at_ms, f"{name} is now {key}", key=key)


def begin(engine: FeedEngine, *, selection: Selection, at_ms: int) -> None:
    """Write into the ledger what a streamer begins with, once its engines have their instruments."""
    keys = selection.keys
    resumed = sum(1 for state in engine.states.values() if state.sequence)
    engine.event("restart", at_ms, f"{resumed} of {len(keys)} instruments continue from their stored state")
    _tell(engine, at_ms, selection.skipped, selection.replaced)
    for name, key in selection.rolling.items():
        engine.event("rollover", at_ms, f"{name} is {key}", key=key)


def _tell(engine: FeedEngine, at_ms: int, skipped: Mapping[str, str], replaced: Mapping[str, str]) -> None:
    """Write into the ledger, with the causes, which names are not streamed and which keys replace others."""
    for name, cause in skipped.items():
        engine.event("skipped", at_ms, cause, key=name)
    for key, cause in replaced.items():
        engine.event("replaced", at_ms, cause, key=key)
