"""The gap ledger: one record for each event of the feed; duplicates are reported together once a minute."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

_TOGETHER_MS: Final = 60_000


@dataclass(slots=True)
class _Repeats:
    """Repeats of one instrument that are reported together."""

    count: int
    from_ms: int | None
    to_ms: int | None


@dataclass(slots=True)
class Ledger:
    """Write records.FEED_EVENT to `publish`, with the streamer's name."""

    publish: Callable[[dict[str, Any]], None]
    streamer: str | None = None
    _repeats: dict[str, _Repeats] = field(default_factory=dict)
    _flushed_ms: int = 0

    def event(self, name: str, at_ms: int, *, detail: dict[str, Any] | None = None, **known: Any) -> None:
        """Write one record; `known` are its other fields, of which those that are None are left out."""
        record = {"event": name, "at_ms": at_ms, **{field: value for field, value in known.items() if value is not None}}
        if detail is not None:
            record["detail"] = json.dumps(detail)
        if self.streamer is not None:
            record["streamer"] = self.streamer
        self.publish(record)

    def repeated(self, key: str, from_ms: int | None, to_ms: int | None) -> None:
        """Note an update that repeats the one before."""
        known = self._repeats.get(key)
        if known is None:
            self._repeats[key] = _Repeats(1, from_ms, to_ms)
        else:
            known.count += 1
            known.to_ms = to_ms

    def flush(self, at_ms: int, *, all_of_it: bool = False) -> None:
        """Report duplicates if a minute has passed since the last report, or at once with `all_of_it`."""
        if not all_of_it and at_ms - self._flushed_ms < _TOGETHER_MS:
            return
        self._flushed_ms = at_ms
        for key, seen in self._repeats.items():
            self.event(
                "duplicate",
                at_ms,
                instrument_key=key,
                from_ms=seen.from_ms,
                to_ms=seen.to_ms,
                cause="the feed repeated itself",
                volume=0,
                detail={"count": seen.count},
            )
        self._repeats.clear()
