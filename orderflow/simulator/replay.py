"""A recording as a source: sends decoded messages of the real feed again."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from google.protobuf import json_format
from upstox_client.feeder.proto import MarketDataFeedV3_pb2 as pb

from orderflow.market.errors import SettingsError
from orderflow.market.times import MINUTE_MS, midnight_ms
from orderflow.simulator import feed_message, session_plan
from orderflow.simulator.catalogue import choose, master
from orderflow.simulator.session_plan import SEGMENTS, Announcement
from orderflow.simulator.source import Candle, Message

_CLOSE_DELAY_MS: Final = 1_000


class Recording:
    """Replay decoded messages, one FeedResponse each, at `speed`, then announce the close.

    `times` = "original" sends every message byte for byte. `times` = "now" moves all times by the same whole number of
    minutes, so that bars stay aligned and no message runs ahead of the wall clock: at `speed` 1 the first messages are up to
    a minute old, at a higher speed the last ones are. Moved times stay open beyond the real hours; at original times a
    recording with one market status, which its recorder made up, closes when the real session of its date does. With `wait`
    the replay begins when somebody has subscribed. Without `announce_close` it stays open at its end, for tests that continue
    with `inject`.
    """

    lossless = True

    def __init__(
        self, lines: Sequence[Any], *, speed: float = 1.0, times: str = "original", wait: bool = True, announce_close: bool = True
    ) -> None:
        self.speed = speed
        self.waits_for_subscriber = wait
        self._times = times
        self._lines = list(lines)
        self._closed = not announce_close
        self.keys = tuple(dict.fromkeys(key for line in self._lines for key in line.feeds))
        self._shift_ms = 0
        self._feeds: dict[str, Any] = {}
        self._bars: dict[str, dict[int, Candle]] = {key: {} for key in self.keys}
        self._segments: dict[str, str] = dict.fromkeys(SEGMENTS, "NORMAL_OPEN")
        self._position = 0
        self._pending: list[Announcement] = []
        self._made_up = announce_close and sum(line.HasField("marketInfo") for line in self._lines) == 1
        self._first_ms, self._last_ms = int(self._lines[0].currentTs), int(self._lines[-1].currentTs) + _CLOSE_DELAY_MS
        self._now_ms = self._first_ms
        while self._position < len(self._lines) and self._lines[self._position].type != pb.live_feed:
            self._apply(self._lines[self._position])
            self._position += 1
        self._real_end_ms, self._ending = session_plan.next_real_end(self._now_ms)
        self._look_ahead()

    @classmethod
    def open(cls, path: Path, *, speed: float = 1.0, times: str = "original", wait: bool = True) -> Recording:
        """Read a .jsonl or .jsonl.gz file. Raises SettingsError naming file and line for an input that is not a recording."""
        lines = _read(path)
        if not lines:
            raise SettingsError(f"SIM_RECORDING={path} is empty; give a file with one decoded FeedResponse a line")
        return cls(lines, speed=speed, times=times, wait=wait)

    @classmethod
    def of_messages(cls, messages: Sequence[dict[str, Any]], **options: Any) -> Recording:
        """Take the messages from memory, as the SDK hands them over."""
        return cls([json_format.ParseDict(message, pb.FeedResponse()) for message in messages], **options)

    def start(self, wall_ms: int) -> None:
        """Fix the shift of times for a replay that starts at the wall clock `wall_ms`; may be called again before `next`."""
        if self._times != "now":
            return
        wanted = min(wall_ms - self._first_ms, wall_ms + int((self._last_ms - self._first_ms) / self.speed) - self._last_ms)
        moved = wanted - wanted % MINUTE_MS - self._shift_ms
        self._shift_ms += moved
        self._now_ms += moved
        self._pending = []
        self._real_end_ms, self._ending = session_plan.next_real_end(self._now_ms)
        self._look_ahead()
        for feed in self._feeds.values():
            _move(feed, moved, self._now_ms)
        for key, bars in self._bars.items():
            self._bars[key] = {at + moved: (at + moved, *bar[1:]) for at, bar in bars.items()}

    def due_ms(self) -> int | None:
        """Return the feed time of the next line or announcement; the close comes a second after the last line; then None."""
        return self._pending[0].at_ms if self._pending else self._line_due_ms()

    def _line_due_ms(self) -> int | None:
        if self._position < len(self._lines):
            return max(int(self._lines[self._position].currentTs) + self._shift_ms, self._now_ms)
        return None if self._closed else self._now_ms + _CLOSE_DELAY_MS

    def next(self) -> Message:
        """Advance by one line, or announce the end of a session or of the recording."""
        message = self._announced() if self._pending else self._next_line()
        self._look_ahead()
        return message

    def _announced(self) -> Message:
        announcement = self._pending.pop(0)
        self._now_ms = announcement.at_ms
        self._segments.update(announcement.segments)
        return Message(self._now_ms, announcement=self.market_info())

    def _next_line(self) -> Message:
        if self._position == len(self._lines):
            self._closed = True
            self._now_ms += _CLOSE_DELAY_MS
            self._segments = dict.fromkeys(self._segments, "NORMAL_CLOSE")
            return Message(self._now_ms, announcement=self.market_info())
        line = self._lines[self._position]
        self._position += 1
        return self._play(line)

    def _look_ahead(self) -> None:
        """Announce the ends of real sessions that come before the next line: when moved, also that the market stays open."""
        moved, due_ms = self._times == "now", self._line_due_ms()
        while not self._pending and (moved or self._made_up) and due_ms is not None and self._real_end_ms <= due_ms:
            at_ms, ending = self._real_end_ms, self._ending
            self._real_end_ms, self._ending = session_plan.next_real_end(at_ms)
            still = [segment for segment in ending if self._segments[segment] == "NORMAL_OPEN"]
            if still and (moved or (at_ms != midnight_ms(at_ms) == midnight_ms(due_ms))):
                self._pending = session_plan.reopening(at_ms, still)[: 2 if moved else 1]

    def inject(self, message: dict[str, Any]) -> Message:
        """Take up a message that is not in the recording, as if it were the next line."""
        return self._play(json_format.ParseDict(message, pb.FeedResponse()))

    def _play(self, line: Any) -> Message:
        if self._shift_ms:
            line.currentTs += self._shift_ms
            for feed in line.feeds.values():
                _move(feed, self._shift_ms, line.currentTs)
        self._apply(line)
        whole = bytes(line.SerializeToString())
        if line.HasField("marketInfo"):
            return Message(self._now_ms, announcement=whole)
        return Message(self._now_ms, tuple(line.feeds), whole)

    def market_info(self) -> bytes:
        """Return the segments' last recorded statuses."""
        return feed_message.market_info(self._now_ms, self._segments)

    def greeting(self) -> Sequence[bytes]:
        """Return the segments' statuses, phrased so that moved ones are believed at any hour."""
        return feed_message.greeting(self._now_ms, self._segments, self.market_info(), insists=self._times == "now")

    def entry(self, key: str, mode: str) -> bytes | None:
        """Return the instrument's last recorded state; a recording in full mode also serves the smaller modes."""
        feed = self._feeds.get(key)
        return None if feed is None else feed_message.entry(key, feed_message.in_mode(feed, mode))

    def now_ms(self) -> int:
        """Return the feed time of the last message."""
        return self._now_ms

    def instrument_master(self) -> list[dict[str, object]]:
        """Return a row for every instrument of the recording; the feed's `casEligible` names stocks with derivatives."""
        eligible = {key for line in self._lines for key, feed in line.feeds.items() if feed.fullFeed.marketFF.casEligible}
        known = (replace(each, derivatives=True) if each.key in eligible else each for each in choose(",".join(self.keys)))
        return master(known, real_hours=self._times == "original")

    def segment_status(self, segment: str) -> str:
        """Return the segment's last recorded status."""
        return self._segments.get(segment, "NORMAL_CLOSE")

    def minute_candles(self, key: str, from_ms: int, to_ms: int) -> Sequence[Candle]:
        """Return the I1 bars seen so far."""
        return [bar for at, bar in sorted(self._bars[key].items()) if from_ms <= at < to_ms]

    def _apply(self, line: Any) -> None:
        self._now_ms = max(self._now_ms, int(line.currentTs))
        for segment, status in line.marketInfo.segmentStatus.items():
            self._segments[segment] = pb.MarketStatus.Name(status)
        for key, feed in line.feeds.items():
            self._feeds[key] = feed
            for bar in _ohlc(feed):
                if bar.interval == "I1":
                    self._bars.setdefault(key, {})[bar.ts] = (bar.ts, bar.open, bar.high, bar.low, bar.close, bar.vol)


def _read(path: Path) -> list[Any]:
    lines: list[Any] = []
    try:
        for number, text in enumerate(_texts(path), start=1):
            if text.strip():
                try:
                    lines.append(json_format.ParseDict(json.loads(text), pb.FeedResponse()))
                except (ValueError, json_format.ParseError) as error:
                    raise SettingsError(f"SIM_RECORDING={path} line {number} is not a decoded FeedResponse: {error}") from error
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise SettingsError(f"SIM_RECORDING={path} cannot be read: {error}; give a .jsonl or .jsonl.gz file") from error
    return lines


def _texts(path: Path) -> Iterator[str]:
    with gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8") as file:
        yield from file


def _ohlc(feed: Any) -> Sequence[Any]:
    full = feed.fullFeed
    return list((full.indexFF if full.HasField("indexFF") else full.marketFF).marketOHLC.ohlc)


def _move(feed: Any, shift_ms: int, feed_time_ms: int) -> None:
    """Move a feed's times; the day bar's time becomes the IST midnight before the message's new time."""
    kind = feed.WhichOneof("FeedUnion")
    if kind == "fullFeed":
        full = feed.fullFeed
        ltpc = (full.indexFF if full.HasField("indexFF") else full.marketFF).ltpc
    else:
        ltpc = feed.ltpc if kind == "ltpc" else feed.firstLevelWithGreeks.ltpc
    if ltpc.ltt:
        ltpc.ltt += shift_ms
    for bar in _ohlc(feed) if kind == "fullFeed" else []:
        if bar.ts:
            bar.ts = midnight_ms(feed_time_ms) if bar.interval == "1d" else bar.ts + shift_ms
