"""The streamer's figures for Prometheus, read when asked for; only the lag histogram is kept up tick by tick."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from prometheus_client import CollectorRegistry, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from orderflow.upstox.pace import STATES, InstrumentHealth

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


class InstrumentCollector(Collector):
    """The health of every instrument at each scrape."""

    def __init__(self, instruments: Callable[[], Mapping[str, InstrumentHealth]]) -> None:
        self._instruments = instruments

    def collect(self) -> Iterator[Any]:
        """Yield how many instruments are in each state, and of each one its state, its pace and the age of its last update."""
        instruments = self._instruments()
        counted = Counter(each.state for each in instruments.values())
        total = GaugeMetricFamily("orderflow_instruments", "Instruments by state", labels=("state",))
        state = GaugeMetricFamily("orderflow_instrument_state", "1 for the state it is in", labels=("instrument", "state"))
        age = GaugeMetricFamily("orderflow_instrument_last_update_age_seconds", "Age of the last update", labels=("instrument",))
        pace = GaugeMetricFamily("orderflow_instrument_usual_gap_seconds", "Usual time between updates", labels=("instrument",))
        for name in STATES:
            total.add_metric((name,), counted[name])
        for key, each in instruments.items():
            state.add_metric((key, each.state), 1)
            if each.last_update_seconds is not None:
                age.add_metric((key,), each.last_update_seconds)
            if each.usual_seconds is not None:
                pace.add_metric((key,), each.usual_seconds)
        yield from (total, state, age, pace)


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
