"""`python -m orderflow replay RECORDING --out DIR`: runs a recording through the whole product, in one process."""

from __future__ import annotations

import argparse
import gzip
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import date, timedelta
from pathlib import Path
from typing import IO, Any, Final

import msgspec
from google.protobuf import json_format
from tqdm import tqdm
from upstox_client.feeder.proto import MarketDataFeedV3_pb2 as pb

from orderflow.market import aggressor, records
from orderflow.market.candle import Candle
from orderflow.market.engine.messages import levels_of
from orderflow.market.engine.partition import EngineSettings, Output, PartitionEngine
from orderflow.market.errors import OrderflowError
from orderflow.market.rejects import reject_record
from orderflow.market.session import SessionBook, SessionCalendar
from orderflow.market.tick import Tick
from orderflow.market.times import ist_date
from orderflow.market.trades import trade_of
from orderflow.market.validation import tick_problem
from orderflow.settings import WINDOW_MINUTES, Settings
from orderflow.upstox.calendar import equity_calendar
from orderflow.upstox.engine import FeedEngine

STREAMS: Final = ("ticks", "trades", "candles", "footprint", "events", "rejects")


class RecordingError(OrderflowError):
    """The recording cannot be read."""


class JsonLines:
    """Six files of JSON lines in a directory, one for each topic."""

    def __init__(self, directory: Path, files: ExitStack) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._files: dict[str, IO[bytes]] = {
            name: files.enter_context((directory / f"{name}.jsonl").open("wb")) for name in STREAMS
        }
        self.counts = dict.fromkeys(STREAMS, 0)

    def write(self, stream: str, record: Any) -> None:
        """Append one record, a struct or a mapping."""
        self._files[stream].write(msgspec.json.encode(record) + b"\n")
        self.counts[stream] += 1


class ReplaySink:
    """Takes what the feed's engine publishes, and passes ticks on to trades and candles."""

    is_spooling = False

    def __init__(self, lines: JsonLines, engine: PartitionEngine, rule: str) -> None:
        self._lines = lines
        self._engine = engine
        self._rule = rule

    def tick(self, tick: Tick) -> bool:
        """Write a tick, its trade and the candles that it made final."""
        problem = tick_problem(tick, tick.instrument_key, tick.received_time_ms)
        if problem is not None:
            payload = msgspec.json.encode(tick)
            self.reject(reject_record(problem, "feed", tick.received_time_ms, payload))
            return True
        self._lines.write("ticks", tick)
        trade = trade_of(tick, self._rule)
        if trade is not None:
            self._lines.write("trades", trade)
        self.final(self._engine.take(tick))
        return True

    def final(self, outputs: list[Output]) -> None:
        """Write what became final."""
        for output in outputs:
            if isinstance(output, records.FeedEvent):
                self._lines.write("events", output)
            elif isinstance(output, Candle):
                self._lines.write("candles", output.to_record())
            else:
                self._lines.write("candles", output.candle.to_record())
                for level in levels_of(output):
                    self._lines.write("footprint", level)

    def heartbeat(self, tick: Tick) -> None:
        """Take a heartbeat: there is none in a replay, whose clock is that of its ticks."""

    def event(self, record: dict[str, Any]) -> None:
        """Take an entry of the ledger."""
        self._lines.write("events", record)

    def reject(self, record: dict[str, Any]) -> None:
        """Take something that could not be used."""
        self._lines.write("rejects", record)

    def state(self, key: str, record: Callable[[], dict[str, Any]]) -> None:
        """Take a state: a replay keeps none."""

    def backlog_number(self) -> int:
        """Return the number of the last record taken, of which none waits."""
        return 0

    def is_acknowledged(self, number: int) -> bool:
        """Report that everything is written."""
        return number >= 0

    def oldest_unacknowledged_seconds(self) -> float:
        """Return 0: nothing waits."""
        return 0.0


def run(
    recording: Path, out: Path, *, rule: str, windows: tuple[int, ...], settings: Settings, status_made_up: bool = False
) -> int:
    """Replay `recording` into `out`; returns the exit code. Raises RecordingError on a file that is not a recording.

    With `status_made_up`, sessions follow the calendar alone, because the recording program invented the market status.
    """
    engine = PartitionEngine(
        EngineSettings(rule, settings.watermark_seconds * 1000, settings.exchange_bars, windows, source="stream")
    )
    with ExitStack() as files:
        lines = JsonLines(out, files)
        sink = ReplaySink(lines, engine, rule)
        feed: FeedEngine | None = None
        last_ms = 0
        for number, message in messages(recording):
            try:
                payload = json_format.ParseDict(message, pb.FeedResponse()).SerializeToString()
                at_ms = int(message["currentTs"])
            except (json_format.ParseError, KeyError, TypeError, ValueError) as error:
                sink.reject(reject_record("bad_message", f"{recording.name}:{number}", last_ms, json.dumps(message).encode()))
                print(f"{recording.name}, line {number}: {error}", file=sys.stderr)
                continue
            if feed is None:
                calendar = SessionCalendar(equity_calendar(date.fromisoformat(ist_date(at_ms)) - timedelta(days=7)))
                book = SessionBook(calendar, status_made_up=status_made_up)
                feed = FeedEngine(sink, book)
                feed.opened(at_ms)
            keys = message.get("feeds", {})
            if keys and "type" not in message and feed.states:
                feed.lost(last_ms, "the recording begins a new connection")
                feed.opened(at_ms)
            feed.own(keys)
            feed.message(payload, at_ms)
            last_ms = at_ms
        if feed is None:
            raise RecordingError(f"{recording} holds no message of the feed")
        feed.close(last_ms, "the recording ends")
        sink.final(engine.finish())
    print(", ".join(f"{count} {name}" for name, count in lines.counts.items()), f"in {out}")
    return 0


def messages(recording: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield (line number, decoded message) of a recording, plain or gzipped; shows progress on a terminal.

    Raises RecordingError with the line that is no JSON object.
    """
    try:
        size = recording.stat().st_size
        with recording.open("rb") as raw, tqdm(total=size, unit="B", unit_scale=True, disable=None, leave=False) as progress:
            packed = recording.suffix == ".gz"
            with gzip.open(raw, "rb") if packed else raw as lines:
                for number, line in enumerate(lines, 1):
                    progress.update(raw.tell() - progress.n)
                    if line.strip():
                        yield number, _object(recording, number, line)
    except (OSError, EOFError) as error:
        raise RecordingError(f"{recording} cannot be read: {error}") from error


def _object(recording: Path, number: int, line: bytes) -> dict[str, Any]:
    try:
        message = json.loads(line)
    except ValueError as error:
        raise RecordingError(f"{recording.name}, line {number} is not JSON: {error}") from error
    if not isinstance(message, dict):
        raise RecordingError(f"{recording.name}, line {number} is not a message of the feed but {str(message)[:40]!r}")
    return message


def add_parser(commands: Any) -> None:
    """Add the sub-command to the command line."""
    parser = commands.add_parser("replay", help="run a recording through decoding, sides and candles, without any service")
    parser.add_argument("recording", type=Path, help="decoded FeedResponses as JSON lines, plain or .gz (what RECORD_DIR keeps)")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="directory for the six .jsonl files")
    parser.add_argument("--window", type=int, action="append", choices=WINDOW_MINUTES, default=[], metavar="N",
                        help="also write candles of N minutes; may be given several times")  # fmt: skip
    parser.add_argument("--status-made-up", action="store_true",
                        help="the market status is the recorder's: sessions follow the calendar alone")  # fmt: skip
    parser.add_argument("--rule", choices=aggressor.RULES, help="how volume is split (AGGRESSOR_RULE)")
    parser.set_defaults(run=_command)


def _command(arguments: argparse.Namespace, settings: Settings) -> int:
    windows = tuple(sorted({n for n in arguments.window if n > 1}))
    rule = arguments.rule or settings.aggressor_rule
    return run(
        arguments.recording, arguments.out, rule=rule, windows=windows, settings=settings, status_made_up=arguments.status_made_up
    )
