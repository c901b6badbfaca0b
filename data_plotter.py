"""Serve the dashboard: settings, the Kafka feed, the store and the page, wired together."""

from __future__ import annotations

import logging
import sys

from orderflow import settings
from orderflow.dashboard.app import Parts, serve
from orderflow.dashboard.feed import KafkaFeed, clock_ms
from orderflow.dashboard.store import Store
from orderflow.market.errors import OrderflowError


def main() -> int:
    """Run until SIGTERM; return 0, or 2 when a setting is wrong."""
    try:
        chosen = settings.load()
    except OrderflowError as error:
        print(error, file=sys.stderr)
        return 2
    logging.basicConfig(level=chosen.log_level, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    store = Store(clock_ms, chosen.instruments)
    feed = KafkaFeed(chosen.kafka_brokers, store)
    feed.start()
    try:
        serve(Parts(store, chosen.instruments, buffer=chosen.dashboard_buffer), chosen.dashboard_host, chosen.dashboard_port)
    finally:
        feed.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
