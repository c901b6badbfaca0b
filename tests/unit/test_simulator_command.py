"""The command `python -m orderflow.simulator`."""

from __future__ import annotations

import itertools
import json
import os
import re
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from orderflow.simulator.__main__ import main

ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--speed", "0"], "SIM_SPEED"),
        (["--speed", "5"], "SIM_SPEED"),
        (["--rate", "51"], "SIM_RATE"),
        (["--session", "tomorrow"], "SIM_SESSION"),
        (["--session", "2025-12-15T1pm"], "SIM_SESSION"),
        (["--session", "2025-12-15T08:30"], "SIM_SESSION"),
        (["--times", "later"], "SIM_TIMES"),
        (["--instruments", "TCS"], "SIM_INSTRUMENTS"),
        (["--recording", "/nonexistent/file.jsonl"], "SIM_RECORDING"),
        (["--truth", "/proc/nowhere/truth.jsonl"], "SIM_TRUTH"),
        (["--host", "0.0.0.0"], "SIM_TLS_DIR"),
        (["--tls-dir", "/proc/nowhere"], "SIM_TLS_DIR"),
    ],
)
def test_command_when_a_setting_is_wrong_then_one_line_names_it(
    arguments: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*arguments, *([] if "--host" in arguments else ["--port", "0"])]) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert lines[-1].startswith("ERROR ")
    assert complaint in lines[-1]


def test_command_when_terminated_then_leaves_the_truth_complete_and_returns_0(tmp_path: Path) -> None:
    truth = tmp_path / "truth.jsonl"
    environment = {**os.environ, "SIM_PORT": "0", "SIM_TRUTH": str(truth), "SIM_INSTRUMENTS": "2", "SIM_RATE": "50"}
    command = [sys.executable, "-m", "orderflow.simulator"]
    with subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        port = re.search(r"ws://127.0.0.1:(\d+)", process.stderr.readline())
        assert port
        lines: list[str] = []
        while len(lines) < 20:
            with urllib.request.urlopen(f"http://127.0.0.1:{port[1]}/healthz", timeout=5) as response:
                assert json.loads(response.read())["status"] == "ok"
            lines = truth.read_text().splitlines()
        process.send_signal(signal.SIGTERM)
        process.stderr.read()
        assert process.wait(10) == 0
    trades = [json.loads(line) for line in truth.read_text().splitlines()]
    assert set(trades[0]) == {"instrument_key", "time_ms", "price", "quantity", "side", "vtt"}
    for key in {trade["instrument_key"] for trade in trades}:
        mine = [trade for trade in trades if trade["instrument_key"] == key]
        assert all(later["vtt"] - earlier["vtt"] == later["quantity"] for earlier, later in itertools.pairwise(mine))
