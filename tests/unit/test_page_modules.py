"""The browser's modules under node's own test runner: `node --test tests/page` says more when it fails."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.skipif(shutil.which("node") is None, reason="needs node; the product itself does not")
def test_page_modules_when_their_own_tests_run_pass() -> None:
    tests = sorted(str(path.relative_to(ROOT)) for path in (ROOT / "tests" / "page").glob("*.test.js"))
    assert tests
    done = subprocess.run(["node", "--test", *tests], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout[-4000:]
