"""Serve the dashboard: `python data_plotter.py`, configured by the environment and .env."""

from __future__ import annotations

import sys
from functools import partial

from orderflow import logs
from orderflow.dashboard.sources.directory import Directory
from orderflow.dashboard.sources.kafka import KafkaFeed
from orderflow.dashboard.state.store import Store, clock_ms
from orderflow.dashboard.web.app import Parts, serve
from orderflow.lake.archive import DayArchive
from orderflow.lake.history import History
from orderflow.settings import load
from orderflow.upstox.calendar import load_calendar
from orderflow.upstox.instruments import load_master, master_cache, watch_list


def main() -> int:
    """Serve until SIGTERM; return the exit code."""
    chosen = load()
    logs.configure(chosen.log_level, (chosen.access_token,))
    source = chosen.instrument_master
    kept = master_cache(chosen.spool_dir, source)
    names = chosen.instruments if chosen.instrument_file is None else watch_list(chosen.instrument_file)
    directory = Directory(names)
    store = Store(clock_ms, directory.instruments)
    master = partial(load_master, source, kept, chosen.ca_file, names)
    calendar = partial(load_calendar, chosen.rest_url, chosen.spool_dir, chosen.ca_file)
    directory.fetch_aside(master, calendar, lambda: tuple(store.instruments))
    history = DayArchive(History.connect(chosen.hdfs), chosen.aggressor_rule)
    feed = KafkaFeed(chosen.kafka, store, chosen.watermark_seconds)
    feed.start()
    parts = Parts.configured(chosen, store, directory, history)
    serve(parts, chosen.dashboard_host, chosen.dashboard_port)
    feed.stop()
    return 70 if feed.broken else 0


if __name__ == "__main__":
    sys.exit(logs.exit_code(main))
