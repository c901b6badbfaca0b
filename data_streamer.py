"""Stream the Upstox feed into Kafka: `python data_streamer.py`, configured by the environment and .env."""

from __future__ import annotations

import sys

from orderflow import logs
from orderflow.broker.storage import KafkaStorage
from orderflow.settings import load
from orderflow.upstox.clock import SYSTEM
from orderflow.upstox.streamer import UpstoxStreamer


def main() -> int:
    """Run the streamer until SIGTERM; return the exit code."""
    settings = load()
    logs.configure(settings.log_level, (settings.access_token,))
    return UpstoxStreamer(settings, KafkaStorage(settings, SYSTEM.now_ms)).run()


if __name__ == "__main__":
    sys.exit(logs.exit_code(main))
