"""Servers for the scenarios."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from orderflow.simulator.in_process import SimulatorServer
from orderflow.simulator.replay import Recording
from orderflow.upstox import client
from tests.feed.rig import opening


@pytest.fixture
def server() -> Iterator[SimulatorServer]:
    with SimulatorServer(Recording.of_messages(opening(), announce_close=False), token="right") as running:
        yield running


@pytest.fixture
def quick_timeouts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "HANDSHAKE_SECONDS", 1.0)
    monkeypatch.setattr(client, "PING_EVERY_SECONDS", 0.6)
    monkeypatch.setattr(client, "PONG_WITHIN_SECONDS", 0.4)
