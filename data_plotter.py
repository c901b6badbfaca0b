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
    settings = load()
    logs.configure(settings.log_level, (settings.access_token,))
    source = settings.instrument_master
    kept = master_cache(settings.spool_dir, source)
    names = settings.instruments if settings.instrument_file is None else watch_list(settings.instrument_file)
    directory = Directory(names)
    store = Store(clock_ms, directory.instruments)
    master = partial(load_master, source, kept, settings.ca_file, names)
    calendar = partial(load_calendar, settings.rest_url, settings.spool_dir, settings.ca_file)
    directory.fetch_aside(master, calendar, lambda: tuple(store.instruments))
    history = DayArchive(History.connect(settings.hdfs), settings.aggressor_rule)
    feed = KafkaFeed(settings.kafka, store, settings.watermark_seconds)
    feed.start()
    parts = Parts.configured(settings, store, directory, history)
    serve(parts, settings.dashboard_host, settings.dashboard_port, settings.dashboard_tls)
    feed.stop()
    return 70 if feed.broken else 0


if __name__ == "__main__":
    sys.exit(logs.exit_code(main))
