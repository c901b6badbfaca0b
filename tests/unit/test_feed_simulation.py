"""A thousand random days of the streamer against a broker, a feed and a machine that fail."""

from __future__ import annotations

import random
import tempfile
from pathlib import Path

import pytest

from tests.unreliable import Day

DAYS = 1_000


def live(seed: int) -> None:
    with tempfile.TemporaryDirectory() as directory:
        day = Day(seed, Path(directory))
        day.run()
        day.check()


def test_streamer_when_a_thousand_random_days_pass_then_every_invariant_holds(capsys: pytest.CaptureFixture[str]) -> None:
    first = random.SystemRandom().randrange(2**31)
    with capsys.disabled():
        print(f"\n{DAYS} days from seed {first}: repeat one with live(seed)", end=" ")
    for seed in range(first, first + DAYS):
        try:
            live(seed)
        except Exception as error:
            raise AssertionError(f"day of seed {seed}: {error}") from error
