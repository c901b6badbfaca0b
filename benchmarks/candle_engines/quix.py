"""Simple minute candles by quixstreams, one process a partition; run by candle_engine.py in an environment of its own."""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from datetime import timedelta
from typing import Any

from quixstreams import Application
from quixstreams.dataframe.windows import First, Last, Max, Min, Sum

IDLE_SECONDS = 8.0
COLUMNS = {
    "open": First("ltp"), "high": Max("ltp"), "low": Min("ltp"), "close": Last("ltp"), "volume": Sum("traded_volume"),
}  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--brokers", required=True)
    parser.add_argument("--state", required=True)
    parser.add_argument("--group", required=True)
    parser.add_argument("--partitions", type=int, default=2)
    parser.add_argument("--source", required=True)
    parser.add_argument("--sink", required=True)
    parser.add_argument("--member", type=int, help="run one process of the group; without it, all of them")
    options = parser.parse_args()
    if options.member is not None:
        return member(options)
    members = [
        subprocess.Popen([sys.executable, *sys.argv, "--member", str(number)], stdout=subprocess.PIPE, text=True)
        for number in range(options.partitions)
    ]
    printed = [each.communicate()[0] for each in members]
    if any(each.returncode for each in members):
        return 1
    times = [line.split() for lines in printed for line in lines.splitlines() if line.startswith("BEGAN")]
    print(f"BEGAN {min(int(each[1]) for each in times)} ENDED {max(int(each[3]) for each in times)}", flush=True)
    return 0


def member(options: argparse.Namespace) -> int:
    """Process what the group assigns until nothing more comes; prints when the first and the last message were processed."""
    times = [0.0, 0.0]

    def note(_topic: str, _partition: int, _offset: int) -> None:
        times[1] = time.time()
        if not times[0]:
            times[0] = times[1]

    app = Application(
        broker_address=options.brokers,
        consumer_group=options.group,
        auto_offset_reset="earliest",
        state_dir=f"{options.state}/{options.member}",
        on_message_processed=note,
        loglevel="WARNING",
    )
    source = app.topic(options.source, key_deserializer="str", value_deserializer="json", timestamp_extractor=time_of)
    sink = app.topic(options.sink, key_serializer="str", value_serializer="json")
    frame = app.dataframe(source).filter(is_counted).apply(priced)
    frame = frame.tumbling_window(timedelta(minutes=1), grace_ms=timedelta(minutes=2)).agg(**COLUMNS)
    frame.final(closing_strategy="partition").to_topic(sink)
    app.run(timeout=IDLE_SECONDS)
    if times[0]:
        print(f"BEGAN {times[0] * 1000:.0f} ENDED {times[1] * 1000:.0f}", flush=True)
    return 0


def time_of(tick: Any, _headers: Any, _sent_ms: int, _type: Any) -> int:
    """Return the event time of a tick: that of its last trade where it carries volume."""
    traded = tick.get("traded_volume") and "ltt_ms" in tick
    return int(tick["ltt_ms"] if traded else tick["event_time_ms"])


def is_counted(tick: dict[str, Any]) -> bool:
    """Return whether a message counts in a candle; heartbeats pass as well, since only messages that pass end windows."""
    if tick["kind"] == "heartbeat":
        return True
    if tick.get("session_phase") != "continuous" or "ltp" not in tick:
        return False
    return bool(tick.get("traded_volume")) or ("vtt" not in tick and tick["event_time_ms"] == tick.get("ltt_ms"))


def priced(tick: dict[str, Any]) -> dict[str, Any]:
    """Return what a candle is made of."""
    return {"ltp": tick.get("ltp", 0.0), "traded_volume": tick.get("traded_volume", 0)}


if __name__ == "__main__":
    sys.exit(main())
