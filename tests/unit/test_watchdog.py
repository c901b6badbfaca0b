from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from orderflow.watchdog import Watchdog

ROOT = Path(__file__).resolve().parents[2]


class Kennel:
    """A watchdog of 60 s, the time, and the codes with which it ended the process."""

    def __init__(self) -> None:
        self.now = 0.0
        self.ended: list[int] = []
        self.watchdog = Watchdog(60.0, "the loop has not gone on", end=self.ended.append, clock=lambda: self.now)

    def pass_seconds(self, seconds: int) -> None:
        """Let time pass, as the watchdog's thread sees it."""
        for _ in range(seconds // 5):
            self.now += 5.0
            self.watchdog.look()


def test_watchdog_when_the_loop_hangs_then_the_process_ends_after_its_time() -> None:
    kennel = Kennel()
    kennel.pass_seconds(60)
    assert kennel.ended == []
    kennel.pass_seconds(5)
    assert kennel.ended == [70]


def test_watchdog_when_the_loop_beats_then_the_process_goes_on() -> None:
    kennel = Kennel()
    for _ in range(10):
        kennel.pass_seconds(55)
        kennel.watchdog.beat()
    assert kennel.ended == []


def test_watchdog_when_the_whole_process_was_stopped_then_the_loop_gets_its_time_anew() -> None:
    kennel = Kennel()
    kennel.now += 600.0
    kennel.watchdog.look()
    kennel.pass_seconds(60)
    assert kennel.ended == []
    kennel.pass_seconds(5)
    assert kennel.ended == [70]


def test_watchdog_when_a_real_process_hangs_then_it_ends_with_the_code_that_restarts_it() -> None:
    hanging = (
        "import threading; import orderflow.watchdog as w; w._LOOK_SECONDS = 0.01; "
        "w.Watchdog(0.05, 'nothing happens').start(); threading.Event().wait(30)"
    )
    answer = subprocess.run([sys.executable, "-c", hanging], cwd=ROOT, capture_output=True, text=True, timeout=30)
    assert answer.returncode == 70
    assert "nothing happens for 0 s: the process ends and is restarted" in answer.stderr
