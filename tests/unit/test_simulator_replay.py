"""Replays: byte for byte, moved to now, and what is announced at the end."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import json_format
from upstox_client.feeder.proto import MarketDataFeedV3_pb2 as pb

from orderflow.market.errors import SettingsError
from orderflow.simulator.replay import Recording
from orderflow.upstox.instruments import InstrumentMaster

KEY = "NSE_EQ|INE467B01029"
T0 = 1_765_770_300_000
WALL = 1_795_400_012_345


def line(at_ms: int, vtt: int, kind: str | None = "live_feed") -> dict[str, Any]:
    ltpc = {"ltp": 100.5, "ltt": str(at_ms - 400), "ltq": "3", "cp": 99.0}
    day = {"interval": "1d", "open": 100.0, "high": 101.0, "low": 99.5, "close": 100.5, "vol": str(vtt), "ts": "1765737000000"}
    minute = {"interval": "I1", "open": 100.0, "high": 100.5, "low": 100.0, "close": 100.5, "vol": "7", "ts": str(T0 - 60_000)}
    full = {"ltpc": ltpc, "optionGreeks": {}, "marketOHLC": {"ohlc": [day, minute]}, "atp": 100.2, "vtt": str(vtt)}
    feeds = {KEY: {"fullFeed": {"marketFF": full}, "requestMode": "full_d5"}}
    return {**({"type": kind} if kind else {}), "feeds": feeds, "currentTs": str(at_ms)}


INFO = {"type": "market_info", "currentTs": str(T0 - 250), "marketInfo": {"segmentStatus": {"NSE_EQ": "NORMAL_OPEN"}}}
LINES = [INFO, line(T0, 10, None), line(T0 + 1_000, 12), line(T0 + 90_000, 15)]


def decoded(payload: bytes | None) -> dict[str, Any]:
    assert payload is not None
    return dict(json_format.MessageToDict(pb.FeedResponse.FromString(payload)))


def test_replay_when_original_then_every_live_message_is_the_recorded_one() -> None:
    source = Recording.of_messages(LINES)
    source.start(WALL)
    assert decoded(source.entry(KEY, "full"))["feeds"] == LINES[1]["feeds"]
    sent = []
    due = []
    while (at := source.due_ms()) is not None:
        due.append(at)
        sent.append(source.next())
    assert due == [T0 + 1_000, T0 + 90_000, T0 + 91_000]
    assert [decoded(each.whole) for each in sent[:2]] == LINES[2:]
    assert [each.keys for each in sent] == [(KEY,), (KEY,), ()]
    closing = decoded(sent[2].announcement)
    assert closing["type"] == "market_info"
    assert set(closing["marketInfo"]["segmentStatus"].values()) == {"NORMAL_CLOSE"}


def test_master_when_a_stock_has_derivatives_then_it_says_so_at_real_hours_only() -> None:
    other = "NSE_EQ|INE118H01025"
    eligible = {"feeds": {other: {"fullFeed": {"marketFF": {"casEligible": True}}}}, "currentTs": str(T0)}
    rows = Recording.of_messages([*LINES, eligible]).instrument_master()
    assert InstrumentMaster.from_rows(rows).with_derivatives == {KEY, other}
    assert InstrumentMaster.from_rows(Recording.of_messages(LINES, times="now").instrument_master()).with_derivatives == set()


def test_replay_when_ended_then_keeps_serving_the_last_state() -> None:
    source = Recording.of_messages(LINES)
    while source.due_ms() is not None:
        source.next()
    assert decoded(source.entry(KEY, "full"))["feeds"] == LINES[3]["feeds"]
    assert source.segment_status("NSE_EQ") == "NORMAL_CLOSE"


HALF_PAST_THREE = T0 + 375 * 60_000
"""15:30 IST on the recording's date."""


def announced(source: Recording) -> list[tuple[int, str]]:
    statuses = []
    while source.due_ms() is not None:
        message = source.next()
        if message.announcement is not None:
            statuses.append((message.feed_time_ms, decoded(message.announcement)["marketInfo"]["segmentStatus"]["NSE_EQ"]))
    return statuses


def test_replay_when_its_one_status_was_made_up_then_the_close_is_announced_when_the_real_session_ends() -> None:
    late = line(HALF_PAST_THREE + 724_000, 15)
    source = Recording.of_messages([INFO, line(T0, 10, None), late])
    assert announced(source) == [(HALF_PAST_THREE, "NORMAL_CLOSE"), (HALF_PAST_THREE + 725_000, "NORMAL_CLOSE")]
    statuses = {
        "type": "market_info",
        "currentTs": str(HALF_PAST_THREE + 9),
        "marketInfo": {"segmentStatus": {"NSE_EQ": "NORMAL_OPEN"}},
    }
    source = Recording.of_messages([INFO, *LINES[1:3], statuses, late])
    assert announced(source) == [(HALF_PAST_THREE + 9, "NORMAL_OPEN"), (HALF_PAST_THREE + 725_000, "NORMAL_CLOSE")]


def test_replay_when_moved_over_the_real_close_then_it_announces_that_it_stays_open() -> None:
    source = Recording.of_messages(LINES, times="now")
    source.start(HALF_PAST_THREE + 7 * 86_400_000 - 30_000)
    at = HALF_PAST_THREE + 7 * 86_400_000
    assert announced(source)[:2] == [(at, "NORMAL_CLOSE"), (at, "NORMAL_OPEN")]


def test_replay_when_moved_to_before_the_real_open_then_a_new_connection_is_sent_a_close_first() -> None:
    source = Recording.of_messages(LINES, times="now")
    source.start(T0 + 7 * 86_400_000 - 300_000)
    statuses = [decoded(each)["marketInfo"]["segmentStatus"]["NSE_EQ"] for each in source.greeting()]
    assert statuses == ["NORMAL_CLOSE", "NORMAL_OPEN"]
    source.start(T0 + 7 * 86_400_000 + 300_000)
    assert len(source.greeting()) == 1


@pytest.mark.parametrize("speed", [0.5, 1.0, 20.0])
def test_replay_when_moved_to_now_then_never_runs_ahead_and_ends_within_a_minute_and_the_rest(speed: float) -> None:
    source = Recording.of_messages(LINES, speed=speed, times="now")
    source.start(WALL)
    first = source.now_ms()
    while (at := source.due_ms()) is not None:
        wall = WALL + (at - first) / speed
        assert at <= wall
        source.next()
    lag = WALL + (source.now_ms() - first) / speed - source.now_ms()
    assert lag < 60_000 + (0 if speed >= 1 else 92_000)


def test_replay_when_moved_to_now_then_all_times_move_by_whole_minutes() -> None:
    source = Recording.of_messages(LINES, times="now")
    source.start(WALL)
    source.next()
    feed = decoded(source.entry(KEY, "full"))["feeds"][KEY]["fullFeed"]["marketFF"]
    shift = int(feed["ltpc"]["ltt"]) - (T0 + 600)
    assert shift % 60_000 == 0
    day, minute = feed["marketOHLC"]["ohlc"]
    assert int(minute["ts"]) == T0 - 60_000 + shift
    assert int(day["ts"]) == 1_795_372_200_000


def test_replay_when_started_again_before_it_runs_then_moves_to_the_later_now() -> None:
    source = Recording.of_messages(LINES, times="now")
    source.start(WALL)
    early = source.now_ms()
    source.start(WALL + 600_000)
    assert source.now_ms() == early + 600_000
    snapshot = decoded(source.entry(KEY, "full"))["feeds"][KEY]["fullFeed"]["marketFF"]
    assert int(snapshot["ltpc"]["ltt"]) == source.now_ms() - 400


def test_replay_when_candles_are_asked_for_then_gives_the_bars_seen() -> None:
    source = Recording.of_messages(LINES)
    assert list(source.minute_candles(KEY, T0 - 60_000, T0)) == [(T0 - 60_000, 100.0, 100.5, 100.0, 100.5, 7)]
    assert list(source.minute_candles(KEY, T0, T0 + 1)) == []


def test_replay_when_packed_or_plain_then_reads_the_same(tmp_path: Path) -> None:
    text = "".join(json.dumps(each) + "\n" for each in LINES)
    plain, packed = tmp_path / "a.jsonl", tmp_path / "a.jsonl.gz"
    plain.write_text(text)
    packed.write_bytes(gzip.compress(text.encode()))
    assert Recording.open(plain).keys == Recording.open(packed).keys == (KEY,)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [(b"", "is empty"), (b'{"feeds": 5}\n', "line 1"), (b"{}\nnot json\n", "line 2"), (b"\xff\xfe", "cannot be read")],
)
def test_replay_when_the_file_is_no_recording_then_says_where(tmp_path: Path, content: bytes, complaint: str) -> None:
    path = tmp_path / "bad.jsonl"
    path.write_bytes(content)
    with pytest.raises(SettingsError, match=complaint):
        Recording.open(path)


def test_replay_when_the_file_is_absent_or_no_gzip_then_says_so(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="cannot be read"):
        Recording.open(tmp_path / "absent.jsonl")
    (tmp_path / "bad.jsonl.gz").write_bytes(b"not gzip")
    with pytest.raises(SettingsError, match="cannot be read"):
        Recording.open(tmp_path / "bad.jsonl.gz")


def test_replay_when_a_real_recording_then_every_message_survives(shared: Path) -> None:
    path = shared / "data" / "upstox" / "preopen_and_index.jsonl"
    lines = [json.loads(text) for text in path.read_text().splitlines()]
    source = Recording.open(path)
    sent = []
    while source.due_ms() is not None:
        message = source.next()
        sent.append(decoded(message.whole or message.announcement))
    assert sent[:-1] == lines
