"""Serve the dashboard: `python data_plotter.py`, configured by the environment and .env."""

from __future__ import annotations

import sys
from functools import partial

from orderflow import logs
from orderflow.dashboard.sources.directory import Directory
from orderflow.dashboard.sources.kafka import KafkaFeed
from orderflow.dashboard.state.store import Store, clock_ms
from orderflow.dashboard.web.app import Parts, create_app
from orderflow.dashboard.web.serving import serve
from orderflow.lake.archive import DayArchive
from orderflow.lake.history import History
from orderflow.settings import load
from orderflow.upstox.calendar import load_calendar
from orderflow.upstox.instruments import load_master, master_cache
from orderflow.upstox.lookup import wanted_names


def main() -> int:
    """Serve until SIGTERM; return the exit code."""
    settings = load()
    logs.configure(settings.log_level, (settings.access_token,))
    kept = master_cache(settings.spool_dir, settings.instrument_master)
    names = tuple(wanted_names(settings))
    directory = Directory(names)
    store = Store(clock_ms, directory.instruments)
    master = partial(load_master, settings.instrument_master, kept, settings.ca_file, names)
    calendar = partial(load_calendar, settings.rest_url, settings.spool_dir, settings.ca_file)
    directory.fetch_aside(master, calendar, lambda: tuple(store.instruments))
    history = DayArchive(History.connect(settings.hdfs), settings.aggressor_rule)
    feed = KafkaFeed(settings.kafka, store, settings.watermark_seconds)
    feed.start()
    parts = Parts.configured(settings, store, directory, history)
    application, host, port = create_app(parts), settings.dashboard_host, settings.dashboard_port
    logins, proxies = parts.sessions is not None, bool(parts.proxies)
    serve(application, host, port, settings.dashboard_tls, logins=logins, proxies=proxies)
    feed.stop()
    return 70 if feed.broken else 0


if __name__ == "__main__":
    sys.exit(logs.exit_code(main))
