"""Simple minute candles by Flink SQL in a mini-cluster; run by candle_engine.py in an environment of its own."""

from __future__ import annotations

import argparse
import os
import sys
import time


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--brokers", required=True)
    parser.add_argument("--state", required=True)
    parser.add_argument("--jar", required=True)
    parser.add_argument("--heap", default="2g")
    parser.add_argument("--partitions", type=int, default=2)
    parser.add_argument("--source", required=True)
    parser.add_argument("--sink", required=True)
    options = parser.parse_args()
    os.environ["JVM_ARGS"] = f"-Xmx{options.heap}"
    from pyflink.table import EnvironmentSettings, TableEnvironment  # it starts the JVM

    table = TableEnvironment.create(EnvironmentSettings.in_streaming_mode())
    for name, value in {
        "pipeline.jars": f"file://{options.jar}",
        "pipeline.object-reuse": "true",
        "parallelism.default": str(options.partitions),
        "table.local-time-zone": "UTC",
        "execution.checkpointing.interval": "10 s",
        "execution.checkpointing.dir": f"file://{options.state}",
        "state.backend.type": "hashmap",
    }.items():
        table.get_config().set(name, value)
    kafka = f"'connector' = 'kafka', 'properties.bootstrap.servers' = '{options.brokers}'"
    began_ms = time.time() * 1000
    table.execute_sql(f"""
        CREATE TABLE ticks (
          instrument_key STRING, event_time_ms BIGINT, ltt_ms BIGINT, ltp DOUBLE, vtt BIGINT, traded_volume BIGINT,
          session_phase STRING,
          traded_at AS TO_TIMESTAMP_LTZ(CASE WHEN traded_volume > 0 AND ltt_ms IS NOT NULL THEN ltt_ms ELSE event_time_ms END, 3),
          WATERMARK FOR traded_at AS traded_at - INTERVAL '2' MINUTE
        ) WITH ({kafka}, 'topic' = '{options.source}', 'format' = 'json', 'json.ignore-parse-errors' = 'true',
          'properties.group.id' = 'candle-engine', 'scan.startup.mode' = 'earliest-offset', 'scan.bounded.mode' = 'latest-offset')
    """)
    table.execute_sql(f"""
        CREATE TABLE candles (
          instrument STRING, start_time TIMESTAMP(3), `open` DOUBLE, high DOUBLE, low DOUBLE, `close` DOUBLE, volume BIGINT
        ) WITH ({kafka}, 'topic' = '{options.sink}', 'format' = 'json', 'json.timestamp-format.standard' = 'ISO-8601')
    """)
    table.execute_sql("""
        INSERT INTO candles
        SELECT instrument_key, window_start, FIRST_VALUE(ltp), MAX(ltp), MIN(ltp), LAST_VALUE(ltp),
          SUM(COALESCE(traded_volume, 0))
        FROM TABLE(TUMBLE(TABLE ticks, DESCRIPTOR(traded_at), INTERVAL '1' MINUTE))
        WHERE session_phase = 'continuous' AND ltp IS NOT NULL
          AND (traded_volume > 0 OR (vtt IS NULL AND event_time_ms = ltt_ms))
        GROUP BY instrument_key, window_start, window_end
    """).wait()
    print(f"BEGAN {began_ms:.0f} ENDED {time.time() * 1000:.0f}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
