"""The streamer's figures for Prometheus, read when asked for; only the lag histogram is kept up tick by tick."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any, Final

from prometheus_client import CollectorRegistry, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

Reading = Callable[[], float]

_BUCKETS: Final = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 15.0, 60.0)


class FigureCollector(Collector):
    """Turns readings into metrics at each scrape: `figures` maps name -> (meaning, is a counter, reading)."""

    def __init__(self, figures: dict[str, tuple[str, bool, Reading]]) -> None:
        self._figures = figures

    def collect(self) -> Iterator[Any]:
        """Yield one metric a figure."""
        for name, (meaning, is_counter, reading) in self._figures.items():
            family = CounterMetricFamily if is_counter else GaugeMetricFamily
            yield family(name, meaning, value=reading())


class PublishLag:
    """Seconds from the feed's currentTs to the acknowledgement by Kafka."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._histogram = Histogram(
            "orderflow_publish_lag_seconds", "From currentTs to Kafka's acknowledgement", buckets=_BUCKETS, registry=registry
        )
        self.last_seconds = 0.0

    def observe(self, feed_time_ms: int) -> None:
        """Note that a tick of this feed time has just been acknowledged."""
        self.last_seconds = max(0.0, time.time() - feed_time_ms / 1000)
        self._histogram.observe(self.last_seconds)
