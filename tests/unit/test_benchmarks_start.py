"""Benchmarks run outside CI, so a rename may break one unseen: each must at least start."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.mark.parametrize("name", sorted(path.name for path in BENCHMARKS.glob("*.py")))
def test_benchmark_when_asked_for_help_then_it_says_what_it_measures(name: str) -> None:
    ended = subprocess.run([sys.executable, str(BENCHMARKS / name), "--help"], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    assert "usage:" in ended.stdout
