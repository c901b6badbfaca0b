"""Builds a decoded recording of one instrument's day from a few words, and replays it through the product."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

from session_days import clock, ist

from orderflow import __main__ as command

MINUTE_MS = 60_000
_MINUTE = ((10, 100.05, 30), (18, 100.05, 0), (26, 100.0, 0), (34, 99.95, 20), (42, 100.0, 0), (51, 100.0, 0))
"""A minute's updates: second, price, volume."""


class DayRecording:
    """One instrument's messages in the order of time. Each minute of trading is 30 bought and 20 sold, with its bar after it.

    `vtt` has traded before the first message, the last of it at `last_trade`; without it, nothing since the day before.
    """

    def __init__(self, key: str, date: str, vtt: int = 0, last_trade: str | None = None) -> None:
        self.key, self.date, self.vtt = key, date, vtt
        self._ltt_ms = ist(f"{date}T00:00") - 9 * 60 * MINUTE_MS if last_trade is None else self.at(last_trade)
        self._messages: list[dict[str, Any]] = []
        self._bar: tuple[int, int] | None = None
        self._live = False

    def at(self, time: str) -> int:
        """Return an IST time of the date in epoch milliseconds."""
        return ist(f"{self.date}T{time}")

    def status(self, time: str, status: str) -> None:
        """Announce the status of the instrument's segment."""
        statuses = {self.key.partition("|")[0]: status}
        self._messages.append({"type": "market_info", "currentTs": str(self.at(time)), "marketInfo": {"segmentStatus": statuses}})

    def update(
        self, time: str | int, price: float = 100.0, volume: int = 0, *, last_trade: str | None = None, **more: Any
    ) -> None:
        """Send an update; with `volume`, a trade 300 ms before it, or at `last_trade`."""
        at_ms = time if isinstance(time, int) else self.at(time)
        if volume:
            self.vtt += volume
            self._ltt_ms = at_ms - 300 if last_trade is None else self.at(last_trade)
        full: dict[str, Any] = {
            "ltpc": {"ltp": price, "ltt": str(self._ltt_ms), "ltq": str(volume or 10), "cp": 99.0},
            "marketLevel": {"bidAskQuote": [{"bidQ": "100", "bidP": price - 0.05, "askQ": "100", "askP": price + 0.05}]},
            **more,
        }
        if self.vtt:
            full["vtt"] = str(self.vtt)
        if self._bar is not None:
            start_ms, traded = self._bar
            bar = {
                "interval": "I1",
                "vol": str(traded),
                "ts": str(start_ms),
                **dict.fromkeys(("open", "high", "low", "close"), price),
            }
            full["marketOHLC"] = {"ohlc": [bar]}
            self._bar = None
        message = {"feeds": {self.key: {"fullFeed": {"marketFF": full}, "requestMode": "full_d5"}}, "currentTs": str(at_ms)}
        self._messages.append({"type": "live_feed", **message} if self._live else message)
        self._live = True

    def reconnected(self) -> None:
        """Let the next update be the snapshot of a new connection."""
        self._live = False

    def trading(self, time: str, minutes: int, *, auction: int = 0, first_bar: bool = True) -> None:
        """Trade for some minutes, ended by an update with the last one's bar.

        `auction` is in the first bar as well; without `first_bar` that one never comes.
        """
        for start_ms in range(self.at(time), self.at(time) + minutes * MINUTE_MS, MINUTE_MS):
            self.update(start_ms + 2_000)
            for second, price, volume in _MINUTE:
                self.update(start_ms + second * 1_000, price, volume)
            self._bar, auction, first_bar = (start_ms, 50 + auction) if first_bar else None, 0, True
        self.update(self.at(time) + minutes * MINUTE_MS + 2_000)

    def replayed(self, directory: Path, *options: str) -> Replayed:
        """Run `python -m orderflow replay` on it."""
        path = directory / "recording.jsonl"
        path.write_text("".join(json.dumps(message) + "\n" for message in self._messages))
        assert command.main(["replay", str(path), "--out", str(directory / "out"), *options]) == 0
        return Replayed(directory / "out")


class Replayed:
    """What a replay wrote."""

    def __init__(self, out: Path) -> None:
        self.ticks, self.candles, self.footprint = (
            [json.loads(line) for line in (out / f"{name}.jsonl").read_text().splitlines()]
            for name in ("ticks", "candles", "footprint")
        )

    def of(self, minutes: int) -> list[dict[str, Any]]:
        """Return the candles of a length, in order."""
        return sorted((c for c in self.candles if c["window_minutes"] == minutes), key=lambda c: c["window_start"])

    def shown(self, minutes: int) -> list[str]:
        """Return each candle as `start-end phase total`, then `auction n` and `gap` where it has them."""
        return [_shown(candle) for candle in self.of(minutes)]

    @property
    def volume(self) -> int:
        """Return what the minute candles hold together."""
        return sum(candle["total_volume"] for candle in self.of(1))

    def tick_volumes(self) -> dict[str, int]:
        """Return the volume of ticks by phase, but for phases without any."""
        volumes: Counter[str] = Counter()
        for tick in self.ticks:
            volumes[tick["session_phase"]] += tick.get("traded_volume") or 0
        return dict(+volumes)


def _shown(candle: dict[str, Any]) -> str:
    start, end = (clock(ist(candle[f"window_{edge}"].removesuffix("+05:30"))) for edge in ("start", "end"))
    auction = f" auction {candle['auction_volume']}" if candle["auction_volume"] else ""
    return f"{start}-{end} {candle['session_phase']} {candle['total_volume']}{auction}{' gap' if candle['gap'] else ''}"
