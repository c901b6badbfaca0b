"""Console scripts of the installed package: each runs the entry point of its name."""

from __future__ import annotations

from importlib import import_module

from orderflow import logs


def data_streamer() -> int:
    """Stream the Upstox feed into Kafka; return the exit code."""
    return _run("data_streamer")


def data_processor() -> int:
    """Turn ticks into trades and candles; return the exit code."""
    return _run("data_processor")


def tick_to_hdfs() -> int:
    """Store ticks in HDFS; return the exit code."""
    return _run("tick_to_hdfs")


def candle_to_hdfs() -> int:
    """Store candles and footprint in HDFS; return the exit code."""
    return _run("candle_to_hdfs")


def data_plotter() -> int:
    """Serve the dashboard; return the exit code."""
    return _run("data_plotter")


def orderflow() -> int:
    """Run a sub-command, as `python -m orderflow` does; return the exit code."""
    return _run("orderflow.__main__")


def _run(module: str) -> int:
    return logs.exit_code(import_module(module).main)
