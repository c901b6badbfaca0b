"""`python -m orderflow replay`: the same bytes every time, quiet without a terminal, clear errors."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from orderflow import __main__ as command
from orderflow.replay import STREAMS

OPEN = 1_765_770_300_000  # 2025-12-15 09:15:00 IST
KEY = "NSE_EQ|INE467B01029"


def message(second: float, vtt: int, price: float = 100.0, ltq: int = 5, **more: Any) -> dict[str, Any]:
    """One decoded message of the feed: a trade of one share `second` seconds after the open."""
    at_ms = OPEN + round(second * 1000)
    quotes = [{"bidQ": "10", "bidP": price - 0.1, "askQ": "10", "askP": price}]
    full = {
        "ltpc": {"ltp": price, "ltt": str(at_ms - 200), "ltq": str(ltq), "cp": 99.0},
        "marketLevel": {"bidAskQuote": quotes},
        "vtt": str(vtt),
        "tbq": 1_000.0,
        "tsq": 2_000.0,
    }
    return {"type": "live_feed", "feeds": {KEY: {"fullFeed": {"marketFF": full}}}, "currentTs": str(at_ms), **more}


def recording() -> list[dict[str, Any]]:
    """Six minutes with a trade every ten seconds; the first message is a snapshot."""
    snapshot, *live = [message(at, 1_000 + 5 * number, 100.0 + number % 3 / 10) for number, at in enumerate(range(2, 360, 10))]
    del snapshot["type"]
    return [snapshot, *live]


def written(directory: Path, messages: list[dict[str, Any]]) -> Path:
    path = directory / "recording.jsonl"
    path.write_text("".join(json.dumps(each) + "\n" for each in messages))
    return path


def replay(path: Path, out: Path, *options: str) -> int:
    return command.main(["replay", str(path), "--out", str(out), *options])


def lines(out: Path, stream: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / f"{stream}.jsonl").read_text().splitlines()]


def test_replay_when_run_twice_then_writes_the_same_bytes(tmp_path: Path) -> None:
    path = written(tmp_path, recording())
    for name in ("one", "two"):
        assert replay(path, tmp_path / name, "--window", "5") == 0
    for stream in STREAMS:
        assert (tmp_path / "one" / f"{stream}.jsonl").read_bytes() == (tmp_path / "two" / f"{stream}.jsonl").read_bytes()
    assert len(lines(tmp_path / "one", "ticks")) == 36
    assert sum(trade["volume"] for trade in lines(tmp_path / "one", "trades")) == 175


def test_replay_when_the_directory_holds_an_older_one_then_it_is_replaced(tmp_path: Path) -> None:
    out = tmp_path / "out"
    replay(written(tmp_path, recording()), out)
    before = {stream: lines(out, stream) for stream in STREAMS}
    assert replay(written(tmp_path, recording()[:3]), out) == 0
    assert len(lines(out, "ticks")) == 3
    assert len(before["ticks"]) == 36


def test_replay_when_nothing_is_late_or_rejected_then_all_six_files_are_there(tmp_path: Path) -> None:
    replay(written(tmp_path, recording()), tmp_path)
    assert {path.name for path in tmp_path.glob("*.jsonl")} == {"recording.jsonl", *(f"{name}.jsonl" for name in STREAMS)}
    assert lines(tmp_path, "rejects") == []


def test_windows_when_two_are_asked_for_then_both_lengths_are_beside_minutes(tmp_path: Path) -> None:
    assert replay(written(tmp_path, recording()), tmp_path, "--window", "5", "--window", "2", "--window", "5") == 0
    lengths = [candle["window_minutes"] for candle in lines(tmp_path, "candles")]
    assert {length: lengths.count(length) for length in set(lengths)} == {1: 6, 2: 3, 5: 2}


def test_windows_when_one_minute_is_asked_for_then_each_minute_is_there_once(tmp_path: Path) -> None:
    assert replay(written(tmp_path, recording()), tmp_path, "--window", "1") == 0
    assert [candle["window_minutes"] for candle in lines(tmp_path, "candles")] == [1] * 6


def test_recording_when_gzipped_then_it_gives_the_same(tmp_path: Path) -> None:
    path = written(tmp_path, recording())
    packed = tmp_path / "recording.jsonl.gz"
    packed.write_bytes(gzip.compress(path.read_bytes()))
    assert (replay(path, tmp_path / "plain"), replay(packed, tmp_path / "packed")) == (0, 0)
    for stream in STREAMS:
        assert (tmp_path / "plain" / f"{stream}.jsonl").read_bytes() == (tmp_path / "packed" / f"{stream}.jsonl").read_bytes()


def test_progress_when_there_is_no_terminal_then_none_is_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    replay(written(tmp_path, recording()), tmp_path)
    said = capsys.readouterr()
    assert "it/s" not in said.err
    assert "%|" not in said.err
    assert said.out.startswith("36 ticks, 35 trades, 6 candles")


def error_of(path: Path, out: Path, capsys: pytest.CaptureFixture[str]) -> str:
    """Return what a replay that fails says; it must say it in one line, without a traceback."""
    from orderflow.market.errors import OrderflowError

    try:
        code = replay(path, out)
    except OrderflowError as error:
        return str(error)
    assert code != 0
    return capsys.readouterr().err


def test_recording_when_it_is_missing_then_the_error_names_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = error_of(tmp_path / "nowhere.jsonl", tmp_path / "out", capsys)
    assert "nowhere.jsonl cannot be read" in said
    assert "No such file" in said


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{no json", "recording.jsonl, line 3 is not JSON"),
        ("[1, 2]", "recording.jsonl, line 3 is not a message of the feed but '[1, 2]'"),
        ("null", "recording.jsonl, line 3 is not a message of the feed but 'None'"),
    ],
)
def test_recording_when_a_line_is_no_message_then_the_error_names_the_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], line: str, message: str
) -> None:
    path = written(tmp_path, recording()[:2])
    with path.open("a") as more:
        more.write(line + "\n")
    assert message in error_of(path, tmp_path / "out", capsys)


def test_recording_when_it_is_empty_then_the_error_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = written(tmp_path, [])
    assert "recording.jsonl holds no message of the feed" in error_of(path, tmp_path / "out", capsys)


def test_recording_when_the_archive_is_cut_short_then_the_error_names_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    packed = tmp_path / "cut.jsonl.gz"
    packed.write_bytes(gzip.compress(written(tmp_path, recording()).read_bytes())[:-40])
    assert "cut.jsonl.gz cannot be read" in error_of(packed, tmp_path / "out", capsys)


def test_message_when_it_has_fields_that_the_feed_does_not_know_then_it_is_rejected_and_the_rest_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second, *rest = recording()
    assert replay(written(tmp_path, [first, second | {"surprise": 1}, *rest]), tmp_path) == 0
    (reject,) = lines(tmp_path, "rejects")
    assert (reject["reason"], reject["source"]) == ("bad_message", "recording.jsonl:2")
    assert len(lines(tmp_path, "ticks")) == 35
    assert "recording.jsonl, line 2" in capsys.readouterr().err
